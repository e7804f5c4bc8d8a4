"""From a graph to lines of C: one function an op, by op class.

The same lines run a graph step by step (``carried``: a call is one step of one clock, and ops remember) and over whole
sequences of a length fixed at export (nothing is remembered from call to call).
"""

from collections.abc import Callable, Mapping
from typing import Any

from grus.errors import UnsupportedError
from grus.export.c99 import adaptive, mixing, recurrent
from grus.export.c99.builder import Body, Value
from grus.export.c99.lines import Lines, Outputs, Weights
from grus.spec import Graph, Op, infer, ops, require, require_streaming


def lower(
    body: Body, graph: Graph, tensors: Weights, inputs: Mapping[str, Value], times: Mapping[str, int]
) -> Outputs:
    """Add a graph's lines to a function.

    Args:
        body: of the function.
        graph: the spec.
        tensors: by ``"<node>.<weight>"``.
        inputs: a value for every port; tokens as int32_t.
        times: steps of each clock in one call (1 where the state is carried).

    Returns:
        The graph's outputs by name, in scratch memory.

    Raises:
        UnsupportedError: an op that C99 cannot run, or cannot run in this form.
    """
    check(graph, body.carried)
    shapes = infer(graph)
    values = dict(inputs)
    early = _early(graph) if body.carried else {node.name for node in graph.nodes}
    for node in graph.nodes:
        body.phase = 0 if node.name in early else 1
        given = [values[name] for name in node.inputs]
        steps = _steps(shapes[node.name].clock, times)
        made = LOWERINGS[type(node.op)](Lines(body, node, tensors, steps), node.op, *given)
        for suffix, value in made.items():
            values[node.name + suffix] = value
    body.phase = 1 if body.carried else 0
    return {name: values[source] for name, source in graph.outputs.items()}


def check(graph: Graph, carried: bool) -> None:
    """Raise UnsupportedError, naming the node, unless C99 can run the graph step by step (or as a whole)."""
    require(graph, "c")
    for node in graph.nodes:
        if isinstance(node.op, ops.Recurrent) and node.op.bidirectional:
            raise UnsupportedError(
                f"node {node.name!r}: {node.op.name} in both directions cannot run on back end 'c'",
                hint="train the model in one direction (--no-bidirectional for classifiers)",
            )
    if not carried:
        return
    require_streaming(graph)
    clocks = {port.clock for port in graph.inputs if port.clock}
    cut = next((node for node in graph.nodes if node.op.time == "window"), None)
    if cut is not None:
        raise UnsupportedError(f"node {cut.name!r}: {cut.op.name} cannot run step by step on back end 'c'")
    if len(clocks) > 1:
        raise UnsupportedError(
            f"graph: to run step by step on back end 'c' it must have one clock, got {', '.join(sorted(clocks))}"
        )


def _early(graph: Graph) -> set[str]:
    """Nodes that some state depends on: those that remember, and all that they are computed from."""
    need: set[str] = set()
    for node in reversed(graph.nodes):
        if node.op.time != "pointwise" or node.name in need:
            need |= {node.name, *(name.partition(".")[0] for name in node.inputs)}
    return need


def _steps(clock: str, times: Mapping[str, int]) -> int:
    if not clock:
        return 0
    base, *cuts = clock.split("/")
    steps = times[base]
    for cut in cuts:
        if steps % int(cut):
            raise UnsupportedError(f"graph: {steps} steps of clock {base!r} must be whole segments of {cut}")
        steps //= int(cut)
    return steps


def _linear(c: Lines, op: ops.Linear, x: Value) -> Outputs:
    y = c.new(op.size)
    c(
        f"grus_linear({y.at}, {c.matrix('weight')}, {c.floats('bias')}, {x.at}, {max(x.steps, 1)}, {c.rounded});"
    )
    c.multiplies(op.size * x.size, x.steps)
    return {"": y}


def _activation(c: Lines, op: ops.Activation, x: Value) -> Outputs:
    y = c.new(x.size)
    c(f"grus_{op.function}({y.at}, {x.at}, {x.size * max(x.steps, 1)});")
    return {"": y}


def _embedding(c: Lines, op: ops.Embedding, tokens: Value) -> Outputs:
    y = c.new(op.size)
    c(f"grus_embed({y.at}, {c.matrix('weight')}, {tokens.at}, {max(c.steps, 1)});")
    return {"": y}


def _position(c: Lines, op: ops.Position, x: Value) -> Outputs:
    y, table = c.new(op.size), c.matrix("weight")
    if not c.body.carried:
        if x.steps > op.count:
            raise UnsupportedError(f"Position: has {op.count} steps, got a sequence of {x.steps}")
        c("\n".join(f"grus_row({y.at} + {t * op.size}, {table}, {t});" for t in range(x.steps)))
        return {"": y}
    place = c.body.kept("counts", 1)
    c(f"grus_row({y.at}, {table}, (int)*({place}));")
    c(f"if (*({place}) < {op.count - 1}) ++*({place});")
    return {"": y}


def _columns(c: Lines, op: ops.Columns, x: Value) -> Outputs:
    size = op.stop - op.start
    if x.steps <= 1:
        return {"": Value(f"{x.at} + {op.start}", size, x.steps)}
    y = c.new(size)
    c(f"grus_place({y.at}, {size}, {x.at} + {op.start}, {x.size}, {size}, {x.steps});")
    return {"": y}


def _concat(c: Lines, op: ops.Concat, *parts: Value) -> Outputs:
    y = c.new(sum(part.size for part in parts))
    begin = 0
    for part in parts:
        c(
            f"grus_place({y.at} + {begin}, {y.size}, {part.at}, {part.stride}, {part.size}, {max(y.steps, 1)});"
        )
        begin += part.size
    return {"": y}


def _elementwise(function: str) -> Callable[..., Outputs]:
    def build(c: Lines, op: Op, a: Value, b: Value) -> Outputs:
        y = c.new(a.size)
        given = f"{a.at}, {a.stride}, {b.at}, {b.stride}, {a.size}, {max(y.steps, 1)}"
        c(f"grus_{function}({y.at}, {given});")
        if function == "times":
            c.multiplies(a.size, y.steps)
        return {"": y}

    return build


def _last(c: Lines, op: ops.Last, x: Value) -> Outputs:
    y = c.body.value(x.size, 0)
    if not c.body.carried:
        count = min(op.steps, x.steps)
        c(f"grus_mean_of({y.at}, {x.at} + {(x.steps - count) * x.size}, {x.size}, {count});")
        return {"": y}
    held, place = c.body.remembered(op.steps * x.size), c.body.kept("counts", 2)
    c(f"grus_last_push({held}, {place}, {x.at}, {x.size}, {op.steps});")
    c.late()
    c(f"grus_mean_of({y.at}, {held}, {x.size}, (int)({place})[1]);")
    return {"": y}


def _pool(c: Lines, op: ops.Pool, x: Value) -> Outputs:
    if op.how == "mean":
        y, sums = c.body.value(x.size, 0), c.body.kept("sums", 1 + x.size)
        c(f"grus_mean_push({sums}, {x.at}, {x.size}, {x.steps});")
        c.late()
        c(f"grus_mean_read({y.at}, {sums}, {x.size});")
        return {"": y}
    most, begun = c.body.remembered(x.size), c.body.kept("counts", 1)
    c(f"grus_max_push({most}, {begun}, {x.at}, {x.size}, {x.steps});")
    return {"": Value(most, x.size, 0)}


def _attention(c: Lines, op: ops.AttentionPool, x: Value) -> Outputs:
    y, work, sums = c.body.value(x.size, 0), c.body.scratch(op.size), c.body.kept("sums", 2 + x.size)
    weights = f"{c.matrix('weight')}, {c.floats('bias')}, {c.floats('vector')}"
    c(f"grus_attend_push({sums}, {weights}, {x.at}, {x.steps}, {work}, {c.rounded});")
    c.multiplies(op.size * (x.size + 1) + x.size, x.steps)
    c.late()
    c(f"grus_attend_read({y.at}, {sums}, {x.size});")
    return {"": y}


def _segment(c: Lines, op: ops.Segment, x: Value) -> Outputs:
    return {"": Value(x.at, x.size * op.length, x.steps // op.length)}


def _unsegment(c: Lines, op: ops.Unsegment, x: Value) -> Outputs:
    return {"": Value(x.at, x.size // op.length, x.steps * op.length)}


LOWERINGS: dict[type[Op], Callable[..., Any]] = {
    ops.Linear: _linear,
    ops.Activation: _activation,
    ops.Dropout: lambda c, op, x: {"": x},
    ops.Embedding: _embedding,
    ops.Position: _position,
    ops.Columns: _columns,
    ops.Concat: _concat,
    ops.Add: _elementwise("add"),
    ops.Subtract: _elementwise("subtract"),
    ops.Multiply: _elementwise("times"),
    ops.Last: _last,
    ops.Pool: _pool,
    ops.AttentionPool: _attention,
    ops.Segment: _segment,
    ops.Unsegment: _unsegment,
    ops.GRU: recurrent.gru,
    ops.GRUStep: recurrent.gru_step,
    ops.LSTM: recurrent.cells,
    ops.LSTMStep: recurrent.cell_step,
    ops.RNN: recurrent.cells,
    ops.RNNStep: recurrent.cell_step,
    ops.MinGRU: recurrent.cells,
    ops.MinGRUStep: recurrent.cell_step,
    ops.Convolution: mixing.convolution,
    ops.SelfAttention: mixing.self_attention,
    ops.AttentiveGRU: recurrent.attentive,
    ops.GRUD: recurrent.grud,
    ops.AdaptiveSoftmax: adaptive.adaptive_softmax,
}
