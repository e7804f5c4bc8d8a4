"""What is said of the sound of one stream, at fixed moments of it, saved and restored as one blob."""

from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np

from grus.decode.classifier import LiveClassifier
from grus.decode.streaming.keyed import Record
from grus.decode.transcriber import LiveTranscriber
from grus.decode.wake import HOLD, fires
from grus.errors import ModelFolderError, UsageError
from grus.runtime.sealed import seal, unseal_state
from grus.runtime.state import State
from grus.spec import LogMel

_KIND, _VERSION = b"GRUSOUND", 1
#: Steps from one answer to the next, where nothing is said.
EVERY = 10


class Listener(Protocol):
    """What hears the samples of one stream."""

    live: Any
    state: State
    columns: tuple[str, ...]
    #: What it says: ``label``, ``text``, or the word that it waits for.
    says: str
    #: Steps from one answer to the next, where nothing is said.
    every: int

    def hear(self, samples: np.ndarray) -> None:
        """Take in samples int16 [N]."""
        ...

    def answer(self, final: bool) -> Record | None:
        """What there is to say now; None: nothing new. A final answer changes nothing: more may come."""
        ...

    def memory(self) -> "Memory":
        """What it must remember beside its state."""
        ...

    def recall(self, state: State, memory: "Memory") -> bool:
        """Go on from a state of the model and a memory; False, and nothing changed, if they do not fit each other."""
        ...


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a listener remembers beside its state.

    ``units``: a writer's text so far, as codes; ``said``: how many of them were in its newest answer; ``fired``: the
    step at which a waker fired last.
    """

    units: list[int] = []
    said: int = 0
    fired: int | None = None


class Namer:
    """A classifier that says what the recording is so far."""

    says = "label"

    def __init__(self, live: LiveClassifier, proba: bool = False) -> None:
        self.live, self._proba, self.every = live, proba, EVERY
        self.state = live.init_state(1)
        self._found: dict[str, np.ndarray] = {}
        label = live.task.label or "label"
        more = () if live.task.multi else ("probability",)
        every = tuple(f"p_{name}" for name in live.task.labels) if proba else ()
        self.columns = ("seconds", label, *more, *every, "final")

    def hear(self, samples: np.ndarray) -> None:
        """Take in samples."""
        self._found, self.state = self.live.run(samples[None], self.state, proba=self._proba)

    def answer(self, final: bool) -> Record:
        """The label of all that was heard."""
        return {name: values.tolist()[0] for name, values in self._found.items()}

    def memory(self) -> Memory:
        """Nothing."""
        return Memory()

    def recall(self, state: State, memory: Memory) -> bool:
        """Go on, and know again what is to be said of the state."""
        if memory != Memory():
            return False
        self.state = state
        self.hear(np.zeros(0, np.int16))
        return True


class Writer:
    """A transcriber that says what was said so far, whenever there is more of it."""

    says = "text"

    def __init__(self, live: LiveTranscriber) -> None:
        self.columns: tuple[str, ...] = ("seconds", "text", "final")
        self.every = EVERY
        self.live, self.state = live, live.init_state(1)
        self._units: list[str] = []
        self._said = 0

    def hear(self, samples: np.ndarray) -> None:
        """Take in samples."""
        (new,), self.state = self.live.run(samples[None], self.state)
        self._units += new

    def answer(self, final: bool) -> Record | None:
        """The text so far; None if it is what was said already."""
        if len(self._units) == self._said and not final:
            return None
        if not final:
            self._said = len(self._units)
        return {"text": self.live.joined(self._units)}

    def memory(self) -> Memory:
        """The text, and how much of it was said."""
        code = {token: number for number, token in enumerate(self.live.vocabulary.tokens, 1)}
        return Memory([code[unit] for unit in self._units], self._said)

    def recall(self, state: State, memory: Memory) -> bool:
        """Go on with the text."""
        tokens, steps = self.live.vocabulary.tokens, _steps(state)
        if not 0 <= memory.said <= len(memory.units) <= steps or memory.fired is not None:
            return False
        if not all(0 < code <= len(tokens) for code in memory.units):
            return False
        self._units, self._said = [tokens[code - 1] for code in memory.units], memory.said
        self.state = state
        return True


class Waker:
    """A transcriber of words that listens for one of them, and says when its score reaches a threshold."""

    def __init__(self, live: LiveTranscriber, word: str, threshold: float) -> None:
        live.word_code(word)
        self.says = f"wake {word}"
        self.columns: tuple[str, ...] = ("seconds", "word", "score", "final")
        self.every = 1
        self.live, self.state = live, live.init_state(1)
        self._word, self._threshold = word, threshold
        self._hold = round(HOLD * live.rate / live.log_mel.stride)
        self._steps = 0
        self._last: int | None = None
        self._found: float | None = None

    def hear(self, samples: np.ndarray) -> None:
        """Take in samples."""
        scores, self.state = self.live.listen(samples, self._word, self.state)
        last = None if self._last is None else self._last - self._steps
        for step in fires(scores, self._threshold, self._hold, last):
            self._last, self._found = self._steps + step, float(scores[step])
        self._steps += len(scores)

    def answer(self, final: bool) -> Record | None:
        """The score, if it has just fired."""
        found, self._found = self._found, None
        return {"word": self._word, "score": found} if found is not None or final else None

    def memory(self) -> Memory:
        """The step at which it fired last."""
        return Memory(fired=self._last)

    def recall(self, state: State, memory: Memory) -> bool:
        """Go on after the step at which it fired last."""
        steps = _steps(state)
        if memory.units or memory.said or not (memory.fired is None or 0 <= memory.fired < steps):
            return False
        self.state, self._steps, self._last, self._found = state, steps, memory.fired, None
        return True


class Listening:
    """Takes in the bytes of one stream of sound, and answers at moments that do not depend on how they come.

    What is answered is the same whether or not it went through `to_bytes` in between, after any byte.

    Args:
        listener: who hears them, from the beginning.
        every: steps from one answer to the next; None: as the listener has it.
    """

    def __init__(self, listener: Listener, every: int | None = None) -> None:
        self.listener = listener
        self.step: LogMel = listener.live.model.step(LogMel)
        self._every = every or listener.every
        #: Samples that were taken in; and the half of one that was.
        self.heard = 0
        self._half = b""

    @property
    def seq(self) -> int:
        """Bytes that were taken in."""
        return 2 * self.heard + len(self._half)

    @property
    def seconds(self) -> float:
        """Of the samples that were taken in."""
        return self.heard / self.step.rate

    @property
    def steps(self) -> int:
        """Steps that were complete."""
        return self.step.steps(self.heard)

    @property
    def ends_in_half(self) -> bool:
        """Whether the last byte is half a sample."""
        return bool(self._half)

    def feed(self, data: bytes) -> list[Record]:
        """Take in samples, 16 bits, little-endian; the answers that are due."""
        data = self._half + data
        whole = len(data) // 2 * 2
        self._half = data[whole:]
        samples, found = np.frombuffer(data[:whole], "<i2"), []
        while len(samples):
            due = self._due()
            now, samples = samples[: due - self.heard], samples[due - self.heard :]
            self.listener.hear(now)
            self.heard += len(now)
            if self.heard == due:
                found += self._said(final=False)
        return found

    def final(self) -> list[Record]:
        """What is to be said of all of it, if there was a step; more may come after all."""
        return self._said(final=True) if self.steps else []

    def _due(self) -> int:
        """How many samples there are when the next answer is due."""
        answered = self.steps // self._every
        return self.step.window + ((answered + 1) * self._every - 1) * self.step.stride

    def _said(self, final: bool) -> list[Record]:
        found = self.listener.answer(final)
        if found is None:
            return []
        seconds = (self.step.window + (self.steps - 1) * self.step.stride) / self.step.rate
        return [{"seconds": round(seconds, 4), **found, "final": final}]

    # -- saved and restored ------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """All that is needed to go on, as versioned bytes."""
        listener = self.listener
        half = self._half[0] if self._half else None
        header = _Saved(listener.live.digest, listener.says, half, listener.memory())
        return seal(_KIND, _VERSION, msgspec.json.encode(header), [listener.state.to_bytes()])

    def restore(self, blob: bytes, what: str = "state") -> None:
        """Go on from what `to_bytes` wrote; another ``every`` or threshold counts from here on.

        Args:
            blob: hostile input.
            what: what to call it in messages.

        Raises:
            ModelFolderError: the blob is none, damaged, newer, of another model, or of another listener.
        """
        listener = self.listener
        found, body = unseal_state(
            _KIND, _VERSION, blob, what, _Saved, listener.live.digest, "name another file"
        )
        if found.says != listener.says:
            raise ModelFolderError(
                f"{what}: is of a stream that says {found.says!r}, not {listener.says!r}", hint="see --wake"
            )
        state = State.from_bytes(bytes(body), _Owner(listener.live))
        if not 0 <= (found.half or 0) < 256 or not listener.recall(state, found.memory):
            raise ModelFolderError(f"{what}: damaged (what it remembers does not fit its sound)")
        self.heard = _steps(state) * self.step.stride + int(state.nodes["sound"][1][0])
        self._half = b"" if found.half is None else bytes([found.half])


def _steps(state: State) -> int:
    """How many steps there were, in the state of one stream of sound."""
    return int(state.nodes["sound"][2][0])


@dataclass(frozen=True)
class _Owner:
    """A model as what the state of one stream belongs to."""

    live: Any

    @property
    def digest(self) -> str:
        """That of the model."""
        return self.live.digest

    def check_state(self, state: State) -> None:
        """Raise UsageError unless the state could be this model's, of one stream."""
        self.live.check_state(state)
        if state.batch != 1:
            raise UsageError(f"model: state must be of one stream, got {state.batch}")


class _Saved(msgspec.Struct, forbid_unknown_fields=True):
    owner: str
    says: str
    half: int | None
    memory: Memory
