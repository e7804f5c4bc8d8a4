"""From a graph to lines of C: one function an op, by op class.

The same lines run a graph step by step (``carried``: a call is one step of one clock, and ops remember) and over whole
sequences of a length fixed at export (nothing is remembered from call to call).
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from grus.errors import UnsupportedError
from grus.export.c99 import mixing
from grus.export.c99.builder import Body, Value, number
from grus.spec import Graph, Node, Op, infer, node_weights, ops, require, require_streaming

Outputs = dict[str, Value]
_Cell = ops.LSTM | ops.RNN | ops.MinGRU
Weights = Mapping[str, np.ndarray]


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
        made = LOWERINGS[type(node.op)](_Lines(body, node, tensors, steps), node.op, *given)
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


class _Lines:
    """What a lowering sees of its node."""

    def __init__(self, body: Body, node: Node, tensors: Weights, steps: int) -> None:
        self.body, self.weights, self.steps = body, node_weights(tensors, node), steps
        self._node, self._tensors = node, tensors

    def __call__(self, text: str) -> None:
        self.body.line(text)

    def new(self, size: int) -> Value:
        return self.body.value(size, self.steps)

    def floats(self, name: str) -> str:
        return self.body.unit.floats(self._key(name), self.weights.get(name))

    def matrix(self, name: str, values: np.ndarray | None = None) -> str:
        values = self.weights[name] if values is None else values
        return self.body.unit.matrix(self._key(name), values)

    def _key(self, name: str) -> str:
        """The tensor's name in the model; what is shared bears that of the node that owns it."""
        shared = f"{self._node.weights}.{name}"
        return shared if shared in self._tensors else f"{self._node.name}.{name}"

    @property
    def rounded(self) -> str:
        """Room for a product's 16-bit input."""
        return "s->rounded" if self.body.unit.precision == "int8" else "NULL"

    def multiplies(self, count: int, steps: int) -> None:
        self.body.multiplies += count * max(steps, 1)

    def late(self) -> None:
        """What follows is only read, not remembered."""
        self.body.phase = 1 if self.body.carried else 0


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


def _linear(c: _Lines, op: ops.Linear, x: Value) -> Outputs:
    y = c.new(op.size)
    c(
        f"grus_linear({y.at}, {c.matrix('weight')}, {c.floats('bias')}, {x.at}, {max(x.steps, 1)}, {c.rounded});"
    )
    c.multiplies(op.size * x.size, x.steps)
    return {"": y}


def _activation(c: _Lines, op: ops.Activation, x: Value) -> Outputs:
    y = c.new(x.size)
    c(f"grus_{op.function}({y.at}, {x.at}, {x.size * max(x.steps, 1)});")
    return {"": y}


def _embedding(c: _Lines, op: ops.Embedding, tokens: Value) -> Outputs:
    y = c.new(op.size)
    c(f"grus_embed({y.at}, {c.matrix('weight')}, {tokens.at}, {max(c.steps, 1)});")
    return {"": y}


def _position(c: _Lines, op: ops.Position, x: Value) -> Outputs:
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


def _columns(c: _Lines, op: ops.Columns, x: Value) -> Outputs:
    size = op.stop - op.start
    if x.steps <= 1:
        return {"": Value(f"{x.at} + {op.start}", size, x.steps)}
    y = c.new(size)
    c(f"grus_place({y.at}, {size}, {x.at} + {op.start}, {x.size}, {size}, {x.steps});")
    return {"": y}


def _concat(c: _Lines, op: ops.Concat, *parts: Value) -> Outputs:
    y = c.new(sum(part.size for part in parts))
    begin = 0
    for part in parts:
        c(
            f"grus_place({y.at} + {begin}, {y.size}, {part.at}, {part.stride}, {part.size}, {max(y.steps, 1)});"
        )
        begin += part.size
    return {"": y}


def _elementwise(function: str) -> Callable[..., Outputs]:
    def build(c: _Lines, op: Op, a: Value, b: Value) -> Outputs:
        y = c.new(a.size)
        given = f"{a.at}, {a.stride}, {b.at}, {b.stride}, {a.size}, {max(y.steps, 1)}"
        c(f"grus_{function}({y.at}, {given});")
        if function == "times":
            c.multiplies(a.size, y.steps)
        return {"": y}

    return build


def _last(c: _Lines, op: ops.Last, x: Value) -> Outputs:
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


def _pool(c: _Lines, op: ops.Pool, x: Value) -> Outputs:
    if op.how == "mean":
        y, sums = c.body.value(x.size, 0), c.body.kept("sums", 1 + x.size)
        c(f"grus_mean_push({sums}, {x.at}, {x.size}, {x.steps});")
        c.late()
        c(f"grus_mean_read({y.at}, {sums}, {x.size});")
        return {"": y}
    most, begun = c.body.remembered(x.size), c.body.kept("counts", 1)
    c(f"grus_max_push({most}, {begun}, {x.at}, {x.size}, {x.steps});")
    return {"": Value(most, x.size, 0)}


def _attention(c: _Lines, op: ops.AttentionPool, x: Value) -> Outputs:
    y, work, sums = c.body.value(x.size, 0), c.body.scratch(op.size), c.body.kept("sums", 2 + x.size)
    weights = f"{c.matrix('weight')}, {c.floats('bias')}, {c.floats('vector')}"
    c(f"grus_attend_push({sums}, {weights}, {x.at}, {x.steps}, {work}, {c.rounded});")
    c.multiplies(op.size * (x.size + 1) + x.size, x.steps)
    c.late()
    c(f"grus_attend_read({y.at}, {sums}, {x.size});")
    return {"": y}


def _segment(c: _Lines, op: ops.Segment, x: Value) -> Outputs:
    return {"": Value(x.at, x.size * op.length, x.steps // op.length)}


def _unsegment(c: _Lines, op: ops.Unsegment, x: Value) -> Outputs:
    return {"": Value(x.at, x.size // op.length, x.steps * op.length)}


def _gru(c: _Lines, op: ops.GRU, x: Value, *initial: Value) -> Outputs:
    size = op.layers * op.hidden
    (h,) = _states(c, op, initial)
    layers = [_layer(c, op, f"l{layer}", op.zoneout) for layer in range(op.layers)]
    stack = c.body.unit.layers("layers", layers)
    y, out = _top(c, op, h)
    c(
        f"grus_stack({out}, {stack}, {op.layers}, {_step(c, op)}, {x.at}, {h}, {x.steps}, {_work(c, op)}, {c.rounded});"
    )
    inputs = x.size + (op.layers - 1) * op.hidden
    c.multiplies(3 * op.hidden * (inputs + size), x.steps)
    return {"": y, ".h": Value(h, size, 0)}


def _states(c: _Lines, op: ops.Recurrent, initial: tuple[Value, ...]) -> list[str]:
    """Where the states of all layers are; they begin as zeros, or as the node's own further inputs."""
    size = op.parts * op.hidden
    states = [c.body.remembered(size) for _ in op.states]
    copies = [f"memcpy({at}, {given.at}, {size} * sizeof(float));" for at, given in zip(states, initial)]
    if copies and c.body.carried:
        begun = c.body.kept("counts", 1)
        copies = [f"if (!*({begun})) {copy}" for copy in copies] + [f"*({begun}) = 1;"]
    if copies:
        c("\n".join(copies))
    return states


def _top(c: _Lines, op: ops.Recurrent, h: str) -> tuple[Value, str]:
    """The output of the last layer, and where a stack writes it: of a single step it is the state itself."""
    if c.body.carried:
        return Value(f"{h} + {(op.layers - 1) * op.hidden}", op.hidden, 1), "NULL"
    y = c.new(op.hidden)
    return y, y.at


def _cells(c: _Lines, op: _Cell, x: Value, *initial: Value) -> Outputs:
    size = op.parts * op.hidden
    states = _states(c, op, initial)
    rows = [_recurrent(c, op, suffix) for suffix in op.suffixes]
    stack = c.body.unit.layers("layers", rows, "grus_recurrent")
    y, out = _top(c, op, states[0])
    at = ", ".join([*states, "NULL"][:2])
    c(
        f"grus_recurrents({out}, {stack}, {op.layers}, {_recurrent_step(op)}, {x.at}, {at}, {x.steps}, "
        f"{_sums(c, op)}, {c.rounded});"
    )
    inputs = x.size + (op.layers - 1) * op.hidden
    c.multiplies(op.gates * op.hidden * (inputs + (0 if isinstance(op, ops.MinGRU) else size)), x.steps)
    return {"": y} | {name: Value(state, size, 0) for name, state in zip(op.states, states, strict=True)}


def _cell_step(c: _Lines, op: ops.RecurrentStep, x: Value, *states: Value) -> Outputs:
    y, layer = c.new(op.hidden), op.layer
    assert isinstance(layer, _Cell)
    stack = c.body.unit.layers("step", [_recurrent(c, layer, "l0")], "grus_recurrent")
    at = ", ".join([*(state.at for state in states), "NULL"][:2])
    kept = c.body.scratch(op.hidden) if len(states) > 1 else "NULL"
    c(
        f"grus_recurrent_each({y.at}, {stack}, {_recurrent_step(layer)}, {x.at}, {at}, {x.steps}, {kept}, "
        f"{_sums(c, layer)}, {c.rounded});"
    )
    c.multiplies(
        layer.gates * op.hidden * (x.size + (0 if isinstance(layer, ops.MinGRU) else op.hidden)), x.steps
    )
    return {"": y}


def _recurrent(c: _Lines, op: _Cell, suffix: str) -> list[str]:
    """A row of `grus_recurrent`."""
    c.body.unit.headers.add("lstm_rnn.h")
    relu = isinstance(op, ops.RNN) and op.nonlinearity == "relu"
    if isinstance(op, ops.MinGRU):
        c.body.unit.headers.add("mingru.h")
        matrices = [c.matrix(f"weight_ih_{suffix}"), "NULL"]
    else:
        matrices = [c.matrix(f"weight_{part}_{suffix}") for part in ("ih", "hh")]
    biases = [c.floats(f"bias_{part}_{suffix}") for part in ("ih", "hh")]
    return [str(op.hidden), str(int(relu)), *matrices, *biases]


def _recurrent_step(op: _Cell) -> str:
    return {ops.LSTM: "grus_lstm_step", ops.RNN: "grus_rnn_step", ops.MinGRU: "grus_mingru_step"}[type(op)]


def _sums(c: _Lines, op: _Cell) -> str:
    return c.body.scratch(2 * op.gates * op.hidden)


def _attentive(c: _Lines, op: ops.AttentiveGRU, x: Value, memory: Value, keys: Value, *initial: Value) -> Outputs:
    """Over whole sequences only, of lengths that are fixed at export: a step has one clock, and this op two."""
    c.body.unit.headers.add("attentive.h")
    cells = [layer for layer, _ in op.cells(x.size, memory.size)]
    h = c.body.remembered(op.hidden)
    for given in initial:
        c(f"memcpy({h}, {given.at}, {op.hidden} * sizeof(float));")
    y, context, attention = c.new(op.hidden), c.new(memory.size), c.new(memory.steps)
    stack = c.body.unit.layers("layers", [_layer(c, layer, f"l{n}", 0.0) for n, layer in enumerate(cells)])
    look = "NULL, NULL"
    if op.score == "additive":
        look = f"{c.matrix('query')}, {c.floats('vector')}"
        c.multiplies(keys.size * op.hidden, x.steps)
    joined = c.body.scratch(x.size + memory.size) if len(cells) == 1 else "NULL"
    desk = f"{c.body.scratch(op.hidden)}, {c.body.scratch(keys.size)}, {joined}, {_work(c, cells[0])}, {c.rounded}"
    c(
        f"{{ const grus_desk desk = {{ {desk} }};\n"
        f"grus_attentive({y.at}, {context.at}, {attention.at}, {stack}, {len(cells)}, {_step(c, cells[0])}, {look}, "
        f"{x.at}, {x.size}, {x.steps}, {memory.at}, {memory.size}, {keys.at}, {keys.size}, {memory.steps}, {h}, &desk); }}"
    )
    inputs = x.size + memory.size + len(cells) * op.hidden
    c.multiplies(3 * op.hidden * inputs + memory.steps * (keys.size + memory.size), x.steps)
    return {"": y, ".context": context, ".attention": attention, ".h": Value(h, op.hidden, 0)}


def _gru_step(c: _Lines, op: ops.GRUStep, x: Value, h: Value) -> Outputs:
    y = c.new(op.hidden)
    layer = c.body.unit.layers("step", [_layer(c, op, "l0", 0.0)])
    c(f"grus_each({y.at}, {layer}, {_step(c, op)}, {x.at}, {h.at}, {x.steps}, {_work(c, op)}, {c.rounded});")
    c.multiplies(3 * op.hidden * (x.size + op.hidden), x.steps)
    return {"": y}


def _layer(c: _Lines, op: ops.GRU | ops.GRUStep, suffix: str, zoneout: float) -> list[str]:
    matrices = [c.matrix(f"weight_{part}_{suffix}") for part in ("ih", "hh")]
    vectors = [c.floats(f"{what}_{part}_{suffix}") for what in ("bias", "gain") for part in ("ih", "hh")]
    return [str(int(op.reset_after)), number(zoneout), *matrices, *vectors]


def _general(c: _Lines, op: ops.GRU | ops.GRUStep) -> bool:
    return c.body.unit.precision == "int8" or (isinstance(op, ops.GRU) and op.layer_norm)


def _step(c: _Lines, op: ops.GRU | ops.GRUStep) -> str:
    return "grus_step_general" if _general(c, op) else "grus_step_plain"


def _work(c: _Lines, op: ops.GRU | ops.GRUStep) -> str:
    return c.body.scratch((8 if _general(c, op) else 4) * op.hidden)


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
    ops.GRU: _gru,
    ops.GRUStep: _gru_step,
    ops.LSTM: _cells,
    ops.LSTMStep: _cell_step,
    ops.RNN: _cells,
    ops.RNNStep: _cell_step,
    ops.MinGRU: _cells,
    ops.MinGRUStep: _cell_step,
    ops.Convolution: mixing.convolution,
    ops.SelfAttention: mixing.self_attention,
    ops.AttentiveGRU: _attentive,
}
