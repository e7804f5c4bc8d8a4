"""The recurrent ops in C: GRU, LSTM, simple RNN, MinGRU, the attentive decoder and GRU-D; see `lower`."""

from grus.export.c99.builder import Value, number
from grus.export.c99.lines import Lines, Outputs
from grus.spec import ops

Cell = ops.LSTM | ops.RNN | ops.MinGRU


def gru(c: Lines, op: ops.GRU, x: Value, *initial: Value) -> Outputs:
    """Lower `grus.spec.ops.GRU`."""
    size = op.layers * op.hidden
    (h,) = _states(c, (size,), initial)
    layers = [_layer(c, op, f"l{layer}", op.zoneout) for layer in range(op.layers)]
    stack = c.body.unit.layers("layers", layers)
    y, out = _top(c, op, h)
    c(
        f"grus_stack({out}, {stack}, {op.layers}, {_step(c, op)}, {x.at}, {h}, {x.steps}, {_work(c, op)}, {c.rounded});"
    )
    inputs = x.size + (op.layers - 1) * op.hidden
    c.multiplies(3 * op.hidden * (inputs + size), x.steps)
    return {"": y, ".h": Value(h, size, 0)}


def _states(c: Lines, sizes: tuple[int, ...], initial: tuple[Value, ...]) -> list[str]:
    """Where the states are; they begin as zeros, or as the node's own further inputs."""
    states = [c.body.remembered(size) for size in sizes]
    copies = [
        f"memcpy({at}, {given.at}, {given.size} * sizeof(float));" for at, given in zip(states, initial)
    ]
    if copies and c.body.carried:
        begun = c.body.kept("counts", 1)
        copies = [f"if (!*({begun})) {copy}" for copy in copies] + [f"*({begun}) = 1;"]
    if copies:
        c("\n".join(copies))
    return states


def _top(c: Lines, op: ops.Recurrent, h: str) -> tuple[Value, str]:
    """The output of the last layer, and where a stack writes it: of a single step it is the state itself."""
    if c.body.carried:
        return Value(f"{h} + {(op.layers - 1) * op.hidden}", op.hidden, 1), "NULL"
    y = c.new(op.hidden)
    return y, y.at


def cells(c: Lines, op: Cell, x: Value, *initial: Value) -> Outputs:
    """Lower layers of LSTM, simple RNN or MinGRU."""
    size = op.parts * op.hidden
    states = _states(c, (size,) * len(op.states), initial)
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


def cell_step(c: Lines, op: ops.RecurrentStep, x: Value, *states: Value) -> Outputs:
    """Lower one step of such a cell for every step of the input."""
    y, layer = c.new(op.hidden), op.layer
    assert isinstance(layer, Cell)
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


def _recurrent(c: Lines, op: Cell, suffix: str) -> list[str]:
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


def _recurrent_step(op: Cell) -> str:
    return {ops.LSTM: "grus_lstm_step", ops.RNN: "grus_rnn_step", ops.MinGRU: "grus_mingru_step"}[type(op)]


def _sums(c: Lines, op: Cell) -> str:
    return c.body.scratch(2 * op.gates * op.hidden)


def attentive(
    c: Lines, op: ops.AttentiveGRU, x: Value, memory: Value, keys: Value, *initial: Value
) -> Outputs:
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
        f"{x.at}, {x.size}, {x.steps}, {memory.at}, {memory.size}, {keys.at}, {keys.size}, {memory.steps}, "
        f"{h}, &desk); }}"
    )
    inputs = x.size + memory.size + len(cells) * op.hidden
    c.multiplies(3 * op.hidden * inputs + memory.steps * (keys.size + memory.size), x.steps)
    return {"": y, ".context": context, ".attention": attention, ".h": Value(h, op.hidden, 0)}


def grud(c: Lines, op: ops.GRUD, x: Value, mask: Value, gap: Value, *initial: Value) -> Outputs:
    """Lower `grus.spec.ops.GRUD`."""
    c.body.unit.headers.add("grud.h")
    sizes = op.sizes(x.size)
    states = _states(c, sizes, initial)
    layer = c.body.unit.layers("layers", [_layer(c, op.layer, "l0", 0.0)])
    decays = [
        *(c.floats(f"input_decay_{part}") for part in ("weight", "bias")),
        c.matrix("state_decay_weight"),
        c.floats("state_decay_bias"),
        c.body.scratch(2 * x.size),
        c.body.scratch(op.hidden),
        _work(c, op.layer),
        c.rounded,
    ]
    y = Value(states[0], op.hidden, 1) if c.body.carried else c.new(op.hidden)
    out = "NULL" if c.body.carried else y.at
    c(
        f"{{ const grus_decays decays = {{ {', '.join(decays)} }};\n"
        f"grus_grud({out}, {layer}, {_step(c, op.layer)}, {x.at}, {mask.at}, {gap.at}, {x.steps}, "
        f"{', '.join(states)}, &decays); }}"
    )
    c.multiplies(op.hidden * (7 * x.size + 3 * op.hidden + 1) + 2 * x.size, x.steps)
    finals = zip(op.states, states, sizes, strict=True)
    return {"": y} | {name: Value(state, size, 0) for name, state, size in finals}


def gru_step(c: Lines, op: ops.GRUStep, x: Value, h: Value) -> Outputs:
    """Lower `grus.spec.ops.GRUStep`."""
    y = c.new(op.hidden)
    layer = c.body.unit.layers("step", [_layer(c, op, "l0", 0.0)])
    c(f"grus_each({y.at}, {layer}, {_step(c, op)}, {x.at}, {h.at}, {x.steps}, {_work(c, op)}, {c.rounded});")
    c.multiplies(3 * op.hidden * (x.size + op.hidden), x.steps)
    return {"": y}


def _layer(c: Lines, op: ops.GRU | ops.GRUStep, suffix: str, zoneout: float) -> list[str]:
    matrices = [c.matrix(f"weight_{part}_{suffix}") for part in ("ih", "hh")]
    vectors = [c.floats(f"{what}_{part}_{suffix}") for what in ("bias", "gain") for part in ("ih", "hh")]
    return [str(int(op.reset_after)), number(zoneout), *matrices, *vectors]


def _general(c: Lines, op: ops.GRU | ops.GRUStep) -> bool:
    return c.body.unit.precision == "int8" or (isinstance(op, ops.GRU) and op.layer_norm)


def _step(c: Lines, op: ops.GRU | ops.GRUStep) -> str:
    return "grus_step_general" if _general(c, op) else "grus_step_plain"


def _work(c: Lines, op: ops.GRU | ops.GRUStep) -> str:
    return c.body.scratch((8 if _general(c, op) else 4) * op.hidden)
