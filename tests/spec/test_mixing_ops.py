"""Convolution and self-attention as specs: weights named as torch's, what is refused, and what can stream."""

import msgspec
import pytest
import torch

from grus.errors import SpecError, UnsupportedError
from grus.spec import Graph, Port, chain, infer, ops, require_streaming, weight_shapes

X = Port("x", "seq", 6, "src")
SIZE = "must be a whole number from"


def own_weights(op):
    return {name.partition(".")[2]: shape for name, shape in weight_shapes(chain(X, [op])).items()}


@pytest.mark.parametrize("bias", [True, False])
def test_weights_are_named_and_shaped_as_torchs(bias):
    convolution = torch.nn.Conv1d(6, 4, 3, bias=bias).state_dict()
    assert own_weights(ops.Convolution(4, 3, bias=bias)) == {
        n: tuple(v.shape) for n, v in convolution.items()
    }
    attention = torch.nn.MultiheadAttention(6, 2, bias=bias).state_dict()
    assert own_weights(ops.SelfAttention(2, bias=bias)) == {
        name.replace(".", "_"): tuple(value.shape) for name, value in attention.items()
    }


def test_they_survive_json_and_keep_the_clock():
    graph = chain(X, [ops.Convolution(4, 3, 2, False), ops.SelfAttention(4, True)])
    assert msgspec.json.decode(msgspec.json.encode(graph), type=Graph) == graph
    assert [(infer(graph)[node.name].size, infer(graph)[node.name].clock) for node in graph.nodes] == [
        (4, "src")
    ] * 2


def test_a_convolution_streams_and_self_attention_does_not():
    require_streaming(chain(X, [ops.Convolution(4, 3, 2), ops.GRU(4)]))
    for op in (ops.SelfAttention(2), ops.SelfAttention(2, causal=True)):
        with pytest.raises(UnsupportedError) as error:
            require_streaming(chain(X, [ops.GRU(6), op]))
        assert str(error.value) == (
            "node 'self_attention_1': SelfAttention needs the whole sequence, so it cannot run in chunks"
        )


@pytest.mark.parametrize(
    ("op", "sentence"),
    [
        (ops.Convolution(0, 3), f"Convolution: size {SIZE} 1 to 16777216, got 0"),
        (ops.Convolution(4, 0), f"Convolution: kernel {SIZE} 1 to 16777216, got 0"),
        (ops.Convolution(4, 3, 0), f"Convolution: dilation {SIZE} 1 to 16777216, got 0"),
        (ops.Convolution(4, 3, 1 << 21), f"Convolution: (kernel - 1) * dilation * input size {SIZE} 0 to 16777216, got 25165824"),
        (ops.SelfAttention(0), f"SelfAttention: heads {SIZE} 1 to 16777216, got 0"),
        (ops.SelfAttention(4), "SelfAttention: heads must divide the 6 features of its input, got 4"),
    ],
    ids=str,
)  # fmt: skip
def test_faults_are_refused_with_a_sentence(op, sentence):
    with pytest.raises(SpecError) as error:
        chain(X, [op])
    assert str(error.value).partition(": ")[2] == sentence


@pytest.mark.parametrize("op", [ops.Convolution(4, 3), ops.SelfAttention(1)])
def test_they_take_a_sequence_only(op):
    with pytest.raises(SpecError, match=rf"{op.name}: input must be seq, got vec\[6\]"):
        chain(Port("v", "vec", 6), [op])


def test_a_wide_input_is_refused_before_anything_is_allocated():
    wide = Port("x", "seq", 1 << 23, "src")
    for op, what in ((ops.Convolution(1, 3), "kernel"), (ops.SelfAttention(1), "3")):
        with pytest.raises(
            SpecError, match=rf"{what} \* input size must be a whole number from 1 to 16777216"
        ):
            chain(wide, [op])
