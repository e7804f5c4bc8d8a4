"""``--irregular`` on the command line: a GRU-D from a table with gaps, what is said of rows without a value, the live side."""

import csv
import io
import json
import sys

import numpy as np
import pytest
from cli_runs import run, write

TINY = ["--hidden-size", 6, "--epochs", 2, "--ema", 0, "--device", "cpu", "--log", "none"]


def stays(rows=30, seed=0):
    """Rows of a long table, as text: of odd stays b is measured often."""
    rng = np.random.default_rng(seed)
    found = []
    for stay in range(rows):
        now = np.datetime64("2024-03-01T07:00")
        for step in range(rng.integers(3, 9)):
            now += np.timedelta64(int(rng.integers(1, 400)), "m")
            a = f"{rng.normal(stay % 2):.2f}" if rng.random() < 0.5 or not step else ""
            b = f"{rng.normal():.2f}" if rng.random() < (0.7 if stay % 2 else 0.1) else ""
            found.append({"stay": stay, "at": str(now), "a": a, "b": b, "died": stay % 2})
    return found


def as_csv(rows, *without):
    names = [name for name in rows[0] if name not in without]
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "stays.csv", as_csv(stays()))


@pytest.fixture
def roles():
    return ["--id", "stay", "--time", "at", "--label", "died"]


def test_a_model_from_end_to_end(capsys, monkeypatch, tmp_path, data, roles):
    folder = tmp_path / "model"
    ran = run(capsys, "fit", "classify", data, *roles, "--irregular", "decay", *TINY, "-o", folder)
    assert ran.code == 0, ran.err
    assert "each is what GRU-D makes of the last one known and the time since (decay)" in ran.err
    rows = stays(8, 1)
    for row in rows:
        if row["stay"] == 3:
            row["a"] = row["b"] = ""
    unseen = write(tmp_path / "new.csv", as_csv(rows, "died"))
    ran = run(capsys, "predict", folder, unseen, "--proba")
    assert ran.code == 0
    assert (
        "1 row without any value: the model has only each label's share in training to go by"
    ) in ran.err.splitlines()
    said = {row["stay"]: row for row in csv.DictReader(io.StringIO(ran.out))}
    assert len(said) == 8
    ran = run(capsys, "evaluate", folder, write(tmp_path / "truth.csv", as_csv(rows)))
    assert (ran.code, ran.err.count("1 row without any value")) == (0, 1)

    late = sorted(rows, key=lambda row: row["at"])
    late.append({**late[-1], "at": late[0]["at"]})  # a clock that runs backwards
    feed = write(tmp_path / "stdin", as_csv(late, "died"))
    with feed.open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        ran = run(capsys, "stream", folder, "--proba")
    assert ran.code == 0
    answers = [json.loads(line) for line in ran.out.splitlines()]
    assert "column 'at': expected a later time than" in answers.pop()["error"]
    newest = {str(answer["stay"]): answer for answer in answers}
    assert {stay: (a["p_0"], a["p_1"]) for stay, a in newest.items()} == {
        stay: (float(row["p_0"]), float(row["p_1"])) for stay, row in said.items()
    }
    inspected(capsys, tmp_path, folder, unseen, said)
    ran = run(capsys, "export", folder, "--to", "onnx", "-o", tmp_path / "model.onnx")
    assert ran.code == 0, ran.err
    ran = run(capsys, "export", folder, "--to", "c", "-o", tmp_path / "c")
    assert ran.code == 1
    assert ran.err.startswith("error: model: C code does not prepare irregular series yet")
    assert not (tmp_path / "c").exists()


def inspected(capsys, tmp_path, folder, unseen, said):
    """``grus inspect`` of the model: the page, the numbers, a stay without a value, and what it refuses."""
    page = tmp_path / "page.html"
    ran = run(capsys, "inspect", folder, unseen, "--row", 2, "--label", "1", "-o", page, "--json")
    assert ran.code == 0, ran.err
    assert " the probability of '1': " in ran.err
    assert "With nothing measured and no time passing the probability of '1' would be " in ran.err
    assert "Which measurement, and when" in page.read_text()
    assert f"grus inspect {folder} {unseen} --row 2 --label 1" in page.read_text()
    found = json.loads(ran.out)["measurements"]
    assert found["label"] == "1"
    assert found["unfolding"][-1]["probability"] == float(said["1"]["p_1"])
    parts = sum(r["value_adds"] + r["presence_adds"] for r in found["readings"])
    total = found["base"] + parts + sum(step["adds"] for step in found["time_adds"])
    assert total - found["gap"] == pytest.approx(found["answer"], abs=1e-5)
    ran = run(capsys, "inspect", folder, unseen, "--row", 4, "--json")
    assert (ran.code, json.loads(ran.out)["measurements"]["readings"]) == (0, [])
    assert "Nothing was measured in this row" in ran.err
    for options, sentence in (
        (["--row", 9], "row must be from 1 to 8 (the rows of the data), got 9"),
        (["--label", "dead"], "label must be one of 0, 1, got 'dead'"),
    ):
        ran = run(capsys, "inspect", folder, unseen, *options, "-o", tmp_path / "no.html")
        assert (ran.code, ran.err.splitlines()[0]) == (2, f"error: {sentence}")
        assert not (tmp_path / "no.html").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--irregular", "decay", "--cell", "lstm"],
         "cell must be 'gru' with irregular='decay', which is a GRU-D, got 'lstm'"),
        (["--irregular", "decay", "--bidirectional"],
         "bidirectional must be False with irregular='decay', which is a GRU-D, got True"),
        (["--variable", "a"], "variable and value must be named with id and time, as one row of a table in long form is "
         "one measurement, got no value"),
        (["--irregular", "mean", "--columns", "a,c"], "stays.csv: no column 'c'"),
    ],
)  # fmt: skip
def test_what_does_not_go_together(capsys, tmp_path, data, roles, options, sentence):
    ran = run(capsys, "fit", "classify", data, *roles, *options, *TINY, "-o", tmp_path / "model")
    assert ran.code == 2
    assert sentence in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_column_without_any_value_is_refused(capsys, tmp_path, roles):
    rows = [{**row, "c": ""} for row in stays()]
    path = write(tmp_path / "stays.csv", as_csv(rows))
    arguments = [*roles, "--columns", "a,c", "--irregular", "decay", *TINY, "-o", tmp_path / "model"]
    ran = run(capsys, "fit", "classify", path, *arguments)
    assert ran.code == 2
    assert "'c'" in ran.err
    assert not (tmp_path / "model").exists()


def test_a_form_that_there_is_not(capsys, tmp_path, data):
    ran = run(capsys, "fit", "classify", data, "--irregular", "zero", "-o", tmp_path / "model")
    assert ran.code == 2
    assert "zero" in ran.err
