"""Convolution and self-attention in the runtime, on native products.

A row has the same bits alone, in any batch and in any chunks: every product is that of `PackedLinear`, and what NumPy
does beside it is done for each row by itself, over its valid steps only.
"""

import numpy as np

from grus.kernels.native import PackedLinear
from grus.runtime.chunk import Chunk, Result, Weights
from grus.runtime.state import NodeState
from grus.spec import Shape, ops

#: Steps whose windows, or whose attention, are held at once.
BLOCK = 256

#: Where an input is infinite, NaN is the answer and no news.
_QUIET = np.errstate(invalid="ignore", over="ignore")


class Convolution:
    """`grus.spec.ops.Convolution`: one product a window of steps; remembers the last inputs, oldest first."""

    def __init__(self, op: ops.Convolution, weights: Weights, inputs: tuple[Shape, ...]) -> None:
        self.op, self._size = op, inputs[0].size
        # One row an output, its steps side by side, as the windows have them.
        matrix = np.ascontiguousarray(weights["weight"].swapaxes(1, 2)).reshape(op.size, -1)
        self._product = PackedLinear(matrix, weights.get("bias"), weights=weights.stored)

    def __call__(self, chunk: Chunk, state: NodeState | None) -> Result:
        """Convolve a chunk."""
        op, lengths = self.op, chunk.lengths
        assert lengths is not None
        (before,) = state or self.init_state(len(chunk.x))
        batch, time = chunk.x.shape[:2]
        held = np.concatenate([before, chunk.x], axis=1)
        y = np.empty((batch, time, op.size), np.float32)
        for t in range(0, time, BLOCK):
            end = min(t + BLOCK, time)
            windows = [held[:, t + k * op.dilation : end + k * op.dilation] for k in range(op.kernel)]
            y[:, t:end] = self._product(np.concatenate(windows, axis=-1))
        if state is None:
            return {"": y}, ()
        # Row b's newest inputs end at lengths[b] of the chunk, which stands at reach + lengths[b] of what is held.
        newest = held[np.arange(batch)[:, None], lengths[:, None] + np.arange(op.reach)]
        return {"": y}, (newest,)

    def init_state(self, batch: int) -> NodeState:
        """Zeros, as before the first step."""
        return (np.zeros((batch, self.op.reach, self._size), np.float32),)


class SelfAttention:
    """`grus.spec.ops.SelfAttention`, row by row; zero at padding."""

    def __init__(self, op: ops.SelfAttention, weights: Weights, inputs: tuple[Shape, ...]) -> None:
        self.op = op
        self._in, self._out = (
            PackedLinear(weights[f"{name}_weight"], weights.get(f"{name}_bias"), weights=weights.stored)
            for name in ("in_proj", "out_proj")
        )
        self._scale = np.float32((inputs[0].size // op.heads) ** -0.5)

    @_QUIET
    def __call__(self, chunk: Chunk, state: NodeState | None) -> Result:
        """Attend over whole sequences."""
        lengths = chunk.lengths
        assert lengths is not None
        y = np.zeros_like(chunk.x)
        for row, steps in enumerate(lengths.tolist()):
            if steps:
                y[row, :steps] = self._row(np.ascontiguousarray(chunk.x[row, :steps]))
        return {"": y}, ()

    def _row(self, x: np.ndarray) -> np.ndarray:
        """The output [T, C] of one row's valid steps [T, C]."""
        steps, size = x.shape
        heads = self._in(x).reshape(steps, 3, self.op.heads, size // self.op.heads)
        mixed = np.empty((steps, self.op.heads, size // self.op.heads), np.float32)
        for head in range(self.op.heads):
            q, k, v = (np.ascontiguousarray(heads[:, part, head]) for part in range(3))
            keys, values = PackedLinear(k), PackedLinear(np.ascontiguousarray(v.T))
            for t in range(0, steps, BLOCK):
                scores = keys(q[t : t + BLOCK]) * self._scale
                if self.op.causal:
                    scores[np.arange(steps) > np.arange(t, t + len(scores))[:, None]] = -np.inf
                weights = np.exp(scores - scores.max(axis=1, keepdims=True))
                mixed[t : t + BLOCK, head] = values(weights) / weights.sum(axis=1, keepdims=True)
        return self._out(mixed.reshape(steps, size))

    def init_state(self, batch: int) -> NodeState:
        """Nothing: it cannot run in chunks."""
        return ()
