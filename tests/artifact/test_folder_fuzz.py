"""Mutated model folders through `grus.load` and what it loads: a typed error or an answer, never a crash, and never much.

A checksum ties the two files of a folder together. Most cases have one that fits, as someone who means harm would
write it: behind it stand the checks of the spec, of the tensors' names, shapes and values, and the kernels.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest
import safetensors.numpy

import grus
from example_classifiers import KINDS, classifier, examples_for
from example_detectors import detector, rows
from example_graphs import random_tensors
from example_series import COVARIATES, Roles, build_panel, hourly, random_model
from example_translators import a_translator
from grus.artifact import save_model
from grus.decode import LiveDetector, LiveForecaster, LiveTranslator
from grus.errors import GrusError, SpecError, UnsupportedError
from grus.spec import Graph, Model, Node, ops
from limits import most_memory, most_seconds
from mutations import fuzz_cases, mutated, mutated_json, with_checksum

CASES = fuzz_cases(5_000)
MEMORY = 256 << 20
SECONDS = 5.0
"""Far more than any case takes."""
EXTREMES = np.array([0.0, -0.0, 1e-45, 1e38, -1e38, 1e308, -1.0, np.inf, np.nan, 5e-324])


@dataclass(frozen=True)
class Folder:
    """A model folder's two files, and input for its model: a table to predict from and a row to step by."""

    config: str
    weights: bytes
    table: Any
    row: Any
    future: Any = None


def forecaster(network: str, covariates: str) -> tuple[Any, ...]:
    roles = Roles("y", "unique_id", "ds", **COVARIATES[covariates])
    columns = hourly((60,))
    options: Any = (
        {"margins": np.linspace(-1, 1, 99)[:, None]} if covariates == "all" else {"quantiles": (0.1, 0.5)}
    )
    model, tensors = random_model(build_panel(columns, roles), model=network, **options)
    table = {name: values[:40] for name, values in columns.items()}
    future = {name: values[40:46] for name, values in columns.items()}
    row = {name: values[39] for name, values in columns.items()}
    return model, tensors, table, row, future


def causal() -> tuple[Any, ...]:
    """The classifier of series that reads forwards only, so that it streams."""
    model, tensors = classifier("series")
    graph = model.parts["main"]
    nodes = [Node("gru", ops.GRU(6), node.inputs) if node.name == "gru" else node for node in graph.nodes]
    graph = Graph(graph.inputs, tuple(nodes), graph.outputs)
    weights = {f"main.{name}": value for name, value in random_tensors(graph).items()}
    kept = {name: value for name, value in tensors.items() if not name.startswith("main.")}
    examples: Any = examples_for("series", 3)
    steps = [examples.series[:5]]
    return msgspec.structs.replace(model, parts={"main": graph}), kept | weights, steps, steps[0][0]


def of_kind(kind: str) -> tuple[Any, ...]:
    examples: Any = examples_for(kind, 3)
    tables = {
        "series": lambda: [examples.series[:4]],
        "irregular": lambda: [examples.series[:4]],
        "images": lambda: examples.images,
        "events": lambda: {"id": np.array(["a", "a", "b"]), "code": np.array(["I10", "E11", "Z00"], object)},
    }
    return *classifier(kind), tables.get(kind, lambda: examples.texts)(), {"code": "I10"}


def translator(tokenizer: str) -> tuple[Any, ...]:
    return *a_translator(tokenizer, joint=tokenizer == "bpe"), ["eins zwei", "acht", ""], None


def detecting() -> tuple[Any, ...]:
    table = rows(n=20)
    return *detector(), table, {name: values[0] for name, values in table.items()}


MADE = {kind: lambda kind=kind: of_kind(kind) for kind in KINDS} | {
    "causal": causal,
    "detector": detecting,
    "segment": lambda: forecaster("segment", "none"),
    "all columns": lambda: forecaster("segment", "all"),
    "words": lambda: translator("word"),
    "pieces": lambda: translator("bpe"),
}


@pytest.fixture(scope="module", params=MADE)
def folder(request, tmp_path_factory) -> Folder:
    model, tensors, *inputs = MADE[request.param]()
    path = save_model(tmp_path_factory.mktemp("whole") / "model", model, tensors)
    return Folder((path / "config.json").read_text(), (path / "model.safetensors").read_bytes(), *inputs)


def fitting(config: str) -> bytes:
    """Tensors as the spec of a changed config lists them, if it is one and they are few; else none."""
    try:
        shapes = msgspec.convert(json.loads(config)["model"], Model).tensors()
    except (msgspec.ValidationError, SpecError, ValueError, KeyError, TypeError, RecursionError):
        return b""
    if sum(float(np.prod([float(n) for n in shape])) for _, shape in shapes.values()) > 1e5:
        return b""
    rng = np.random.default_rng(0)
    return safetensors.numpy.save(
        {n: rng.uniform(0.1, 1, shape).astype(dtype) for n, (dtype, shape) in shapes.items()}
    )


def changed_weights(weights: bytes, rng: np.random.Generator) -> bytes:
    """The tensor file with its header, the header's length, its bytes or its numbers changed."""
    length = int.from_bytes(weights[:8], "little")
    header, body = weights[8 : 8 + length], weights[8 + length :]
    match int(rng.integers(0, 5)):
        case 0:
            return mutated(weights, rng)
        case 1:
            header = mutated_json(header.decode(), rng).encode()
        case 2:
            header = mutated(header, rng)
        case 3:
            other = int(
                rng.choice([0, 1, length - 1, length + 1, 1 << 20, (1 << 24) + 1, 1 << 40, (1 << 63) - 1])
            )
            return other.to_bytes(8, "little") + header + body
        case _:
            tensors = {name: array.copy() for name, array in safetensors.numpy.load(weights).items()}
            some = sorted(name for name, array in tensors.items() if array.size)
            array = tensors[some[int(rng.integers(len(some)))]]
            with np.errstate(over="ignore"):
                array.flat[rng.integers(0, array.size, 3)] = rng.choice(EXTREMES, 3).astype(array.dtype)
            return safetensors.numpy.save(tensors)
    return len(header).to_bytes(8, "little") + header + body


def case(folder: Folder, rng: np.random.Generator) -> tuple[bytes, bytes]:
    """The two files of a mutated folder."""
    config, weights = folder.config, folder.weights
    kind = int(rng.integers(0, 8))
    if kind == 0:
        return mutated(config.encode(), rng), weights
    if kind == 1:
        return mutated_json(config, rng).encode("utf-8", "surrogatepass"), weights
    if kind < 5:
        found = json.loads(config)
        found["model"] = model = mutated_json(json.dumps(found["model"]), rng)
        text = json.dumps(found | {"model": 0}).replace('"model": 0', f'"model": {model}')
        weights = fitting(text) or weights
        digest = json.dumps(found["weights_sha256"])
        return text.replace(digest, f'"{hashlib.sha256(weights).hexdigest()}"').encode(), weights
    weights = changed_weights(weights, rng)
    return (config if kind == 5 else with_checksum(config, weights)).encode(), weights


def answer(folder: Folder, path: Any) -> None:
    """Load and predict, and take a step if the model streams."""
    live = grus.load(path)
    if isinstance(live, LiveTranslator):
        found = live.translate(folder.table, n_best=2, beam=2, max_length=6)
        assert [best[0].text for best in found if not best[0].source_tokens] == [""]
        live.score(folder.table, ["one", "", "two"])
        return
    if isinstance(live, LiveForecaster):
        found = live.predict(folder.table, folder.future, level=[80] if live.task.levels_known else [])
        assert {len(values) for values in found.values()} == {live.task.horizon}
    elif isinstance(live, LiveDetector):
        score = live.predict(folder.table, detail=True)["score"]
        assert ((score >= 0) & (score < 1)).all()
        live.events(folder.table)
    else:
        found = live.predict(folder.table, proba=True)
        numbers = np.stack([values for values in found.values() if values.dtype.kind == "f"])
        assert not ((numbers < 0) | (numbers > 1.0001)).any(), "probabilities"
    try:
        state = live.init_state()
    except UnsupportedError:
        return
    if isinstance(live, LiveForecaster):
        live.step(folder.row, state, future=folder.future)
    elif isinstance(live, LiveDetector):
        live.step(folder.row, state)
    else:
        live.step(folder.row, state, proba=True)


def survive(folder: Folder, path: Any, config: bytes, weights: bytes) -> str:
    """The sentence of a typed error, "" for an answer; anything else raises."""
    (path / "config.json").write_bytes(config)
    (path / "model.safetensors").write_bytes(weights)
    said = ""
    try:
        with np.errstate(all="ignore"), most_seconds(SECONDS):
            answer(folder, path)
    except GrusError as error:
        said = str(error)
    assert "\n" not in said
    return said


def test_mutated_folders(folder, tmp_path):
    rng = np.random.default_rng(len(folder.config))
    count = -(-CASES // len(MADE))
    with most_memory(MEMORY):
        assert survive(folder, tmp_path, folder.config.encode(), folder.weights) == ""
        refused = sum(survive(folder, tmp_path, *case(folder, rng)) != "" for _ in range(count))
    assert 0 < refused < count, "some mutations hurt, others do not"


def test_the_fuzz_itself_notices_what_must_not_be(tmp_path, monkeypatch):
    whole = Folder("{}", b"", None, None)

    def hang(path):
        while True:
            pass

    for name, broken, error in (
        ("slow", hang, TimeoutError),
        ("large", lambda path: np.ones(2 * MEMORY, np.uint8), MemoryError),
        ("untyped", lambda path: {}["x"], KeyError),
    ):
        monkeypatch.setattr(grus, "load", broken)
        monkeypatch.setitem(globals(), "SECONDS", 0.2 if name == "slow" else SECONDS)
        with pytest.raises(error), most_memory(MEMORY):
            survive(whole, tmp_path, b"{}", b"")
