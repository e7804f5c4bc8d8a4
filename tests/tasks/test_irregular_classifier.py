"""Classifiers of series with missing values at uneven times, trained: what they learn, keep, say and refuse."""

import numpy as np
import pytest
from classify_tables import fit, texts

import grus
from grus.errors import DataError, UsageError
from grus.spec import Irregular
from grus.spec.steps import IRREGULAR_FORMS

ROLES = {"id": "stay", "time": "minute", "label": "died"}


def stays(rows=60, seed=0):
    """A long table: of a label that shows in how often b is measured, and in the value of a where it is."""
    rng = np.random.default_rng(seed)
    table = {"stay": [], "minute": [], "a": [], "b": [], "died": []}
    for stay in range(rows):
        sick, now = stay % 2, 0
        for _ in range(rng.integers(4, 12)):
            now += int(rng.integers(1, 100))
            a = rng.normal(2.0 * sick, 0.5) if rng.random() < 0.5 else np.nan
            b = rng.normal() if rng.random() < (0.7 if sick else 0.1) else np.nan
            for name, value in zip(table, (stay, now, a, b, ("no", "yes")[sick])):
                table[name].append(value)
    return {name: np.array(values) for name, values in table.items()}


@pytest.mark.parametrize("form", IRREGULAR_FORMS)
def test_a_form_learns_and_is_the_same_from_its_folder(form, tmp_path):
    table = stays()
    model = fit(table, **ROLES, irregular=form, epochs=8, test_size=12)
    assert model.score(table) > 0.8
    step = model.model_.step(Irregular)
    assert (step.form, step.columns) == (form, ("a", "b"))
    assert step.clock == ("numbers" if step.reads_times else "steps")
    live = grus.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(live.predict_proba(table), model.predict_proba(table))
    page = (tmp_path / "model" / "report" / "index.html").read_text()
    assert ("2 channels at uneven times" in page) == step.reads_times
    assert ("A gated recurrent unit with decay (GRU-D) (8 units" in page) == (form == "decay")


def test_the_default_is_what_it_was():
    """The last value known, with a mask: no clipping, no times."""
    model = fit(stays(), **ROLES, epochs=1)
    assert model.model_.step(Irregular) is None
    assert model.get_params()["irregular"] is None
    assert model.model_.parts["main"].inputs[0].size == 4


def test_the_plan_says_what_is_missing_and_what_becomes_of_it():
    table = stays()
    table["a"][table["stay"] == 2] = np.nan
    table["b"][table["stay"] == 2] = np.nan
    model = fit(table, **ROLES, irregular="indicators", epochs=1, val_size=0)
    share = np.isnan(np.stack([table["a"], table["b"]])).mean()
    assert (
        f"missing   {100 * share:.1f}% of the values; each is the last one known, with masks and times beside it"
    ) in model.plan_
    assert (
        "1 row without any value: the model has only each label's share in training to go by"
    ) in model.plan_


def test_a_stream_needs_one_direction_and_then_answers_as_predict(tmp_path):
    table = stays()
    model = fit(table, **ROLES, irregular="indicators", epochs=1, bidirectional=False)
    live, own = model.live_, table["stay"] == 5
    state = live.init_state()
    for row in np.flatnonzero(own):
        y, state = live.step({n: v[row].item() for n, v in table.items() if n != "died"}, state, proba=True)
    expected = live.predict({n: v[own] for n, v in table.items() if n != "died"}, proba=True)
    assert y["p_yes"] == expected["p_yes"]


def test_a_column_that_is_missing_altogether_is_refused():
    table = stays()
    table["b"] = np.full(len(table["a"]), np.nan)
    with pytest.raises(DataError) as error:
        fit(table, **ROLES, irregular="mean", columns=["a", "b"])
    assert str(error.value) == "column 'b': expected at least one value to learn from, got only missing ones"


def test_only_series_are_irregular():
    with pytest.raises(UsageError) as error:
        fit(*texts(), irregular="forward")
    assert str(error.value) == "irregular must not be given for kind='text', got 'forward'"


def test_arrays_without_times_are_read_by_their_steps():
    rng = np.random.default_rng(0)
    arrays = [np.where(rng.random((6, 2)) < 0.4, np.nan, rng.normal(i % 2, 0.3, (6, 2))) for i in range(40)]
    model = fit(arrays, [i % 2 for i in range(40)], irregular="indicators", epochs=6, val_size=0)
    assert model.model_.step(Irregular).clock == "steps"
    assert model.score(arrays, [i % 2 for i in range(40)]) > 0.9
    assert model.predict_proba([np.full((3, 2), np.nan), np.empty((0, 2))]).shape == (2, 2)
