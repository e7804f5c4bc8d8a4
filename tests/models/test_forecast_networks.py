"""The forecaster obeys the law: both networks, with every kind of covariate, give the oracle's numbers everywhere."""

import numpy as np
import pytest
import torch

from example_graphs import random_tensors
from example_series import COVARIATES, hourly, random_forecaster, random_model
from graph_oracle import run
from grus.artifact import save_model
from grus.decode import LiveForecaster
from grus.errors import DataError, UnsupportedError, UsageError
from grus.models import GraphModule
from grus.preprocess.panel import build_panel
from grus.preprocess.roles import Roles
from grus.runtime import Program
from grus.spec import infer, require_streaming
from grus.tasks.forecast_networks import NetworkConfig, build_network, default_lookback, segment_length
from numerics import assert_bitwise_equal, assert_close_to_oracle, to_numpy
from torch_free import as_bytes, predictions

VARIANTS = {
    "point": {},
    "quantiles": {"quantiles": (0.1, 0.5, 0.9)},
    "two-layers": {"layers": 2},
    "two-layers-quantiles": {"layers": 2, "quantiles": (0.25, 0.5)},
    "lstm": {"cell": "lstm"},
    "lstm-two-layers": {"cell": "lstm", "layers": 2},
    "rnn-two-layers": {"cell": "rnn", "layers": 2},
    "mingru-two-layers": {"cell": "mingru", "layers": 2},
    "no-calendar": {"calendar": ()},
    "odd-horizon": {"horizon": 7, "lookback": 15, "segment": 5},
}
CASES = [
    pytest.param(model, kind, VARIANTS[variant], series, id=f"{model}-{kind}-{variant}-{series}-series")
    for model in ("segment", "direct")
    for kind, variant, series in [
        *((kind, "point", 2) for kind in COVARIATES),
        *(("all", variant, 2) for variant in VARIANTS if variant != "point"),
        ("none", "no-calendar", 1),
        ("none", "quantiles", 1),
        ("static", "point", 1),
    ]
]

#: Masks have no gradient, so that these are for the first law alone.
IRREGULAR = [
    pytest.param(model, kind, {"irregular": form, **more}, 2, id=f"{model}-{kind}-{form}")
    for model, kind, form, more in [
        ("segment", "all", "decay", {}),
        ("direct", "all", "decay", {"encoder": "gru-attention"}),
        ("segment", "none", "decay", {"calendar": ()}),
        ("segment", "past", "indicators", {"encoder": "conv-gru"}),
        ("direct", "past", "forward", {"layers": 2}),
        ("segment", "none", "mean", {"cell": "lstm"}),
    ]
]


def build(model, kind, options, series):
    """A live model with random weights, inputs for seven of its windows, and the horizon that it puts out."""
    options = dict(options)
    if model == "direct":
        options["segment"] = 1
    table = hourly((60, 50)[:series])
    table["y"][[5, 30]] = np.nan
    if "irregular" in options:
        for name in ("y", "load"):
            table[name][np.random.default_rng(4).random(len(table["y"])) < 0.3] = np.nan
    panel = build_panel(table, Roles("y", "unique_id", "ds", **COVARIATES[kind]))
    live = random_forecaster(panel, model=model, **options)
    rows = np.array([1, 3, 12, 20, 31, 40, 43])
    which = np.arange(7) % series
    inputs = live.inputs(live.features(panel), which, panel.offsets[which] + rows)
    return live, inputs


@pytest.mark.parametrize(("model", "kind", "options", "series"), CASES + IRREGULAR)
def test_torch_and_the_runtime_are_the_oracle(model, kind, options, series):
    live, inputs = build(model, kind, options, series)
    graph = live.model.parts["main"]
    tensors = random_tensors(graph)
    wide, narrow = (
        run(graph, tensors, inputs, None, dtype)["forecast"] for dtype in (np.float64, np.float32)
    )
    assert wide.shape == (7, live.steps, max(1, len(options.get("quantiles", ()))))
    module = GraphModule(graph).eval()
    module.load_tensors(tensors)
    with torch.no_grad():
        theirs = module({name: torch.from_numpy(values) for name, values in inputs.items()})["forecast"]
    assert_close_to_oracle(to_numpy(theirs), wide, narrow, "torch")
    assert_close_to_oracle(Program(graph, tensors)(inputs)["forecast"], wide, narrow, "runtime")


@pytest.mark.parametrize(("model", "kind", "options", "series"), CASES)
def test_every_weight_and_every_input_matters(model, kind, options, series):
    """A network that ignored a covariate, or a tensor in the file, would pass every parity test."""
    live, inputs = build(model, kind, options, series)
    graph = live.model.parts["main"]
    module = GraphModule(
        graph
    )  # in training mode, where torch's GRU has gradients; no dropout in these graphs
    module.load_tensors(random_tensors(graph, 5))
    for layer in module.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
        if hasattr(layer, "dropout"):
            layer.dropout = 0.0
    given = {
        name: torch.from_numpy(v).requires_grad_(v.dtype.kind == "f")
        if v.dtype.kind == "f"
        else torch.from_numpy(v)
        for name, v in inputs.items()
    }
    module(given)["forecast"].square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    for name, values in given.items():
        if values.dtype.is_floating_point:
            used = values.grad.abs().sum(dim=tuple(range(values.ndim - 1)))
            assert (used > 0).all(), (name, used)
        else:
            count = next(port.size for port in graph.inputs if port.name == name)
            changed = {**inputs, name: (inputs[name] + 1) % count}
            program = Program(graph, random_tensors(graph, 5))
            assert (program(changed)["forecast"] != program(inputs)["forecast"]).any(), name


@pytest.mark.parametrize(("model", "kind", "options", "series"), CASES)
def test_a_window_is_the_same_alone_and_in_any_batch(model, kind, options, series):
    live, inputs = build(model, kind, options, series)
    together = live.program(inputs)["forecast"]
    for i in (0, 6):
        alone = live.program({name: values[i : i + 1] for name, values in inputs.items()})["forecast"]
        assert_bitwise_equal(alone[0], together[i])


@pytest.mark.parametrize("model", ["segment", "direct"])
def test_a_windowed_network_cannot_stream_and_says_so(model):
    live, inputs = build(model, "all", {}, 2)
    with pytest.raises(UnsupportedError, match="uses a summary of clock 'src' at its own steps"):
        require_streaming(live.model.parts["main"])
    with pytest.raises(UnsupportedError, match="cannot run in chunks"):
        live.program.run(inputs)


@pytest.mark.parametrize("model", ["segment", "direct"])
def test_the_forecast_of_the_first_step_sees_the_newest_value(model):
    live, inputs = build(model, "none", {}, 1)
    changed = {**inputs, "past": inputs["past"].copy()}
    changed["past"][:, -1, 0] += 1
    before, after = (live.program(i)["forecast"] for i in (inputs, changed))
    assert (before[:, 0] != after[:, 0]).all()


@pytest.mark.parametrize("model", ["segment", "direct"])
def test_a_constant_added_to_the_history_is_added_to_the_forecast(model):
    """y = level + f(y - level): the level goes through the network unchanged."""
    live, inputs = build(model, "none", {}, 1)
    changed = {**inputs, "past": inputs["past"].copy()}
    changed["past"][..., 0] += 64
    before, after = (live.program(i)["forecast"] for i in (inputs, changed))
    np.testing.assert_allclose(after, before + 64, atol=1e-4)


def config(**options):
    defaults = {"model": "segment", "lookback": 12, "horizon": 6, "segment": 6, "anchor": 6, "hidden_size": 8}
    return NetworkConfig(**defaults | options)


def test_segments_tie_the_decoder_to_the_encoder():
    live, _ = build("segment", "none", {}, 1)
    assert next(n for n in live.model.parts["main"].nodes if n.name == "decoder").weights == "encoder"
    deep, _ = build("segment", "none", {"layers": 2}, 1)
    assert next(n for n in deep.model.parts["main"].nodes if n.name == "decoder").weights == ""


def test_a_network_that_cannot_be_built():
    live, _ = build("segment", "none", {}, 1)
    layout = live._preprocessor.layout
    with pytest.raises(UsageError, match="model must be 'segment' or 'direct', got 'lstm'"):
        build_network(config(model="lstm"), layout)
    with pytest.raises(UsageError, match="lookback must be a multiple of the segment of 6, got 13"):
        build_network(config(lookback=13), layout)
    assert infer(build_network(config(model="direct", lookback=13, segment=1), layout))


@pytest.mark.parametrize(
    ("horizon", "season", "segment"),
    [(24, 24, 24), (96, 24, 24), (720, 24, 24), (12, 12, 12), (7, 7, 7), (30, 24, 15), (29, 24, 24), (1, 1, 1),
     (3, 1, 3), (1, 24, 24), (5, 24, 5), (2, 12, 12), (48, 96, 24)],
)  # fmt: skip
def test_the_default_segment(horizon, season, segment):
    assert segment_length(horizon, season) == segment


@pytest.mark.parametrize(
    ("horizon", "season", "segment", "room", "lookback"),
    [(24, 24, 24, 10**6, 168), (96, 24, 24, 10**6, 192), (24, 168, 24, 10**6, 336), (12, 12, 12, 10**6, 84),
     (24, 24, 24, 100, 96), (24, 24, 24, 10, 24), (24, 24, 24, -5, 24), (7, 7, 7, 10**6, 49)],
)  # fmt: skip
def test_the_default_lookback_is_whole_segments_that_fit(horizon, season, segment, room, lookback):
    assert default_lookback(horizon, season, segment, room) == lookback


def test_more_steps_than_positions_are_refused_on_both_sides():
    live, inputs = build("direct", "none", {}, 1)
    graph = live.model.parts["main"]
    long = {**inputs, "future": np.concatenate([inputs["future"]] * 2, axis=1)}
    for back_end in (
        live.program,
        lambda i: GraphModule(graph)({k: torch.from_numpy(v) for k, v in i.items()}),
    ):
        with pytest.raises(DataError, match="Position: has 6 steps, got a sequence of"):
            back_end(long)


def test_saved_models_predict_the_same_bits_where_torch_cannot_be_imported(tmp_path):
    expected = {}
    table = hourly((60, 50))
    tail = hourly((66, 56))
    later = np.concatenate([np.arange(60, 66), np.arange(66 + 50, 66 + 56)])
    future = {name: tail[name][later] for name in ("unique_id", "ds", "price", "promo")}
    margins = np.arange(1.0, 100.0)[:, None]
    for number, case in enumerate(CASES):
        model, kind, options, _ = case.values
        if options.get("horizon", 6) != 6:
            continue
        panel = build_panel(table, Roles("y", "unique_id", "ds", **COVARIATES[kind]))
        own = {**options, "segment": 1} if model == "direct" else dict(options)
        own["spread"] = np.linspace(0.5, 2.0, 24)
        fitted, tensors = random_model(panel, model=model, margins=margins, seed=number, **own)
        folder = save_model(tmp_path / str(number), fitted, tensors)
        live = LiveForecaster(fitted, tensors)
        found = live.predict(table, future if kind in ("future", "all") else None, level=[50, 95])
        expected[str(folder)] = as_bytes(found)
    assert predictions(list(expected), table, future, tmp_path) == expected
