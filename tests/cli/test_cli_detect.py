"""``grus fit detect``, and predict, evaluate, stream and inspect of its models: scores and events on stdout."""

import contextlib
import csv
import inspect as signatures
import io
import json
import sys

import numpy as np
import pytest
from cli_runs import Ran, run, write
from test_cli_errors import refused
from test_cli_processes import without

from grus.cli import fit_detect, main
from grus.cli.fit_run import COMMAND_OPTIONS

TINY = ["--hidden-size", "8", "--epochs", "2", "--windows-per-epoch", "64", "--device", "cpu"]


def parse(text):
    return list(csv.DictReader(io.StringIO(text)))


def pump(rows=400, seed=0, faults=((300, 315),)):
    """CSV of minutes of a pump's flow and pressure; while it is clogged, the flow falls and the label is 1."""
    rng = np.random.default_rng(seed)
    minutes = np.datetime64("2026-03-01T00:00", "m") + np.arange(rows)
    label = np.zeros(rows, int)
    for first, end in faults:
        label[first:end] = 1
    flow = 50 + 5 * np.sin(np.arange(rows) / 8) + rng.normal(0, 0.3, rows) - 30 * label
    pressure = 3 + rng.normal(0, 0.05, rows)
    lines = [f"{t},{f:.3f},{p:.3f},{a}" for t, f, p, a in zip(minutes, flow, pressure, label)]
    return "\n".join(["time,flow,pressure,anomaly", *lines]) + "\n"


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "pump.csv", pump())


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A model folder made by the command line itself of a quiet day, and what was said meanwhile."""
    folder = tmp_path_factory.mktemp("models") / "pump"
    normal = write(tmp_path_factory.mktemp("normal") / "normal.csv", pump(600, 1, ()))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(a) for a in ["fit", "detect", normal, "-o", folder, *TINY]])
    assert code == 0, err.getvalue()
    return folder, Ran(code, out.getvalue(), err.getvalue())


def test_options_are_the_arguments_of_the_detector():
    from grus import AnomalyDetector

    theirs = signatures.signature(AnomalyDetector.__init__).parameters
    ours = signatures.signature(fit_detect.detect).parameters
    names = [name for name in ours if name not in ("ctx", *COMMAND_OPTIONS)]
    meant = {"quiet_rows": "quiet"}
    assert [meant.get(name, name) for name in names] == [name for name in theirs if name != "self"]
    for name in names:
        default = theirs[meant.get(name, name)].default
        assert ours[name].default == (None if default == () else default), name


def test_help_has_examples(capsys):
    ran = run(capsys, "fit", "detect", "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count("grus fit detect ") >= 4
    for option in ("--columns", "--label", "--memory", "--quiet-rows", "--false-alarm-rate", "--config"):
        assert option in ran.out


def test_fit_prints_the_folder_and_says_what_it_did(fitted):
    folder, ran = fitted
    assert ran.out == f"{folder}\n"
    assert {p.name for p in folder.iterdir()} == {"config.json", "model.safetensors", "report"}
    assert [p.name for p in folder.parent.iterdir()] == ["pump"], "the run folder is gone"
    lines = ran.err.splitlines()
    assert lines[:3] == [f"model folder: {folder}", "watched   flow, pressure", "series    one"]
    assert "label     'anomaly', 0 rows of 1, not learned from" in lines
    assert any(line.startswith("threshold 0.") and "of 600 above it" in line for line in lines)
    assert "F1" not in ran.err, "no anomaly is known, so there is nothing to score by"
    assert ran.err.splitlines()[-1] == f"next: grus predict {folder} DATA"


def test_predict_scores_every_row(capsys, table, fitted):
    ran = run(capsys, "predict", fitted[0], table)
    rows = parse(ran.out)
    assert (ran.code, len(rows)) == (0, 400)
    assert list(rows[0]) == ["time", "score", "alarm", "column"]
    clogged = [row for row in rows if row["alarm"] == "1"]
    assert rows[300] in clogged
    assert rows[300]["column"] == "flow"
    assert ran.err.startswith("400 rows scored: ")
    assert ran.err.endswith(f", {len(clogged)} alarm{'s' * (len(clogged) != 1)}\n")


def test_events_and_detail(capsys, table, fitted):
    events = parse(run(capsys, "predict", fitted[0], table, "--events").out)
    assert list(events[0]) == ["start", "end", "severity", "score", "columns"]
    assert any(
        e["start"][:16].replace("T", " ") <= "2026-03-01 05:00" <= e["end"].replace("T", " ") for e in events
    )
    detail = json.loads(run(capsys, "predict", fitted[0], table, "--detail", "--json").out)
    assert len(detail) == 400
    assert "flow" in " ".join(detail[20])


def test_evaluate_stands_beside_simple_rules(capsys, table, fitted):
    ran = run(capsys, "evaluate", fitted[0], table, "--label", "anomaly", "--json")
    answer = json.loads(ran.out)
    assert (ran.code, answer["rows"], answer["anomalous"]) == (0, 400, 15)
    assert len(answer["scores"]) == 3
    assert "false alarms" in ran.err


def test_no_label_no_evaluation(capsys, tmp_path, fitted):
    bare = write(tmp_path / "bare.csv", "\n".join(line.rpartition(",")[0] for line in pump().splitlines()))
    error = f"{bare.name}: no column 'anomaly'; the columns are 'time', 'flow', 'pressure'"
    refused(capsys, "evaluate", fitted[0], bare, error=error)


def test_stream_says_what_predict_says(capsys, monkeypatch, table, fitted, tmp_path):
    """In two runs, with the state in a file between them."""
    offline = parse(run(capsys, "predict", fitted[0], table).out)
    rows = [json.dumps({k: row[k] if k == "time" else float(row[k]) for k in ("time", "flow", "pressure")})
            for row in parse(table.read_text())]  # fmt: skip
    answers = []
    for part in (rows[:123], rows[123:]):
        (tmp_path / "stdin").write_text("\n".join(part) + "\n")
        with (tmp_path / "stdin").open() as file:
            monkeypatch.setattr(sys, "stdin", file)
            ran = run(capsys, "stream", fitted[0], "--state", tmp_path / "pump.grus")
        assert ran.code == 0, ran.err
        answers += [json.loads(line) for line in ran.out.splitlines()]
    assert len(answers) == len(offline)
    for live, row in zip(answers, offline):
        assert (live["score"], live["alarm"], live["column"]) == (
            float(row["score"]), int(row["alarm"]), row["column"],
        )  # fmt: skip


def test_live_side_needs_no_torch(table, fitted):
    blocked = ["torch", "lightning_fabric", "matplotlib", "jinja2", "pandas"]
    ran = without(blocked, "predict", fitted[0], table, "--events")
    assert ran.returncode == 0, ran.stderr
    assert len(parse(ran.stdout)) > 0


BAD = [
    ("", ": expected a header and rows, got an empty file", ""),
    (
        "time,word\n2026-01-01,a\n2026-01-02,b\n",
        ": expected columns of numbers to watch, got 'word'", "name them with columns",
    ),
    (
        "time,flow\n2026-01-02,1\n2026-01-01,2\n2026-01-03,3\n",
        ", row 3, column 'time': expected a later time than '2026-01-02' (row 2), got '2026-01-01'",
        "sort the rows by time; if several series are mixed, name their column with id",
    ),
    (
        "time,flow,anomaly\n2026-01-01,1,7\n2026-01-02,2,0\n",
        ", row 2, column 'anomaly': expected 0, or 1 for an anomaly, got 7", "",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "error", "hint"), BAD)
def test_data_that_cannot_be_learned_from_leaves_nothing(capsys, tmp_path, text, error, hint):
    path = write(tmp_path / "bad.csv", text)
    more = ["--label", "anomaly"] if "anomaly" in text else []
    refused(
        capsys, "fit", "detect", path, "-o", tmp_path / "model", "-q", *more, *TINY,
        error=f"{path.name}{error}", hint=hint,
    )  # fmt: skip
    assert [p.name for p in tmp_path.iterdir()] == ["bad.csv"]


def test_a_model_is_not_overwritten_unasked(capsys, table, fitted):
    folder = fitted[0]
    before = (folder / "model.safetensors").read_bytes()
    refused(
        capsys, "fit", "detect", table, "-o", folder, *TINY,
        error=f"{folder}: already exists, and nothing is overwritten unasked",
        hint="name another folder with -o, or add --force to replace it",
    )  # fmt: skip
    assert (folder / "model.safetensors").read_bytes() == before


def test_columns_that_new_rows_lack(capsys, tmp_path, fitted):
    path = write(tmp_path / "other.csv", "time,flow\n2026-03-01 00:00,50\n")
    error = f"{path.name}: no column 'pressure'; the columns are 'time', 'flow'"
    refused(capsys, "predict", fitted[0], path, error=error)


def test_inspect_shows_the_oddest_row(capsys, table, fitted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(capsys, "inspect", fitted[0], table)
    assert (done.code, done.out) == (0, "")
    assert " was expected." in done.err
    page = (tmp_path / "inspect.html").read_text()
    assert " of 400, 2026-03-01 " in page
    found = json.loads(run(capsys, "inspect", fitted[0], table, "--row", 302, "--json", "-q").out)
    assert found["row"] == "row 302 of 400, 2026-03-01 05:01:00"
    assert found["unit"] in ("expected flow", "expected pressure")
    assert len(found["steps"]["time"]) == 240
    refused(
        capsys, "inspect", fitted[0], table, "--row", 1, "--json",
        error="row must have rows before it, but 1 is the first of all",
    )  # fmt: skip
