"""NumPy and native implementations of the ops, one row an op, by op class.

An implementation is built once from the op, its weights and its input shapes. Called with a `Chunk` and the state
before it (None: a whole sequence, nothing to remember), it returns its outputs by suffix and the state after.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from grus.errors import DataError
from grus.kernels.native import PackedLinear
from grus.runtime import mixing, pools
from grus.runtime.adaptive import AdaptiveSoftmax
from grus.runtime.attentive import AttentiveGRU
from grus.runtime.cells import CellImplementation, CellStepImplementation
from grus.runtime.chunk import Chunk, Implementation, Result, Weights
from grus.runtime.grud import GRUD
from grus.runtime.recurrent import (
    GRUImplementation,
    GRUStepImplementation,
    MinGRUImplementation,
    MinGRUStepImplementation,
)
from grus.runtime.state import NodeState
from grus.spec import Op, Shape, ops


class _Pointwise:
    """An op whose steps do not see each other; ``function`` maps the inputs to the output."""

    def __init__(self, function: Callable[..., np.ndarray]) -> None:
        self.function = function

    def __call__(self, chunk: Chunk, state: NodeState | None) -> Result:
        return {"": self.function(*chunk.inputs)}, ()

    def init_state(self, batch: int) -> NodeState:
        return ()


def _linear(op: ops.Linear, weights: Weights, inputs: tuple[Shape, ...]) -> Implementation:
    return _Pointwise(PackedLinear(weights["weight"], weights.get("bias"), weights=weights.stored))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), from exp of a negative number only, so that it cannot overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small)).astype(x.dtype, copy=False)


def _activation(op: ops.Activation, weights: Weights, inputs: tuple[Shape, ...]) -> Implementation:
    functions: dict[str, Callable[..., np.ndarray]] = {
        "relu": lambda x: np.maximum(x, np.float32(0)),
        "tanh": np.tanh,
        "sigmoid": _sigmoid,
    }
    return _Pointwise(functions[op.function])


def _dropout(op: ops.Dropout, weights: Weights, inputs: tuple[Shape, ...]) -> Implementation:
    return _Pointwise(lambda x: x)


def _embedding(op: ops.Embedding, weights: Weights, inputs: tuple[Shape, ...]) -> Implementation:
    table = weights["weight"]
    return _Pointwise(lambda tokens: table[tokens])


def _columns(op: ops.Columns, weights: Weights, inputs: tuple[Shape, ...]) -> Implementation:
    return _Pointwise(lambda x: np.ascontiguousarray(x[..., op.start : op.stop]))


def _broadcast(arrays: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """Repeat each vec at every step of the seqs beside it."""
    time = next((array.shape[1] for array in arrays if array.ndim == 3), None)
    if time is None:
        return list(arrays)
    return [a if a.ndim == 3 else np.broadcast_to(a[:, None], (a.shape[0], time, a.shape[1])) for a in arrays]


def _concat(op: ops.Concat, weights: Weights, inputs: tuple[Shape, ...]) -> Implementation:
    return _Pointwise(lambda *arrays: np.concatenate(_broadcast(arrays), axis=-1))


def _elementwise(function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[..., Implementation]:
    return lambda op, weights, inputs: _Pointwise(lambda *arrays: function(*_broadcast(arrays)))


class _Position:
    """Rows of the table by step number; the number of steps seen is what it remembers."""

    def __init__(self, op: ops.Position, weights: Weights, inputs: tuple[Shape, ...]) -> None:
        self._op, self._table = op, weights["weight"]

    def __call__(self, chunk: Chunk, state: NodeState | None) -> Result:
        batch, time = chunk.x.shape[:2]
        start = state[0] if state else np.zeros(batch, np.int64)
        index = start[:, None] + np.arange(time)
        used = index if not chunk.ragged else np.where(np.arange(time) < chunk.lengths[:, None], index, 0)  # type: ignore[index]
        if used.size and int(used.max()) >= self._op.count:
            raise DataError(f"Position: has {self._op.count} steps, got a sequence of {int(used.max()) + 1}")
        steps = chunk.lengths if chunk.lengths is not None else np.full(batch, time, np.int64)
        return {"": self._table[used]}, () if state is None else (start + steps,)

    def init_state(self, batch: int) -> NodeState:
        return (np.zeros(batch, np.int64),)


class _Segment:
    """Blocks of steps side by side; streaming keeps the steps of a partial block."""

    def __init__(self, op: ops.Segment, weights: Weights, inputs: tuple[Shape, ...]) -> None:
        self._length, self._size = op.length, inputs[0].size

    def __call__(self, chunk: Chunk, state: NodeState | None) -> Result:
        x = chunk.x
        if state is not None:
            if chunk.ragged:
                raise DataError("Segment: rows of a chunk must have one length while streaming")
            x = np.concatenate([state[0], x], axis=1)
        batch, time = x.shape[:2]
        blocks, left = divmod(time, self._length)
        if left and state is None:
            raise DataError(f"Segment: the number of steps must be a multiple of {self._length}, got {time}")
        whole = x[:, : blocks * self._length].reshape(batch, blocks, self._length * self._size)
        return {"": np.ascontiguousarray(whole)}, () if state is None else (
            x[:, blocks * self._length :].copy(),
        )

    def init_state(self, batch: int) -> NodeState:
        return (np.zeros((batch, 0, self._size), np.float32),)


def _unsegment(op: ops.Unsegment, weights: Weights, inputs: tuple[Shape, ...]) -> Implementation:
    size = inputs[0].size // op.length
    return _Pointwise(lambda x: x.reshape(x.shape[0], x.shape[1] * op.length, size))


Build = Callable[[Any, Weights, tuple[Shape, ...]], Implementation]

IMPLEMENTATIONS: dict[type[Op], Build] = {
    ops.Linear: _linear,
    ops.Activation: _activation,
    ops.Dropout: _dropout,
    ops.Embedding: _embedding,
    ops.Position: _Position,
    ops.Columns: _columns,
    ops.Concat: _concat,
    ops.Add: _elementwise(np.add),
    ops.Subtract: _elementwise(np.subtract),
    ops.Multiply: _elementwise(np.multiply),
    ops.Last: pools.Last,
    ops.Pool: pools.pool,
    ops.AttentionPool: pools.AttentionPool,
    ops.Segment: _Segment,
    ops.Unsegment: _unsegment,
    ops.GRU: GRUImplementation,
    ops.GRUStep: GRUStepImplementation,
    ops.LSTM: CellImplementation,
    ops.LSTMStep: CellStepImplementation,
    ops.RNN: CellImplementation,
    ops.RNNStep: CellStepImplementation,
    ops.MinGRU: MinGRUImplementation,
    ops.MinGRUStep: MinGRUStepImplementation,
    ops.Convolution: mixing.Convolution,
    ops.SelfAttention: mixing.SelfAttention,
    ops.AttentiveGRU: AttentiveGRU,
    ops.GRUD: GRUD,
    ops.AdaptiveSoftmax: AdaptiveSoftmax,
}
