"""LSTM and simple RNN in ONNX: its own LSTM and RNN operators, whose equations are those of `torch.nn`."""

import numpy as np

from grus.export.onnx_format.build import Builder
from grus.export.onnx_format.lowering import Call, Lowering, Values, run_stack
from grus.kernels.layout import LSTM_ONNX_ORDER, LSTM_ORDER, reorder_blocks
from grus.spec import ops

_Arrays = dict[str, np.ndarray]


def layers(to: Lowering, call: Call) -> Values:
    """Lower `grus.spec.ops.LSTM` or `RNN`."""
    return run_stack(to, call, lambda layer, *given: _layer(to.b, call.op, call.weights, layer, *given))


def _layer(
    b: Builder, op: ops.LSTM | ops.RNN, weights: _Arrays, layer: int, x: str, states: list[str], lengths: str
) -> tuple[str, list[str]]:
    suffixes = op.suffixes[layer * op.directions : (layer + 1) * op.directions]
    parts = [_to_onnx_layout(op, weights, suffix) for suffix in suffixes]
    w, r, bias = (b.const(np.stack(arrays), "float32", "cell") for arrays in zip(*parts, strict=True))
    relu = isinstance(op, ops.RNN) and op.nonlinearity == "relu"
    options = {"activations": ["Relu"] * op.directions} if relu else {}
    y = b.add(
        op.name, x, w, r, bias, b.cast(lengths, "int32"), *states, outputs=1 + len(states), hidden_size=op.hidden,
        direction="bidirectional" if op.bidirectional else "forward", **options,
    )  # fmt: skip
    # As with its GRU, ONNX Runtime gives 0, not the initial state, as the final one of a row without steps.
    begun = b.unsqueeze(b.add("Greater", lengths, b.ints(0)), 0, 2)
    finals = [b.add("Where", begun, f"{y}:{i}", state) for i, state in enumerate(states, 1)]
    if not op.bidirectional:
        return b.squeeze(y, 1), finals
    joined = b.add("Transpose", y, perm=[0, 2, 1, 3])
    return b.add("Reshape", joined, b.ints(0, 0, 2 * op.hidden)), finals


def _to_onnx_layout(op: ops.LSTM | ops.RNN, weights: _Arrays, suffix: str) -> list[np.ndarray]:
    """W [gates * H, I], R [gates * H, H] and B [2 * gates * H] of one direction, in the operator's gate order."""

    def ordered(name: str) -> np.ndarray:
        array = weights[f"{name}_{suffix}"]
        return reorder_blocks(array, LSTM_ORDER, LSTM_ONNX_ORDER) if isinstance(op, ops.LSTM) else array

    zeros = np.zeros(op.gates * op.hidden, np.float32)
    biases = [ordered(name) if op.bias else zeros for name in ("bias_ih", "bias_hh")]
    return [ordered("weight_ih"), ordered("weight_hh"), np.concatenate(biases)]


def steps(to: Lowering, call: Call) -> Values:
    """Lower `grus.spec.ops.LSTMStep` or `RNNStep`; not the operators with B * T rows, see `ops` beside this."""
    b, op, w = to.b, call.op, call.weights
    h, *rest = (b.unsqueeze(value.name, 1) for value in call.inputs[1:])
    sums = b.add("Add", _products(b, w, "ih", call.x.name), _products(b, w, "hh", h))
    if isinstance(op, ops.RNNStep):
        return call.out(b.add("Tanh" if op.nonlinearity == "tanh" else "Relu", sums))
    i, f, g, o = (b.slice(sums, k * op.hidden, (k + 1) * op.hidden, 2) for k in range(4))
    old = b.add("Mul", b.add("Sigmoid", f), rest[0])
    c = b.add("Add", old, b.add("Mul", b.add("Sigmoid", i), b.add("Tanh", g)))
    return call.out(b.add("Mul", b.add("Sigmoid", o), b.add("Tanh", c)))


def _products(b: Builder, weights: _Arrays, part: str, x: str) -> str:
    """W x + b of the input or of the state."""
    y = b.add("MatMul", x, b.const(weights[f"weight_{part}_l0"].T, "float32", "weight"))
    bias = weights.get(f"bias_{part}_l0")
    return y if bias is None else b.add("Add", y, b.const(bias, "float32", "bias"))
