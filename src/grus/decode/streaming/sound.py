"""Recordings as they come: chunks of samples of any sizes, and what a causal network says after each."""

from typing import TYPE_CHECKING, Any

import numpy as np

from grus.decode.class_scores import class_probabilities
from grus.decode.ctc import BLANK, greedy
from grus.errors import DataError, UsageError
from grus.preprocess.log_mel import LogMelFrames, as_samples
from grus.runtime import Program
from grus.runtime.state import NodeState, State, check_counts, check_like
from grus.spec import LogMel, Model, require_streaming

if TYPE_CHECKING:
    from grus.decode.classifier import LiveClassifier
    from grus.decode.transcriber import LiveTranscriber


class SoundStream:
    """Runs a network of log-mel steps on streams of samples.

    The nodes of a state are those of the network, ``main.<node>``, and ``sound``: the samples that no step was made of
    yet, float32 [N, window - 1] of which the first ``count`` are real; ``count`` int64 [N]; and how many steps there
    were, int64 [N].

    Args:
        model: whose part ``main`` reads the steps of its step `LogMel`.
        fitted: its preprocessing arrays, by the names of the model file.
        program: of that part.
        digest: of the model.

    Raises:
        UnsupportedError: the network reads whole recordings only.
    """

    def __init__(self, model: Model, fitted: Any, program: Program, digest: str) -> None:
        require_streaming(program.graph)
        self.log_mel: LogMel = model.step(LogMel)
        self.program, self._digest = program, digest
        key = f"preprocess.{self.log_mel.key}"
        self.frames = LogMelFrames(self.log_mel, fitted[f"{key}.center"], fitted[f"{key}.scale"])

    def begin(self, n: int) -> State:
        """The state of ``n`` streams that have heard nothing."""
        nodes = {f"main.{name}": arrays for name, arrays in self.program.init_state(n).nodes.items()}
        held = np.zeros((n, self.log_mel.window - 1), np.float32)
        return State({**nodes, "sound": (held, np.zeros(n, np.int64), np.zeros(n, np.int64))}, self._digest)

    def check(self, state: State) -> None:
        """Raise UsageError unless the state could be this model's."""
        check_like(state, self.begin(0), "model")
        held, count, steps = state.nodes["sound"]
        check_counts((count, steps), "model: state")
        if (count > held.shape[1]).any() or not np.isfinite(held).all():
            raise UsageError("model: state must hold finite samples, and no more than it has room for")
        self.program.check_state(State(self._part(state)))

    def feed(
        self, x: Any, state: State | None, lengths: Any = None
    ) -> tuple[dict[str, np.ndarray], State, np.ndarray]:
        """Take in the next samples of every stream.

        Args:
            x: samples [N, T], or [T] of one stream, float or int16.
            state: before them; None: the beginning.
            lengths: how many of each stream are real, int [N]; None: all.

        Returns:
            The network's outputs for the steps that are complete now, the state after them, and how many steps each
            stream had, int64 [N].
        """
        chunk = _chunk(x)
        if state is not None and state.owner != self._digest:
            self.check(state)
        state = self.begin(len(chunk)) if state is None else state
        if state.batch != len(chunk):
            raise DataError(f"x: must have {state.batch} streams like the state, got {len(chunk)}")
        real = _lengths(lengths, *chunk.shape)
        steps, counts, sound = self._steps(chunk, real, state.nodes["sound"])
        main = State(self._part(state), self.program.digest)
        full = None if (counts == steps.shape[1]).all() else {"src": counts}
        outputs, after = self.program.run({self.program.graph.inputs[0].name: steps}, main, full)
        nodes = {f"main.{name}": arrays for name, arrays in after.nodes.items()}
        return outputs, State({**nodes, "sound": sound}, self._digest), counts

    def _steps(
        self, chunk: np.ndarray, real: np.ndarray, sound: NodeState
    ) -> tuple[np.ndarray, np.ndarray, NodeState]:
        """Steps float32 [N, S, size], how many are real [N], and what is held after them."""
        held, count, seen = (array.copy() for array in sound)
        found: list[np.ndarray] = []
        for row in range(len(chunk)):
            samples = np.concatenate([held[row, : count[row]], chunk[row, : real[row]]])
            found.append(self.frames(samples))
            rest = samples[len(found[-1]) * self.log_mel.stride :]
            count[row] = len(rest)
            held[row] = 0.0
            held[row, : len(rest)] = rest
        counts = np.array([len(steps) for steps in found], np.int64)
        out = np.zeros((len(chunk), int(counts.max(initial=0)), self.log_mel.port().size), np.float32)
        for row, steps in enumerate(found):
            out[row, : len(steps)] = steps
        return out, counts, (held, count, seen + counts)

    @staticmethod
    def _part(state: State) -> dict[str, NodeState]:
        return {n.removeprefix("main."): a for n, a in state.nodes.items() if n.startswith("main.")}


class SoundClassStream(SoundStream):
    """A causal classifier of recordings, live: the label of all that was heard so far."""

    def __init__(self, live: "LiveClassifier") -> None:
        super().__init__(live.model, live.fitted, live.program, live.digest)
        self._live = live

    def step(self, x: Any, state: State) -> tuple[np.ndarray, list[Any], State]:
        """Probabilities [N, labels], no ids, and the state after one chunk of every stream."""
        return self.run(x, state, None)

    def run(self, x: Any, state: State | None, lengths: Any) -> tuple[np.ndarray, list[Any], State]:
        """Probabilities [N, labels], no ids, and the state after all samples."""
        outputs, after, _ = self.feed(x, state, lengths)
        task = self._live.task
        return class_probabilities(outputs["logits"], self._live.temperature, task.multi), [], after


def _chunk(x: Any) -> np.ndarray:
    array = np.asarray(x)
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2:
        raise DataError(f"x: must be samples [streams, samples], got {array.dtype} {list(array.shape)}")
    return as_samples(array.reshape(-1), "x").reshape(array.shape)


def _lengths(given: Any, streams: int, samples: int) -> np.ndarray:
    if given is None:
        return np.full(streams, samples, np.int64)
    array = np.asarray(given)
    if array.shape != (streams,) or array.dtype.kind not in "iu" or ((array < 0) | (array > samples)).any():
        raise DataError(f"lengths: must be {streams} whole numbers from 0 to {samples}")
    return array.astype(np.int64)


class SpeechStream(SoundStream):
    """A causal transcriber, live, by greedy search; ``path`` of its state is the path's code at the newest step."""

    def __init__(self, live: "LiveTranscriber") -> None:
        super().__init__(live.model, live.fitted, live.program, live.digest)
        self._codes = len(live.vocabulary.tokens) + 1

    def begin(self, n: int) -> State:
        """The state of ``n`` streams that have heard nothing."""
        state = super().begin(n)
        return State({**state.nodes, "path": (np.full(n, BLANK, np.int64),)}, state.owner)

    def check(self, state: State) -> None:
        """Raise UsageError unless the state could be this model's."""
        super().check(state)
        (path,) = state.nodes["path"]
        if ((path < 0) | (path >= self._codes)).any():
            raise UsageError(f"model: state must hold codes below {self._codes}")

    def run(self, x: Any, state: State | None, lengths: Any) -> tuple[list[list[int]], State]:
        """The codes that each stream wrote, and the state after all samples."""
        outputs, after, counts = self.feed(x, state, lengths)
        before = self.begin(len(counts)) if state is None else state
        path = before.nodes["path"][0].copy()
        written: list[list[int]] = []
        for row, count in enumerate(counts.tolist()):
            codes, _, path[row] = greedy(outputs["logits"][row, :count], int(path[row]))
            written.append(codes.tolist())
        return written, State({**after.nodes, "path": (path,)}, after.owner)
