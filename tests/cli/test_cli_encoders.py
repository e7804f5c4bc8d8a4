"""``--encoder`` of ``grus fit``: what is trained, and what the other commands make of it or say against it."""

import json
import sys

import numpy as np
import pytest
from cli_runs import HORIZON, TINY, run, write

import grus
from grus.artifact import load_model


@pytest.fixture(scope="module")
def motion(tmp_path_factory):
    """Forty recordings of six steps, one label rising, one falling."""
    rng = np.random.default_rng(0)
    rows = [
        f"{i},{t},{(1 if i % 2 else -1) * t + rng.normal():.3f},{'up' if i % 2 else 'down'}"
        for i in range(40)
        for t in range(6)
    ]
    return write(tmp_path_factory.mktemp("motion") / "motion.csv", "\n".join(["id,t,x,label", *rows]) + "\n")


def fit_classify(capsys, data, folder, *options):
    fitted = run(
        capsys, "fit", "classify", data, "--id", "id", "--time", "t", "--columns", "x", "--label", "label", "-o",
        folder, "--no-bidirectional", "--hidden-size", 8, "--epochs", 2, "--device", "cpu", "-q", *options,
    )  # fmt: skip
    assert fitted.code == 0, fitted.err
    return folder


def test_a_convolution_streams_is_exported_and_looked_into(capsys, monkeypatch, tmp_path, motion):
    folder = fit_classify(capsys, motion, tmp_path / "m", "--encoder", "conv-gru", "--kernel-size", 2)
    nodes = {node.name: node.op for node in load_model(folder)[0].parts["main"].nodes}
    assert nodes["convolution"].kernel == 2
    text = motion.read_text()
    (tmp_path / "stdin").write_text(text)
    with (tmp_path / "stdin").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        streamed = run(capsys, "stream", folder, "--key", "id")
    assert streamed.code == 0, streamed.err
    last = {answer["id"]: answer for answer in map(json.loads, streamed.out.splitlines())}
    values = [
        np.array([[float(row.split(",")[2])] for row in text.splitlines()[1:][i : i + 6]]) for i in (0, 6)
    ]
    expected = grus.load(folder).predict_proba(values).max(axis=1)
    assert [last[i]["probability"] for i in ("0", "1")] == expected.tolist()
    for command in (
        ["export", folder, "--to", "c", "-o", tmp_path / "c", "-q"],
        ["inspect", folder, motion, "-o", tmp_path / "p.html", "-q"],
        ["explain", folder, motion],
    ):
        done = run(capsys, *command)
        assert done.code == 0, done.err
    assert "GRU of 8 units" in (tmp_path / "p.html").read_text()


def test_self_attention_is_looked_into_and_does_not_stream(capsys, monkeypatch, tmp_path, motion):
    folder = fit_classify(capsys, motion, tmp_path / "m", "--encoder", "gru-attention")
    done = run(capsys, "inspect", folder, motion, "-o", tmp_path / "p.html", "-q")
    assert done.code == 0, done.err
    sentence = "error: node 'attention': SelfAttention needs the whole sequence, so it cannot run in chunks\n"
    for command in (["stream", folder], ["export", folder, "--to", "c", "-o", tmp_path / "c"]):
        with motion.open() as file:
            monkeypatch.setattr(sys, "stdin", file)
            refused = run(capsys, *command)
        assert refused.code in (1, 2)
        assert refused.err.startswith(sentence)
    assert not (tmp_path / "c").exists()
    made = run(capsys, "export", folder, "--to", "onnx", "-o", tmp_path / "m.onnx", "-q")
    assert made.code == 0, made.err


@pytest.mark.parametrize("encoder", ["conv-gru", "gru-attention"])
def test_a_forecaster_of_another_encoder(capsys, tmp_path, table, encoder):
    folder = tmp_path / "m"
    config = write(tmp_path / "run.toml", f'encoder = "{encoder}"\nkernel_size = 2\n')
    fitted = run(
        capsys, "fit", "forecast", table, "--target", "y", "--horizon", HORIZON, "-o", folder, "--config", config, *TINY
    )  # fmt: skip
    assert fitted.code == 0, fitted.err
    assert len(run(capsys, "predict", folder, table, "-q").out.splitlines()) == 1 + HORIZON
    assert run(capsys, "inspect", folder, table, "-o", tmp_path / "p.html", "-q").code == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--encoder", "cnn"],
            "grus fit forecast: --encoder must be one of gru, conv-gru, gru-attention, got 'cnn'",
        ),
        (["--kernel-size", "0"], "kernel_size must be a whole number of at least 1, got 0"),
        (["--kernel-size", "x"], "grus fit forecast: --kernel-size must be a whole number, got 'x'"),
    ],
)
def test_bad_words(capsys, table, options, sentence):
    said = run(capsys, "fit", "forecast", table, "--target", "y", "--horizon", HORIZON, *options)
    assert said.code == 2
    assert f"error: {sentence}" in said.err.splitlines()


def test_help_names_them(capsys):
    for task in ("classify", "forecast"):
        said = run(capsys, "fit", task, "--help")
        assert said.code == 0
        assert "--encoder" in said.out
        assert "conv-gru" in said.out
        assert "--kernel-size" in said.out
