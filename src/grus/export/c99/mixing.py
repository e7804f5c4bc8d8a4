"""Convolution and self-attention in C; see `lower` beside this for what a lowering is, and `mixing.h`."""

import numpy as np

from grus.export.c99.builder import Value
from grus.export.c99.lines import Lines
from grus.spec import ops


def convolution(c: Lines, op: ops.Convolution, x: Value) -> dict[str, Value]:
    """Lower `grus.spec.ops.Convolution`: one product over the window of a step, the last inputs in a ring."""
    c.body.unit.headers.add("mixing.h")
    y, window = c.new(op.size), c.body.scratch(op.kernel * x.size)
    ring, place = "NULL", "NULL"
    if op.reach:
        ring, place = c.body.remembered(op.reach * x.size), c.body.kept("counts", 1)
    # One row an output, its steps side by side, as the window has them.
    matrix = c.matrix("weight", np.ascontiguousarray(c.weights["weight"].swapaxes(1, 2)).reshape(op.size, -1))
    c(
        f"grus_convolve({y.at}, {matrix}, {c.floats('bias')}, {x.at}, {x.steps}, {op.kernel}, {op.dilation}, "
        f"{ring}, {place}, {window}, {c.rounded});"
    )
    c.multiplies(op.size * op.kernel * x.size, x.steps)
    return {"": y}


def self_attention(c: Lines, op: ops.SelfAttention, x: Value) -> dict[str, Value]:
    """Lower `grus.spec.ops.SelfAttention` over a length that is fixed at export."""
    c.body.unit.headers.add("mixing.h")
    y = c.new(x.size)
    layers = ", ".join(
        f"{c.matrix(f'{name}_weight')}, {c.floats(f'{name}_bias')}" for name in ("in_proj", "out_proj")
    )
    room = ", ".join(c.body.scratch(size) for size in (3 * x.size * x.steps, x.size, x.steps))
    c(
        f"grus_self_attend({y.at}, {layers}, {x.at}, {x.steps}, {op.heads}, {int(op.causal)}, {room}, {c.rounded});"
    )
    c.multiplies(4 * x.size * x.size + 2 * x.steps * x.size, x.steps)
    return {"": y}
