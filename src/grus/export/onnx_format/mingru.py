"""The MinGRU in ONNX: products and gates of all steps at once, and a Scan for the one line that needs the state."""

from dataclasses import dataclass

import numpy as np

from grus.export.onnx_format.build import Builder
from grus.export.onnx_format.cell import scan_layer
from grus.export.onnx_format.lowering import Call, Lowering, Values, run_stack


@dataclass(frozen=True)
class MinCell:
    """One direction of one layer: weight [2H, I], rows z, n, and bias [2H] or None."""

    weight: np.ndarray
    bias: np.ndarray | None

    @property
    def hidden(self) -> int:
        """The number of units, H."""
        return self.rows // 2

    @property
    def rows(self) -> int:
        """z and n."""
        return len(self.weight)

    def products(self, b: Builder, x: str) -> str:
        """z and (1 - z) * n side by side: [..., I] -> [..., 2H]."""
        a = b.add("MatMul", x, b.const(self.weight.T, "float32", "weight"))
        if self.bias is not None:
            a = b.add("Add", a, b.const(self.bias, "float32", "bias"))
        z = b.add("Sigmoid", b.slice(a, 0, self.hidden, -1))
        n = b.slice(a, self.hidden, self.rows, -1)
        new = b.add("Mul", b.add("Sub", b.const(1, "float32"), z), n)
        return b.add("Concat", z, new, axis=-1)

    def step(self, b: Builder, a_i: str, h: str, axis: int) -> str:
        """The next state, (1 - z) * n + z * h."""
        z, new = b.slice(a_i, 0, self.hidden, axis), b.slice(a_i, self.hidden, self.rows, axis)
        return b.add("Add", new, b.add("Mul", z, h))


def _cell(call: Call, suffix: str) -> MinCell:
    return MinCell(call.weights[f"weight_ih_{suffix}"], call.weights.get(f"bias_ih_{suffix}"))


def layers(to: Lowering, call: Call) -> Values:
    """Lower `grus.spec.ops.MinGRU`."""
    ways = call.op.directions

    def run(layer: int, x: str, states: list[str], lengths: str) -> tuple[str, list[str]]:
        cells = [_cell(call, suffix) for suffix in call.op.suffixes[layer * ways : (layer + 1) * ways]]
        y, final = scan_layer(to.b, cells, x, states[0], lengths)
        return y, [final]

    return run_stack(to, call, run)


def steps(to: Lowering, call: Call) -> Values:
    """Lower `grus.spec.ops.MinGRUStep`."""
    cell, h = _cell(call, "l0"), to.b.unsqueeze(call.inputs[1].name, 1)
    return call.out(cell.step(to.b, cell.products(to.b, call.x.name), h, axis=2))
