"""Text values as small integers."""

import numpy as np

from grus.errors import DataError
from grus.preprocess.columns import is_missing_text, is_text
from grus.preprocess.storage import distinct, take

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
    found = {spell(word) for word in _distinct(values)[0]} - {None}
    if len(found) > most:
        raise DataError(
            f"column {name!r}: expected at most {most:,} different values in a category, got {len(found):,}",
            "leave the column out, or group its rare values",
        )
    return tuple(sorted(word for word in found if word is not None))


def encode(values: np.ndarray, known: tuple[str, ...]) -> np.ndarray:
    """Codes int32 [R]: i + 1 for ``known[i]``, 0 for a value that is missing or was never seen."""
    table = {word: i + 1 for i, word in enumerate(known)}
    words, numbers = _distinct(values)
    codes = [0 if (spelled := spell(word)) is None else table.get(spelled, 0) for word in words]
    return take(np.array(codes, np.int32), numbers)


def unseen(values: np.ndarray, known: tuple[str, ...]) -> list[str]:
    """The values present that are not ``known``, in the order they come."""
    words, seen = dict.fromkeys(spell(word) for word in _distinct(values)[0]), {None, *known}
    return [word for word in words if word is not None and word not in seen]


def spell(value: object) -> str | None:
    """A category's name: text as it is, numbers at their shortest, None for what is missing."""
    if is_missing_text(value) or value != value:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)


def _distinct(values: np.ndarray) -> tuple[list[object], np.ndarray]:
    if is_text(values):
        words, numbers = distinct(values)
        return list(words), numbers
    found, numbers = np.unique(values, return_inverse=True)
    return found.tolist(), numbers
