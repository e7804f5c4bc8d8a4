"""`Forecaster.update`: what it keeps, what it learns, and that it never makes a model worse on what it can see."""

import numpy as np
import pytest
from forecast_tables import PLAIN, fit, one_series, table, tensors_equal, tiny

import grus
from example_series import HOUR, START, hourly
from grus import Forecaster
from grus.errors import DataError, NotFittedError, UsageError
from grus.spec import Categories
from grus.tasks.forecast_update import outcome

OLD, NEW = 24, 9


def regime(period, begin=0, days=20, seed=0):
    """Hours of a wave with noise; its period is the regime."""
    rng = np.random.default_rng(seed)
    hour = begin + np.arange(24 * days)
    y = 50 + 10 * np.sin(hour * 2 * np.pi / period) + rng.normal(0, 0.5, len(hour))
    return {"ds": START + hour * HOUR, "y": y}


@pytest.fixture(scope="module")
def old():
    return fit(regime(OLD), lookback=24, epochs=3, learning_rate=1e-2, hidden_size=16, calendar=())


@pytest.fixture
def model(old):
    """The old model again, so that an update of it changes no other test."""
    return copy_of(old)


def copy_of(model):
    other = tiny(**{**model.get_params(), "horizon": model.horizon})
    for name, value in vars(model).items():
        setattr(other, name, value)
    return other


def preprocessing(model):
    return {name: values for name, values in model.tensors_.items() if name.startswith("preprocess.")}


def test_the_error_in_a_new_regime_falls_and_the_scale_stays(model):
    new = regime(NEW, begin=24 * 20, seed=1)
    before, scales = model.tensors_, preprocessing(model)
    spec = model.model_
    assert model.update(new, progress="quiet") is model
    # Measured: 5.1 before, 2.6 after.
    assert model.validation_.model.mae < 0.8 * model.before_.model.mae
    assert model.model_ is spec
    assert {name: values.tobytes() for name, values in preprocessing(model).items()} == {
        name: values.tobytes() for name, values in scales.items()
    }
    assert any(not np.array_equal(model.tensors_[k], before[k]) for k in before if k.startswith("main."))
    assert model.plan_[-1].startswith("updated   validation loss ")
    assert model.plan_[-2] == "kept      the network and the scale of 1 series"


def test_intervals_are_calibrated_on_the_new_rows(model):
    noisy = regime(OLD, begin=24 * 20)
    noisy["y"] += np.random.default_rng(1).normal(0, 5, len(noisy["y"]))
    narrow = model.validation_.width[80]
    assert model.update(noisy, progress="quiet").validation_.width[80] > 2 * narrow


def test_an_update_that_does_not_help_leaves_the_weights_alone(model):
    weights = model.tensors_
    model.update(regime(OLD, seed=1), learning_rate=3.0, progress="quiet")
    assert all(np.array_equal(model.tensors_[k], weights[k]) for k in weights if k.startswith("main."))
    assert model.plan_[-1].endswith("no better, so the weights are left as they were")


def test_categories_and_series_never_seen():
    model = fit(table("kind", "promo", lengths=(90, 80)), static=["kind"], future=["promo"])
    data = hourly((90, 80, 70), seed=1)
    data["promo"][3] = "radio"
    seen = model.model_.step(Categories).columns
    model.update({name: data[name] for name in (*PLAIN, "kind", "promo")}, progress="quiet")
    assert model.model_.step(Categories).columns == seen
    assert "radio" not in seen["promo"]
    assert model.plan_[-2] == (
        "kept      the network, the scales of 2 series and the categories; 1 new series scaled by the rows given"
    )


def test_a_model_folder_goes_on_where_the_estimator_would(old, tmp_path):
    old.save(tmp_path / "m", report=False)
    new = regime(NEW, begin=24 * 20)
    loaded = Forecaster.load(tmp_path / "m", epochs=2, batch_size=32, device="cpu", log="none")
    assert loaded.get_params() == tiny(
        hidden_size=16, lookback=24, calendar=(), time="ds", target="y", freq="h", anchor=24, epochs=2,
        past=(), future=(), static=(), quantiles=(), alias="GRU",
    ).get_params()  # fmt: skip
    np.testing.assert_array_equal(loaded.predict(new)["GRU"], grus.load(tmp_path / "m").predict(new)["GRU"])
    loaded.update(new, learning_rate=1e-3, progress="quiet")
    again = copy_of(old).set_params(epochs=2).update(new, learning_rate=1e-3, progress="quiet")
    assert tensors_equal(loaded, again)
    loaded.save(tmp_path / "m2")
    assert (tmp_path / "m2" / "report" / "index.html").is_file()


@pytest.mark.parametrize(
    "options", [{"model": "direct", "segment": None}, {"quantiles": (0.1, 0.5, 0.9)}, {"layers": 2}]
)
def test_every_kind_of_network_can_go_on(options, tmp_path):
    model = fit(table(), **options)
    model.save(tmp_path / "m", report=False)
    loaded = Forecaster.load(
        tmp_path / "m", **{"epochs": 1, "batch_size": 32, "device": "cpu", "log": "none"}
    )
    assert loaded.get_params()["layers"] == options.get("layers", 1)
    assert loaded.update(table(seed=1), progress="quiet").validation_.windows


def test_an_interrupted_update_goes_on(old, tmp_path):
    new = regime(NEW)
    unbroken = copy_of(old).update(new, progress="quiet")
    halted = copy_of(old)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("grus.training.loop._Loop._finish_epoch", stopped_after_saving)
        with pytest.raises(KeyboardInterrupt):
            halted.update(new, folder=tmp_path / "run", progress="quiet")
    assert tensors_equal(halted, old)
    with pytest.raises(UsageError, match="the data is not what the run was started with"):
        copy_of(unbroken).update(new, folder=tmp_path / "run", resume=True, progress="quiet")
    halted.update(new, folder=tmp_path / "run", resume=True, progress="quiet")
    assert tensors_equal(halted, unbroken)


def stopped_after_saving(self):
    self._save()
    raise KeyboardInterrupt


def test_what_cannot_be_updated_says_so(model, tmp_path):
    with pytest.raises(NotFittedError):
        tiny().update(one_series())
    with pytest.raises(DataError, match="10 rows"):
        model.update({name: values[:10] for name, values in regime(NEW).items()})
    with pytest.raises(UsageError, match=r"learning_rate must be a finite number above 0, or 'auto', got -1"):
        model.update(regime(NEW), learning_rate=-1.0)
    model.save(tmp_path / "m", report=False)
    with pytest.raises(UsageError, match=r"hidden_size must not be given: .* says it \(16\)"):
        Forecaster.load(tmp_path / "m", hidden_size=3)
    with pytest.raises(UsageError, match="data must be given"):
        Forecaster.load(tmp_path / "m").predict()


def test_a_plain_sentence_says_what_came_of_it():
    assert outcome(0.5, 0.4) == (True, "updated   validation loss 0.500 before, 0.400 after")
    assert outcome(0.5, 0.5)[0] is False
    assert outcome(None, None)[0] is True
