"""Columns of a table as NumPy arrays, and where they came from."""

from collections.abc import Callable, Iterable

import numpy as np

from grus.errors import DataError

Columns = dict[str, np.ndarray]
"""Column name -> 1-D array, all of one length: float64, int64, bool, datetime64[ns], or text (object holding
``str`` or ``None``, or fixed-width ``U`` where a column lies on disk)."""

MISSING_TEXT = frozenset(
    ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "null", "NULL", "None", "NaT", "<NA>")
)


class Source(str):
    """The name of a table for messages, with how its rows are numbered and what was noticed on reading it.

    A plain ``str`` does where only a name is known; rows are then counted from 0, as in a frame.
    """

    __slots__ = ("_locate", "notes")

    def __new__(
        cls, name: str, locate: Callable[[int], int] | None = None, notes: Iterable[str] = ()
    ) -> "Source":
        """Name a table; ``locate`` turns the position of a record (from 0) into the file's row number."""
        self = super().__new__(cls, name)
        self._locate = locate
        self.notes = tuple(notes)
        return self

    def row(self, index: int) -> str:
        """``row 18`` for a file (its header is row 1), ``row 16 (counting from 0)`` for anything else."""
        return f"row {index} (counting from 0)" if self._locate is None else f"row {self._locate(index)}"


def as_source(source: str) -> Source:
    """The source itself, or a plain name made into one."""
    return source if isinstance(source, Source) else Source(source)


def is_text(values: np.ndarray) -> bool:
    """Whether a column holds text (object or fixed-width unicode)."""
    return values.dtype.kind in "OU"


def is_time(values: np.ndarray) -> bool:
    """Whether a column holds dates."""
    return values.dtype.kind == "M"


def missing_mask(values: np.ndarray) -> np.ndarray:
    """Boolean [R]: NaN, NaT, None or one of the usual spellings of a missing value."""
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind == "M":
        return np.isnat(values)
    if values.dtype.kind == "O":
        return np.fromiter((v is None or v in MISSING_TEXT for v in values), bool, len(values))
    if values.dtype.kind == "U":
        return np.isin(values, list(MISSING_TEXT))
    return np.zeros(len(values), bool)


def as_column(values: object, name: str, source: str = "data") -> np.ndarray:
    """Bring one array (or list) into a type that ``Columns`` allows, or raise ``DataError``."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise DataError(f"{source}, column {name!r}: expected one value per row, got shape {array.shape}")
    kind = array.dtype.kind
    if kind == "f":
        return array.astype(np.float64, copy=False)
    if kind in "iu":
        return array.astype(np.int64, copy=False)
    if kind == "M":
        return to_nanoseconds(array, name, source)
    if kind in "bU":
        return array
    if kind == "O":
        return _from_objects(array, name, source)
    raise DataError(
        f"{source}, column {name!r}: expected numbers, text or dates, got values of type {array.dtype}"
    )


def to_nanoseconds(values: np.ndarray, name: str, source: str = "data") -> np.ndarray:
    """datetime64 of any unit as datetime64[ns]; years it cannot hold (before 1678, after 2261) are refused."""
    if values.dtype == np.dtype("M8[ns]"):
        return values
    years = values.astype("M8[Y]").astype(np.int64) + 1970
    bad = np.flatnonzero(~np.isnat(values) & ((years < 1678) | (years > 2261)))
    if len(bad):
        where = as_source(source).row(int(bad[0]))
        got = str(values[bad[0]]).replace("T", " ")
        raise DataError(f"{source}, {where}, column {name!r}: expected a date from 1678 to 2261, got {got!r}")
    return values.astype("M8[ns]")


def _from_objects(array: np.ndarray, name: str, source: str) -> np.ndarray:
    """Objects as text, numbers or dates, by what all the values that are present are."""
    kinds = {type(v) for v in array.tolist()} - {type(None)}
    if all(issubclass(k, str) for k in kinds) and kinds:
        return array
    present = np.array([v is not None for v in array.tolist()], bool)
    try:
        if kinds and all(issubclass(k, bool | np.bool_) for k in kinds) and present.all():
            return array.astype(bool)
        if all(hasattr(k, "__float__") and not issubclass(k, str) for k in kinds):
            return np.where(present, array, np.nan).astype(np.float64)
        if all(hasattr(k, "year") for k in kinds):
            return to_nanoseconds(np.where(present, array, None).astype("M8[us]"), name, source)
    except (TypeError, ValueError, OverflowError):
        pass
    if kinds <= {str} or any(issubclass(k, str) for k in kinds):
        return np.array([None if v is None or v != v else str(v) for v in array.tolist()], object)
    names = ", ".join(sorted(k.__name__ for k in kinds))
    raise DataError(f"{source}, column {name!r}: expected numbers, text or dates, got values of type {names}")


def as_numbers(values: np.ndarray, name: str, source: str = "data") -> np.ndarray:
    """A column as float64 with NaN for missing; text that is no number is named with its row."""
    if is_time(values):
        raise DataError(f"{source}, column {name!r}: expected numbers, got dates")
    if not is_text(values):
        return _finite(values.astype(np.float64, copy=False), name, source)
    table = {v: _parse_number(v) for v in dict.fromkeys(values.tolist())}
    bad = {v for v, number in table.items() if number is None}
    if bad:
        index = next(i for i, v in enumerate(values.tolist()) if v in bad)
        where = as_source(source).row(index)
        raise DataError(f"{source}, {where}, column {name!r}: expected a number, got {str(values[index])!r}")
    numbers = np.fromiter(map(table.__getitem__, values.tolist()), np.float64, len(values))
    return _finite(numbers, name, source)


def _finite(numbers: np.ndarray, name: str, source: str) -> np.ndarray:
    infinite = np.isinf(numbers)
    if infinite.any():
        index = int(np.argmax(infinite))
        where = as_source(source).row(index)
        raise DataError(
            f"{source}, {where}, column {name!r}: expected a finite number, got {numbers[index]}",
            "leave the value empty if it is not known",
        )
    return numbers


def _parse_number(text: str | None) -> float | None:
    if text is None or text.strip() in MISSING_TEXT:
        return np.nan
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None
