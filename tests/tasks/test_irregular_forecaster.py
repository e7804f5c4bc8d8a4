"""Forecasters of series with missing values and rows at uneven times: trained, saved, loaded, refused."""

import numpy as np
import pytest
from forecast_tables import fit, one_series, table, tiny

import grus
from example_series import random_model
from grus import Forecaster
from grus.decode import LiveForecaster
from grus.errors import DataError, UsageError
from grus.inspection.inside.gates import check_recurrent, records
from grus.preprocess.calendar import feature_names
from grus.preprocess.panel import build_panel
from grus.preprocess.roles import Roles
from grus.spec import Irregular, ops
from grus.tasks.compare.forecast import ForecastProblem
from grus.tasks.forecast_parameters import RULES
from grus.tasks.hiding import HIDDEN, generator, hide, masks_of
from grus.tasks.tune_space import FORECAST, choose_space


def uneven(length=150, dates=True, seed=0):
    """One series with a third of its values missing, at uneven times."""
    data, rng = one_series(length), np.random.default_rng(seed)
    apart = rng.integers(1, 7200, length).cumsum()
    data["ds"] = np.datetime64("2024-01-01", "ns") + apart * np.timedelta64(10**9, "ns") if dates else apart
    data["y"] = np.where(rng.random(length) < 0.35, np.nan, data["y"])
    data["load"] = np.where(rng.random(length) < 0.5, np.nan, rng.normal(size=length))
    return data


@pytest.mark.parametrize(
    ("form", "model"), [("mean", "segment"), ("forward", "direct"), ("indicators", "segment")]
)
def test_forms_train_and_are_the_same_from_a_folder(form, model, tmp_path):
    data = uneven()
    found = fit(data, irregular=form, model=model, past=["load"])
    assert found.model_.step(Irregular).form == form
    assert f"{'ds'!r}, uneven" in " ".join(found.plan_)
    assert any(line.startswith("missing   ") for line in found.plan_)
    found.save(tmp_path / "model")
    ours, theirs = found.predict(level=[80]), grus.load(tmp_path / "model").predict(data, level=[80])
    for name, values in ours.items():
        np.testing.assert_array_equal(values, theirs[name])
    assert list(ours)[:3] == ["ds", "step", "GRU"]
    again = Forecaster.load(tmp_path / "model")
    for name in ("irregular", "freq", "model", "cell", "layers", "hidden_size"):
        assert getattr(again, name) == (getattr(found, name) or "rows")


@pytest.mark.parametrize("model", ["segment", "direct"])
def test_decay_is_a_gru_d_before_the_decoder_and_goes_on_with_new_rows(model):
    data = table("load", "state", lengths=(90,))
    data["y"][20:40] = np.nan
    found = fit(data, irregular="decay", model=model, past=["load", "state"], val_size=12)
    graph = found.model_.parts["main"]
    assert sum(isinstance(node.op, ops.GRUD) for node in graph.nodes) == 1
    assert found.panel_.stamps is None
    names = found.model_.step(Irregular).features()
    clock = feature_names(found.live_._preprocessor._calendar.features)
    assert graph.inputs[0].size == 2 + len(names) + len(clock)
    assert np.isfinite(found.predict()["GRU"]).all()
    found.update(data, val_size=12, progress="quiet")
    assert np.isfinite(found.predict()["GRU"]).all()


@pytest.mark.parametrize("form", ["mean", "forward", "indicators", "decay"])
def test_an_update_goes_on_at_uneven_times(form):
    data = uneven(260)
    old, new = (
        {name: values[part] for name, values in data.items()} for part in (slice(170), slice(170, 260))
    )
    found = fit(old, irregular=form, past=["load"])
    steps, tensors = found.model_.preprocess, found.tensors_
    found.update(new, val_size=20, progress="quiet")
    assert found.model_.preprocess == steps
    assert any(line.startswith("kept ") for line in found.plan_)
    assert any(not np.array_equal(values, tensors[name]) for name, values in found.tensors_.items())
    ahead = found.predict()
    assert (ahead["ds"] == new["ds"][-1]).all()
    assert np.isfinite(ahead["GRU"]).all()
    assert np.isfinite(found.predict(data)["GRU"]).all()


def test_bounds_are_those_of_the_newest_rows_of_a_large_table(monkeypatch):
    data = uneven(200)
    data["load"][50:60] = 50
    options = {"irregular": "mean", "past": ["load"], "val_size": 12, "epochs": 1}
    most = "preprocess.irregular.high"
    whole = fit(data, **options).tensors_[most]
    monkeypatch.setattr("grus.preprocess.forecast_steps.MOST_FITTED", 60)
    newest = fit(data, **options).tensors_[most]
    assert newest[1] < 0.5 < 2 < whole[1]


def test_cross_validation_counts_rows_where_they_are_uneven():
    found = tiny(irregular="forward").cross_validation(uneven(), n_windows=2, progress="quiet")
    assert list(found) == ["ds", "step", "cutoff", "y", "GRU"]
    assert found["step"].tolist() == [1, 2, 3, 4, 5, 6] * 2
    np.testing.assert_array_equal(found["ds"], found["cutoff"])


def test_rows_are_steps_only_where_they_lie_on_no_grid_or_it_is_said():
    data = uneven(140)
    with pytest.raises(DataError, match="column 'ds': expected rows in even steps, got uneven ones"):
        fit(data)
    hourly = one_series(140)
    thin = {name: values[np.r_[0:20, 20:140:9]] for name, values in hourly.items()}
    ready = Forecaster(
        2, lookback=4, segment=2, irregular="forward", freq="h", val_size=2, log="none", epochs=1
    )
    assert ready.fit(hourly, progress="quiet").panel_.stamps is None
    assert ready.set_params(freq="rows").fit(hourly, progress="quiet").panel_.n_rows == 140
    assert ready.panel_.stamps is not None
    assert ready.set_params(freq=None).fit(thin, progress="quiet").panel_.n_rows == len(thin["y"])
    assert ready.set_params(freq="h").fit(thin, progress="quiet").panel_.n_rows > 100


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"freq": "rows"},
            "freq must not be 'rows' without irregular, which says what is made of uneven times",
        ),
        (
            {"irregular": "grud"},
            "irregular must be 'mean', 'forward', 'indicators' or 'decay', or None, got 'grud'",
        ),
        (
            {"irregular": "decay", "cell": "lstm"},
            "cell must be 'gru' with irregular='decay', which is a GRU-D, got 'lstm'",
        ),
        (
            {"irregular": "decay", "layers": 2},
            "layers must be 1 with irregular='decay', which is a GRU-D, got 2",
        ),
        (
            {"irregular": "decay", "encoder": "conv-gru"},
            "encoder must not be 'conv-gru' with irregular='decay', which reads values as they are",
        ),
        (
            {"irregular": "decay", "future": ["load"]},
            "future must be empty where rows come at uneven times, because no one knows when the next ones come, "
            "got ('load',)",
        ),
        (
            {"irregular": "forward", "calendar": ["hour_of_day"]},
            "calendar must be None or empty where rows come at uneven times, because no one knows when the next ones "
            "come, got ('hour_of_day',)",
        ),
        (
            {"irregular": "forward", "alias": "step"},
            "alias must not be one of 'ds', 'y', 'cutoff', 'step', got 'step'",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(options, sentence):
    with pytest.raises(UsageError) as error:
        fit(uneven(), **options)
    assert str(error.value) == sentence


def test_a_covariate_never_observed_and_a_clock_that_stands_still_are_named():
    data = uneven()
    with pytest.raises(DataError, match="column 'load': "):
        fit({**data, "load": np.full(150, np.nan)}, irregular="decay", past=["load"])
    data["ds"][5] = data["ds"][4]
    with pytest.raises(
        DataError, match=r"column 'ds': expected one row per time stamp, got .* twice \(first in row 4"
    ):
        fit(data, irregular="decay")


def test_a_tenth_of_the_measured_values_is_hidden_and_the_same_again():
    steps = (Irregular(("a", "b"), "decay", "steps"),)
    masks = masks_of(steps, 2)
    assert masks == slice(4, 6)
    x = np.ones((50, 40, 9), np.float32)
    hide(x, masks, generator(1, 2, 3))
    assert (x[..., :4] == 1).all()
    assert (x[..., 6:] == 1).all()
    assert abs((x[..., 4:6] == 0).mean() - HIDDEN) < 0.02
    y = np.ones_like(x)
    hide(y, masks, generator(1, 2, 3))
    np.testing.assert_array_equal(x, y)
    assert masks_of((Irregular(("a",), "indicators", "steps"),), 2) is None


def test_a_comparison_of_cells_has_no_irregular_ones():
    with pytest.raises(UsageError) as error:
        ForecastProblem(uneven(), tiny(irregular="decay"), None)
    assert str(error.value) == "compare: irregular must be None, got 'decay'"


def test_layers_of_a_gru_d_are_not_searched():
    one = tiny(irregular="decay")
    assert "layers" not in choose_space(one, None, FORECAST, RULES)
    assert list(choose_space(one, ["layers", "dropout"], FORECAST, RULES)) == ["dropout"]
    assert "layers" in choose_space(tiny(irregular="forward"), None, FORECAST, RULES)
    for space in (["layers"], {"layers": [1, 2], "dropout": [0.0, 0.1]}):
        with pytest.raises(
            UsageError, match="layers must not be searched with irregular='decay', a GRU-D of one"
        ):
            choose_space(one, space, FORECAST, RULES)


@pytest.mark.parametrize("model", ["direct", "segment"])
def test_gates_and_decays_of_a_gru_d_are_on_record(model):
    data = table("load", lengths=(60,))
    spec, tensors = random_model(
        build_panel(data, Roles("y", "unique_id", "ds", past=("load",))), irregular="decay", model=model
    )
    check_recurrent(spec)
    found = records(LiveForecaster(spec, tensors), data)
    encoder = next(iter(found.values()))
    assert encoder.z.shape == (1, 1, 1, 12, 8)
    assert encoder.state_decay is not None
    assert ((encoder.state_decay > 0) & (encoder.state_decay <= 1)).all()
