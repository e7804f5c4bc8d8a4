"""GRU-D in ONNX: a Scan for what was seen last and when, the decays of all steps at once, a Scan for the GRU."""

from dataclasses import dataclass

import numpy as np
from onnx import helper

from grus.export.onnx_format.build import Builder, value_info
from grus.export.onnx_format.cell import Cell, input_products, scan_layer, step
from grus.export.onnx_format.lowering import Call, Lowering, Value, Values, initial_states
from grus.kernels.layout import GRUWeights


@dataclass(frozen=True)
class FadingCell:
    """A GRU whose state is multiplied by a decay before each step; what it takes is xhat and m [2D], then gh [H]."""

    gru: Cell

    @property
    def hidden(self) -> int:
        """The number of units, H."""
        return self.gru.hidden

    @property
    def rows(self) -> int:
        """A_i and the decay."""
        return self.gru.rows + self.hidden

    def products(self, b: Builder, x: str) -> str:
        """A_i and the decay side by side: [..., 2D + H] -> [..., 4H]."""
        size = self.gru.weights.input_size
        a_i = input_products(b, self.gru, b.slice(x, 0, size, -1))
        return b.add("Concat", a_i, b.slice(x, size, size + self.hidden, -1), axis=-1)

    def step(self, b: Builder, a_i: str, h: str, axis: int) -> str:
        """The next state."""
        decay = b.slice(a_i, self.gru.rows, self.rows, axis)
        return step(b, self.gru, b.slice(a_i, 0, self.gru.rows, axis), b.add("Mul", decay, h), axis)


def grud(to: Lowering, call: Call) -> Values:
    """Lower `grus.spec.ops.GRUD`."""
    b, w, size = to.b, call.weights, call.x.size
    sizes = call.op.sizes(size)
    h, last, since = initial_states(to, call, sizes, call.op.states, call.inputs[3:])
    x, mask, gap = (b.add("Transpose", value.name, perm=[1, 0, 2]) for value in call.inputs[:3])
    seen = b.add("Greater", mask, b.const(0.5, "float32"))
    before, elapsed, last, since = _look_back(to, call.x, (x, seen, gap), (last, since))
    sums = b.add("Mul", elapsed, b.const(w["input_decay_weight"], "float32", "decay"))
    fading = _decay(b, b.add("Add", sums, b.const(w["input_decay_bias"], "float32", "decay")))
    filled = b.add("Where", seen, x, b.add("Mul", fading, before))
    sums = b.add("MatMul", elapsed, b.const(w["state_decay_weight"].T, "float32", "decay"))
    state_decay = _decay(b, b.add("Add", sums, b.const(w["state_decay_bias"], "float32", "decay")))
    joined = b.add("Concat", filled, b.cast(seen, "float32"), state_decay, axis=2)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    cell = FadingCell(Cell(GRUWeights(**{name: w[f"{name}_l0"] for name in names})))
    y, h_n = scan_layer(b, [cell], joined, b.unsqueeze(h, 0), call.x.lengths)
    outputs = call.out(b.add("Transpose", y, perm=[1, 0, 2]))
    finals = (b.squeeze(h_n, 0), last, since)
    for suffix, width, final in zip(call.op.states, sizes, finals, strict=True):
        to.after(call.name, suffix[1:], final)
        outputs[suffix] = Value(final, width)
    return outputs


def _decay(b: Builder, a: str) -> str:
    """exp(-max(0, a))."""
    return b.add("Exp", b.add("Neg", b.add("Relu", a)))


def _look_back(
    to: Lowering, x: Value, given: tuple[str, str, str], states: tuple[str, str]
) -> tuple[str, str, str, str]:
    """Of all steps [T, B, D] the last value before and the time since; and both states after each row's last step."""
    b = to.b
    time = b.dim(x.name, 1)
    # One step more than there are, valid for no row: ONNX Runtime's Scan refuses a sequence without steps (1.31).
    last = b.add("Add", time, b.ints(1))
    steps = b.add("Range", b.const(0, "int64"), b.squeeze(last, 0), b.const(1, "int64"))
    valid = b.unsqueeze(b.add("Less", b.unsqueeze(steps, 1), b.unsqueeze(x.lengths, 0)), 2)
    widths = (x.size, x.size, 1)
    more = [
        b.add("Concat", name, b.zeros(dtype, 1, to.batch, width), axis=0)
        for name, dtype, width in zip(given, ("float32", "bool", "float32"), widths, strict=True)
    ]
    body = _body(b, x.size)
    first = b.add("Scan", *states, *more, valid, outputs=4, body=body, num_scan_inputs=4)
    before, elapsed = (b.slice(f"{first}:{number}", 0, time, 0) for number in (2, 3))
    return before, elapsed, first, f"{first}:1"


def _body(outer: Builder, size: int) -> object:
    """One step: last and since, x, what is seen of it, the gap and whether it is valid."""
    b = Builder(f"step_{len(outer.nodes)}_", outer)
    names = ("last", "since", "x", "seen", "gap", "valid", "last_next", "since_next", "before", "elapsed")
    last, since, x, seen, gap, valid, *results = (b.prefix + name for name in names)
    elapsed = b.add("Add", gap, since)
    there = b.add("And", seen, valid)
    new = b.add("Where", seen, b.const(np.float32(0), "float32"), elapsed)
    made = (b.add("Where", there, x, last), b.add("Where", valid, new, since), last, elapsed)
    for value, name in zip(made, results, strict=True):
        b.name(value, name)
    wide, one = ("batch", size), ("batch", 1)
    inputs = [
        *(value_info(name, "float32", wide) for name in (last, since, x)),
        value_info(seen, "bool", wide),
        value_info(gap, "float32", one),
        value_info(valid, "bool", one),
    ]
    outputs = [value_info(name, "float32", wide) for name in results]
    return helper.make_graph(b.nodes, f"{b.prefix}body", inputs, outputs)
