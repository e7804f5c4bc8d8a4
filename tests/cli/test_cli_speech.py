"""Recordings on the command line: fit, predict, evaluate, transcribe and listen, and every file that is none."""

import csv
import inspect
import io
import json
import signal
import subprocess
from itertools import pairwise

import numpy as np
import pytest
from cli_runs import command, environment, run, spawn
from test_cli_errors import refused
from test_cli_processes import without, without_command

from grus import Transcriber, load
from grus.cli import fit_transcribe
from grus.cli.fit_run import COMMAND_OPTIONS
from grus.cli.fit_transcribe import OWN_OPTIONS
from grus.data.audio_files import read_recording
from grus.decode.wake import HOLD, fires
from sound_cases import RATE, sentences, words, write

TINY = ["--hidden-size", 16, "--lr", 0.02, "--device", "cpu", "--log", "none"]


def parse(text):
    return list(csv.DictReader(io.StringIO(text)))


def pcm(samples):
    return (np.asarray(samples) * 32767).astype("<i2").tobytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Recordings in a folder for each label."""
    samples, labels = words(36)
    names = [f"{word}/{i}.wav" for i, word in enumerate(labels)]
    return write(tmp_path_factory.mktemp("data") / "tones", names, samples)


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """A table of sentences."""
    samples, texts = sentences(60)
    place = tmp_path_factory.mktemp("data")
    write(place, [f"wavs/{i}.wav" for i in range(60)], samples)
    rows = "".join(f"wavs/{i}.wav\t{text}\n" for i, text in enumerate(texts))
    (place / "said.tsv").write_text("path\ttranscript\n" + rows)
    return place / "said.tsv"


@pytest.fixture(scope="module")
def tones(tmp_path_factory, folder):
    """A classifier in one direction, made by the command line."""
    model = tmp_path_factory.mktemp("models") / "tones"
    done = spawn(
        "fit", "classify", "--audio", folder, "--no-bidirectional", "--epochs", 6, "-o", model, *TINY
    )
    assert done.code == 0, done.err
    assert done.out == f"{model}\n"
    assert "audio     36 recordings of 0.12 to 0.15 s" in done.err
    return model


@pytest.fixture(scope="module")
def writer(tmp_path_factory, said):
    """A transcriber, made by the command line."""
    model = tmp_path_factory.mktemp("models") / "writer"
    done = spawn(
        "fit",
        "transcribe",
        said,
        "--units",
        "word",
        "--stack",
        2,
        "--layers",
        1,
        "--epochs",
        12,
        "--noise",
        0,
        "--band-shift",
        0,
        "-o",
        model,
        *TINY,
    )
    assert done.code == 0, done.err
    assert "units     3 words from 'transcript': " in done.err
    assert f"next: grus transcribe {model} FILE.wav" in done.err
    return model


def test_options_are_the_arguments_of_the_transcriber():
    theirs = inspect.signature(Transcriber.__init__).parameters
    ours = inspect.signature(fit_transcribe.fit_transcribe).parameters
    names = [name for name in ours if name not in ("ctx", *COMMAND_OPTIONS, *OWN_OPTIONS)]
    assert names == [name for name in theirs if name != "self"]
    for name in names:
        assert ours[name].default == theirs[name].default, name


def test_predict_and_evaluate_a_classifier(capsys, folder, tones):
    ran = run(capsys, "predict", tones, folder)
    assert (ran.code, len(parse(ran.out))) == (0, 36)
    assert parse(ran.out)[0].keys() == {"id", "label", "probability"}
    ran = run(capsys, "evaluate", tones, folder, "--json")
    assert json.loads(ran.out)["scores"][0]["model"] == "model"
    one = next(folder.rglob("*.wav"))
    ran = run(capsys, "predict", tones, one, "--proba", "--json")
    assert json.loads(ran.out)[0].keys() == {"id", "label", "probability", "p_high", "p_low", "p_mid"}
    assert len(list((tones / "report").glob("index.html"))) == 1


def listen(model, data, sizes, *options):
    """What is answered to bytes that are sent so many at a time."""
    process = subprocess.Popen(
        command("stream", model, "--audio", *options),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    place = 0
    for size in sizes:
        process.stdin.write(data[place : place + size])
        process.stdin.flush()
        place += size
    out, err = process.communicate(data[place:], timeout=120)
    assert process.returncode == 0, err
    return out.decode()


def test_a_classifier_listens_as_it_predicts(capsys, folder, tones):
    file = next(folder.rglob("*.wav"))
    samples = read_recording(file)[0]
    data = (samples * 32768).astype("<i2").tobytes()
    whole = listen(tones, data, [], "--rate", RATE, "--every", 3, "--proba")
    assert listen(tones, data, [1, 2, 777, 3, 50], "--every", 3, "--proba") == whole
    records = [json.loads(line) for line in whole.splitlines()]
    assert [r["final"] for r in records] == [False] * (len(records) - 1) + [True]
    assert [r["seconds"] for r in records[:2]] == [0.045, 0.075]
    found = load(tones).predict([samples], proba=True)
    assert {k: v for k, v in records[-1].items() if k not in ("seconds", "final")} == {
        name: values.tolist()[0] for name, values in found.items()
    }
    rows = parse(listen(tones, data, [], "--every", 3, "--format", "csv"))
    assert [row["label"] for row in rows] == [r["label"] for r in records]


def test_a_transcriber_listens_as_it_transcribes(capsys, writer):
    samples = (np.concatenate(sentences(6, seed=5)[0]) * 32767).astype("<i2")
    whole = listen(writer, samples.tobytes(), [])
    assert listen(writer, samples.tobytes(), [3, 1000, 1, 999, 2048]) == whole
    records = [json.loads(line) for line in whole.splitlines()]
    text = load(writer).transcribe([samples])[0].text
    assert (records[-1]["text"], records[-1]["final"]) == (text, True)
    assert len(text.split()) > 3
    assert len(records) > 2
    for before, after in pairwise(records):
        assert after["text"].startswith(before["text"])


def test_transcribe_files(capsys, writer, said):
    files = sorted((said.parent / "wavs").glob("1*.wav"))
    ran = run(capsys, "transcribe", writer, *files)
    assert ran.code == 0
    lines = [line.split("\t") for line in ran.out.splitlines()]
    assert [line[0] for line in lines] == [str(file) for file in files]
    ran = run(capsys, "transcribe", writer, *files, "--json")
    records = [json.loads(line) for line in ran.out.splitlines()]
    assert [r["text"] for r in records] == [line[1] for line in lines]
    assert all(len(r["times"]) == len(r["units"]) for r in records)
    beam = run(capsys, "transcribe", writer, said.parent / "wavs", "--beam", 4, "--json")
    assert "times" not in json.loads(beam.out.splitlines()[0])
    assert len(beam.out.splitlines()) == 60


def test_inspect_a_transcriber(capsys, writer, said, tmp_path):
    page = tmp_path / "page.html"
    ran = run(capsys, "inspect", writer, said.parent / "wavs", "--row", 3, "-o", page, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    text = run(capsys, "transcribe", writer, said.parent / "wavs" / found["recording"].split("/")[-1]).out
    assert text.rstrip("\n").split("\t")[1] == found["text"]
    assert found["row"] == 3
    assert "What it heard, and wrote" in page.read_text()
    assert "Most of the memory was overwritten at " in ran.err
    refused(
        capsys, "inspect", writer, said.parent / "wavs", "--row", 61, "-o", tmp_path / "no.html",
        error="row must be from 1 to 60 (the recordings of the data), got 61",
    )  # fmt: skip
    assert not (tmp_path / "no.html").exists()


def test_predict_and_evaluate_a_transcriber(capsys, writer, said):
    ran = run(capsys, "predict", writer, said)
    assert parse(ran.out)[0].keys() == {"file", "transcript", "log_probability"}
    ran = run(capsys, "evaluate", writer, said, "--json", "--beam", 2)
    scores = json.loads(ran.out)
    assert scores["recordings"] == 60
    assert "words" in ran.err
    assert 0 <= scores["word_error_rate"] < 1
    ran = run(capsys, "evaluate", writer, said)
    assert [row["score"] for row in parse(ran.out)] == ["word error rate", "character error rate", "right"]


def test_a_bad_file_in_training_is_named_and_nothing_is_written(capsys, tmp_path, folder):
    import shutil

    shutil.copytree(folder, tmp_path / "tones")
    bad = tmp_path / "tones/low/bad.wav"
    bad.write_text("no sound")
    model = tmp_path / "model"
    sentence = "expected a recording (wav, flac, ...), got one that is damaged or of another kind"
    refused(
        capsys, "fit", "classify", "--audio", tmp_path / "tones", "-q", "-o", model, error=f"{bad}: {sentence}",
        hint="to leave such files out: --skip-bad",
    )  # fmt: skip
    assert not model.exists()
    assert not (tmp_path / "model.run").exists()
    options = ["--skip-bad", "--epochs", 1, "-o", model, *TINY]
    ran = run(capsys, "fit", "classify", "--audio", tmp_path / "tones", *options)
    assert ran.code == 0
    assert f"1 of 37 files skipped ({bad}: {sentence})" in ran.err


def test_transcribe_names_a_bad_file_or_passes_over_it(capsys, tmp_path, writer):
    write(tmp_path, ["a.wav", "c.wav"], sentences(2)[0])
    bad = tmp_path / "b.wav"
    bad.write_bytes(b"RIFF")
    sentence = f"{bad}: expected a recording (wav, flac, ...), got one that is damaged or of another kind"
    refused(capsys, "transcribe", writer, bad, error=sentence, hint="to pass over such files: --skip-bad")
    ran = run(capsys, "transcribe", writer, tmp_path, "--skip-bad")
    assert (ran.code, len(ran.out.splitlines())) == (0, 2)
    assert ran.err == f"passed over: {sentence}\n1 of 3 files passed over\n"


def test_other_rates_are_resampled_and_said(capsys, tmp_path, writer):
    write(tmp_path, ["a.wav"], [np.zeros(4410)], 44_100)
    ran = run(capsys, "transcribe", writer, tmp_path / "a.wav")
    assert ran.err == f"{tmp_path / 'a.wav'}: resampled from 44,100 to 8,000 Hz\n"
    ran = run(capsys, "predict", writer, tmp_path / "a.wav")
    assert "1 of 1 recording resampled to 8,000 Hz (a.wav)" in ran.err


@pytest.mark.parametrize(
    ("options", "data", "error"),
    [
        (
            ["--rate", 16000],
            b"",
            "grus stream: --rate must be 8000, the rate that {} was trained at, got 16000",
        ),
        (["--key", "a"], b"", "grus stream: --key is for rows, not for --audio"),
        (
            ["--state", "x", "--save-every", "0"],
            b"",
            "grus stream: --save-every must be steps such as 5000 or seconds such as 10s, got '0'",
        ),
        (["--state", "no/x"], b"", "no/x: no such folder: no"),
        (["--format", "xml"], b"", "grus stream: --format must be json or csv, got 'xml'"),
        ([], b"", "stdin: expected at least 280 samples, one step, got 0"),
        ([], bytes(100), "stdin: expected at least 280 samples, one step, got 50"),
        ([], b"RIFF" + bytes(100), "stdin: expected raw samples, got a file with a header"),
        (["--proba"], b"", "grus stream: --proba is for a classifier, but {} is a transcriber"),
    ],
)
def test_what_cannot_be_listened_to(writer, options, data, error):
    done = subprocess.run(
        command("stream", writer, "--audio", *options),
        input=data,
        capture_output=True,
        env=environment(),
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().splitlines()[0] == f"error: {error.format(writer)}"


def test_half_a_sample_at_the_end_is_said_after_the_answer(writer):
    data = pcm(sentences(1)[0][0]) + b"\0"
    done = subprocess.run(
        command("stream", writer, "--audio"), input=data, capture_output=True, env=environment(), check=False
    )
    assert done.returncode == 2
    assert json.loads(done.stdout.splitlines()[-1])["final"]
    assert done.stderr.decode().startswith(
        "error: stdin: expected samples of 2 bytes, got half of one at the end"
    )


def test_models_that_do_not_fit_the_command(capsys, model, writer, tones, tmp_path):
    for arguments, code, said in (
        ((model, "--audio"), 2, f"grus stream: --audio is for models of recordings, which {model} is not"),
        ((model, "--rate", 8000), 2, "grus stream: --rate is for sound, which is read with --audio"),
        ((writer,), 1, f"{writer}: a transcriber reads samples, not rows"),
        ((tones,), 1, "model: a classifier of recordings reads samples, not rows"),
    ):
        ran = spawn("stream", *arguments, stdin=subprocess.DEVNULL)
        assert (ran.code, ran.out, ran.err.splitlines()[0]) == (code, "", f"error: {said}")
    refused(
        capsys, "transcribe", tones, "x.wav", error="model: its task must be transcribe, got one for classify"
    )
    refused(
        capsys,
        "fit",
        "transcribe",
        "-",
        "-q",
        error="stdin: recordings must be named as a file, a folder or a table, got -",
    )
    both = ("fit", "classify", "--audio", tmp_path, "--kind", "text")
    refused(capsys, *both, error="grus fit classify: --kind must be audio with --audio, got 'text'")


def test_torch_is_not_needed_but_for_training(writer, tones, said):
    file = said.parent / "wavs" / "3.wav"
    for arguments in (("transcribe", writer, file), ("predict", tones, file), ("evaluate", writer, said)):
        ran = without(["torch", "lightning_fabric", "matplotlib", "jinja2"], *arguments)
        assert ran.returncode == 0, ran.stderr


def test_a_transcriber_listens_for_one_word(writer):
    samples = (np.concatenate(sentences(6, seed=5)[0]) * 32767).astype("<i2")
    live = load(writer)
    (scores,) = live.word_scores([samples], "mid")
    threshold = 0.8 * float(scores.max())
    steps = fires(scores, threshold, round(HOLD * RATE / live.log_mel.stride))
    options = ["--wake", "mid", "--threshold", str(threshold)]
    whole = listen(writer, samples.tobytes(), [], *options)
    assert listen(writer, samples.tobytes(), [3, 1000, 1, 999], *options) == whole
    records = [json.loads(line) for line in whole.splitlines()]
    assert [r["seconds"] for r in records[: len(steps)]] == [round(live.known_at(s), 4) for s in steps]
    assert [r["score"] for r in records[: len(steps)]] == scores[steps].tolist()
    assert records[-1]["final"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--wake", "top"], "word: must be one of the model's, "),
        (["--threshold", "0.4"], "grus stream: --threshold is for --wake"),
        (
            ["--wake", "mid", "--threshold", "0"],
            "grus stream: --threshold must be above 0 and at most 1, got 0.0",
        ),
    ],
)
def test_words_that_cannot_be_listened_for(writer, options, error):
    done = subprocess.run(
        command("stream", writer, "--audio", *options),
        input=b"",
        capture_output=True,
        env=environment(),
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().startswith(f"error: {error}")


# -- the state of a stream of sound ----------------------------------------------------------------------------


def heard(model, data, *options, code=0, torch=True):
    """What is answered to all of some bytes, and what people are told."""
    arguments = ("stream", model, "--audio", *options)
    blocked = ["torch", "lightning_fabric", "pyarrow", "pandas", "matplotlib", "jinja2", "soundfile"]
    done = subprocess.run(
        command(*arguments) if torch else without_command(blocked, *arguments),
        input=data, capture_output=True, env=environment(), check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout.decode(), done.stderr.decode()


def pieces(data, *places):
    return [data[a:b] for a, b in pairwise((0, *places, len(data)))]


@pytest.mark.parametrize(
    ("options", "every"),
    [(["--every", "3", "--proba"], "7"), (["--every", "4"], "10s"), (["--wake", "mid"], "1")],
)
def test_a_restart_goes_on_exactly(tones, writer, tmp_path, options, every):
    model, threshold = (tones, []) if "--proba" in options else (writer, [])
    data = pcm(np.concatenate(sentences(5, seed=5)[0]))
    if "--wake" in options:
        (scores,) = load(writer).word_scores([np.frombuffer(data, "<i2")], "mid")
        threshold = ["--threshold", str(0.8 * scores.max())]
    whole, _ = heard(model, data, *options, *threshold)
    state, out = tmp_path / "sound.grus", ""
    parts = pieces(data, 101, 12_345)
    for number, part in enumerate(parts):
        more, err = heard(model, part, *options, *threshold, "--state", state, "--save-every", every)
        lines = more.splitlines(keepends=True)
        if number + 1 < len(parts) and lines and json.loads(lines[-1])["final"]:
            lines.pop()
        out += "".join(lines)
        place = sum(map(len, parts[:number]))
        assert err.startswith(f"{state}: goes on after byte {place:,} (") == (number > 0)
    assert out == whole
    assert [path.name for path in tmp_path.iterdir()] == ["sound.grus"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_ends_a_stream_of_sound(tones, tmp_path, number, code):
    options, state = ["--every", 3], tmp_path / "sound.grus"
    data = pcm(np.concatenate(words(3)[0]))
    whole, _ = heard(tones, data, *options)
    more = ["--state", state, "--save-every", "3600s"]
    with subprocess.Popen(
        command("stream", tones, "--audio", *options, *more),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
    ) as process:  # fmt: skip
        place, out = 0, b""
        for samples in (200 + 2 * 80, 3 * 80, 3 * 80):  # an answer is due after each
            process.stdin.write(data[place : place + 2 * samples])
            process.stdin.flush()
            out += process.stdout.readline()
            place += 2 * samples
        process.send_signal(number)
        assert process.wait(10) == code
        assert process.stderr.read().decode().splitlines()[0] == f"{place / 2 / RATE:.2f} s heard"
        assert process.stdout.read() == b""  # no final answer: it is not the end
    rest, err = heard(tones, data[place:], *options, *more)
    assert out.decode() + rest == whole
    assert err.startswith(f"{state}: goes on after byte {place:,} ({place / 2 / RATE:.2f} s)\n")


def test_torch_is_not_needed_to_listen(tones, writer, tmp_path):
    data = pcm(np.concatenate(sentences(4, seed=6)[0]))
    state = tmp_path / "sound.grus"
    for model, options in ((tones, ["--proba"]), (writer, [])):
        whole = heard(model, data, *options)
        assert heard(model, data, *options, torch=False) == whole
    heard(writer, data[:5_001], "--state", state, torch=False)
    again, _ = heard(writer, data[5_001:], "--state", state, torch=False)
    assert again.splitlines()[-1] == whole[0].splitlines()[-1]


def test_a_state_is_kept_where_there_is_no_step_yet(writer, tmp_path):
    state = tmp_path / "sound.grus"
    assert heard(writer, b"", "--state", state) == ("", "0.00 s heard\n")
    assert not state.exists()
    assert heard(writer, b"abc", "--state", state) == ("", "0.00 s heard\n")
    assert state.exists()


def test_states_of_sound_that_are_none(tones, writer, tmp_path):
    state = tmp_path / "sound.grus"
    heard(writer, pcm(sentences(1)[0][0]), "--state", state)
    good = state.read_bytes()
    for model, options, blob, sentence in (
        (writer, [], b"GRUS", "is not one that Grus wrote"),
        (writer, [], good[:-1], "damaged or cut short (its checksum does not fit)"),
        (writer, ["--wake", "mid"], good, "is of a stream that says 'text', not 'wake mid'"),
        (tones, [], good, "belongs to another model (their specs differ)"),
        (writer, [], b"GRUKEYED" + good[8:], "holds another kind of state, or is damaged"),
    ):
        state.write_bytes(blob)
        out, err = heard(model, bytes(2_000), *options, "--state", state, code=2)
        assert (out, err.splitlines()[0]) == ("", f"error: {state}: {sentence}")
        assert state.read_bytes() == blob  # nothing is overwritten
