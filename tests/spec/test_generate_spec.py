"""The generation task checks itself: every fault with its sentence; ties may share a part of a node's weights."""

import msgspec
import pytest

from example_language_models import language_model
from grus.errors import SpecError, UsageError
from grus.spec import (
    Classify,
    Forecast,
    Generate,
    Graph,
    Model,
    Node,
    Port,
    Subwords,
    Vocabulary,
    chain,
    node_weights,
    ops,
    weight_shapes,
)
from grus.spec.subwords import write_definition

TOKENS = Port("tokens", "tokens", 4, "src")
STEP = Vocabulary("char", False, ("a", "b", "\n"), exact=True)


def graph(*ops_, port=TOKENS):
    found = chain(port, ops_)
    return Graph(found.inputs, found.nodes, {"logits": found.outputs["out"]})


GOOD = graph(ops.Embedding(4, 3), ops.GRU(5), ops.Linear(4))


def refused(sentence, make):
    with pytest.raises(SpecError) as caught:
        make()
    assert str(caught.value) == sentence


@pytest.mark.parametrize("tokenizer", ["char", "word", "space", "bpe"])
@pytest.mark.parametrize("tied", [False, True])
def test_a_model_survives_json(tokenizer, tied):
    model, tensors = language_model(tokenizer, tied=tied, variational=tied, dropout=0.1, input_dropout=0.1)
    assert msgspec.json.decode(msgspec.json.encode(model), type=Model) == model
    assert {k: (v.dtype.name, v.shape) for k, v in tensors.items()} == model.tensors()
    assert ("main.logits.weight" in tensors) != tied
    assert "main.logits.bias" in tensors


def test_the_model_file_has_pairs_only_where_the_task_says_so():
    assert Generate("text", 7, pairs=True).arrays() == {"unigram": (7,), "bigram": (7, 7)}
    assert Generate("text", 7).arrays() == {"unigram": (7,)}


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (Generate("text", 1), "generate: size must be a whole number from 2 to 16777216, got 1"),
        (Generate("text", 1 << 30), "generate: size must be a whole number from 2 to 16777216, got 1073741824"),
        (Generate("text", 513, pairs=True), "generate: size must be a whole number from 2 to 512, got 513"),
        (Generate("text", 4, begin=4), "generate: begin must be a whole number from 0 to 3, got 4"),
        (Generate("text", 4, begin=-1), "generate: begin must be a whole number from 0 to 3, got -1"),
        (Generate("prose", 4), "generate: kind must be one of text, midi, got 'prose'"),
        (Generate("text", 5), "generate: size must be 4, as the tokens say, got 5"),
    ],
)  # fmt: skip
def test_a_task_that_cannot_be(task, sentence):
    refused(sentence, lambda: Model(1, task, (STEP,), {"main": GOOD}))


@pytest.mark.parametrize(
    ("steps", "parts", "sentence"),
    [
        ((), {"main": GOOD}, "generate: text needs one step, Vocabulary or Subwords, got 0 steps"),
        (
            (Vocabulary("char", False, ("a", "b", "\n")),),
            {"main": GOOD},
            "generate: characters and pieces must be exact, so that text can be made of them",
        ),
        (
            (Subwords(False, write_definition(["a", "b", "c"], [])),),
            {"main": GOOD},
            "generate: characters and pieces must be exact, so that text can be made of them",
        ),
        ((STEP,), {"encode": GOOD, "decode": GOOD}, "generate: the graph must have one input, 'tokens' of size 4"),
        (
            (STEP,),
            {"main": graph(ops.Embedding(4, 3), ops.Linear(3))},
            "generate: the graph must have one output, 'logits' of size 4 at every step",
        ),
        (
            (STEP,),
            {"main": graph(ops.Embedding(4, 3), ops.GRU(5), ops.Last(), ops.Linear(4))},
            "generate: the graph must have one output, 'logits' of size 4 at every step",
        ),
        (
            (STEP,),
            {"main": graph(ops.Embedding(4, 3), ops.GRU(5, bidirectional=True), ops.Linear(4))},
            "generate: node 'gru_1': every step must depend on those before it only, got GRU",
        ),
        (
            (STEP,),
            {"main": graph(ops.Embedding(4, 3), ops.Segment(2), ops.Linear(8), ops.Unsegment(2))},
            "generate: node 'segment_1': every step must depend on those before it only, got Segment",
        ),
    ],
)  # fmt: skip
def test_a_model_that_is_not_the_tasks(steps, parts, sentence):
    refused(sentence, lambda: Model(1, Generate("text", 4), steps, parts))


def test_a_language_model_is_asked_for_nothing_else():
    model = Model(1, Generate("text", 4), (STEP,), {"main": GOOD})
    assert model.task_as(Generate).size == 4
    for kind in (Forecast, Classify):
        with pytest.raises(UsageError, match="got one for generate"):
            model.task_as(kind)


def test_a_classifier_takes_no_exact_text():
    logits = graph(ops.Embedding(4, 3), ops.Pool("max"), ops.Linear(2))
    refused(
        "classify: texts must be cleaned, got a step that is exact",
        lambda: Model(1, Classify("text", ("x", "y"), ("t",), 9), (STEP,), {"main": logits}),
    )


def test_exact_pieces_are_another_definition():
    pieces = ["a", "b", "ab"]
    assert Subwords(False, write_definition(pieces, [("a", "b")], exact=True), exact=True).pieces() == tuple(
        pieces
    )
    refused(
        "subwords: definition must be as Grus writes it, with no other parts",
        lambda: Subwords(False, write_definition(pieces, [("a", "b")]), exact=True),
    )


# -- ties ----------------------------------------------------------------------------------------------------


def tied(op, owner="embedding"):
    nodes = (
        Node("embedding", ops.Embedding(4, 3), ("tokens",)),
        Node("drop", ops.Dropout(0.1), ("embedding",)),
        Node("out", op, ("embedding",), weights=owner),
    )
    return Graph((TOKENS,), nodes, {"out": "out"})


def test_a_tie_shares_what_the_owner_has_and_owns_the_rest():
    shared = tied(ops.Linear(4))
    assert weight_shapes(shared) == {"embedding.weight": (4, 3), "out.bias": (4,)}
    tensors = {"embedding.weight": 1, "out.bias": 2, "other.weight": 3}
    assert node_weights(tensors, shared.nodes[2]) == {"weight": 1, "bias": 2}
    assert node_weights(tensors, shared.nodes[0]) == {"weight": 1}
    assert weight_shapes(tied(ops.Linear(4, bias=False))) == {"embedding.weight": (4, 3)}


@pytest.mark.parametrize(
    ("op", "owner"), [(ops.Linear(5), "embedding"), (ops.GRU(3), "embedding"), (ops.Linear(4), "drop")]
)
def test_a_tie_needs_something_to_share(op, owner):
    refused(
        f"node 'out': cannot share the weights of {owner!r}, their shapes differ", lambda: tied(op, owner)
    )
