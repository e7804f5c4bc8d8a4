"""The recurrent ops of the runtime, on the native kernels."""

import numpy as np

from grus.runtime.chunk import Chunk, Result, Weights
from grus.runtime.layers import Recurrent, pack
from grus.runtime.state import NodeState
from grus.spec import Shape, ops


class GRUImplementation:
    """`grus.spec.ops.GRU`: layers and directions in PyTorch's order; remembers the state of every layer."""

    def __init__(self, op: ops.GRU, weights: Weights, inputs: tuple[Shape, ...]) -> None:
        self._layers = Recurrent(
            weights, reset_after=op.reset_after, zoneout=op.zoneout, weights=weights.stored
        )
        self._cells, self._hidden = op.layers * op.directions, op.hidden

    def __call__(self, chunk: Chunk, state: NodeState | None) -> Result:
        """Run a chunk through the stack."""
        x = chunk.x
        initial = chunk.inputs[1] if len(chunk.inputs) == 2 else self._zeros(len(x))
        carried, begun = state or (initial, np.zeros(len(x), np.bool_))
        initial = np.where(begun[:, None], carried, initial).reshape(len(x), self._cells, self._hidden)
        y, h = self._layers.run(x, initial, chunk.lengths if chunk.ragged else None)
        h_n = h.reshape(len(x), self._cells * self._hidden)
        assert chunk.lengths is not None
        return {"": y, ".h": h_n}, () if state is None else (h_n, begun | (chunk.lengths > 0))

    def _zeros(self, batch: int) -> np.ndarray:
        return np.zeros((batch, self._cells * self._hidden), np.float32)

    def init_state(self, batch: int) -> NodeState:
        """The state of all layers, and whether a row has begun (until then the initial-state input counts)."""
        return (self._zeros(batch), np.zeros(batch, np.bool_))


class GRUStepImplementation:
    """`grus.spec.ops.GRUStep`: every step of the input once from the same state."""

    def __init__(self, op: ops.GRUStep, weights: Weights, inputs: tuple[Shape, ...]) -> None:
        self._packed = pack(weights, "l0", op.reset_after, weights=weights.stored)

    def __call__(self, chunk: Chunk, state: NodeState | None) -> Result:
        """Step every input step once from its row's state."""
        x, h = chunk.inputs
        batch, time, size = x.shape
        repeated = np.repeat(h, time, axis=0)
        y = self._packed.step(np.ascontiguousarray(x).reshape(batch * time, size), repeated)
        return {"": y.reshape(batch, time, y.shape[-1])}, ()

    def init_state(self, batch: int) -> NodeState:
        """Nothing."""
        return ()
