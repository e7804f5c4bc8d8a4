"""A graph in plain NumPy, written to be read: the oracle that every back end is held to, in any float dtype."""

import numpy as np

from grus.kernels.layout import GRUWeights
from grus.kernels.reference import Options, StackOptions, gru_stack, sigmoid
from grus.kernels.reference_grud import GRUDWeights, States, grud
from grus.kernels.reference_mingru import MinGRUWeights, mingru_stack
from grus.spec import Graph, node_weights, ops


def run(graph: Graph, tensors, inputs, lengths=None, dtype=np.float64):
    """All values by name, and the outputs by name; see `grus.runtime.Program` for the arguments."""
    values = {k: v if v.dtype.kind in "iu" else v.astype(dtype) for k, v in inputs.items()}
    clocks = {port.name: port.clock for port in graph.inputs}
    for node in graph.nodes:
        weights = {k: v.astype(dtype) for k, v in node_weights(tensors, node).items()}
        clock = next((clocks[name] for name in node.inputs if clocks[name]), "")
        base, *cuts = clock.split("/")
        steps = None if lengths is None or base not in lengths else lengths[base]
        for cut in cuts:
            steps = None if steps is None else steps // int(cut)
        given = [values[name] for name in node.inputs]
        if isinstance(node.op, ops.AttentiveGRU):
            # a memory has valid steps of its own
            there = None if lengths is None else lengths.get(clocks[node.inputs[1]])
            outputs = _attentive(node.op, weights, given, steps, there)
        else:
            outputs = RULES[type(node.op)](node.op, weights, given, steps)
        outputs = outputs if isinstance(outputs, dict) else {"": outputs}
        for suffix, value in outputs.items():
            values[node.name + suffix] = value
            clocks[node.name + suffix] = clock if value.ndim == 3 else ""
        if isinstance(node.op, ops.Segment):
            clocks[node.name] = f"{clock}/{node.op.length}"
        if isinstance(node.op, ops.Unsegment):
            clocks[node.name] = clock.rpartition("/")[0]
    return {name: values[source] for name, source in graph.outputs.items()}


def _same_rank(arrays):
    rank = max(a.ndim for a in arrays)
    time = next((a.shape[1] for a in arrays if a.ndim == 3), 0)
    return [a if a.ndim == rank else np.repeat(a[:, None], time, axis=1) for a in arrays]


def _last(op, weights, inputs, lengths):
    (x,) = inputs
    lengths = np.full(len(x), x.shape[1]) if lengths is None else lengths
    rows = [row[max(n - op.steps, 0) : n] for row, n in zip(x, lengths)]
    return np.stack([row.mean(0) if len(row) else np.zeros(x.shape[2], x.dtype) for row in rows])


def _rows(x, lengths):
    """The valid steps of each row."""
    return [row[:n] for row, n in zip(x, [x.shape[1]] * len(x) if lengths is None else lengths)]


def _pool(op, weights, inputs, lengths):
    (x,) = inputs
    summary = {"mean": lambda row: row.mean(0), "max": lambda row: row.max(0)}[op.how]
    zeros = np.zeros((len(x), x.shape[2]), x.dtype)
    return np.stack([summary(row) if len(row) else zero for row, zero in zip(_rows(x, lengths), zeros)])


def _attention_pool(op, weights, inputs, lengths):
    (x,) = inputs
    out = np.zeros((len(x), x.shape[2]), x.dtype)
    for row, steps in enumerate(_rows(x, lengths)):
        if len(steps):
            scores = np.tanh(steps @ weights["weight"].T + weights["bias"]) @ weights["vector"]
            attention = np.exp(scores - scores.max())
            out[row] = attention / attention.sum() @ steps
    return out


def _stack(op, weights, inputs, lengths):
    x = inputs[0]
    parts = op.layers * op.directions
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "gain_ih", "gain_hh")
    layers = []
    for layer in range(op.layers):
        for suffix in [f"l{layer}", f"l{layer}_reverse"][: op.directions]:
            layers.append(
                GRUWeights(**{n: weights[f"{n}_{suffix}"] for n in names if f"{n}_{suffix}" in weights})
            )
    flat = inputs[1] if len(inputs) == 2 else np.zeros((len(x), parts * op.hidden), x.dtype)
    h_0 = flat.reshape(len(x), parts, op.hidden).swapaxes(0, 1)
    options = StackOptions(op.bidirectional, op.reset_after, lengths, keep=op.zoneout)
    result = gru_stack(x.swapaxes(0, 1), h_0, layers, options)
    return {"": result.output.swapaxes(0, 1), ".h": result.h_n.swapaxes(0, 1).reshape(len(x), -1)}


def _step(op, weights, inputs, lengths):
    x, h = inputs
    single = ops.GRU(op.hidden, bias=op.bias, reset_after=op.reset_after)
    steps = [_stack(single, weights, [x[:, t : t + 1], h], None)[""] for t in range(x.shape[1])]
    return np.concatenate(steps, axis=1) if steps else np.zeros((*x.shape[:2], op.hidden), x.dtype)


def _cell(op, a, state):
    """The next state of an LSTM (h, c) or a simple RNN (h,) from its gates' sums: torch.nn's equations."""
    if isinstance(op, ops.RNN):
        return (np.tanh(a) if op.nonlinearity == "tanh" else np.maximum(a, 0),)
    i, f, g, o = np.split(a, 4)
    c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def _cells(op, weights, inputs, lengths):
    """LSTM or RNN: every row, layer and direction by itself, a step at a time."""
    x, *given = inputs
    given = given or [np.zeros((len(x), op.parts * op.hidden), x.dtype) for _ in op.states]
    out = np.zeros((*x.shape[:2], op.directions * op.hidden), x.dtype)
    finals = [state.copy() for state in given]
    for row, steps in enumerate(_rows(x, lengths)):
        for layer in range(op.layers):
            sides = []
            for way in range(op.directions):
                part = layer * op.directions + way
                place, suffix = slice(part * op.hidden, (part + 1) * op.hidden), op.suffixes[part]
                state, side = tuple(final[row, place] for final in finals), []
                for x_t in steps[::-1] if way else steps:
                    a = weights[f"weight_ih_{suffix}"] @ x_t + weights[f"weight_hh_{suffix}"] @ state[0]
                    if op.bias:
                        a = a + weights[f"bias_ih_{suffix}"] + weights[f"bias_hh_{suffix}"]
                    state = _cell(op, a, state)
                    side.append(state[0])
                for final, value in zip(finals, state):
                    final[row, place] = value
                sides.append(side[::-1] if way else side)
            steps = [np.concatenate(parts) for parts in zip(*sides)]
        if len(steps):
            out[row, : len(steps)] = steps
    return {"": out} | dict(zip(op.states, finals))


def _cell_step(op, weights, inputs, lengths):
    x, *states = inputs
    steps = [_cells(op.layer, weights, [x[:, t : t + 1], *states], None)[""] for t in range(x.shape[1])]
    return np.concatenate(steps, axis=1) if steps else np.zeros((*x.shape[:2], op.hidden), x.dtype)


def _mingru(op, weights, inputs, lengths):
    x, *given = inputs
    layers = [MinGRUWeights(weights[f"weight_ih_{s}"], weights.get(f"bias_ih_{s}")) for s in op.suffixes]
    flat = given[0] if given else np.zeros((len(x), op.parts * op.hidden), x.dtype)
    h_0 = flat.reshape(len(x), op.parts, op.hidden).swapaxes(0, 1)
    ways = [Options(lengths=lengths, reverse=way == 1) for way in range(op.directions)]
    y, h = mingru_stack(x.swapaxes(0, 1), h_0, layers, ways)
    return {"": y.swapaxes(0, 1), ".h": h.swapaxes(0, 1).reshape(len(x), -1)}


def _mingru_step(op, weights, inputs, lengths):
    x, h = inputs
    rows = x.reshape(-1, 1, x.shape[2]), np.repeat(h, x.shape[1], axis=0)
    return _mingru(op.layer, weights, rows, None)[""].reshape(*x.shape[:2], op.hidden)


def _convolution(op, weights, inputs, lengths):
    (x,) = inputs
    out = np.zeros((*x.shape[:2], op.size), x.dtype) + weights.get("bias", x.dtype.type(0))
    for t in range(x.shape[1]):
        for k in range(op.kernel):
            back = (op.kernel - 1 - k) * op.dilation
            if t >= back:
                out[:, t] += x[:, t - back] @ weights["weight"][:, :, k].T
    return out


def _self_attention(op, weights, inputs, lengths):
    (x,) = inputs
    out = np.zeros_like(x)
    d = x.shape[2] // op.heads
    for row, steps in enumerate(_rows(x, lengths)):
        q, k, v = np.split(
            steps @ weights["in_proj_weight"].T + weights.get("in_proj_bias", x.dtype.type(0)), 3, axis=1
        )
        mixed = np.zeros_like(steps)
        for t in range(len(steps)):
            seen = slice(0, t + 1 if op.causal else len(steps))
            for head in range(op.heads):
                own = slice(head * d, (head + 1) * d)
                scores = k[seen, own] @ q[t, own] / np.sqrt(x.dtype.type(d))
                attention = np.exp(scores - scores.max())
                mixed[t, own] = attention / attention.sum() @ v[seen, own]
        out[row, : len(steps)] = mixed @ weights["out_proj_weight"].T + weights.get(
            "out_proj_bias", x.dtype.type(0)
        )
    return out


def _attentive(op, weights, inputs, lengths, memory_lengths):
    """Every row by itself, a step at a time; it sees only the valid steps of its memory."""
    x, memory, keys, *given = inputs
    batch, time = x.shape[:2]
    h = (given[0] if given else np.zeros((batch, op.hidden), x.dtype)).copy()
    states, contexts = (np.zeros((batch, time, size), x.dtype) for size in (op.hidden, memory.shape[2]))
    attention = np.zeros((batch, time, memory.shape[1]), x.dtype)

    def cell(number, row, state):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        layer = GRUWeights(**{name: weights[f"{name}_l{number}"] for name in names})
        return gru_stack(row[None, None], state[None, None], [layer], StackOptions(False, True, None)).h_n[
            0, 0
        ]

    for b, steps in enumerate(_rows(x, lengths)):
        m, k = (_rows(values, memory_lengths)[b] for values in (memory, keys))
        for t, x_t in enumerate(steps):
            q = cell(0, x_t, h[b]) if op.form == "conditional" else h[b]
            if len(m):
                seen = (
                    np.tanh(weights["query"] @ q + k) @ weights["vector"] if op.score == "additive" else k @ q
                )
                share = np.exp(seen - seen.max())
                attention[b, t, : len(m)] = share / share.sum()
                contexts[b, t] = attention[b, t, : len(m)] @ m
            c = contexts[b, t]
            h[b] = cell(1, c, q) if op.form == "conditional" else cell(0, np.concatenate([x_t, c]), q)
            states[b, t] = h[b]
    return {"": states, ".context": contexts, ".attention": attention, ".h": h}


def _grud(op, weights, inputs, lengths):
    x, mask, gap, *given = inputs
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    decays = {name: array for name, array in weights.items() if "decay" in name}
    held = GRUDWeights(GRUWeights(**{name: weights[f"{name}_l0"] for name in names}), **decays)
    given = given or [np.zeros((len(x), size), x.dtype) for size in op.sizes(x.shape[2])]
    y, states, _ = grud(*(a.swapaxes(0, 1) for a in (x, mask, gap)), States(*given), held, lengths)
    return {"": y.swapaxes(0, 1)} | dict(zip(op.states, states))


def _log_softmax(y):
    y = y - y.max(axis=-1, keepdims=True)
    return y - np.log(np.exp(y).sum(axis=-1, keepdims=True))


def _adaptive_softmax(op, weights, inputs, lengths):
    (x,) = inputs
    none, first = x.dtype.type(0), op.cutoffs[0]
    head = _log_softmax(x @ weights["weight"].T + weights.get("bias", none))
    parts = [head[..., :first]]
    for k in range(len(op.cutoffs)):
        narrow = x @ weights[f"projection_{k}"].T
        rest = _log_softmax(narrow @ weights[f"weight_{k}"].T + weights.get(f"bias_{k}", none))
        parts.append(head[..., first + k, None] + rest)
    return np.concatenate(parts, axis=-1)


RULES = {
    ops.Linear: lambda op, w, i, n: i[0] @ w["weight"].T + w.get("bias", i[0].dtype.type(0)),
    ops.Activation: lambda op, w, i, n: {
        "relu": lambda x: np.maximum(x, 0),
        "tanh": np.tanh,
        "sigmoid": sigmoid,
    }[op.function](i[0]),
    ops.Dropout: lambda op, w, i, n: i[0],
    ops.Embedding: lambda op, w, i, n: w["weight"][i[0]],
    ops.Position: lambda op, w, i, n: np.repeat(w["weight"][None, : i[0].shape[1]], len(i[0]), axis=0),
    ops.Columns: lambda op, w, i, n: i[0][..., op.start : op.stop],
    ops.Concat: lambda op, w, i, n: np.concatenate(_same_rank(i), axis=-1),
    ops.Add: lambda op, w, i, n: np.add(*_same_rank(i)),
    ops.Subtract: lambda op, w, i, n: np.subtract(*_same_rank(i)),
    ops.Multiply: lambda op, w, i, n: np.multiply(*_same_rank(i)),
    ops.Last: _last,
    ops.Pool: _pool,
    ops.AttentionPool: _attention_pool,
    ops.Segment: lambda op, w, i, n: i[0].reshape(len(i[0]), i[0].shape[1] // op.length, -1),
    ops.Unsegment: lambda op, w, i, n: i[0].reshape(len(i[0]), i[0].shape[1] * op.length, -1),
    ops.GRU: _stack,
    ops.GRUStep: _step,
    ops.LSTM: _cells,
    ops.LSTMStep: _cell_step,
    ops.RNN: _cells,
    ops.RNNStep: _cell_step,
    ops.MinGRU: _mingru,
    ops.MinGRUStep: _mingru_step,
    ops.Convolution: _convolution,
    ops.SelfAttention: _self_attention,
    ops.GRUD: _grud,
    ops.AdaptiveSoftmax: _adaptive_softmax,
}
