"""Example graphs for every op, and random weights and inputs for any graph: what the law is tested on."""

import numpy as np

from grus.spec import Graph, Node, Port, chain, ops, weight_shapes

X = Port("x", "seq", 5, "src")
Y = Port("y", "seq", 4, "tgt")
V = Port("v", "vec", 5)
W = Port("w", "seq", 6, "src")


def _graph(ports, *nodes):
    return Graph(ports, nodes, {node.name: node.name for node in nodes})


def _gru(**options):
    g = chain(X, [ops.GRU(7, **options)])
    return Graph(g.inputs, g.nodes, {"out": "gru_0", "state": "gru_0.h"})


def _cell(op):
    g = chain(X, [op])
    node = g.nodes[0].name
    return Graph(g.inputs, g.nodes, {"out": node} | {name[1:]: node + name for name in op.states})


def _attentive(op, *more, keys=6):
    """An attentive decoder over the clock src, with a memory on the clock tgt."""
    ports = (X, Port("m", "memory", 4, "tgt"), Port("k", "memory", keys, "tgt"), *more)
    outputs = {"out": "a", "context": "a.context", "attention": "a.attention", "state": "a.h"}
    return Graph(ports, (Node("a", op, tuple(port.name for port in ports)),), outputs)


def _grud(*more, d=5):
    """GRU-D over d variables; a random mask above 1/2 sees three in ten, and a random gap takes both ways of a decay."""
    ports = (Port("x", "seq", d, "src"), Port("m", "seq", d, "src"), Port("g", "seq", 1, "src"), *more)
    outputs = {"out": "a", "state": "a.h", "last": "a.last", "since": "a.since"}
    return Graph(ports, (Node("a", ops.GRUD(7), tuple(port.name for port in ports)),), outputs)


GRAPHS: dict[str, Graph] = {
    "Linear": chain(X, [ops.Linear(3)]),
    "Linear-no-bias-vec": chain(V, [ops.Linear(3, bias=False)]),
    "Activation-relu": chain(X, [ops.Activation("relu")]),
    "Activation-tanh": chain(X, [ops.Activation("tanh")]),
    "Activation-sigmoid": chain(X, [ops.Activation("sigmoid")]),
    "Dropout": chain(X, [ops.Dropout(0.5)]),
    "Dropout-variational": chain(X, [ops.Dropout(0.5, variational=True)]),
    "Embedding-seq": _graph((Port("t", "tokens", 9, "src"),), Node("a", ops.Embedding(9, 3), ("t",))),
    "Embedding-vec": _graph((Port("t", "tokens", 9),), Node("a", ops.Embedding(9, 3), ("t",))),
    "Position": chain(X, [ops.Position(40, 3)]),
    "Columns": chain(X, [ops.Columns(1, 4)]),
    "Concat": _graph((X, V), Node("a", ops.Concat(), ("x", "v", "x")), Node("b", ops.Concat(), ("v", "v"))),
    "Add": _graph((X, V), Node("a", ops.Add(), ("x", "v")), Node("b", ops.Add(), ("x", "x"))),
    "Subtract": _graph((X, V), Node("a", ops.Subtract(), ("x", "v")), Node("b", ops.Subtract(), ("v", "x"))),
    "Multiply": _graph((X, V), Node("a", ops.Multiply(), ("x", "v"))),
    "Last": chain(X, [ops.Last()]),
    "Last-4": chain(X, [ops.Last(4)]),
    "Pool-mean": chain(X, [ops.Pool("mean")]),
    "Pool-max": chain(X, [ops.Pool("max")]),
    "AttentionPool": chain(X, [ops.AttentionPool(6)]),
    "Segment": chain(X, [ops.Segment(4)]),
    "Unsegment": chain(X, [ops.Segment(4), ops.Linear(8), ops.Unsegment(4)]),
    "GRU": _gru(),
    "GRU-2-layers": _gru(layers=2),
    "GRU-bidirectional": _gru(layers=2, bidirectional=True),
    "GRU-no-bias-reset-before": _gru(bias=False, reset_after=False),
    "GRU-layer-norm": _gru(layer_norm=True),
    "GRU-zoneout": _gru(zoneout=0.2, layers=2),
    "GRU-initial-state": _graph(
        (X, Port("h", "vec", 14)), Node("a", ops.GRU(7, layers=2), ("x", "h")), Node("b", ops.Last(), ("a",))
    ),
    "GRU-bidirectional-max": chain(X, [ops.GRU(7, bidirectional=True), ops.Pool("max"), ops.Linear(3)]),
    "GRU-attention": chain(X, [ops.GRU(7), ops.AttentionPool(5), ops.Linear(3)]),
    "GRU-mean-of-segments": chain(X, [ops.Segment(4), ops.GRU(7), ops.Pool("mean")]),
    "GRUStep": _graph((X, Port("h", "vec", 7)), Node("a", ops.GRUStep(7), ("x", "h"))),
    "GRUStep-tied": _graph(
        (X, Port("y", "seq", 5, "tgt")),
        Node("a", ops.GRU(7), ("x",)),
        Node("b", ops.GRUStep(7), ("y", "a.h"), weights="a"),
    ),
    "LSTM": _cell(ops.LSTM(7)),
    "LSTM-2-layers-dropout": _cell(ops.LSTM(7, layers=2, dropout=0.5)),
    "LSTM-bidirectional-no-bias": _cell(ops.LSTM(7, layers=2, bidirectional=True, bias=False)),
    "LSTM-initial-state": _graph(
        (X, Port("h", "vec", 14), Port("c", "vec", 14)),
        Node("a", ops.LSTM(7, layers=2), ("x", "h", "c")),
        Node("b", ops.Last(), ("a",)),
    ),
    "LSTMStep": _graph(
        (X, Port("h", "vec", 7), Port("c", "vec", 7)), Node("a", ops.LSTMStep(7, bias=False), ("x", "h", "c"))
    ),
    "LSTM-encoder-decoder": _graph(
        (X, Port("y", "seq", 5, "tgt")),
        Node("a", ops.LSTM(7), ("x",)),
        Node("b", ops.LSTM(7), ("y", "a.h", "a.c")),
        Node("d", ops.LSTMStep(7), ("y", "a.h", "a.c"), weights="a"),
    ),
    "RNN": _cell(ops.RNN(7)),
    "RNN-relu-2-layers": _cell(ops.RNN(7, layers=2, nonlinearity="relu")),
    "RNN-bidirectional-max": chain(X, [ops.RNN(7, bidirectional=True), ops.Pool("max"), ops.Linear(3)]),
    "RNN-relu-bidirectional-no-bias": _cell(ops.RNN(7, bidirectional=True, bias=False, nonlinearity="relu")),
    "RNN-initial-state": _graph(
        (X, Port("h", "vec", 14)), Node("a", ops.RNN(7, layers=2), ("x", "h")), Node("b", ops.Last(), ("a",))
    ),
    "RNNStep": _graph((X, Port("h", "vec", 7)), Node("a", ops.RNNStep(7), ("x", "h"))),
    "RNNStep-relu-tied": _graph(
        (X, Port("y", "seq", 5, "tgt")),
        Node("a", ops.RNN(7, nonlinearity="relu"), ("x",)),
        Node("b", ops.RNNStep(7, nonlinearity="relu"), ("y", "a.h"), weights="a"),
    ),
    "MinGRU": _cell(ops.MinGRU(7)),
    "MinGRU-2-layers-dropout": _cell(ops.MinGRU(7, layers=2, dropout=0.5)),
    "MinGRU-bidirectional-no-bias": _cell(ops.MinGRU(7, layers=2, bidirectional=True, bias=False)),
    "MinGRU-initial-state": _graph(
        (X, Port("h", "vec", 14)),
        Node("a", ops.MinGRU(7, layers=2), ("x", "h")),
        Node("b", ops.Last(), ("a",)),
    ),
    "MinGRU-of-segments": chain(X, [ops.Segment(4), ops.MinGRU(7), ops.Pool("mean")]),
    "MinGRUStep": _graph((X, Port("h", "vec", 7)), Node("a", ops.MinGRUStep(7, bias=False), ("x", "h"))),
    "MinGRU-encoder-decoder": _graph(
        (X, Port("y", "seq", 5, "tgt")),
        Node("a", ops.MinGRU(7), ("x",)),
        Node("b", ops.MinGRU(7), ("y", "a.h")),
        Node("d", ops.MinGRUStep(7), ("y", "a.h"), weights="a"),
    ),
    "Convolution": chain(X, [ops.Convolution(4, 3)]),
    "Convolution-dilated-no-bias": chain(X, [ops.Convolution(4, 2, dilation=3, bias=False)]),
    "Convolution-of-one-step": chain(X, [ops.Convolution(4, 1)]),
    "Convolution-GRU": chain(
        X,
        [
            ops.Convolution(6, 3),
            ops.Activation("relu"),
            ops.Convolution(6, 3, 2),
            ops.GRU(7),
            ops.Pool("max"),
        ],
    ),
    "Convolution-of-segments": chain(X, [ops.Segment(4), ops.Convolution(6, 3), ops.Last()]),
    "SelfAttention": _graph((W,), Node("a", ops.SelfAttention(2), ("w",))),
    "SelfAttention-causal-no-bias": _graph(
        (W,), Node("a", ops.SelfAttention(3, causal=True, bias=False), ("w",))
    ),
    "GRU-self-attention": _graph(
        (X,),
        Node("a", ops.GRU(6), ("x",)),
        Node("b", ops.SelfAttention(2), ("a",)),
        Node("c", ops.Add(), ("a", "b")),
        Node("d", ops.AttentionPool(5), ("c",)),
    ),
    "language-model-tied": Graph(
        (Port("t", "tokens", 9, "src"),),
        (
            Node("a", ops.Embedding(9, 7), ("t",)),
            Node("b", ops.GRU(7, layers=2), ("a",)),
            Node("c", ops.Linear(9), ("b",), weights="a"),
            Node("d", ops.Linear(9, bias=False), ("b",), weights="a"),
        ),
        {"c": "c", "d": "d"},
    ),
    "AdaptiveSoftmax": chain(X, [ops.AdaptiveSoftmax(11, (4,))]),
    "AdaptiveSoftmax-3-clusters-no-bias-vec": chain(V, [ops.AdaptiveSoftmax(23, (3, 7, 21), 2, bias=False)]),
    "language-model-adaptive": chain(
        Port("t", "tokens", 19, "src"),
        [ops.Embedding(19, 6), ops.GRU(9), ops.Dropout(0.2), ops.AdaptiveSoftmax(19, (5, 12))],
    ),
    "AttentiveGRU": _attentive(ops.AttentiveGRU(7)),
    "AttentiveGRU-initial-state": _attentive(ops.AttentiveGRU(7), Port("h", "vec", 7)),
    "AttentiveGRU-multiplicative": _attentive(ops.AttentiveGRU(7, "multiplicative"), keys=7),
    "AttentiveGRU-plain": _attentive(ops.AttentiveGRU(7, form="plain"), Port("h", "vec", 7)),
    "AttentiveGRU-plain-multiplicative": _attentive(ops.AttentiveGRU(7, "multiplicative", "plain"), keys=7),
    "GRUD": _grud(),
    "GRUD-initial-state": _grud(Port("h", "vec", 7), Port("l", "vec", 5), Port("s", "vec", 5)),
    "GRUD-of-one-variable-mean": _graph(
        (Port("x", "seq", 1, "src"), Port("m", "seq", 1, "src"), Port("g", "seq", 1, "src")),
        Node("a", ops.GRUD(7), ("x", "m", "g")),
        Node("b", ops.Pool("mean"), ("a",)),
    ),
    "encoder-decoder": _graph(
        (X, Y),
        Node("a", ops.GRU(7), ("x",)),
        Node("b", ops.GRU(7), ("y", "a.h")),
        Node("c", ops.Linear(2), ("b",)),
    ),
}


def of_op(op: type) -> Graph:
    """Some example graph that holds the op."""
    return next(g for g in GRAPHS.values() if any(type(node.op) is op for node in g.nodes))


def random_tensors(graph: Graph, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights of ordinary size: uniform in +-1/sqrt(fan in), gains around one."""
    rng = np.random.default_rng(seed)
    return {
        name: (rng.uniform(-1, 1, shape) / np.sqrt(shape[-1]) + (1 if ".gain_" in name else 0)).astype(
            np.float32
        )
        for name, shape in weight_shapes(graph).items()
    }


def random_inputs(graph: Graph, batch: int, times: dict[str, int], seed: int = 1) -> dict[str, np.ndarray]:
    """Inputs for every port; ``times`` gives the steps of each clock."""
    rng = np.random.default_rng(seed)
    inputs = {}
    for port in graph.inputs:
        shape = (batch,) + ((times[port.clock],) if port.clock else ())
        if port.kind == "tokens":
            inputs[port.name] = rng.integers(0, port.size, shape)
        else:
            inputs[port.name] = rng.standard_normal((*shape, port.size)).astype(np.float32)
    return inputs
