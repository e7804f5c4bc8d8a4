"""Many keyed streams of one model: rows in, answers out, all states saved and restored as one blob."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import msgspec
import numpy as np

from grus.decode.classifier import LiveClassifier
from grus.decode.detector import LiveDetector
from grus.decode.forecaster import LiveForecaster
from grus.decode.streaming.cells import Cells, Faults
from grus.decode.streaming.classifier import ClassStream
from grus.decode.streaming.detector import DetectStream
from grus.decode.streaming.forecaster import ForecastStream
from grus.decode.streaming.texts import TextStream
from grus.errors import ModelFolderError, UnsupportedError, UsageError
from grus.preprocess.columns import Source, missing_column
from grus.runtime.sealed import seal, unseal_state
from grus.runtime.state import State

_KIND, _VERSION = b"GRUKEYED", 1
#: Rows after which streams that no row will find again are looked for, and at least one for each that was left.
_SWEEP = 1024
Record = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What answers hold.

    Attributes:
        level: central intervals of a forecaster, in percent.
        proba: add the probability of every label.
        every: answer only every so many rows of a key.
        future: covariates known in advance.
        detail: add the score and the expected value of every column that a detector watches.
    """

    level: Sequence[float] = ()
    proba: bool = False
    every: int = 1
    future: Any = None
    detail: bool = False


class _Batch(Protocol):
    """Rows that were read."""

    names: list[str]
    faults: Faults


class Engine(Protocol):
    """What streams a task's models."""

    key: str | None

    def needs(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """The columns that a row must have, of which it has ``fields``."""
        ...

    def answers(self, wanted: Wanted) -> tuple[str, ...]:
        """The columns of an answer."""
        ...

    def begin(self, n: int) -> State:
        """The state of ``n`` streams that have seen nothing."""
        ...

    def check(self, state: State) -> None:
        """Raise UsageError unless the state could be this model's."""
        ...

    def read(self, cells: Cells, source: str) -> Any:
        """Read rows."""
        ...

    def feed(
        self, state: State, slots: np.ndarray, batch: Any, rows: np.ndarray, wanted: Wanted
    ) -> dict[int, Record]:
        """Take rows in, in place, and answer those that are to be answered, by row number."""
        ...


@dataclass(frozen=True)
class Eviction:
    """When a key is forgotten: after so many rows of other keys, or so many seconds of the clock, without one of it."""

    rows: int | None = None
    seconds: float | None = None


class Streams:
    """Keyed streams; each row is answered as `predict` would for all rows of its key.

    What a row is answered depends on the rows before it alone: not on how many are fed at once, nor on whether the
    streams went through `to_bytes` in between. (Eviction by seconds depends on the clock too.)

    Args:
        live: what `grus.load` gave.
        key: the column that names the streams; None: the model's own id column, or one stream if it has none.
        wanted: what answers hold.
        eviction: when a key is forgotten; None: never.

    Raises:
        UnsupportedError: the model cannot stream, or has no intervals to give.
        UsageError: answers that it does not have, or a key of a name that answers need.
    """

    def __init__(
        self,
        live: LiveForecaster | LiveClassifier | LiveDetector,
        key: str | None = None,
        wanted: Wanted | None = None,
        eviction: Eviction | None = None,
    ) -> None:
        self.live, self.wanted, self.eviction = live, wanted or Wanted(), eviction or Eviction()
        self.engine = engine_of(live, key)
        #: The columns of an answer, besides ``seq``, the key and ``error``.
        self.columns = self.engine.answers(self.wanted)
        #: The number of the newest row.
        self.seq = 0
        self._slots: dict[str, int] = {}
        self._free: list[int] = []
        self._blank = self.engine.begin(1)
        self._state = self.engine.begin(0)
        self._used = np.zeros(0, np.int64)
        self._seen = np.zeros(0)
        self._sweep_at = _SWEEP

    def __len__(self) -> int:
        """How many streams there are."""
        return len(self._slots)

    def feed(
        self, numbers: Sequence[int], rows: Sequence[Mapping[str, Any]], now: float = 0.0
    ) -> list[Record]:
        """Take in rows and answer them.

        Args:
            numbers: of the rows; they rise.
            rows: by column.
            now: seconds of a clock, for eviction.

        Returns:
            A record for each row in their order: ``seq``, the key, and the columns of `predict`; or ``seq`` and
            ``error``. None for a row that only every so many rows are answered for, so left out.
        """
        out: dict[int, Record] = {}
        kept: list[int] = []
        needs = frozenset(self.engine.needs(rows[0])) if rows else frozenset()
        for i, row in enumerate(rows):
            if needs <= row.keys():
                kept.append(i)
                continue
            lacking = next((name for name in self.engine.needs(row) if name not in row), None)
            if lacking is None:
                kept.append(i)
            else:
                error = missing_column(lacking, map(str, row), f"row {numbers[i]}")
                out[i] = {"seq": numbers[i], "error": str(error)}
        if kept:
            out |= self._feed(kept, numbers, rows, now)
        if numbers:
            self.seq = numbers[-1]
        self._sweep(now)
        return [out[i] for i in sorted(out)]

    def _feed(
        self, kept: list[int], numbers: Sequence[int], rows: Sequence[Mapping[str, Any]], now: float
    ) -> dict[int, Record]:
        names = self.engine.needs(rows[kept[0]])
        cells = {name: [rows[i][name] for i in kept] for name in names}
        batch = self.engine.read(cells, Source("stdin", lambda row: f"row {numbers[kept[row]]}"))
        fine = np.array([row for row in range(len(kept)) if row not in batch.faults], np.int64)
        slots = np.zeros(len(kept), np.int64)
        replaced: list[int] = []
        for row in fine.tolist():
            slots[row] = self._slot(batch.names[row], numbers[kept[row]], now, replaced)
        found = self.engine.feed(self._state, slots, batch, fine, self.wanted)
        self._free += replaced
        out = {}
        for row, i in enumerate(kept):
            head: Record = {"seq": numbers[i]}
            if self.engine.key is not None:
                head[self.engine.key] = rows[i][self.engine.key]
            if row in batch.faults:
                out[i] = head | {"error": str(batch.faults[row])}
            elif row in found:
                out[i] = head | found[row]
        return out

    # -- slots -------------------------------------------------------------------------------------------------

    def _slot(self, name: str, number: int, now: float, replaced: list[int]) -> int:
        """Where the stream of a key stands; a key that is new, or was forgotten, begins again in a place of its own."""
        slot = self._slots.get(name)
        if slot is not None and self._is_old(slot, number, now):
            replaced.append(slot)  # rows of this batch may still be on their way to it
            slot = None
        if slot is None:
            slot = self._slots[name] = self._free.pop() if self._free else self._grow()
            for node, arrays in self._state.nodes.items():
                for array, blank in zip(arrays, self._blank.nodes[node], strict=True):
                    array[slot] = blank[0]
        self._used[slot] = number
        if self.eviction.seconds is not None:  # otherwise the clock leaves no trace in the state
            self._seen[slot] = now
        return slot

    def _is_old(self, slot: int, number: int, now: float) -> bool:
        rule = self.eviction
        return (rule.rows is not None and number - int(self._used[slot]) > rule.rows) or (
            rule.seconds is not None and now - float(self._seen[slot]) > rule.seconds
        )

    def _grow(self) -> int:
        size = len(self._used)
        more = max(size, 16)
        if self._state.nodes:
            self._state = State.join([self._state, self.engine.begin(more)])
        self._used = np.append(self._used, np.zeros(more, np.int64))
        self._seen = np.append(self._seen, np.zeros(more))
        self._free += range(size + more - 1, size, -1)
        return size

    def _sweep(self, now: float) -> None:
        """Make room of keys that no row will find again; now and then, as all of them are looked through."""
        if self.eviction == Eviction() or self.seq < self._sweep_at:
            return
        for name in [name for name, slot in self._slots.items() if self._is_old(slot, self.seq, now)]:
            self._free.append(self._slots.pop(name))
        self._sweep_at = self.seq + max(len(self._slots), _SWEEP)

    # -- saved and restored ------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """All streams, and the number of the newest row, as versioned bytes."""
        slots = np.fromiter(self._slots.values(), np.int64, len(self._slots))
        header = _Saved(
            self.live.digest,
            self.engine.key,
            self.seq,
            list(self._slots),
            self._used[slots].tolist(),
            self._seen[slots].tolist(),
        )
        return seal(_KIND, _VERSION, msgspec.json.encode(header), [self._state[slots].to_bytes()])

    def restore(self, blob: bytes, what: str = "state") -> None:
        """Go on from what `to_bytes` wrote.

        Args:
            blob: hostile input.
            what: what to call it in messages.

        Raises:
            ModelFolderError: the blob is none, damaged, newer, of another model or of another key.
        """
        found, body = unseal_state(_KIND, _VERSION, blob, what, _Saved, self.live.digest, "name another file")
        if found.key != self.engine.key:
            raise ModelFolderError(
                f"{what}: its key is {found.key!r}, not {self.engine.key!r}", hint="see --key"
            )
        state = State.from_bytes(bytes(body), cast(Any, _Owner(self.live.digest, self.engine)))
        n = len(found.keys)
        if (
            {len(found.used), len(found.seen)} != {n}
            or len(set(found.keys)) != n
            or (state.nodes and state.batch != n)
            or not 0 <= found.seq < 1 << 62
            or not all(0 <= used <= found.seq for used in found.used)
        ):
            raise ModelFolderError(f"{what}: damaged (its keys do not fit)")
        self.seq, self._sweep_at, self._state = found.seq, found.seq + _SWEEP, state
        self._slots = {name: slot for slot, name in enumerate(found.keys)}
        self._used, self._seen = np.array(found.used, np.int64), np.array(found.seen, np.float64)
        self._free = []


@dataclass(frozen=True)
class _Owner:
    """A model and its engine as what a state belongs to."""

    digest: str
    engine: Engine

    def check_state(self, state: State) -> None:
        """Raise UsageError unless the state could be this model's."""
        self.engine.check(state)


class _Saved(msgspec.Struct, forbid_unknown_fields=True):
    owner: str
    key: str | None
    seq: int
    keys: list[str]
    used: list[int]
    seen: list[float]


def engine_of(live: LiveForecaster | LiveClassifier | LiveDetector, key: str | None) -> Engine:
    """What streams a model's task.

    Raises:
        UnsupportedError: the model cannot stream. UsageError: the key has a name that answers need.
    """
    if isinstance(live, LiveForecaster):
        engine: Engine = ForecastStream(live, key)
    elif isinstance(live, LiveDetector):
        engine = DetectStream(live, key)
    elif live.task.kind == "audio":
        raise UnsupportedError(
            "model: a classifier of recordings reads samples, not rows", hint="grus stream MODEL --audio"
        )
    elif live.task.kind == "text":
        engine = TextStream(live, key)
    else:
        engine = ClassStream(live, key)
    if engine.key in ("seq", "error"):
        raise UsageError(
            f"key: must not be called {engine.key!r}, because answers have a column of that name"
        )
    return engine
