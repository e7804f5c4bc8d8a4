"""The attentive decoder in ONNX: a Scan over the steps, in which each looks at the memory outside."""

from onnx import helper

from grus.export.onnx_format.build import Builder, value_info
from grus.export.onnx_format.cell import Cell, input_products, step
from grus.export.onnx_format.lowering import Call, Lowering, Value, Values, initial_states
from grus.kernels.layout import GRUWeights
from grus.spec import ops

_GRU = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def attentive_gru(to: Lowering, call: Call) -> Values:
    """Lower `grus.spec.ops.AttentiveGRU`."""
    b, op, (x, memory, keys) = to.b, call.op, call.inputs[:3]
    (h_0,) = initial_states(to, call, (op.hidden,), (".h",), call.inputs[3:])
    outer = _Memory(to, memory, keys)
    time, batch = b.dim(x.name, 1), to.batch
    # One step more than there are, valid for no row: ONNX Runtime's Scan refuses a sequence without steps (1.31).
    more = b.add("Concat", x.name, b.zeros("float32", batch, 1, x.size), axis=1)
    last = b.add("Add", time, b.ints(1))
    steps = b.add("Range", b.const(0, "int64"), b.squeeze(last, 0), b.const(1, "int64"))
    valid = b.unsqueeze(b.add("Less", b.unsqueeze(steps, 1), b.unsqueeze(x.lengths, 0)), 2)
    body = _body(b, call, outer, (x.size, memory.size))
    final = b.add(
        "Scan", h_0, b.add("Transpose", more, perm=[1, 0, 2]), valid, outputs=4, body=body, num_scan_inputs=2
    )
    y, c, a = (
        b.add("Transpose", b.slice(f"{final}:{number}", 0, time, 0), perm=[1, 0, 2]) for number in (1, 2, 3)
    )
    to.after(call.name, "h", final)
    return {
        "": Value(y, op.hidden, x.lengths),
        ".context": Value(c, memory.size, x.lengths),
        ".attention": Value(b.slice(a, 0, outer.steps, 2), 1, x.lengths),
        ".h": Value(final, op.hidden),
    }


class _Memory:
    """Memory, keys and which steps are valid, with one step more, valid for no row, so that there is always one."""

    def __init__(self, to: Lowering, memory: Value, keys: Value) -> None:
        b = to.b
        valid = to.valid(memory)
        self.steps = b.dim(memory.name, 1)
        self.memory, self.keys = (
            b.add(
                "Concat",
                b.add("Where", b.unsqueeze(valid, 2), value.name, b.const(0, "float32")),
                b.zeros("float32", to.batch, 1, value.size),
                axis=1,
            )
            for value in (memory, keys)
        )
        self.valid = b.add("Concat", valid, b.zeros("bool", to.batch, 1), axis=1)


def _body(outer: Builder, call: Call, memory: _Memory, sizes: tuple[int, int]) -> object:
    """One step: h [B, H], x [B, E] and whether it is valid [B, 1] -> the next h, and the three outputs."""
    op, w = call.op, call.weights
    b = Builder(f"step_{len(outer.nodes)}_", outer)
    names = [b.prefix + name for name in ("h", "x", "valid", "next", "y", "c", "a")]
    h, x, valid, *results = names
    cells = [
        Cell(GRUWeights(**{name: w[f"{name}_l{number}"] for name in _GRU}))
        for number in range(len(op.cells(*sizes)))
    ]

    def gru(cell: Cell, given: str, state: str) -> str:
        return step(b, cell, input_products(b, cell, given), state, axis=1)

    q = gru(cells[0], x, h) if op.form == "conditional" else h
    a = _attention(b, op, w, q, memory)
    c = b.squeeze(b.add("MatMul", b.unsqueeze(a, 1), memory.memory), 1)
    joined = c if op.form == "conditional" else b.add("Concat", x, c, axis=1)
    new = gru(cells[-1], joined, q)
    b.name(b.add("Where", valid, new, h), results[0])
    for value, name in zip((new, c, a), results[1:], strict=True):
        b.name(b.add("Where", valid, value, b.const(0, "float32")), name)
    state = ("batch", op.hidden)
    inputs = [
        value_info(h, "float32", state),
        value_info(x, "float32", ("batch", sizes[0])),
        value_info(valid, "bool", ("batch", 1)),
    ]
    widths = (op.hidden, op.hidden, sizes[1], "steps")
    outputs = [
        value_info(name, "float32", ("batch", width)) for name, width in zip(results, widths, strict=True)
    ]
    return helper.make_graph(b.nodes, f"{b.prefix}body", inputs, outputs)


def _attention(b: Builder, op: ops.AttentiveGRU, w: dict, q: str, memory: _Memory) -> str:  # type: ignore[type-arg]
    """What share of each step of the memory q [B, H] looks at, [B, S + 1]; nothing where no step is valid."""
    if op.score == "additive":
        asked = b.add("MatMul", q, b.const(w["query"].T, "float32", "query"))
        seen = b.add("Tanh", b.add("Add", memory.keys, b.unsqueeze(asked, 1)))
        scores = b.squeeze(b.add("MatMul", seen, b.const(w["vector"][:, None], "float32", "vector")), 2)
    else:
        scores = b.squeeze(b.add("MatMul", memory.keys, b.unsqueeze(q, 2)), 2)
    zero = b.const(0, "float32")
    scores = b.add("Where", memory.valid, scores, b.const(-float("inf"), "float32"))
    most = b.add("ReduceMax", scores, b.ints(1), keepdims=1)
    # Of a row without a memory it is -inf, and -inf - (-inf) is NaN.
    finite = b.add("Where", b.add("IsInf", most), zero, most)
    weight = b.add("Exp", b.add("Sub", scores, finite))
    total = b.add("ReduceSum", weight, b.ints(1), keepdims=1)
    return b.add("Div", weight, b.add("Where", b.add("Greater", total, zero), total, b.const(1, "float32")))
