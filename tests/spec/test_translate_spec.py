"""The attentive op, ties between parts, and what belongs together in a translator."""

import msgspec
import pytest

from example_translators import a_translator
from grus.errors import SpecError, UnsupportedError
from grus.export.c99.program import graph_program
from grus.spec import Graph, Model, Node, Port, Translate, Vocabulary, ops, require, require_streaming

X, M, K = Port("x", "seq", 5, "tgt"), Port("m", "memory", 4, "src"), Port("k", "memory", 6, "src")


def graph(op, *ports):
    return Graph(ports, (Node("a", op, tuple(p.name for p in ports)),), {"out": "a"})


@pytest.mark.parametrize(
    ("op", "ports", "sentence"),
    [
        (ops.AttentiveGRU(0), (X, M, K), "AttentiveGRU: hidden must be a whole number from 1 to 16777216, got 0"),
        (ops.AttentiveGRU(7, "cosine"), (X, M, K), "score must be additive or multiplicative"),
        (ops.AttentiveGRU(7, form="deep"), (X, M, K), "form conditional or plain, got 'additive' and 'deep'"),
        (ops.AttentiveGRU(7), (X, Port("m", "seq", 4, "src"), K), "input must be memory, got seq[4] on clock 'src'"),
        (ops.AttentiveGRU(7), (X, M, Port("k", "memory", 6, "other")), "must tick on one clock"),
        (ops.AttentiveGRU(7), (Port("x", "seq", 5, "src"), M, K), "which is not that of x"),
        (ops.AttentiveGRU(7, "multiplicative"), (X, M, K), "keys must have the state's size 7, got 6"),
        (ops.AttentiveGRU(7), (X, M, K, Port("h", "vec", 6)), "initial state must have size 7, got 6"),
        (ops.AttentiveGRU(7), (X, M), "takes 3 to 4 inputs, got 2"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(op, ports, sentence):
    with pytest.raises(SpecError) as caught:
        graph(op, *ports)
    assert str(caught.value).startswith("node 'a': ")
    assert sentence in str(caught.value)


def test_ports_of_a_memory():
    with pytest.raises(SpecError, match="a seq needs a clock and a vec has none, got memory ''"):
        graph(ops.AttentiveGRU(7), X, Port("m", "memory", 4), K)
    with pytest.raises(SpecError, match="an alignment can only be an output"):
        Graph((Port("a", "alignment", 1, "tgt"),), (), {})


def test_it_streams_on_its_own_clock_and_runs_everywhere():
    found = graph(ops.AttentiveGRU(7), X, M, K)
    require_streaming(found)
    for backend in ("torch", "runtime", "onnx", "c"):
        require(found, backend)


def test_c99_needs_whole_sequences():
    found = graph(ops.AttentiveGRU(7), X, M, K)
    with pytest.raises(UnsupportedError) as caught:
        graph_program(found, {}, "never")
    assert str(caught.value) == (
        "graph: to run step by step on back end 'c' it must have one clock, got src, tgt"
    )


def test_a_translator_reads_back_as_it_was():
    for joint in (False, True):
        model, tensors = a_translator(joint=joint)
        assert msgspec.convert(msgspec.to_builtins(model), Model) == model
        assert {name: values.shape for name, values in tensors.items()} == {
            name: shape for name, (_, shape) in model.tensors().items()
        }


def test_tied_parts_share_one_tensor():
    model, tensors = a_translator(joint=True)
    assert model.ties == {"decode.embedding": "encode.embedding"}
    assert "decode.embedding.weight" not in tensors
    part = model.part_tensors("decode", tensors)
    assert part["embedding.weight"] is tensors["encode.embedding.weight"]
    assert model.part_tensors("encode", tensors)["embedding.weight"] is part["embedding.weight"]


@pytest.mark.parametrize(
    "ties",
    [
        {"decode.embedding": "encode.encoder"},
        {"decode.embedding": "encode.nothing"},
        {"decode.nothing": "encode.embedding"},
        {"decode.logits": "encode.embedding"},
        {"encode.bridge": "encode.memory_keys"},
        {"decode.embedding": "encode.embedding", "encode.embedding": "decode.embedding"},
    ],
)
def test_ties_that_cannot_be(ties):
    model, _ = a_translator(joint=True)
    with pytest.raises(SpecError, match="cannot use the weights of"):
        msgspec.structs.replace(model, ties=ties)


def changed(part, **fields):
    """A translator with one of its graphs changed."""
    model, _ = a_translator()
    graph = msgspec.structs.replace(model.parts[part], **fields)
    return msgspec.structs.replace(model, parts=model.parts | {part: graph})


def test_parts_that_are_no_translator():
    model, _ = a_translator()
    encode, decode = model.parts["encode"], model.parts["decode"]
    with pytest.raises(SpecError, match="parts must be encode and decode, got main"):
        msgspec.structs.replace(model, parts={"main": encode})
    with pytest.raises(SpecError, match="encode must put out memory and keys"):
        changed("encode", outputs={"memory": "memory", "state": "state"})
    with pytest.raises(SpecError, match="encode must put out memory and keys"):
        changed("encode", outputs=encode.outputs | {"state": "memory"})
    with pytest.raises(SpecError, match="decode must put out logits of"):
        changed("decode", outputs={"logits": "logits"})
    with pytest.raises(SpecError, match="decode must put out logits of"):
        changed("decode", outputs=decode.outputs | {"logits": "narrow"})
    with pytest.raises(SpecError, match="encode must have one input, 'source' of"):
        msgspec.structs.replace(model, parts={"encode": decode, "decode": decode})
    with pytest.raises(SpecError, match="decode must have the inputs target"):
        msgspec.structs.replace(model, parts={"encode": encode, "decode": encode})


def test_vocabularies():
    model, _ = a_translator()
    source, target = model.preprocess
    assert (source.side, target.side) == ("source", "target")
    sentence = "needs one vocabulary for both sides, or one with side 'source' and one with 'target'"
    for steps in ((), (source,), (msgspec.structs.replace(source, side=""), target)):
        with pytest.raises(SpecError, match=sentence):
            msgspec.structs.replace(model, preprocess=steps)
    with pytest.raises(SpecError, match="each preprocessing step may stand once"):
        msgspec.structs.replace(model, preprocess=(source, source))
    with pytest.raises(SpecError, match="encode must have one input, 'source' of 12 codes"):
        msgspec.structs.replace(
            model, preprocess=(Vocabulary("word", True, tuple("abcdefghij"), side="source"), target)
        )


def test_numbers_of_the_task():
    for task, sentence in [
        (Translate("", "en", 5, 5), "source and target must have names"),
        (Translate("de", "en", 0, 5), "translate: max_source must be a whole number from 1 to 65536, got 0"),
        (Translate("de", "en", 5, 1 << 17), "translate: max_target must be"),
        (Translate("de", "en", 5, 5, float("nan")), "length_penalty must be from 0 to 10, got nan"),
    ]:
        with pytest.raises(SpecError) as caught:
            task.check()
        assert sentence in str(caught.value)
