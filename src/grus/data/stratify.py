"""Random splits of labelled rows in which every label keeps its share."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grus.data.windows import epoch_order
from grus.errors import DataError, UsageError


@dataclass(frozen=True)
class RowSplit:
    """Row numbers of the parts, int64, increasing; together they are all rows."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


def split_rows(
    labels: Sequence[tuple[str, ...]], val_size: float, test_size: float, seed: int, source: str = "data"
) -> RowSplit:
    """Set aside rows for validation and test at random, label by label.

    A row of several labels counts for the rarest of them. Each label gives its share of each part, to within one
    row, and keeps at least one row for training.

    Args:
        labels: of each row; a row of none counts as a label of its own.
        val_size, test_size: a share of the rows below 1, or a number of rows.
        seed: of the choice.
        source: what error messages call the data.

    Raises:
        UsageError: the sizes leave no row to train on.
        DataError: a label has fewer rows than there are parts.
    """
    n = len(labels)
    sizes = [_rows(n, val_size), _rows(n, test_size)]
    if sum(sizes) >= n:
        raise UsageError(
            f"val_size and test_size must leave rows to train on, got {sizes[0]} and {sizes[1]} of {n}"
        )
    groups = _groups(labels)
    _check_groups(groups, sizes, source)
    parts: list[list[np.ndarray]] = [[], []]
    rest: list[np.ndarray] = []
    shares = [_apportion([len(rows) for rows in groups.values()], size) for size in sizes]
    for number, rows in enumerate(groups.values()):
        rows = rows[epoch_order(len(rows), seed, number)]
        taken = 0
        for part, share in zip(parts, shares, strict=True):
            count = min(int(share[number]), len(rows) - taken - 1)
            part.append(rows[taken : taken + count])
            taken += count
        rest.append(rows[taken:])
    train, val, test = (np.sort(np.concatenate(found)) for found in (rest, *parts))
    return RowSplit(train, val, test)


def _rows(n: int, size: float) -> int:
    return round(n * size) if size < 1 else int(size)


def _groups(labels: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], np.ndarray]:
    """Rows by the rarest label that they have."""
    counts = Counter(label for row in labels for label in row)
    keys = [(min(row, key=lambda label: (counts[label], label)),) if row else () for row in labels]
    found: dict[tuple[str, ...], list[int]] = {}
    for number, key in enumerate(keys):
        found.setdefault(key, []).append(number)
    return {key: np.array(found[key], np.int64) for key in sorted(found)}


def _check_groups(groups: dict[tuple[str, ...], np.ndarray], sizes: list[int], source: str) -> None:
    names = ["training", *(name for name, size in zip(("validation", "test"), sizes, strict=True) if size)]
    smallest = min(groups, key=lambda key: len(groups[key]))
    if len(groups[smallest]) < len(names):
        what = f"label {smallest[0]!r}" if smallest else "the empty set of labels"
        raise DataError(
            f"{source}: {what} must have at least {len(names)} rows (for {', '.join(names)}), "
            f"got {len(groups[smallest])}",
            "give more rows of it, or leave it out, or set the sizes of validation and test to 0",
        )


def _apportion(counts: list[int], total: int) -> np.ndarray:
    """``total`` shared out in proportion to ``counts``, by largest remainders; int64, sums to total."""
    exact = np.array(counts) * (total / sum(counts))
    whole = np.floor(exact).astype(np.int64)
    rest = total - int(whole.sum())
    whole[np.argsort(-(exact - whole), kind="stable")[:rest]] += 1
    return whole
