"""``grus fit generate``, ``grus generate``, and evaluate of its models: text on stdout, the rest on stderr."""

import contextlib
import csv
import gzip
import inspect
import io
import json
import os
import signal
import subprocess

import pytest
from cli_runs import Ran, command, environment, run, spawn
from test_cli_errors import refused
from test_cli_processes import without

import grus
from grus import LanguageModel
from grus.cli import fit_generate, main
from grus.cli.fit_generate import OWN_OPTIONS
from grus.cli.fit_music import OF_MIDI
from grus.cli.fit_run import COMMAND_OPTIONS

LINE = "the cat sat on the mat and the dog sat on the log\n"
TINY = ["--hidden-size", 8, "--layers", 1, "--epochs", 2, "--batch-size", 4, "--chunk", 16, "--device", "cpu"]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "book.txt"
    path.write_text(LINE * 60)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory, book):
    """A model folder made by the command line itself, and what was said meanwhile."""
    folder = tmp_path_factory.mktemp("models") / "book"
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(a) for a in ["fit", "generate", book, "-o", folder, *TINY]])
    assert code == 0, err.getvalue()
    return folder, Ran(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def folder(made):
    return made[0]


def test_options_are_the_arguments_of_the_estimator():
    theirs = inspect.signature(LanguageModel.__init__).parameters
    ours = inspect.signature(fit_generate.fit_generate).parameters
    own = {*COMMAND_OPTIONS, *OWN_OPTIONS, *OF_MIDI, "ctx"}
    assert set(ours) - own == set(theirs) - {"self"}
    for name, parameter in theirs.items():
        if name != "self":
            assert ours[name].default == parameter.default, name


def test_fit_prints_the_folder_and_says_what_it_did(made, book):
    folder, ran = made
    assert ran.out == f"{folder}\n"
    said = ran.err.splitlines()
    assert said[:4] == [
        f"model folder: {folder}", f"text      {book}: 3,000 characters",
        f"tokens    characters, {len(set(LINE))} known",
        "parts     2,400 tokens train, 300 tokens validate, 300 tokens test",
    ]  # fmt: skip
    for part in ("validation", "test"):
        assert f"{part}: every one of 300 characters counts, read in order with the state carried" in said
    assert said[-2:] == [f"report: {folder}/report/index.html", f"next: grus generate {folder}"]
    assert {p.name for p in (folder / "report").iterdir()} == {"index.html", "metrics.json", "training.csv"}
    assert not folder.with_name(folder.name + ".run").exists()


def test_fit_of_files_from_stdin_and_a_config_file(capsys, tmp_path, monkeypatch, book):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(LINE.encode() * 30))
    (tmp_path / "options.toml").write_text('tokenizer = "space"\nhidden-size = 4\nepochs = 1\nlayers = 1\n')
    ran = run(
        capsys, "fit", "generate", tmp_path / "a.txt.gz", book, "--config", tmp_path / "options.toml", "--validation",
        book, "--json", "-q", "-o", tmp_path / "m",
    )  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    told = json.loads(ran.out)
    assert told["evaluations"]["validation"]["tokens"] == 60 * 14
    assert grus.load(tmp_path / "m").codec.unit == "word"

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(LINE.encode() * 30)))
    ran = run(capsys, "fit", "generate", "-", *TINY, "-o", tmp_path / "n")
    assert ran.code == 0, ran.err
    assert "1,500 characters" in ran.err


def test_fit_with_an_adaptive_softmax(capsys, tmp_path):
    (tmp_path / "words.txt").write_text("".join(f"{LINE}so w{number} said no\n" for number in range(1_400)))
    words = ["fit", "generate", tmp_path / "words.txt", "--tokenizer", "space", "--min-count", 1, *TINY]
    ran = run(capsys, *words, "--epochs", 1, "--chunk", 64, "--softmax", "adaptive", "-o", tmp_path / "m")
    assert (ran.code, ran.out) == (0, f"{tmp_path / 'm'}\n"), ran.err
    (said,) = [line for line in ran.err.splitlines() if line.startswith("softmax")]
    assert "adaptive" in said
    nodes = grus.load(tmp_path / "m").model.parts["main"].nodes
    assert [node.op.name for node in nodes if node.name == "logits"] == ["AdaptiveSoftmax"]
    ran = run(capsys, "generate", tmp_path / "m", "-p", "the cat", "-n", 3, "--seed", 1, "-q")
    assert (ran.code, ran.err) == (0, "")
    assert len(ran.out.split()) >= 1


def test_an_adaptive_softmax_that_does_not_fit_is_refused(capsys, tmp_path, book):
    fit = ["fit", "generate", book, "-o", tmp_path / "m", "--softmax", "adaptive", "-q"]
    refused(
        capsys, *fit, error=f"softmax: adaptive must have at least 1,000 tokens to choose from, got {len(set(LINE)) + 1}",
        hint="use --softmax full (softmax='full')",
    )  # fmt: skip
    refused(
        capsys, *fit, "--tokenizer", "word", "--tied",
        error="tied must be False with softmax='adaptive', whose parts have other sizes than the embedding's table, got True",
        hint="leave --tied out (tied=None), or use --softmax full",
    )  # fmt: skip
    refused(
        capsys, *fit, "--tokenizer", "bpe",
        error="softmax must be 'full' with tokenizer='bpe', whose codes are not in the order of how common they are, got "
        "'adaptive'",
        hint="use --tokenizer word or space, or --softmax full",
    )  # fmt: skip
    assert not (tmp_path / "m").exists()
    assert not (tmp_path / "m.run").exists()


def test_generate(capsys, folder):
    live = grus.load(folder)
    ran = run(capsys, "generate", folder, "--prompt", "the ", "-n", 30, "--seed", 3)
    assert ran == Ran(0, live.generate("the ", max_new_tokens=30, seed=3).text, "seed: 3\n")
    how = [
        "--temperature",
        0.7,
        "--top-k",
        9,
        "--top-p",
        0.8,
        "--repetition-penalty",
        1.2,
        "--stop",
        "t",
        "--stop",
        "o",
    ]
    ran = run(capsys, "generate", folder, "-p", "the ", "-n", 30, "--seed", 3, *how)
    wanted = live.generate(
        "the ",
        max_new_tokens=30,
        seed=3,
        temperature=0.7,
        top_k=9,
        top_p=0.8,
        repetition_penalty=1.2,
        stop=("t", "o"),
    )
    assert ran.out == wanted.text
    ran = run(capsys, "generate", folder, "-n", 5, "-q")
    assert (ran.code, len(ran.out), ran.err) == (0, 5, "")
    other = run(capsys, "generate", folder, "-n", 30)
    seed = other.err.removeprefix("seed: ").strip()
    assert run(capsys, "generate", folder, "-n", 30, "--seed", seed).out == other.out


def test_several_texts_and_json(capsys, folder):
    live = grus.load(folder)
    ran = run(capsys, "generate", folder, "-p", "the ", "-n", 9, "--seed", 3, "--num-return-sequences", 2)
    wanted = live.generate("the ", max_new_tokens=9, seed=3, num_return_sequences=2)
    assert ran.out == "\n---\n".join(wanted.texts) + "\n"
    ran = run(
        capsys,
        "generate",
        folder,
        "-p",
        "the ",
        "-n",
        9,
        "--num-beams",
        3,
        "--num-return-sequences",
        2,
        "--json",
    )
    beams = live.generate("the ", max_new_tokens=9, num_beams=3, num_return_sequences=2)
    told = json.loads(ran.out)
    assert (told["prompt"], told["texts"], told["tokens"]) == ("the ", list(beams.texts), [9, 9])
    assert ran.err == "", "beams draw nothing, so there is no seed to say"
    told = json.loads(run(capsys, "generate", folder, "-p", "the ", "-n", 9, "--seed", 3, "--json").out)
    assert told == {"prompt": "the ", "seed": 3, "texts": [wanted.text], "tokens": [9]}
    assert run(capsys, "generate", folder, "-p", "the ", "-n", 9, "--num-beams", 3).out == beams.text


def test_a_state_file_goes_on_exactly(capsys, tmp_path, folder):
    file = tmp_path / "text.grus"
    whole = run(capsys, "generate", folder, "-p", "the ", "-n", 60, "--seed", 8).out
    parts = [run(capsys, "generate", folder, "-p", "the ", "-n", 20, "--seed", 8, "--state", file)]
    parts += [run(capsys, "generate", folder, "-n", 20, "--state", file) for _ in range(2)]
    assert "".join(ran.out for ran in parts) == whole
    assert [ran.err for ran in parts] == ["seed: 8\n", "", ""]
    (tmp_path / "odd.grus").write_bytes(file.read_bytes()[:-9])
    refused(
        capsys, "generate", folder, "--state", tmp_path / "odd.grus",
        error=f"{tmp_path / 'odd.grus'}: state: damaged or cut short (its checksum does not fit)",
    )  # fmt: skip
    refused(
        capsys, "generate", folder, "--state", file, "--num-return-sequences", 2,
        error="grus generate: --state must have one text, got --num-return-sequences 2",
    )  # fmt: skip


def test_a_prompt_from_stdin(capsys, monkeypatch, folder):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"the cat")))
    ran = run(capsys, "generate", folder, "-p", "-", "-n", 20, "--seed", 1)
    assert ran.out == grus.load(folder).generate("the cat", max_new_tokens=20, seed=1).text
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"the \xff")))
    refused(
        capsys,
        "generate",
        folder,
        "-p",
        "-",
        "-q",
        error="stdin, byte 4: expected text in UTF-8, got another byte",
    )


def test_evaluate(capsys, tmp_path, folder, book):
    ran = run(capsys, "evaluate", folder, book)
    e = grus.load(folder).evaluate([LINE * 60])
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert [row["model"] for row in rows] == [str(row["model"]) for row in e.rows()]
    assert float(rows[0]["perplexity"]) == pytest.approx(e.perplexity)
    assert "book on book.txt: every one of 3,000 characters counts" in ran.err
    (tmp_path / "odd.txt").write_text("the cät")
    ran = run(capsys, "evaluate", folder, tmp_path / "odd.txt", "--json")
    told = json.loads(ran.out)
    assert (told["tokens"], told["unknown"], told["characters"]) == (7, 1, 7)
    assert "1 of them (14.29%) are unknown to the model, and scored as one token" in ran.err


UNKNOWN = "prompt, character 3: 'é' is not among the 14 characters the model knows"


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["-p", "theé"[1:]], UNKNOWN, "write it otherwise, or let it stand for an unknown one (--unknown map)"),
        (["--temperature", -1], "temperature must be a number of at least 0, got -1.0", ""),
        (["--top-p", 2], "top_p must be above 0 and at most 1, got 2.0", ""),
        (
            ["--num-beams", 2, "--top-k", 3],
            "num_beams: beams draw nothing, so temperature, top_k and top_p must not be given", "",
        ),
        (["-n", -1], "grus generate: --max-new-tokens must be at least 0, got '-1'",
         "'grus generate --help' shows how it is used"),
        (["--unknown", "skip"], "grus generate: --unknown must be one of refuse, map, got 'skip'",
         "'grus generate --help' shows how it is used"),
        (["--stop", ""], "stop must be texts that are not empty, got ('',)", ""),
    ],
)  # fmt: skip
def test_bad_usage(capsys, folder, arguments, error, hint):
    refused(capsys, "generate", folder, "-q", *arguments, error=error, hint=hint)


def test_what_is_unknown_may_be_mapped(capsys, folder):
    assert run(capsys, "generate", folder, "-p", "é", "-n", 4, "--unknown", "map", "-q").code == 0


def test_text_that_cannot_be_read(capsys, tmp_path):
    fit = ["fit", "generate"]
    hint = "convert it first, as with iconv -f latin1 -t utf-8, or leave binary files out"
    for name, data, error, more in (
        (
            "latin.txt",
            "naïve".encode("latin1"),
            ", byte 2: expected text in UTF-8, got another byte (0xef)",
            hint,
        ),
        ("image.png", b"\x89PNG\r\n", ", byte 0: expected text in UTF-8, got another byte (0x89)", hint),
        ("zip.txt", b"PK\0", ", byte 2: expected text, got a NUL byte, as binary files have", ""),
        ("empty.txt", b"", ": expected text, got an empty file", ""),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        refused(capsys, *fit, path, "-o", tmp_path / "m", "-q", error=f"{path}{error}", hint=more)
    refused(capsys, *fit, tmp_path / "none.txt", "-q", error=f"no such file: {tmp_path / 'none.txt'}")
    refused(capsys, *fit, "-", "a.txt", "-q", error="stdin: - must stand alone, got other files besides")
    assert not list(tmp_path.glob("m*"))


def test_a_language_model_is_inspected_line_by_line(capsys, folder, book, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = run(capsys, "inspect", folder, book, "--row", 3)
    assert (ran.code, ran.out) == (0, "")
    assert "After it the model expects “" in ran.err
    assert "Line 3 of " in (tmp_path / "inspect.html").read_text()
    ran = run(capsys, "inspect", folder, book, "--json", "-q")
    assert ran.err == ""
    assert json.loads(ran.out)["steps"]["surprise"]
    refused(
        capsys, "inspect", folder, book, "--row", 0, "-q", "--force",
        error=f"row must be from 1 to {len(book.read_text().splitlines())} (the lines of the text), got 0",
    )  # fmt: skip


def test_what_a_language_model_does_not_do(capsys, folder, book):
    refused(
        capsys, "predict", folder, book, error="grus predict: a language model has no answer for rows of data",
        hint="grus generate MODEL goes on with a text, grus evaluate MODEL TEXT scores one",
    )  # fmt: skip
    refused(
        capsys, "evaluate", folder, book, "--last", 3,
        error=f"grus evaluate: --last is for a forecaster, but {folder} is a language model",
    )  # fmt: skip
    ran = spawn("stream", folder, input='{"a": 1}\n')
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"error: {folder}: a language model has no answer for rows\n")


def test_other_models_do_not_generate(capsys, model):
    refused(capsys, "generate", model, error="model: its task must be generate, got one for forecast")


def test_generate_and_evaluate_need_no_torch(capsys, folder, book):
    blocked = ["torch", "lightning_fabric", "matplotlib", "jinja2", "pandas", "pyarrow", "tokenizers"]
    for arguments in (["generate", folder, "-p", "the", "--seed", 1], ["evaluate", folder, book, "--json"]):
        ran = without(blocked, *arguments)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout == run(capsys, *arguments).out


def test_tokens_are_printed_as_they_come_and_ctrl_c_keeps_the_state(tmp_path, folder):
    file = tmp_path / "text.grus"
    arguments = command("generate", folder, "-n", 10_000_000, "--seed", 2, "--state", file)
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        begin = os.read(process.stdout.fileno(), 1 << 16)
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    text = (begin + rest).decode()
    assert text
    assert err.decode().splitlines()[-1] == "error: interrupted"
    on = spawn("generate", folder, "-n", 20, "--state", file, "-q")
    live = grus.load(folder)
    whole = live.generate(max_new_tokens=len(text) + 21, seed=2).text
    # The token that was drawn when Ctrl-C came may not have been printed any more.
    assert text + on.out in (whole[:-1], whole[: len(text)] + whole[len(text) + 1 :])


def test_nobody_reads(folder):
    arguments = command("generate", folder, "-n", 100_000)
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        os.read(process.stdout.fileno(), 10)
        process.stdout.close()
        assert process.wait(timeout=60) == 141


def test_help_has_examples(capsys):
    for arguments in (["fit", "generate"], ["generate"]):
        ran = run(capsys, *arguments, "--help")
        assert ran.code == 0
        assert ran.out.count("grus " + " ".join(arguments)) >= 4


def test_ctrl_c_while_training_then_resume(tmp_path, book):
    def fit(name):
        return ["fit", "generate", book, *TINY[:4], "--epochs", 6, *TINY[6:], "-o", tmp_path / name]

    assert spawn(*fit("whole"), "-q").code == 0
    with subprocess.Popen(command(*fit("m")), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=environment()) as process:  # fmt: skip
        for line in process.stderr:
            if line.startswith("epoch 2/6"):
                process.send_signal(signal.SIGINT)
                break
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert f"its checkpoint is {tmp_path}/m.run/checkpoint.pt" in err
    resumed = spawn(*fit("m"), "--resume")
    assert (resumed.code, resumed.out) == (0, f"{tmp_path}/m\n"), resumed.err
    assert "epoch 1/6" not in resumed.err
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "m" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
