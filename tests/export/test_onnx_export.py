"""`grus.export.onnx`: a file appears only when ONNX Runtime has given what the runtime gives."""

import json
import subprocess
import sys
import textwrap

import msgspec
import numpy as np
import onnx as onnx_package
import pytest

import onnx_runs
from example_classifiers import KINDS, classifier
from example_graphs import GRAPHS, of_op, random_inputs, random_tensors
from example_models import small_model
from grus.artifact import save_model
from grus.errors import GrusError, ModelFolderError, UnsupportedError, UsageError
from grus.export import Network, onnx
from grus.export.onnx_format import cell as onnx_cell
from grus.export.onnx_format import exporting as onnx_export
from grus.export.onnx_format import graph as onnx_graph
from grus.export.onnx_format import ops as onnx_ops
from grus.export.onnx_format.proof import difference, steps_of, with_state_ports
from grus.models import GraphModule
from grus.runtime import Program
from grus.spec import CAPABILITIES, OPS, Port, chain, ops
from numerics import assert_bitwise_equal


def network_of(name):
    return Network(GRAPHS[name], random_tensors(GRAPHS[name]))


@pytest.mark.parametrize("name", GRAPHS)
def test_every_graph_is_proved_and_written(name, tmp_path):
    made = onnx(network_of(name), tmp_path / "model.onnx")
    assert made.path == tmp_path / "model.onnx"
    assert made.size == made.path.stat().st_size
    assert made.cases >= 6
    assert made.largest < 1e-5
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]
    onnx_package.checker.check_model(str(made.path), full_check=True)
    session = onnx_runs.session_of(made.path)
    assert set(made.inputs) | set(made.states) == {port.name for port in session.get_inputs()}
    assert set(made.outputs) | {f"{s}.next" for s in made.states} == {
        port.name for port in session.get_outputs()
    }
    assert all(port.shape[0] == "batch" for port in [*session.get_inputs(), *session.get_outputs()])


def wrong_reset(b, layer, *rest):
    """As an exporter does that takes one form of the reset gate for the other."""
    return onnx_cell.run_layer(b, [onnx_cell.Cell(c.weights, not c.reset_after) for c in layer], *rest)


@pytest.mark.parametrize(
    "name", ["GRU", "GRU-2-layers", "GRU-bidirectional-max", "GRUStep-tied", "encoder-decoder"]
)
def test_a_wrong_reset_gate_is_noticed_and_nothing_is_written(name, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_ops, "run_layer", wrong_reset)
    target = tmp_path / "model.onnx"
    target.write_bytes(b"what was there")
    with pytest.raises(GrusError, match=r"in ONNX Runtime output '.*' must be within .* of the model's, got"):
        onnx(network_of(name), target, force=True)
    assert target.read_bytes() == b"what was there"
    assert len(list(tmp_path.iterdir())) == 1


def broken(op, change):
    """The lowering of an op, its output changed."""
    lower = onnx_ops.LOWERINGS[op]

    def wrong(to, call):
        values = lower(to, call)
        value = values[""]
        return values | {"": onnx_ops.Value(change(to.b, value.name), value.size, value.lengths)}

    return wrong


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.__name__)
def test_a_wrong_lowering_of_any_op_is_noticed(op, tmp_path, monkeypatch):
    graph = of_op(op)
    monkeypatch.setitem(
        onnx_ops.LOWERINGS, op, broken(op, lambda b, x: b.add("Mul", x, b.const(1.01, "float32")))
    )
    with pytest.raises(GrusError, match="in ONNX Runtime output"):
        onnx(Network(graph, random_tensors(graph)), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_model_that_onnx_runtime_cannot_load_or_run_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(onnx_ops.LOWERINGS, ops.Linear, broken(ops.Linear, lambda b, x: b.add("NoSuchOp", x)))
    with pytest.raises(GrusError, match="ONNX Runtime must load the model, but says: "):
        onnx(network_of("Linear"), tmp_path / "m.onnx")
    monkeypatch.undo()
    ragged = broken(ops.Linear, lambda b, x: b.add("Reshape", x, b.shape(7, b.dim(x, 1), 3)))
    monkeypatch.setitem(onnx_ops.LOWERINGS, ops.Linear, ragged)
    with pytest.raises(GrusError, match="ONNX Runtime must run the model, but says: "):
        onnx(network_of("Linear"), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_forgotten_states_are_noticed(tmp_path, monkeypatch):
    """A state that is never updated is right on whole sequences, and wrong from the second chunk on."""
    after = onnx_ops.Lowering.after

    def forget(self, node, name, value):
        after(self, node, name, f"{node}.{name}" if self.streams else value)

    monkeypatch.setattr(onnx_ops.Lowering, "after", forget)
    for name in ("GRU", "Pool-mean", "Last-4", "AttentionPool", "Position"):
        with pytest.raises(GrusError, match="in ONNX Runtime output"):
            onnx(network_of(name), tmp_path / "m.onnx")


def test_the_comparison_rejects_what_is_wrong():
    want = np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4)
    assert difference("y", want, want, want) == 0
    assert difference("y", want, want * np.float32(1 + 1e-6), want) < 1e-5
    for got in (
        want * 1.001,
        want + np.eye(3, 4, dtype=np.float32) * 1e-3,
        np.full_like(want, np.nan),
        -want,
    ):
        with pytest.raises(GrusError, match="output 'y' must be within"):
            difference("y", want, got.astype(np.float32), want)
    with pytest.raises(GrusError, match=r"output 'y' must have shape \[3, 4\], got \[4, 3\]"):
        difference("y", want, want.T, want)
    with pytest.raises(GrusError, match="output 'y'"):
        difference(
            "y", np.full(3, np.inf, np.float32), np.ones(3, np.float32), np.full(3, np.inf, np.float32)
        )
    assert difference("y", want, want + np.float32(1e-3), want + np.float32(1e-4)) > 1e-4, (
        "a model that is as sensitive"
    )


def test_a_row_without_steps_keeps_its_state(tmp_path):
    made = onnx(network_of("GRU-bidirectional"), tmp_path / "m.onnx")
    session = onnx_runs.session_of(made.path)
    x = random_inputs(GRAPHS["GRU-bidirectional"], 3, {"src": 5})
    h = np.random.default_rng(0).uniform(-1, 1, (3, 28)).astype(np.float32)
    outputs, states = onnx_runs.run(session, x, {"gru_0.h": h}, {"src": np.array([5, 0, 2])})
    assert_bitwise_equal(outputs["state"][1], h[1], "state")
    assert (outputs["out"][1] == 0).all()
    assert (outputs["out"][2, 2:] == 0).all()
    assert_bitwise_equal(states["gru_0.h"], outputs["state"], "the state's own output")


def test_the_proof_covers_initial_states_and_whole_segments():
    graph, states = with_state_ports(GRAPHS["GRU-2-layers"])
    assert [p for p in graph.inputs if p.clock == ""] == [Port("h0", "vec", 14)]
    assert states == {"h0": "gru_0.h"}
    assert steps_of(GRAPHS["Unsegment"], 3) == {"src": 12}
    assert steps_of(chain(Port("x", "seq", 2, "src"), [ops.Position(7, 3)]), 10) == {"src": 7}
    both = chain(Port("x", "seq", 2, "src"), [ops.Segment(3), ops.Segment(2), ops.Position(2, 4)])
    assert steps_of(both, 10) == {"src": 12}


@pytest.mark.parametrize("kind", KINDS)
def test_classifiers_with_what_a_reader_must_know(kind, tmp_path):
    model, tensors = classifier(kind)
    save_model(tmp_path / "model", model, tensors)
    made = onnx(tmp_path / "model", tmp_path / "m.onnx")
    session = onnx_runs.session_of(made.path)
    about = onnx_runs.metadata(session)
    assert about["grus.schema"] == 1
    assert about["grus.task"] == msgspec.to_builtins(model.task, str_keys=True) | {
        "labels": list(model.task.labels),
        "inputs": list(model.task.inputs),
    }
    assert about["grus.preprocess"][0]["step"] == model.preprocess[0].__struct_config__.tag
    assert about["grus.scaling"]["task.temperature"] == [1.5]
    for name, values in about["grus.scaling"].items():
        assert_bitwise_equal(np.array(values), tensors[name], name)
    (port,) = about["grus.inputs"]
    assert len(port["features"]) == (1 if port["kind"] == "tokens" else port["size"])
    graph = model.parts["main"]
    program = Program(
        graph, {k.removeprefix("main."): v for k, v in tensors.items() if k.startswith("main.")}
    )
    inputs, lengths = random_inputs(graph, 4, {"src": 9}), {"src": np.array([9, 0, 4, 1])}
    found, _ = onnx_runs.run(session, inputs, lengths=lengths)
    np.testing.assert_allclose(found["logits"], program(inputs, lengths)["logits"], rtol=0, atol=1e-5)


def test_a_forecaster_names_its_features(tmp_path):
    model, tensors = small_model()
    save_model(tmp_path / "model", model, tensors)
    about = onnx_runs.metadata(
        onnx_runs.session_of(onnx(str(tmp_path / "model"), str(tmp_path / "m.onnx")).path)
    )
    (past,) = about["grus.inputs"]
    assert past == {"name": "past", "kind": "seq", "size": 2, "clock": "src", "features": ["y", "observed"]}
    assert about["grus.task"]["horizon"] == 3
    assert set(about["grus.scaling"]) == {name for name in tensors if not name.startswith("main.")}


def test_names_in_both_directions_do_not_collide(tmp_path):
    graph = chain(Port("out", "seq", 3, "src"), [ops.Linear(2)])
    assert onnx(Network(graph, random_tensors(graph)), tmp_path / "m.onnx").outputs == ("out.out",)
    assert onnx(Network(chain(graph.inputs[0], []), {}), tmp_path / "n.onnx").inputs == ("out",), (
        "no node at all"
    )


def test_what_cannot_be_exported(tmp_path, monkeypatch):
    target = tmp_path / "m.onnx"
    row = CAPABILITIES[ops.Last]
    monkeypatch.setitem(CAPABILITIES, ops.Last, type(row)(row.op, row.backends - {"onnx"}))
    with pytest.raises(UnsupportedError, match="node 'last_0': Last cannot run on back end 'onnx'"):
        onnx(network_of("Last"), target)
    monkeypatch.setattr(onnx_graph, "MAX_BYTES", 10)
    with pytest.raises(UnsupportedError, match="the weights of an ONNX file must be below 10 bytes, got "):
        onnx(network_of("Linear"), target)
    network = network_of("Linear")
    for tensors in ({}, {**network.tensors, "linear_0.bias": np.ones(9, np.float32)}):
        with pytest.raises(UsageError, match="tensor 'linear_0"):
            onnx(Network(network.graph, tensors), target)
    with pytest.raises(
        UsageError, match="source must be a model folder, a Network or a torch module, got int"
    ):
        onnx(7, target)
    with pytest.raises(ModelFolderError, match="no such model folder"):
        onnx(tmp_path / "none", target)
    assert not target.exists()


def test_where_it_cannot_be_written(tmp_path):
    target = tmp_path / "m.onnx"
    onnx(network_of("Linear"), target)
    before = target.read_bytes()
    with pytest.raises(UsageError, match="already exists"):
        onnx(network_of("GRU"), target)
    assert target.read_bytes() == before
    assert onnx(network_of("GRU"), target, force=True).outputs == ("out", "state")
    with pytest.raises(UsageError, match="no such folder"):
        onnx(network_of("GRU"), tmp_path / "none" / "m.onnx")
    with pytest.raises(UsageError, match="must be a file, got a folder"):
        onnx(network_of("GRU"), tmp_path, force=True)


def test_large_weights_and_many_steps_are_told_from_errors(tmp_path):
    """Weights so large that a last bit of the input is amplified to percents; the export still goes through."""
    graph = GRAPHS["GRU"]
    tensors = {k: (v * 40).astype(np.float32) for k, v in random_tensors(graph).items()}
    assert onnx(Network(graph, tensors), tmp_path / "m.onnx").cases > 6


def test_a_graph_module_is_its_graph(tmp_path):
    module = GraphModule(GRAPHS["GRU-attention"])
    session = onnx_runs.session_of(onnx(module, tmp_path / "m.onnx").path)
    inputs = random_inputs(module.graph, 2, {"src": 6})
    found, _ = onnx_runs.run(session, inputs)
    np.testing.assert_allclose(
        found["out"], Program(module.graph, module.tensors())(inputs)["out"], rtol=0, atol=1e-5
    )


def python(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def test_a_folder_is_exported_without_torch(tmp_path):
    model, tensors = classifier("series")
    save_model(tmp_path / "model", model, tensors)
    found = python(
        """
        import json, sys
        for name in ("torch", "lightning_fabric", "pyarrow", "pandas", "matplotlib", "typer"):
            sys.modules[name] = None
        from grus.export import check_onnx, from_onnx, onnx
        made = onnx(sys.argv[1], sys.argv[2])
        print(json.dumps([made.cases, len(check_onnx(made.path).findings), from_onnx(made.path).graph.nodes[0].name]))
        """,
        tmp_path / "model",
        tmp_path / "m.onnx",
    )
    assert found == [6, 0, "gru_0"]


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_a_package_the_error_says_what_to_install(package, tmp_path):
    found = python(
        """
        import json, sys
        sys.modules[sys.argv[1]] = None
        import grus.export
        from grus.errors import MissingExtraError
        said = []
        for call in (grus.export.onnx, lambda *a: grus.export.check_onnx(a[0]), lambda *a: grus.export.from_onnx(a[0])):
            try:
                call(*sys.argv[2:])
            except MissingExtraError as error:
                said.append([str(error), error.hint])
            except ValueError as error:
                said.append(type(error).__name__)
        print(json.dumps(said))
        """,
        package,
        tmp_path,
        tmp_path / "m.onnx",
    )
    sentence = [f"ONNX needs {package}, which is not installed", "pip install 'grus[onnx]'"]
    assert found == ([sentence] * 3 if package == "onnx" else [sentence, "DataError", "DataError"])
    assert onnx_export.need("onnx") is None
