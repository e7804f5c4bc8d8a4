"""A causal classifier, live: one row is one step, and the answer is the label of all steps so far."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.decode.class_scores import class_probabilities
from grus.decode.streaming.cells import Cells, Faults, codes, column, to_cells
from grus.decode.streaming.rings import rounds, slots_of
from grus.decode.streaming.steps import StepBatch, StepReader
from grus.errors import DataError, UnsupportedError, UsageError
from grus.preprocess.build_examples import DAY
from grus.preprocess.channels import Channels, filled, scaled
from grus.preprocess.irregular import IrregularRows
from grus.runtime.state import NodeState, State, check_counts, check_like
from grus.spec import Codes, CovariateScale, Irregular, require_streaming

if TYPE_CHECKING:
    from grus.decode.classifier import LiveClassifier
    from grus.decode.streaming.keyed import Wanted


class ClassStream(StepReader):
    """Steps a classifier of series or events; the network's own state is the most of what it remembers.

    The nodes of its state are those of the network after the newest step, ``main.<node>``, and ``input``: the stamp of
    the newest row, how many there were, a digest of the stream's name, and of a series the last known value of each
    channel (of an irregular one what `grus.preprocess.irregular.IrregularRows.begin` makes). Of events also those
    before the newest visit, ``before.<node>``, and the visit's gap and codes: another row of the same time belongs to
    the same visit, which is then run again.

    Raises:
        UnsupportedError: the model reads whole examples only.
    """

    def __init__(self, live: "LiveClassifier", key: str | None = None) -> None:
        self.live, task, self.program = live, live.task, live.program
        if task.kind not in ("series", "events"):
            raise UnsupportedError(
                f"model: a classifier of {task.kind} reads whole examples, so it cannot run step by step",
                hint="use predict",
            )
        require_streaming(self.program.graph)
        super().__init__(task.inputs, task.time, key if key is not None else task.id)
        self._step = live.model.preprocess[0]
        self._size = live.model.parts["main"].inputs[0].size
        if isinstance(self._step, Codes):
            self._table = {code: i + 1 for i, code in enumerate(self._step.codes)}
        elif isinstance(self._step, CovariateScale):
            self._channels = Channels(self._step)
        elif isinstance(self._step, Irregular):
            head = f"preprocess.{self._step.key}."
            fitted = {k.removeprefix(head): v for k, v in live.fitted.items() if k.startswith(head)}
            self._rows = IrregularRows(self._step, fitted)
            if self.clock is not None and self._step.clock != "steps":
                self.clock.dates = self._step.clock == "dates"

    # -- the state ---------------------------------------------------------------------------------------------

    def begin(self, n: int) -> State:
        """The state of ``n`` streams that have seen nothing."""
        nodes = {f"main.{name}": arrays for name, arrays in self.program.init_state(n).nodes.items()}
        place = tuple(np.zeros((3, n), np.int64))
        if isinstance(self._step, Codes):
            nodes |= {f"before.{name}": arrays for name, arrays in self.program.init_state(n).nodes.items()}
            held: NodeState = (np.full(n, np.nan), np.zeros((n, self._size - 1), np.bool_))
        elif isinstance(self._step, Irregular):
            held = self._rows.begin(n)
        else:
            held = (np.full((n, len(self.live.task.inputs)), np.nan),)
        return State({**nodes, "input": place + held}, self.live.digest)

    def check(self, state: State) -> None:
        """Raise UsageError unless the state could be this model's."""
        check_like(state, self.begin(0), "model")
        check_counts(state.nodes["input"][1:3], "model: state")
        for part in ("main", "before"):
            if found := self._part(state, part):
                self.program.check_state(State(found))
        if any(np.isinf(a).any() for a in state.nodes["input"] if a.dtype.kind == "f"):
            raise UsageError("model: state must hold finite numbers")

    @staticmethod
    def _part(state: State, part: str) -> dict[str, NodeState]:
        """The network's own nodes among those of a state."""
        head = f"{part}."
        return {name.removeprefix(head): a for name, a in state.nodes.items() if name.startswith(head)}

    def step(self, x: Any, state: State) -> tuple[np.ndarray, list[Any], State]:
        """Probabilities [N, labels], ids and state after one step of every stream."""
        begun = self._begun(state)
        if _is_array(x):
            values = np.asarray(x)
            return self._run_array(
                values.reshape(1, 1, -1) if values.ndim == 1 else values[:, None], begun, None
            )
        batch = self.read(to_cells(x), "rows")
        if len(batch) != begun.batch:
            raise DataError(f"rows: must be one for each of {begun.batch} streams, got {len(batch)}")
        return self._feed(begun, np.arange(len(batch)), batch)

    def run(self, x: Any, state: State | None, lengths: Any) -> tuple[np.ndarray, list[Any], State]:
        """Probabilities [N, labels], ids and state after all steps."""
        if _is_array(x):
            values = np.asarray(x)
            return self._run_array(
                values, self.begin(len(values)) if state is None else self._begun(state), lengths
            )
        if lengths is not None:
            raise UsageError("run: lengths are for arrays; rows are told apart by their id")
        batch = self.read(to_cells(x), "rows")
        begun = self.begin(len(set(batch.names))) if state is None else self._begun(state)
        return self._feed(begun, slots_of(batch.names, begun.nodes["input"][2]), batch)

    def _begun(self, state: State) -> State:
        if state.owner != self.live.digest:
            self.check(state)
        return state[:]

    def _feed(self, state: State, slots: np.ndarray, batch: StepBatch) -> tuple[np.ndarray, list[Any], State]:
        """Advance row by row in their order; a fault is raised."""
        newest = sorted(row_of := dict(zip(slots.tolist(), range(len(slots)))))
        last = np.zeros((state.batch, len(self.live.task.labels)))
        for rows in rounds(slots):
            _, last[slots[rows]] = self.advance(state, slots[rows], batch, rows, strict=True)
        return last[newest], [batch.ids[row_of[slot]] for slot in newest], state

    def _run_array(self, x: np.ndarray, state: State, lengths: Any) -> tuple[np.ndarray, list[Any], State]:
        """A chunk of raw values [N, T, C] at once."""
        if isinstance(self._step, Codes):
            raise UsageError("x: must be rows with a code each, got an array")
        channels = len(self.live.task.inputs)
        check_steps(x, channels, state.batch)
        last, count, name, *held = state.nodes["input"]
        if isinstance(self._step, Irregular) and self._step.clock != "steps":
            raise UsageError(
                f"x: must be rows with the column {self.live.task.time!r}, as the model reads the time between them, "
                "got an array"
            )
        given = np.full(len(x), x.shape[1]) if lengths is None else np.asarray(lengths)
        padded = np.where(np.arange(x.shape[1])[:, None] < given.reshape(-1, 1, 1), x, np.nan)
        values, kept = self._chunk(padded, count[:, None] + np.arange(x.shape[1]), last, count, tuple(held))
        main = State(self._part(state, "main"), self.program.digest)
        port = self.program.graph.inputs[0].name
        outputs, after = self.program.run({port: values}, main, None if lengths is None else {"src": given})
        nodes = {f"main.{name}": arrays for name, arrays in after.nodes.items()}
        place = (last, count + given, name, *kept)
        return self.probabilities(outputs["logits"]), [], State({**nodes, "input": place}, self.live.digest)

    # -- rows in -----------------------------------------------------------------------------------------------

    def _read_values(self, cells: Cells, faults: Faults) -> np.ndarray:
        if not isinstance(self._step, Codes):
            return super()._read_values(cells, faults)
        name = self.inputs[0]
        given = column(cells, name, faults.source)
        words = [word.strip() if isinstance(word, str) else word for word in list(given)]
        return codes({name: words}, name, self._table, faults.source)[:, None]

    def answers(self, wanted: "Wanted") -> tuple[str, ...]:
        """The columns of an answer."""
        return tuple(self.live.answer(np.zeros((0, len(self.live.task.labels))), None, wanted.proba))

    def feed(
        self, state: State, slots: np.ndarray, batch: StepBatch, rows: np.ndarray, wanted: "Wanted"
    ) -> dict[int, dict[str, Any]]:
        """Take rows in, in place, and answer those that are to be answered, by row number."""
        found: dict[int, dict[str, Any]] = {}
        for some in rounds(slots[rows]):
            now = rows[some]
            fine, probabilities = self.advance(state, slots[now], batch, now)
            now = now[fine]
            due = state.nodes["input"][1][slots[now]] % wanted.every == 0
            columns = self.live.answer(probabilities[due], None, wanted.proba)
            plain = {name: values.tolist() for name, values in columns.items()}
            for i, row in enumerate(now[due].tolist()):
                found[row] = {name: values[i] for name, values in plain.items()}
        return found

    def advance(
        self, state: State, slots: np.ndarray, batch: StepBatch, rows: np.ndarray, strict: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Take rows into streams, in place; of one stream one row at most.

        Args:
            slots: the stream of each row, int [B].
            rows: numbers of the rows in ``batch``, int [B].
            strict: raise what is wrong with the first row that has a fault.

        Returns:
            Which were taken in, bool [B] (``batch.faults`` says why the others were not), and the probabilities after
            each of those, float64 [., labels].
        """
        self.compare(state.nodes["input"], slots, batch, rows, together=isinstance(self._step, Codes))
        if strict and batch.faults:
            raise batch.faults[min(batch.faults)]
        fine = np.array([row not in batch.faults for row in rows.tolist()], np.bool_)
        slots, rows = slots[fine], rows[fine]
        held = list(state.nodes["input"][3:])
        make = self._visits if isinstance(self._step, Codes) else self._values
        x = make(state, slots, batch, rows, held)
        self.place(state.nodes["input"], slots, batch, rows)
        state.nodes["input"][1][slots] += 1
        port = self.program.graph.inputs[0].name
        before = self._part(state, "before" if isinstance(self._step, Codes) else "main")
        begun = State(
            {n: tuple(a[slots] for a in arrays) for n, arrays in before.items()}, self.program.digest
        )
        outputs, after = self.program.run({port: x[:, None]}, begun)
        _scatter(self._part(state, "main"), after.nodes, slots)
        return fine, self.probabilities(outputs["logits"])

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated, as in `predict`."""
        return class_probabilities(logits, self.live.temperature, self.live.task.multi)

    def _values(
        self, state: State, slots: np.ndarray, batch: StepBatch, rows: np.ndarray, held: list[np.ndarray]
    ) -> np.ndarray:
        """Channels of one step, float32 [B, C]: see `chunk`."""
        last, count = state.nodes["input"][:2]
        by_time = not isinstance(self._step, Irregular) or self._step.clock != "steps"
        stamps = (batch.stamps[rows] if by_time else count[slots])[:, None]
        own = tuple(array[slots] for array in held)
        x, after = self._chunk(batch.values[rows][:, None], stamps, last[slots], count[slots], own)
        for array, values in zip(held, after, strict=True):
            array[slots] = values
        return x[:, 0]

    def _chunk(
        self, values: np.ndarray, stamps: np.ndarray, last: np.ndarray, count: np.ndarray, held: NodeState
    ) -> tuple[np.ndarray, NodeState]:
        """Steps [B, T, C] at ``stamps`` as the network sees them, after ``count`` others, the newest at ``last``."""
        if isinstance(self._step, Irregular):
            newest = count - 1 if self._step.clock == "steps" else last
            return self._rows.chunk(values, stamps, (count > 0, newest), held)
        x, after = self.chunk(values, held[0])
        return x, (after,)

    def chunk(self, values: np.ndarray, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Steps [B, T, C] scaled and filled as `ClassifyPreprocessor` does, and the last known values after [B, C]."""
        assert isinstance(self._step, CovariateScale)
        key = f"preprocess.{self._step.key}"
        found = scaled(values, self.live.fitted[f"{key}.center"], self.live.fitted[f"{key}.scale"])
        steps, after = filled(found, held)
        out = np.empty((*values.shape[:2], self._size), np.float32)
        self._channels.put(steps, ~np.isnan(found), out)
        return out, after

    def _visits(
        self, state: State, slots: np.ndarray, batch: StepBatch, rows: np.ndarray, held: list[np.ndarray]
    ) -> np.ndarray:
        """The newest visit of each stream with the row's code in it, float32 [B, codes + 1]."""
        last, count = state.nodes["input"][:2]
        gaps, visits = held
        now, begun = batch.stamps[rows], count[slots] > 0
        new = ~begun | (now != last[slots]) if self.clock is not None else np.ones(len(rows), np.bool_)
        fresh = slots[new]
        _scatter(
            self._part(state, "before"),
            {name: tuple(a[fresh] for a in arrays) for name, arrays in self._part(state, "main").items()},
            fresh,
        )
        visits[fresh] = False
        if self.clock is not None:
            unit = DAY if self.clock.dates else 1
            gaps[fresh] = np.where(begun[new], (now - last[slots])[new] / unit, np.nan)
        code = batch.values[rows, 0]
        visits[slots[code > 0], code[code > 0] - 1] = True
        scale = self.live.fitted[f"preprocess.{self._step.key}.gap_scale"][0]
        x = np.empty((len(slots), self._size), np.float32)
        x[:, :-1] = visits[slots]
        x[:, -1] = np.log1p(np.nan_to_num(gaps[slots]) / scale)
        return x


def _scatter(nodes: dict[str, NodeState], new: Any, slots: np.ndarray) -> None:
    for name, arrays in nodes.items():
        for array, values in zip(arrays, new[name], strict=True):
            array[slots] = values


def _is_array(x: Any) -> bool:
    """Whether these are plain numbers, not rows with names."""
    named = hasattr(x, "columns") or hasattr(x, "column_names")
    if hasattr(x, "__array__"):
        return not named
    return isinstance(x, Sequence) and not (x and isinstance(x[0], Mapping))


def check_steps(x: np.ndarray, channels: int, streams: int) -> None:
    """Raise DataError unless ``x`` is numbers [streams, steps, channels]."""
    if x.ndim != 3 or x.shape[2] != channels or x.dtype.kind not in "fiub":
        raise DataError(f"x: must be numbers [streams, steps, {channels}], got {x.dtype} {list(x.shape)}")
    if len(x) != streams:
        raise DataError(f"x: must have {streams} streams like the state, got {len(x)}")
    if np.isinf(x).any():
        raise DataError("x: must be finite, or NaN for a gap, got infinity in it")
