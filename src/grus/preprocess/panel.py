"""Many series laid on one regular grid: the form in which everything after reading sees them."""

from dataclasses import dataclass, replace

import numpy as np

from grus.errors import DataError
from grus.preprocess.columns import Columns, as_column, as_numbers, as_source, is_text, is_time
from grus.preprocess.frequency import Frequency, stamp
from grus.preprocess.grid import Grid, full_stamp, group, label, lay_out, rank_within
from grus.preprocess.roles import Roles
from grus.preprocess.times import as_times


@dataclass(frozen=True)
class Panel:
    """N series on a regular grid, row after row in one array (R rows in all, gaps included).

    Attributes:
        ids: the series' names as text [N]; ("series",) where the table has no id column.
        id_values: the same as they came, dtype kept [N].
        starts: the first stamp of each series, datetime64[ns] or int64 [N].
        frequency: the step between rows.
        offsets: int64 [N + 1]; rows of series i are ``offsets[i]:offsets[i + 1]``.
        target: float64 [R], NaN where missing.
        observed: bool [R], False in a filled gap and where the target is missing.
        past, future: covariates [R]: float64 with NaN, or text (object) with None.
        static: one value per series [N], typed likewise.
        roles: the columns that these came from.
        notes: sentences for people on what was noticed and done.
    """

    ids: tuple[str, ...]
    id_values: np.ndarray
    starts: np.ndarray
    frequency: Frequency
    offsets: np.ndarray
    target: np.ndarray
    observed: np.ndarray
    past: dict[str, np.ndarray]
    future: dict[str, np.ndarray]
    static: dict[str, np.ndarray]
    roles: Roles
    notes: tuple[str, ...] = ()

    @property
    def n_series(self) -> int:
        """How many series."""
        return len(self.ids)

    @property
    def n_rows(self) -> int:
        """How many rows on the grid, all series together."""
        return int(self.offsets[-1])

    @property
    def lengths(self) -> np.ndarray:
        """Rows of each series, int64 [N]."""
        return np.diff(self.offsets)

    def length(self, i: int) -> int:
        """Rows of series i."""
        return int(self.offsets[i + 1] - self.offsets[i])

    def rows(self, i: int) -> slice:
        """Where series i lies in the row arrays."""
        return slice(int(self.offsets[i]), int(self.offsets[i + 1]))

    def times(self, i: int) -> np.ndarray:
        """Stamps of series i, datetime64[ns] or int64 [length(i)]."""
        return self.frequency.at(self.starts[i], np.arange(self.length(i)))

    def all_times(self) -> np.ndarray:
        """Stamps of every row [R]."""
        lengths = self.lengths
        k = np.arange(self.n_rows) - np.repeat(self.offsets[:-1], lengths)
        return self.frequency.at(np.repeat(self.starts, lengths), k)

    def cut(self, first: np.ndarray | int, last: np.ndarray | int) -> "Panel":
        """Rows ``first:last`` of every series, by position; both scalar or [N]; clipped to the series."""
        lengths = self.lengths
        lo = np.clip(np.broadcast_to(np.asarray(first, np.int64), lengths.shape), 0, lengths)
        hi = np.clip(np.broadcast_to(np.asarray(last, np.int64), lengths.shape), lo, lengths)
        offsets = np.concatenate(([0], np.cumsum(hi - lo)))
        keep = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1] + lo - offsets[:-1], hi - lo)
        return replace(
            self,
            starts=self.frequency.at(self.starts, lo),
            offsets=offsets,
            target=self.target[keep],
            observed=self.observed[keep],
            past={name: values[keep] for name, values in self.past.items()},
            future={name: values[keep] for name, values in self.future.items()},
        )

    def last(self, n: int) -> "Panel":
        """The last n rows of every series (all of a shorter one)."""
        return self.cut(self.lengths - n, self.lengths)

    def between(self, first: np.datetime64 | str | int, last: np.datetime64 | str | int) -> "Panel":
        """Rows with ``first <= stamp < last``."""
        lo, hi = (
            (value if self.frequency.is_integer else np.datetime64(value, "ns")) for value in (first, last)
        )
        times = self.all_times()
        before = np.add.reduceat(np.append(times < lo, False), self.offsets[:-1]) * (self.lengths > 0)
        inside = np.add.reduceat(np.append(times < hi, False), self.offsets[:-1]) * (self.lengths > 0)
        return self.cut(before, inside)

    def select(self, which: np.ndarray) -> "Panel":
        """Some of the series, by number, in the order given."""
        which = np.arange(self.n_series)[which]
        lengths = self.lengths[which]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        keep = np.arange(offsets[-1]) + np.repeat(self.offsets[which] - offsets[:-1], lengths)
        return replace(
            self,
            ids=tuple(self.ids[i] for i in which),
            id_values=self.id_values[which],
            starts=self.starts[which],
            offsets=offsets,
            target=self.target[keep],
            observed=self.observed[keep],
            past={name: values[keep] for name, values in self.past.items()},
            future={name: values[keep] for name, values in self.future.items()},
            static={name: values[which] for name, values in self.static.items()},
        )

    def describe(self) -> str:
        """One line: ``1 series, 17,544 hours from 2011-01-01 to 2012-12-31 23:00:00, 165 without a value``."""
        lengths = self.lengths
        if not self.n_rows:
            return f"{self.n_series:,} series without rows"
        full = np.flatnonzero(lengths)
        first = self.starts[full].min()
        last = self.frequency.at(self.starts[full], lengths[full] - 1).max()
        span = (
            self.frequency.count(int(lengths[0]))
            if self.n_series == 1
            else f"{lengths.min():,} to {self.frequency.count(int(lengths.max()))} each, {self.n_rows:,} rows"
        )
        lost = int(self.n_rows - np.count_nonzero(self.observed))
        return (
            f"{self.n_series:,} series, {span} from {stamp(first)} to {stamp(last)}, {lost:,} without a value"
        )


def build_panel(
    columns: Columns, roles: Roles, frequency: Frequency | None = None, source: str = "data"
) -> Panel:
    """Lay a table out as series on a regular grid; gaps become masked rows, never closed.

    Args:
        columns: name -> 1-D array of one length, rows in any order.
        roles: which column plays which part.
        frequency: the step between rows; inferred if None.
        source: the table's name (and row numbering, if a ``Source``) for messages.

    Raises:
        DataError: a column is missing or of the wrong kind, a stamp comes twice, is missing or lies off the grid,
            a static value changes, the target has no value at all.
    """
    table = _table(columns, roles, source)
    grid = lay_out(
        None if roles.id is None else table[roles.id],
        None if roles.time is None else table[roles.time],
        roles,
        frequency,
        n_rows=len(table[roles.target]),
        source=source,
    )
    target = as_numbers(table[roles.target], roles.target, source)
    if len(target) and np.isnan(target).all():
        raise DataError(f"{source}, column {roles.target!r}: expected numbers, got only empty cells")
    laid = grid.spread(target)
    static = {name: _static(table[name], grid, name, roles, source) for name in roles.static}
    missing = int(np.isnan(target).sum())
    notes = list(grid.notes)
    if missing:
        notes.append(f"column {roles.target!r}: {missing:,} missing value{'s' * (missing > 1)} masked")
    return Panel(
        ids=grid.ids,
        id_values=grid.id_values,
        starts=grid.starts,
        frequency=grid.frequency,
        offsets=grid.offsets,
        target=laid,
        observed=~np.isnan(laid),
        past={name: grid.spread(_covariate(table[name], name, source)) for name in roles.past},
        future={name: grid.spread(_covariate(table[name], name, source)) for name in roles.future},
        static=static,
        roles=roles,
        notes=(*as_source(source).notes, *notes),
    )


def _table(columns: Columns, roles: Roles, source: str) -> Columns:
    """The columns that the roles name, typed, all there and of one length."""
    for name in roles.names():
        if name not in columns:
            raise missing_column(name, columns, source)
    table = {name: as_column(columns[name], name, source) for name in roles.names()}
    n = len(table[roles.target])
    for name, values in table.items():
        if len(values) != n:
            raise DataError(
                f"{source}, column {name!r}: expected {n:,} rows as in {roles.target!r}, got {len(values):,}"
            )
    if not n:
        raise DataError(f"{source}: expected rows, got a table without any")
    return table


def missing_column(name: str, columns: Columns, source: str) -> DataError:
    """The error for a column that is not there, naming those that are and hinting at the closest."""
    import difflib

    close = difflib.get_close_matches(name, columns, n=1, cutoff=0.5)
    there = ", ".join(repr(c) for c in columns)
    return DataError(
        f"{source}: no column {name!r}; the columns are {there}",
        f"did you mean {close[0]!r}?" if close else "",
    )


def _covariate(values: np.ndarray, name: str, source: str) -> np.ndarray:
    """float64 with NaN, or text with None; dates are refused."""
    if is_time(values):
        raise DataError(f"{source}, column {name!r}: expected numbers or text for a covariate, got dates")
    if not is_text(values):
        return as_numbers(values, name, source)
    return values


def _static(values: np.ndarray, grid: Grid, name: str, roles: Roles, source: str) -> np.ndarray:
    """The one value of each series [N]; two different ones are an error."""
    values = _covariate(values, name, source)
    lost = (
        np.isnan(values) if values.dtype.kind == "f" else np.array([v is None for v in values.tolist()], bool)
    )
    present = np.flatnonzero(~lost)
    empty = None if is_text(values) else np.nan
    found = np.full(len(grid.ids), empty, object if is_text(values) else np.float64)
    first = np.full(len(grid.ids), len(values), np.int64)
    np.minimum.at(first, grid.codes[present], present)
    known = first < len(values)
    found[known] = values[first[known]]
    differs = present[values[present] != found[grid.codes[present]]]
    if len(differs):
        row = int(differs[0])
        series = int(grid.codes[row])
        raise DataError(
            f"{source}, {as_source(source).row(row)}, column {name!r}: expected one value for the whole of series "
            f"{grid.ids[series]!r}, got {str(values[row])!r} after {str(found[series])!r}",
            "a value that changes belongs under past or future",
        )
    return found


def extend(panel: Panel, horizon: int, future: Columns | None = None, source: str = "future") -> Panel:
    """Append ``horizon`` rows to every series, their future covariates taken from ``future``.

    Args:
        panel: history, N series.
        horizon: steps to append, at least 1.
        future: rows holding the id, time and future covariate columns; rows beyond those needed are ignored.
        source: the name of ``future`` for messages.

    Returns:
        the panel with target NaN, past NaN or None and observed False in the new rows.
    Raises:
        DataError: a needed covariate, series or stamp is missing from ``future``.
    """
    lengths = panel.lengths
    offsets = panel.offsets + horizon * np.arange(panel.n_series + 1)
    old = np.arange(panel.n_rows) + np.repeat(horizon * np.arange(panel.n_series), lengths)
    new = ((offsets[1:] - horizon)[:, None] + np.arange(horizon)).reshape(-1)
    filled = _future_rows(panel, horizon, future, source)

    def grow(values: np.ndarray, tail: np.ndarray | float | bool | None) -> np.ndarray:
        out = np.empty(int(offsets[-1]), values.dtype)
        out[old] = values
        out[new] = tail
        return out

    return replace(
        panel,
        offsets=offsets,
        target=grow(panel.target, np.nan),
        observed=grow(panel.observed, False),
        past={name: grow(v, None if is_text(v) else np.nan) for name, v in panel.past.items()},
        future={name: grow(v, filled[name]) for name, v in panel.future.items()},
    )


def _future_rows(panel: Panel, horizon: int, future: Columns | None, source: str) -> dict[str, np.ndarray]:
    """Future covariates of the appended rows, [N * horizon] each."""
    if not panel.future:
        return {}
    names = tuple(panel.future)
    first = panel.frequency.at(panel.starts, panel.lengths)
    if future is None:
        needed = ", ".join(repr(name) for name in names)
        raise DataError(
            f"{source}: expected {panel.frequency.count(horizon)} of {needed} after the last row of each series, got none",
            f"give the rows from {stamp(first.min())} on, with the columns that are known in advance",
        )
    row, step = _match(panel, horizon, future, source)
    have = np.zeros((panel.n_series, horizon), bool)
    have[row[0], step] = True
    if not have.all():
        i, j = (int(v) for v in np.argwhere(~have)[0])
        lacking = panel.frequency.at(first[i], np.flatnonzero(~have[i]))
        span = repr(full_stamp(lacking[0])) + (f" to {full_stamp(lacking[-1])!r}" if len(lacking) > 1 else "")
        raise DataError(
            f"{source}, column {names[0]!r}: expected {panel.frequency.count(horizon)} from {full_stamp(first[i])!r} on for "
            f"series {panel.ids[i]!r}, got no row for {len(lacking):,} of them ({span})"
        )
    place = row[0] * horizon + step
    filled = {}
    for name, values in panel.future.items():
        given = _covariate(as_column(future[name], name, source), name, source)
        if is_text(values) and not is_text(given):
            given = np.array([None if v != v else f"{v:g}" for v in given.tolist()], object)
        elif is_text(given) and not is_text(values):
            given = as_numbers(given, name, source)
        out = np.full(panel.n_series * horizon, None if is_text(values) else np.nan, values.dtype)
        out[place] = given[row[1]]
        filled[name] = out
    return filled


def _match(
    panel: Panel, horizon: int, future: Columns, source: str
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Rows of ``future`` that are needed: (their series, their row number), and their step after the last row."""
    roles = panel.roles
    for name in (roles.id, roles.time, *panel.future):
        if name is not None and name not in future:
            raise missing_column(name, future, source)
    n_rows = len(next(iter(future.values())))
    ids = None if roles.id is None else as_column(future[roles.id], roles.id, source)
    codes, values = group(ids, n_rows, roles.id or "", source)
    numbers = {name: i for i, name in enumerate(panel.ids)}
    series = np.array([numbers.get(label(v), -1) for v in values], np.int64)[codes]
    rows = np.flatnonzero(series >= 0)
    series = series[rows]
    if roles.time is None:
        step = rank_within(series)
        wanted = step < horizon
    else:
        times, _ = as_times(as_column(future[roles.time], roles.time, source), roles.time, source)
        if (times.dtype.kind == "M") == panel.frequency.is_integer:
            need = "whole numbers" if panel.frequency.is_integer else "dates"
            raise DataError(f"{source}, column {roles.time!r}: expected {need} as in the history")
        k, exact = panel.frequency.locate(times[rows], panel.starts[series])
        step = k - panel.lengths[series]
        wanted = exact & (step >= 0) & (step < horizon)
    return (series[wanted], rows[wanted]), step[wanted]
