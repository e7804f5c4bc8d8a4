"""Gates and states: those of torch and of the oracle, from modules, programs and live models, whatever the options."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from report_cases import series_panel

import gru_cases
from example_classifiers import classifier, examples_for
from example_graphs import GRAPHS, random_inputs, random_tensors
from example_series import random_forecaster
from grus.artifact import save_model
from grus.decode import LiveClassifier
from grus.errors import DataError, UnsupportedError, UsageError
from grus.inspection import Record, record, records
from grus.inspection.inside import memory
from grus.inspection.inside.gates import Cell, run_cells
from grus.kernels.layout import GRUWeights
from grus.kernels.native import PackedGRU
from grus.kernels.reference_grud import GRUDWeights, States, grud
from grus.models import GraphModule
from grus.nn import GRU
from grus.runtime import Program
from numerics import assert_bitwise_equal

CASES = [
    gru_cases.Shape(),
    gru_cases.Shape(L=2, bidirectional=True, lengths=(5, 0, 3)),
    gru_cases.Shape(reset_after=False, bias=False),
    gru_cases.Shape(L=2, layer_norm=True, resets=True, zoneout="expectation"),
    gru_cases.Shape(bidirectional=True, resets=True, lengths=(2, 5, 1)),
]


def run_case(case, shape) -> Record:
    """The record of a case of the oracle, in float64."""
    options = case.options
    cells = []
    for w in case.weights:
        norm = None if w.gain_ih is None else (w.gain_ih, w.gain_hh)
        packed = PackedGRU(
            w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh, reset_after=shape.reset_after, norm=norm
        )
        cells.append(Cell(packed, w.layer_norm, float(options.keep)))
    h_0 = case.h_0.reshape(shape.L, shape.D, shape.B, shape.H)
    lengths = None if shape.lengths is None else np.array(shape.lengths)
    return run_cells("gru", cells, case.x.swapaxes(0, 1).copy(), h_0, lengths, options.resets)


@pytest.mark.parametrize("shape", CASES, ids=str)
def test_the_gates_are_those_of_the_oracle(shape):
    case = gru_cases.make_case(shape, 3)
    found, wanted = run_case(case, shape), case.forward()
    for name in "rzn":
        gate = getattr(wanted.gates, name).reshape(shape.L, shape.D, shape.T, shape.B, shape.H)
        np.testing.assert_allclose(getattr(found, name), gate.swapaxes(2, 3), rtol=0, atol=1e-13)
    top = np.concatenate(list(found.h[-1]), axis=-1).swapaxes(0, 1)
    np.testing.assert_allclose(top, wanted.output, rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_module_gives_what_it_returns_itself(dtype):
    torch.manual_seed(0)
    gru = GRU(3, 8, 2, bidirectional=True, batch_first=True, zoneout=0.2, dropout=0.5, dtype=dtype)
    x, h_0 = torch.randn(4, 9, 3, dtype=dtype), torch.randn(4, 4, 8, dtype=dtype)
    found = record(gru, x, h_0, lengths=[9, 0, 4, 1])
    assert gru.training, "the mode is put back"
    with torch.no_grad():
        y, _, gates = gru.eval()(x, h_0, lengths=[9, 0, 4, 1], return_gates=True)
    for name in "rzn":
        assert_bitwise_equal(getattr(found, name).reshape(4, 4, 9, 8), getattr(gates, name).numpy())
    assert_bitwise_equal(np.concatenate(list(found.h[-1]), axis=-1), y.numpy())


def test_torchs_own_gru_inside_a_module_packed_and_unbatched():
    torch.manual_seed(1)

    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.GRU(3, 4)

        def forward(self, x):
            _, h = self.inner(torch.nn.utils.rnn.pack_padded_sequence(x, [2, 6], enforce_sorted=False))
            return self.inner(x[:, 0], h[:, 0])

    module = Twice()
    x = torch.randn(6, 2, 3)
    found = records(module, x)
    assert list(found) == ["inner", "inner#2"]
    assert found["inner"].lengths.tolist() == [2, 6]
    assert found["inner#2"].h.shape == (1, 1, 1, 6, 4)
    with torch.no_grad():
        y, _ = module(x)
    np.testing.assert_allclose(found["inner#2"].h[0, 0, 0], y.numpy(), atol=1e-6)
    assert record(module, x, cell="inner#2").name == "inner#2"
    assert record(module, x.numpy()).name == "inner"
    assert not module.inner._forward_hooks


def test_hooks_and_mode_are_put_back_where_the_module_fails():
    gru = torch.nn.GRU(3, 4)
    with pytest.raises(RuntimeError):
        record(gru, torch.randn(5, 2, 7))
    assert not gru._forward_hooks
    assert gru.training


@pytest.mark.parametrize(
    "name", ["GRU-2-layers", "GRU-bidirectional", "GRU-zoneout", "GRU-initial-state", "GRU-layer-norm"]
)
def test_a_program_and_the_module_of_its_graph_agree_with_its_output(name):
    graph, tensors = GRAPHS[name], random_tensors(GRAPHS[name])
    program = Program(graph, tensors)
    inputs = random_inputs(graph, 3, {"src": 12})
    found = record(program, inputs, {"src": np.array([12, 5, 0])})
    gru = next(node for node in graph.nodes if node.name == found.name)
    watched = {}
    program.watch(
        inputs, {"src": np.array([12, 5, 0])}, lambda n, i, c: watched.setdefault(n.name, i(c, None))
    )
    assert_bitwise_equal(np.concatenate(list(found.h[-1]), axis=-1), watched[gru.name][0][""])
    module = GraphModule(graph)
    module.load_tensors(tensors)
    assert_bitwise_equal(record(module, inputs).z, record(program, inputs).z)


@pytest.mark.parametrize("name", ["GRUD", "GRUD-initial-state"])
def test_a_gru_d_records_the_gates_and_both_decays_of_the_oracle(name):
    graph, tensors = GRAPHS[name], random_tensors(GRAPHS[name])
    inputs, lengths = random_inputs(graph, 3, {"src": 12}), np.array([12, 5, 0])
    inputs["g"] = np.abs(inputs["g"])
    found = record(Program(graph, tensors), inputs, {"src": lengths})
    (node,) = graph.nodes
    w = {key.removeprefix(f"{node.name}."): value.astype(np.float64) for key, value in tensors.items()}
    gru = GRUWeights(**{key: w[f"{key}_l0"] for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")})
    weights = GRUDWeights(gru, **{key: value for key, value in w.items() if "decay" in key})
    given = [inputs[key].astype(np.float64).swapaxes(0, 1) for key in ("x", "m", "g")]
    states = States(
        *(inputs[k].astype(np.float64) if k in inputs else np.zeros((3, n)) for k, n in zip("hls", (7, 5, 5)))
    )
    wanted = grud(*given, states, weights, lengths)
    valid = found.valid[..., None]
    trace = wanted.trace
    for own, oracle in (
        (found.h[0, 0], wanted.output), (found.elapsed, trace.elapsed), (found.x, trace.gru.x),
        (found.state_decay[0, 0], np.exp(-np.maximum(trace.e, 0))),
        (found.input_decay, np.exp(-np.maximum(trace.a, 0))),
    ):  # fmt: skip
        np.testing.assert_allclose(own, np.where(valid, oracle.swapaxes(0, 1), 0), rtol=0, atol=2e-6)
    before = (
        np.concatenate([found.h_0[0, 0][:, None], found.h[0, 0][:, :-1]], axis=1) * found.state_decay[0, 0]
    )
    step = (1 - found.z[0, 0]) * found.n[0, 0] + found.z[0, 0] * before
    np.testing.assert_allclose(np.where(valid, step, 0), found.h[0, 0], rtol=0, atol=1e-6)
    assert not found.r[0, 0][~found.valid].any()


def test_what_time_takes_counts_for_the_half_life_and_is_followed():
    graph, tensors = GRAPHS["GRUD"], random_tensors(GRAPHS["GRUD"])
    inputs = random_inputs(graph, 2, {"src": 30})
    inputs["g"] = np.abs(inputs["g"])
    slow = record(Program(graph, tensors), {**inputs, "g": 0 * inputs["g"]})
    fast = record(
        Program(graph, tensors | {"a.state_decay_weight": 9 * np.abs(tensors["a.state_decay_weight"])}),
        inputs,
    )
    assert (memory.half_life(fast) < memory.half_life(slow)).all()
    kept = (fast.z * fast.state_decay)[0, 0].reshape(-1, 7).astype(np.float64)
    np.testing.assert_allclose(
        memory.half_life(fast)[0, 0], np.log(0.5) / np.log(kept).mean(axis=0), rtol=1e-6
    )
    np.testing.assert_allclose(memory.faded(fast)[0, 0], 1 - fast.state_decay[0, 0].mean(axis=-1))
    assert memory.faded(slow).shape == (1, 1, 2, 30)
    assert np.nanmax(memory.measured_horizon(fast).steps) <= np.nanmax(memory.measured_horizon(slow).steps)
    same = memory._follow(fast, 0, 0, np.array([0, 1]), np.array([30 - 1, 30 - 1]), 1)
    assert np.isfinite(same).all()


@pytest.mark.parametrize("kind", ["word", "series", "images", "events"])
def test_a_live_classifier_reads_what_predict_reads(kind):
    live = LiveClassifier(*classifier(kind))
    found = record(live, examples_for(kind))
    assert found.h.shape[:3] == (1, 2, 30)
    assert found.lengths.min() >= 0
    assert (found.z[:, :, found.valid] > 0).all()
    assert (found.z[:, :, ~found.valid] == 0).all()


@pytest.mark.parametrize("model", ["segment", "direct"])
def test_a_live_forecaster_shows_the_newest_window_of_every_series(model):
    panel = series_panel((60, 80))
    found = records(random_forecaster(panel, model=model), panel)
    assert list(found) == (["encoder"] if model == "segment" else ["encoder", "decoder"])
    assert found["encoder"].h.shape == (1, 1, 2, 2 if model == "segment" else 12, 8)


def test_many_rows_are_run_in_parts_with_the_same_bits(monkeypatch):
    gru = torch.nn.GRU(3, 4, batch_first=True)
    x = torch.randn(7, 5, 3)
    whole = record(gru, x)
    monkeypatch.setattr("grus.inspection.inside.gates._KEPT", 200)
    assert_bitwise_equal(record(gru, x).z, whole.z)


def refused(error, sentence, *arguments, **options):
    with pytest.raises(error) as caught:
        record(*arguments, **options)
    assert str(caught.value) == sentence


def test_what_has_no_gates_says_so():
    x = torch.randn(5, 2, 3)
    refused(
        UnsupportedError,
        "the module must have a recurrent layer with a GRU's gates, got only LSTM",
        torch.nn.LSTM(3, 4), x,
    )  # fmt: skip
    graph = GRAPHS["Linear"]
    refused(
        UnsupportedError,
        "the network must have a recurrent layer with a GRU's gates, got only Linear",
        Program(graph, random_tensors(graph)), random_inputs(graph, 2, {"src": 3}),
    )  # fmt: skip
    for name in ("GRU", "GRUD"):
        graph = GRAPHS[name]
        refused(
            UnsupportedError,
            "record: weights must be kept as they are, got them in bf16",
            Program(graph, random_tensors(graph), "bf16"), random_inputs(graph, 2, {"src": 3}),
        )  # fmt: skip
    refused(UsageError, "record: model must be a live model, a program or a torch module, got str", "model")
    refused(UsageError, "record: cell must be one of gru, got 'rnn'", torch.nn.GRU(3, 4), x, cell="rnn")


def test_data_that_does_not_fit_is_refused_as_by_predict():
    live = LiveClassifier(*classifier("series"))
    with pytest.raises(DataError):
        record(live, [np.zeros((5, 2))])


def test_a_live_model_is_recorded_without_torch(tmp_path):
    save_model(tmp_path / "model", *classifier("series"))
    code = (
        "import sys\n"
        "for name in ('torch', 'matplotlib', 'pyarrow'): sys.modules[name] = None\n"
        "import numpy as np, grus\n"
        "from grus.inspection import record\n"
        "from grus.inspection.inside.memory import measured_horizon, units\n"
        f"found = record(grus.load({str(tmp_path / 'model')!r}), [np.ones((7, 3))])\n"
        "print(found.z.shape, units(found).keep.shape, measured_horizon(found).steps.shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(1, 2, 1, 7, 6) (1, 2, 6) (1, 2, 6)", done.stderr
