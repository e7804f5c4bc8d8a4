"""From rows in any order to positions on a regular grid."""

from dataclasses import dataclass

import numpy as np

from grus.errors import DataError, UsageError
from grus.preprocess.columns import as_source, is_text, missing_mask
from grus.preprocess.frequency import Frequency, guess_frequency, stamp
from grus.preprocess.roles import Roles
from grus.preprocess.times import as_times

SPARSEST = 1000
"""A grid may have this many times the rows of its table, before a stray stamp is suspected instead."""


@dataclass(frozen=True)
class Grid:
    """Where every row of a table goes.

    Attributes:
        codes: series number of each row, int64 [rows of the table].
        place: row of the grid that each row of the table goes to, int64 [rows of the table].
        ids, id_values, starts, frequency, offsets, notes: as in ``Panel``.
    """

    ids: tuple[str, ...]
    id_values: np.ndarray
    starts: np.ndarray
    frequency: Frequency
    offsets: np.ndarray
    codes: np.ndarray
    place: np.ndarray
    notes: tuple[str, ...]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Table rows onto the grid; NaN or None where the table has no row."""
        text = is_text(values)
        out = np.full(int(self.offsets[-1]), None if text else np.nan, object if text else np.float64)
        out[self.place] = values
        return out


def group(values: np.ndarray | None, n_rows: int, name: str, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Number the series in the order they first appear.

    Returns:
        codes int64 [R], and the distinct ids as they came [N].
    """
    if values is None:
        return np.zeros(n_rows, np.int64), np.array(["series"], object)
    lost = missing_mask(values)
    if lost.any():
        where = as_source(source).row(int(np.argmax(lost)))
        raise DataError(
            f"{source}, {where}, column {name!r}: expected the name of a series, got an empty cell"
        )
    if is_text(values):
        cells = values.tolist()
        table = {v: i for i, v in enumerate(dict.fromkeys(cells))}
        codes = np.fromiter(map(table.__getitem__, cells), np.int64, len(cells))
        return codes, np.array(list(table), object)
    # Neighbours are mostly of the same series: only the rows where the id changes need sorting.
    change = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    heads, first, codes = np.unique(values[change], return_index=True, return_inverse=True)
    rank = np.empty(len(heads), np.int64)
    rank[np.argsort(first)] = np.arange(len(heads))
    runs = np.diff(np.append(change, n_rows))
    return np.repeat(rank[codes], runs), values[change[np.sort(first)]]


def lay_out(
    id_column: np.ndarray | None,
    time_column: np.ndarray | None,
    roles: Roles,
    frequency: Frequency | None,
    n_rows: int,
    source: str,
) -> Grid:
    """Group rows by series, sort them by time and find every row's place on the grid."""
    codes, id_values = group(id_column, n_rows, roles.id or "", source)
    notes: list[str] = []
    order = _order(codes, None)
    if time_column is None:
        times = rank_within(codes)
        if frequency is not None and not frequency.is_integer:
            raise UsageError(f"frequency: {frequency} needs a time column, got none")
        frequency = frequency or Frequency("step")
    else:
        times, said = as_times(time_column, roles.time or "", source)
        notes += said
    ids = tuple(label(v) for v in id_values)
    axis = _Axis(times, codes, order, ids, roles, source)
    axis = axis.sorted(notes)
    axis.refuse_repeats()
    found = axis.frequency(frequency)
    return _place(axis, found, id_values, notes)


def rank_within(codes: np.ndarray) -> np.ndarray:
    """How many earlier rows carry the same code, int64: 0, 1, 2 ... inside each series."""
    order = _order(codes, None)
    counts = np.bincount(codes)
    ranks = np.empty(len(codes), np.int64)
    ranks[order] = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ranks


def label(value: object) -> str:
    """The name of a series as text, whatever its id is."""
    return stamp(value) if isinstance(value, np.datetime64) else str(value)


def _order(codes: np.ndarray, times: np.ndarray | None) -> np.ndarray:
    """Rows by series (and time), stable; without sorting if they are in that order already."""
    if times is None:
        if np.all(codes[1:] >= codes[:-1]):
            return np.arange(len(codes))
        return np.argsort(codes, kind="stable")
    return np.lexsort((times, codes))


@dataclass(frozen=True)
class _Axis:
    """Stamps of the table's rows, with the order that sorts them by series and time."""

    times: np.ndarray
    codes: np.ndarray
    order: np.ndarray
    ids: tuple[str, ...]
    roles: Roles
    source: str

    def sorted(self, notes: list[str]) -> "_Axis":
        times, codes = self.times[self.order], self.codes[self.order]
        late = np.flatnonzero((times[1:] < times[:-1]) & (codes[1:] == codes[:-1]))
        if not len(late):
            return self
        row = as_source(self.source).row(int(self.order[late[0] + 1]))
        notes.append(f"rows were not in the order of time (first at {row}) and have been sorted")
        return _Axis(
            self.times, self.codes, _order(self.codes, self.times), self.ids, self.roles, self.source
        )

    def refuse_repeats(self) -> None:
        times, codes = self.times[self.order], self.codes[self.order]
        twice = np.flatnonzero((times[1:] == times[:-1]) & (codes[1:] == codes[:-1]))
        if not len(twice):
            return
        rows = self.order[np.stack((twice, twice + 1))]
        first, second = rows[:, np.argmin(rows.max(0))]
        origin = as_source(self.source)
        of = f" for series {self.ids[self.codes[second]]!r}" if self.roles.id else ""
        hint = (
            ""
            if self.roles.id
            else "if the table holds several series, name the column that tells them apart"
        )
        raise DataError(
            f"{self.source}, {origin.row(int(second))}, column {self.roles.time!r}: expected one row per time stamp{of}, "
            f"got {full_stamp(self.times[second])!r} twice (first in {origin.row(int(first))})",
            hint,
        )

    def frequency(self, given: Frequency | None) -> Frequency:
        dates = self.times.dtype.kind == "M"
        if given is not None:
            if given.is_integer == dates:
                got, need = ("dates", "whole numbers") if dates else ("whole numbers", "dates")
                raise DataError(
                    f"{self.source}, column {self.roles.time!r}: expected {need} for frequency '{given}', got {got}"
                )
            return given
        found = guess_frequency(self.times[self.order], offsets_of(self.codes, len(self.ids)))
        if found is None:
            raise DataError(
                f"{self.source}, column {self.roles.time!r}: expected two time stamps or more in some series, got one each",
                "name the frequency",
            )
        return found


def full_stamp(value: np.datetime64 | np.int64) -> str:
    """A stamp with its time of day, also at midnight: ``2024-01-05 00:00:00``."""
    text = stamp(value)
    return text + " 00:00:00" if isinstance(value, np.datetime64) and len(text) == 10 else text


def offsets_of(codes: np.ndarray, n_series: int) -> np.ndarray:
    """int64 [N + 1] from the series number of each row."""
    return np.concatenate(([0], np.cumsum(np.bincount(codes, minlength=n_series)))).astype(np.int64)


def _place(axis: _Axis, frequency: Frequency, id_values: np.ndarray, notes: list[str]) -> Grid:
    bounds = offsets_of(axis.codes, len(axis.ids))
    starts = axis.times[axis.order[bounds[:-1]]]
    k, exact = frequency.locate(axis.times, starts[axis.codes])
    if not exact.all():
        raise _off_grid(axis, frequency, exact, k)
    lengths = k[axis.order[bounds[1:] - 1]] + 1
    if lengths.sum() > SPARSEST * len(k) + 10**6:
        i = int(np.argmax(lengths))
        last = axis.times[axis.order[bounds[i + 1] - 1]]
        raise DataError(
            f"{axis.source}, column {axis.roles.time!r}: expected few gaps in steps of {frequency}, got {len(k):,} rows for "
            f"{lengths.sum():,} steps (series {axis.ids[i]!r} from {stamp(starts[i])!r} to {stamp(last)!r})",
            "look for a stray time stamp, or name the frequency",
        )
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    gaps = int(offsets[-1]) - len(k)
    if gaps:
        series = f" in {np.count_nonzero(lengths > np.diff(bounds)):,} series" if len(axis.ids) > 1 else ""
        notes.append(f"{missing_steps(frequency, gaps)} filled and masked{series}")
    return Grid(
        axis.ids, id_values, starts, frequency, offsets, axis.codes, offsets[axis.codes] + k, tuple(notes)
    )


def missing_steps(frequency: Frequency, n: int) -> str:
    """``165 missing hours``, ``1 missing step of 15 minutes``."""
    number, rest = frequency.count(n).split(" ", 1)
    return f"{number} missing {rest}"


def _off_grid(axis: _Axis, frequency: Frequency, exact: np.ndarray, k: np.ndarray) -> DataError:
    """Name the first row, in order of time, that is off the grid, and the row before it."""
    at = int(np.argmin(exact[axis.order]))
    row = int(axis.order[at])
    origin = as_source(axis.source)
    same = at > 0 and axis.codes[axis.order[at - 1]] == axis.codes[row]
    before = int(axis.order[at - 1]) if same else None
    what = f"{axis.source}, {origin.row(row)}, column {axis.roles.time!r}"
    got = repr(full_stamp(axis.times[row]))
    after = "" if before is None else f" after {full_stamp(axis.times[before])!r} ({origin.row(before)})"
    hint = "name the frequency, or bring the rows to even steps first"
    return DataError(f"{what}: expected steps of {frequency}, got {got}{after}", hint)
