"""From labelled examples to what a classifier trains, validates and is tested on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from grus.data.stratify import split_rows
from grus.errors import DataError, UsageError
from grus.preprocess.examples import Examples, Labels
from grus.spec import ClassifyKind

#: Steps of an example that are kept where nothing is said: at most these, and no more than the longest has.
MAX_LENGTH: dict[ClassifyKind, int] = {"text": 512, "series": 4096, "images": 4096, "events": 1024}
_SHOWN = 12


@dataclass(frozen=True)
class Parts:
    """Examples to train on, to validate and to test; the last two may have no rows."""

    train: Examples
    val: Examples
    test: Examples


def divide(
    examples: Examples, validation: Examples | None, val_size: float, test_size: float, seed: int, source: str
) -> Parts:
    """Set rows aside for validation (unless there are some of their own) and test; see `split_rows`."""
    assert examples.labels is not None
    size = val_size if validation is None else 0
    split = split_rows(examples.labels, size, test_size, seed, source)
    val = examples.take(split.val) if validation is None else validation
    return Parts(examples.take(split.train), val, examples.take(split.test))


def label_order(labels: Labels, multi: bool, source: str) -> tuple[str, ...]:
    """The different labels: by number if all of them are whole numbers, else by text.

    Raises:
        DataError: fewer than two, or with ``multi`` none, or one that every row has.
    """
    counts = Counter(label for row in labels for label in row)
    if len(counts) < 2 and (not multi or counts.total() in (0, len(labels))):
        got = f"only {next(iter(counts))!r}" if counts else "none"
        raise DataError(f"{source}: expected at least two different labels to tell apart, got {got}")
    if all(label.removeprefix("-").isdecimal() for label in counts):
        return tuple(sorted(counts, key=lambda label: (int(label), label)))
    return tuple(sorted(counts))


def truth_of(labels: Labels, order: Sequence[str], multi: bool) -> np.ndarray:
    """Label numbers int64 [R], -1 for one that is not in ``order``; with ``multi`` 0/1 float32 [R, C]."""
    number = {label: n for n, label in enumerate(order)}
    if not multi:
        return np.array([number.get(row[0], -1) for row in labels], np.int64)
    truth = np.zeros((len(labels), len(order)), np.float32)
    for row, names in enumerate(labels):
        truth[row, [number[name] for name in names if name in number]] = 1.0
    return truth


def label_weights(
    given: Mapping[str, float] | str | None, truth: np.ndarray, order: Sequence[str]
) -> np.ndarray | None:
    """What the rows of each label count for in the loss, float64 [C]; None if all count the same.

    ``balanced``: rows / (labels * rows of the label), or where a row may have several labels, rows without the label
    over rows with it, for the rows with it. In a dict, labels that are not named have 1.

    Raises:
        UsageError: a weight is given for a label that there is not.
    """
    if given is None:
        return None
    if isinstance(given, str):
        if truth.ndim == 2:
            count = truth.sum(0).astype(np.float64).clip(1)
            return (len(truth) - count).clip(1) / count
        return len(truth) / (len(order) * np.bincount(truth, minlength=len(order)).clip(1))
    weights = {str(label): float(weight) for label, weight in given.items()}
    unknown = next((label for label in weights if label not in order), None)
    if unknown is not None:
        raise UsageError(f"class_weight must name labels among {_listed(order)}, got {unknown!r}")
    return np.array([weights.get(label, 1.0) for label in order])


def plan_lines(parts: Parts, order: Sequence[str], dropped: int, what: str) -> list[str]:
    """Which rows train, validate and test, and which labels there are, for people."""
    assert parts.train.labels is not None
    counts = Counter(label for row in parts.train.labels for label in row)
    shown = ", ".join(f"{label!r} {counts[label]:,}" for label in order[:_SHOWN])
    more = f", and {len(order) - _SHOWN:,} more" if len(order) > _SHOWN else ""
    lines = [f"labels    {len(order):,}; training rows of each: {shown}{more}"]
    sizes = {"train": parts.train, "validate": parts.val, "test": parts.test}
    lines.append("rows      " + ", ".join(f"{name} {part.rows:,}" for name, part in sizes.items() if part.rows))
    if dropped:
        lines.append(f"note      {dropped:,} empty {what} left out of training")
    return lines


def _listed(order: Sequence[str]) -> str:
    return ", ".join(map(repr, order[:_SHOWN])) + (", ..." if len(order) > _SHOWN else "")
