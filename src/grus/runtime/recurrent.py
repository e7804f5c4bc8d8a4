"""The recurrent ops of the runtime, on the native kernels."""

import numpy as np

from grus.kernels.native import PackedGRU
from grus.runtime.chunk import Chunk, Result, Weights
from grus.runtime.state import NodeState
from grus.spec import Shape, ops


class GRUImplementation:
    """`grus.spec.ops.GRU`: layers and directions in PyTorch's order; remembers the state of every layer."""

    def __init__(self, op: ops.GRU, weights: Weights, inputs: tuple[Shape, ...]) -> None:
        self.op, self.stored = op, weights.stored
        self.stack = [
            pack(weights, f"l{layer}{'_reverse' * direction}", op.reset_after, op.zoneout)
            for layer in range(op.layers)
            for direction in range(op.directions)
        ]

    def __call__(self, chunk: Chunk, state: NodeState | None) -> Result:
        """Run a chunk through the stack."""
        op, x = self.op, chunk.x
        initial = self.initial(chunk)
        carried, begun = state or (initial, np.zeros(len(x), np.bool_))
        initial = np.where(begun[:, None], carried, initial)
        parts = initial.reshape(len(x), len(self.stack), op.hidden)
        lengths = chunk.lengths if chunk.ragged else None
        final: list[np.ndarray] = []
        for layer in range(op.layers):
            outputs: list[np.ndarray] = []
            for index in range(layer * op.directions, (layer + 1) * op.directions):
                h_0 = np.ascontiguousarray(parts[:, index])
                reverse = index % op.directions == 1
                y, h = self.stack[index].run(x, h_0, lengths=lengths, reverse=reverse)
                outputs.append(y)
                final.append(h)
            x = outputs[0] if op.directions == 1 else np.concatenate(outputs, axis=-1)
        h_n = np.concatenate(final, axis=-1)
        assert chunk.lengths is not None
        return {"": x, ".h": h_n}, () if state is None else (h_n, begun | (chunk.lengths > 0))

    def initial(self, chunk: Chunk) -> np.ndarray:
        """The state before the first step, [B, layers * directions * hidden]: the second input, or zeros."""
        return chunk.inputs[1] if len(chunk.inputs) == 2 else self._zeros(len(chunk.x))

    def _zeros(self, batch: int) -> np.ndarray:
        return np.zeros((batch, len(self.stack) * self.op.hidden), np.float32)

    def init_state(self, batch: int) -> NodeState:
        """The state of all layers, and whether a row has begun (until then the initial-state input counts)."""
        return (self._zeros(batch), np.zeros(batch, np.bool_))


class GRUStepImplementation:
    """`grus.spec.ops.GRUStep`: every step of the input once from the same state."""

    def __init__(self, op: ops.GRUStep, weights: Weights, inputs: tuple[Shape, ...]) -> None:
        self._packed = pack(weights, "l0", op.reset_after)

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


def pack(weights: Weights, suffix: str, reset_after: bool, zoneout: float = 0.0) -> PackedGRU:
    """Pack one direction of one layer from tensors named as in torch.nn.GRU, with gains if it is normalised."""
    gains = (
        (weights[f"gain_ih_{suffix}"], weights[f"gain_hh_{suffix}"])
        if f"gain_ih_{suffix}" in weights
        else None
    )
    return PackedGRU(
        weights[f"weight_ih_{suffix}"],
        weights[f"weight_hh_{suffix}"],
        weights.get(f"bias_ih_{suffix}"),
        weights.get(f"bias_hh_{suffix}"),
        reset_after=reset_after,
        norm=gains,
        zoneout=zoneout,
        weights=weights.stored,
    )
