"""Columns of a table as NumPy arrays, and where they came from."""

from collections.abc import Callable, Iterable

import numpy as np

from grus.errors import DataError
from grus.preprocess.storage import chunks, distinct, empty, on_disk, take

Columns = dict[str, np.ndarray]
"""Column name -> 1-D array, all of one length: float64, int64, bool, datetime64[ns], or text (object holding
``str`` or ``None``; fixed-width ``U`` with "" for missing where a column lies on disk)."""

MISSING_TEXT = frozenset(
    ("", "NA", "N/A", "n/a", "#N/A", "#NA", "NaN", "nan", "-nan", "null", "NULL", "None", "NaT", "<NA>")
)


class Source(str):
    """The name of a table for messages, with how its rows are numbered and what was noticed on reading it.

    A plain ``str`` does where only a name is known; rows are then counted from 0, as in a frame.
    """

    __slots__ = ("locate", "notes", "padded")

    def __new__(
        cls,
        name: str,
        locate: Callable[[int], str] | None = None,
        notes: Iterable[str] = (),
        padded: "Callable[[str], np.ndarray | None] | None" = None,
    ) -> "Source":
        """Name a table.

        ``locate`` turns the position of a record (from 0) into words such as ``row 2``; ``padded`` reads a column of
        whole numbers again as text, if any of them is written with zeros in front (``007``).
        """
        self = super().__new__(cls, name)
        self.locate = locate
        self.notes = tuple(notes)
        self.padded = padded
        return self

    def noting(self, *notes: str) -> "Source":
        """The same source, with more that was noticed."""
        return Source(self, self.locate, (*self.notes, *notes), self.padded)

    def row(self, index: int) -> str:
        """``row 18`` for a file (its header is row 1), ``row 16 (counting from 0)`` for anything else."""
        return f"row {index} (counting from 0)" if self.locate is None else self.locate(index)


def as_source(source: str) -> Source:
    """The source itself, or a plain name made into one."""
    return source if isinstance(source, Source) else Source(source)


def cell_error(source: str, index: int, column: str, must: str, got: object, hint: str = "") -> DataError:
    """``sales.csv, row 18, column 'qty': expected a number, got 'n/a-ish'``."""
    where = as_source(source).row(index)
    return DataError(f"{source}, {where}, column {column!r}: expected {must}, got {got}", hint)


def missing_column(name: str, columns: Iterable[str], source: str) -> DataError:
    """The error for a column that is not there, naming those that are and hinting at the closest."""
    import difflib

    there = list(columns)
    close = difflib.get_close_matches(name, there, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else ""
    return DataError(f"{source}: no column {name!r}; the columns are {listed(there)}", hint)


def listed(names: Iterable[str], most: int = 20) -> str:
    """``'ds', 'y'``: names in quotes; of very many only the first are spelled out."""
    quoted = [repr(name) for name in names]
    more = f" and {len(quoted) - most:,} more" if len(quoted) > most else ""
    return ", ".join(quoted[:most]) + more


def is_text(values: np.ndarray) -> bool:
    """Whether a column holds text (object or fixed-width unicode)."""
    return values.dtype.kind in "OU"


def is_time(values: np.ndarray) -> bool:
    """Whether a column holds dates."""
    return values.dtype.kind == "M"


def is_missing_text(word: object) -> bool:
    """Whether a cell of text stands for a missing value."""
    return word is None or (isinstance(word, str) and word.strip() in MISSING_TEXT)


def is_missing_cell(value: object) -> bool:
    """Whether one value of a column of any type is missing."""
    return is_missing_text(value) or bool(value != value)  # NaN and NaT differ from themselves


def same_rows(columns: Columns, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Which of the rows ``a`` hold in every column what the rows ``b`` hold, missing cells included: bool [D]."""
    same = np.ones(len(a), bool)
    for values in columns.values():
        left, right = np.asarray(values)[a], np.asarray(values)[b]
        same &= ((left == right) | ((left != left) & (right != right))).astype(
            bool
        )  # NaN and NaT are not themselves
    return same


def first_row(mask: np.ndarray) -> int:
    """The first True, or -1."""
    return int(np.argmax(mask)) if mask.any() else -1


def as_column(values: object, name: str, source: str = "data") -> np.ndarray:
    """Bring one array (or list) into a type that ``Columns`` allows, or raise ``DataError``."""
    array = values if isinstance(values, np.ndarray) else np.asarray(values)
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
    raise DataError(f"{source}, column {name!r}: expected numbers, text or dates, got type {array.dtype}")


def to_nanoseconds(values: np.ndarray, name: str, source: str = "data") -> np.ndarray:
    """datetime64 of any unit as datetime64[ns]; years it cannot hold (before 1678, after 2261) are refused."""
    if values.dtype == np.dtype("M8[ns]"):
        return values
    years = values.astype("M8[Y]").astype(np.int64) + 1970
    bad = first_row(~np.isnat(values) & ((years < 1678) | (years > 2261)))
    if bad >= 0:
        got = str(values[bad]).replace("T", " ")
        raise cell_error(source, bad, name, "a date from 1678 to 2261", repr(got))
    return values.astype("M8[ns]")


def _from_objects(array: np.ndarray, name: str, source: str) -> np.ndarray:
    """Objects as text, numbers or dates, by what all the values that are present are."""
    cells = array.tolist()
    kinds = {type(v) for v in cells} - {type(None)}
    if kinds == {str}:
        return array
    present = np.array([v is not None for v in cells], bool)
    if kinds and all(issubclass(k, bool | np.bool_) for k in kinds) and present.all():
        return array.astype(bool)
    try:
        if kinds and all(issubclass(k, int | np.integer) for k in kinds) and present.all():
            return array.astype(np.int64)
        if all(hasattr(k, "__float__") for k in kinds):
            return np.array([np.nan if v is None else float(v) for v in cells])
        if all(hasattr(k, "year") or issubclass(k, np.datetime64) for k in kinds):
            return to_nanoseconds(np.array(cells, "M8[us]"), name, source)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{source}, column {name!r}: expected numbers, text or dates ({error})") from error
    if str in kinds and all(k is str or hasattr(k, "__float__") for k in kinds):
        # Numbers among text, and NaN among text, as pandas gives them.
        texts = [None if v is None or v != v else v if isinstance(v, str) else f"{v!s}" for v in cells]
        return np.array(texts, object)
    names = ", ".join(sorted(k.__name__ for k in kinds))
    raise DataError(f"{source}, column {name!r}: expected numbers, text or dates, got values of type {names}")


def as_numbers(values: np.ndarray, name: str, source: str = "data") -> np.ndarray:
    """A column as finite float64 with NaN for missing; the first cell that is no number is named with its row."""
    if is_time(values):
        raise DataError(f"{source}, column {name!r}: expected numbers, got dates")
    if is_text(values):
        words, codes = distinct(values)
        parsed = [parse_number(word) for word in words]
        if None in parsed:
            row = int(np.argmax(np.isin(codes, [i for i, number in enumerate(parsed) if number is None])))
            raise cell_error(source, row, name, "a number", repr(str(values[row])))
        numbers = take(np.array(parsed, np.float64), codes)
    elif values.dtype == np.float64:
        numbers = values
    else:
        numbers = empty(len(values), np.float64, on_disk(values))
        for piece in chunks(len(values)):
            numbers[piece] = values[piece]
    for piece in chunks(len(numbers)):
        bad = first_row(np.isinf(numbers[piece]))
        if bad >= 0:
            row = piece.start + bad
            hint = "leave the cell empty if its value is not known"
            raise cell_error(source, row, name, "a finite number", str(numbers[row]), hint)
    return numbers


def parse_number(word: str | None) -> float | None:
    """A cell of text as a number: NaN if it is missing, None if it is no number."""
    if word is None or is_missing_text(word):
        return float("nan")
    try:
        return float(word) if "_" not in word else None
    except ValueError:
        return None


def as_covariate(values: np.ndarray, name: str, source: str = "data") -> np.ndarray:
    """float64 with NaN, or text; dates, and text that is nearly all numbers, are refused."""
    if is_time(values):
        raise DataError(f"{source}, column {name!r}: expected numbers or text for a covariate, got dates")
    if not is_text(values):
        return as_numbers(values, name, source)
    words = [word for word in distinct(values)[0] if not is_missing_text(word)]
    numbers = sum(parse_number(word) is not None for word in words)
    # A few stray words among many different numbers are a spoilt number column, not a category: name them.
    if 20 < 0.9 * len(words) <= numbers < len(words):
        return as_numbers(values, name, source)
    return values
