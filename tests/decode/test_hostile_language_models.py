"""Folders of language models as hostile input: one sentence each, before anything is made of what they claim."""

import json

import numpy as np
import pytest

import grus
from example_language_models import language_model
from grus.artifact import save_model
from grus.errors import ModelFolderError


def rewrite(folder, change):
    config = json.loads((folder / "config.json").read_text())
    change(config["model"])
    (folder / "config.json").write_text(json.dumps(config))


def step(**fields):
    return lambda model: model["preprocess"][0].update(fields)


def task(**fields):
    return lambda model: model["task"].update(fields)


def node(number, **fields):
    return lambda model: model["parts"]["main"]["nodes"][number].update(fields)


@pytest.mark.parametrize(
    ("tokenizer", "change", "sentence"),
    [
        ("char", step(tokens=["a", "a"]), "vocabulary: tokens must each stand once, got 'a' twice"),
        ("char", step(tokens=["a"]), "generate: size must be 2, as the tokens say, got"),
        ("char", step(tokens=["ab"]), "vocabulary: a token must be one character, got 'ab'"),
        ("char", step(exact=False), "generate: characters and pieces must be exact"),
        ("char", step(exact=1), "Expected `bool`, got `int`"),
        ("bpe", step(exact=False), "subwords: definition must be as Grus writes it, with no other parts"),
        ("bpe", step(definition="{}"), "subwords: definition must be that of a BPE tokenizer"),
        ("char", task(size=10 << 30), "size must be a whole number from 2 to 512, got 10737418240"),
        ("char", task(size=10 << 30, pairs=False), "size must be a whole number from 2 to 16777216"),
        ("char", task(begin=-1), "begin must be a whole number from 0 to"),
        ("char", task(kind="midi?"), "Invalid enum value 'midi?'"),
        ("char", task(extra=1), "unknown field `extra`"),
        ("char", task(pairs=False), "tensor 'task.bigram' does not belong to this model"),
        ("char", node(2, weights="layers"), "node 'logits': cannot share the weights of 'layers', their shapes differ"),
        ("char", node(2, weights="embedding"), "tensor 'main.logits.weight' does not belong to this model"),
    ],
)  # fmt: skip
def test_a_folder_that_was_tampered_with(tmp_path, tokenizer, change, sentence):
    folder = save_model(tmp_path / "model", *language_model(tokenizer))
    rewrite(folder, change)
    with pytest.raises(ModelFolderError) as caught:
        grus.load(folder)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("name", ["task.unigram", "task.bigram"])
def test_counts_below_zero(tmp_path, name):
    model, tensors = language_model()
    tensors[name] = tensors[name] - 10
    folder = save_model(tmp_path / "model", model, tensors)
    with pytest.raises(ModelFolderError, match=r"model: counts of tokens must be at least 0$"):
        grus.load(folder)


def test_pieces_that_are_no_bytes(tmp_path):
    from grus.spec.subwords import read_definition, write_definition

    model, tensors = language_model("bpe")
    folder = save_model(tmp_path / "model", model, tensors)
    pieces, merges = read_definition(model.preprocess[0].definition, exact=True)
    odd = ["東" if piece == "Ā" else piece for piece in pieces]
    rewrite(folder, step(definition=write_definition(odd, merges, exact=True)))
    with pytest.raises(ModelFolderError, match=r"a piece must be made of the letters of bytes, got '東'$"):
        grus.load(folder)


def test_random_text_as_codes_never_breaks_a_model():
    made = grus.LiveGenerator(*language_model())
    rng = np.random.default_rng(0)
    for _ in range(20):
        text = "".join(map(chr, rng.integers(0, 0x3000, 40)))
        assert np.isfinite(made.score([text])[0].log_probabilities).all()
        assert made.generate(text, max_new_tokens=2, unknown="map", seed=0).tokens == (2,)
