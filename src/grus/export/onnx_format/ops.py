"""ONNX lowerings of the ops, one row an op, by op class.

A lowering adds its nodes and returns its outputs by suffix. What the runtime remembers between chunks (the tuple of
`grus.runtime.chunk.Implementation.init_state`) is a state of the same meaning here, in the same order, except that
every state here begins as zeros, so that whoever runs the file needs to know no more than its shapes.
"""

import numpy as np

from grus.export.onnx_format import lstm_rnn as onnx_lstm_rnn
from grus.export.onnx_format import mingru as onnx_mingru
from grus.export.onnx_format import mixing
from grus.export.onnx_format.adaptive import adaptive_softmax
from grus.export.onnx_format.attentive import attentive_gru
from grus.export.onnx_format.build import Builder
from grus.export.onnx_format.cell import cells, input_products, run_layer, step
from grus.export.onnx_format.grud import grud
from grus.export.onnx_format.lowering import Call, Lower, Lowering, Value, Values, run_stack
from grus.spec import Op, ops

INFINITY = float("inf")


def _linear(to: Lowering, call: Call) -> Values:
    b, w = to.b, call.weights
    y = b.add("MatMul", call.x.name, b.const(w["weight"].T, "float32", f"{call.name}.weight"))
    if "bias" in w:
        y = b.add("Add", y, b.const(w["bias"], "float32", f"{call.name}.bias"))
    return call.out(y)


def _activation(to: Lowering, call: Call) -> Values:
    return call.out(
        to.b.add({"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}[call.op.function], call.x.name)
    )


def _dropout(to: Lowering, call: Call) -> Values:
    return call.out(call.x.name)


def _embedding(to: Lowering, call: Call) -> Values:
    table = to.b.const(call.weights["weight"], "float32", f"{call.name}.weight")
    return call.out(to.b.add("Gather", table, call.x.name))


def _position(to: Lowering, call: Call) -> Values:
    b = to.b
    start = to.before(call.name, "steps", "int64")
    index = b.add("Add", b.unsqueeze(start, 1), to.steps(call.x.name))
    used = b.add("Where", to.valid(call.x), index, b.const(0, "int64"))
    to.after(call.name, "steps", b.add("Add", start, call.x.lengths))
    return call.out(b.add("Gather", b.const(call.weights["weight"], "float32", f"{call.name}.weight"), used))


def _columns(to: Lowering, call: Call) -> Values:
    return call.out(to.b.slice(call.x.name, call.op.start, call.op.stop, -1))


def _broadcast(to: Lowering, inputs: tuple[Value, ...]) -> tuple[list[str], Value]:
    """Names that broadcast against each other, a vec as [B, 1, size], and an input that has the result's clock."""
    seq = next((value for value in inputs if value.is_seq), None)
    if seq is None:
        return [value.name for value in inputs], inputs[0]
    return [v.name if v.is_seq else to.b.unsqueeze(v.name, 1) for v in inputs], seq


def _concat(to: Lowering, call: Call) -> Values:
    b = to.b
    names, like = _broadcast(to, call.inputs)
    if like.is_seq:
        steps = b.dim(like.name, 1)
        names = [
            name if value.is_seq else b.add("Expand", name, b.shape(1, steps, 1))
            for name, value in zip(names, call.inputs, strict=True)
        ]
    return {"": Value(b.add("Concat", *names, axis=-1), call.size, like.lengths)}


def _elementwise(operator: str) -> Lower:
    def lower(to: Lowering, call: Call) -> Values:
        names, like = _broadcast(to, call.inputs)
        return {"": Value(to.b.add(operator, *names), call.size, like.lengths)}

    return lower


def _last(to: Lowering, call: Call) -> Values:
    b, x, steps = to.b, call.x, call.op.steps
    before = to.before(call.name, "newest", "float32", steps, x.size)
    seen = to.before(call.name, "count", "int64")
    held = b.add("Concat", before, x.name, axis=1)
    offsets = b.const(np.arange(steps), "int64", "ints")
    # Row b's newest steps end at lengths[b] of the chunk, which stands at steps + lengths[b] of what is held.
    index = b.unsqueeze(b.add("Add", b.unsqueeze(x.lengths, 1), offsets), 2)
    newest = b.add("GatherND", held, index, batch_dims=1)
    count = b.add("Min", b.add("Add", seen, x.lengths), b.const(steps, "int64"))
    missing = b.unsqueeze(b.add("Sub", b.const(steps, "int64"), count), 1)
    real = b.unsqueeze(b.add("GreaterOrEqual", offsets, missing), 2)
    newest = b.add("Where", real, newest, b.const(0, "float32"))
    to.after(call.name, "newest", newest)
    to.after(call.name, "count", count)
    total = b.add("ReduceSum", newest, b.ints(1), keepdims=0)
    return _vec(call, b.add("Div", total, _at_least_one(b, count, "float32")))


def _pool(to: Lowering, call: Call) -> Values:
    return (_mean if call.op.how == "mean" else _max)(to, call)


def _mean(to: Lowering, call: Call) -> Values:
    b, x = to.b, call.x
    before = to.before(call.name, "sum", "float64", x.size)
    seen = to.before(call.name, "count", "int64")
    total = _summed(b, before, b.cast(_masked(to, x, 0), "float64"))
    count = b.add("Add", seen, x.lengths)
    to.after(call.name, "sum", total)
    to.after(call.name, "count", count)
    return _vec(call, b.cast(b.add("Div", total, _at_least_one(b, count, "float64")), "float32"))


def _max(to: Lowering, call: Call) -> Values:
    b, x = to.b, call.x
    before = to.before(call.name, "greatest", "float32", x.size)
    seen = to.before(call.name, "count", "int64")
    known = b.unsqueeze(b.add("Greater", seen, b.const(0, "int64")), 1)
    before = b.add("Where", known, before, b.const(-INFINITY, "float32"))
    joined = b.add("Concat", b.unsqueeze(before, 1), _masked(to, x, -INFINITY), axis=1)
    greatest = b.add("ReduceMax", joined, b.ints(1), keepdims=0)
    count = b.add("Add", seen, x.lengths)
    to.after(call.name, "greatest", greatest)
    to.after(call.name, "count", count)
    begun = b.unsqueeze(b.add("Greater", count, b.const(0, "int64")), 1)
    return _vec(call, b.add("Where", begun, greatest, b.const(0, "float32")))


def _attention_pool(to: Lowering, call: Call) -> Values:
    """A softmax over all valid steps, on line; see `grus.runtime.pools.AttentionPool`."""
    b, x, zero = to.b, call.x, to.b.const(0, "float64")
    most = to.before(call.name, "greatest", "float64")
    denominator = to.before(call.name, "denominator", "float64")
    numerator = to.before(call.name, "numerator", "float64", x.size)
    most = b.add("Where", b.add("Greater", denominator, zero), most, b.const(-np.inf, "float64"))
    scores = b.add("Where", to.valid(x), _scores(b, call), b.const(-INFINITY, "float32"))
    scores = b.cast(scores, "float64")
    joined = b.add("Concat", b.unsqueeze(most, 1), scores, axis=1)
    greatest = b.add("ReduceMax", joined, b.ints(1), keepdims=0)
    # Of a row that has seen nothing it is -inf, and -inf - (-inf) is NaN.
    finite = b.add("Where", b.add("IsInf", greatest), zero, greatest)
    keep = b.add("Exp", b.add("Sub", most, finite))
    weight = b.unsqueeze(b.add("Exp", b.add("Sub", scores, b.unsqueeze(finite, 1))), 2)
    values = b.cast(_masked(to, x, 0), "float64")
    numerator = _summed(b, b.add("Mul", numerator, b.unsqueeze(keep, 1)), b.add("Mul", weight, values))
    denominator = b.unsqueeze(b.add("Mul", denominator, keep), 1)
    denominator = _summed(b, denominator, weight)
    to.after(call.name, "greatest", greatest)
    to.after(call.name, "denominator", b.squeeze(denominator, 1))
    to.after(call.name, "numerator", numerator)
    begun = b.add("Greater", denominator, zero)
    mean = b.add("Div", numerator, b.add("Where", begun, denominator, b.const(1, "float64")))
    return _vec(call, b.cast(mean, "float32"))


def _scores(b: Builder, call: Call) -> str:
    """v . tanh(W h_t + b) of every step, [B, T]."""
    w = call.weights
    hidden = b.add("MatMul", call.x.name, b.const(w["weight"].T, "float32", f"{call.name}.weight"))
    hidden = b.add("Tanh", b.add("Add", hidden, b.const(w["bias"], "float32", f"{call.name}.bias")))
    return b.squeeze(
        b.add("MatMul", hidden, b.const(w["vector"][:, None], "float32", f"{call.name}.vector")), 2
    )


def _masked(to: Lowering, x: Value, fill: float) -> str:
    """x with padding replaced."""
    return to.b.add("Where", to.b.unsqueeze(to.valid(x), 2), x.name, to.b.const(fill, "float32"))


def _summed(b: Builder, before: str, x: str) -> str:
    """before [B, C] + the sum of x [B, T, C] over time, also for T = 0, of which not every runtime knows the sum."""
    joined = b.add("Concat", b.unsqueeze(before, 1), x, axis=1)
    return b.add("ReduceSum", joined, b.ints(1), keepdims=0)


def _at_least_one(b: Builder, count: str, dtype: str) -> str:
    """max(count, 1) as a column."""
    return b.unsqueeze(b.cast(b.add("Max", count, b.const(1, "int64")), dtype), 1)


def _vec(call: Call, name: str) -> Values:
    return {"": Value(name, call.size)}


def _segment(to: Lowering, call: Call) -> Values:
    b, length, size, lengths = to.b, call.op.length, call.x.size, call.x.lengths
    x = call.x.name
    if to.streams:
        rest = to.state(call.name, "rest", "float32", f"{call.name}.rest", size)
        lengths = b.add("Add", lengths, b.dim(rest, 1))
        held = b.add("Concat", rest, x, axis=1)
        whole = b.add("Mul", b.add("Div", b.dim(held, 1), b.ints(length)), b.ints(length))
        to.after(call.name, "rest", b.slice(held, whole, b.ints(np.iinfo(np.int64).max), 1))
        x = b.slice(held, 0, whole, 1)
    # Reshape fails, as it should, where a whole sequence is no whole number of segments.
    blocks = b.add("Div", b.dim(x, 1), b.ints(length))
    y = b.add("Reshape", x, b.shape(to.batch, blocks, length * size), allowzero=1)
    return {"": Value(y, call.size, b.add("Div", lengths, b.ints(length)))}


def _unsegment(to: Lowering, call: Call) -> Values:
    b, x = to.b, call.x
    steps = b.add("Mul", b.dim(x.name, 1), b.ints(call.op.length))
    y = b.add("Reshape", x.name, b.shape(to.batch, steps, call.size), allowzero=1)
    # A row that is full has as many steps as came back, which in a chunk are not those of the input.
    base, *cuts = call.clock.split("/")
    full, lengths = to.full[base]
    is_full = b.add("Equal", lengths, full)
    for cut in cuts:
        lengths = b.add("Div", lengths, b.ints(int(cut)))
    return {"": Value(y, call.size, b.add("Where", is_full, steps, lengths))}


def _gru(to: Lowering, call: Call) -> Values:
    return run_stack(
        to, call, lambda layer, x, states, lengths: _gru_layer(to.b, call, layer, x, states, lengths)
    )


def _gru_layer(
    b: Builder, call: Call, layer: int, x: str, states: list[str], lengths: str
) -> tuple[str, list[str]]:
    y, final = run_layer(b, cells(call.op, call.weights, layer), x, states[0], lengths)
    return y, [final]


def _gru_step(to: Lowering, call: Call) -> Values:
    """Not the GRU operator with one step and B * T rows: of no rows, ONNX Runtime's ends the process (1.31)."""
    b = to.b
    (cell,) = cells(call.op, call.weights)
    a_i = input_products(b, cell, call.x.name)
    return call.out(step(b, cell, a_i, b.unsqueeze(call.inputs[1].name, 1), axis=2))


LOWERINGS: dict[type[Op], Lower] = {
    ops.Linear: _linear,
    ops.Activation: _activation,
    ops.Dropout: _dropout,
    ops.Embedding: _embedding,
    ops.Position: _position,
    ops.Columns: _columns,
    ops.Concat: _concat,
    ops.Add: _elementwise("Add"),
    ops.Subtract: _elementwise("Sub"),
    ops.Multiply: _elementwise("Mul"),
    ops.Last: _last,
    ops.Pool: _pool,
    ops.AttentionPool: _attention_pool,
    ops.Segment: _segment,
    ops.Unsegment: _unsegment,
    ops.GRU: _gru,
    ops.GRUStep: _gru_step,
    ops.LSTM: onnx_lstm_rnn.layers,
    ops.LSTMStep: onnx_lstm_rnn.steps,
    ops.RNN: onnx_lstm_rnn.layers,
    ops.RNNStep: onnx_lstm_rnn.steps,
    ops.MinGRU: onnx_mingru.layers,
    ops.MinGRUStep: onnx_mingru.steps,
    ops.Convolution: mixing.convolution,
    ops.SelfAttention: mixing.self_attention,
    ops.AttentiveGRU: attentive_gru,
    ops.GRUD: grud,
    ops.AdaptiveSoftmax: adaptive_softmax,
}
