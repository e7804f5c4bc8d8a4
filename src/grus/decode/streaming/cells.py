"""Cells of live rows as numbers, codes and stamps, each row by itself: no row can change how another is read."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from grus.decode.rows import to_columns
from grus.errors import DataError
from grus.preprocess.axis import label
from grus.preprocess.categories import spell
from grus.preprocess.columns import (
    Columns,
    as_column,
    as_source,
    cell_error,
    is_missing_cell,
    missing_column,
    parse_number,
)
from grus.preprocess.frequency import Frequency
from grus.preprocess.times import as_times, time_column, time_parts

Cells = Mapping[str, Sequence[Any] | np.ndarray]
"""Rows by column; every column as long as the others."""

_ISO = re.compile(r"(?:1[789]|2[01])\d\d-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?", re.ASCII)
_PLAIN = {float, int, type(None)}
#: Stamps remembered by their text: of many keyed streams, most rows bear one of a few.
_REMEMBERED = 1 << 14


class Faults(dict[int, DataError]):
    """What is wrong with some rows, by their number: the first fault of each."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source

    def add(self, row: int, column: str, must: str, got: object) -> None:
        """Note a fault, unless the row has one."""
        self.setdefault(row, cell_error(self.source, row, column, must, got))


def numbers(cells: Cells, name: str, faults: Faults) -> np.ndarray:
    """A column as float64, NaN where it is missing or at fault."""
    values = column(cells, name, faults.source)
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
        out = values.astype(np.float64)
    else:
        plain = values.tolist() if isinstance(values, np.ndarray) else values
        out = _plain(plain)
        if out is None:
            out = np.array([_number(value, row, name, faults) for row, value in enumerate(plain)], np.float64)
    for row in np.flatnonzero(np.isinf(out)).tolist():
        faults.add(row, name, "a finite number", str(out[row]))
        out[row] = np.nan
    return out


def _plain(values: Sequence[Any]) -> np.ndarray | None:
    """Cells that are all numbers, or all text that reads as such; None for any other."""
    kinds = set(map(type, values))
    try:
        if kinds <= _PLAIN:
            return np.array(values, np.float64)
        if kinds == {str} and "_" not in "".join(values):
            return np.array([float(word) for word in values])
    except (ValueError, OverflowError):
        pass
    return None


def _number(value: Any, row: int, name: str, faults: Faults) -> float:
    if isinstance(value, str):
        found = parse_number(value)
    elif value is None or isinstance(value, bool):
        found = np.nan if value is None else float(value)
    else:
        found = None
        if hasattr(value, "__float__"):
            found = np.inf if abs(value) >= 1 << 1023 else float(value)
    if found is None:
        faults.add(row, name, "a number", _shown(value))
        return np.nan
    return found


def codes(cells: Cells, name: str, table: Mapping[str, int], source: str) -> np.ndarray:
    """A column as numbers of known categories, int64: 0 for a missing or unknown one."""
    values = column(cells, name, source)
    plain = values.tolist() if isinstance(values, np.ndarray) else values
    return np.array([_code(value, table) for value in plain], np.int64)


def _code(value: Any, table: Mapping[str, int]) -> int:
    if isinstance(value, str):
        found = table.get(value)
        if found is not None:
            return found
        number = parse_number(value)
        value = value if number is None else number  # 1.0 in a CSV is the 1 of training
    spelled = spell(value)
    return 0 if spelled is None else table.get(spelled, 0)


def names(cells: Cells, name: str, faults: Faults) -> list[str]:
    """A column of keys as text."""
    values = column(cells, name, faults.source)
    plain = values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind != "M" else list(values)
    if set(map(type, plain)) == {str} and "" not in plain and not any(map(is_missing_cell, set(plain))):
        return plain
    out = []
    for row, value in enumerate(plain):
        if isinstance(value, np.integer | np.floating):
            value = value.item()
        if not isinstance(value, str | int | float | np.datetime64 | None) or is_missing_cell(value):
            faults.add(row, name, "the name of a series", "an empty cell" if value is None else _shown(value))
            value = ""
        out.append(label(value))
    return out


@lru_cache(1 << 15)
def digest_name(name: str) -> int:
    """62 bits that tell the names of streams apart, above 0."""
    return (
        int.from_bytes(hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest()) >> 2 or 1
    )


class Clock:
    """Reads the stamps of a model's rows.

    Args:
        name: the time column; several joined by ``+`` are one.
        frequency: of the model; None: dates and whole numbers are both well.
    """

    def __init__(self, name: str, frequency: Frequency | None) -> None:
        self.name, self.frequency = name, frequency
        #: Whether stamps are dates; where there is no frequency to say so, the first row does.
        self.dates: bool | None = None if frequency is None else not frequency.is_integer
        self._known: dict[Any, int] = {}

    def read(self, cells: Cells, faults: Faults) -> np.ndarray:
        """Stamps int64 [R]: nanoseconds since 1970, or whole numbers; 0 where a row is at fault."""
        parts = time_parts(self.name, cells)  # type: ignore[arg-type]
        found = [column(cells, part, faults.source) for part in parts]
        if len(found) == 1:
            (values,) = found
            if isinstance(values, np.ndarray) and values.dtype.kind == "M":
                return self._dates(values, faults)
            plain = values.tolist() if isinstance(values, np.ndarray) else values
        else:
            plain = list(zip(*(v.tolist() if isinstance(v, np.ndarray) else v for v in found)))
        known = self._known
        try:
            return np.array([known[value] for value in plain], np.int64)
        except (KeyError, TypeError):
            return np.array(
                [self._one(value, parts, row, faults) for row, value in enumerate(plain)], np.int64
            )

    def value(self, stamp: int) -> np.datetime64 | int:
        """A stamp as a date, or as the whole number that it is."""
        return np.datetime64(stamp, "ns") if self.dates else stamp

    def _dates(self, values: np.ndarray, faults: Faults) -> np.ndarray:
        out = as_column(values, self.name, faults.source)
        for row in np.flatnonzero(np.isnat(out)).tolist():
            faults.add(row, self.name, "a time stamp", "an empty cell")
        if self.dates is False:
            for row in range(len(out)):
                faults.add(row, self.name, "a whole number", "a date")
        self.dates = True if self.dates is None else self.dates
        return np.where(np.isnat(out), np.datetime64(0, "ns"), out).astype(np.int64)

    def _one(self, value: Any, parts: tuple[str, ...], row: int, faults: Faults) -> int:
        try:
            remembered = self._known.get(value)  # one look: another thread may clear them all
        except TypeError:
            faults.add(row, self.name, "a time stamp", _shown(value))
            return 0
        if remembered is not None:
            return remembered
        try:
            found = self._parse(value, parts, faults.source)
        except DataError as error:
            # The sentence speaks of a table of one row; what counts is what it expected of which cell.
            what = str(error).rpartition(": expected ")[2]
            where = f"{faults.source}, {as_source(faults.source).row(row)}, column {self.name!r}"
            faults.setdefault(row, DataError(f"{where}: expected {what}", error.hint))
            return 0
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[value] = found
        return found

    def _parse(self, value: Any, parts: tuple[str, ...], source: str) -> int:
        if self.dates and isinstance(value, str) and _ISO.fullmatch(value):
            try:
                return int(np.datetime64(value, "ns").astype(np.int64))
            except ValueError:  # a 31st of April: said below
                pass
        cells = value if len(parts) > 1 else (value,)
        if any(cell is None for cell in cells):
            raise DataError(f"{source}: expected a time stamp, got an empty cell")
        one: Columns = {
            part: as_column([cell], part, source) for part, cell in zip(parts, cells, strict=True)
        }
        times, _ = as_times(time_column(one, self.name, source), self.name, source)
        dates = times.dtype.kind == "M"
        if self.dates not in (None, dates):
            must, got = ("a date", "a whole number") if self.dates else ("a whole number", "a date")
            raise DataError(f"{source}: expected {must}, got {got}")
        self.dates = dates
        return int(times[0].astype(np.int64))


def column(cells: Cells, name: str, source: str) -> Sequence[Any] | np.ndarray:
    """One column, or the error that names those there are."""
    if name not in cells:
        raise missing_column(name, cells, source)
    return cells[name]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def to_cells(rows: Any, source: str = "rows") -> Cells:
    """Rows as a user has them, by column, each cell as it came.

    Args:
        rows: one record (a mapping of single values), a list of records, columns, or a data frame; see `to_columns`.
        source: what to call it in messages.

    Raises:
        UsageError: anything else. DataError: records that do not agree on their fields.
    """
    if isinstance(rows, Mapping):
        if not any(isinstance(v, Sequence | np.ndarray) and not isinstance(v, str) for v in rows.values()):
            return {str(name): [value] for name, value in rows.items()}
    elif _agree(rows):
        return {str(name): [row[name] for row in rows] for name in rows[0]}
    return to_columns(rows, source)  # type: ignore[return-value]


def _agree(rows: Any) -> bool:
    """Whether these are records of the same fields."""
    return (
        isinstance(rows, Sequence)
        and len(rows) > 0
        and all(isinstance(row, Mapping) for row in rows)
        and all(row.keys() == rows[0].keys() for row in rows)
    )
