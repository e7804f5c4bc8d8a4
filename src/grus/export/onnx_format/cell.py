"""The GRU in ONNX: its own GRU operator where that says the same, else one step inside a Scan.

The operator's equations are those of `grus.kernels.reference` with gates in the order z, r, h and
``linear_before_reset`` for ``reset_after``. It knows neither layer normalisation nor zoneout.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from onnx import helper

from grus.export.onnx_format.build import Builder, value_info
from grus.kernels.layout import GRUWeights, to_onnx_layout
from grus.kernels.reference import LAYER_NORM_EPS
from grus.spec import ops


@dataclass(frozen=True)
class Cell:
    """One direction of one layer: its weights, where the reset gate acts, and the zoneout of evaluation."""

    weights: GRUWeights
    reset_after: bool = True
    zoneout: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether the GRU operator can say it."""
        return not self.weights.layer_norm and not self.zoneout

    @property
    def hidden(self) -> int:
        """The number of units, H."""
        return self.weights.hidden_size

    @property
    def rows(self) -> int:
        """Numbers of A_i."""
        return 3 * self.hidden

    def products(self, b: Builder, x: str) -> str:
        """See `input_products`."""
        return input_products(b, self, x)

    def step(self, b: Builder, a_i: str, h: str, axis: int) -> str:
        """See `step`."""
        return step(b, self, a_i, h, axis)


class ScanCell(Protocol):
    """One direction of one layer as a Scan wants it: what is computed for all steps at once, and one step."""

    @property
    def hidden(self) -> int:
        """The number of units, H."""
        ...

    @property
    def rows(self) -> int:
        """How many numbers `products` gives a step."""
        ...

    def products(self, b: Builder, x: str) -> str:
        """All that does not need the state: [T, B, I] -> [T, B, rows]."""
        ...

    def step(self, b: Builder, a_i: str, h: str, axis: int) -> str:
        """The next state from one step's products [..., rows] and h [..., H], whose features lie along ``axis``."""
        ...


def cells(op: ops.GRU | ops.GRUStep, weights: dict[str, np.ndarray], layer: int = 0) -> list[Cell]:
    """The directions of one layer, from tensors named as in torch.nn.GRU."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "gain_ih", "gain_hh")
    suffixes = [f"l{layer}", f"l{layer}_reverse"][: op.directions if isinstance(op, ops.GRU) else 1]
    zoneout = op.zoneout if isinstance(op, ops.GRU) else 0.0
    return [
        Cell(
            GRUWeights(**{n: weights[f"{n}_{s}"] for n in names if f"{n}_{s}" in weights}),
            op.reset_after,
            zoneout,
        )
        for s in suffixes
    ]


def run_layer(b: Builder, layer: list[Cell], x: str, h_0: str, lengths: str) -> tuple[str, str]:
    """Add one layer.

    Args:
        b: the graph.
        layer: one cell, or forwards and backwards.
        x: [T, B, I].
        h_0: [D, B, H].
        lengths: int64 [B].

    Returns:
        The output [T, B, D * H] and the final states [D, B, H]; a row without steps keeps its initial state.
    """
    if not all(cell.is_plain for cell in layer):
        return scan_layer(b, layer, x, h_0, lengths)
    parts = [to_onnx_layout(cell.weights) for cell in layer]
    w, r, bias = (b.const(np.stack(arrays), "float32", "gru") for arrays in zip(*parts, strict=True))
    hidden = layer[0].weights.hidden_size
    y = b.add(
        "GRU", x, w, r, bias, b.cast(lengths, "int32"), h_0, outputs=2, hidden_size=hidden,
        linear_before_reset=int(layer[0].reset_after),
        direction="bidirectional" if len(layer) == 2 else "forward",
    )  # fmt: skip
    # ONNX Runtime (1.20 to 1.31) gives 0, not h_0, as the final state of a row without steps.
    begun = b.unsqueeze(b.add("Greater", lengths, b.ints(0)), 0, 2)
    final = b.add("Where", begun, f"{y}:1", h_0)
    if len(layer) == 1:
        return b.squeeze(y, 1), final
    joined = b.add("Transpose", y, perm=[0, 2, 1, 3])
    return b.add("Reshape", joined, b.ints(0, 0, 2 * hidden)), final


def scan_layer(b: Builder, layer: Sequence[ScanCell], x: str, h_0: str, lengths: str) -> tuple[str, str]:
    """As `run_layer`, of any cells."""
    time = b.dim(x, 0)
    # One step more than there are, valid for no row: ONNX Runtime's Scan refuses a sequence without steps (1.31).
    last = b.add("Add", time, b.ints(1))
    steps = b.add("Range", b.const(0, "int64"), b.squeeze(last, 0), b.const(1, "int64"))
    valid = b.unsqueeze(b.add("Less", b.unsqueeze(steps, 1), b.unsqueeze(lengths, 0)), 2)
    outputs: list[str] = []
    finals: list[str] = []
    for direction, cell in enumerate(layer):
        source = _reverse(b, x, lengths) if direction else x
        products = cell.products(b, source)
        none = b.zeros("float32", 1, b.dim(x, 1), cell.rows)
        start = b.squeeze(b.slice(h_0, direction, direction + 1, 0), 0)
        gates = b.add("Concat", products, none, axis=0)
        final = b.add("Scan", start, gates, valid, outputs=2, body=_body(b, cell), num_scan_inputs=2)
        y = b.slice(f"{final}:1", 0, time, 0)
        outputs.append(_reverse(b, y, lengths) if direction else y)
        finals.append(b.unsqueeze(final, 0))
    return b.add("Concat", *outputs, axis=2), b.add("Concat", *finals, axis=0)


def _reverse(b: Builder, x: str, lengths: str) -> str:
    """Every row's valid steps from the last to the first."""
    return b.add("ReverseSequence", x, lengths, batch_axis=1, time_axis=0)


def _body(outer: Builder, cell: ScanCell) -> object:
    """One step: h [B, H], A_i [B, rows] and whether it is valid [B, 1] -> the next h, and the output."""
    b = Builder(f"step_{len(outer.nodes)}_", outer)
    names = [b.prefix + name for name in ("h", "a", "valid", "next", "y")]
    h, a, valid, h_next, y = names
    new = cell.step(b, a, h, axis=1)
    b.name(b.add("Where", valid, new, h), h_next)
    b.name(b.add("Where", valid, new, b.const(0, "float32")), y)
    state, gates = ("batch", cell.hidden), ("batch", cell.rows)
    inputs = [
        value_info(h, "float32", state),
        value_info(a, "float32", gates),
        value_info(valid, "bool", ("batch", 1)),
    ]
    outputs = [value_info(h_next, "float32", state), value_info(y, "float32", state)]
    return helper.make_graph(b.nodes, f"{b.prefix}body", inputs, outputs)


def input_products(b: Builder, cell: Cell, x: str) -> str:
    """A_i = W_i x + b_i of all steps, normalised where the cell says so: [..., I] -> [..., 3H]."""
    w = cell.weights
    if not w.layer_norm:
        return _products(b, x, w.weight_ih, w.bias_ih, None)
    parts = [_products(b, x, w.weight_ih[p], *_rows(w.bias_ih, w.gain_ih, p)) for p in _parts(w)]
    return b.add("Concat", *parts, axis=-1)


def step(b: Builder, cell: Cell, a_i: str, h: str, axis: int) -> str:
    """The next state from A_i [..., 3H] and h [..., H], whose gates lie along ``axis``."""
    w = cell.weights
    size, (rz_part, n_part) = w.hidden_size, _parts(w)
    a_rz, a_n = (b.slice(a_i, p.start, p.stop, axis) for p in (rz_part, n_part))
    recurrent = [(w.weight_hh[part], *_rows(w.bias_hh, w.gain_hh, part)) for part in (rz_part, n_part)]
    rz = b.add("Sigmoid", b.add("Add", a_rz, _products(b, h, *recurrent[0])))
    r, z = (b.slice(rz, i * size, (i + 1) * size, axis) for i in (0, 1))
    if cell.reset_after:
        inner = b.add("Mul", r, _products(b, h, *recurrent[1]))
    else:
        inner = _products(b, b.add("Mul", r, h), *recurrent[1])
    n = b.add("Tanh", b.add("Add", a_n, inner))
    one = b.const(1, "float32")
    new = b.add("Add", b.add("Mul", b.add("Sub", one, z), n), b.add("Mul", z, h))
    if not cell.zoneout:
        return new
    k = np.float32(cell.zoneout)
    kept = b.add("Mul", b.const(k, "float32"), h)
    return b.add("Add", kept, b.add("Mul", b.const(np.float32(1) - k, "float32"), new))


def _parts(weights: GRUWeights) -> tuple[slice, slice]:
    """Rows of r and z, and rows of n."""
    hidden = weights.hidden_size
    return slice(0, 2 * hidden), slice(2 * hidden, 3 * hidden)


def _rows(
    bias: np.ndarray | None, gain: np.ndarray | None, part: slice
) -> tuple[np.ndarray | None, np.ndarray | None]:
    return (None if bias is None else bias[part]), (None if gain is None else gain[part])


def _products(
    b: Builder, x: str, weight: np.ndarray, bias: np.ndarray | None, gain: np.ndarray | None
) -> str:
    """W x, normalised if there is a gain, plus the bias."""
    y = b.add("MatMul", x, b.const(weight.T, "float32", "weight"))
    if gain is not None:
        shift = np.zeros_like(gain) if bias is None else bias
        arrays = [b.const(array, "float32", "norm") for array in (gain, shift)]
        return b.add("LayerNormalization", y, *arrays, axis=-1, epsilon=LAYER_NORM_EPS)
    return y if bias is None else b.add("Add", y, b.const(bias, "float32", "bias"))
