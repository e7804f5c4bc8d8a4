"""The rows of a table of sensors, series by series in the order of time: what a detector reads."""

from dataclasses import dataclass

import numpy as np

from grus.errors import DataError
from grus.preprocess.columns import (
    Columns,
    as_numbers,
    as_source,
    cell_error,
    first_row,
    is_time,
    missing_column,
)
from grus.preprocess.frequency import stamp
from grus.preprocess.grid import group, label
from grus.preprocess.times import as_times, time_column, time_parts


@dataclass(frozen=True)
class DetectRoles:
    """What a detector reads, and under which names; the fields of the same names in ``Detect``.

    Attributes:
        columns: what is watched.
        id: names the series that a row belongs to; None where all rows are one.
        time: the time stamp; None where rows follow each other as they come.
        label: 1 in rows that are known to be anomalous, else 0; None where there is none.
    """

    columns: tuple[str, ...]
    id: str | None = None
    time: str | None = None
    label: str | None = None

    def names(self) -> tuple[str, ...]:
        """Every column named by a role."""
        named = (self.id, self.time, *self.columns, self.label)
        return tuple(dict.fromkeys(name for name in named if name is not None))


@dataclass(frozen=True)
class Records:
    """R rows of N series, those of each side by side and in the order of time.

    Attributes:
        names: of the series, as text [N]; ("",) where there is no id.
        ids: the same as they came, dtype kept [N]; None where there is no id.
        offsets: int64 [N + 1]; rows of series i are ``offsets[i]:offsets[i + 1]``.
        order: which row of the table each is, int64 [R].
        values: float64 [R, C], NaN where missing.
        stamps: nanoseconds since 1970, or whole numbers, int64 [R]; 0 each without a time column.
        dates: whether stamps are dates.
        anomalous: the labels, bool [R]; None without them.
    """

    names: tuple[str, ...]
    ids: np.ndarray | None
    offsets: np.ndarray
    order: np.ndarray
    values: np.ndarray
    stamps: np.ndarray
    dates: bool
    anomalous: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_series(self) -> int:
        """How many series."""
        return len(self.names)

    @property
    def lengths(self) -> np.ndarray:
        """Rows of each series, int64 [N]."""
        return np.diff(self.offsets)

    def rows(self, i: int) -> slice:
        """Where series i lies."""
        return slice(int(self.offsets[i]), int(self.offsets[i + 1]))

    def shown_stamps(self, which: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Stamps of some rows as they are shown: dates or whole numbers."""
        found = self.stamps[which]
        return found.view("M8[ns]") if self.dates else found


def build_records(
    columns: Columns, roles: DetectRoles, source: str = "data", *, labelled: bool = False
) -> Records:
    """Put the rows of a table in the order of series; those of each must come in the order of time.

    Args:
        columns: the table.
        roles: what its columns are.
        source: the table's name, for messages.
        labelled: read the labels, if the roles name a column of them.

    Raises:
        DataError: a column is missing or of a wrong type, a clock stands still or runs backwards, or a label is
            neither 0 nor 1.
    """
    parts = time_parts(roles.time, columns) if roles.time else ()
    wanted = (roles.id, *parts, *roles.columns, roles.label if labelled else None)
    for name in wanted:
        if name is not None and name not in columns:
            raise missing_column(name, columns, source)
    rows = len(columns[roles.columns[0]])
    if not rows:
        raise DataError(f"{source}: expected rows, got none")
    codes, found = group(columns[roles.id] if roles.id else None, rows, roles.id or "", source)
    order = np.argsort(codes, kind="stable") if np.any(codes[1:] < codes[:-1]) else np.arange(rows)
    values = np.stack([as_numbers(columns[name], name, source)[order] for name in roles.columns], 1)
    stamps, dates = np.zeros(rows, np.int64), False
    if roles.time is not None:
        times, _ = as_times(time_column(columns, roles.time, source), roles.time, source)
        stamps, dates = times.astype(np.int64)[order], is_time(times)
        _check_clock(stamps, dates, codes[order], order, roles, source)
    counts = np.bincount(codes, minlength=len(found))
    return Records(
        names=tuple(label(value) for value in found) if roles.id else ("",),
        ids=found if roles.id else None,
        offsets=np.concatenate(([0], np.cumsum(counts, dtype=np.int64))),
        order=order,
        values=values,
        stamps=stamps,
        dates=dates,
        anomalous=_labels(columns, roles.label, source)[order] if labelled and roles.label else None,
    )


def _check_clock(
    stamps: np.ndarray, dates: bool, codes: np.ndarray, order: np.ndarray, roles: DetectRoles, source: str
) -> None:
    """Raise DataError where a row of a series is not later than the one before it."""
    late = first_row((codes[1:] == codes[:-1]) & (stamps[1:] <= stamps[:-1]))
    if late >= 0:
        before, now = stamps[late : late + 2].view("M8[ns]") if dates else stamps[late : late + 2]
        row, earlier = (as_source(source).row(int(order[i])) for i in (late + 1, late))
        raise DataError(
            f"{source}, {row}, column {roles.time!r}: expected a later time than {stamp(before)!r} ({earlier}), "
            f"got {stamp(now)!r}",
            "sort the rows by time; if several series are mixed, name their column with id",
        )


def _labels(columns: Columns, name: str, source: str) -> np.ndarray:
    found = as_numbers(columns[name], name, source)
    odd = first_row(~((found == 0) | (found == 1)))
    if odd >= 0:
        got = "an empty cell" if np.isnan(found[odd]) else f"{found[odd]:g}"
        raise cell_error(source, odd, name, "0, or 1 for an anomaly", got)
    return found == 1
