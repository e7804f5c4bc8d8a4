"""A transcriber of words: the curve of a wake word, as figures and as a page, and a language model beside the search."""

import csv
import inspect
import io
import json

import numpy as np
import pytest
from cli_runs import run
from test_cli_errors import refused
from test_cli_processes import without

from example_language_models import language_model
from grus import load
from grus.artifact import save_model
from grus.cli.evaluate import evaluate
from grus.cli.transcribe import transcribe
from grus.data.audio_files import read_recording
from grus.decode.fusion import Fusion
from grus.decode.wake import THRESHOLDS, Heard, wake_curve
from sound_cases import RATE, sentences, transcriber, write


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    """A transcriber of words."""
    folder = tmp_path_factory.mktemp("models") / "writer"
    how = {
        "epochs": 20,
        "learning_rate": 0.02,
        "hidden_size": 24,
        "noise": 0,
        "band_shift": 0,
        "time_mask": 0,
    }
    transcriber(**how).save(folder, report=False)
    return folder


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """A table of sentences, in which a column says where every "mid" is."""
    place = tmp_path_factory.mktemp("data")
    samples, texts = sentences(12, seed=9)
    rng = np.random.default_rng(0)  # in more and more noise, so that some are missed
    samples = [one + 0.01 * i * rng.standard_normal(len(one)) for i, one in enumerate(samples)]
    write(place, [f"{i}.wav" for i in range(12)], samples)
    rows = []
    for number, (one, text) in enumerate(zip(samples, texts)):
        units = text.split()
        share = len(one) / RATE / len(units)  # not where they really are, but somewhere
        when = " ".join(f"{i * share:.3f}-{(i + 1) * share:.3f}" for i, w in enumerate(units) if w == "mid")
        rows.append(f"{number}.wav,{text},{when}\n")
    (place / "said.csv").write_text("path,transcript,when\n" + "".join(rows))
    return place / "said.csv"


def curve(writer, said, times):
    """What is to be found, by the functions of Python."""
    live, heard = load(writer), []
    rows = list(csv.DictReader(io.StringIO(said.read_text())))
    for row in rows:
        samples, _, _ = read_recording(said.parent / row["path"])
        (scores,) = live.word_scores([samples], "mid")
        units = row["transcript"].split()
        places = [tuple(map(float, part.split("-"))) for part in row["when"].split()]
        if not times:
            places = [(0.0, len(samples) / RATE)] if units == ["mid"] else []
        heard.append(Heard(scores, places, 0 if times or places else units.count("mid")))
    return wake_curve(heard, (live.known_at(0), live.known_at(1) - live.known_at(0)))


@pytest.mark.parametrize("times", [False, True])
def test_the_curve_is_that_of_python(capsys, writer, said, times):
    options = ["--times", "when"] if times else []
    ran = run(capsys, "evaluate", writer, said, "--wake", "Mid", "--json", *options)
    assert ran.code == 0, ran.err
    found, wanted = json.loads(ran.out), curve(writer, said, times)
    assert [point["threshold"] for point in found["curve"]] == list(THRESHOLDS)
    for point, one in zip(found["curve"], wanted):
        assert point["missed"] == one.missed
        assert point["false_accepts_per_hour"] == one.false_accepts_per_hour
        assert point["latency"] == (None if np.isnan(one.latency) else one.latency)
    assert len({(point["missed"], point["false_accepts_per_hour"]) for point in found["curve"]}) > 1, "flat"
    texts = " ".join(row["transcript"] for row in csv.DictReader(io.StringIO(said.read_text())))
    assert (found["word"], found["recordings"], found["words"]) == ("mid", 12, texts.split().count("mid"))
    assert (found["words_placed"] == found["words"]) is times
    assert "one false accept in all of it is " in ran.err
    ran = run(capsys, "evaluate", writer, said, "--wake", "mid", *options)
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert rows[0].keys() == {"threshold", "missed", "false_accepts_per_hour", "latency"}
    assert len(rows) == len(THRESHOLDS)


def test_a_page_has_the_picture(capsys, writer, said, tmp_path):
    page = tmp_path / "mid.html"
    ran = run(capsys, "evaluate", writer, said, "--wake", "mid", "--times", "when", "-o", page)
    assert (ran.code, ran.err.splitlines()[-1]) == (0, f"wrote {page}")
    text = page.read_text()
    assert "<svg" in text
    assert "false accepts an hour" in text
    assert "http" not in text.replace("http://www.w3.org", "")
    refused(
        capsys, "evaluate", writer, said, "--wake", "mid", "-o", page,
        error=f"{page}: already exists, and nothing is overwritten unasked",
        hint="name another file with -o, or add --force to replace it",
    )  # fmt: skip
    assert page.read_text() == text
    assert run(capsys, "evaluate", writer, said, "--wake", "low", "-o", page, "--force").code == 0
    assert page.read_text() != text


def test_what_cannot_be_said_is_not(capsys, writer, said, tmp_path):
    write(tmp_path, ["low/a.wav", "high/b.wav"], [np.zeros(2000)] * 2)
    ran = run(capsys, "evaluate", writer, tmp_path, "--wake", "mid", "-o", tmp_path / "mid.html")
    assert (ran.code, ran.err.splitlines()[-1]) == (0, f"wrote {tmp_path / 'mid.html'}")
    assert "nothing can be said of what is missed: give recordings with the word too" in ran.err
    ran = run(capsys, "evaluate", writer, said, "--wake", "mid", "--json")
    assert json.loads(ran.out)["words_placed"] or "--times COLUMN says where the word is" in ran.err


def test_options_that_do_not_fit(capsys, writer, said, model, table, tmp_path):
    given = ("evaluate", writer, said)
    for option in (["--times", "when"], ["-o", "x.html"], ["--force"]):
        name = "out" if option[0] == "-o" else option[0].removeprefix("--")
        refused(capsys, *given, *option, error=f"grus evaluate: --{name} is for --wake")
    refused(
        capsys, *given, "--wake", "mid", "--beam", 2,
        error="grus evaluate: --beam must not be given with --wake, which writes nothing down",
    )  # fmt: skip
    refused(
        capsys, *given, "--wake", "mid", "-o", tmp_path / "x.txt",
        error=f"{tmp_path / 'x.txt'}: expected a name ending in .html, got '.txt'",
    )  # fmt: skip
    refused(
        capsys,
        *given,
        "--wake",
        "top",
        error="word: must be one of the model's, 'high', 'low', 'mid', got 'top'",
    )
    refused(
        capsys, "evaluate", model, table, "--wake", "mid",
        error=f"grus evaluate: --wake is for a transcriber, but {model} is a forecaster",
    )  # fmt: skip


def test_neither_torch_nor_matplotlib_is_needed(writer, said):
    ran = without(
        ["torch", "lightning_fabric", "matplotlib", "jinja2"], "evaluate", writer, said, "--wake", "mid"
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("threshold,missed,false_accepts_per_hour,latency\n")


# -- a language model beside it --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lm(tmp_path_factory):
    """A language model of the same words."""
    text = "low mid high\nhigh low mid\n" * 4
    return save_model(tmp_path_factory.mktemp("models") / "lm", *language_model("word", text, scale=1.5))


def test_transcribe_and_evaluate_with_a_language_model(capsys, writer, said, lm):
    files = [said.parent / f"{i}.wav" for i in range(4)]
    samples = [read_recording(file)[0] for file in files]
    live, fusion = load(writer), Fusion(load(lm), 2.0, 0.5, -0.2)
    options = ["--language-model", lm, "--lm-weight", 2, "--word-bonus", 0.5, "--length-bonus", -0.2]
    ran = run(capsys, "transcribe", writer, *files, *options, "--json")
    assert ran.code == 0, ran.err
    records = [json.loads(line) for line in ran.out.splitlines()]
    assert [r["text"] for r in records] == [one.text for one in live.transcribe(samples, fusion=fusion)]
    assert "times" not in records[0]
    plain = run(capsys, "transcribe", writer, *files, "--json", "--beam", 16).out
    assert [r["text"] for r in records] != [json.loads(line)["text"] for line in plain.splitlines()]
    ran = run(capsys, "evaluate", writer, said, *options, "--json", "--beam", 4)
    rows = list(csv.DictReader(io.StringIO(said.read_text())))
    samples = [read_recording(said.parent / row["path"])[0] for row in rows]
    wanted = live.evaluate(samples, [row["transcript"] for row in rows], fusion=fusion, beam=4)
    assert json.loads(ran.out)["word_error_rate"] == wanted.wer
    assert "writer on said.csv, beam 4, with lm at 2: 12 recordings" in ran.err


@pytest.mark.parametrize("command", [transcribe, evaluate])
def test_its_options_begin_where_python_does(command):
    theirs = inspect.signature(Fusion).parameters
    ours = inspect.signature(command).parameters
    for name in ("weight", "word_bonus", "length_bonus"):
        assert ours[name.replace("weight", "lm_weight")].default == theirs[name].default


def test_language_models_that_do_not_fit(capsys, writer, said, lm, model, table, tmp_path):
    file = said.parent / "0.wav"
    letters = save_model(tmp_path / "letters", *language_model("char", "low mid\n" * 9))
    others = save_model(tmp_path / "others", *language_model("word", "low mid\n" * 9))
    for command in (("transcribe", writer, file), ("evaluate", writer, said)):
        name = f"grus {command[0]}"
        refused(capsys, *command, "--lm-weight", 1, error=f"{name}: --lm-weight is for --language-model")
        refused(
            capsys, *command, "--language-model", lm, "--beam", 1,
            error=f"{name}: --beam must be above 1 with --language-model, got 1",
        )  # fmt: skip
        refused(
            capsys, *command, "--language-model", writer,
            error=f"{writer}: must be a language model of text, got another model", hint="see grus fit generate",
        )  # fmt: skip
        refused(
            capsys, *command, "--language-model", letters,
            error="language model: must go by words, as the transcriber does, got one of characters",
            hint="grus fit generate TEXT --tokenizer word",
        )  # fmt: skip
        refused(
            capsys, *command, "--language-model", others,
            error="language model: must know all units of the transcriber, but does not know 'high'",
            hint="train it on text in which they are, such as the transcripts",
        )  # fmt: skip
        refused(
            capsys, *command, "--language-model", lm, "--lm-weight", -1,
            error="language model: weight must be at least 0, got -1",
        )  # fmt: skip
    refused(
        capsys, "evaluate", model, table, "--language-model", lm,
        error=f"grus evaluate: --language-model is for a transcriber, but {model} is a forecaster",
    )  # fmt: skip


def test_torch_is_not_needed_for_it(writer, said, lm):
    ran = without(
        ["torch", "lightning_fabric"], "transcribe", writer, said.parent / "0.wav", "--language-model", lm
    )
    assert ran.returncode == 0, ran.stderr
