"""``grus fit translate``, ``grus translate`` and what the other verbs do with a translator."""

import contextlib
import io
import json
import random
import signal
import subprocess
import time

import pytest
from cli_runs import Ran, command, environment, run, spawn, write

from grus.cli import main

TINY = [
    "--tokenizer", "word", "--hidden-size", "24", "--embedding-size", "16", "--lr", "1e-2", "--dropout", "0",
    "--state-dropout", "0", "--output-dropout", "0", "--ema", "0.98", "--device", "cpu",
]  # fmt: skip
NUMBERS = dict(zip(["eins", "zwei", "drei", "vier", "fünf"], ["one", "two", "three", "four", "five"]))


def pairs(rows=300, seed=0):
    draw = random.Random(seed)
    source = [[draw.choice(list(NUMBERS)) for _ in range(draw.randint(1, 4))] for _ in range(rows)]
    return [" ".join(some) for some in source], [" ".join(NUMBERS[w] for w in some) for some in source]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parallel")
    source, target = pairs()
    return write(folder / "train.de", "\n".join(source) + "\n"), write(
        folder / "train.en", "\n".join(target) + "\n"
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory, files):
    """A folder that the command line made, and what it said."""
    folder = tmp_path_factory.mktemp("models") / "numbers"
    arguments = [
        "fit",
        "translate",
        *files,
        "-o",
        folder,
        "--epochs",
        4,
        "--test-size",
        20,
        *TINY,
        "--batch-size",
        32,
    ]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(a) for a in arguments])
    assert code == 0, err.getvalue()
    return folder, Ran(code, out.getvalue(), err.getvalue())


def translated(folder, text, *options):
    data = text if isinstance(text, bytes) else text.encode()
    done = subprocess.run(
        command("translate", folder, *options), input=data, capture_output=True, env=environment(), timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_fit_says_what_it_does(trained):
    folder, ran = trained
    assert ran.out == f"{folder}\n"
    for line in ("source    de", "target    en", "pairs     265 train, 15 validation, 20 test", "test, greedy: 20 sentences",
                 f"next: grus translate {folder} < IN > OUT"):  # fmt: skip
        assert line in ran.err
    assert {path.name for path in (folder / "report").iterdir()} == {
        "index.html",
        "metrics.json",
        "training.csv",
    }
    assert not folder.with_name("numbers.run").exists()


def test_a_line_in_a_line_out(trained):
    code, out, err = translated(trained[0], "eins zwei\n\n  \nfünf\r\ndrei eins zwei")
    assert (code, err) == (0, "")
    assert out == "one two\n\n\nfive\nthree one two\n"
    assert translated(trained[0], "") == (0, "", "")


def test_n_best_and_alignments(trained):
    code, out, _ = translated(trained[0], "eins zwei\n\n", "--n-best", "2", "--beam", "3", "--alignments")
    lines = [line.split(" ||| ") for line in out.splitlines()]
    assert code == 0
    assert [line[0] for line in lines] == ["0", "0", "1"]
    assert lines[0][1] == "one two"
    assert lines[0][3] == "0-0 1-1"
    assert float(lines[0][2]) > float(lines[1][2])
    assert translated(trained[0], "zwei eins\n", "--alignments")[1] == "two one\t0-0 1-1\n"


def test_json_lines(trained):
    code, out, _ = translated(trained[0], "vier fünf\neins\n", "--json", "--alignments", "--beam", "1")
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(one["line"], one["source"]) for one in found] == [(1, "vier fünf"), (2, "eins")]
    best = found[0]["translations"][0]
    assert (best["text"], best["tokens"], best["alignment"]) == (
        "four five",
        ["four", "five"],
        [[0, 0], [1, 1]],
    )
    assert best["score"] == pytest.approx(best["log_probability"] / 3)


def test_forced_scores(trained, tmp_path):
    right, wrong = (
        write(tmp_path / "right.en", "one two\nfive\n"),
        write(tmp_path / "wrong.en", "two one\nfour\n"),
    )
    scores = [translated(trained[0], "eins zwei\nfünf\n", "--score", path) for path in (right, wrong)]
    assert all(code == 0 for code, _, _ in scores)
    for good, bad in zip(scores[0][1].split(), scores[1][1].split()):
        assert float(good) > float(bad) + 1
    for given, said in (("eins\n", "line 2 of right.en"), ("eins\nzwei\ndrei\n", "line 3 of stdin")):
        code, _, err = translated(trained[0], given, "--score", right)
        assert code == 2
        assert f"{said} is the first without a partner" in err


def test_long_lines_are_cut_and_that_is_said(files, tmp_path, capsys):
    folder = tmp_path / "short"
    ran = spawn(
        "fit",
        "translate",
        *files,
        "-o",
        folder,
        "--epochs",
        1,
        "--val-size",
        0,
        "--max-length",
        3,
        *TINY,
        "--batch-size",
        4,
    )
    assert ran.code == 0, ran.err
    assert "sentences of more than 3 tokens in training: the first 3 are read (max_length)" in ran.err
    code, out, err = translated(folder, "eins\neins eins eins eins\n")
    assert (code, len(out.splitlines())) == (0, 2)
    assert err == "1 of the lines so long that only 3 tokens are read (line 2)\n"
    assert translated(folder, "eins eins eins eins\n", "-q")[2] == ""


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"eins\nzw\xffei\n", "error: stdin, line 2: expected text in UTF-8, got the byte 0xff at offset 7"),
        (b"eins\nzw\0ei\n", "error: stdin, line 2: expected text, got a zero byte at offset 7"),
    ],
)
def test_input_that_is_no_text(trained, data, sentence):
    code, _, err = translated(trained[0], data)
    assert code == 2
    assert err.splitlines()[0] == sentence


def test_what_is_refused(trained, files, model, tmp_path, capsys):
    folder = trained[0]
    cases = [
        (["translate", model], "error: model: its task must be translate, got one for forecast"),
        (["translate", folder, "--n-best", "6"], "error: grus translate: --n-best must be at most --beam, which is 5, got 6"),
        (["translate", tmp_path / "nothing"], f"error: {tmp_path / 'nothing'}: no such model folder"),
        (["predict", folder, files[0], "--proba"], f"error: grus predict: --proba is for a classifier, but {folder} is a translator"),
        (["evaluate", folder, files[0], "--last", "3"], f"error: grus evaluate: --last is for a forecaster, but {folder} is a translator"),
        (["fit", "translate", *files, "--validation", "a.de", "-o", tmp_path / "m"], "error: grus fit translate: --validation must be two files, SRC,TGT, got 1"),
        (["fit", "translate", *files, "--validation", "a,b,c"], "error: grus fit translate: --validation must be two files, SRC,TGT, got 3"),
        (["export", folder, "--to", "onnx"], "error: export: a model of parts decode, encode cannot be exported to one ONNX file"),
        (["export", folder, "--to", "c"], "error: export: a model of two parts cannot run on back end 'c'"),
        (["fit", "translate"], "error: grus fit translate: SRC is missing"),
        (["inspect", folder, files[0], "--row", "999", "-o", tmp_path / "page.html"], "error: --row must be from 1 to 300, got 999"),
    ]  # fmt: skip
    for arguments, sentence in cases:
        ran = run(capsys, *arguments)
        assert (ran.code, ran.out) == (1 if "export" in arguments else 2, "")
        assert ran.err.splitlines()[0] == sentence
    short = write(tmp_path / "short.en", "one\n")
    ran = run(capsys, "fit", "translate", files[0], short, "-o", tmp_path / "m", *TINY)
    assert ran.code == 2
    assert "line 2 of train.de is the first without a partner" in ran.err
    assert not (tmp_path / "m.run").exists()


def test_evaluate_and_predict(trained, files, tmp_path, capsys):
    folder = trained[0]
    ran = run(capsys, "evaluate", folder, *files, "--beam", "1", "--json")
    scores = json.loads(ran.out)
    assert (ran.code, scores["sentences"]) == (0, 300)
    assert scores["bleu"] > 90
    assert scores["signatures"][0].startswith("nrefs:1|case:mixed")
    assert "copied sources" in ran.err
    table = write(tmp_path / "table.csv", "id,de,en\n1,eins zwei,one two\n2,,\n3,drei,three\n")
    ran = run(capsys, "predict", folder, table)
    assert [line.split(",")[0] for line in ran.out.splitlines()] == ["en", "one two", "", "three"]
    ran = run(capsys, "evaluate", folder, table)
    assert "1 pair with an empty side is left out of table.csv (number 2)" in ran.err
    assert ran.out.splitlines()[0] == "score,model,signature"


def test_inspect_draws_the_attention(trained, files, tmp_path, capsys):
    page = tmp_path / "page.html"
    ran = run(capsys, "inspect", trained[0], files[0], "--row", "2", "-o", page, "--json")
    found = json.loads(ran.out)
    source = pairs()[0][1]
    assert (ran.code, found["row"], found["source"]) == (0, 2, source)
    assert found["source_tokens"] == source.split()
    assert len(found["attention"]) == len(found["tokens"]) + 1
    assert ran.err.splitlines()[0] == f"{source} -> {found['translation']}"
    assert found["translation"] in page.read_text(encoding="utf-8")
    empty = write(tmp_path / "empty.de", "\n\n")
    assert (
        "expected a sentence to translate, got an empty line"
        in run(capsys, "inspect", trained[0], empty, "--json").err
    )


def test_ctrl_c_then_resume(tmp_path, files):
    folder = tmp_path / "model"
    arguments = [
        "fit",
        "translate",
        *map(str, files),
        "-o",
        str(folder),
        "--epochs",
        "3",
        *TINY,
        "--batch-size",
        "4",
    ]
    with subprocess.Popen(
        command(*arguments), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch 1/3"):
                process.send_signal(signal.SIGINT)
                break
        err = process.stderr.read()
        process.wait(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == f"hint: to go on from it: grus {' '.join(arguments)} --resume"
    resumed = spawn(*arguments, "--resume")
    assert (resumed.code, resumed.out) == (0, f"{folder}\n"), resumed.err
    assert "epoch 1/3" not in resumed.err


def test_a_translator_does_not_stream_rows(trained):
    done = subprocess.run(
        command("stream", trained[0]),
        input=b"a,b\n",
        capture_output=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        f"error: grus stream: {trained[0]} is a translator, which reads whole sentences",
        f"hint: grus translate {trained[0]} answers line by line",
    ]


def test_answers_come_as_lines_come(trained):
    """A line is answered before the next one is there."""
    with subprocess.Popen(command("translate", trained[0]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env=environment()) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        for line, answer in (("eins", "one"), ("zwei drei", "two three")):
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{answer}\n"
            time.sleep(0.01)
        process.stdin.close()
        assert process.wait(timeout=60) == 0
