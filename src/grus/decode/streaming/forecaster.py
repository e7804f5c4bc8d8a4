"""A windowed forecaster, live: its state is the newest rows of each stream, and an answer is a forecast from those.

`LiveForecaster.predict` reads the newest ``memory`` rows of a series and nothing else; a stream keeps exactly these.
So both see the same rows through the same code, and their answers have the same bits.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.decode.streaming.cells import Faults, to_cells
from grus.decode.streaming.rings import RingKeeper, Rings, RowBatch, rounds, slots_of
from grus.decode.windows import Forecasts
from grus.errors import DataError
from grus.preprocess.columns import Columns
from grus.preprocess.frequency import DAY, Frequency, stamp
from grus.preprocess.panel import Panel, extend
from grus.preprocess.stacked import NAME, VALUE, repeat_future
from grus.preprocess.uneven import STEP
from grus.runtime.state import State

if TYPE_CHECKING:
    from grus.decode.streaming.keyed import Wanted


class ForecastStream(RingKeeper):
    """Takes rows into streams and forecasts from them."""

    def step(
        self, rows: Any, state: State, level: Sequence[float] = (), future: Columns | None = None
    ) -> tuple[Columns, State]:
        """Take one row into each stream, and forecast."""
        batch = self._batch(rows)
        rings = self._begun(state)
        if len(batch) != state.batch:
            raise DataError(f"rows: must be one for each of {state.batch} streams, got {len(batch)}")
        return self._feed(rings, np.arange(len(batch)), batch, level, future)

    def run(
        self, rows: Any, state: State | None, level: Sequence[float] = (), future: Columns | None = None
    ) -> tuple[Columns, State]:
        """Take all rows into the streams that they name, and forecast."""
        batch = self._batch(rows)
        rings = self.rings(self.begin(len(set(batch.names)))) if state is None else self._begun(state)
        return self._feed(rings, slots_of(batch.names, rings.name), batch, level, future)

    def _batch(self, rows: Any) -> RowBatch:
        batch = self.read(to_cells(rows), "rows")
        if not len(batch):
            raise DataError("rows: expected rows, got none")
        return batch

    def _begun(self, state: State) -> Rings:
        if state.owner != self.live.digest:
            self.check(state)
        return self.rings(state[:])

    def _feed(
        self, rings: Rings, slots: np.ndarray, batch: RowBatch, level: Sequence[float], future: Columns | None
    ) -> tuple[Columns, State]:
        """Append rows in their order and forecast from the last of each stream; a fault is raised."""
        for rows in rounds(slots):
            self.append(rings, slots[rows], batch, rows)
            self._raise(batch.faults)
        row_of = dict(zip(slots.tolist(), range(len(slots))))
        newest = sorted(row_of)
        own, ids = ([some[row_of[slot]] for slot in newest] for some in (batch.names, batch.ids))
        named = rings.take(np.array(newest))
        without = np.flatnonzero(~self.faultless(named, own, Faults("rows")))
        named.values[without, :, : len(self.targets)] = 0.0  # nothing to scale by: they are answered by NaN
        extended, forecasts = self.forecast(named, own, ids, level, future)
        rows = without + len(own) * np.arange(len(self.targets))[:, None]
        for values in (forecasts.point, *forecasts.lower.values(), *forecasts.upper.values()):
            values[rows] = np.nan
        return self.live.columns(extended, forecasts), self.state(rings)

    @staticmethod
    def _raise(faults: Faults) -> None:
        if faults:
            raise faults[min(faults)]

    def feed(
        self, state: State, slots: np.ndarray, batch: RowBatch, rows: np.ndarray, wanted: "Wanted"
    ) -> dict[int, dict[str, Any]]:
        """Take rows in, in place, and answer those that are to be answered, by row number.

        A row is answered from a copy of its stream as it is after it, so that all rows are answered at once.
        """
        rings, parts = self.rings(state), []
        answered: list[int] = []
        for some in rounds(slots[rows]):
            now = rows[some]
            now = now[self.append(rings, slots[now], batch, now)]
            now = now[rings.count[slots[now]] % wanted.every == 0]
            parts.append(rings.take(slots[now]))
            answered += now.tolist()
        if not answered:
            return {}
        held = Rings(
            *(np.concatenate(arrays) for arrays in zip(*(part.arrays() for part in parts), strict=True))
        )
        own, faults = [batch.names[row] for row in answered], Faults(batch.faults.source)
        fine = np.flatnonzero(self.faultless(held, own, faults))
        batch.faults.update({answered[i]: error for i, error in faults.items()})
        # Future covariates are looked up by the name of the series, which stands only once in a call then.
        size = 1 if self.live.task.future else len(fine)
        found: dict[int, dict[str, Any]] = {}
        for first in range(0, len(fine), max(size, 1)):
            which = fine[first : first + size]
            names = [own[i] for i in which.tolist()]
            try:
                records = self._records(held.take(which), names, wanted)
            except DataError as error:  # only what is known in advance can be at fault now
                batch.faults.update({answered[i]: error for i in which.tolist()})
            else:
                found |= {answered[i]: record for i, record in zip(which.tolist(), records, strict=True)}
        return found

    def answers(self, wanted: "Wanted") -> tuple[str, ...]:
        """The columns of an answer."""
        task = self.live.task
        ends = [
            f"{task.alias}-{end}-{level}"
            for level in self.live.check_levels(wanted.level)
            for end in ("lo", "hi")
        ]
        steps = (STEP,) if task.uneven else ()
        return (*((NAME,) if task.targets else ()), self._stamp_name, *steps, task.alias, *ends)

    @property
    def _stamp_name(self) -> str:
        time = self.live.task.time
        return time if time and "+" not in time else "ds"

    def _records(self, rings: Rings, own: list[str], wanted: "Wanted") -> list[dict[str, Any]]:
        """Forecasts by the names of `LiveForecaster.columns`, each a list of the horizon (of all targets)."""
        task, n, several = self.live.task, len(own), len(self.targets)
        _, forecasts = self.forecast(rings, own, own, wanted.level, wanted.future)
        values = {task.alias: forecasts.point}
        for level in forecasts.lower:
            values[f"{task.alias}-lo-{level}"] = forecasts.lower[level]
            values[f"{task.alias}-hi-{level}"] = forecasts.upper[level]
        columns: dict[str, list[Any]] = {}
        if task.targets:
            columns[NAME] = [[name for name in task.targets for _ in range(task.horizon)]] * n
        steps = np.arange(1, task.horizon + 1)
        if task.uneven:
            texts = _stamps(np.repeat(self.times(rings.last)[:, None], task.horizon, 1), None)
        else:
            times = self.live.frequency.at(self.times(rings.last)[:, None], steps)
            texts = _stamps(times, self.live.frequency)
        columns[self._stamp_name] = [row * several for row in texts]
        if task.uneven:
            columns[STEP] = [steps.tolist() * several] * n
        for name, array in values.items():
            columns[name] = array.reshape(several, n, -1).swapaxes(0, 1).reshape(n, -1).tolist()
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    # -- answers out -------------------------------------------------------------------------------------------

    def faultless(self, rings: Rings, own: Sequence[str], faults: Faults) -> np.ndarray:
        """Which streams can be forecast, bool [N]; notes a fault for those without any value to scale by."""
        several = len(self.targets)
        known = ~np.isnan(rings.values[:, :, :several]).all(1)
        fine = np.ones(len(own), np.bool_)
        for i, k in np.argwhere(~known).tolist():
            stranger = self._series_name(own[i], k) not in self._trained
            if stranger or not rings.valued[i, k]:
                what = f"series {own[i]!r}" if self.key else "series"
                faults.setdefault(
                    i,
                    DataError(
                        f"{faults.source}, column {self.targets[k]!r}: expected at least one value of {what}, "
                        "got only missing ones"
                    ),
                )
                fine[i] = False
        return fine

    def _series_name(self, own: str, k: int) -> str:
        if not self.live.task.targets:
            return own if self.live.task.id is not None else "series"
        return f"{own}: {self.targets[k]}" if self.live.task.id is not None else self.targets[k]

    def forecast(
        self,
        rings: Rings,
        own: Sequence[str],
        ids: Sequence[Any],
        level: Sequence[float] = (),
        future: Columns | None = None,
    ) -> tuple[Panel, Forecasts]:
        """Forecasts after the newest row of every stream, target by target, and the panel that they belong to.

        Args:
            own: names of the streams [N].
            ids: what they are called in answers [N].
            level, future: as for `LiveForecaster.predict`.
        """
        live, horizon = self.live, self.live.task.horizon
        panel = self._panel(rings, own, ids)
        if future is not None and live.task.targets:
            future = repeat_future(future, live.roles, live.task.targets)
        extended = extend(panel, horizon, future)
        origins = extended.offsets[1:] - horizon
        return extended, live.forecast(
            extended, np.arange(panel.n_series), origins, level, history=panel.lengths
        )

    def _panel(self, rings: Rings, own: Sequence[str], ids: Sequence[Any]) -> Panel:
        live, several, n = self.live, len(self.targets), len(own)
        roles = live.roles
        if live.task.targets:  # as `lay_out_table` calls them
            roles = replace(roles, target=VALUE, id=roles.id or NAME)
        length = np.tile(rings.length, several)
        held = np.arange(live.memory) >= live.memory - rings.length[:, None]
        everywhere = bool(held.all())

        def flat(table: np.ndarray) -> np.ndarray:
            """Column [N, L] of all streams as rows of the panel, once."""
            return table.reshape(-1) if everywhere else table[held]

        target = np.concatenate([flat(rings.values[:, :, k]) for k in range(several)])
        columns = {
            name: np.tile(flat(rings.values[:, :, several + j]), several)
            for j, name in enumerate(self._numeric)
        }
        columns |= {
            name: np.tile(self._words[name][flat(rings.codes[:, :, j])], several)
            for j, name in enumerate(self._coded)
        }
        static = {name: np.tile(rings.fixed[:, j], several) for j, name in enumerate(self._fixed)}
        static |= {
            name: np.tile(self._words[name][rings.fixed_codes[:, j]], several)
            for j, name in enumerate(self._fixed_coded)
        }
        last = self.times(rings.last)
        if live.task.uneven:
            starts = np.zeros(n, np.int64)  # rows are counted
        else:
            starts = live.frequency.at(last, -(rings.length - 1)) if n else last
        stamps = None if rings.stamps is None else np.tile(flat(self.times(rings.stamps)), several)
        values: np.ndarray = np.empty(n * several, object)
        values[:] = (
            [(value, name) for name in self.targets for value in ids] if live.task.targets else list(ids)
        )
        return Panel(
            ids=tuple(self._series_name(name, k) for k in range(several) for name in own),
            id_values=values if live.task.targets else _typed(ids),
            starts=np.tile(starts, several),
            frequency=live.frequency,
            offsets=np.concatenate(([0], np.cumsum(length))).astype(np.int64),
            target=target,
            observed=~np.isnan(target),
            past={name: columns[name] for name in live.task.past},
            future={name: columns[name] for name in live.task.future},
            static={name: static[name] for name in live.task.static},
            roles=roles,
            stamps=stamps,
        )


def _stamps(times: np.ndarray, frequency: Frequency | None) -> list[list[Any]]:
    """Stamps [N, H] as text: dates, with the time of day where the frequency or the stamp has one; or whole numbers."""
    if times.dtype.kind != "M":
        return times.tolist()
    if frequency is None:
        return [[stamp(time) for time in row] for row in times]
    # Of many streams most rows bear the same stamps.
    found, places = np.unique(times, return_inverse=True)
    unit = {"ms": "ms", "us": "us"}.get(frequency.unit, "s")
    texts = np.datetime_as_string(found, unit=unit)  # type: ignore[call-overload]
    if frequency.nanoseconds is None or frequency.nanoseconds % DAY == 0:
        texts = np.where(found == found.astype("M8[D]"), texts.astype("U10"), texts)
    words = np.array([text.replace("T", " ") for text in texts.tolist()], object)
    return words[places].reshape(times.shape).tolist()


def _typed(ids: Sequence[Any]) -> np.ndarray:
    """Ids in one array: of whole numbers if all of them are, else of what they are."""
    if set(map(type, ids)) == {int}:
        return np.array(ids, np.int64)
    out = np.empty(len(ids), object)
    out[:] = list(ids)
    return out
