"""The translator end to end: digits read backwards, learnt in seconds, saved, loaded without torch, resumed bit by bit."""

import json
import random
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import grus
from grus import Translator
from grus.errors import DataError, NotFittedError, TrainingInterrupted, UsageError
from grus.tasks import translate_job
from grus.training import job as training_job
from numerics import assert_bitwise_equal
from torch_free import BLOCKED

#: A network that learns to read ten digits backwards.
SMALL = {
    "tokenizer": "word", "hidden_size": 32, "embedding_size": 16, "learning_rate": 1e-2, "dropout": 0.0,
    "state_dropout": 0.0, "output_dropout": 0.0, "ema": 0.98, "batch_size": 32, "device": "cpu", "log": "none",
}  # fmt: skip
#: One that learns nothing in no time.
TINY = SMALL | {"hidden_size": 4, "embedding_size": 4, "epochs": 1, "val_size": 0}


def digits(rows=800, seed=0):
    draw = random.Random(seed)
    source = [" ".join(draw.choice("0123456789") for _ in range(draw.randint(1, 6))) for _ in range(rows)]
    return source, [" ".join(reversed(text.split())) for text in source]


@pytest.fixture(scope="module")
def reversed_digits(tmp_path_factory):
    """A translator of digits backwards and the folder that it was saved to."""
    model = Translator(**SMALL, epochs=5, test_size=60).fit(*digits(), progress="quiet")
    return model, model.save(tmp_path_factory.mktemp("models") / "digits")


def test_it_learns_to_read_backwards(reversed_digits):
    model, _ = reversed_digits
    assert model.test_.bleu > 90
    assert model.test_.copied < 40
    assert model.translate(["1 2 3", "", "9 8 7 6"]) == ["3 2 1", "", "6 7 8 9"]
    (best,) = model.translate(["1 2 3"], n_best=1)[0]
    assert best.alignment == ((2, 0), (1, 1), (0, 2)), "attention runs backwards too"
    right, wrong = model.score(["1 2 3"] * 2, ["3 2 1", "1 2 3"])
    assert right > wrong + 3
    assert model.history_.epochs[0].validation.keys() == {
        "100 - BLEU",
        "validation_loss",
    }
    assert model.history_.monitored == "100 - BLEU"


def test_the_folder_translates_without_torch(reversed_digits, tmp_path):
    model, folder = reversed_digits
    sentences = digits(40, seed=1)[0]
    script = textwrap.dedent(
        """
        import json, sys
        for name in sys.argv[1].split(","):
            sys.modules[name] = None
        import grus
        live, sentences = grus.load(sys.argv[2]), json.loads(sys.argv[3])
        found = live.translate(sentences, n_best=2, beam=3)
        print(json.dumps([[[one.text, one.score.hex()] for one in some] for some in found]))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, ",".join(BLOCKED), str(folder), json.dumps(sentences)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    mine = model.translate(sentences, n_best=2, beam=3)
    assert json.loads(done.stdout) == [[[one.text, one.score.hex()] for one in some] for some in mine]


def test_the_report(reversed_digits):
    model, folder = reversed_digits
    metrics = json.loads((folder / "report" / "metrics.json").read_text())
    assert metrics["evaluations"]["test"]["bleu"] == model.test_.bleu
    assert metrics["task"]["source"] == "source"
    assert "BLEU by greedy search" in (folder / "report" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "more",
    [{"state_dropout": 0.2}, {"tokenizer": "bpe", "vocabulary_size": 300, "bpe_dropout": 0.2}],
    ids=str,
)
def test_stopped_and_resumed_is_bitwise_the_whole(more, tmp_path, monkeypatch):
    pairs, options = digits(120), SMALL | {"hidden_size": 8, "epochs": 2, "val_size": 20} | more
    whole = Translator(**options).fit(*pairs, progress="quiet")
    made = []
    loss = translate_job.TranslateJob.loss

    def interrupted(self, batch, carry):
        made.append(1)
        if len(made) == 70:
            import signal

            signal.raise_signal(signal.SIGINT)
        return loss(self, batch, carry)

    monkeypatch.setattr(translate_job.TranslateJob, "loss", interrupted)
    with pytest.raises(TrainingInterrupted):
        Translator(**options).fit(*pairs, folder=tmp_path / "run", progress="quiet")
    assert len(made) == 70
    other = Translator(**options | {"attention": "multiplicative"})
    with pytest.raises(UsageError, match="cannot resume, because parameter 'attention' is not what the run"):
        other.fit(*pairs, folder=tmp_path / "run", resume=True, progress="quiet")
    with pytest.raises(
        UsageError, match="cannot resume, because the data is not what the run was started with"
    ):
        Translator(**options).fit(*digits(120, 5), folder=tmp_path / "run", resume=True, progress="quiet")
    resumed = Translator(**options).fit(*pairs, folder=tmp_path / "run", resume=True, progress="quiet")
    assert whole.tensors_.keys() == resumed.tensors_.keys()
    for name, values in whole.tensors_.items():
        assert_bitwise_equal(resumed.tensors_[name], values, name)


@pytest.mark.parametrize(
    "options",
    [
        {"tokenizer": "bpe", "vocabulary_size": 300}, {"tokenizer": "char"}, {"joint": False}, {"tied": False},
        {"attention": "multiplicative"}, {"decoder": "plain"}, {"layers": 2, "state_dropout": 0.1},
        {"monitor": "loss", "val_size": 10}, {"ema": None}, {"label_smoothing": 0.0}, {"lower": True},
    ],
    ids=str,
)  # fmt: skip
def test_every_option_trains_and_loads(options, tmp_path, monkeypatch):
    monkeypatch.setattr(translate_job, "MIN_STEPS", 2)
    model = Translator(**TINY | options).fit(*digits(40), progress="quiet")
    folder = model.save(tmp_path / "model", report=False)
    live = grus.load(folder)
    assert live.translate(["1 2"], max_length=4) == model.translate(["1 2"], max_length=4)
    assert live.model == model.model_
    if "monitor" in options:
        assert model.history_.monitored == "validation_loss"


def test_the_plan_says_what_is_left_out_and_cut(tmp_path):
    source, target = digits(60)
    source[3] = target[7] = "  "
    said = []
    validation = (["1 2", ""], ["2 1", "3"])
    Translator(**TINY | {"max_length": 4}).fit(
        source, target, validation=validation, progress="quiet", report_plan=said.extend
    )
    long = sum(
        len(text.split()) > 4 for rows in (source, target) for n, text in enumerate(rows) if n not in (3, 7)
    )
    assert said == [
        "source    source",
        "target    target",
        "pairs     58 train, 1 validation",
        "2 pairs with an empty side are left out of data (number 4, 8)",
        "1 pair with an empty side is left out of data (number 2)",
        "tokens    10 words for both sides",
        f"{long} sentences of more than 4 tokens in training: the first 4 are read (max_length)",
    ]


def test_tables_and_files(tmp_path):
    source, target = digits(40)
    model = Translator(**TINY).fit({"de": source, "nummern": target}, progress="quiet")
    assert (model.live_.task.source, model.live_.task.target) == ("de", "nummern")
    found = model.evaluate({"nummern": target[:5], "de": source[:5]}, beam=1, max_length=6)
    assert found.references == tuple(target[:5])
    for name, texts in (("a.de", source), ("a.en", target)):
        (tmp_path / name).write_text("\n".join(texts) + "\n")
    both = Translator(**TINY).fit(tmp_path / "a.de", str(tmp_path / "a.en"), progress="quiet")
    assert (both.live_.task.source, both.live_.task.target) == ("de", "en")
    assert both.evaluate(tmp_path / "a.de", tmp_path / "a.en", beam=1, max_length=6).n == 40


@pytest.mark.parametrize(
    ("data", "options", "error", "sentence"),
    [
        ((["", " "], ["a", ""]), {}, DataError, "expected pairs of sentences to learn from, got 2 with an empty side"),
        ((["a"] * 3, ["b"] * 2), {}, DataError, "expected as many texts in each, got 3 and 2"),
        ((["a b", "c d"], ["e f", "g h"]), {}, DataError, "expected at least one word that occurs 2 times"),
        (digits(9), {"validation": (["a"],)}, UsageError, "validation must be a pair (sources, targets)"),
        (digits(9), {"decoder": "deep"}, UsageError, "decoder must be 'conditional' or 'plain', got 'deep'"),
        (digits(9), {"bpe_dropout": 0.1}, UsageError, "bpe_dropout: must be 0 with words or characters, got 0.1"),
        (digits(9), {"length_penalty": 11}, UsageError, "length_penalty must be a number from 0 to 10, got 11"),
        (digits(9), {"tokenizer": "bpe", "vocabulary_size": 100}, DataError, "a vocabulary of at least 257 pieces"),
        (digits(9), {"val_size": 9}, UsageError, "must leave rows to train on"),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_what_is_refused(data, options, error, sentence):
    options = dict(options)
    more = {"validation": options.pop("validation")} if "validation" in options else {}
    with pytest.raises(error) as caught:
        Translator(**TINY | options).fit(*data, **more, progress="quiet")
    assert sentence in str(caught.value)


def test_before_fit():
    model = Translator()
    for use in (
        lambda: model.translate(["a"]),
        lambda: model.score(["a"], ["b"]),
        lambda: model.evaluate(["a"], ["b"]),
    ):
        with pytest.raises(NotFittedError, match="Translator: call fit before this"):
            use()
    assert repr(Translator(hidden_size=8)) == "Translator(hidden_size=8)"


def test_batches_are_the_same_whenever_they_are_asked_for():
    model = Translator(**TINY)
    prepared = model._prepare(*digits(70), None)
    from grus.spec import Model
    from grus.tasks.translate_networks import build_network

    spec = Model(1, prepared.task, prepared.steps, *build_network(model._network(prepared)))
    jobs = [model._job(spec, prepared) for _ in range(2)]
    assert jobs[0].steps(0) >= 50
    for step in (4, 0, 3, 4):
        one, other = jobs[0].batch(1, step), jobs[1].batch(1, step)
        assert training_job.batch_size(training_job.to_tensors(one, "cpu")) == len(one["source"])
        for name, values in one.items():
            np.testing.assert_array_equal(values, other[name])
        end = one["truth"][np.arange(len(one["truth"])), one["target_lengths"] - 1]
        assert (end == one["given"][:, 0]).all()
        np.testing.assert_array_equal(one["given"][:, 1:], one["truth"][:, :-1])
