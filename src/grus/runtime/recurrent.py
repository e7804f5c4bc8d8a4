"""The recurrent ops of the runtime, on the native kernels."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from grus.kernels.layout import GRUWeights
from grus.kernels.native import PackedGRU
from grus.kernels.reference import Options, gru_direction
from grus.runtime.state import NodeState
from grus.spec import Shape, ops

if TYPE_CHECKING:
    from grus.runtime.ops import Chunk, Result

Weights = Mapping[str, np.ndarray]


class _Direction:
    """One direction of one layer: batch first, any initial state, ragged rows, in either direction of time."""

    def __init__(self, op: ops.GRU, weights: GRUWeights, reverse: bool) -> None:
        self._options = Options(reset_after=op.reset_after, keep=op.zoneout, reverse=reverse)
        self._weights, self._reverse = weights, reverse
        # The native kernel does not know layer normalisation and zoneout yet; the oracle does, in float32.
        self._packed = None if op.layer_norm or op.zoneout else pack(weights, op.reset_after)

    def __call__(
        self, x: np.ndarray, h: np.ndarray, lengths: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        if self._packed is not None:
            return self._packed.run(x, h, lengths=lengths, reverse=self._reverse)
        options = replace(self._options, lengths=lengths)
        result = gru_direction(x.swapaxes(0, 1), h, self._weights, options)
        return np.ascontiguousarray(result.output.swapaxes(0, 1)), result.h_n


class GRUImplementation:
    """`grus.spec.ops.GRU`: layers and directions in PyTorch's order; remembers the state of every layer."""

    def __init__(self, op: ops.GRU, weights: Weights, inputs: tuple[Shape, ...]) -> None:
        self._op = op
        self._stack = [
            _Direction(op, gru_weights(weights, f"l{layer}{'_reverse' * direction}"), bool(direction))
            for layer in range(op.layers)
            for direction in range(op.directions)
        ]

    def __call__(self, chunk: "Chunk", state: NodeState | None) -> "Result":
        """Run a chunk through the stack."""
        op, x = self._op, chunk.x
        initial = chunk.inputs[1] if len(chunk.inputs) == 2 else self._zeros(len(x))
        carried, begun = state or (initial, np.zeros(len(x), np.bool_))
        initial = np.where(begun[:, None], carried, initial)
        parts = initial.reshape(len(x), len(self._stack), op.hidden)
        lengths = chunk.lengths if chunk.ragged else None
        final: list[np.ndarray] = []
        for layer in range(op.layers):
            outputs: list[np.ndarray] = []
            for index in range(layer * op.directions, (layer + 1) * op.directions):
                y, h = self._stack[index](x, np.ascontiguousarray(parts[:, index]), lengths)
                outputs.append(y)
                final.append(h)
            x = outputs[0] if op.directions == 1 else np.concatenate(outputs, axis=-1)
        h_n = np.concatenate(final, axis=-1)
        assert chunk.lengths is not None
        return {"": x, ".h": h_n}, () if state is None else (h_n, begun | (chunk.lengths > 0))

    def _zeros(self, batch: int) -> np.ndarray:
        return np.zeros((batch, len(self._stack) * self._op.hidden), np.float32)

    def init_state(self, batch: int) -> NodeState:
        """The state of all layers, and whether a row has begun (until then the initial-state input counts)."""
        return (self._zeros(batch), np.zeros(batch, np.bool_))


class GRUStepImplementation:
    """`grus.spec.ops.GRUStep`: every step of the input once from the same state."""

    def __init__(self, op: ops.GRUStep, weights: Weights, inputs: tuple[Shape, ...]) -> None:
        self._packed = pack(gru_weights(weights, "l0"), op.reset_after)

    def __call__(self, chunk: "Chunk", state: NodeState | None) -> "Result":
        """Step every input step once from its row's state."""
        x, h = chunk.inputs
        batch, time, size = x.shape
        repeated = np.repeat(h, time, axis=0)
        y = self._packed.step(np.ascontiguousarray(x).reshape(batch * time, size), repeated)
        return {"": y.reshape(batch, time, y.shape[-1])}, ()

    def init_state(self, batch: int) -> NodeState:
        """Nothing."""
        return ()


def gru_weights(weights: Weights, suffix: str) -> GRUWeights:
    """Collect one direction of one layer from tensors named as in torch.nn.GRU."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "gain_ih", "gain_hh")
    return GRUWeights(
        **{name: weights[f"{name}_{suffix}"] for name in names if f"{name}_{suffix}" in weights}
    )


def pack(weights: GRUWeights, reset_after: bool) -> PackedGRU:
    """Pack plain weights for the native kernel."""
    return PackedGRU(
        weights.weight_ih, weights.weight_hh, weights.bias_ih, weights.bias_hh, reset_after=reset_after
    )
