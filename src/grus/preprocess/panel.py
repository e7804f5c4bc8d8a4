"""Many series laid on one regular grid: the form in which everything after reading sees them."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from grus.errors import DataError
from grus.preprocess.axis import label
from grus.preprocess.categories import spell
from grus.preprocess.columns import (
    Columns,
    as_column,
    as_covariate,
    as_numbers,
    as_source,
    cell_error,
    is_missing_text,
    is_text,
    missing_column,
    same_rows,
)
from grus.preprocess.frequency import Frequency, full_stamp, stamp
from grus.preprocess.grid import group, lay_out, rank_within
from grus.preprocess.oddities import stand_ins
from grus.preprocess.roles import Roles
from grus.preprocess.storage import chunks, distinct, empty, on_disk, take_runs
from grus.preprocess.table import as_ids, static_values, typed_columns
from grus.preprocess.times import as_times, time_column, time_parts
from grus.preprocess.uneven import lay_rows


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
        past, future: covariates [R]: float64 with NaN, or text with None (``U`` with "" on disk).
        static: one value per series [N], typed likewise.
        roles: the columns that these came from.
        notes: sentences for people on what was noticed and done.
        stamps: of rows that follow each other at uneven times, when each was, datetime64[ns] or int64 [R]; ``starts``
            and ``frequency`` then count rows. None where rows lie on the grid.
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
    stamps: np.ndarray | None = None

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

    def when(self, series: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Stamps of rows by their series and their place in it: on the grid, or as they came."""
        if self.stamps is None:
            return self.frequency.at(self.starts[series], place)
        return self.stamps[self.offsets[series] + place]

    def all_times(self) -> np.ndarray:
        """Stamps of every row [R]."""
        out = empty(self.n_rows, self.starts.dtype, on_disk(self.target))
        for piece in chunks(self.n_rows):
            row = np.arange(piece.start, piece.stop)
            series = np.searchsorted(self.offsets, row, side="right") - 1
            out[piece] = self.frequency.at(self.starts[series], row - self.offsets[series])
        return out

    def cut(self, first: np.ndarray | int, last: np.ndarray | int) -> "Panel":
        """Rows ``first:last`` of every series, by position; both scalar or [N]; clipped to the series.

        Arrays are shared with this panel where the rows kept adjoin, as they do in a single series.
        """
        lengths = self.lengths
        lo = np.clip(np.broadcast_to(np.asarray(first, np.int64), lengths.shape), 0, lengths)
        hi = np.clip(np.broadcast_to(np.asarray(last, np.int64), lengths.shape), lo, lengths)
        return replace(self._runs(self.offsets[:-1] + lo, hi - lo), starts=self.frequency.at(self.starts, lo))

    def last(self, n: int) -> "Panel":
        """The last n rows of every series (all of a shorter one)."""
        return self.cut(self.lengths - n, self.lengths)

    def between(self, first: np.datetime64 | str | int, last: np.datetime64 | str | int) -> "Panel":
        """Rows with ``first <= stamp < last``."""
        return self.cut(self._ceil(first), self._ceil(last))

    def _ceil(self, when: np.datetime64 | str | int) -> np.ndarray:
        """Position of the first row at or after a stamp, in each series."""
        value = int(when) if self.frequency.is_integer else np.asarray(when, "M8[ns]")
        k = self.frequency.locate(value, self.starts)[0]
        return k + (self.frequency.at(self.starts, k) < value)

    def select(self, which: np.ndarray) -> "Panel":
        """Some of the series, by number (or a boolean [N]), in the order given."""
        which = np.arange(self.n_series)[which]
        return replace(
            self._runs(self.offsets[which], self.lengths[which]),
            ids=tuple(self.ids[i] for i in which),
            id_values=self.id_values[which],
            starts=self.starts[which],
            static={name: values[which] for name, values in self.static.items()},
        )

    def _runs(self, first: np.ndarray, lengths: np.ndarray) -> "Panel":
        return replace(
            self,
            offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
            target=take_runs(self.target, first, lengths),
            observed=take_runs(self.observed, first, lengths),
            past={name: take_runs(values, first, lengths) for name, values in self.past.items()},
            future={name: take_runs(values, first, lengths) for name, values in self.future.items()},
            stamps=None if self.stamps is None else take_runs(self.stamps, first, lengths),
        )

    def describe(self) -> str:
        """One line: ``1 series, 17,544 hours from 2011-01-01 to 2012-12-31 23:00:00, 165 unobserved``."""
        lengths = self.lengths
        if not self.n_rows:
            return f"{self.n_series:,} series without rows"
        full = np.flatnonzero(lengths)
        first = self.starts[full].min()
        last = self.frequency.at(self.starts[full], lengths[full] - 1).max()
        span = self.frequency.count(int(lengths.max()))
        if self.stamps is not None:
            first, last = self.stamps.min(), self.stamps.max()
        if self.n_series > 1:
            shortest = f"{lengths.min():,} to " if lengths.min() < lengths.max() else ""
            span = f"{shortest}{span} each, {self.n_rows:,} rows"
        lost = self.n_rows - int(np.count_nonzero(self.observed))
        return f"{self.n_series:,} series, {span} from {stamp(first)} to {stamp(last)}, {lost:,} unobserved"


def build_panel(
    columns: Columns,
    roles: Roles,
    frequency: Frequency | None = None,
    source: str = "data",
    uneven: bool = False,
) -> Panel:
    """Lay a table out as series on a regular grid; gaps become masked rows, never closed.

    Args:
        columns: name -> 1-D array of one length, rows in any order; results lie on disk if any of these does.
        roles: which column plays which part; ``time`` may join columns (``date+hour``).
        frequency: the step between rows; inferred if None.
        source: the table's name (and row numbering, if a ``Source``) for messages.
        uneven: take rows for steps, however far apart in time; there must be a time column then.

    Raises:
        DataError: a column is missing or of the wrong kind, a stamp comes twice, is missing or lies off the
            grid, a static value changes, the target has no value at all.
    """
    table = typed_columns(columns, roles, source)
    target = as_numbers(table[roles.target], roles.target, source)
    lost = sum(int(np.isnan(target[piece]).sum()) for piece in chunks(len(target)))
    if lost == len(target):
        raise DataError(f"{source}, column {roles.target!r}: expected numbers, got only empty cells")
    covariates = {name: as_covariate(table[name], name, source) for name in (*roles.past, *roles.future)}
    ids = None if roles.id is None else table[roles.id]
    times = None if roles.time is None else table[roles.time]
    numeric = {roles.target: target, **{n: v for n, v in covariates.items() if not is_text(v)}}
    odd = [note for name, values in numeric.items() for note in stand_ins(values, name, source)]
    alike = partial(same_rows, columns)
    if uneven and times is not None:
        grid, stamps = lay_rows(ids, times, roles.id, roles.time or "", source, alike)
    else:
        grid, stamps = lay_out(ids, times, roles.id, roles.time, frequency, len(target), source, alike), None
    laid = grid.spread(target)
    observed = empty(len(laid), np.bool_, on_disk(laid))
    for piece in chunks(len(laid)):
        observed[piece] = ~np.isnan(laid[piece])
    lost = len(laid) - grid.filled - int(np.count_nonzero(observed))
    values = f"{lost:,} missing value{'s' * (lost > 1)}"
    masked = (f"column {roles.target!r}: {values} masked",) if lost else ()
    return Panel(
        ids=grid.ids,
        id_values=grid.id_values,
        starts=grid.starts,
        frequency=grid.frequency,
        offsets=grid.offsets,
        target=laid,
        observed=observed,
        past={name: grid.spread(covariates[name]) for name in roles.past},
        future={name: grid.spread(covariates[name]) for name in roles.future},
        static={name: static_values(table[name], grid, name, source) for name in roles.static},
        roles=roles,
        notes=(*as_source(source).notes, *grid.notes, *masked, *odd),
        stamps=stamps,
    )


def extend(panel: Panel, horizon: int, future: Columns | None = None, source: str = "future") -> Panel:
    """Append ``horizon`` rows to every series, their future covariates taken from ``future``.

    Args:
        panel: history, N series.
        horizon: steps to append, at least 1.
        future: rows holding the id, time and future covariate columns; rows not needed are passed over.
        source: the name of ``future`` for messages.

    Returns:
        the panel with target NaN, past NaN or None and observed False in the new rows.
    Raises:
        DataError: a needed covariate, series or stamp is missing from ``future``.
    """
    steps = horizon * np.arange(panel.n_series + 1)
    filled = _future_rows(panel, horizon, future, source)
    old = np.arange(panel.n_rows) + np.repeat(steps[:-1], panel.lengths)
    new = ((panel.offsets + steps)[1:, None] - horizon + np.arange(horizon)).reshape(-1)

    def grow(values: np.ndarray, tail: Any) -> np.ndarray:
        # Fixed-width text must hold the longest word of the future too.
        kind = values.dtype if np.ndim(tail) == 0 else np.result_type(values, np.asarray(tail))
        out = empty(len(old) + len(new), kind, on_disk(values))
        out[old] = values
        out[new] = tail
        return out

    def missing(values: np.ndarray) -> float | str | None:
        return {"O": None, "U": ""}.get(values.dtype.kind, np.nan)

    return replace(
        panel,
        offsets=panel.offsets + steps,
        target=grow(panel.target, np.nan),
        observed=grow(panel.observed, False),
        past={name: grow(values, missing(values)) for name, values in panel.past.items()},
        future={name: grow(values, filled[name]) for name, values in panel.future.items()},
        stamps=None if panel.stamps is None else grow(panel.stamps, np.zeros(len(new), panel.stamps.dtype)),
        notes=(*panel.notes, *_horizon_gaps(panel, filled)),
    )


def _future_rows(panel: Panel, horizon: int, future: Columns | None, source: str) -> dict[str, np.ndarray]:
    """Future covariates of the appended rows, [N * horizon] each."""
    if not panel.future:
        return {}
    first = panel.frequency.at(panel.starts, panel.lengths)
    count = panel.frequency.count(horizon)
    names = ", ".join(map(repr, panel.future))
    which = f"column{'s' * (len(panel.future) > 1)} {names}"
    if future is None:
        raise DataError(
            f"{source}: expected {count} of {names} after the last row of each series, got none",
            f"give rows from {stamp(first.min())} on with the columns that are known in advance",
        )
    series, row, step = _match(panel, horizon, future, source)
    have = np.zeros((panel.n_series, horizon), bool)
    have[series, step] = True
    if not have.all():
        i = int(np.argmin(have.all(1)))
        lacking = panel.frequency.at(first[i], np.flatnonzero(~have[i]))
        span = " to ".join(repr(full_stamp(t)) for t in dict.fromkeys((lacking[0], lacking[-1])))
        of = f" for series {panel.ids[i]!r}" if panel.roles.id else ""
        raise DataError(
            f"{source}, {which}: expected {count} from {full_stamp(first[i])!r} on{of}, "
            f"got no row for {len(lacking):,} of them ({span})"
        )
    filled = {}
    for name, values in panel.future.items():
        given = as_covariate(as_column(future[name], name, source), name, source)
        if is_text(given) and not is_text(values):
            given = as_numbers(given, name, source)
        out = np.full(panel.n_series * horizon, None if is_text(values) else np.nan, object)
        out[series * horizon + step] = given[row]
        filled[name] = _typed_like(out, values)
        if _is_gapless(values) and not _is_present(filled[name]).any():
            raise DataError(f"{source}, column {name!r}: expected {count} of values, got only empty cells")
    return filled


def _horizon_gaps(panel: Panel, filled: dict[str, np.ndarray]) -> list[str]:
    """A sentence for every covariate that is missing here or there in the horizon, and nowhere in the history."""
    notes = []
    for name, values in filled.items():
        gone = int(np.count_nonzero(~_is_present(values)))
        if gone and _is_gapless(panel.future[name]):
            instead = "they count as unknown" if is_text(values) else "the last ones known stand in for them"
            notes.append(
                f"column {name!r}: {gone:,} of {len(values):,} values of the horizon are missing; {instead}"
            )
    return notes


def _is_present(values: np.ndarray) -> np.ndarray:
    if not is_text(values):
        return ~np.isnan(values)
    words, codes = distinct(values)
    return ~np.array([is_missing_text(word) for word in words], bool)[codes]


def _is_gapless(values: np.ndarray) -> bool:
    return all(bool(_is_present(values[piece]).all()) for piece in chunks(len(values)))


def _typed_like(given: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Covariates of the future in the type of the past: numbers, or text."""
    if not is_text(values):
        return given.astype(np.float64)
    words = [spell(v) for v in given.tolist()]
    return np.array(words, object) if values.dtype.kind == "O" else np.array([word or "" for word in words])


def _match(
    panel: Panel, horizon: int, future: Columns, source: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows of ``future`` that are needed: their series, their number, their step after the last row."""
    roles = panel.roles
    needed = (roles.id, *(time_parts(roles.time, future) if roles.time else ()), *panel.future)
    for name in needed:
        if name is not None and name not in future:
            raise missing_column(name, future, source)
    n_rows = len(next(iter(future.values())))
    ids = (
        None if roles.id is None else as_ids(as_column(future[roles.id], roles.id, source), roles.id, source)
    )
    codes, values = group(ids, n_rows, roles.id or "", source)
    numbers = {name: i for i, name in enumerate(panel.ids)}
    series = np.array([numbers.get(label(v), -1) for v in values], np.int64)[codes]
    rows = np.flatnonzero(series >= 0)
    series = series[rows]
    if roles.time is None:
        step = rank_within(series, panel.n_series)
        wanted = step < horizon
    else:
        times, _ = as_times(time_column(future, roles.time, source), roles.time, source)
        if (times.dtype.kind == "M") == panel.frequency.is_integer:
            need = "whole numbers" if panel.frequency.is_integer else "dates"
            raise DataError(f"{source}, column {roles.time!r}: expected {need} as in the history")
        k, exact = panel.frequency.locate(times[rows], panel.starts[series])
        step = k - panel.lengths[series]
        wanted = exact & (step >= 0) & (step < horizon)
    series, rows, step = series[wanted], rows[wanted], step[wanted]
    _refuse_repeats(panel, series, rows, step, future, source)
    return series, rows, step


def _refuse_repeats(
    panel: Panel, series: np.ndarray, rows: np.ndarray, step: np.ndarray, future: Columns, source: str
) -> None:
    """A second row for the same series and stamp that says something else is an error that names both."""
    order = np.lexsort((rows, step, series))
    again = np.flatnonzero((np.diff(step[order]) == 0) & (np.diff(series[order]) == 0))
    one, two = order[again], order[again + 1]
    needed = {name: np.asarray(future[name]) for name in panel.future}
    differ = np.flatnonzero(~same_rows(needed, rows[one], rows[two]))
    if len(differ):
        first, second = one[differ[0]], two[differ[0]]
        i = int(series[second])
        when = full_stamp(panel.frequency.at(panel.starts[i], panel.length(i) + step[second])[()])
        of = f" for series {panel.ids[i]!r}" if panel.roles.id else ""
        got = f"{when!r} twice (first in {as_source(source).row(int(rows[first]))})"
        time = panel.roles.time or ""
        raise cell_error(source, int(rows[second]), time, f"one row per time stamp{of}", got)
