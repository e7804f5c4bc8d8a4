"""From labelled examples to what a classifier trains on, validates and is tested on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from grus.data.stratify import split_rows
from grus.decode.class_scores import truth_of
from grus.errors import DataError, UsageError
from grus.inspection.classes.wording import unmeasured_sentence
from grus.inspection.wording import count
from grus.preprocess.build_examples import ExampleRoles
from grus.preprocess.categories import spell
from grus.preprocess.classify import ClassifyPreprocessor, StepOptions, fit_classify_steps
from grus.preprocess.examples import Examples, Labels
from grus.preprocess.irregular import unmeasured
from grus.preprocess.ragged import Ragged
from grus.spec import AnyStep, Classify, ClassifyKind, Irregular, Port
from grus.tasks.missing import missing_line
from grus.tasks.run_folder import digest

TITLES: dict[ClassifyKind, str] = {
    "text": "Classification of texts",
    "series": "Classification of series",
    "images": "Classification of images",
    "events": "Classification of histories",
    "audio": "Classification of recordings",
}
#: Steps of an example that are kept where ``max_length`` is not given.
MAX_LENGTH: dict[ClassifyKind, int] = {
    "text": 512,
    "series": 4096,
    "images": 4096,
    "events": 1024,
    "audio": 4096,
}
_PLURAL: dict[ClassifyKind, str] = {
    "text": "texts",
    "series": "series",
    "images": "images",
    "events": "histories",
    "audio": "recordings",
}
_SHOWN = 12


@dataclass(frozen=True)
class Parts:
    """Examples to train on, to validate and to test; the last two may have no rows."""

    train: Examples
    val: Examples
    test: Examples


@dataclass(frozen=True)
class Labelled:
    """Sequences with what they are: label numbers int64 [R], or 0/1 float32 [R, C] where a row may have several."""

    sequences: Ragged
    truth: np.ndarray

    def __len__(self) -> int:
        return len(self.truth)


@dataclass(frozen=True)
class Prepared:
    """What a classifier is trained from.

    Attributes:
        task, steps: the spec of all but the network; arrays: their numbers, by the names of the model file.
        port: the network's input.
        parts: the examples; train, val: the same as sequences, without the rows of a label that training does not
            know, which have no truth to stop by (they are scored, as wrong).
        plan: which rows are which, in words.
    """

    task: Classify
    steps: tuple[AnyStep, ...]
    arrays: dict[str, np.ndarray]
    port: Port
    parts: Parts
    train: Labelled
    val: Labelled
    plan: list[str]

    @property
    def masks(self) -> slice | None:
        """Which features of the input are masks that a GRU-D goes by."""
        step = self.steps[0]
        if not isinstance(step, Irregular) or step.form != "decay":
            return None
        return slice(len(step.columns), 2 * len(step.columns))


def divide(
    examples: Examples, validation: Examples | None, val_size: float, test_size: float, seed: int, source: str
) -> Parts:
    """Set rows aside for validation (unless there are some of their own) and test; see `split_rows`."""
    assert examples.labels is not None
    split = split_rows(examples.labels, val_size if validation is None else 0, test_size, seed, source)
    val = examples.take(split.val) if validation is None else validation
    return Parts(examples.take(split.train), val, examples.take(split.test))


def prepare(parts: Parts, roles: ExampleRoles, options: StepOptions, max_length: int | None) -> Prepared:
    """Fit the preprocessing to the training rows, and make sequences of them and of the validation rows.

    Rows of training that hold nothing (an empty text, a series without steps) are left out, and the plan says so.

    Raises:
        DataError: fewer than two labels, or no training row that holds anything.
    """
    full = _full(parts.train)
    empty = parts.train.rows - len(full)
    if not len(full):
        raise DataError(
            f"{_PLURAL[roles.kind]}: expected some to learn from that are not empty, got {empty:,} empty ones"
        )
    parts = replace(parts, train=parts.train.take(full)) if empty else parts
    assert parts.train.labels is not None
    order = label_order(parts.train.labels, roles.multi, label_source(roles))
    steps, arrays = fit_classify_steps(parts.train, options)
    most = MAX_LENGTH[roles.kind] if max_length is None else max_length
    task = Classify(
        kind=roles.kind, labels=order, inputs=roles.inputs, max_length=most, multi=roles.multi, label=roles.label,
        id=roles.id, time=roles.time, variable=roles.variable, value=roles.value,
    )  # fmt: skip
    preprocessor = ClassifyPreprocessor(task, steps, arrays)
    train, val = (_labelled(part, preprocessor, task) for part in (parts.train, parts.val))
    irregular = steps[0] if isinstance(steps[0], Irregular) else None
    plan = _plan(parts, empty, int((train.sequences.lengths >= most).sum()), most, irregular)
    return Prepared(task, steps, arrays, preprocessor.port(), parts, train, val, plan)


def label_source(roles: ExampleRoles) -> str:
    """Where the labels came from, for messages."""
    return "labels" if roles.label is None else f"column {roles.label!r}"


def label_order(labels: Labels, multi: bool, source: str) -> tuple[str, ...]:
    """The different labels: by number if all of them are whole numbers, else by text.

    Raises:
        DataError: fewer than two, or with ``multi`` none, or only one, which every row has.
    """
    counts = Counter(label for row in labels for label in row)
    if len(counts) < 2 and (not multi or counts.total() in (0, len(labels))):
        got = f"only {next(iter(counts))!r}" if counts else "none"
        raise DataError(f"{source}: expected at least two different labels to tell apart, got {got}")
    if all(label.removeprefix("-").isdecimal() for label in counts):
        return tuple(sorted(counts, key=lambda label: (int(label), label)))
    return tuple(sorted(counts))


def label_weights(
    given: Mapping[str, float] | str | None, truth: np.ndarray, order: Sequence[str]
) -> np.ndarray | None:
    """What the rows of each label count for in the loss, float64 [C]; None if all count the same.

    ``balanced``: rows / (labels * rows of the label), as in scikit-learn; where a row may have several labels, what
    the rows with the label count for: rows without it / rows with it. In a dict, labels not named have 1.

    Raises:
        UsageError: a weight is given for a label that there is not.
    """
    if given is None:
        return None
    if isinstance(given, str):
        if truth.ndim == 2:
            rows = truth.sum(0).astype(np.float64).clip(1)
            return (len(truth) - rows).clip(1) / rows
        return len(truth) / (len(order) * np.bincount(truth, minlength=len(order)).clip(1))
    weights = {str(label): float(weight) for label, weight in given.items()}
    unknown = next((label for label in weights if label not in order), None)
    if unknown is not None:
        known = ", ".join(map(repr, order[:_SHOWN])) + (", ..." if len(order) > _SHOWN else "")
        raise UsageError(f"class_weight must name labels among {known}, got {unknown!r}")
    return np.array([weights.get(label, 1.0) for label in order])


def pair(given: Any, name: str = "validation") -> tuple[Any, Any]:
    """Data and labels of rows that stand apart; raises UsageError for anything but a pair of them."""
    if not isinstance(given, tuple) or len(given) != 2:
        raise UsageError(
            f"{name} must be a pair (data, labels) as labels are given as y, got {type(given).__name__}"
        )
    return given


def given_classes(order: tuple[str, ...], labels: Labels | None, y: Any) -> np.ndarray:
    """The labels in order, as text, or where they were given beside the data as what they were there."""
    if y is None or labels is None:
        return np.array(order)
    given = y.tolist() if hasattr(y, "tolist") else list(y)
    found: dict[str, Any] = {}
    for names, value in zip(labels, given, strict=True):
        several = isinstance(value, list | tuple | set | frozenset)
        found |= {str(spell(one)): one for one in value} if several else dict.fromkeys(names[:1], value)
    return np.array([found.get(label, label) for label in order])


def digest_of(prepared: Prepared) -> str:
    """A hash of everything that training sees."""
    parts: list[Any] = [prepared.task, prepared.steps, *prepared.arrays.values()]
    for rows in (prepared.train, prepared.val):
        parts += [rows.truth, rows.sequences.offsets]
        for values in rows.sequences.ports.values():
            parts += [values] if isinstance(values, np.ndarray) else list(vars(values).values())
    return digest(*parts)


def _labelled(examples: Examples, preprocessor: ClassifyPreprocessor, task: Classify) -> Labelled:
    """Sequences and truth of the rows whose label training knows."""
    assert examples.labels is not None
    truth = truth_of(examples.labels, task.labels, task.multi)
    if task.multi:
        return Labelled(preprocessor.sequences(examples), truth.astype(np.float32))
    known = np.flatnonzero(truth >= 0)
    return Labelled(preprocessor.sequences(examples.take(known)), truth[known])


def _plan(parts: Parts, empty: int, long: int, most: int, step: Irregular | None) -> list[str]:
    sizes = {"train": parts.train.rows, "validate": parts.val.rows, "test": parts.test.rows}
    lines = ["rows      " + ", ".join(f"{rows:,} {name}" for name, rows in sizes.items() if rows)]
    if step is not None:
        lines += _missing(parts, step)
    if empty:
        lines.append(f"{count(empty, 'empty row')} left out of training")
    if long:
        which = "first" if parts.train.kind == "text" else "last"
        lines.append(
            f"{count(long, 'row')} of {most:,} steps or more: the {which} {most:,} are read (max_length)"
        )
    return lines


def _missing(parts: Parts, step: Irregular) -> list[str]:
    """How much of the training rows is missing, and what becomes of it."""
    values = parts.train.series
    assert values is not None
    lines = [missing_line(float(np.isnan(values).mean()), step.form)]
    if none := unmeasured(parts.train):
        lines.append(unmeasured_sentence(none))
    return lines


def _full(examples: Examples) -> np.ndarray:
    """Numbers of the rows that hold something: a text that is not blank, a series or history that has a step."""
    if examples.texts is not None:
        return np.flatnonzero([bool(text.strip()) for text in examples.texts])
    return np.arange(examples.rows) if examples.offsets is None else np.flatnonzero(np.diff(examples.offsets))
