"""Text values as small integers."""

import numpy as np

from grus.errors import DataError
from grus.preprocess.columns import MISSING_TEXT

MOST = 1000
"""More different values than this in one column are taken for a mistake (an id, free text)."""


def fit_categories(values: np.ndarray, name: str = "values", most: int = MOST) -> tuple[str, ...]:
    """The distinct values present, sorted; missing ones left out.

    Args:
        values: text [R]; numbers go by their shortest spelling, so that 1, 1.0 and "1" are one category.
        name: the column, for messages.
        most: how many different values are allowed.

    Raises:
        DataError: more than ``most`` different values.
    """
    found = {spell(v) for v in dict.fromkeys(values.tolist())} - {None}
    if len(found) > most:
        raise DataError(
            f"column {name!r}: expected at most {most:,} different values in a category, got {len(found):,}",
            "leave the column out, or group its rare values",
        )
    return tuple(sorted(v for v in found if v is not None))


def encode(values: np.ndarray, known: tuple[str, ...]) -> np.ndarray:
    """Codes int32 [R]: i + 1 for ``known[i]``, 0 for a value that is missing or was never seen."""
    table = {name: i + 1 for i, name in enumerate(known)}
    cells = values.tolist()
    codes = {v: table.get(spell(v) or "", 0) for v in dict.fromkeys(cells)}
    return np.fromiter(map(codes.__getitem__, cells), np.int32, len(cells))


def spell(value: object) -> str | None:
    """A category's name: text as it is, numbers at their shortest, None for what is missing."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, str):
        return None if value in MISSING_TEXT else value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)
