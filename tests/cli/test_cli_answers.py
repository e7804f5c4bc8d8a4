"""What a good command line prints: the answer on stdout and nothing else there, people's lines on stderr."""

import csv
import inspect
import io
import json

import numpy as np
import pytest
from cli_runs import HORIZON, TINY, hourly, run, spawn, write

from grus.cli import fit_forecast, fit_run
from grus.cli.tables import to_csv
from grus.decode import load


def parse(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_version_and_help(capsys):
    from importlib.metadata import version

    assert run(capsys, "--version").out == f"grus {version('grus')}\n"
    for arguments in ([], ["--help"], ["-h"]):
        ran = run(capsys, *arguments)
        assert (ran.code, ran.err) == (0, "")
        assert "predict" in ran.out
        assert "evaluate" in ran.out


@pytest.mark.parametrize("command", [["fit", "forecast"], ["predict"], ["evaluate"]])
def test_every_command_helps_with_examples(capsys, command):
    ran = run(capsys, *command, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count(f"grus {' '.join(command)} ") >= 3
    assert "--config" in ran.out


def test_options_are_the_arguments_of_the_forecaster():
    from grus import Forecaster

    theirs = inspect.signature(Forecaster.__init__).parameters
    ours = inspect.signature(fit_forecast.forecast).parameters
    names = [name for name in ours if name not in ("ctx", *fit_run.COMMAND_OPTIONS)]
    assert names == [name for name in theirs if name != "self"]
    for name in names:
        default = theirs[name].default
        if name != "horizon":
            assert ours[name].default == (None if default == () else default), name


def test_fit_prints_the_folder(capsys, tmp_path, table, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = run(capsys, "fit", "forecast", table, "--target", "y", "--horizon", HORIZON, *TINY)
    assert (ran.code, ran.out) == (0, "models/demand-forecast\n")
    folder = tmp_path / "models" / "demand-forecast"
    assert {p.name for p in folder.iterdir()} == {"config.json", "model.safetensors", "report"}
    assert {p.name for p in (folder / "report").iterdir()} == {"index.html", "metrics.json", "training.csv"}
    assert len(parse((folder / "report" / "training.csv").read_text())) == 2
    assert [p.name for p in folder.parent.iterdir()] == ["demand-forecast"], "the run folder is gone"
    lines = ran.err.splitlines()
    assert lines[0] == "model folder: models/demand-forecast (another one: -o FOLDER)"
    assert any(line.startswith("target ") and "'y'" in line for line in lines)
    assert any(line.startswith("epoch 2/2") for line in lines)
    assert "seasonal naive 24" in ran.err
    assert lines[-1] == "next: grus predict models/demand-forecast DATA"


def test_fit_quiet_json_from_a_config_file(capsys, tmp_path, table):
    options = (
        'target = "y"\nhorizon = 99\nhidden-size = 8\nepochs = 9\nwindows_per_epoch = 64\nfuture = "promo"\n'
    )
    config = write(tmp_path / "run.toml", options)
    folder = tmp_path / "m"
    ran = run(
        capsys, "fit", "forecast", table, "--config", config, "--horizon", 6, "--epochs", 1, "--test-size", 48,
        "-o", folder, "-q", "--json",
    )  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    answer = json.loads(ran.out)
    assert (answer["model"], answer["report"]) == (str(folder), str(folder / "report" / "index.html"))
    assert (answer["epochs"], answer["stopped"]) == (1, "epochs")
    assert set(answer["evaluations"]) == {"validation", "test"}
    assert answer["evaluations"]["test"]["windows"] == 8
    task = load(folder).task
    assert (task.horizon, task.future) == (6, ("promo",)), "flags override the file, which gives the rest"


def test_a_table_on_stdin(capsys, monkeypatch, tmp_path, table):
    def feed():
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(table.read_bytes())))

    monkeypatch.chdir(tmp_path)
    feed()
    ran = run(
        capsys, "fit", "forecast", "-", "--target", "y", "--horizon", HORIZON, *TINY, "--epochs", 1, "-q"
    )
    assert (ran.code, ran.out) == (0, "models/stdin-forecast\n"), ran.err
    feed()
    from_stdin = run(capsys, "evaluate", "models/stdin-forecast", "-")
    assert "stdin-forecast on stdin.csv: " in from_stdin.err
    assert from_stdin.out == run(capsys, "evaluate", "models/stdin-forecast", table).out
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    ran = run(capsys, "evaluate", "models/stdin-forecast", "-")
    assert (ran.code, ran.out) == (2, "")
    assert (
        ran.err
        == "error: stdin: expected a table in CSV, got a terminal\nhint: name a file, or pipe one in\n"
    )


def test_fit_replaces_with_force(capsys, tmp_path, table, model):
    import shutil

    folder = tmp_path / "m"
    shutil.copytree(model, folder)
    before = (folder / "model.safetensors").read_bytes()
    ran = run(
        capsys, "fit", "forecast", table, "--target", "y", "--horizon", HORIZON, "-o", folder, *TINY, "--seed", 1, "-q",
        "--force",
    )  # fmt: skip
    assert (ran.code, ran.out) == (0, f"{folder}\n")
    assert (folder / "model.safetensors").read_bytes() != before


def test_predict_csv(capsys, table, model):
    ran = run(capsys, "predict", model, table, "--level", "80,95")
    assert (ran.code, ran.err) == (0, "12 hours ahead for 1 series\n")
    rows = parse(ran.out)
    assert list(rows[0]) == ["ds", "GRU", "GRU-lo-80", "GRU-hi-80", "GRU-lo-95", "GRU-hi-95"]
    assert [row["ds"] for row in rows] == [f"2024-03-21 {h:02d}:00:00" for h in range(HORIZON)]
    expected = load(model).predict(_columns(table), level=[80, 95])
    for name in list(rows[0])[1:]:
        assert [float(row[name]) for row in rows] == expected[name].tolist(), "every bit survives the text"


def _columns(table):
    from grus.data.readers import read_columns

    return read_columns(table)[0]


def test_predict_json_parquet_and_stdin_agree(capsys, tmp_path, table, model):
    import pyarrow.parquet as pq

    plain = run(capsys, "predict", model, table, "-q")
    assert plain.err == ""
    values = [float(row["GRU"]) for row in parse(plain.out)]
    records = json.loads(run(capsys, "predict", model, table, "--json").out)
    assert [row["GRU"] for row in records] == values
    assert records[0]["ds"] == "2024-03-21 00:00:00"
    assert spawn("predict", model, "-", "-q", input=table.read_text()).out == plain.out
    for name in ("f.parquet", "f.csv", "f.json"):
        ran = run(capsys, "predict", model, table, "-o", tmp_path / name)
        assert (ran.code, ran.out) == (0, "")
        assert ran.err.endswith(f"wrote {tmp_path / name}: 12 rows\n")
    assert (tmp_path / "f.csv").read_text() == plain.out
    assert json.loads((tmp_path / "f.json").read_text()) == records
    frame = pq.read_table(tmp_path / "f.parquet")
    assert frame["GRU"].to_pylist() == values
    assert str(frame["ds"].type) == "timestamp[ns]"
    assert run(capsys, "predict", model, table, "-o", tmp_path / "f.csv", "--force").code == 0
    assert not list(tmp_path.glob(".*")), "no half-written file is left"


def test_predict_with_future_rows(capsys, tmp_path, table, promo_model):
    ahead = write(tmp_path / "ahead.csv", "\n".join(_ahead()) + "\n")
    ran = run(capsys, "predict", promo_model, table, "--future", ahead)
    assert ran.code == 0
    assert len(parse(ran.out)) == HORIZON


def _ahead():
    lines = hourly(24 * 20 + HORIZON).splitlines()
    return ["ds,promo", *(f"{line.split(',')[0]},{line.split(',')[2]}" for line in lines[-HORIZON:])]


def test_evaluate(capsys, table, model):
    ran = run(capsys, "evaluate", model, table, "--last", 96, "--step", 6)
    assert ran.code == 0
    rows = parse(ran.out)
    assert [row["model"] for row in rows][:3] == ["GRU", "repeat last", "seasonal naive 24"]
    assert (
        ran.err.splitlines()[1]
        == "demand on demand.csv: 15 windows from 2024-03-17 00:00:00 to 2024-03-20 12:00:00"
    )
    assert "80% interval: " in ran.err
    quiet = run(capsys, "evaluate", model, table, "--last", 96, "--step", 6, "--json", "-q", "--level", "50")
    assert (quiet.code, quiet.err) == (0, "")
    answer = json.loads(quiet.out)
    assert answer["windows"] == 15
    assert list(answer["coverage"]) == ["50"]
    assert [score["mae"] for score in answer["scores"]] == [float(row["mae"]) for row in rows]


def test_to_csv_keeps_every_bit_and_marks_nothing_as_nothing():
    columns = {
        "id": np.array(["a,b", None], object),
        "ds": np.array(["2024-01-01", "2024-01-02T03:00"], "M8[ns]"),
        "y": np.array([0.1 + 0.2, np.nan]),
        "n": np.array([1, 2]),
    }
    assert (
        to_csv(columns)
        == 'id,ds,y,n\n"a,b",2024-01-01 00:00:00,0.30000000000000004,1\n,2024-01-02 03:00:00,,2\n'
    )
    days = {"ds": np.array(["2024-01-01", "NaT"], "M8[ns]")}
    assert to_csv(days) == 'ds\n2024-01-01\n""\n'


def test_several_targets_come_back_in_one_long_table(capsys, tmp_path, table):
    folder = tmp_path / "m"
    ran = run(
        capsys, "fit", "forecast", table, "--target", "y,promo", "--horizon", HORIZON, "-o", folder, *TINY, "--json"
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "'y', 'promo': one series each" in ran.err
    rows = parse(run(capsys, "predict", folder, table, "-q").out)
    assert list(rows[0]) == ["target", "ds", "GRU"]
    assert [row["target"] for row in rows] == ["y"] * HORIZON + ["promo"] * HORIZON


def test_fit_from_a_model_goes_on_with_it(capsys, tmp_path, table, model):
    ran = run(
        capsys, "fit", "forecast", table, "--from", model, "-o", tmp_path / "m", "--epochs", 1, "--device", "cpu", "--json"
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "kept      the network and the scale of 1 series" in ran.err
    assert "before the update the MAE of the validation rows was " in ran.err
    answer = json.loads(ran.out)
    assert list(answer["evaluations"]) == ["validation", "before"]
    assert answer["epochs"] == 1
    assert load(tmp_path / "m").model == load(model).model


def test_fit_from_a_model_refuses_what_the_model_settles(capsys, tmp_path, table, model):
    ran = run(capsys, "fit", "forecast", table, "--from", model, "-o", tmp_path / "m", "--hidden-size", 9)
    assert ran.code == 2
    assert ran.err.splitlines()[-1] == f"error: hidden_size must not be given: {model} says it (8)"
