"""GRU-D in the runtime, on the native kernels: looking back at its inputs, the decay of its state, and its GRU."""

from typing import NamedTuple

import numpy as np

from grus.kernels._native import activation
from grus.kernels.look_back import LookBack, look_back
from grus.kernels.native import PackedLinear, View
from grus.runtime.chunk import Chunk, Result, Weights
from grus.runtime.layers import pack
from grus.runtime.state import NodeState
from grus.spec import Shape, ops

States = tuple[np.ndarray, ...]


class Seen(NamedTuple):
    """What the GRU within is given.

    Args:
        inputs: [xhat, m] of all steps [B, T, 2D].
        elapsed: s, how long ago each variable was observed [B, T, D].
        decay: of the state before each step [B, T, H].
        last, since: after each row's last step [B, D].
    """

    inputs: np.ndarray
    elapsed: np.ndarray
    decay: np.ndarray
    last: np.ndarray
    since: np.ndarray


class GRUD:
    """`grus.spec.ops.GRUD`; remembers h, last and since, and whether a row has begun.

    Attributes:
        layer: the packed weights of the GRU within; stored: what they are kept as, None as they are.
    """

    def __init__(self, op: ops.GRUD, weights: Weights, inputs: tuple[Shape, ...]) -> None:
        self.op, self.sizes = op, op.sizes(inputs[0].size)
        self.stored = weights.stored
        self.layer = pack(weights, "l0", reset_after=True, weights=weights.stored)
        self._input_decay = [
            np.array(weights[f"input_decay_{part}"], np.float32) for part in ("weight", "bias")
        ]
        weight, bias = self._input_decay
        self._addresses = weight.ctypes.data, bias.ctypes.data
        self._state_decay = PackedLinear(
            weights["state_decay_weight"], weights["state_decay_bias"], weights=weights.stored
        )

    def __call__(self, chunk: Chunk, state: NodeState | None) -> Result:
        """Run a chunk of steps."""
        batch = len(chunk.x)
        given = chunk.inputs[3:]
        *carried, begun = state or (*self.initial(chunk), np.zeros(batch, np.bool_))
        if given:
            carried = [np.where(begun[:, None], c, g) for c, g in zip(carried, given, strict=True)]
        h, last, since = map(np.ascontiguousarray, carried)
        lengths = chunk.lengths
        assert lengths is not None
        seen = self.look_back(chunk, last, since)
        y, h = self.layer.run(seen.inputs, h, lengths=lengths if chunk.ragged else None, decay=seen.decay)
        final = (h, seen.last, seen.since)
        after = () if state is None else (*final, begun | (lengths > 0))
        return {"": y} | dict(zip(self.op.states, final, strict=True)), after

    def initial(self, chunk: Chunk) -> States:
        """The states before the first step: the inputs for them, or zeros."""
        return chunk.inputs[3:] or self._zeros(len(chunk.x))

    def input_decay(self, elapsed: np.ndarray) -> np.ndarray:
        """What is left of each variable's last value, from s [..., D]."""
        weight, bias = self._input_decay
        return _decay(elapsed * weight + bias)

    def look_back(self, chunk: Chunk, last: np.ndarray, since: np.ndarray) -> Seen:
        """What the GRU within is given, from the states last and since [B, D] before the first step."""
        x, mask, gap = (np.ascontiguousarray(values, np.float32) for values in chunk.inputs[:3])
        batch, time, size = x.shape
        inputs = np.empty((batch, time, 2 * size), np.float32)
        elapsed, before = np.empty_like(x), np.empty_like(x)
        last_n, since_n = np.empty((batch, size), np.float32), np.empty((batch, size), np.float32)
        lengths = chunk.lengths if chunk.ragged else None
        call = LookBack(
            itemsize=x.itemsize,
            sizes=(batch, time, size),
            decay=self._addresses,
            x=_view(x),
            mask=_view(mask),
            gap=_view(gap),
            last=_view(last),
            since=_view(since),
            inputs=_view(inputs),
            elapsed=_view(elapsed),
            before=_view(before),
            last_n=_view(last_n),
            since_n=_view(since_n),
            lengths=None if lengths is None else (lengths.ctypes.data, 1, 0),
        )
        look_back(call)
        return Seen(inputs, elapsed, _decay(self._state_decay(elapsed)), last_n, since_n)

    def _zeros(self, batch: int) -> States:
        return tuple(np.zeros((batch, size), np.float32) for size in self.sizes)

    def init_state(self, batch: int) -> NodeState:
        """The three states, and whether a row has begun (until then the initial-state inputs count)."""
        return (*self._zeros(batch), np.zeros(batch, np.bool_))


def _decay(a: np.ndarray) -> np.ndarray:
    """exp(-max(0, a))."""
    return activation("decay", np.ascontiguousarray(a).reshape(-1)).reshape(a.shape)


def _view(a: np.ndarray) -> View:
    """A contiguous [B, T, *] or [B, *] array by address."""
    row, time = (a.shape[1] * a.shape[2], a.shape[2]) if a.ndim == 3 else (a.shape[1], 0)
    return a.ctypes.data, row, time
