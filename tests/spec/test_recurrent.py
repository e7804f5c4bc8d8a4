"""LSTM, simple RNN and MinGRU as specs: sizes, states, weights named as torch's, and what is refused."""

import msgspec
import pytest
import torch

from grus.errors import SpecError
from grus.nn import MinGRU
from grus.spec import Graph, Node, Port, chain, infer, ops, weight_shapes

X = Port("x", "seq", 3, "src")
H = Port("h", "vec", 8)


def graph_of(op, *inputs):
    return Graph((X, H), (Node("a", op, inputs),), {"out": "a"})


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(
    ("op", "module"), [(ops.LSTM, torch.nn.LSTM), (ops.RNN, torch.nn.RNN), (ops.GRU, torch.nn.GRU)]
)
def test_weights_are_named_and_shaped_as_torchs(op, module, bidirectional):
    graph = chain(X, [op(8, 2, bidirectional)])
    theirs = module(3, 8, 2, bidirectional=bidirectional).state_dict()
    assert {name.partition(".")[2]: shape for name, shape in weight_shapes(graph).items()} == {
        name: tuple(value.shape) for name, value in theirs.items()
    }
    shapes = infer(graph)
    name = graph.nodes[0].name
    assert shapes[name].size == (16 if bidirectional else 8)
    for state in op.states:
        assert shapes[name + state].size == (32 if bidirectional else 16)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_mingru_has_no_recurrent_weights(bidirectional):
    graph = chain(X, [ops.MinGRU(8, 2, bidirectional)])
    theirs = MinGRU(3, 8, 2, bidirectional=bidirectional).state_dict()
    assert {name.partition(".")[2]: shape for name, shape in weight_shapes(graph).items()} == {
        name: tuple(value.shape) for name, value in theirs.items()
    }
    assert infer(graph)[graph.nodes[0].name + ".h"].size == (32 if bidirectional else 16)


def test_they_survive_json():
    nodes = [ops.LSTM(8, 2, True, False, 0.5), ops.RNN(8, nonlinearity="relu"), ops.MinGRU(8, 2, dropout=0.1)]
    graph = chain(X, nodes)
    assert msgspec.json.decode(msgspec.json.encode(graph), type=Graph) == graph


@pytest.mark.parametrize(
    ("op", "inputs", "sentence"),
    [
        (ops.LSTM(8), ("x", "h"), "node 'a': LSTM: initial state must be h and c, got 1 of them"),
        (ops.LSTM(4), ("x", "h", "h"), "node 'a': LSTM: initial state must have size 4, got 8"),
        (ops.LSTM(0), ("x",), "node 'a': LSTM: hidden must be a whole number from 1 to 16777216, got 0"),
        (ops.LSTM(8, dropout=1.0), ("x",), "node 'a': LSTM: dropout must be at least 0 and below 1, got 1.0"),
        (ops.LSTM(8), ("h",), "node 'a': LSTM: input must be seq, got vec[8]"),
        (ops.LSTMStep(8), ("x", "h"), "node 'a': LSTMStep takes 3 to 3 inputs, got 2"),
        (ops.LSTMStep(4), ("x", "h", "h"), "node 'a': LSTMStep: state must have size 4, got 8"),
        (ops.RNN(8, layers=65), ("x",), "node 'a': RNN: layers must be a whole number from 1 to 64, got 65"),
        (ops.RNN(8), ("x", "h", "h"), "node 'a': RNN takes 1 to 2 inputs, got 3"),
        (ops.RNN(8, nonlinearity="sin"), ("x",), "node 'a': RNN: nonlinearity must be tanh or relu, got 'sin'"),
        (ops.RNNStep(8, nonlinearity=""), ("x", "h"), "node 'a': RNNStep: nonlinearity must be tanh or relu, got ''"),
        (ops.MinGRU(8, dropout=1.0), ("x",), "node 'a': MinGRU: dropout must be at least 0 and below 1, got 1.0"),
        (ops.MinGRU(4), ("x", "h"), "node 'a': MinGRU: initial state must have size 4, got 8"),
        (ops.MinGRU(8), ("h",), "node 'a': MinGRU: input must be seq, got vec[8]"),
        (ops.MinGRUStep(8), ("x",), "node 'a': MinGRUStep takes 2 to 2 inputs, got 1"),
        (ops.MinGRUStep(4), ("x", "h"), "node 'a': MinGRUStep: state must have size 4, got 8"),
        (ops.RNNStep(4), ("x", "h"), "node 'a': RNNStep: state must have size 4, got 8"),
    ],
)  # fmt: skip
def test_faults_are_refused_with_a_sentence(op, inputs, sentence):
    with pytest.raises(SpecError) as error:
        graph_of(op, *inputs)
    assert str(error.value) == sentence
