"""The adaptive softmax in C; see `lower` beside this for what a lowering is, and `adaptive.h`."""

from grus.export.c99.builder import Value
from grus.export.c99.lines import Lines
from grus.spec import ops


def adaptive_softmax(c: Lines, op: ops.AdaptiveSoftmax, x: Value) -> dict[str, Value]:
    """Lower `grus.spec.ops.AdaptiveSoftmax`: the head, then every cluster into its place."""
    c.body.unit.headers.add("adaptive.h")
    steps, count = max(x.steps, 1), len(op.cutoffs)
    y, shares = c.new(op.size), c.body.scratch(steps * count)
    head = f"{c.matrix('weight')}, {c.floats('bias')}"
    c(f"grus_adaptive_head({y.at}, {op.size}, {head}, {x.at}, {steps}, {shares}, {count}, {c.rounded});")
    c.multiplies(op.head * x.size, x.steps)
    for k, (begin, end) in enumerate(op.clusters):
        width = op.width(k, x.size)
        narrow, matrices = c.body.scratch(width), f"{c.matrix(f'projection_{k}')}, {c.matrix(f'weight_{k}')}"
        c(
            f"grus_adaptive_cluster({y.at} + {begin}, {op.size}, {matrices}, {c.floats(f'bias_{k}')}, {x.at}, {steps}, "
            f"{shares} + {k}, {count}, {narrow}, {c.rounded});"
        )
        c.multiplies(width * (x.size + end - begin), x.steps)
    return {"": y}
