"""What each measurement of an irregular series adds: parts that add up, to answers that can be had in another way."""

import json
from dataclasses import replace

import numpy as np
import pytest
from irregular_cases import alone, made, stays

from grus.artifact import save_model
from grus.decode import LiveClassifier
from grus.errors import DataError, UnsupportedError, UsageError
from grus.inspection import measurements
from grus.inspection.inside.case import classify_case
from grus.inspection.irregular.parts import Measurements, Parts, measured
from grus.inspection.irregular.readings import Readings
from grus.inspection.irregular.wording import (
    measurements_dict,
    probability,
    read_sentence,
    strongest_sentence,
    sum_sentence,
)
from grus.inspection.wording import to_json
from grus.spec.steps import IRREGULAR_FORMS

NETWORKS = {
    "decay": {},
    "decay, mean": {"pool": "mean"},
    "decay, attention": {"pool": "attention"},
    "indicators": {},
    "indicators, both ways, two layers, max": {"bidirectional": True, "layers": 2, "pool": "max"},
    "indicators, convolution": {"encoder": "conv-gru"},
    "forward": {},
    "forward, self-attention": {"encoder": "gru-attention"},
    "mean": {},
    "mean, max": {"pool": "max"},
}


def log_odds(p, number=1):
    return float(np.log(p[number] / (1 - p[number])))


def look(form, row=3, clock="numbers", *, examples=None, label="yes", **options):
    """Measurements of one stay, and the live model."""
    given = stays(clock) if examples is None else examples
    model, tensors = made(form, clock, **options)
    live = LiveClassifier(model, tensors)
    return measured(model, tensors, classify_case(live, given, row, label)), live


@pytest.mark.parametrize("name", NETWORKS)
def test_the_parts_add_up_to_the_answer(name):
    form = name.split(",")[0]
    for row in (2, 3, 7):
        found, live = look(form, row, **NETWORKS[name])
        parts = found.parts
        own = stays().take([row - 1])
        assert parts.answer == pytest.approx(log_odds(live.predict_proba(own)[0]), abs=1e-4)
        total = parts.base + parts.values.sum() + parts.presence.sum() + parts.time.sum()
        size = np.abs(parts.values).sum() + np.abs(parts.presence).sum() + np.abs(parts.time).sum()
        assert total - parts.gap == pytest.approx(parts.answer, abs=1e-5)
        assert abs(parts.gap) <= 0.02 * size + 1e-5
        assert parts.base + parts.steps.sum() == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize("form", IRREGULAR_FORMS)
def test_halfway_stands_a_row_in_which_every_value_is_at_its_mean(form):
    found, live = look(form, 4)
    known = found.readings.known
    own = stays().take([3])
    at_mean = replace(own, series=np.where(known, found.readings.center, np.nan))
    assert found.parts.at_mean == pytest.approx(log_odds(live.predict_proba(at_mean)[0]), abs=1e-4)
    masked = found.parts.presence.sum() + found.parts.time.sum()
    assert found.parts.at_mean - found.parts.base == pytest.approx(masked, abs=0.02 * (1 + abs(masked)))


@pytest.mark.parametrize("form", IRREGULAR_FORMS)
def test_the_beginning_is_what_the_network_says_of_nothing(form):
    found, live = look(form, 4)
    port = live.program.graph.inputs[0]
    nothing = np.zeros((1, found.readings.steps, port.size), np.float32)
    logits = live.program({"x": nothing})["logits"][0] / live.temperature
    assert found.parts.base == pytest.approx(float(logits[1] - logits[0]), abs=1e-4)
    if form in ("mean", "forward"):
        bare = alone(np.full((found.readings.steps, 3), np.nan))
        assert found.parts.base == pytest.approx(log_odds(live.predict_proba(bare)[0]), abs=1e-4)


@pytest.mark.parametrize("form", IRREGULAR_FORMS)
def test_a_measurement_alone_is_what_it_adds_and_a_carried_one_stays_its_own(form):
    values = np.full((6, 3), np.nan)
    values[1, 1] = 40.0
    found, _ = look(form, 1, examples=alone(values, np.array([0, 10, 25, 30, 90, 200])))
    parts = found.parts
    assert parts.values[1, 1] == pytest.approx(parts.answer - parts.at_mean, abs=1e-3)
    assert abs(parts.values[1, 1]) > 1e-3
    assert np.count_nonzero(parts.values) == 1
    assert np.count_nonzero(parts.presence) == (form in ("indicators", "decay"))
    carried = parts.steps[2:] - parts.time[2:]
    assert (np.abs(carried).max() > 1e-4) == (form in ("forward", "indicators"))
    assert bool(parts.time.any()) == (form in ("indicators", "decay"))
    assert found.strongest() == [(1, 1)]


def test_no_time_passes_no_part_of_it():
    values = np.full((4, 3), np.nan)
    values[:, 0] = [1.0, 2.0, 9.0, 4.0]
    model, tensors = made("decay", "steps")
    tensors["main.encoder.state_decay_weight"] *= 0
    live = LiveClassifier(model, tensors)
    found = measured(model, tensors, classify_case(live, alone(values), 1, "yes"))
    assert np.abs(found.parts.time).max() < 1e-7


@pytest.mark.parametrize("clock", ["numbers", "dates", "steps"])
@pytest.mark.parametrize("form", ["decay", "indicators"])
def test_the_row_unfolds_as_a_stream_is_answered(form, clock):
    found, live = look(form, 5, clock)
    own = stays(clock).take([4])
    state = live.init_state()
    for step in range(found.readings.steps):
        row = {"id": "s4", **dict(zip(own.columns, own.series[step].tolist()))}
        if clock != "steps":
            row["t"] = own.times[step]
        answer, state = live.step(row, state, proba=True)
        assert answer["p_yes"][0] == found.probabilities[step]
    assert found.readings.answers.tolist() == list(range(found.readings.steps))
    assert found.probabilities[-1] == pytest.approx(probability(found.parts.answer), abs=1e-5)


def test_a_long_row_is_answered_at_some_of_its_steps_and_in_parts(monkeypatch):
    examples = stays(rows=3, most=400, seed=4)
    whole, _ = look("indicators", 3, examples=examples, max_length=1000)
    assert len(whole.readings.answers) == 200
    assert whole.readings.answers[[0, -1]].tolist() == [0, whole.readings.steps - 1]
    monkeypatch.setattr("grus.inspection.irregular.readings._ROWS", 1000)
    parts, _ = look("indicators", 3, examples=examples, max_length=1000)
    np.testing.assert_array_equal(parts.probabilities, whole.probabilities)


@pytest.mark.parametrize("form", IRREGULAR_FORMS)
def test_of_a_row_longer_than_the_model_reads_only_what_is_carried_counts(form):
    values = np.full((9, 3), np.nan)
    values[2, 0], values[7, 1] = 30.0, -20.0
    found, _ = look(form, 1, examples=alone(values, np.arange(9) * 10), max_length=4)
    assert found.readings.first == 5
    carried = form in ("forward", "indicators")
    assert (found.parts.values[2, 0] != 0) == carried
    assert found.parts.values[7, 1] != 0
    assert not found.parts.steps[:5].any()
    total = found.parts.base + found.parts.values.sum() + found.parts.presence.sum() + found.parts.time.sum()
    assert total - found.parts.gap == pytest.approx(found.parts.answer, abs=1e-5)
    assert "The model reads the last 4 of 9 steps" in read_sentence(found.readings)


@pytest.mark.parametrize("form", IRREGULAR_FORMS)
def test_nothing_measured_is_no_error(form):
    found, _ = look(form, 2)
    assert not found.readings.known.any()
    assert found.strongest() == []
    assert strongest_sentence(found).startswith("Nothing was measured in this row")
    assert not found.parts.values.any()
    assert not found.parts.presence.any()
    json.loads(to_json(measurements_dict(found)))


def test_the_label_is_the_one_asked_for_and_else_the_one_said():
    examples = stays()
    model, tensors = made("decay", labels=("a", "b", "c"))
    live = LiveClassifier(model, tensors)
    p = live.predict_proba(examples)[2]
    for label, number in (("a", 0), ("b", 1), ("c", 2), (None, int(p.argmax()))):
        found = measured(model, tensors, classify_case(live, examples, 3, label))
        assert (found.label, found.number) == (model.task.labels[number], number)
        assert found.parts.answer == pytest.approx(log_odds(p, number), abs=1e-4)
        assert found.probabilities[-1] == pytest.approx(p[number])


def test_the_function_takes_a_folder_and_says_what_it_does_not_take(tmp_path):
    model, tensors = made("decay")
    save_model(tmp_path / "model", model, tensors)
    examples = stays()
    found = measurements(tmp_path / "model", examples, row=3, label="yes")
    direct, _ = look("decay")
    np.testing.assert_array_equal(found.parts.values, direct.parts.values)
    assert found.added.shape == found.readings.values.shape
    with pytest.raises(UsageError) as caught:
        measurements(tmp_path / "model", examples, row=13)
    assert str(caught.value) == "row must be from 1 to 12 (the rows of the data), got 13"
    with pytest.raises(UsageError) as caught:
        measurements(tmp_path / "model", examples, label="maybe")
    assert str(caught.value) == "label must be one of no, yes, got 'maybe'"
    with pytest.raises(UsageError) as caught:
        measurements(LiveClassifier(model, tensors), examples)
    assert (
        str(caught.value)
        == "measurements: model must be a fitted Classifier or a model folder, got LiveClassifier"
    )
    with pytest.raises(DataError) as refused:
        measurements(tmp_path / "model", alone(np.empty((0, 3)), np.empty(0, np.int64)))
    assert str(refused.value) == "row 1: must have at least one step to look at, got none"


def test_a_model_of_regular_series_says_so(tmp_path):
    from example_classifiers import classifier, examples_for

    save_model(tmp_path / "model", *classifier("series"))
    with pytest.raises(UnsupportedError) as caught:
        measurements(tmp_path / "model", examples_for("series"))
    assert str(caught.value) == "measurements: the model must be a classifier that reads irregular series"


# -- words ---------------------------------------------------------------------------------------------------------


def by_hand(form="decay", times=(60, 720, 1872), clock="minute"):
    """Three measurements at three times."""
    values = np.full((3, 2), np.nan)
    values[0, 0], values[1, 1], values[2, 0] = 13.0, 45.25, 3.0
    readings = Readings(
        ("GCS", "Urea"), values, np.where(values == 45.25, 40.0, values), np.array([11.0, 25.0]), np.array([4.0, 20.0]),
        None if times is None else np.array(times), clock, 60.0, form, 0, np.arange(3), np.full((3, 2), 0.5),
    )  # fmt: skip
    value, presence = np.zeros((3, 2)), np.zeros((3, 2))
    value[0, 0], value[1, 1], value[2, 0] = -0.5, 0.25, 1.0
    presence[1, 1], presence[2, 0] = 0.05, 0.2
    time = np.array([0.0, -0.1, 0.0])
    parts = Parts(
        value, presence, time, value.sum(axis=1) + presence.sum(axis=1) + time, -1.0, -0.85, -0.1, 0.0
    )
    return Measurements("yes", 1, readings, parts)


def test_the_answer_in_words():
    found = by_hand()
    assert strongest_sentence(found) == (
        "Most raised the probability of 'yes': GCS 3 at minute 1,872 (+1.20), Urea 45.25 at minute 720 (+0.30); most "
        "lowered it: GCS 13 at minute 60 (-0.50)."
    )
    assert sum_sentence(found) == (
        "With nothing measured and no time passing the probability of 'yes' would be 26.9%; what was measured and when, "
        "whatever came out, adds +0.25 to its log-odds, the time that passed -0.10 (29.9%); the values themselves, "
        "over those of a mean row, +0.75: 47.5%. The parts miss the answer by 0.0."
    )
    assert read_sentence(found.readings) == (
        "3 values of 2 columns at 3 times. 1 value lies outside what training saw and is read as its bounds."
    )


def test_a_form_without_masks_says_nothing_of_them():
    found = by_hand("forward")
    assert sum_sentence(found).startswith(
        "With nothing measured the probability of 'yes' would be 26.9%; the values themselves, over those of a mean "
        "row, add +0.75 to its log-odds: 47.5%."
    )


def test_times_are_told_as_the_data_has_them():
    dates = np.array(["2024-03-01T07:00", "2024-03-02T00:00", "2024-03-04T12:30"], "M8[ns]")
    assert "GCS 3 at 2024-03-04 12:30:00 (+1.20), Urea 45.25 at 2024-03-02 00:00:00 (" in strongest_sentence(
        by_hand(times=dates)
    )
    assert by_hand(times=dates).readings.span_unit[0] == "days"
    assert "GCS 3 at 2024-03-04 (" in strongest_sentence(
        by_hand(times=dates.astype("M8[D]").astype("M8[ns]"))
    )
    assert "GCS 3 at step 3 (" in strongest_sentence(by_hand(times=None))
    plain = measurements_dict(by_hand(times=dates))
    assert plain["readings"][2] == {
        "time": "2024-03-04T12:30:00.000000000", "column": "GCS", "value": 3.0, "read_as": 3.0, "value_adds": 1.0,
        "presence_adds": 0.2,
    }  # fmt: skip


def test_only_one_side_is_said_where_there_is_no_other():
    found = by_hand()
    up = replace(found, parts=replace(found.parts, values=np.abs(found.parts.values)))
    assert strongest_sentence(up).startswith("Most raised the probability of 'yes': GCS 3")
    assert "lowered" not in strongest_sentence(up)
    down = replace(
        found, parts=replace(found.parts, values=-np.abs(found.parts.values), presence=0 * found.added)
    )
    assert strongest_sentence(down).startswith(
        "Most lowered the probability of 'yes': GCS 3 at minute 1,872 (-1.00)"
    )
    none = replace(found, parts=replace(found.parts, values=0 * found.added, presence=0 * found.added))
    assert strongest_sentence(none) == "No measurement moved the probability of 'yes'."
