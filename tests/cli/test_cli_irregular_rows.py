"""``--irregular`` of forecasts and detectors on the command line: uneven rows in, answers out, live and restarted."""

import csv
import io
import json
import sys

import numpy as np
import pytest
from cli_runs import run, write

TINY = [
    "--hidden-size",
    6,
    "--epochs",
    1,
    "--ema",
    0,
    "--device",
    "cpu",
    "--log",
    "none",
    "--irregular",
    "decay",
]


def well(rows=110, seed=0):
    """CSV of a well: its level and the rain, a third of both missing, minutes to hours apart."""
    rng = np.random.default_rng(seed)
    now, lines = np.datetime64("2026-03-01T07:00:00"), ["at,level,rain"]
    for _ in range(rows):
        now += np.timedelta64(int(rng.integers(60, 9000)), "s")
        level, rain = (f"{rng.normal(3, 1):.2f}" if rng.random() < 0.65 else "" for _ in range(2))
        lines.append(f"{now},{level},{rain}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def stream(capsys, monkeypatch, tmp_path):
    """Run ``grus stream`` on some text."""

    def go(text, *arguments):
        with write(tmp_path / "stdin", text).open() as file:
            monkeypatch.setattr(sys, "stdin", file)
            ran = run(capsys, "stream", *arguments)
        assert ran.code == 0, ran.err
        return [json.loads(line) for line in ran.out.splitlines()]

    return go


def restarted(stream, text, folder, state):
    """All answers, the stream cut in two by a restart."""
    head, *lines = text.splitlines(keepends=True)
    answers = []
    for part in (lines[:50], lines[50:]):
        answers += stream(head + "".join(part), folder, "--state", state)
    return answers


def test_a_forecaster_from_end_to_end(capsys, stream, tmp_path):
    data, folder = write(tmp_path / "well.csv", well()), tmp_path / "model"
    asked = [data, "--horizon", 4, "--lookback", 12, "--target", "level", "--past", "rain", *TINY]
    ran = run(capsys, "fit", "forecast", *asked, "-o", folder)
    assert ran.code == 0, ran.err
    assert "'at', uneven" in ran.err
    assert "rows come at uneven times: a step is a row, however far from the one before" in ran.err
    ran = run(capsys, "predict", folder, data, "--level", 80)
    assert ran.code == 0, ran.err
    said = list(csv.DictReader(io.StringIO(ran.out)))
    last = well().splitlines()[-1].split(",")[0].replace("T", " ")
    assert [(row["at"], row["step"]) for row in said] == [(last, str(k)) for k in (1, 2, 3, 4)]
    answers = stream(well(), folder, "--level", 80)
    assert answers[-1]["at"] == [last] * 4
    for name in ("GRU", "GRU-lo-80", "GRU-hi-80"):
        assert answers[-1][name] == [float(row[name]) for row in said]
    again = restarted(stream, well(), folder, tmp_path / "s.grus")
    assert [a.get("GRU") for a in again] == [a.get("GRU") for a in answers]
    back = stream("\n".join([*well().splitlines()[:3], "2026-02-01 00:00:00,1,1"]) + "\n", folder)
    assert "column 'at': expected a later time than " in back[-1]["error"]
    ran = run(capsys, "evaluate", folder, data)
    assert ran.code == 0, ran.err
    ran = run(capsys, "export", folder, "--to", "onnx", "-o", tmp_path / "model.onnx")
    assert ran.code == 0, ran.err
    ran = run(capsys, "export", folder, "--to", "c", "-o", tmp_path / "c")
    assert ran.code == 1
    assert ran.err.startswith("error: model: C code does not prepare irregular series yet")
    assert not (tmp_path / "c").exists()
    page = tmp_path / "page.html"
    ran = run(capsys, "inspect", folder, data, "-o", page)
    assert ran.code == 0, ran.err
    assert "GRU with decay" in page.read_text()


def test_a_detector_from_end_to_end(capsys, stream, tmp_path):
    text = well(200)
    data, folder = write(tmp_path / "well.csv", text), tmp_path / "model"
    ran = run(capsys, "fit", "detect", data, *TINY, "--window", 16, "-o", folder)
    assert ran.code == 0, ran.err
    ran = run(capsys, "predict", folder, data)
    assert ran.code == 0, ran.err
    said = list(csv.DictReader(io.StringIO(ran.out)))
    answers = restarted(stream, text, folder, tmp_path / "s.grus")
    assert [a["score"] for a in answers] == [float(row["score"]) for row in said]
    missing = [i for i, line in enumerate(text.splitlines()[1:]) if line.endswith(",,")]
    assert missing
    assert {answers[i]["score"] for i in missing} == {0.0}
    ran = run(capsys, "export", folder, "--to", "onnx", "-o", tmp_path / "model.onnx")
    assert ran.code == 0, ran.err
    page = tmp_path / "page.html"
    ran = run(capsys, "inspect", folder, data, "-o", page)
    assert ran.code == 0, ran.err
    assert " was expected." in ran.err
    assert "GRU with decay" in page.read_text()


@pytest.mark.parametrize("task", ["forecast", "detect"])
def test_what_does_not_go_together(capsys, tmp_path, task):
    (tmp_path / "data").mkdir()
    data = write(tmp_path / "data" / "well.csv", well())
    more = ["--horizon", 4, "--target", "level"] if task == "forecast" else []
    ran = run(capsys, "fit", task, data, *more, *TINY, "--cell", "lstm", "-o", tmp_path / "model")
    assert ran.code == 2
    assert "cell must be 'gru' with irregular='decay', which is a GRU-D, got 'lstm'" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("task", ["forecast", "detect"])
def test_help_has_a_worked_example(capsys, task):
    ran = run(capsys, "fit", task, "--help")
    assert ran.code == 0
    assert "--irregular decay" in ran.out
