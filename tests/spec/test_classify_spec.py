"""The classification task and its steps check themselves: every fault with its sentence, nothing large made on the way."""

import json

import msgspec
import pytest

from example_classifiers import KINDS, classifier
from grus.errors import SpecError, UsageError
from grus.spec import (
    Calendar,
    Classify,
    Codes,
    CovariateScale,
    Forecast,
    Graph,
    Images,
    Irregular,
    Model,
    Port,
    Subwords,
    Vocabulary,
    chain,
    ops,
)
from grus.spec.subwords import read_definition, write_definition

SIZE = "must be a whole number from"
DEFINITION = write_definition(["a", "b", "ab"], [("a", "b")])


def refused(sentence, make, *arguments, **fields):
    with pytest.raises(SpecError) as caught:
        make(*arguments, **fields)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_survives_json(kind):
    model, tensors = classifier(kind)
    assert msgspec.json.decode(msgspec.json.encode(model), type=Model) == model
    assert {k: (v.dtype.name, v.shape) for k, v in tensors.items()} == model.tensors()


@pytest.mark.parametrize("kind", KINDS)
def test_no_part_takes_a_field_that_it_does_not_know(kind):
    model, _ = classifier(kind)
    data = msgspec.to_builtins(model)
    for part in (data, data["task"], data["preprocess"][0]):
        part["extra"] = 1
        with pytest.raises(msgspec.ValidationError, match="unknown field `extra`"):
            msgspec.convert(data, Model)
        del part["extra"]


def test_a_baseline_has_its_tensors_only_where_there_is_one():
    task = Classify("text", ("a", "b", "c"), ("t",), 10, baseline_size=7)
    assert task.arrays() == {
        "temperature": (1,), "prior": (3,), "baseline_weight": (7, 3), "baseline_bias": (3,),
    }  # fmt: skip
    assert set(msgspec.structs.replace(task, baseline_size=0).arrays()) == {"temperature", "prior"}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"labels": ("a",)}, "classify: labels must be at least 2, got 1"),
        ({"labels": ("a", "b", "a")}, "classify: labels must each stand once, got 'a' twice"),
        ({"labels": ("a", "")}, "classify: labels must not be empty"),
        ({"labels": (), "multi": True}, "classify: labels must be at least 1, got 0"),
        (
            {"kind": "speech"},
            "classify: kind must be one of text, series, images, events, audio, got 'speech'",
        ),
        ({"inputs": ()}, "classify: text must have 1 input columns, got 0"),
        ({"inputs": ("t", "u")}, "classify: text must have 1 input columns, got 2"),
        ({"kind": "events", "inputs": ("t", "u")}, "classify: events must have 1 input columns, got 2"),
        ({"kind": "images"}, "classify: images must have 0 input columns, got 1"),
        ({"kind": "series", "inputs": ()}, "classify: series must have 1 input columns, got 0"),
        ({"kind": "series", "inputs": ("x", "x")}, "classify: inputs must each stand once, got 'x' twice"),
        ({"max_length": 0}, f"classify: max_length {SIZE} 1 to 16777216, got 0"),
        ({"max_length": 1 << 40}, f"classify: max_length {SIZE} 1 to 16777216, got 1099511627776"),
        ({"baseline_size": -1}, f"classify: baseline_size {SIZE} 0 to 16777216, got -1"),
        ({"baseline_size": 10 << 30}, f"classify: baseline_size {SIZE} 0 to 16777216, got 10737418240"),
    ],
)
def test_tasks_that_cannot_be(fields, sentence):
    task = msgspec.structs.replace(Classify("text", ("a", "b"), ("t",), 10), **fields)
    refused(sentence, task.check)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Vocabulary("word", True, ("a", "b", "a")), "vocabulary: tokens must each stand once, got 'a' twice"),
        (lambda: Vocabulary("word", True, ("a", "")), "vocabulary: tokens must not be empty"),
        (lambda: Vocabulary("char", True, ("a", "bc")), "vocabulary: a token must be one character, got 'bc'"),
        (lambda: Codes(("I10", "I10")), "codes: codes must each stand once, got 'I10' twice"),
        (lambda: Codes(("",)), "codes: codes must not be empty"),
        (lambda: Images(0, 5, 1), f"images: height {SIZE} 1 to 16777216, got 0"),
        (lambda: Images(10 << 30, 5, 1), f"images: height {SIZE} 1 to 16777216, got 10737418240"),
        (lambda: Images(5, 1 << 20, 1 << 20), f"images: width * channels {SIZE} 1 to 16777216, got 1099511627776"),
        (lambda: CovariateScale(("a", "a")).port(), "covariate scale: columns must each stand once, and masked ones be among them"),
        (lambda: CovariateScale(("a",), ("b",)).port(), "covariate scale: columns must each stand once, and masked ones be among them"),
    ],
)  # fmt: skip
def test_steps_that_cannot_be(make, sentence):
    refused(sentence, make)


def test_a_definition_of_subwords_is_what_was_written():
    assert read_definition(DEFINITION) == (("a", "b", "ab"), [("a", "b")])
    assert Subwords(True, DEFINITION).port() == Port("tokens", "tokens", 4, "src")


def spoilt(**changes):
    """The definition with other parts."""
    data = json.loads(DEFINITION)
    for path, value in changes.items():
        *parents, last = path.split("__")
        inner = data
        for name in parents:
            inner = inner[name]
        inner[last] = value
    return json.dumps(data, separators=(",", ":"))


@pytest.mark.parametrize(
    ("definition", "sentence"),
    [
        ("", "definition must be that of a BPE tokenizer"),
        ("{}", "definition must be that of a BPE tokenizer"),
        ("[" * 100_000, "definition must be that of a BPE tokenizer"),
        ('{"model": {"vocab": {"a": "0"}, "merges": []}}', "definition must be that of a BPE tokenizer"),
        ("\ud800", "definition must be that of a BPE tokenizer"),
        (DEFINITION[:-5], "definition must be that of a BPE tokenizer"),
        (DEFINITION + " ", "as Grus writes it, with no other parts"),
        (spoilt(model__vocab={"a": 0, "b": 1, "ab": 1}), "pieces must be numbered from 0 to 2, each once"),
        (spoilt(model__vocab={"a": 0, "b": 1, "ab": 10 << 30}), "pieces must be numbered from 0 to 2, each once"),
        (spoilt(model__vocab={"a": -1, "b": 0, "ab": 1}), "pieces must be numbered from 0 to 2, each once"),
        (spoilt(model__vocab={}), f"how many pieces {SIZE} 1 to"),
        (spoilt(model__merges=[["a", "c"]]), "a merge must be of known pieces, got 'a' and 'c'"),
        (spoilt(model__merges=[["b", "a"]]), "a merge must be of known pieces, got 'b' and 'a'"),
        (spoilt(model__type="Unigram"), "as Grus writes it, with no other parts"),
        (spoilt(model__dropout=0.5), "as Grus writes it, with no other parts"),
        (spoilt(normalizer={"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}), "no other parts"),
        (spoilt(pre_tokenizer={"type": "Split", "pattern": {"Regex": "(a+)+$"}}), "with no other parts"),
        (spoilt(added_tokens=[{"id": 9, "content": "x"}]), "with no other parts"),
        (spoilt(padding={"strategy": {"Fixed": 1 << 40}}), "with no other parts"),
        (DEFINITION.replace('"vocab":{', '"vocab":{"a":0,'), "with no other parts"),
        (spoilt(extra=1), "with no other parts"),
    ],
)  # fmt: skip
def test_definitions_that_are_refused(definition, sentence):
    with pytest.raises(SpecError, match=r"^subwords: ") as caught:
        Subwords(True, definition)
    assert sentence in str(caught.value)


def test_a_model_has_the_one_step_of_its_kind():
    model, _ = classifier("word")
    for steps, sentence in (
        ((), "classify: text needs one step, Vocabulary or Subwords, got 0 steps"),
        ((Calendar(()),), "classify: text needs one step, Vocabulary or Subwords, got 1 steps"),
        (
            (Calendar(()), *model.preprocess),
            "classify: text needs one step, Vocabulary or Subwords, got 2 steps",
        ),
    ):
        refused(sentence, Model, 1, model.task, steps, model.parts)
    other, _ = classifier("series")
    steps = (CovariateScale(("a", "c", "b"), ("b",)),)
    refused(
        "classify: the columns that are scaled must be the inputs", Model, 1, other.task, steps, other.parts
    )


def test_a_model_has_the_input_and_the_output_of_its_task():
    model, _ = classifier("word")
    short = (Vocabulary("word", True, ("good",)),)
    sentence = "classify: the graph must have one input, 'tokens' of size 2"
    refused(sentence, Model, 1, model.task, short, model.parts)
    graph = model.parts["main"]
    parts = {"encode": graph, "decode": graph}
    size = model.task.port(model.preprocess).size
    sentence = f"classify: the graph must have one input, 'tokens' of size {size}"
    refused(sentence, Model, 1, model.task, model.preprocess, parts)
    sentence = "classify: the graph must have one output, 'logits' of size 3"
    for outputs in (
        {},
        {"out": "logits"},
        {"logits": "pool"},
        {"logits": "gru"},
        {"logits": "logits", "b": "pool"},
    ):
        changed = Graph(graph.inputs, graph.nodes, outputs)
        refused(sentence, Model, 1, model.task, model.preprocess, {"main": changed})


def test_a_model_of_another_task_says_so():
    model, _ = classifier("word")
    assert model.task_as(Classify) is model.task
    with pytest.raises(UsageError, match=r"^model: its task must be forecast, got one for classify$"):
        model.task_as(Forecast)


@pytest.mark.parametrize(
    ("op", "sentence"),
    [
        (ops.Pool("min"), "node 'pool_0': Pool: how must be mean or max, got 'min'"),
        (ops.AttentionPool(0), f"node 'attention_pool_0': AttentionPool: size {SIZE} 1 to 16777216, got 0"),
        (ops.AttentionPool(10 << 30), f"node 'attention_pool_0': AttentionPool: size {SIZE} 1 to 16777216, got 10737418240"),
    ],
    ids=str,
)  # fmt: skip
def test_pools_that_cannot_be(op, sentence):
    refused(sentence, chain, Port("x", "seq", 5, "src"), [op])


def test_pools_take_a_sequence_only():
    for op in (ops.Pool("max"), ops.AttentionPool(3)):
        with pytest.raises(SpecError, match=r"input must be seq, got vec\[5\]"):
            chain(Port("v", "vec", 5), [op])


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"variable": "v"}, "classify: variable and value must both be columns, or neither"),
        (
            {"variable": "v", "value": "x"},
            "classify: a variable column is of series with an id and a time column",
        ),
        (
            {"variable": "v", "value": "x", "id": "i"},
            "classify: a variable column is of series with an id and a time column",
        ),
        (
            {"variable": "v", "value": "x", "id": "i", "time": "t", "kind": "events"},
            "classify: a variable column is of series with an id and a time column",
        ),
    ],
)
def test_long_form_is_of_series_with_all_their_columns(fields, sentence):
    task = Classify(**{"kind": "series", "labels": ("a", "b"), "inputs": ("x",), "max_length": 5} | fields)
    refused(sentence, task.check)


@pytest.mark.parametrize(
    ("form", "time", "clock", "sentence"),
    [
        ("decay", None, "numbers", "classify: a clock must be of dates or numbers where a time column is read, else of steps"),
        ("decay", "t", "steps", "classify: a clock must be of dates or numbers where a time column is read, else of steps"),
        ("mean", "t", "dates", "classify: a clock must be of dates or numbers where a time column is read, else of steps"),
        ("decay", "t", "dates", None),
        ("decay", None, "steps", None),
        ("forward", "t", "steps", None),
    ],
)  # fmt: skip
def test_a_clock_is_that_of_the_column_that_is_read(form, time, clock, sentence):
    task = Classify("series", ("a", "b"), ("x", "y"), 5, time=time)
    steps = (Irregular(("x", "y"), form, clock),)
    if sentence is None:
        assert task.port(steps) == Port("x", "seq", 5 if form == "decay" else 2, "src")
    else:
        refused(sentence, task.port, steps)
    other = msgspec.structs.replace(task, inputs=("x", "z"))
    refused("classify: the columns that are scaled must be the inputs", other.port, steps)
