"""Graphs check themselves: names, shapes, ties and sizes, each fault with its sentence."""

import msgspec
import pytest
import torch

from example_graphs import of_op
from grus.errors import SpecError, UnsupportedError
from grus.spec import (
    BACKENDS,
    CAPABILITIES,
    OPS,
    Graph,
    Node,
    Port,
    chain,
    infer,
    ops,
    require,
    require_streaming,
    weight_shapes,
)

X = Port("x", "seq", 3, "src")


def graph(*nodes: Node, ports=(X,), outputs=None) -> Graph:
    return Graph(ports, nodes, outputs or {"out": nodes[-1].name})


def test_shapes_are_inferred_through_a_graph():
    g = graph(
        Node("gru", ops.GRU(8, layers=2, bidirectional=True), ("x",)),
        Node("last", ops.Last(), ("gru",)),
        Node("both", ops.Concat(), ("gru", "last", "gru.h")),
        Node("cut", ops.Segment(4), ("both",)),
        Node("back", ops.Unsegment(4), ("cut",)),
    )
    shapes = infer(g)
    assert str(shapes["gru"]) == "seq[16] on clock 'src'"
    assert str(shapes["gru.h"]) == "vec[32]"
    assert str(shapes["cut"]) == "seq[256] on clock 'src/4'"
    assert shapes["back"] == shapes["both"]


def test_weights_are_named_and_shaped_as_in_torch():
    g = chain(X, [ops.GRU(5, layers=2, bidirectional=True)])
    theirs = torch.nn.GRU(3, 5, 2, bidirectional=True).state_dict()
    assert weight_shapes(g) == {f"gru_0.{name}": tuple(value.shape) for name, value in theirs.items()}


def test_tied_nodes_have_no_weights_of_their_own():
    g = graph(
        Node("encoder", ops.GRU(3), ("x",)),
        Node("decoder", ops.GRUStep(3), ("x", "encoder.h"), weights="encoder"),
    )
    assert {name.split(".")[0] for name in weight_shapes(g)} == {"encoder"}


def test_a_graph_survives_json():
    g = chain(X, [ops.GRU(8, dropout=0.5), ops.Dropout(0.1), ops.Last(3), ops.Linear(2, bias=False)])
    assert msgspec.json.decode(msgspec.json.encode(g), type=Graph) == g


@pytest.mark.parametrize(
    ("nodes", "sentence"),
    [
        ([Node("a", ops.Linear(2), ("y",))], "node 'a': input 'y' is not assigned before it"),
        ([Node("x", ops.Linear(2), ("x",))], "graph: each name may be assigned once, got 'x' twice"),
        ([Node("A", ops.Linear(2), ("x",))], "graph: a name must be lower-case letters, digits and _, at most 64, got 'A'"),
        ([Node("a", ops.Linear(0), ("x",))], "node 'a': Linear: size must be a whole number from 1 to 16777216, got 0"),
        ([Node("a", ops.Linear(2), ("x", "x"))], "node 'a': Linear takes 1 to 1 inputs, got 2"),
        ([Node("a", ops.Add(), ("x", "b")), ], "node 'a': input 'b' is not assigned before it"),
        (
            [Node("a", ops.Linear(2), ("x",)), Node("b", ops.Add(), ("x", "a"))],
            "node 'b': Add: inputs must have one size, got 3 and 2",
        ),
        ([Node("a", ops.Dropout(1.0), ("x",))], "node 'a': Dropout: rate must be at least 0 and below 1, got 1.0"),
        ([Node("a", ops.Columns(1, 4), ("x",))], "node 'a': Columns: [1, 4) must lie within the 3 features of its input"),
        (
            [Node("a", ops.Unsegment(4), ("x",))],
            "node 'a': Unsegment: input must be cut into segments of 4, got seq[3] on clock 'src'",
        ),
        ([Node("a", ops.Embedding(9, 2), ("x",))], "node 'a': Embedding: input must be tokens, got seq[3] on clock 'src'"),
        (
            [Node("l", ops.Last(), ("x",)), Node("a", ops.GRU(4), ("x", "l"))],
            "node 'a': GRU: initial state must have size 4, got 3",
        ),
        (
            [Node("g", ops.GRU(4), ("x",)), Node("a", ops.GRUStep(4), ("g", "g.h"), weights="g")],
            "node 'a': cannot share the weights of 'g', their shapes differ",
        ),
        (
            [Node("a", ops.Linear(2), ("x",), weights="a")],
            "node 'a': weights must name an earlier node that owns its own, got 'a'",
        ),
    ],
)  # fmt: skip
def test_faults_are_refused_with_a_sentence(nodes, sentence):
    with pytest.raises(SpecError) as error:
        graph(*nodes)
    assert str(error.value) == sentence


def test_an_output_must_exist():
    with pytest.raises(SpecError, match="output 'out': no node 'nowhere' in the graph"):
        graph(Node("a", ops.Linear(2), ("x",)), outputs={"out": "nowhere"})


def test_clocks_do_not_mix():
    ports = (X, Port("y", "seq", 3, "tgt"))
    with pytest.raises(SpecError, match="inputs must tick on one clock, got 'src', 'tgt'"):
        graph(Node("a", ops.Concat(), ("x", "y")), ports=ports)


def test_every_op_has_a_row_in_the_table():
    assert set(CAPABILITIES) == set(OPS)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.__name__)
def test_what_a_back_end_cannot_do_is_a_typed_error(op, backend):
    example = of_op(op)
    if all(backend in CAPABILITIES[type(node.op)].backends for node in example.nodes):
        require(example, backend)
        return
    with pytest.raises(UnsupportedError, match=f"cannot run on back end {backend!r}"):
        require(example, backend)


def test_a_bidirectional_layer_cannot_stream():
    with pytest.raises(UnsupportedError, match="node 'gru_0': GRU needs the whole sequence"):
        require_streaming(chain(X, [ops.GRU(4, bidirectional=True)]))


def test_a_summary_fed_back_to_its_own_steps_cannot_stream():
    g = graph(Node("level", ops.Last(), ("x",)), Node("relative", ops.Subtract(), ("x", "level")))
    with pytest.raises(UnsupportedError, match="uses a summary of clock 'src' at its own steps"):
        require_streaming(g)


def test_a_summary_of_one_clock_may_feed_another():
    ports = (X, Port("y", "seq", 4, "tgt"))
    g = graph(
        Node("encoder", ops.GRU(4), ("x",)), Node("decoder", ops.GRU(4), ("y", "encoder.h")), ports=ports
    )
    require_streaming(g)
