"""The newest rows of many streams: read cell by cell, checked against what came before, kept in rings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.decode.streaming.cells import Cells, Clock, Faults, codes, digest_name, names, numbers
from grus.errors import DataError, UsageError
from grus.preprocess.frequency import stamp
from grus.preprocess.grid import SPARSEST
from grus.preprocess.times import time_parts
from grus.runtime.state import NodeState, State, check_counts, check_like
from grus.spec import Categories, Irregular, SeriesScale

if TYPE_CHECKING:
    from grus.decode.forecaster import LiveForecaster

#: Stamps below this in size differ by no more than 64 bits hold.
_FAR = 1 << 62
#: Stamps of a state stay this far from the ends of what 64 bits hold, so that a horizon after them still fits.
_END = (1 << 63) - (1 << 59)


@dataclass(frozen=True)
class RowBatch:
    """Rows that were read, and what is wrong with some of them.

    Attributes:
        names: of the series, as text [R].
        ids: the same as they came [R].
        stamps: int64 [R]; -1 each where the model has no time column.
        values: K targets and M numeric covariates, float64 [R, K + M].
        codes: of C categorical covariates, int64 [R, C].
        fixed, fixed_codes: static covariates, float64 [R, S] and int64 [R, D].
        faults: by row number.
    """

    names: list[str]
    ids: list[Any]
    stamps: np.ndarray
    values: np.ndarray
    codes: np.ndarray
    fixed: np.ndarray
    fixed_codes: np.ndarray
    faults: Faults

    def __len__(self) -> int:
        return len(self.stamps)


@dataclass(frozen=True)
class Rings:
    """The newest rows of N streams, row t of the newest at the right end; what there is not is NaN or 0.

    Attributes:
        values: float64 [N, L, K + M].
        codes: int64 [N, L, C].
        fixed, fixed_codes: float64 [N, S], int64 [N, D].
        length: rows held, gaps included, int64 [N].
        last: stamp of the newest, int64 [N].
        count: rows taken in, int64 [N].
        name: digest of the name of the series, so that no other's rows get in; 0 before the first row; int64 [N].
        valued: whether each target has ever had a value, bool [N, K].
        stamps: where rows come at uneven times, when each was, int64 [N, L]; else None.
    """

    values: np.ndarray
    codes: np.ndarray
    fixed: np.ndarray
    fixed_codes: np.ndarray
    length: np.ndarray
    last: np.ndarray
    count: np.ndarray
    name: np.ndarray
    valued: np.ndarray
    stamps: np.ndarray | None = None

    def arrays(self) -> NodeState:
        """All of them, in order."""
        found = (getattr(self, name) for name in self.__dataclass_fields__)
        return tuple(array for array in found if array is not None)

    def take(self, rows: np.ndarray) -> "Rings":
        """Copies of some streams."""
        return Rings(*(array[rows] for array in self.arrays()))


class RingKeeper:
    """Keeps the newest rows of streams of a forecaster.

    Args:
        live: the model.
        key: the column that names the streams, in place of the model's own id column.
    """

    def __init__(self, live: "LiveForecaster", key: str | None = None) -> None:
        self.live, task = live, live.task
        self.key = key if key is not None else task.id
        self.targets = task.targets or (task.target,)
        known = live.model.step(Categories).columns
        self._trained = frozenset(live.model.step(SeriesScale).ids)
        named = (*task.past, *task.future)
        self._numeric = tuple(name for name in named if name not in known)
        self._coded = tuple(name for name in named if name in known)
        self._fixed = tuple(name for name in task.static if name not in known)
        self._fixed_coded = tuple(name for name in task.static if name in known)
        self._tables = {name: {word: i + 1 for i, word in enumerate(words)} for name, words in known.items()}
        self._words = {name: np.array([None, *words], object) for name, words in known.items()}
        self.clock = None if task.time is None else Clock(task.time, None if task.uneven else live.frequency)
        irregular: Irregular | None = live.model.step(Irregular)
        if self.clock is not None and task.uneven and irregular is not None and irregular.clock != "steps":
            self.clock.dates = irregular.clock == "dates"
        step = live.frequency.multiple if live.frequency.is_integer else live.frequency.nanoseconds
        self._step = step

    # -- the state ---------------------------------------------------------------------------------------------

    def begin(self, n: int) -> State:
        """The state of ``n`` streams that have seen nothing."""
        rows, several = self.live.memory, len(self.targets)
        rings = Rings(
            np.full((n, rows, several + len(self._numeric)), np.nan),
            np.zeros((n, rows, len(self._coded)), np.int64),
            np.full((n, len(self._fixed)), np.nan),
            np.zeros((n, len(self._fixed_coded)), np.int64),
            *np.zeros((4, n), np.int64),
            valued=np.zeros((n, several), np.bool_),
            stamps=np.zeros((n, rows), np.int64) if self.live.task.uneven else None,
        )
        return self.state(rings)

    def state(self, rings: Rings) -> State:
        """The streams as a state."""
        return State({"rows": rings.arrays()}, self.live.digest)

    def rings(self, state: State) -> Rings:
        """The arrays of a state, not copied."""
        return Rings(*state.nodes["rows"])

    def check(self, state: State) -> None:
        """Raise UsageError unless the state could be this model's."""
        check_like(state, self.begin(0), "model")
        rings = self.rings(state)
        check_counts((rings.length, rings.count, rings.name, rings.codes, rings.fixed_codes), "model: state")
        tops = [len(self._tables[name]) for name in self._coded]
        fixed_tops = [len(self._tables[name]) for name in self._fixed_coded]
        if (
            (rings.length > self.live.memory).any()
            or (rings.codes > tops).any()
            or (rings.fixed_codes > fixed_tops).any()
            or (rings.last < -_END).any()
            or (rings.last > _END).any()
            or (rings.stamps is not None and (abs(rings.stamps) > _END).any())
        ):
            raise UsageError("model: state must hold rows of this model")
        if np.isinf(rings.values).any() or np.isinf(rings.fixed).any():
            raise UsageError("model: state must hold finite numbers")

    # -- rows in -----------------------------------------------------------------------------------------------

    def needs(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """The columns that a row must have, of which it has ``fields``."""
        task = self.live.task
        parts = () if self.clock is None else time_parts(self.clock.name, fields)  # type: ignore[arg-type]
        key = (self.key,) if self.key is not None else ()
        return tuple(dict.fromkeys((*key, *parts, *self.targets, *task.past, *task.future, *task.static)))

    def read(self, cells: Cells, source: str) -> RowBatch:
        """Read rows, each by itself.

        Raises:
            DataError: a column is missing.
        """
        faults = Faults(source)
        rows = len(next(iter(cells.values())))
        found = [numbers(cells, name, faults) for name in (*self.targets, *self._numeric)]
        coded = [codes(cells, name, self._tables[name], source) for name in self._coded]
        fixed = [numbers(cells, name, faults) for name in self._fixed]
        fixed_coded = [codes(cells, name, self._tables[name], source) for name in self._fixed_coded]
        own = ["series"] * rows
        ids: list[Any] = own
        if self.key is not None:
            own = names(cells, self.key, faults)
            given = cells[self.key]
            ids = given.tolist() if isinstance(given, np.ndarray) and given.dtype.kind != "M" else list(given)
        return RowBatch(
            own,
            ids,
            np.full(rows, -1, np.int64) if self.clock is None else self.clock.read(cells, faults),
            np.stack(found, 1),
            np.stack(coded, 1) if coded else np.zeros((rows, 0), np.int64),
            np.stack(fixed, 1) if fixed else np.zeros((rows, 0)),
            np.stack(fixed_coded, 1) if fixed_coded else np.zeros((rows, 0), np.int64),
            faults,
        )

    def append(self, rings: Rings, slots: np.ndarray, batch: RowBatch, rows: np.ndarray) -> np.ndarray:
        """Take rows into streams, in place; of one stream one row at most.

        Args:
            slots: the stream of each row, int [B].
            rows: numbers of the rows in ``batch``, int [B].

        Returns:
            Which were taken in, bool [B]; ``batch.faults`` says why the others were not.
        """
        steps = self._steps(rings, slots, batch, rows)
        fine = np.array([row not in batch.faults for row in rows.tolist()], np.bool_)
        slots, rows, steps = slots[fine], rows[fine], steps[fine]
        if rings.stamps is not None:
            rings.stamps[slots, :-1] = rings.stamps[slots, 1:]
            rings.stamps[slots, -1] = batch.stamps[rows]
        for held, new, gap in ((rings.values, batch.values, np.nan), (rings.codes, batch.codes, 0)):
            if held.shape[2]:
                held[slots] = _shifted(held[slots], steps, gap)
                held[slots, -1] = new[rows]
        for held, new, gone in (
            (rings.fixed, batch.fixed, np.isnan(rings.fixed[slots])),
            (rings.fixed_codes, batch.fixed_codes, rings.fixed_codes[slots] == 0),
        ):
            if held.shape[1]:
                held[slots] = np.where(gone, new[rows], held[slots])
        rings.length[slots] = np.minimum(rings.length[slots] + steps, self.live.memory)
        rings.last[slots] = self._next(rings, slots) if self.clock is None else batch.stamps[rows]
        rings.count[slots] += 1
        rings.valued[slots] |= ~np.isnan(batch.values[rows, : len(self.targets)])
        return fine

    def _next(self, rings: Rings, slots: np.ndarray) -> np.ndarray:
        """The next whole number of streams without a time column, from 0."""
        return np.where(rings.count[slots] == 0, 0, rings.last[slots] + self.live.frequency.multiple)

    def _steps(self, rings: Rings, slots: np.ndarray, batch: RowBatch, rows: np.ndarray) -> np.ndarray:
        """Steps from the newest row of each stream to its next one, int64 [B]; 1 for the first."""
        begun = rings.count[slots] > 0
        own = np.array([digest_name(batch.names[row]) for row in rows.tolist()], np.int64)
        for i in np.flatnonzero(begun & (rings.name[slots] != own)).tolist():
            must, row = "the series that the stream began with", int(rows[i])
            batch.faults.add(row, str(self.key), must, repr(batch.names[row]))
        rings.name[slots] = np.where(begun, rings.name[slots], own)
        self._compare_fixed(rings, slots, batch, rows, begun)
        if self.clock is None:
            return np.ones(len(slots), np.int64)
        now = batch.stamps[rows]
        before = np.where(begun, rings.last[slots], now)
        if self.live.task.uneven:
            for i in np.flatnonzero(begun & (now <= before)).tolist():
                last, got = (repr(stamp(self.clock.value(int(when)))) for when in (before[i], now[i]))
                batch.faults.add(int(rows[i]), self.clock.name, f"a later time than {last}", got)
            return np.ones(len(slots), np.int64)
        if self._step is not None and abs(now).max(initial=0) < _FAR and abs(before).max(initial=0) < _FAR:
            steps, rest = np.divmod(now - before, self._step)
            exact = rest == 0
        else:
            steps, exact = self.live.frequency.locate(self.times(now), self.times(before))
        # As in `predict`, which takes a stamp so far ahead for a mistake: taken in, no later row would fit any more.
        most = SPARSEST * rings.count[slots] + 10**6
        for i in np.flatnonzero(~exact | (begun & ((steps < 1) | (steps > most)))).tolist():
            row, when = int(rows[i]), self.times(now[i : i + 1])[0]
            last = repr(stamp(self.times(before[i : i + 1])[0]))
            must = f"steps of {self.live.frequency}"
            if begun[i]:
                must = f"a later time than {last}" if steps[i] < 1 else f"{must} from {last}"
                must = must if steps[i] <= most[i] else f"a time at most {most[i]:,} steps after {last}"
            batch.faults.add(row, str(self.live.task.time), must, repr(stamp(when)))
        return np.where(begun, steps, 1)

    def _compare_fixed(
        self, rings: Rings, slots: np.ndarray, batch: RowBatch, rows: np.ndarray, begun: np.ndarray
    ) -> None:
        """Note a fault where a static covariate is not what it was."""
        if self._fixed:
            old, new = rings.fixed[slots], batch.fixed[rows]
            for i, j in np.argwhere(begun[:, None] & (old != new) & ~np.isnan(old) & ~np.isnan(new)).tolist():
                batch.faults.add(int(rows[i]), self._fixed[j], f"{old[i, j]:g} as before", f"{new[i, j]:g}")
        if self._fixed_coded:
            old, new = rings.fixed_codes[slots], batch.fixed_codes[rows]
            for i, j in np.argwhere(begun[:, None] & (old != new) & (old > 0) & (new > 0)).tolist():
                name = self._fixed_coded[j]
                was, got = (repr(self._words[name][code]) for code in (old[i, j], new[i, j]))
                batch.faults.add(int(rows[i]), name, f"{was} as before", got)

    def times(self, stamps: np.ndarray) -> np.ndarray:
        """Stamps as dates, or as they are where the model counts steps."""
        dates = not self.live.frequency.is_integer
        if self.live.task.uneven and self.clock is not None:
            dates = bool(self.clock.dates)
        return stamps.view("M8[ns]") if dates else stamps


def slots_of(names: Sequence[str], held: np.ndarray) -> np.ndarray:
    """The stream of each row by its name, int64 [R]; new names take those that have not begun, in order.

    Args:
        names: of the rows.
        held: `digest_name` of the streams, 0 for one that has not begun, int64 [N].

    Raises:
        UsageError: two streams of one name. DataError: a new name for which there is no stream.
    """
    begun = [name for name in held.tolist() if name]
    known = {name: i for i, name in enumerate(held.tolist()) if name}
    if len(known) < len(begun):
        raise UsageError("run: state must hold each series once, to tell whose rows these are", "use step")
    free, found = iter(np.flatnonzero(held == 0).tolist()), {}
    for name in dict.fromkeys(names):
        slot = known.get(digest_name(name), -1)
        found[name] = next(free, -1) if slot < 0 else slot
        if found[name] < 0:
            raise DataError(f"rows: must be of the series of the state, got one of {name!r}")
    return np.array([found[name] for name in names], np.int64)


def rounds(slots: np.ndarray) -> Iterator[np.ndarray]:
    """Row numbers in their order, so many at once that no stream stands among them twice: int64 arrays."""
    order = np.argsort(slots, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(slots[order]) != 0)) if len(slots) else order
    rank = np.empty(len(slots), np.int64)
    rank[order] = np.arange(len(slots)) - np.repeat(starts, np.diff(np.append(starts, len(slots))))
    by_rank = np.argsort(rank, kind="stable")
    ends = np.cumsum(np.bincount(rank, minlength=1)) if len(slots) else []
    for first, last in zip([0, *ends[:-1]], ends):
        yield by_rank[first:last]


def _shifted(held: np.ndarray, steps: np.ndarray, gap: float) -> np.ndarray:
    """Rows [B, L, k] moved to the left by so many steps each; what comes in from the right is ``gap``."""
    length = held.shape[1]
    if (steps == 1).all():
        out = np.empty_like(held)
        out[:, :-1] = held[:, 1:]
        out[:, -1] = gap
        return out
    place = np.arange(length) + np.minimum(steps, length)[:, None]
    moved = np.take_along_axis(held, np.minimum(place, length - 1)[..., None], axis=1)
    return np.where((place < length)[..., None], moved, gap).astype(held.dtype, copy=False)
