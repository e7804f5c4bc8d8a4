"""The adaptive softmax as a spec: its tensors, what it outputs, and what is refused."""

import msgspec
import pytest

from grus.errors import SpecError
from grus.spec import Graph, Port, chain, infer, ops, require_streaming, weight_shapes
from grus.spec.shapes import Shape

X = Port("x", "seq", 20, "src")


def own_weights(op):
    return {name.partition(".")[2]: shape for name, shape in weight_shapes(chain(X, [op])).items()}


def test_a_head_and_ever_narrower_clusters():
    op = ops.AdaptiveSoftmax(100, (10, 30))
    assert op.clusters == ((10, 30), (30, 100))
    assert own_weights(op) == {
        "weight": (12, 20), "bias": (12,),
        "projection_0": (5, 20), "weight_0": (20, 5), "bias_0": (20,),
        "projection_1": (1, 20), "weight_1": (70, 1), "bias_1": (70,),
    }  # fmt: skip
    plain = own_weights(ops.AdaptiveSoftmax(100, (10,), factor=1, bias=False))
    assert plain == {"weight": (11, 20), "projection_0": (20, 20), "weight_0": (90, 20)}


def test_it_survives_json_keeps_the_clock_and_streams():
    graph = chain(X, [ops.AdaptiveSoftmax(100, (10, 30), 2, False)])
    assert msgspec.json.decode(msgspec.json.encode(graph), type=Graph) == graph
    assert infer(graph)["adaptive_softmax_0"] == Shape("seq", 100, "src")
    assert infer(chain(Port("v", "vec", 3), [ops.AdaptiveSoftmax(4, (1,))]))["adaptive_softmax_0"] == Shape(
        "vec", 4
    )
    require_streaming(graph)


@pytest.mark.parametrize(
    ("op", "sentence"),
    [
        (ops.AdaptiveSoftmax(1, (1,)), "size must be a whole number from 2 to 16777216, got 1"),
        (ops.AdaptiveSoftmax(9, (3,), 0), "factor must be a whole number from 1 to 16777216, got 0"),
        (ops.AdaptiveSoftmax(9, ()), "cutoffs must be 1 to 16 numbers, got 0"),
        (ops.AdaptiveSoftmax(99, tuple(range(1, 18))), "cutoffs must be 1 to 16 numbers, got 17"),
        (ops.AdaptiveSoftmax(9, (0, 3)), "cutoffs must be whole numbers that rise from 1 to below 9, got 0, 3"),
        (ops.AdaptiveSoftmax(9, (3, 3)), "cutoffs must be whole numbers that rise from 1 to below 9, got 3, 3"),
        (ops.AdaptiveSoftmax(9, (3, 9)), "cutoffs must be whole numbers that rise from 1 to below 9, got 3, 9"),
        (ops.AdaptiveSoftmax(9, (True, 3)), "cutoffs must be whole numbers that rise from 1 to below 9, got True, 3"),
    ],
    ids=str,
)  # fmt: skip
def test_faults_are_refused_with_a_sentence(op, sentence):
    with pytest.raises(SpecError) as error:
        chain(X, [op])
    assert str(error.value) == f"node 'adaptive_softmax_0': AdaptiveSoftmax: {sentence}"


def test_it_takes_numbers_only():
    with pytest.raises(SpecError, match=r"AdaptiveSoftmax: input must be seq or vec, got tokens\[6\]"):
        chain(Port("t", "tokens", 6), [ops.AdaptiveSoftmax(9, (3,))])
