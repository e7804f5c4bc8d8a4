"""Folders of classifiers as hostile input: one sentence each, before anything large is made of what they claim."""

import json
import tracemalloc

import numpy as np
import pytest

import grus
from example_classifiers import KINDS, classifier, examples_for
from grus.artifact import save_model
from grus.decode import LiveClassifier
from grus.errors import GrusError, ModelFolderError

HUGE = 10 << 30


@pytest.fixture
def folder(request, tmp_path):
    save_model(tmp_path / "model", *classifier(request.param))
    return tmp_path / "model"


def rewrite(folder, change):
    config = json.loads((folder / "config.json").read_text())
    change(config["model"])
    (folder / "config.json").write_text(json.dumps(config))


def step(**fields):
    return lambda model: model["preprocess"][0].update(fields)


def task(**fields):
    return lambda model: model["task"].update(fields)


@pytest.mark.parametrize(
    ("folder", "change", "sentence"),
    [
        ("word", step(tokens=["a", "a"]), "vocabulary: tokens must each stand once, got 'a' twice"),
        ("word", step(tokens=["a"]), "the graph must have one input, 'tokens' of size 2"),
        ("word", step(tokens=[""]), "vocabulary: tokens must not be empty"),
        ("word", step(tokens=[1]), "Expected `str`, got `int`"),
        ("word", step(kind="letters"), "Invalid enum value 'letters'"),
        ("word", step(step="pickle"), "Invalid value 'pickle'"),
        ("word", step(extra=1), "unknown field `extra`"),
        ("word", task(task="speak"), "Invalid value 'speak'"),
        ("word", task(extra=1), "unknown field `extra`"),
        ("word", task(max_length=HUGE), "max_length must be a whole number from 1 to 16777216, got 10737418240"),
        ("word", task(baseline_size=1 << 24), "tensor 'task.baseline_weight' is missing"),
        ("word", task(labels=["no", "yes"]), "the graph must have one output, 'logits' of size 2"),
        ("word", task(kind="series", inputs=["a"]), "series needs one step, CovariateScale or Irregular, got 1 steps"),
        ("char", step(tokens=["ab"]), "a token must be one character, got 'ab'"),
        ("bpe", step(definition="{}"), "subwords: definition must be that of a BPE tokenizer"),
        ("bpe", step(definition="[" * 1_000_000), "subwords: definition must be that of a BPE tokenizer"),
        ("series", step(columns=["a", "b"]), "the columns that are scaled must be the inputs"),
        ("series", step(masked=["a", "b"]), "the graph must have one input, 'x' of size 5"),
        ("series", step(masked=["z"]), "masked ones be among them"),
        ("irregular", step(columns=["a", "a"]), "irregular: columns must each stand once, got 'a' twice"),
        ("irregular", step(form="zero"), "Invalid enum value 'zero'"),
        ("irregular", step(form="mean"), "the graph must have one input, 'x' of size 3"),
        ("irregular", step(clock="dates"), "a clock must be of dates or numbers where a time column is read, else of steps"),
        ("irregular", task(time="t"), "a clock must be of dates or numbers where a time column is read, else of steps"),
        ("images", step(height=HUGE), "images: height must be a whole number from 1 to 16777216"),
        ("images", step(width=1 << 23, channels=1 << 23), "width * channels must be a whole number from 1 to 16777216"),
        ("images", step(width=1 << 23), "the graph must have one input, 'x' of size 16777216"),
        ("events", step(codes=["I10", "I10"]), "codes must each stand once, got 'I10' twice"),
    ],
    indirect=["folder"],
)  # fmt: skip
def test_a_config_that_was_tampered_with(folder, change, sentence):
    rewrite(folder, change)
    tracemalloc.start()
    try:
        with pytest.raises(ModelFolderError) as caught:
            grus.load(folder)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("folder", KINDS, indirect=True)
def test_random_bytes_never_do_more_than_raise(folder, request):
    """A byte changed anywhere in the config: a typed error, or a model that answers or says why not."""
    examples = examples_for(request.node.callspec.params["folder"], 3)
    whole = (folder / "config.json").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(100):
        data = bytearray(whole)
        data[rng.integers(len(data))] = rng.integers(256)
        (folder / "config.json").write_bytes(data)
        try:
            live = grus.load(folder)
            assert isinstance(live, LiveClassifier)
            assert np.isfinite(live.predict_proba(examples)).all()
        except GrusError:
            pass
