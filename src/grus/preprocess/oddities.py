"""What looks odd in a column and is yet no error: a sentence for people, with the row."""

import numpy as np

from grus.preprocess.columns import as_source
from grus.preprocess.storage import chunks

_LIMITS = {32767, -32768, 65535, 2147483647, -2147483648, 4294967295}
"""Ends of whole-number types, which measuring devices send for nothing measured."""
_HUGE = 1e20
"""Nor is anything measured of this size; netCDF fills gaps with 9.97e36."""


def stand_ins(values: np.ndarray, name: str, source: str = "data") -> tuple[str, ...]:
    """A sentence for a number such as -9999 that seems to stand for a missing value.

    It is the least or the greatest of the column, comes twice or more, is further from all others than those are from
    each other, and is made of nines (99, -999.9), the end of a whole-number type, or huge.

    Args:
        values: float64 [R], NaN = missing.
        name, source: of the column and the table, for the sentence.
    """
    ends = [value for value in dict.fromkeys(value_range(values)) if _is_suspicious(value)]
    sentences = [_stand_in(values, value, name, source) for value in ends]
    return tuple(sentence for sentence in sentences if sentence is not None)


def _is_suspicious(value: float) -> bool:
    digits = f"{abs(value):.15g}".replace(".", "")
    nines = len(digits) > 1 and set(digits) == {"9"}
    return bool(np.isfinite(value)) and (nines or value in _LIMITS or abs(value) >= _HUGE)


def value_range(values: np.ndarray, without: float = np.nan) -> tuple[float, float]:
    """The least and the greatest of values [R], NaN and ``without`` left out; NaN if there is none."""
    low = high = np.nan
    for piece in chunks(len(values)):
        part = np.asarray(values[piece])
        part = part[part != without]
        low, high = np.fmin.reduce(part, initial=low), np.fmax.reduce(part, initial=high)
    return float(low), float(high)


def _stand_in(values: np.ndarray, odd: float, name: str, source: str) -> str | None:
    low, high = value_range(values, odd)
    if not (low < high and max(low - odd, odd - high) > high - low):
        return None
    rows = [piece.start + np.flatnonzero(values[piece] == odd) for piece in chunks(len(values))]
    where = np.concatenate(rows)
    if len(where) < 2:
        return None
    first = as_source(source).row(int(where[0]))
    return (
        f"column {name!r}: {odd:g} comes {len(where):,} times (first in {first}), far from every other value; "
        "if it stands for a missing one, leave those cells empty"
    )
