"""A detector, live: every row is compared with what the rows before it led to expect."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from grus.decode.likelihood import damped
from grus.decode.streaming.cells import to_cells
from grus.decode.streaming.rings import rounds, slots_of
from grus.decode.streaming.steps import StepBatch, StepReader
from grus.errors import DataError, UsageError
from grus.preprocess.columns import Columns
from grus.runtime.state import NodeState, State, check_counts, check_like

if TYPE_CHECKING:
    from grus.decode.detector import LiveDetector
    from grus.decode.streaming.keyed import Wanted

#: The first rows of a stream, in which the network does not know yet where it is, are taken in but not scored.
WARM_UP = 8
#: A scaled value is held to this size, so that ranges and errors of several do not overflow.
_FAR = 1e100


@dataclass(frozen=True)
class Found:
    """What R rows were found to be.

    Attributes:
        severity: of each column, float64 [R, C]; see `grus.decode.likelihood.Likelihood`.
        before: the most severe of the ``quiet`` rows before each, 0 where there are none, float64 [R].
        expected: of each column, in its own unit, float64 [R, C].
    """

    severity: np.ndarray
    before: np.ndarray
    expected: np.ndarray

    def take(self, rows: np.ndarray) -> "Found":
        """Some of the rows, in the order given."""
        return Found(self.severity[rows], self.before[rows], self.expected[rows])

    def peaks(self) -> np.ndarray:
        """The severity of a row that is more severe than each of the ``quiet`` rows before it, else 0, float64 [R]."""
        worst = self.severity.max(1, initial=0.0)
        return np.where(worst > self.before, worst, 0.0)


class DetectStream(StepReader):
    """Steps a detector.

    The nodes of its state are those of the network, ``main.<node>``; ``input``: the stamp of the newest row, how many
    there were, a digest of the stream's name, and what `DetectPreprocessor.begin` makes;
    ``errors``: the state of the likelihood; ``recent``: the severities of the ``quiet`` newest rows.
    """

    def __init__(self, live: "LiveDetector", key: str | None = None) -> None:
        self.live, task = live, live.task
        super().__init__(task.columns, task.time, key if key is not None else task.id)
        if self.clock is not None:
            self.clock.dates = live.preprocessor.needs_dates

    # -- the state ---------------------------------------------------------------------------------------------

    def begin(self, n: int) -> State:
        """The state of ``n`` streams that have seen nothing."""
        live = self.live
        nodes = {f"main.{name}": arrays for name, arrays in live.program.init_state(n).nodes.items()}
        nodes["input"] = (*np.zeros((3, n), np.int64), *live.preprocessor.begin(n))
        nodes["errors"] = live.likelihood.begin(n)
        nodes["recent"] = (np.zeros((n, live.task.quiet)),)
        return State(nodes, live.digest)

    def check(self, state: State) -> None:
        """Raise UsageError unless the state could be this model's."""
        check_like(state, self.begin(0), "model")
        if state.nodes["recent"][0].shape[1] != self.live.task.quiet:
            raise UsageError(f"model: state must hold {self.live.task.quiet} recent rows")
        check_counts(state.nodes["input"][1:3], "model: state")
        self.live.program.check_state(State(self._network(state)))
        level, mean, variance, rows, low, high = state.nodes["errors"]
        numbers = (level, mean, variance, rows, low, high, *state.nodes["recent"])
        held = [a for a in state.nodes["input"][3:] if a.dtype.kind == "f"]
        made = [a for a in held if a.dtype == np.float32]  # features, which have no gaps
        if any(np.isinf(a).any() for a in (*held, *numbers)) or any(
            np.isnan(a).any() for a in (*made, *numbers)
        ):
            raise UsageError("model: state must hold finite numbers")
        if (variance < 0).any() or (rows < 0).any():
            raise UsageError("model: state must hold variances and counts of at least 0")

    @staticmethod
    def _network(state: State) -> dict[str, NodeState]:
        return {name.removeprefix("main."): a for name, a in state.nodes.items() if name.startswith("main.")}

    # -- rows in -----------------------------------------------------------------------------------------------

    def step(self, rows: Any, state: State) -> tuple[StepBatch, Found, State]:
        """Take one row into each stream."""
        begun, batch = self._begun(state), self._batch(rows)
        if len(batch) != begun.batch:
            raise DataError(f"rows: must be one for each of {begun.batch} streams, got {len(batch)}")
        return self._feed(begun, np.arange(len(batch)), batch)

    def run(self, rows: Any, state: State | None) -> tuple[StepBatch, Found, State]:
        """Take all rows into the streams that they name."""
        batch = self._batch(rows)
        begun = self.begin(len(set(batch.names))) if state is None else self._begun(state)
        return self._feed(begun, slots_of(batch.names, begun.nodes["input"][2]), batch)

    def _batch(self, rows: Any) -> StepBatch:
        batch = self.read(to_cells(rows), "rows")
        if not len(batch):
            raise DataError("rows: expected rows, got none")
        return batch

    def _begun(self, state: State) -> State:
        if state.owner != self.live.digest:
            self.check(state)
        return state[:]

    def _feed(self, state: State, slots: np.ndarray, batch: StepBatch) -> tuple[StepBatch, Found, State]:
        """Take rows in, those of a stream as one chunk; a fault is raised, and the state given stays as it was."""
        order, parts, place = [], [], state.nodes["input"]
        for number in dict.fromkeys(slots.tolist()):
            rows, slot = np.flatnonzero(slots == number), np.array([number])
            self.compare(place, slot, batch, rows[:1])
            self.compare_within(batch, rows)
            if batch.faults:
                raise batch.faults[min(batch.faults)]
            self.place(place, slot, batch, rows[-1:])
            order.append(rows)
            parts.append(self.advance(state, slot, batch, rows[None]))
        where = np.concatenate(order)
        found = [
            np.concatenate(arrays) for arrays in zip(*((p.severity, p.before, p.expected) for p in parts))
        ]
        return batch, Found(*found).take(np.argsort(where, kind="stable")), state

    def feed(
        self, state: State, slots: np.ndarray, batch: StepBatch, rows: np.ndarray, wanted: "Wanted"
    ) -> dict[int, dict[str, Any]]:
        """Take rows in, in place, and answer those that are to be answered, by row number."""
        answers: dict[int, dict[str, Any]] = {}
        for some in rounds(slots[rows]):
            now = rows[some]
            self.compare(state.nodes["input"], slots[now], batch, now)
            now = now[np.array([row not in batch.faults for row in now.tolist()], np.bool_)]
            if not len(now):
                continue
            self.place(state.nodes["input"], slots[now], batch, now)
            found = self.advance(state, slots[now], batch, now[:, None])
            due = np.flatnonzero(state.nodes["input"][1][slots[now]] % wanted.every == 0)
            columns = self.live.answer(found.take(due), wanted.detail)
            plain = {name: values.tolist() for name, values in columns.items()}
            for i, row in enumerate(now[due].tolist()):
                answers[row] = {
                    name: None if values[i] != values[i] else values[i] for name, values in plain.items()
                }
        return answers

    def answers(self, wanted: "Wanted") -> tuple[str, ...]:
        """The columns of an answer."""
        nothing = np.zeros((0, len(self.inputs)))
        return tuple(self.live.answer(Found(nothing, np.zeros(0), nothing), wanted.detail))

    def advance(self, state: State, slots: np.ndarray, batch: StepBatch, rows: np.ndarray) -> Found:
        """Take rows into streams, in place.

        Args:
            slots: the streams, int [B].
            rows: numbers of the rows of each in their order, int [B, T], T at least 1.

        Returns:
            What the rows are, those of a stream together [B * T].
        """
        series = self.live.preprocessor.series([batch.names[row] for row in rows[:, 0].tolist()])
        return self.chunk(state, slots, batch.values[rows], batch.stamps[rows], series)

    def chunk(
        self, state: State, slots: np.ndarray, values: np.ndarray, stamps: np.ndarray, series: np.ndarray
    ) -> Found:
        """Take raw values [B, T, C] with stamps [B, T] of some streams in, in place; ``series`` are their scales."""
        live = self.live
        scaled, mean = self.expect(state, slots, values, stamps, series)
        errors, kept, count = damped(scaled - mean), state.nodes["errors"], state.nodes["input"][1]
        errors[count[slots][:, None] + np.arange(values.shape[1]) < WARM_UP] = np.nan
        count[slots] += values.shape[1]
        severity, within = np.empty_like(scaled), tuple(a[slots] for a in kept)
        for t in range(values.shape[1]):
            severity[:, t], within = live.likelihood.step(within, errors[:, t], scaled[:, t])
        for array, new in zip(kept, within, strict=True):
            array[slots] = new
        recent = state.nodes["recent"][0]
        worst = severity.max(2)
        joined = np.concatenate((recent[slots], worst), 1)
        quiet = recent.shape[1]
        before = np.zeros_like(worst)
        if quiet:
            recent[slots] = joined[:, -quiet:]
            before = sliding_window_view(joined[:, :-1], quiet, axis=1).max(-1)
        center, scale = (
            part[series][:, None] for part in (live.preprocessor.center, live.preprocessor.scale)
        )
        return Found(
            severity.reshape(-1, severity.shape[2]),
            before.ravel(),
            (mean * scale + center).reshape(-1, severity.shape[2]),
        )

    def expect(
        self, state: State, slots: np.ndarray, values: np.ndarray, stamps: np.ndarray, series: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run the network over a chunk as in `chunk`: values scaled, and what was expected, float64 [B, T, C] each."""
        live = self.live
        held = state.nodes["input"][3:]
        scaled = np.minimum(np.maximum(live.preprocessor.scaled(values, series), -_FAR), _FAR)
        x, after = live.preprocessor.inputs(scaled, stamps, tuple(array[slots] for array in held))
        for array, new in zip(held, after, strict=True):
            array[slots] = new
        network = self._network(state)
        begun = {name: tuple(a[slots] for a in arrays) for name, arrays in network.items()}
        outputs, done = live.program.run({"x": x}, State(begun, live.program.digest))
        for name, arrays in network.items():
            for array, new in zip(arrays, done.nodes[name], strict=True):
                array[slots] = new
        return scaled, np.nan_to_num(outputs["mean"].astype(np.float64))


def stamps_of(stream: DetectStream, batch: StepBatch) -> Columns:
    """The id and the time of some rows, under the names of the model."""
    columns: Columns = {}
    task = stream.live.task
    if task.id is not None:
        columns[task.id] = np.array(batch.ids)
    if stream.clock is not None:
        stamps = batch.stamps.view("M8[ns]") if stream.clock.dates else batch.stamps
        columns[stream.clock.name if "+" not in stream.clock.name else "ds"] = stamps
    return columns
