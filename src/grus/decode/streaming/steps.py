"""Live rows that are one step each of a stream: read cell by cell, and compared with what came before."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from grus.decode.streaming.cells import Cells, Clock, Faults, digest_name, names, numbers
from grus.preprocess.frequency import stamp
from grus.preprocess.times import time_parts
from grus.runtime.state import NodeState


@dataclass(frozen=True)
class StepBatch:
    """Rows that were read, and what is wrong with some of them.

    Attributes:
        names: of the streams, as text [R].
        ids: the same as they came [R].
        stamps: int64 [R]; 0 each where the model has no time column.
        values: float64 [R, C], NaN for a gap; of events the code's number from 1, 0 for none that is known [R, 1].
        faults: by row number.
    """

    names: list[str]
    ids: list[Any]
    stamps: np.ndarray
    values: np.ndarray
    faults: Faults

    def __len__(self) -> int:
        return len(self.stamps)


class StepReader:
    """Reads rows for streams whose state begins with the arrays stamp, count and name.

    Args:
        inputs: the columns that are read.
        time: the column of stamps, if any.
        key: the column that names the streams, if any.
    """

    def __init__(self, inputs: tuple[str, ...], time: str | None, key: str | None) -> None:
        self.inputs, self.key = inputs, key
        self.clock = None if time is None else Clock(time, None)

    def needs(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """The columns that a row must have, of which it has ``fields``."""
        parts = () if self.clock is None else time_parts(self.clock.name, fields)  # type: ignore[arg-type]
        return tuple(dict.fromkeys((*parts, *self.inputs, *((self.key,) if self.key else ()))))

    def read(self, cells: Cells, source: str) -> StepBatch:
        """Read rows, each by itself.

        Raises:
            DataError: a column is missing.
        """
        faults = Faults(source)
        rows = len(next(iter(cells.values())))
        values = self._read_values(cells, faults)
        own, ids = [""] * rows, [""] * rows
        if self.key is not None:
            own, given = names(cells, self.key, faults), cells[self.key]
            ids = given.tolist() if isinstance(given, np.ndarray) and given.dtype.kind != "M" else list(given)
        stamps = np.zeros(rows, np.int64) if self.clock is None else self.clock.read(cells, faults)
        return StepBatch(own, ids, stamps, values, faults)

    def _read_values(self, cells: Cells, faults: Faults) -> np.ndarray:
        return np.stack([numbers(cells, name, faults) for name in self.inputs], 1)

    def compare(
        self, place: NodeState, slots: np.ndarray, batch: StepBatch, rows: np.ndarray, together: bool = False
    ) -> None:
        """Note a fault where a row is of another stream, or not later than the one before.

        Args:
            place: stamps of the newest rows, how many there were, and digests of the names, int64 [N] each.
            slots: the stream of each row, int [B], each once; rows: numbers of the rows, int [B].
            together: whether several rows may bear one time.
        """
        last, count, name = place[:3]
        begun, before, now = count[slots] > 0, last[slots], batch.stamps[rows]
        own = np.array([digest_name(batch.names[row]) for row in rows.tolist()], np.int64)
        for i in np.flatnonzero(begun & (name[slots] != own)).tolist():
            row = int(rows[i])
            batch.faults.add(row, str(self.key), "the id that the stream began with", repr(batch.names[row]))
        if self.clock is None:
            return
        early = now < before if together else now <= before
        for i in np.flatnonzero(begun & early).tolist():
            shown = [repr(stamp(self.clock.value(int(when)))) for when in (before[i], now[i])]
            least = "a time not before" if together else "a later time than"
            batch.faults.add(int(rows[i]), self.clock.name, f"{least} {shown[0]}", shown[1])

    def compare_within(self, batch: StepBatch, rows: np.ndarray) -> None:
        """Note a fault where one of several rows of a stream, int [T], is not later than the one before it."""
        if self.clock is None:
            return
        stamps = batch.stamps[rows]
        for i in np.flatnonzero(np.diff(stamps) <= 0)[:1].tolist():
            before, now = (repr(stamp(self.clock.value(int(when)))) for when in stamps[i : i + 2])
            batch.faults.add(int(rows[i + 1]), self.clock.name, f"a later time than {before}", now)

    @staticmethod
    def place(place: NodeState, slots: np.ndarray, batch: StepBatch, rows: np.ndarray) -> None:
        """Note in the state, in place, when the newest rows of some streams were, and whose they are."""
        last, _, name = place[:3]
        last[slots] = batch.stamps[rows]
        name[slots] = [digest_name(batch.names[row]) for row in rows.tolist()]
