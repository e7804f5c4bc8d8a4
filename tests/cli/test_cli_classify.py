"""``grus fit classify``, and predict and evaluate of its models: answers on stdout, tables for people on stderr."""

import contextlib
import csv
import inspect
import io
import json

import numpy as np
import pytest
from cli_runs import Ran, command, environment, run, spawn, write
from test_cli_errors import refused
from test_cli_processes import without

from grus.cli import fit_classify, main
from grus.cli.fit_classify import OWN_OPTIONS
from grus.cli.fit_run import COMMAND_OPTIONS
from grus.decode import load

TINY = [
    "--hidden-size",
    8,
    "--embedding-size",
    8,
    "--epochs",
    2,
    "--learning-rate",
    0.01,
    "--ema",
    0,
    "--device",
    "cpu",
]


def parse(text):
    return list(csv.DictReader(io.StringIO(text)))


def reviews(rows=60, seed=0):
    """JSON lines of a number, a text and a mood."""
    rng = np.random.default_rng(seed)
    said = [["awful", "dull", "poor"], ["good", "great", "fine"]]
    lines = []
    for row in range(rows):
        words = [*rng.choice(["the", "a", "film", "plot", "of", "was", "it"], 4), rng.choice(said[row % 2])]
        mood = "good" if row % 2 else "bad"
        lines.append(json.dumps({"number": row, "review": " ".join(rng.permutation(words)), "mood": mood}))
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "reviews.jsonl", reviews())


@pytest.fixture(scope="module")
def moods(tmp_path_factory, reviewed):
    """A model folder made by the command line itself, and what was said meanwhile."""
    folder = tmp_path_factory.mktemp("models") / "reviews"
    out, err = io.StringIO(), io.StringIO()
    arguments = [
        "fit",
        "classify",
        reviewed,
        "--text",
        "review",
        "--label",
        "mood",
        "--id",
        "number",
        "-o",
        folder,
    ]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(a) for a in [*arguments, *TINY]])
    assert code == 0, err.getvalue()
    return folder, Ran(code, out.getvalue(), err.getvalue())


def test_options_are_the_arguments_of_the_classifier():
    from grus import Classifier

    theirs = inspect.signature(Classifier.__init__).parameters
    ours = inspect.signature(fit_classify.classify).parameters
    names = [name for name in ours if name not in ("ctx", *COMMAND_OPTIONS, *OWN_OPTIONS)]
    assert names == [name for name in theirs if name != "self"]
    for name in names:
        default = theirs[name].default
        assert ours[name].default == (None if default == () else default), name


def test_help_has_an_example_of_every_kind(capsys):
    ran = run(capsys, "fit", "classify", "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count("grus fit classify ") >= 5
    for option in ("--text", "--columns", "--code", "--image", "--validation", "--config"):
        assert option in ran.out


def test_fit_prints_the_folder_and_says_what_it_did(moods):
    folder, ran = moods
    assert ran.out == f"{folder}\n"
    assert {p.name for p in folder.iterdir()} == {"config.json", "model.safetensors", "report"}
    assert {p.name for p in (folder / "report").iterdir()} == {"index.html", "metrics.json", "training.csv"}
    assert len(parse((folder / "report" / "training.csv").read_text())) == 2
    assert [p.name for p in folder.parent.iterdir()] == ["reviews"], "the run folder is gone"
    lines = ran.err.splitlines()
    assert lines[0] == f"model folder: {folder}"
    assert any(line.startswith("text ") and "'review'" in line for line in lines)
    assert "rows      54 train, 6 validate" in lines
    assert "validation: 6 rows" in lines
    for name in ("majority", "bag of words", "true \\ predicted", "macro-F1", "(ECE)"):
        assert name in ran.err, name
    assert lines[-1] == f"next: grus predict {folder} DATA"


def test_fit_quiet_json_with_validation_rows_from_a_config_file(capsys, tmp_path, reviewed):
    new = write(tmp_path / "new.jsonl", reviews(10, 1))
    config = write(
        tmp_path / "run.toml", f'text = "review"\nlabel = "mood"\nvalidation = "{new}"\nepochs = 9\n'
    )
    ran = run(
        capsys, "fit", "classify", reviewed, "--config", config, *TINY, "--epochs", 1, "--test-size", 12, "-o",
        tmp_path / "m", "-q", "--json",
    )  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    answer = json.loads(ran.out)
    assert (answer["model"], answer["epochs"]) == (str(tmp_path / "m"), 1)
    assert {name: e["rows"] for name, e in answer["evaluations"].items()} == {"validation": 10, "test": 12}
    found = answer["evaluations"]["test"]
    assert list(found["labels"]) == ["bad", "good"]
    assert np.array(found["confusion"]).sum() == 12
    assert [score["model"] for score in found["scores"]] == ["model", "majority", "bag of words"]


def test_predict(capsys, reviewed, moods):
    ran = run(capsys, "predict", moods[0], reviewed)
    assert (ran.code, ran.err) == (0, "60 rows labelled\n")
    rows = parse(ran.out)
    assert list(rows[0]) == ["number", "mood", "probability"]
    expected = load(moods[0]).predict(
        [json.loads(line)["review"] for line in reviewed.read_text().splitlines()]
    )
    assert [row["mood"] for row in rows] == expected["mood"].tolist()
    assert [float(row["probability"]) for row in rows] == expected["probability"].tolist(), (
        "every bit survives"
    )
    with_all = parse(run(capsys, "predict", moods[0], reviewed, "--proba", "-q").out)
    assert list(with_all[0]) == ["number", "mood", "probability", "p_bad", "p_good"]
    records = json.loads(run(capsys, "predict", moods[0], reviewed, "--json").out)
    assert [row["mood"] for row in records] == expected["mood"].tolist()


def test_predict_reads_no_labels_and_no_ids_that_are_not_there(capsys, tmp_path, moods):
    bare = write(tmp_path / "bare.csv", "review\nwas it good\nawful plot\n")
    rows = parse(run(capsys, "predict", moods[0], bare).out)
    assert [row["mood"] for row in rows] == ["good", "bad"]


def test_json_lines_on_stdin(capsys, monkeypatch, reviewed, moods):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n" + reviewed.read_bytes())))
    ran = run(capsys, "predict", moods[0], "-")
    assert (ran.code, ran.err) == (0, "60 rows labelled\n")
    assert ran.out == run(capsys, "predict", moods[0], reviewed).out


def test_evaluate(capsys, tmp_path, reviewed, moods):
    ran = run(capsys, "evaluate", moods[0], reviewed)
    assert ran.code == 0
    assert ran.err.splitlines()[1] == "reviews on reviews.jsonl: 60 rows"
    rows = parse(ran.out)
    assert [row["model"] for row in rows] == ["model", "majority", "bag of words"]
    assert float(rows[1]["accuracy"]) == 0.5
    quiet = run(capsys, "evaluate", moods[0], reviewed, "--json", "-q")
    assert (quiet.code, quiet.err) == (0, "")
    assert json.loads(quiet.out)["accuracy"] == float(rows[0]["accuracy"])


def test_labels_that_training_did_not_know_are_said(capsys, tmp_path, moods):
    odd = reviews(8, 2) + '{"number": 8, "review": "it was odd", "mood": "odd"}\n'
    ran = run(capsys, "evaluate", moods[0], write(tmp_path / "odd.jsonl", odd))
    assert "1 row of labels that training did not know count as wrong: 'odd' (1)" in ran.err.splitlines()
    assert float(parse(ran.out)[0]["accuracy"]) <= 8 / 9


def test_predict_and_evaluate_need_no_torch(capsys, reviewed, moods):
    blocked = ["torch", "lightning_fabric", "matplotlib", "jinja2", "pandas"]
    for arguments in (["predict", moods[0], reviewed, "--proba"], ["evaluate", moods[0], reviewed, "--json"]):
        ran = without(blocked, *arguments)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout == run(capsys, *arguments).out


def test_series_and_events_and_images(capsys, tmp_path):
    rng = np.random.default_rng(0)
    lines = ["who,day,x,what,kind"]
    for who in range(24):
        for day in range(4):
            x = rng.normal() + (3 if who % 2 else -3)
            lines.append(f"{who},{day},{x:.3f},{'ab'[who % 2]},{'high' if who % 2 else 'low'}")
    table = write(tmp_path / "table.csv", "\n".join(lines) + "\n")
    common = ["--id", "who", "--time", "day", "--label", "kind", *TINY, "-q"]
    for name, more, baseline in (
        ("s", ["--columns", "x"], "summary features"),
        ("e", ["--code", "what"], "bag of codes"),
    ):
        ran = run(capsys, "fit", "classify", table, *common, *more, "-o", tmp_path / name)
        assert (ran.code, ran.out) == (0, f"{tmp_path / name}\n"), ran.err
        rows = parse(run(capsys, "evaluate", tmp_path / name, table).out)
        assert rows[-1]["model"] == baseline
        assert float(rows[0]["accuracy"]) == 1.0
        found = parse(run(capsys, "predict", tmp_path / name, table).out)
        assert [row["who"] for row in found] == [str(who) for who in range(24)]


def test_a_folder_of_images(capsys, tmp_path):
    from matplotlib import image

    rng = np.random.default_rng(0)
    for label, level in (("dark", 0.1), ("light", 0.8)):
        (tmp_path / "shades" / label).mkdir(parents=True)
        for number in range(12):
            pixels = np.repeat(rng.random((6, 5, 1)) * 0.2 + level, 3, axis=2)
            image.imsave(tmp_path / "shades" / label / f"{number}.png", pixels)
    folder = tmp_path / "m"
    ran = run(capsys, "fit", "classify", "--image", tmp_path / "shades", *TINY, "-o", folder)
    assert ran.code == 0, ran.err
    rows = parse(run(capsys, "evaluate", folder, tmp_path / "shades").out)
    assert float(rows[0]["accuracy"]) == 1.0


def test_ctrl_c_then_resume(capsys, tmp_path, reviewed):
    import signal
    import subprocess

    folder = tmp_path / "m"
    arguments = ["fit", "classify", str(reviewed), "--text", "review", "--label", "mood", *map(str, TINY)]
    arguments += ["--epochs", "4", "-o", str(folder)]
    process = subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch 1/4"):
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == f"hint: to go on from it: grus {' '.join(arguments)} --resume"
    resumed = spawn(*arguments, "--resume")
    assert (resumed.code, resumed.out) == (0, f"{folder}\n"), resumed.err
    assert "epoch 1/4" not in resumed.err


# -- what is refused ---------------------------------------------------------------------------------------


def test_data_or_a_folder_of_images(capsys):
    refused(
        capsys,
        "fit",
        "classify",
        error="grus fit classify: expected DATA, --image or --audio, got none of them",
    )
    both = ["fit", "classify", "x.csv", "--image", "y"]
    refused(capsys, *both, error="grus fit classify: expected DATA, --image or --audio, got 2 of them")


def test_a_single_label(capsys, tmp_path):
    table = write(tmp_path / "t.csv", "text,label\n" + "a b,x\n" * 20)
    refused(
        capsys, "fit", "classify", table, "-o", tmp_path / "m", "-q",
        error="column 'label': expected at least two different labels, got only 'x'",
    )  # fmt: skip


def test_a_label_with_one_row(capsys, tmp_path):
    table = write(tmp_path / "t.csv", "text,label\n" + "a b,x\n" * 20 + "b c,y\n")
    refused(
        capsys, "fit", "classify", table, "-o", tmp_path / "m", "-q",
        error="column 'label': label 'y' must have at least 2 rows (for training, validation), got 1",
        hint="give more rows of it, or leave it out, or set the sizes of validation and test to 0",
    )  # fmt: skip


def test_options_of_another_task(capsys, reviewed, moods):
    where = moods[0]
    for option in (["--future", "x.csv"], ["--level", "80"]):
        error = f"grus predict: {option[0]} is for a forecaster, but {where} is a classifier"
        refused(capsys, "predict", where, reviewed, *option, error=error)
    error = f"grus evaluate: --step is for a forecaster, but {where} is a classifier"
    refused(capsys, "evaluate", where, reviewed, "--step", 3, error=error)


def test_probabilities_of_labels_are_not_a_forecasters(capsys, reviewed, model):
    where = model
    error = f"grus predict: --proba is for a classifier, but {where} is a forecaster"
    refused(capsys, "predict", where, reviewed, "--proba", error=error)


def test_a_missing_text_column(capsys, tmp_path, moods):
    bare = write(tmp_path / "bare.csv", "txt,mood\na,bad\n")
    ran = run(capsys, "predict", moods[0], bare)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: bare.csv: no column 'review'; the columns are ")


def test_rows_to_score_need_labels(capsys, tmp_path, moods):
    bare = write(tmp_path / "bare.csv", "review\nit was good\n")
    ran = run(capsys, "evaluate", moods[0], bare)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: bare.csv: no column 'mood'")
