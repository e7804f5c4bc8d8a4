"""Folders of detectors as hostile input: one sentence each, before anything large is made of what they claim."""

import json
import tracemalloc

import msgspec
import numpy as np
import pytest
import safetensors.numpy

import grus
from example_detectors import detector, rows
from example_graphs import random_tensors
from grus.artifact import save_model
from grus.decode import LiveDetector
from grus.errors import GrusError, ModelFolderError, SpecError
from grus.spec import Graph, Node, ops
from mutations import with_checksum

HUGE = 10 << 30


@pytest.fixture
def folder(tmp_path):
    save_model(tmp_path / "model", *detector())
    return tmp_path / "model"


def task(**fields):
    return lambda model: model["task"].update(fields)


def step(number, **fields):
    return lambda model: model["preprocess"][number].update(fields)


def node(number, **fields):
    return lambda model: model["parts"]["main"]["nodes"][number]["op"].update(fields)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (task(columns=[]), "detect: columns must be at least 1, got 0"),
        (task(columns=["a", "a"]), "detect: columns must each stand once, got 'a' twice"),
        (task(columns=["temp"]), "tensor 'task.mean' must be float64 [1], got float64 [2]"),
        (task(columns=["flow", "temp"]), "detect: the columns that are scaled must be those of the task"),
        (task(short=0), "detect: short must be a whole number from 1"),
        (task(memory=-1), "detect: memory must be a whole number from 0"),
        (task(quiet=HUGE), "detect: quiet must be a whole number from 0 to 65536"),
        (task(outside=-1.0), "detect: outside must be a number of at least 0"),
        (task(extra=1), "unknown field `extra`"),
        (task(time=None), "detect: calendar features need a time column"),
        (lambda m: m["preprocess"].pop(), "the steps must be CovariateScale, SeriesScale, Calendar"),
        (step(0, masked=["z"]), "detect: the columns that are scaled must be those of the task"),
        (step(0, masked=[]), "detect: the graph must have one input, 'x' of size"),
        (step(1, ids=["a: temp"]), "tensor 'preprocess.series_scale.center' must be float64 [1], got float64 [4]"),
        (step(2, features=[]), "detect: the graph must have one input, 'x' of size 4"),
        (step(2, features=["century"]), "calendar: expected one of"),
        (node(0, bidirectional=True), "tensor 'main.encoder.weight_ih_l0_reverse' is missing"),
        (node(1, size=3), "must"),
        (lambda m: m["parts"]["main"]["outputs"].update(mean="encoder"), "the output must be seq[2] on clock 'src'"),
        (lambda m: m["parts"]["main"].update(outputs={"x": "mean"}), "the graph must have one output, 'mean'"),
    ],
)  # fmt: skip
def test_a_config_that_was_tampered_with(folder, change, sentence):
    config = json.loads((folder / "config.json").read_text())
    change(config["model"])
    (folder / "config.json").write_text(json.dumps(config))
    tracemalloc.start()
    try:
        with pytest.raises(GrusError) as caught:
            grus.load(folder)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_that_reads_the_future():
    model, tensors = detector()
    graph = model.parts["main"]
    nodes = (Node("encoder", ops.GRU(3, bidirectional=True), graph.nodes[0].inputs), *graph.nodes[1:])
    both = Graph(graph.inputs, nodes, graph.outputs)
    weights = {f"main.{name}": values for name, values in random_tensors(both).items()}
    with pytest.raises(SpecError, match="node 'encoder' must read in one direction, got GRU"):
        LiveDetector(msgspec.structs.replace(model, parts={"main": both}), tensors | weights)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("task.threshold", 1.0, "task.threshold must be from 0 to below 1"),
        ("task.threshold", -0.1, "task.threshold must be from 0 to below 1"),
        ("task.spread", -1.0, "task.spread and task.rows must be at least 0"),
        ("task.rows", -1.0, "task.spread and task.rows must be at least 0"),
        ("task.mean", np.nan, "'task.mean' must be finite"),
        ("task.high", np.inf, "'task.high' must be finite"),
        ("preprocess.covariate_scale.scale", 0.0, "scales must be above zero"),
        ("preprocess.series_scale.scale", -1.0, "scales must be above zero"),
    ],
)
def test_numbers_that_cannot_be(folder, name, value, sentence):
    file = folder / "model.safetensors"
    tensors = safetensors.numpy.load(file.read_bytes())
    tensors[name] = np.full_like(tensors[name], value)
    file.write_bytes(safetensors.numpy.save(tensors))
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(with_checksum(config, file.read_bytes()))
    with pytest.raises(ModelFolderError, match=sentence):
        grus.load(folder)


def test_random_bytes_never_do_more_than_raise(folder):
    """A byte changed anywhere in the config: a typed error, or a model that answers or says why not."""
    table = rows(n=20)
    whole = (folder / "config.json").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(100):
        data = bytearray(whole)
        data[rng.integers(len(data))] = rng.integers(256)
        (folder / "config.json").write_bytes(data)
        try:
            live = grus.load(folder)
            assert isinstance(live, LiveDetector)
            assert np.isfinite(live.predict(table)["score"]).all()
        except GrusError:
            pass
