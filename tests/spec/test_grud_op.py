"""GRU-D as a spec: sizes, states, weights named as those of the torch module, and what is refused."""

import msgspec
import pytest

from grus.errors import SpecError
from grus.nn import GRUD
from grus.spec import Graph, Node, Port, infer, ops, weight_shapes

PORTS = (
    Port("x", "seq", 3, "src"), Port("m", "seq", 3, "src"), Port("g", "seq", 1, "src"), Port("y", "seq", 3, "tgt"),
    Port("h", "vec", 8), Port("l", "vec", 3), Port("s", "vec", 3), Port("t", "tokens", 3, "src"),
)  # fmt: skip


def graph_of(op, *inputs):
    return Graph(PORTS, (Node("a", op, inputs),), {"out": "a"})


def test_sizes_states_and_weights():
    graph = graph_of(ops.GRUD(8), "x", "m", "g", "h", "l", "s")
    shapes = infer(graph)
    assert str(shapes["a"]) == "seq[8] on clock 'src'"
    assert [str(shapes[f"a{name}"]) for name in ops.GRUD.states] == ["vec[8]", "vec[3]", "vec[3]"]
    theirs = {f"a.{name}": tuple(value.shape) for name, value in GRUD(3, 8).state_dict().items()}
    assert weight_shapes(graph) == theirs
    assert graph.nodes[0].op.time == "causal"


def test_it_survives_json():
    graph = graph_of(ops.GRUD(8), "x", "m", "g")
    assert msgspec.json.decode(msgspec.json.encode(graph), type=Graph) == graph


@pytest.mark.parametrize(
    ("op", "inputs", "sentence"),
    [
        (ops.GRUD(0), ("x", "m", "g"), "node 'a': GRUD: hidden must be a whole number from 1 to 16777216, got 0"),
        (ops.GRUD(8), ("x", "m"), "node 'a': GRUD takes 3 to 6 inputs, got 2"),
        (ops.GRUD(8), ("h", "m", "g"), "node 'a': GRUD: x: input must be seq, got vec[8]"),
        (ops.GRUD(8), ("x", "t", "g"), "node 'a': GRUD: mask: input must be seq, got tokens[3] on clock 'src'"),
        (ops.GRUD(8), ("x", "y", "g"), "node 'a': GRUD: x, mask and gap must tick on one clock, got 'src', 'tgt' and 'src'"),
        (ops.GRUD(8), ("x", "g", "g"), "node 'a': GRUD: mask must have the size of x, 3, got 1"),
        (ops.GRUD(8), ("x", "m", "m"), "node 'a': GRUD: gap must have size 1, the time since the row before, got 3"),
        (ops.GRUD(8), ("x", "m", "g", "h"), "node 'a': GRUD: initial state must be h, last and since, or none, got 1 of them"),
        (ops.GRUD(4), ("x", "m", "g", "h", "l", "s"), "node 'a': GRUD: initial h must have size 4, got 8"),
        (ops.GRUD(8), ("x", "m", "g", "h", "l", "h"), "node 'a': GRUD: initial since must have size 3, got 8"),
        (ops.GRUD(8), ("x", "m", "g", "h", "x", "s"), "node 'a': GRUD: initial last: input must be vec, got seq[3] on clock 'src'"),
    ],
)  # fmt: skip
def test_faults_are_refused_with_a_sentence(op, inputs, sentence):
    with pytest.raises(SpecError) as error:
        graph_of(op, *inputs)
    assert str(error.value) == sentence
