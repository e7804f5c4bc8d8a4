"""Folders of translators as hostile input: one sentence each, before anything large is made of what they claim."""

import json
import tracemalloc

import pytest

import grus
from example_translators import a_translator
from grus.artifact import save_model
from grus.decode import LiveTranslator
from grus.errors import ModelFolderError

HUGE = 10 << 30


@pytest.fixture
def folder(tmp_path):
    save_model(tmp_path / "model", *a_translator(joint=True))
    return tmp_path / "model"


def task(**fields):
    return lambda model: model["task"].update(fields)


def step(**fields):
    return lambda model: model["preprocess"][0].update(fields)


def ties(found):
    return lambda model: model.update(ties=found)


def node(part, name, **fields):
    def change(model):
        next(n for n in model["parts"][part]["nodes"] if n["name"] == name)["op"].update(fields)

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            task(max_source=HUGE),
            "translate: max_source must be a whole number from 1 to 65536, got 10737418240",
        ),
        (task(length_penalty=-1), "length_penalty must be from 0 to 10"),
        (task(source=""), "source and target must have names"),
        (task(extra=1), "unknown field `extra`"),
        (step(side="both"), "Invalid enum value 'both'"),
        (step(side="source"), "needs one vocabulary for both sides"),
        (step(tokens=["a"]), "encode must have one input, 'source' of 3 codes"),
        (ties({"decode.embedding": "decode.logits"}), "cannot use the weights of"),
        (ties({}), "tensor 'decode.embedding.weight' is missing"),
        (ties({"decode.decoder": "encode.encoder"}), "cannot use the weights of"),
        (node("decode", "decoder", hidden=HUGE), "AttentiveGRU: hidden must be"),
        (node("decode", "decoder", hidden=13), "initial state must have size 13, got 12"),
        (node("decode", "decoder", form="none"), "Invalid enum value 'none'"),
        (node("encode", "bridge", size=1 << 24), "decode must have the inputs target"),
        (node("encode", "memory_keys", size=1 << 24), "decode must have the inputs target"),
    ],
)
def test_one_sentence_each(folder, change, sentence):
    config = json.loads((folder / "config.json").read_text())
    change(config["model"])
    (folder / "config.json").write_text(json.dumps(config))
    tracemalloc.start()
    with pytest.raises(ModelFolderError) as caught:
        grus.load(folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sentence in str(caught.value)
    assert peak < 20 << 20


def test_the_folder_itself(folder):
    live = grus.load(folder)
    assert isinstance(live, LiveTranslator)
    assert live.translate(["acht", ""])[1] == ""
