"""Forecasting models whose steps, columns or graph are not those of their task: one sentence each, when they are made."""

import msgspec
import numpy as np
import pytest

import grus
from example_series import COVARIATES, Roles, build_panel, hourly, random_model
from grus.artifact import save_model
from grus.decode import LiveForecaster
from grus.errors import ModelFolderError, SpecError
from grus.spec import Calendar, Categories, CovariateScale, Forecast, Model

changed = msgspec.structs.replace


@pytest.fixture(scope="module")
def made():
    panel = build_panel(hourly(), Roles("y", "unique_id", "ds", **COVARIATES["all"]))
    return random_model(panel, margins=np.linspace(-1, 1, 99)[:, None])


def steps(model: Model, kind: type, **fields) -> Model:
    return changed(
        model,
        preprocess=tuple(changed(s, **fields) if isinstance(s, kind) else s for s in model.preprocess),
    )


def graph(model: Model, **fields) -> Model:
    return changed(model, parts={"main": changed(model.parts["main"], **fields)})


def task(model: Model, **fields) -> Model:
    return changed(model, task=changed(model.task, **fields))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda m: changed(m, preprocess=m.preprocess[1:]), "forecast: the steps must be Calendar, Categories"),
        (lambda m: steps(m, CovariateScale, columns=("load", "price")), "must be scaled or coded once"),
        (lambda m: steps(m, CovariateScale, masked=("kind",)), "masked columns must be among those that are scaled"),
        (lambda m: steps(m, Categories, columns={}), "must be scaled or coded once"),
        (lambda m: task(m, past=("load", "load")), "must be scaled or coded once"),
        (lambda m: steps(m, Calendar, features=()), "forecast: input 'future' of the graph must be Port"),
        (lambda m: task(m, levels_known=98), "forecast: levels_known must be 0 or 99, got 98"),
        (lambda m: task(m, quantiles=(0.1, 0.9)), "the output must be seq[2] on clock 'tgt', got seq[1]"),
        (lambda m: graph(m, outputs={"y": "head"}), "must have one output, 'forecast', got ['y']"),
        (lambda m: changed(m, parts={"encode": m.parts["main"], "decode": m.parts["main"]}), "must be main, got"),
    ],
)  # fmt: skip
def test_what_does_not_belong_together(made, change, sentence):
    model, tensors = made
    LiveForecaster(model, tensors)
    with pytest.raises(SpecError) as caught:
        LiveForecaster(change(model), tensors)
    assert sentence in str(caught.value)


def test_a_folder_says_so_too(made, tmp_path):
    model, tensors = made
    save_model(
        tmp_path / "model", task(model, levels_known=0), {k: v for k, v in tensors.items() if "task" not in k}
    )
    grus.load(tmp_path / "model")
    model = steps(model, CovariateScale, masked=("nowhere",))
    save_model(tmp_path / "model", model, tensors, force=True)
    with pytest.raises(ModelFolderError, match="model: covariate scale: masked columns must be"):
        grus.load(tmp_path / "model")


@pytest.mark.parametrize("what", ["horizon", "lookback"])
def test_no_forecast_reaches_beyond_a_quarter_of_a_million_steps(made, what):
    message = f"forecast: {what} must be a whole number from 1 to 262144, got 262145"
    with pytest.raises(SpecError, match=message):
        Forecast.check(changed(made[0].task, **{what: (1 << 18) + 1}))
    Forecast.check(changed(made[0].task, **{what: 1 << 18}))
