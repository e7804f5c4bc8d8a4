"""`grus.LanguageModel`: it learns, keeps its promises about tokens and parts, and repeats itself exactly."""

import json
import math

import numpy as np
import pytest
import sklearn.base
import torch

import grus
from grus import LanguageModel
from grus.errors import DataError, NotFittedError, TrainingInterrupted, UsageError
from grus.tasks.generate_parameters import check_parameters

TINY = {"hidden_size": 16, "layers": 1, "epochs": 3, "batch_size": 4, "chunk": 16, "learning_rate": 0.01, "dropout": 0.1,
        "device": "cpu", "log": "none"}  # fmt: skip
LINE = "the cat sat on the mat and the dog sat on the log\n"


def fit(data, **options):
    run = {name: options.pop(name) for name in ("validation", "test", "folder", "resume") if name in options}
    return LanguageModel(**(TINY | options)).fit(data, progress="quiet", **run)


@pytest.fixture(scope="module")
def model():
    return fit([LINE * 60], epochs=6)


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_what_repeats_is_learnt(cell):
    made = fit([LINE * 60], cell=cell, epochs=6, layers=2)
    assert made.validation_.perplexity < 1.6
    assert made.test_.perplexity < min(2.0, math.exp(made.test_.floors["bigram"] / made.test_.tokens))
    assert "the" in made.generate("the cat sat on ", max_new_tokens=8, temperature=0.0).text


def test_products_in_bfloat16_learn_as_well():
    made = fit([LINE * 120], tokenizer="word", epochs=8, precision="bf16-mixed")
    assert made.validation_.perplexity < 3
    assert made.tensors_["main.logits.bias"].dtype == np.float32


@pytest.mark.parametrize("tokenizer", ["word", "space", "bpe"])
@pytest.mark.parametrize("options", [{}, {"tied": False, "variational": True}, {"embedding_size": 8}])
def test_words_and_pieces_are_learnt(tokenizer, options):
    made = fit([LINE * 120], tokenizer=tokenizer, vocabulary_size=300, epochs=8, **options)
    assert made.validation_.perplexity < 3
    tied = next(node for node in made.model_.parts["main"].nodes if node.name == "logits").weights
    assert tied == ("" if options.get("tied") is False else "embedding")


def test_an_adaptive_softmax_learns_and_answers_as_a_full_one_does(tmp_path):
    """A few words and a thousand rare ones: what is common is learnt, and log-probabilities come out."""
    rare = [f"w{number}" for number in range(1_200)]
    text = "".join(LINE + f"so {word} said no\n" for word in rare)
    made = fit(
        [text],
        tokenizer="space",
        softmax="adaptive",
        min_count=1,
        batch_size=16,
        val_size=0.05,
        test_size=0.05,
    )
    (last,) = [node.op for node in made.model_.parts["main"].nodes if node.name == "logits"]
    size = made.model_.task.size
    assert (last.size, last.cutoffs) == (size, (size // 5,))
    assert made.plan_[-1].startswith(f"softmax   adaptive: {size // 5:,} common words (")
    assert made.plan_[-1].endswith(f" of the tokens of train), then {size - size // 5:,} rare ones")
    assert made.history_.best_score == pytest.approx(made.validation_.loss, rel=1e-4)
    assert made.validation_.perplexity < 5
    made.save(tmp_path / "m")
    live = grus.load(tmp_path / "m")
    assert live.generate("the cat", max_new_tokens=4, temperature=0.0).text == " sat on the mat"
    logits, _ = live.network.logits(np.array([[1, 2, 3]]), live.network.program.init_state(1))
    np.testing.assert_allclose(np.exp(logits).sum(-1), 1.0, rtol=1e-4)


def test_parts_follow_each_other_and_all_tokens_count(model):
    length = len(LINE) * 60
    assert model.plan_[0] == f"text      texts: {length:,} characters"
    assert model.plan_[1] == f"tokens    characters, {len(set(LINE))} known"
    assert model.plan_[2] == "parts     2,400 tokens train, 300 tokens validate, 300 tokens test"
    assert (model.validation_.tokens, model.test_.tokens) == (300, 300)
    text = LINE * 60
    assert model.validation_.nats == pytest.approx(model.live_.evaluate([text[2400:2700]]).nats, rel=1e-9)
    assert model.test_.nats == pytest.approx(model.evaluate([text[2700:]]).nats, rel=1e-9)
    assert model.history_.best_score == pytest.approx(model.validation_.loss, rel=1e-4)


def test_the_protocol_of_the_penn_treebank(tmp_path):
    """One token a word and one a line end; validation and test of their own; the text's own sign for what is unknown."""
    rows = [" no it was n't black monday \n", " but while the <unk> did n't fall apart N \n"] * 30
    for name, text in (("train", "".join(rows)), ("valid", rows[1] + " zebra \n"), ("test", rows[0])):
        (tmp_path / name).write_text(text)
    made = fit(
        tmp_path / "train",
        validation=tmp_path / "valid",
        test=tmp_path / "test",
        tokenizer="space",
        batch_size=2,
    )
    assert made.plan_[1] == "tokens    words, 15 known"
    assert made.plan_[2] == "parts     510 tokens train, 12 tokens validate, 7 tokens test"
    assert made.plan_[3] == "unknown   1 of the tokens of validate (8.33%)"
    assert made.plan_[4] == f"files     validate {tmp_path / 'valid'}, test {tmp_path / 'test'}"
    assert (made.validation_.tokens, made.validation_.unknown, made.test_.tokens) == (12, 1, 7)


def test_words_are_divided_where_a_line_begins():
    made = fit([LINE * 30], tokenizer="space", val_size=101, test_size=53)
    assert made.plan_[2] == "parts     378 tokens train, 28 tokens validate, 14 tokens test"


def test_without_text_to_validate_on():
    made = fit([LINE * 20], val_size=0, test_size=0, patience=3)
    assert made.validation_ is None
    assert made.test_ is None
    assert len(made.history_.epochs) == 3
    made = fit([LINE * 20], val_size=0, test_size=0.1)
    assert made.plan_[2] == "parts     900 tokens train, 100 tokens test"


def test_the_vocabulary_is_that_of_the_training_part():
    made = fit([LINE * 20 + "zzz" * 40])
    assert "z" not in made.live_.codec.tokens
    assert made.test_.unknown == 112
    assert made.plan_[3:] == [
        "unknown   8 of the tokens of validate (7.14%)", "unknown   112 of the tokens of test (100.00%)",
    ]  # fmt: skip


def test_files_and_folders(tmp_path):
    (tmp_path / "a.txt").write_text(LINE * 10)
    (tmp_path / "b.txt").write_text(LINE * 10)
    folder = fit(tmp_path)
    assert folder.plan_[0] == f"text      {tmp_path} in 2 files: 1,000 characters"
    files = fit([tmp_path / "a.txt", tmp_path / "b.txt"])
    for name, values in folder.tensors_.items():
        np.testing.assert_array_equal(values, files.tensors_[name])


def test_more_pairs_than_a_model_carries_are_still_counted_for_the_report():
    words = " ".join(f"w{i}" for i in np.random.default_rng(0).integers(0, 700, 9000))  # one long line
    made = fit([words], tokenizer="space", epochs=1)
    assert made.live_.task.size > 512
    assert "task.bigram" not in made.tensors_
    assert set(made.test_.floors) == {"unigram", "bigram"}
    assert set(made.evaluate([words[:900]]).floors) == {"unigram"}


# -- scikit-learn's habits -----------------------------------------------------------------------------------


def test_clone_and_set_params():
    made = LanguageModel(**TINY)
    assert sklearn.base.clone(made).get_params() == made.get_params()
    assert made.set_params(layers=3).layers == 3
    assert repr(LanguageModel(cell="lstm")) == "LanguageModel(cell='lstm')"
    with pytest.raises(UsageError, match=r"LanguageModel: no parameter 'depth'"):
        made.set_params(depth=2)


def test_before_fit():
    for call in (lambda m: m.generate(), lambda m: m.score(["a"]), lambda m: m.evaluate(["a"])):
        with pytest.raises(NotFittedError, match=r"^LanguageModel: call fit before this$"):
            call(LanguageModel())


def test_fitting_changes_no_parameter(model):
    assert model.get_params()["embedding_size"] is None
    assert model.get_params()["tied"] is None


def test_what_depends_on_the_tokens():
    def found(**options):
        values = check_parameters(LanguageModel(**options).get_params())
        return values["tied"], values["embedding_size"], values["input_dropout"]

    assert found() == (False, 64, 0.0)
    assert found(tokenizer="bpe", dropout=0.4) == (True, 256, 0.4)
    assert found(tokenizer="word", tied=False, input_dropout=0.1) == (False, 64, 0.1)
    assert found(tokenizer="word", softmax="adaptive") == (False, 64, 0.3)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"kind": "music"}, "kind must be 'text', got 'music'"),
        ({"tokenizer": "letters"}, "tokenizer must be 'char', 'word', 'space' or 'bpe', got 'letters'"),
        ({"chunk": 0}, "chunk must be a whole number of at least 1, got 0"),
        ({"tied": "yes"}, "tied must be True or False, or None, got 'yes'"),
        ({"softmax": "sampled"}, "softmax must be 'full' or 'adaptive', got 'sampled'"),
        (
            {"softmax": "adaptive", "tied": True, "tokenizer": "word"},
            "tied must be False with softmax='adaptive', whose parts have other sizes than the embedding's table, got True",
        ),
        (
            {"softmax": "adaptive", "tokenizer": "bpe"},
            "softmax must be 'full' with tokenizer='bpe', whose codes are not in the order of how common they are, got "
            "'adaptive'",
        ),
        (
            {"softmax": "adaptive", "tokenizer": "word"},
            "softmax: adaptive must have at least 1,000 tokens to choose from, got 4",
        ),
        (
            {"val_size": 1.5},
            "val_size must be a share of the text below 1, or a number of characters, got 1.5",
        ),
        (
            {"gradient_clip": 0},
            "TrainingConfig: gradient_clip must be a finite number above 0, or None, got 0",
        ),
        ({"max_seconds": -1}, "TrainingConfig: max_seconds must be a finite number above 0, or None, got -1"),
        (
            {"precision": "8"},
            "TrainingConfig: precision must be one of '32-true', 'bf16-mixed', '16-mixed', got '8'",
        ),
    ],
)
def test_parameters_that_cannot_be(options, sentence):
    with pytest.raises(UsageError) as caught:
        fit([LINE], **options)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("data", "options", "sentence"),
    [
        ([LINE], {"val_size": 20, "test_size": 30},
         "texts: expected text to learn from, but validation and test take all 50 characters"),
        (["a"], {"val_size": 0, "test_size": 0}, "text: expected at least two tokens to learn from, got 1"),
        (["once upon"], {"tokenizer": "word", "val_size": 0, "test_size": 0},
         "texts: expected at least one word that occurs 2 times, got 2 that do not"),
        ([LINE], {"tokenizer": "bpe", "vocabulary_size": 99},
         "bpe: expected a vocabulary of at least 257 pieces (every byte is one), got 99"),
    ],
)  # fmt: skip
def test_text_that_nothing_can_be_learned_from(data, options, sentence):
    with pytest.raises(DataError) as caught:
        fit(data, **options)
    assert str(caught.value) == sentence


# -- the same again ------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(model):
    again, other = fit([LINE * 60], epochs=6), fit([LINE * 60], epochs=6, seed=1)
    for name, values in model.tensors_.items():
        np.testing.assert_array_equal(values, again.tensors_[name], name)
    assert (model.tensors_["main.logits.weight"] != other.tensors_["main.logits.weight"]).any()


def test_fit_leaves_the_callers_generator_alone():
    torch.manual_seed(3)
    wanted = torch.rand(3)
    torch.manual_seed(3)
    fit([LINE * 10], epochs=1)
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize("stop", [1, 7, 60])
def test_a_broken_run_goes_on_to_the_same_bits(tmp_path, monkeypatch, model, stop):
    """The carried states are part of the checkpoint."""
    from grus.training import loop
    from grus.training.interrupt import Interrupts

    steps = 0
    whole = loop._Loop._step

    def step(self):
        nonlocal steps
        whole(self)
        steps += 1
        if steps == stop:
            self._interrupts.requested = True

    with monkeypatch.context() as patch:
        patch.setattr(loop._Loop, "_step", step)
        patch.setattr(Interrupts, "requested", False, raising=False)
        with pytest.raises(TrainingInterrupted):
            fit([LINE * 60], epochs=6, folder=tmp_path)
    resumed = fit([LINE * 60], epochs=6, folder=tmp_path, resume=True)
    for name, values in model.tensors_.items():
        np.testing.assert_array_equal(values, resumed.tensors_[name], name)
    with pytest.raises(
        UsageError, match="cannot resume, because the data is not what the run was started with"
    ):
        fit([LINE * 61], epochs=6, folder=tmp_path, resume=True)


def test_a_saved_model_is_the_same_model(model, tmp_path):
    folder = model.save(tmp_path / "model")
    live = grus.load(folder)
    how = {"max_new_tokens": 60, "seed": 4, "top_p": 0.95}
    assert live.generate("the ", **how).text == model.generate("the ", **how).text
    np.testing.assert_array_equal(
        live.score([LINE])[0].log_probabilities, model.score([LINE])[0].log_probabilities
    )
    metrics = json.loads((folder / "report" / "metrics.json").read_text())
    assert metrics["evaluations"]["test"]["perplexity"] == pytest.approx(model.test_.perplexity)
    assert metrics["samples"][0]["text"] == live.generate(max_new_tokens=600, temperature=0.5, seed=0).text
