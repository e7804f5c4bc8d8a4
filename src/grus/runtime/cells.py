"""LSTM and simple RNN in the runtime: NumPy steps around the native products and activations.

A row has the same bits alone, in any batch and in any chunks: the products are those of `PackedLinear`, the native
sigmoid and tanh do not depend on the place of a number in its array (of NumPy's nobody promises that), and sums and
products of two numbers are rounded alike everywhere.
"""

from collections.abc import Callable

import numpy as np

from grus.kernels._native import activation
from grus.kernels.native import PackedLinear
from grus.runtime.chunk import Chunk, Result, Weights
from grus.runtime.state import NodeState
from grus.spec import Shape, ops

#: Steps whose input products are held at once: of a long sequence they are larger than all else.
BLOCK = 256

#: Where an input is infinite, or a state of relu grew beyond all bounds, NaN is the answer and no news.
_QUIET = np.errstate(invalid="ignore", over="ignore")

States = tuple[np.ndarray, ...]
Step = Callable[[np.ndarray, States], States]


def _activate(name: str, a: np.ndarray) -> np.ndarray:
    return activation(name, np.ascontiguousarray(a).reshape(-1)).reshape(a.shape)


def lstm_step(a: np.ndarray, states: States) -> States:
    """The next (h, c), each [B, H], from A = W x + b + U h + d, [B, 4H] in the order i, f, g, o.

    c' = sigmoid(f) * c + sigmoid(i) * tanh(g);  h' = sigmoid(o) * tanh(c')
    """
    size = a.shape[1] // 4
    gates = _activate("sigmoid", a)
    g = _activate("tanh", a[:, 2 * size : 3 * size])
    c = gates[:, size : 2 * size] * states[1] + gates[:, :size] * g
    return gates[:, 3 * size :] * _activate("tanh", c), c


def tanh_step(a: np.ndarray, states: States) -> States:
    """The next (h,) of a simple RNN, tanh(A), from A = W x + b + U h + d, [B, H]."""
    return (_activate("tanh", a),)


def relu_step(a: np.ndarray, states: States) -> States:
    """The next (h,) of a simple RNN, max(A, 0); adding zero makes -0 a 0, see `grus.runtime.pools.Max`."""
    return (np.maximum(a, np.float32(0)) + np.float32(0),)


def _step_of(op: ops.Recurrent) -> Step:
    if isinstance(op, ops.LSTM):
        return lstm_step
    assert isinstance(op, ops.RNN)
    return tanh_step if op.nonlinearity == "tanh" else relu_step


class _Layer:
    """One direction of one layer."""

    def __init__(self, weights: Weights, suffix: str, step: Step) -> None:
        self._input, self._recurrent = (
            PackedLinear(
                weights[f"weight_{part}_{suffix}"],
                weights.get(f"bias_{part}_{suffix}"),
                weights=weights.stored,
            )
            for part in ("ih", "hh")
        )
        self._step = step

    def step(self, x: np.ndarray, states: States) -> States:
        """One step of rows x [B, I] from their states [B, H]."""
        return self._next(self._input.run(x), states)

    def _next(self, products: np.ndarray, states: States) -> States:
        return self._step(products + self._recurrent.run(states[0]), states)

    def run(self, x: np.ndarray, states: States, lengths: np.ndarray | None) -> tuple[np.ndarray, States]:
        """All steps of x [B, T, I], and the states after each row's last valid step; zeros where there is none.

        Args:
            x: [B, T, I].
            states: [B, H] each, before the first step.
            lengths: valid steps of each row, or None where all rows are full.
        """
        batch, time = x.shape[:2]
        y = np.zeros((batch, time, states[0].shape[1]), np.float32)
        products = y
        for t in range(time):
            if t % BLOCK == 0:
                products = self._input(np.ascontiguousarray(x[:, t : t + BLOCK]))
            after = self._next(products[:, t % BLOCK], states)
            if lengths is None:
                states, y[:, t] = after, after[0]
            else:
                live = (t < lengths)[:, None]
                states = tuple(np.where(live, new, old) for new, old in zip(after, states, strict=True))
                np.copyto(y[:, t], after[0], where=live)
        return y, states


class CellImplementation:
    """`grus.spec.ops.LSTM` and `RNN`: layers and directions in PyTorch's order; remembers every layer's states."""

    def __init__(self, op: ops.LSTM | ops.RNN, weights: Weights, inputs: tuple[Shape, ...]) -> None:
        self.op = op
        self._layers = tuple(_Layer(weights, suffix, _step_of(op)) for suffix in op.suffixes)

    @_QUIET
    def __call__(self, chunk: Chunk, state: NodeState | None) -> Result:
        """Run a chunk through the stack."""
        batch = len(chunk.x)
        given = chunk.inputs[1:] or self._zeros(batch)
        *carried, begun = state or (*given, np.zeros(batch, np.bool_))
        states = tuple(np.where(begun[:, None], c, g) for c, g in zip(carried, given, strict=True))
        y, final = self._run(chunk, states)
        assert chunk.lengths is not None
        after = () if state is None else (*final, begun | (chunk.lengths > 0))
        return {"": y} | dict(zip(self.op.states, final, strict=True)), after

    def _run(self, chunk: Chunk, states: States) -> tuple[np.ndarray, States]:
        """All layers: y of the last, and the final states [B, parts * H]."""
        op, x, lengths = self.op, chunk.x, chunk.lengths if chunk.ragged else None
        finals: list[States] = []
        for layer in range(op.layers):
            outputs: list[np.ndarray] = []
            for part in range(layer * op.directions, (layer + 1) * op.directions):
                begin = tuple(
                    np.ascontiguousarray(s[:, part * op.hidden : (part + 1) * op.hidden]) for s in states
                )
                backwards = part % op.directions == 1
                y, final = self._layers[part].run(_reverse(x, lengths) if backwards else x, begin, lengths)
                outputs.append(_reverse(y, lengths) if backwards else y)
                finals.append(final)
            x = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=-1)
        return x, tuple(np.concatenate(parts, axis=1) for parts in zip(*finals, strict=True))

    def _zeros(self, batch: int) -> States:
        return tuple(np.zeros((batch, self.op.parts * self.op.hidden), np.float32) for _ in self.op.states)

    def init_state(self, batch: int) -> NodeState:
        """The states of all layers, and whether a row has begun (until then the initial-state inputs count)."""
        return (*self._zeros(batch), np.zeros(batch, np.bool_))


class CellStepImplementation:
    """`grus.spec.ops.LSTMStep` and `RNNStep`: every step of the input once from the same states."""

    def __init__(self, op: ops.LSTMStep | ops.RNNStep, weights: Weights, inputs: tuple[Shape, ...]) -> None:
        self._layer = _Layer(weights, "l0", _step_of(op.layer))

    @_QUIET
    def __call__(self, chunk: Chunk, state: NodeState | None) -> Result:
        """Step every input step once from its row's states."""
        x, *states = chunk.inputs
        batch, time, size = x.shape
        rows = np.ascontiguousarray(x).reshape(batch * time, size)
        y = self._layer.step(rows, tuple(np.repeat(s, time, axis=0) for s in states))[0]
        return {"": y.reshape(batch, time, y.shape[-1])}, ()

    def init_state(self, batch: int) -> NodeState:
        """Nothing."""
        return ()


def _reverse(x: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    """Every row's valid steps from the last to the first; padding stays where it is."""
    if lengths is None:
        return x[:, ::-1]
    steps = np.arange(x.shape[1])
    index = np.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
    return x[np.arange(len(x))[:, None], index]
