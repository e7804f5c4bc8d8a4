"""A network that goes on with tokens, without torch: logits step by step, log-probabilities, and generation.

Nothing here knows what a token stands for. A state remembers, beside the network's own, the last tokens (the very last
has not been read by the network), which were seen, and how many random numbers were drawn from which seed.
"""

from collections.abc import Iterator, Mapping
from typing import Self

import numpy as np

from grus.decode.sampling import MOST_SEED, Sampling, choose, log_probability_of, uniform
from grus.errors import UsageError
from grus.runtime import Program, State
from grus.spec import Generate, Model

#: The part of a state that is not the network's: no node can be called so.
PLACE = ".tokens"
#: How many of the last tokens a state has; -1 where there were none.
RECENT = 16
#: Numbers in the logits of one chunk at most: a chunk of a long text stays in the cache.
_VALUES = 1 << 20


class TokenModel:
    """The network of a `Generate` model.

    Args:
        model: the spec.
        tensors: its numbers, by the names of the model file.
        precision: what the matrices are kept as; see `grus.runtime.Program`.
    """

    def __init__(self, model: Model, tensors: Mapping[str, np.ndarray], precision: str = "float32") -> None:
        self.task = model.task_as(Generate)
        weights = {k.removeprefix("main."): v for k, v in tensors.items() if k.startswith("main.")}
        self.program = Program(model.parts["main"], weights, precision)
        self._port = self.program.graph.inputs[0].name

    def init_state(self, n: int = 1, *, owner: str = "", seed: int = 0) -> State:
        """The state of ``n`` rows before their first token; row i draws from seed + i."""
        recent = np.full((n, RECENT), -1, np.int64)
        recent[:, -1] = self.task.begin
        seen = np.zeros((n, self.task.size), np.bool_)
        place = (recent, seen, _random(n, seed))
        return State({**self.program.init_state(n).nodes, PLACE: place}, owner)

    def logits(self, codes: np.ndarray, network: State) -> tuple[np.ndarray, State]:
        """Read codes [B, T] after a state of the network; the logits after each, float32 [B, T, V]."""
        outputs, network = self.program.run({self._port: codes}, network)
        return outputs["logits"], network

    def network(self, state: State) -> State:
        """The network's part of a state."""
        return State({n: arrays for n, arrays in state.nodes.items() if n != PLACE}, self.program.digest)

    def read(self, codes: np.ndarray, state: State) -> State:
        """The state after some given tokens [B, T]."""
        if not codes.shape[1]:
            return state
        recent, seen, random = state.nodes[PLACE]
        network = self.network(state)
        rows = np.concatenate([recent[:, -1:], codes], axis=1)
        for part in self._chunks(rows[:, :-1]):
            _, network = self.logits(part, network)
        seen = seen.copy()
        seen[np.arange(len(codes))[:, None], codes] = True
        after = np.concatenate([recent, codes], axis=1)[:, -RECENT:]
        return State({**network.nodes, PLACE: (after, seen, random)}, state.owner)

    def log_probabilities(self, codes: np.ndarray, state: State | None = None) -> tuple[np.ndarray, State]:
        """How probable each of some tokens is after those before it.

        Args:
            codes: int [T], of one row.
            state: before them; None: the beginning.

        Returns:
            Natural logarithms, float64 [T], and the state after them.
        """
        state = self.init_state() if state is None else state
        found = np.empty(len(codes))
        at = 0
        network, last = self.network(state), state.nodes[PLACE][0][:, -1:]
        for part in self._chunks(codes[None]):
            given = np.concatenate([last, part[:, :-1]], axis=1)
            logits, network = self.logits(given, network)
            found[at : at + part.shape[1]] = log_probability_of(logits, part)[0]
            at, last = at + part.shape[1], part[:, -1:]
        if not len(codes):
            return found, state
        recent, seen, random = state.nodes[PLACE]
        seen = seen.copy()
        seen[0, codes] = True
        after = np.concatenate([recent, codes[None, -RECENT:]], axis=1)[:, -RECENT:]
        return found, State({**network.nodes, PLACE: (after, seen, random)}, state.owner)

    def check_state(self, state: State) -> None:
        """Raise UsageError unless ``state`` could be one of this model."""
        place = state.nodes.get(PLACE, ())
        rows, size = state.batch, self.task.size
        wanted = [((rows, RECENT), "int64"), ((rows, size), "bool"), ((rows, 2), "int64")]
        if [(array.shape, array.dtype.name) for array in place] != wanted:
            raise UsageError("state: must be that of a language model with the tokens of this one")
        recent, _, random = place
        if not rows or (recent < -1).any() or (recent >= size).any() or (recent[:, -1] < 0).any():
            raise UsageError(f"state: its last tokens must be codes below {size}")
        if (random < 0).any():
            raise UsageError("state: its seed and its count of random numbers must be at least 0")
        self.program.check_state(self.network(state))

    def _chunks(self, codes: np.ndarray) -> Iterator[np.ndarray]:
        """Steps of rows [B, T], so many at once that their logits are few."""
        size = max(_VALUES // (self.task.size * len(codes)), 1)
        for begin in range(0, codes.shape[1], size):
            yield np.asarray(codes[:, begin : begin + size], np.int64)


class Run:
    """Tokens as they are drawn: iterate to get one after the other, ask for `state` to go on from there.

    Args:
        model: the network.
        state: where to begin, one row; it stays as it is.
        how: how the next token is chosen.
    """

    def __init__(self, model: TokenModel, state: State, how: Sampling) -> None:
        recent, seen, random = state.nodes[PLACE]
        self._model, self._how, self._owner = model, how, state.owner
        self._network, self._recent, self._seen = model.network(state), recent, seen[0].copy()
        self._seed, self._number = random[0].tolist()
        self._given = recent[:, -1:].copy()
        self._new: list[int] = []

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> int:
        logits, self._network = self._model.logits(self._given, self._network)
        row = logits[0, 0]
        row[0] = -np.inf
        code = choose(row, self._seen, self._how, uniform(self._seed, self._number))
        self._number += 1
        self._seen[code] = True
        self._given[0, 0] = code
        self._new.append(code)
        return code

    @property
    def state(self) -> State:
        """The state after the tokens so far."""
        new = np.array(self._new[-RECENT:], np.int64)[None]
        recent = np.concatenate([self._recent, new], axis=1)[:, -RECENT:]
        random = np.array([[self._seed, self._number]], np.int64)
        return State({**self._network.nodes, PLACE: (recent, self._seen[None].copy(), random)}, self._owner)


def with_seed(state: State, seed: int) -> State:
    """A state that draws from the beginning of another seed; row i from seed + i."""
    recent, seen, _ = state.nodes[PLACE]
    return State({**state.nodes, PLACE: (recent, seen, _random(len(recent), seed))}, state.owner)


def check_seed(seed: int) -> int:
    """The seed, if it is one; else UsageError."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed <= MOST_SEED:
        raise UsageError(f"seed must be a whole number of at least 0, got {seed!r}")
    return int(seed)


def _random(n: int, seed: int) -> np.ndarray:
    return np.array([[(seed + row) % (MOST_SEED + 1), 0] for row in range(n)], np.int64).reshape(n, 2)


def spread(state: State, rows: int) -> State:
    """A state of one row as several rows, which draw from seeds of their own."""
    seed, drawn = state.nodes[PLACE][2][0].tolist()
    recent, seen, _ = state.nodes[PLACE]
    random = _random(rows, seed)
    random[:, 1] = drawn
    same = State({name: arrays for name, arrays in state.nodes.items() if name != PLACE}, state.owner)
    many = same[np.zeros(rows, np.int64)]
    place = (np.repeat(recent, rows, axis=0), np.repeat(seen, rows, axis=0), random)
    return State({**many.nodes, PLACE: place}, state.owner)
