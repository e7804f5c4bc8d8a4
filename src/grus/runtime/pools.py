"""The pooling ops of the runtime: what they remember is a summary of the steps so far, never the steps.

Sums run step by step from the first, each row by itself, so that a row has the same bits alone, in any batch and in
any chunks. They are kept in float64: a stream may be long, and a float32 sum stops growing after 2^24 equal steps.
"""

import numpy as np

from grus.kernels.native import PackedLinear
from grus.runtime.chunk import Chunk, Implementation, Result, Weights
from grus.runtime.state import NodeState
from grus.spec import Shape, ops


class Last:
    """The mean of the newest valid steps; remembers that many steps, oldest first, and how many are real."""

    def __init__(self, op: ops.Last, weights: Weights, inputs: tuple[Shape, ...]) -> None:
        self._steps, self._size = op.steps, inputs[0].size

    def __call__(self, chunk: Chunk, state: NodeState | None) -> Result:
        """Take in a chunk."""
        before, seen = state if state else self.init_state(len(chunk.x))
        assert chunk.lengths is not None
        held = np.concatenate([before, chunk.x], axis=1)
        # Row b's newest steps end at lengths[b] of the chunk, which stands at steps + lengths[b] of what is held.
        newest = held[np.arange(len(held))[:, None], chunk.lengths[:, None] + np.arange(self._steps)]
        count = np.minimum(seen + chunk.lengths, self._steps)
        real = np.arange(self._steps) >= self._steps - count[:, None]
        newest = np.where(real[..., None], newest, np.float32(0))
        mean = newest.sum(axis=1) / np.maximum(count, 1).astype(np.float32)[:, None]
        return {"": mean}, () if state is None else (newest, count)

    def init_state(self, batch: int) -> NodeState:
        """No step yet."""
        return (np.zeros((batch, self._steps, self._size), np.float32), np.zeros(batch, np.int64))


def pool(op: ops.Pool, weights: Weights, inputs: tuple[Shape, ...]) -> Implementation:
    """The implementation of `grus.spec.ops.Pool`."""
    return Mean(inputs[0].size) if op.how == "mean" else Max(inputs[0].size)


class Mean:
    """The mean of all valid steps; remembers their sum and how many there were."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __call__(self, chunk: Chunk, state: NodeState | None) -> Result:
        """Take in a chunk."""
        before, seen = state if state else self.init_state(len(chunk.x))
        total = _fold(np.add, before, chunk)
        assert chunk.lengths is not None
        count = seen + chunk.lengths
        mean = (total / np.maximum(count, 1)[:, None]).astype(np.float32)
        return {"": mean}, () if state is None else (total, count)

    def init_state(self, batch: int) -> NodeState:
        """No step yet."""
        return (np.zeros((batch, self._size)), np.zeros(batch, np.int64))


class Max:
    """The greatest value of each feature so far; remembers it, -inf before the first step."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __call__(self, chunk: Chunk, state: NodeState | None) -> Result:
        """Take in a chunk."""
        before, seen = state if state else self.init_state(len(chunk.x))
        most = _fold(np.maximum, before, chunk)
        assert chunk.lengths is not None
        seen = seen + chunk.lengths
        # Adding zero makes -0 a 0: which of the two is the greater, NumPy leaves to the place in the array.
        out = np.where(seen[:, None] > 0, most, np.float32(0)) + np.float32(0)
        return {"": out}, () if state is None else (most, seen)

    def init_state(self, batch: int) -> NodeState:
        """No step yet."""
        return (np.full((batch, self._size), -np.inf, np.float32), np.zeros(batch, np.int64))


def _fold(function: np.ufunc, before: np.ndarray, chunk: Chunk) -> np.ndarray:
    """f(... f(f(before, x_0), x_1) ..., x_{n-1}) of each row's n valid steps, in the dtype of ``before``."""
    after = before.copy()
    for t in range(chunk.x.shape[1]):
        rows = chunk.lengths[:, None] > t if chunk.ragged and chunk.lengths is not None else True
        function(after, chunk.x[:, t], out=after, where=rows)
    return after


class AttentionPool:
    """A softmax over all valid steps, on line (Milakov and Gimelshein 2018).

    Remembers the greatest score m, the denominator sum_t exp(a_t - m) and the numerator sum_t exp(a_t - m) h_t; when
    the greatest score rises from m to m', both are multiplied by exp(m - m').
    """

    def __init__(self, op: ops.AttentionPool, weights: Weights, inputs: tuple[Shape, ...]) -> None:
        self._project = PackedLinear(weights["weight"], weights["bias"], weights=weights.stored)
        self._score = PackedLinear(weights["vector"][None], None, weights=weights.stored)
        self._size = inputs[0].size

    def __call__(self, chunk: Chunk, state: NodeState | None) -> Result:
        """Take in a chunk."""
        most, denominator, numerator = state if state else self.init_state(len(chunk.x))
        x, lengths = chunk.x, chunk.lengths
        assert lengths is not None
        valid = np.arange(x.shape[1])[:, None] < lengths
        scores = np.where(valid, self._score(np.tanh(self._project(x)))[..., 0].T, -np.inf)
        greatest = np.maximum.accumulate(np.concatenate([most[None], scores]), axis=0)
        keep = np.exp(_difference(greatest[:-1], greatest[1:], valid))
        weight = np.exp(_difference(scores, greatest[1:], valid)) * valid
        x = np.where(valid.T[..., None], x, np.float32(0)) if chunk.ragged else x
        for t in range(len(valid)):
            denominator = denominator * keep[t] + weight[t]
            numerator = numerator * keep[t][:, None] + weight[t][:, None] * x[:, t]
        begun = denominator[:, None] != 0
        y = np.divide(numerator, denominator[:, None], out=np.zeros_like(numerator), where=begun)
        return {"": y.astype(np.float32)}, () if state is None else (greatest[-1], denominator, numerator)

    def init_state(self, batch: int) -> NodeState:
        """No step yet."""
        return (np.full(batch, -np.inf), np.zeros(batch), np.zeros((batch, self._size)))


def _difference(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> np.ndarray:
    """a - b, and 0 at padding, where both may be -inf."""
    return np.subtract(a, b, out=np.zeros(a.shape), where=where)
