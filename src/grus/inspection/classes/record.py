"""From the evaluation of a classifier to what is shown of it: its surest mistakes, what it mixes up."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grus.decode import ClassEvaluation
from grus.inspection.wording import count
from grus.preprocess.examples import Examples, Labels


@dataclass(frozen=True)
class Mistake:
    """One row that was labelled wrong.

    Attributes:
        row: its number.
        said, truth: labels.
        confidence: probability of what was said; with several labels, the largest that one of them was wrong by.
        truth_share: probability of the true label, NaN if training did not know it or a row may have several.
    """

    row: int
    said: tuple[str, ...]
    truth: tuple[str, ...]
    confidence: float
    truth_share: float


@dataclass(frozen=True)
class Mixup:
    """How many rows of one label were given another, and their share of the rows of that label."""

    truth: str
    said: str
    rows: int
    share: float


def confident_mistakes(e: ClassEvaluation, labels: Labels, most: int) -> list[Mistake]:
    """The mistakes that the model was surest of, the surest first.

    Args:
        e: the evaluation of the rows.
        labels: of the same rows, as they were read.
        most: how many at most.
    """
    p, names = e.probabilities, e.task.labels
    if e.task.multi:
        decided = p >= 0.5
        sure = np.where(decided != e.truth, np.where(decided, p, 1 - p), -1.0).max(axis=1, initial=-1.0)
        wrong, said = sure >= 0, [tuple(names[i] for i in np.flatnonzero(row)) for row in decided]
        share = np.full(len(p), np.nan)
    else:
        chosen = p.argmax(axis=1)
        sure, wrong = p.max(axis=1), chosen != e.truth
        said = [(names[i],) for i in chosen]
        share = np.where(e.truth >= 0, p[np.arange(len(p)), np.maximum(e.truth, 0)], np.nan)
    rows = np.flatnonzero(wrong)
    rows = rows[np.argsort(-sure[rows], kind="stable")][:most]
    return [Mistake(int(r), said[r], labels[r], float(sure[r]), float(share[r])) for r in rows]


def mixups(e: ClassEvaluation, most: int) -> list[Mixup]:
    """The pairs of labels that were mixed up most often; none where a row may have several labels."""
    if e.task.multi:
        return []
    counts = e.confusion.copy()
    np.fill_diagonal(counts, 0)
    totals = np.maximum(e.confusion.sum(axis=1), 1)
    order = np.argsort(-counts, axis=None, kind="stable")[:most]
    pairs = [divmod(int(i), len(counts)) for i in order if counts.flat[i]]
    names = e.task.labels
    return [Mixup(names[t], names[s], int(counts[t, s]), float(counts[t, s] / totals[t])) for t, s in pairs]


def mixed_labels(e: ClassEvaluation, most: int) -> np.ndarray:
    """Numbers of the labels that take part in the most mistakes, in their own order; all if there are no more."""
    counts = e.confusion.copy()
    np.fill_diagonal(counts, 0)
    part = counts.sum(axis=0) + counts.sum(axis=1)
    return np.sort(np.argsort(-part, kind="stable")[:most])


def label_counts(labels: Labels | None, names: Sequence[str]) -> np.ndarray:
    """Rows of each label, int64 [C]."""
    counts = Counter(name for given in labels or () for name in given)
    return np.array([counts[name] for name in names], np.int64)


def standardised(examples: Examples, rows: Sequence[int]) -> list[np.ndarray]:
    """The channels [T, C] of some series, each over its spread in all examples, so that they fit one picture."""
    assert examples.series is not None
    assert examples.offsets is not None
    known = np.isfinite(examples.series)
    n = np.maximum(known.sum(axis=0), 1)
    center = examples.series.sum(axis=0, where=known) / n
    spread = np.sqrt(((examples.series - center) ** 2).sum(axis=0, where=known) / n)
    scale = np.where(spread > 0, spread, 1.0)
    return [
        (examples.series[examples.offsets[row] : examples.offsets[row + 1]] - center) / scale for row in rows
    ]


def visit_lines(examples: Examples, row: int, most: int) -> list[str]:
    """The last visits of one history in words: ``E11, I10``, then ``after 7: I10``."""
    assert examples.offsets is not None
    assert examples.visits is not None
    assert examples.codes is not None
    assert examples.words is not None
    assert examples.gaps is not None
    first, end = int(examples.offsets[row]), int(examples.offsets[row + 1])
    begin = max(first, end - most)
    lines = [f"({count(begin - first, 'visit')} before)"] if begin > first else []
    for visit in range(begin, end):
        codes = examples.codes[examples.visits[visit] : examples.visits[visit + 1]]
        names = list(dict.fromkeys(examples.words[code] for code in codes))
        more = f" and {len(names) - 8:,} more" if len(names) > 8 else ""
        after = f"after {examples.gaps[visit]:.4g}: " if np.isfinite(examples.gaps[visit]) else ""
        lines.append(f"{after}{', '.join(names[:8]) or 'no code'}{more}")
    return lines
