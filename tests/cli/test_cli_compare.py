"""``grus compare``: tables out, killed and gone on with, and what is refused in which words."""

import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import time

import pytest
from cli_runs import HORIZON, Ran, command, environment, run, write
from test_cli_errors import refused

from grus.cli import main

SMALL = ["--hidden-size", "4", "--epochs", "1", "--device", "cpu", "--rates", "0.01", "--seeds", "2"]
TIMES = ("seconds", "latency")


def forecast(table, folder, *more):
    """A small comparison."""
    options = ["--target", "y", "--horizon", HORIZON, "--windows-per-epoch", 128, "--cells", "gru,rnn"]
    return ["compare", "forecast", table, *options, *SMALL, "-o", folder, *more]


def rows(text):
    """The table without what takes time."""
    found = list(csv.DictReader(io.StringIO(text)))
    return [{k: v for k, v in row.items() if not any(t in k for t in TIMES)} for row in found]


@pytest.fixture(scope="module")
def done(tmp_path_factory, table):
    """A comparison made by the command line, and what it printed."""
    folder = tmp_path_factory.mktemp("comparisons") / "demand"
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(a) for a in forecast(table, folder)])
    assert code == 0, err.getvalue()
    return folder, Ran(code, out.getvalue(), err.getvalue())


def test_the_table_goes_to_stdout_and_the_rest_to_people(done):
    folder, ran = done
    found = rows(ran.out)
    assert [row["cell"] for row in found] == [
        "gru",
        "rnn",
        "repeat last",
        "seasonal naive 24",
        "seasonal naive 168",
    ]
    assert float(found[0]["error_low"]) < float(found[0]["error"]) < float(found[0]["error_high"])
    assert found[0]["seeds"] == "2"
    assert ran.err.startswith(f"comparison: {folder}\n")
    assert "cells     gru 4 (" in ran.err
    assert "run 4/4  rnn" in ran.err
    assert "…" not in ran.err, "the table fits a terminal of 80 characters"
    assert f"report: {folder / 'index.html'}" in ran.err
    page = (folder / "index.html").read_text()
    assert "grus compare forecast" in page
    assert json.loads((folder / "comparison.json").read_text())["pick"] in ("gru", "rnn")


def test_going_on_with_a_finished_comparison_gives_the_same(done, table, capsys):
    folder, ran = done
    again = run(capsys, *forecast(table, folder, "--resume", "--quiet"))
    assert (again.code, again.err) == (0, "")
    assert again.out == ran.out, "times too: they were kept"
    as_json = run(capsys, *forecast(table, folder, "--resume", "--json"))
    assert json.loads(as_json.out)["points"][0]["cells"][0]["cell"] == "gru"


def test_killed_it_goes_on_to_the_same_table(done, table, tmp_path, capsys):
    folder = tmp_path / "killed"
    process = subprocess.Popen(
        command(*forecast(table, folder)),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    end = time.monotonic() + 300
    while len(list((folder / "runs").glob("*.json"))) < 2:
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    stopped = run(capsys, *forecast(table, folder))
    assert stopped.code == 2
    assert "holds a comparison already, and nothing is overwritten unasked" in stopped.err
    again = run(capsys, *forecast(table, folder, "--resume", "-q"))
    assert again.code == 0, again.err
    assert rows(again.out) == rows(done[1].out)


def test_ctrl_c_exits_130_and_says_how_to_go_on(table, tmp_path):
    folder = tmp_path / "stopped"
    process = subprocess.Popen(
        command(*forecast(table, folder)),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 300
    while not list((folder / "runs").glob("*.json")):
        assert time.monotonic() < end
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    last = err.splitlines()[-2:]
    assert last[0].startswith("error: comparison stopped by Ctrl-C; ")
    assert last[0].endswith(f"finished runs, and the checkpoint of the last, are in {folder}")
    assert last[1].startswith("hint: to go on from there: grus compare forecast ")
    assert last[1].endswith(" --resume")


def test_labelled_rows(tmp_path, capsys):
    lines = [
        "text,mood",
        *(f"it was {'very good' if n % 2 else 'rather bad'} {n},{n % 2}" for n in range(60)),
    ]
    data = write(tmp_path / "moods.csv", "\n".join(lines) + "\n")
    options = [*SMALL, "--cells", "gru,lstm", "--sizes", "0.5,1", "-o", tmp_path / "c"]
    found = run(capsys, "compare", "classify", data, "--test", data, *options)
    assert found.code == 0, found.err
    assert [row["share"] for row in rows(found.out)[::4]] == ["0.5", "1.0"]
    assert "\n50% of the training rows\n" in found.err


def test_what_is_refused(table, tmp_path, capsys):
    begin = ["compare", "forecast", table, "--horizon", 12]
    refused(
        capsys, "compare", "forecast", table,
        error="grus compare forecast: option --horizon is missing",
        hint="'grus compare forecast --help' shows how it is used",
    )  # fmt: skip
    for options, sentence in [
        (
            ["--sizes", "0.1,2"],
            "--sizes must be shares above 0, of at most 1, such as 0.1,0.3,1, got '0.1,2'",
        ),
        (["--lengths", "12,x"], "--lengths must be whole numbers of at least 1 such as 24,48,96, got 'x'"),
        (["--rates", "fast"], "--rates must be numbers between 0 and 10 such as 1e-3,3e-3, got 'fast'"),
        (["--seeds", "0"], "--seeds must be at least 1, got '0'"),
    ]:
        found = run(capsys, *begin, *options)
        assert (found.code, found.out) == (2, "")
        assert found.err.splitlines()[0] == f"error: grus compare forecast: {sentence}"
    found = run(capsys, *begin, "--cells", "gru,tcn", "-o", tmp_path / "new")
    assert found.code == 2
    assert "error: cells must be a list of at least two different cells of gru, lstm, rnn" in found.err
    assert not (tmp_path / "new").exists()


def test_folders_that_are_refused(table, tmp_path, capsys):
    write(tmp_path / "file", "x")
    (tmp_path / "other").mkdir()
    write(tmp_path / "other" / "notes.txt", "x")
    begin = ["compare", "forecast", table, "--horizon", 12, "-o"]
    for name, more, sentence in [
        ("file", [], "must be a folder, got a file"),
        ("other", [], "holds something else than a comparison, so nothing is written into it"),
        ("new", ["--resume"], "no comparison to resume from"),
    ]:
        found = run(capsys, *begin, tmp_path / name, *more)
        assert (found.code, found.out) == (2, "")
        assert found.err.splitlines()[0] == f"error: {tmp_path / name}: {sentence}"
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["notes.txt"]


def test_a_task_is_named(capsys):
    found = run(capsys, "compare")
    assert found.code == 2
    assert found.err.splitlines()[0] == (
        "error: grus compare: task is missing; the tasks are forecast, classify, memory, music"
    )
    found = run(capsys, "compare", "memory", "--task", "sorting")
    assert found.code == 2
    assert (
        "--task must be one of adding, copy, recall, digits-rows, digits-pixels, got 'sorting'" in found.err
    )
