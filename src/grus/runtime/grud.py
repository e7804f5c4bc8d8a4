"""GRU-D in the runtime: what it knows of its inputs in NumPy, a step at a time, and the native GRU with a decay.

A row has the same bits alone, in any batch and in any chunks: products are those of `PackedLinear` and `PackedGRU`, the
native exponential does not depend on the place of a number in its array, and sums and products of two numbers are
rounded alike everywhere.
"""

import numpy as np

from grus.kernels._native import activation
from grus.kernels.native import PackedLinear
from grus.runtime.chunk import Chunk, Result, Weights
from grus.runtime.layers import pack
from grus.runtime.state import NodeState
from grus.spec import Shape, ops

#: Where an input is infinite, NaN is the answer and no news.
_QUIET = np.errstate(invalid="ignore", over="ignore")

States = tuple[np.ndarray, ...]


class GRUD:
    """`grus.spec.ops.GRUD`; remembers h, last and since, and whether a row has begun."""

    def __init__(self, op: ops.GRUD, weights: Weights, inputs: tuple[Shape, ...]) -> None:
        self.op, self.sizes = op, op.sizes(inputs[0].size)
        self._gru = pack(weights, "l0", reset_after=True, weights=weights.stored)
        self._weight, self._bias = weights["input_decay_weight"], weights["input_decay_bias"]
        self._state_decay = PackedLinear(
            weights["state_decay_weight"], weights["state_decay_bias"], weights=weights.stored
        )

    @_QUIET
    def __call__(self, chunk: Chunk, state: NodeState | None) -> Result:
        """Run a chunk of steps."""
        batch = len(chunk.x)
        given = chunk.inputs[3:] or self._zeros(batch)
        *carried, begun = state or (*given, np.zeros(batch, np.bool_))
        h, last, since = (np.where(begun[:, None], c, g) for c, g in zip(carried, given, strict=True))
        lengths = chunk.lengths
        assert lengths is not None
        inputs, elapsed, last, since = self._look_back(chunk, last, since)
        decay = _decay(self._state_decay(elapsed))
        y, h = self._gru.run(inputs, h, lengths=lengths if chunk.ragged else None, decay=decay)
        final = (h, last, since)
        after = () if state is None else (*final, begun | (lengths > 0))
        return {"": y} | dict(zip(self.op.states, final, strict=True)), after

    def _look_back(self, chunk: Chunk, last: np.ndarray, since: np.ndarray) -> tuple[np.ndarray, ...]:
        """Of all steps [xhat, m] [B, T, 2D] and s [B, T, D]; and last and since after each row's last step."""
        x, mask, gap = chunk.inputs[:3]
        batch, time, size = x.shape
        observed = mask > 0.5
        inputs = np.zeros((batch, time, 2 * size), np.float32)
        elapsed, before = np.zeros_like(x), np.zeros_like(x)
        for t in range(time):
            seen = observed[:, t]
            s = gap[:, t] + since
            if not chunk.ragged:
                before[:, t], elapsed[:, t] = last, s
                last, since = np.where(seen, x[:, t], last), np.where(seen, np.float32(0), s)
                continue
            live = (t < chunk.lengths)[:, None]  # type: ignore[operator]
            np.copyto(before[:, t], last, where=live)
            np.copyto(elapsed[:, t], s, where=live)
            last = np.where(seen & live, x[:, t], last)
            since = np.where(live, np.where(seen, np.float32(0), s), since)
        fading = _decay(elapsed * self._weight + self._bias)
        inputs[:, :, :size] = np.where(observed, x, fading * before)
        inputs[:, :, size:] = observed
        return inputs, elapsed, last, since

    def _zeros(self, batch: int) -> States:
        return tuple(np.zeros((batch, size), np.float32) for size in self.sizes)

    def init_state(self, batch: int) -> NodeState:
        """The three states, and whether a row has begun (until then the initial-state inputs count)."""
        return (*self._zeros(batch), np.zeros(batch, np.bool_))


def _decay(a: np.ndarray) -> np.ndarray:
    """exp(-max(0, a))."""
    return activation("decay", np.ascontiguousarray(a).reshape(-1)).reshape(a.shape)
