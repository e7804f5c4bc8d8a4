"""The detector as an estimator: what it learns, PyOD's names, thresholds, events, updates, and its folder."""

import numpy as np
import pandas as pd
import pytest

import grus
from grus import AnomalyDetector
from grus.artifact import load_model
from grus.decode.likelihood import to_severity
from grus.errors import DataError, ModelFolderError, NotFittedError, UsageError
from grus.export import onnx
from grus.export.c99 import export_c
from grus.preprocess.detect import detect_calendar
from grus.preprocess.records import DetectRoles, build_records
from grus.tasks.detect_fit import threshold_of

TINY = {"hidden_size": 8, "epochs": 2, "windows_per_epoch": 400, "device": "cpu", "log": "none"}


def fit(data, **options):
    return AnomalyDetector(**TINY | options).fit(data, progress="quiet")


def sensors(n=1500, seed=0, ids=None):
    """Ten-minute rows of a temperature with a daily cycle and a flow."""
    rng, names = np.random.default_rng(seed), ids or ("",)
    stamps = np.datetime64("2026-03-01", "ns") + np.arange(n) * np.timedelta64(10, "m")
    cycle = np.sin(np.arange(n) * 2 * np.pi / 144)
    parts = [
        {
            "time": stamps,
            "temp": 20 + 50 * k + (1 + k) * (5 * cycle + 0.3 * rng.normal(size=n)),
            "flow": 10 + 0.5 * rng.normal(size=n),
            **({"machine": np.full(n, name, object)} if ids else {}),
        }
        for k, name in enumerate(names)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@pytest.fixture(scope="module")
def model():
    return fit(sensors())


@pytest.fixture(scope="module")
def broken():
    """New rows in which the temperature jumps, and the flow stops later."""
    table = sensors(seed=1)
    table["temp"][700:720] += 8
    table["flow"][1200:1210] = 0.0
    return table


def test_it_sees_what_is_not_as_it_was(model, broken):
    found = model.detect(broken)
    assert list(found) == ["time", "score", "alarm", "column"]
    assert found["score"][700:720].max() > model.threshold_
    assert set(found["column"][702:710]) == {"temp"}
    assert found["column"][1205] == "flow"
    usual = np.r_[100:700, 800:1200, 1300:1500]
    assert (found["score"][usual] > model.threshold_).mean() < 0.01
    events = model.events(broken)
    assert list(events) == ["start", "end", "severity", "score", "columns"]
    hit = [
        (s <= broken["time"][710]) & (broken["time"][700] <= e)
        for s, e in zip(events["start"], events["end"])
    ]
    assert sum(hit) == 1
    assert "temp" in events["columns"][hit.index(True)]


def test_the_names_of_pyod(model, broken):
    scores = model.decision_function(broken)
    assert scores.shape == (1500,)
    assert scores.dtype == np.float64
    assert (model.predict(broken) == (scores > model.threshold_)).all()
    assert model.decision_scores_.shape == model.labels_.shape == (1500,)
    assert (model.labels_ == (model.decision_scores_ > model.threshold_)).all()
    np.testing.assert_array_equal(model.decision_scores_, model.decision_function(sensors()))
    share = fit(sensors(), contamination=0.05)
    assert share.labels_.mean() == pytest.approx(0.05, abs=0.002)
    again = AnomalyDetector(**TINY, contamination=0.05).fit_predict(sensors(), progress="quiet")
    assert (again == share.labels_).all()


def test_a_seed_settles_everything(model, broken):
    np.testing.assert_array_equal(fit(sensors()).decision_function(broken), model.decision_function(broken))
    assert (fit(sensors(), seed=1).decision_function(broken) != model.decision_function(broken)).any()


@pytest.mark.parametrize("rate", [0.05, 0.01])
def test_on_white_noise_alarms_are_as_often_false_as_wanted(rate):
    rng = np.random.default_rng(2)
    noise = fit(rng.normal(size=(4000, 1)), false_alarm_rate=rate)
    share = noise.predict(rng.normal(size=(20_000, 1))).mean()
    assert 0.4 * rate < share < 2 * rate


def test_levels_and_rows_judged_together_go_through_the_model_folder(tmp_path, broken):
    made = fit(sensors(), memory=0, level=True, joint=True)
    assert made.live_.task.arrays()["mean"] == (4,)
    made.save(tmp_path / "m")
    loaded = grus.load(tmp_path / "m")
    assert (loaded.task.level, loaded.task.joint) == (True, True)
    np.testing.assert_array_equal(loaded.predict(broken)["score"], made.decision_function(broken))
    again = AnomalyDetector.load(tmp_path / "m")
    assert (again.level, again.joint) == (True, True)
    apart = fit(sensors(), memory=0).decision_function(broken)
    assert (apart != made.decision_function(broken)).any()


def test_a_threshold_beyond_the_rows_is_extrapolated():
    severity = np.random.default_rng(3).exponential(1 / np.log(10), 5000)
    for rate in (0.2, 0.01, 1e-4, 1e-6):
        assert to_severity(threshold_of(severity, rate)) == pytest.approx(-np.log10(rate), rel=0.12)
    heavy = threshold_of(3 * severity, 1e-4)
    assert to_severity(heavy) == pytest.approx(12, rel=0.2)
    assert to_severity(threshold_of(0.01 * severity, 1e-4)) == pytest.approx(4.0)
    assert to_severity(threshold_of(severity[:5], 1e-4)) >= 4.0
    assert to_severity(threshold_of(severity, 1e-4, contamination=0.5)) == pytest.approx(np.median(severity))


def test_every_series_has_its_own_scale(tmp_path):
    table = sensors(600, ids=("small", "large"))
    with pytest.raises(DataError, match="expected a later time than") as caught:
        fit(table)
    assert "name their column with id" in caught.value.hint
    model = fit(table, id="machine")
    center = model.live_.preprocessor.center
    assert center[:, 0] == pytest.approx([20, 70, 45], abs=2)
    new = sensors(200, seed=4, ids=("small", "large", "new"))
    found = pd.DataFrame(model.detect(new))
    assert list(found.columns) == ["machine", "time", "score", "alarm", "column"]
    assert (found.machine == new["machine"]).all()
    model.save(tmp_path / "m")
    loaded = grus.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict(new)["score"], found.score)
    assert "id" not in loaded.predict(new)


def test_labelled_rows_are_not_learned_from():
    table = sensors()
    table["temp"][300:600] += 20
    table["anomaly"] = np.zeros(1500, np.int64)
    table["anomaly"][300:600] = 1
    model = fit(table)
    assert model.live_.task.label == "anomaly"
    assert model.live_.task.columns == ("temp", "flow")
    assert model.live_.preprocessor.center[0, 0] == pytest.approx(20, abs=0.5)
    assert "label     'anomaly', 300 rows of 1, not learned from" in model.plan_
    e = model.evaluation_
    assert (e.rows, e.anomalous, e.events) == (1500, 300, 1)
    assert e.found == 1
    assert [s.name for s in e.scores] == ["model", "every row", "beyond 3 sd"]
    every = e.scores[1]
    assert (every.precision, every.recall, every.false_alarms, every.missed) == (0.2, 1.0, 1.0, 0.0)
    assert every.f1 == pytest.approx(1 / 3)
    with pytest.raises(DataError, match="only anomalous ones"):
        fit(table | {"anomaly": np.ones(1500, np.int64)})
    with pytest.raises(
        DataError, match=r"row 3 \(counting from 0\), column 'anomaly': expected 0, or 1 for an anomaly"
    ):
        fit(table | {"anomaly": np.where(np.arange(1500) == 3, 2, 0)}, label="anomaly")


def test_gaps_and_dead_columns(broken):
    table = sensors()
    table["flow"][100:200] = np.nan
    model = fit(table)
    assert "column 'flow': 100 missing values masked" in model.plan_
    new = dict(broken)
    new["flow"] = np.where(np.arange(1500) > 800, np.nan, new["flow"])
    found = model.detect(new, detail=True)
    assert not found["score_flow"][801:].any()
    assert found["score"][700:720].max() > model.threshold_
    with pytest.raises(DataError, match="column 'flow': expected at least one value"):
        fit(table | {"flow": np.full(1500, np.nan)})


def test_arrays_frames_and_paths(tmp_path):
    x = np.random.default_rng(5).normal(size=(300, 2))
    model = fit(x)
    assert model.live_.task.columns == ("x0", "x1")
    scores = model.decision_function(x)
    frame = pd.DataFrame(x, columns=["x0", "x1"])
    assert isinstance(model.detect(frame), pd.DataFrame)
    frame.to_csv(tmp_path / "x.csv", index=False)
    np.testing.assert_allclose(model.decision_function(tmp_path / "x.csv"), scores, atol=1e-6)
    np.testing.assert_array_equal(model.decision_function(frame), scores)


def test_update_goes_on_from_the_weights_as_they_are(model, tmp_path):
    model.save(tmp_path / "m")
    again = AnomalyDetector.load(tmp_path / "m", **{k: TINY[k] for k in ("epochs", "device", "log")})
    assert again.threshold_ == model.threshold_
    shifted = sensors(seed=6)
    shifted["temp"] += 3
    before = again.decision_function(shifted)
    again.update(shifted, progress="quiet")
    assert again.model_ == model.model_
    assert np.median(again.decision_scores_) < np.median(before)
    again.save(tmp_path / "n")
    np.testing.assert_array_equal(grus.load(tmp_path / "n").predict(shifted)["score"], again.decision_scores_)
    with pytest.raises(UsageError, match="hidden_size must not be given"):
        AnomalyDetector.load(tmp_path / "m", hidden_size=3)


def test_its_network_is_exported(model, tmp_path):
    model.save(tmp_path / "m", report=False)
    made = onnx(tmp_path / "m", tmp_path / "m.onnx")
    assert (made.inputs, made.outputs, made.states) == (("x", "src.lengths"), ("mean",), ("encoder.h",))
    assert made.largest < 1e-5
    written = export_c(*load_model(tmp_path / "m"), tmp_path / "c", name="pump")
    assert "void pump_step(" in written.header.read_text()


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_other_cells(cell, broken):
    model = fit(sensors(), cell=cell, epochs=1)
    assert model.model_.parts["main"].nodes[0].op.name == cell.upper()
    assert model.decision_function(broken)[700:720].max() > model.threshold_


def test_which_cycles_of_the_calendar_are_learned():
    def of(step, n):
        stamps = np.datetime64("2026-01-01", "ns") + np.arange(n) * np.timedelta64(step, "m")
        return detect_calendar(build_records({"t": stamps, "y": np.zeros(n)}, DetectRoles(("y",), None, "t")))

    assert of(5, 288) == ()
    assert of(5, 600) == ("hour_of_day",)
    assert of(30, 750) == ("hour_of_day", "day_of_week", "weekend")
    assert of(60 * 24, 60) == ("day_of_week", "weekend")
    assert of(60 * 24 * 7, 60) == ()
    whole = build_records({"t": np.arange(9), "y": np.zeros(9)}, DetectRoles(("y",), None, "t"))
    assert detect_calendar(whole) == ()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"short": 0}, "short must be a whole number of at least 1, got 0"),
        ({"memory": -1}, "memory must be a whole number of at least 0, got -1"),
        ({"quiet": 1.5}, "quiet must be a whole number from 0 to 65,536, or None, got 1.5"),
        ({"outside": float("nan")}, "outside must be a number of at least 0, got nan"),
        ({"false_alarm_rate": 0}, "false_alarm_rate must be a number above 0 and below 0.5, got 0"),
        ({"contamination": 0.7}, "contamination must be a number above 0 and below 0.5, or None, got 0.7"),
        ({"cell": "gruu"}, "cell must be 'gru', 'lstm', 'rnn' or 'mingru', got 'gruu'"),
        ({"columns": "temp"}, "columns must be a list of column names, got 'temp'"),
        ({"columns": ["temp"], "id": "temp"}, "column 'temp': expected one role, got 2"),
        ({"calendar": ["century"]}, "calendar must be a list of minute_of_hour"),
        ({"val_size": 1}, "val_size must be a number of at least 0 and below 1, got 1"),
    ],
)
def test_parameters_that_cannot_be(options, sentence):
    with pytest.raises(UsageError) as caught:
        fit(sensors(50), **options)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"a": np.array(["x", "y"], object)}, "data: expected columns of numbers to watch, got 'a'"),
        ({"a": np.zeros(0)}, "data: expected rows, got a table without any"),
        (
            {"t": np.array(["2026-01-02", "2026-01-01"]), "a": np.zeros(2)},
            "column 't': expected a later time than",
        ),
    ],
)
def test_data_that_does_not_fit(data, sentence):
    with pytest.raises(DataError) as caught:
        fit(data)
    assert sentence in str(caught.value)


def test_it_wants_to_be_fitted_and_saved_once(tmp_path, model):
    with pytest.raises(NotFittedError):
        AnomalyDetector().predict(sensors(5))
    model.save(tmp_path / "m")
    with pytest.raises(ModelFolderError, match="already exists"):
        model.save(tmp_path / "m")
    assert repr(AnomalyDetector(short=3)) == "AnomalyDetector(short=3)"
    page = (tmp_path / "m" / "report" / "index.html").read_text()
    assert "Anomalies of temp, flow" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_few_rows_still_make_a_model():
    model = fit({"a": np.arange(5.0)})
    assert model.decision_scores_.shape == (5,)
    constant = fit({"a": np.full(100, 3.0)})
    assert not constant.labels_.any()
    jumped = constant.decision_function({"a": np.r_[np.full(50, 3.0), np.full(10, 4.0)]})
    assert jumped[50:].max() > constant.threshold_
