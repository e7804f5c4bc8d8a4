"""Detectors of rows with missing values at uneven times: trained, saved, loaded, refused."""

import numpy as np
import pytest

import grus
from grus import AnomalyDetector
from grus.errors import DataError, UsageError
from grus.spec import Irregular, ops

TINY = {"hidden_size": 6, "epochs": 1, "window": 16, "log": "none", "device": "cpu"}


def pump(n=260, seed=0):
    """Two sensors at uneven times, a third of whose values is missing."""
    rng = np.random.default_rng(seed)
    t = rng.integers(60, 3600, n).cumsum()
    wave = np.sin(t / 9000)
    data = {
        "time": np.datetime64("2026-01-01", "ns") + t * np.timedelta64(10**9, "ns"),
        "flow": 10 + wave + 0.05 * rng.normal(size=n),
        "heat": 50 - 5 * wave + 0.2 * rng.normal(size=n),
    }
    for name in ("flow", "heat"):
        data[name][rng.random(n) < 0.35] = np.nan
    return data


@pytest.mark.parametrize("form", ["forward", "indicators", "decay"])
def test_forms_train_and_are_the_same_from_a_folder(form, tmp_path):
    data = pump()
    found = AnomalyDetector(irregular=form, **TINY).fit(data, progress="quiet")
    assert found.model_.step(Irregular).clock == ("steps" if form == "forward" else "dates")
    assert any(line.startswith("missing   ") for line in found.plan_)
    assert any(isinstance(node.op, ops.GRUD) for node in found.model_.parts["main"].nodes) == (
        form == "decay"
    )
    found.save(tmp_path / "model")
    scores = grus.load(tmp_path / "model").predict(data)["score"]
    np.testing.assert_array_equal(scores, found.decision_scores_)
    again = AnomalyDetector.load(tmp_path / "model")
    assert (again.irregular, again.cell, again.hidden_size, again.layers) == (form, "gru", 6, 1)
    if form == "decay":
        again.update(data, progress="quiet")


def test_a_sensor_that_dies_for_hours_raises_no_alarm_and_a_fault_after_it_does():
    data = pump(500)
    found = AnomalyDetector(irregular="decay", **{**TINY, "epochs": 3}).fit(data, progress="quiet")
    dead = {name: values.copy() for name, values in data.items()}
    for name in ("flow", "heat"):
        dead[name][200:400] = np.nan
    answer = found.detect(dead)
    assert (answer["score"][200:400] == 0).all()
    assert answer["alarm"][200:].sum() <= 1
    dead["flow"][450:470] += 30
    assert found.detect(dead)["score"][450:470].max() > 0.5


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"irregular": "none"},
            "irregular must be 'mean', 'forward', 'indicators' or 'decay', or None, got 'none'",
        ),
        (
            {"irregular": "decay", "cell": "rnn"},
            "cell must be 'gru' with irregular='decay', which is a GRU-D, got 'rnn'",
        ),
        (
            {"irregular": "decay", "layers": 2},
            "layers must be 1 with irregular='decay', which is a GRU-D, got 2",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(options, sentence):
    with pytest.raises(UsageError) as error:
        AnomalyDetector(**TINY, **options).fit(pump(), progress="quiet")
    assert str(error.value) == sentence


def test_a_column_never_observed_and_a_clock_that_runs_backwards_are_named():
    data = pump()
    with pytest.raises(DataError, match="column 'heat': "):
        AnomalyDetector(irregular="decay", columns=["flow", "heat"], **TINY).fit(
            {**data, "heat": np.full(260, np.nan)}, progress="quiet"
        )
    data["time"][7] = data["time"][3]
    with pytest.raises(DataError, match="column 'time': expected a later time than"):
        AnomalyDetector(irregular="decay", **TINY).fit(data, progress="quiet")
