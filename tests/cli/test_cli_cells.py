"""``--cell`` of ``grus fit``: what is trained, what the answers are called, and what the other commands make of it."""

import json

import numpy as np
import pytest
from cli_runs import HORIZON, TINY, run, write

from grus.artifact import load_model


@pytest.mark.parametrize(("cell", "name"), [("lstm", "LSTM"), ("rnn", "RNN"), ("mingru", "MinGRU")])
def test_a_forecaster_of_another_cell(capsys, tmp_path, table, cell, name):
    folder = tmp_path / "m"
    fitted = run(
        capsys, "fit", "forecast", table, "--target", "y", "--horizon", HORIZON, "-o", folder, "--cell", cell, *TINY
    )  # fmt: skip
    assert fitted.code == 0, fitted.err
    predicted = run(capsys, "predict", folder, table, "-q")
    assert predicted.out.splitlines()[0] == f"ds,{name}"
    assert len(predicted.out.splitlines()) == 1 + HORIZON
    evaluated = run(capsys, "evaluate", folder, table)
    assert any(line.split()[0] == name for line in evaluated.err.splitlines() if line.split()), evaluated.err
    assert run(capsys, "export", folder, "--to", "onnx", "-o", tmp_path / "m.onnx").code == 0
    for command in (["inspect", folder, table, "-o", tmp_path / "p.html"], ["explain", folder, table]):
        refused = run(capsys, *command)
        assert refused.code in (1, 2)
        assert "GRU" in refused.err.splitlines()[0]
        assert name in refused.err.splitlines()[0]
    again = run(
        capsys, "fit", "forecast", table, "--from", folder, "-o", tmp_path / "m2", "--epochs", 1, "-q"
    )
    assert again.code == 0, again.err
    assert name in {node.op.name for node in load_model(tmp_path / "m2")[0].parts["main"].nodes}


def test_a_classifier_of_another_cell_streams(capsys, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    rows = [
        f"{i},{t},{(1 if i % 2 else -1) * t + rng.normal():.3f},{'up' if i % 2 else 'down'}"
        for i in range(40)
        for t in range(6)
    ]
    data = write(tmp_path / "motion.csv", "\n".join(["id,t,x,label", *rows]) + "\n")
    config = write(tmp_path / "run.toml", 'cell = "lstm"\nbidirectional = false\n')
    fitted = run(
        capsys, "fit", "classify", data, "--id", "id", "--time", "t", "--columns", "x", "--label", "label", "-o",
        tmp_path / "m", "--config", config, "--hidden-size", 8, "--epochs", 2, "--device", "cpu",
    )  # fmt: skip
    assert fitted.code == 0, fitted.err
    names = [node.op.name for node in load_model(tmp_path / "m")[0].parts["main"].nodes]
    assert "LSTM" in names
    answered = run(capsys, "predict", tmp_path / "m", data, "-q")
    assert len(answered.out.splitlines()) == 1 + 40
    made = run(
        capsys,
        "export",
        tmp_path / "m",
        "--to",
        "c",
        "-o",
        tmp_path / "c",
        "--precision",
        "int8",
        "-q",
        "--json",
    )
    assert json.loads(made.out)["precision"] == "int8"


def test_a_word_that_is_no_cell(capsys, table):
    said = run(capsys, "fit", "forecast", table, "--horizon", 12, "--cell", "elman")
    assert said.code == 2
    assert said.err.startswith(
        "error: grus fit forecast: --cell must be one of gru, lstm, rnn, mingru, got 'elman'\n"
    )
