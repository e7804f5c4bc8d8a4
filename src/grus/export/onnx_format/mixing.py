"""Convolution and self-attention in ONNX; see `ops` beside this for what a lowering is."""

import numpy as np

from grus.export.onnx_format.build import Builder
from grus.export.onnx_format.lowering import Call, Lowering, Values


def convolution(to: Lowering, call: Call) -> Values:
    """Lower `grus.spec.ops.Convolution`: Conv over the remembered inputs and the new ones."""
    b, op, x, w = to.b, call.op, call.x, call.weights
    # One step more than there are, left out again: ONNX Runtime's Conv refuses to give none.
    parts = [x.name, b.zeros("float32", to.batch, 1, x.size)]
    if op.reach:
        before = to.before(call.name, "inputs", "float32", op.reach, x.size)
        parts = [before, *parts]
        offsets = b.const(np.arange(op.reach), "int64", "ints")
        # Row b's newest inputs end at lengths[b] of the chunk, which stands at reach + lengths[b] of what is held.
        index = b.unsqueeze(b.add("Add", b.unsqueeze(x.lengths, 1), offsets), 2)
        held = b.add("Concat", before, x.name, axis=1)
        to.after(call.name, "inputs", b.add("GatherND", held, index, batch_dims=1))
    arrays = [b.const(w[name], "float32", f"{call.name}.{name}") for name in ("weight", "bias") if name in w]
    channels = b.add("Transpose", b.add("Concat", *parts, axis=1), perm=[0, 2, 1])
    y = b.add("Conv", channels, *arrays, dilations=[op.dilation], kernel_shape=[op.kernel])
    return call.out(b.slice(b.add("Transpose", y, perm=[0, 2, 1]), 0, b.dim(x.name, 1), 1))


def self_attention(to: Lowering, call: Call) -> Values:
    """Lower `grus.spec.ops.SelfAttention`, which runs on whole sequences only."""
    b, op, x = to.b, call.op, call.x
    zero, width = b.const(0, "float32"), x.size // op.heads
    valid = b.unsqueeze(to.valid(x), 2)
    clean = b.add("Where", valid, x.name, zero)
    cut = b.ints(0, 0, 3 * op.heads, width)
    heads = b.add("Transpose", b.add("Reshape", _dense(b, call, "in_proj", clean), cut), perm=[0, 2, 1, 3])
    q, k, v = (b.slice(heads, i * op.heads, (i + 1) * op.heads, 1) for i in range(3))
    scale = b.const(np.float32(width**-0.5), "float32")
    scores = b.add("Mul", b.add("MatMul", q, b.add("Transpose", k, perm=[0, 1, 3, 2])), scale)
    seen = b.unsqueeze(to.valid(x), 1, 2)
    if op.causal:
        steps = to.steps(x.name)
        past = b.add("LessOrEqual", steps, b.unsqueeze(steps, 1))
        seen = b.add("And", seen, b.unsqueeze(past, 0, 1))
    # The least number, not -inf: for a row of padding alone the softmax would be NaN.
    least = b.const(np.finfo(np.float32).min, "float32")
    weights = b.add("Softmax", b.add("Where", seen, scores, least), axis=-1)
    mixed = b.add("Transpose", b.add("MatMul", weights, v), perm=[0, 2, 1, 3])
    y = _dense(b, call, "out_proj", b.add("Reshape", mixed, b.ints(0, 0, x.size)))
    return call.out(b.add("Where", valid, y, zero))


def _dense(b: Builder, call: Call, name: str, x: str) -> str:
    """W x + b at every step."""
    w = call.weights
    y = b.add("MatMul", x, b.const(w[f"{name}_weight"].T, "float32", f"{call.name}.{name}_weight"))
    if f"{name}_bias" not in w:
        return y
    return b.add("Add", y, b.const(w[f"{name}_bias"], "float32", f"{call.name}.{name}_bias"))
