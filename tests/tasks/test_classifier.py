"""`grus.Classifier`: it learns every kind of data, keeps scikit-learn's habits, and repeats itself exactly."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn.base
import torch
from classify_tables import TINY, events, fit, frame_of, images, series, texts

import grus
from grus import Classifier
from grus.errors import DataError, NotFittedError, TrainingInterrupted, UsageError


@pytest.fixture(scope="module")
def model():
    return fit(*texts(), val_size=12)


def accuracy(model, data, y):
    assert model.score(data, y) == (model.predict(data) == np.array(y)).mean()
    return model.score(data, y)


# -- learning ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokenizer", ["word", "char", "bpe"])
def test_texts_are_learnt(tokenizer):
    model = fit(*texts(120), tokenizer=tokenizer, epochs=3, hidden_size=16, val_size=0)
    assert accuracy(model, *texts(60, seed=1)) > 0.95


@pytest.mark.parametrize("pool", ["mean", "max", "attention", "last"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_series_are_learnt_by_every_pool_in_one_direction_and_two(pool, bidirectional):
    model = fit(*series(), pool=pool, bidirectional=bidirectional, epochs=4, val_size=0)
    assert accuracy(model, *series(30, seed=1)) > 0.95


def test_images_are_learnt():
    model = fit(*images(), epochs=2, val_size=0)
    assert accuracy(model, *images(20, seed=1)) == 1.0
    assert model.predict(images(4)[0]).dtype.kind == "i", "labels come back as what they were"


def test_dropout_hides_words_and_codes_but_no_pixels_or_channels():
    """Half of eight pixels hidden is not a noisy image but none: digits by rows lost 8 points of accuracy by it."""

    def hides_inputs(model):
        return any(node.name == "input_dropout" for node in model.model_.parts["main"].nodes)

    assert hides_inputs(fit(*texts(), epochs=1))
    assert hides_inputs(fit(events(), epochs=1, id="patient", label="outcome"))
    assert not hides_inputs(fit(*series(), epochs=1))
    assert not hides_inputs(fit(*images(), epochs=1))


def test_events_are_learnt_where_order_and_company_matter():
    """One code or the other says nothing; both on one day do."""
    model = fit(events(), epochs=6, hidden_size=16, dropout=0.2, id="patient", label="outcome")
    assert model.model_.task.kind == "events"
    assert (model.model_.task.inputs, model.model_.task.time) == (("code",), "day")
    assert model.score(events(40, seed=1)) > 0.9


def test_several_labels_a_row_are_learnt_each_by_itself():
    rng = np.random.default_rng(0)
    chosen = rng.random((150, 3)) < 0.4
    words = np.array(["red", "green", "blue"])
    lines = [" ".join(rng.permutation([*words[row], "paint", "wall"])) for row in chosen]
    labels = [words[row].tolist() for row in chosen]
    model = fit(lines, labels, epochs=8, hidden_size=16, dropout=0.2, val_size=30)
    assert model.model_.task.multi
    assert model.validation_.accuracy > 0.9
    assert model.classes_.tolist() == ["blue", "green", "red"]
    found = model.predict(["blue red paint", "wall"])
    assert found == [("blue", "red"), ()]
    assert model.predict_proba(["blue"]).shape == (1, 3)


def test_balanced_weights_find_the_rare_label():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4, 1)) + np.where(np.arange(300) % 15 == 0, 1.0, 0.0)[:, None, None]
    y = ["rare" if i % 15 == 0 else "often" for i in range(300)]
    recalls = {
        weight: fit(x, y, class_weight=weight, val_size=0, epochs=4).evaluate(x, y).recall[1]
        for weight in (None, "balanced")
    }
    assert recalls["balanced"] > 0.6 > 0.3 > recalls[None]


def test_padding_and_company_do_not_change_a_prediction(model):
    lines = texts(20, seed=3)[0]
    together = model.predict_proba(lines)
    for row, line in enumerate(lines):
        np.testing.assert_array_equal(model.predict_proba([line])[0], together[row])


# -- scikit-learn's habits ---------------------------------------------------------------------------------


def test_clone_and_set_params():
    model = Classifier(columns=["a"], class_weight={"a": 2.0}, pool="mean")
    other = sklearn.base.clone(model)
    assert other.get_params() == model.get_params()
    assert model.set_params(pool="last") is model
    with pytest.raises(UsageError, match="Classifier: no parameter 'poll'; the parameters are kind, text, "):
        model.set_params(poll="max")


def test_before_fit():
    for call in (lambda m: m.predict(["a"]), lambda m: m.evaluate(["a"], ["b"]), lambda m: m.save("x")):
        with pytest.raises(NotFittedError, match="Classifier: call fit before this"):
            call(Classifier())


def test_labels_come_back_as_they_were_given():
    lines, moods = texts()
    for labels, kind in ((np.array(moods), "U"), ([int(m == "good") for m in moods], "i")):
        model = fit(lines, labels, epochs=1)
        assert model.classes_.dtype.kind == kind
        assert set(model.predict(lines)) <= set(model.classes_.tolist())
        assert model.predict_proba(lines).sum(1) == pytest.approx(1)


def test_a_table_gives_a_table_of_its_kind():
    lines, moods = texts()
    for make in (pd.DataFrame, pl.DataFrame, dict):
        table = {"number": np.arange(60) + 7, "review": lines, "mood": moods}
        data = make(table) if make is not dict else {k: np.array(v) for k, v in table.items()}
        model = fit(data, text="review", label="mood", id="number", epochs=1)
        found = model.predict(data)
        assert type(found) is type(data)
        assert list(getattr(found, "columns", found)) == ["number", "mood", "probability"]
        assert list(found["number"]) == list(range(7, 67))
        assert model.score(data) == (np.array(found["mood"]) == np.array(moods)).mean()


def test_lists_of_arrays_and_their_long_table_are_the_same_model():
    arrays, labels = series()
    one, two = fit(arrays, labels), fit(frame_of(arrays, labels))
    assert two.model_.task.inputs == ("x0", "x1")
    for name, values in one.tensors_.items():
        np.testing.assert_array_equal(two.tensors_[name], values)


# -- repeating itself --------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    one, two, other = fit(*texts()), fit(*texts()), fit(*texts(), seed=1)
    for name, values in one.tensors_.items():
        np.testing.assert_array_equal(two.tensors_[name], values)
    assert (other.tensors_["main.encoder.weight_hh_l0"] != one.tensors_["main.encoder.weight_hh_l0"]).any()


def test_fit_leaves_the_callers_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    fit(*texts(), epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_a_broken_run_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    import grus.tasks.classify_job as module

    unbroken = fit(*texts(), epochs=3)
    plain, calls = module.ClassifyJob.batch, []

    def interrupted(self, epoch, step):
        calls.append((epoch, step))
        if len(calls) == 70:
            import _thread

            _thread.interrupt_main()
        return plain(self, epoch, step)

    monkeypatch.setattr(module.ClassifyJob, "batch", interrupted)
    parts = texts()
    model = Classifier(**TINY | {"epochs": 3})
    with pytest.raises(TrainingInterrupted):
        model.fit(*parts, folder=tmp_path / "run", progress="quiet")
    monkeypatch.setattr(module.ClassifyJob, "batch", plain)
    other = Classifier(**TINY | {"epochs": 3, "hidden_size": 9})
    with pytest.raises(
        UsageError, match="cannot resume, because parameter 'hidden_size' is not what the run"
    ):
        other.fit(*parts, folder=tmp_path / "run", resume=True, progress="quiet")
    with pytest.raises(
        UsageError, match="cannot resume, because the data is not what the run was started with"
    ):
        model.fit(*texts(seed=1), folder=tmp_path / "run", resume=True, progress="quiet")
    model.fit(*parts, folder=tmp_path / "run", resume=True, progress="quiet")
    for name, values in unbroken.tensors_.items():
        np.testing.assert_array_equal(model.tensors_[name], values)


# -- what is learned, saved and evaluated ------------------------------------------------------------------


def test_a_saved_model_is_the_same_model(model, tmp_path):
    folder = model.save(tmp_path / "m", report=False)
    live = grus.load(folder)
    lines, moods = texts(30, seed=5)
    np.testing.assert_array_equal(live.predict_proba(lines), model.predict_proba(lines))
    assert live.predict(lines)["label"].tolist() == model.predict(lines).tolist()
    assert live.evaluate(lines, moods).baselines == model.evaluate(lines, moods).baselines
    config = json.loads((folder / "config.json").read_text())
    assert "awful" in json.dumps(config)


def test_evaluations_stand_beside_baselines_fitted_to_training_rows(model):
    found = model.validation_
    assert found.n == 12
    assert list(found.baselines) == ["majority", "bag of words"]
    assert found.baselines["majority"].accuracy == 0.5
    assert found.baselines["bag of words"].accuracy > 0.8
    assert model.test_ is None
    assert model.tensors_["task.prior"].tolist() == [0.5, 0.5]
    assert model.tensors_["task.temperature"][0] != 1


def test_without_validation_rows_training_goes_to_its_end_and_nothing_is_calibrated():
    model = fit(*series(), val_size=0, test_size=0.2)
    assert model.validation_ is None
    assert model.test_.n == 12
    assert len(model.history_.epochs) == 2
    assert model.tensors_["task.temperature"].tolist() == [1.0]


def test_validation_rows_of_their_own():
    new = texts(10, seed=9)
    model = fit(*texts(), validation=new)
    assert model.parts_.train.rows == 60
    assert model.validation_.n == 10
    assert model.parts_.val.texts == new[0]
    lines, moods = texts()
    table = {"text": np.array(lines), "label": np.array(moods)}
    model = fit(table, validation={name: values[:6] for name, values in table.items()})
    assert model.validation_.n == 6
    sentence = "validation must be a pair (data, labels) as labels are given as y, got list"
    with pytest.raises(UsageError) as error:
        fit(lines, moods, validation=lines)
    assert str(error.value) == sentence


def test_labels_that_training_did_not_know_are_counted_named_and_wrong(model):
    lines, moods = texts(10, seed=4)
    found = model.evaluate([*lines, "good", "fine"], [*moods, "odd", "odd"])
    assert found.unseen == {"odd": 2}
    right = (model.predict(lines) == np.array(moods)).sum()
    assert found.accuracy == right / 12


def test_the_plan_is_told_before_training():
    told = []
    lines, moods = texts()
    Classifier(**TINY).fit([*lines, ""], [*moods, "bad"], progress="quiet", report_plan=told.extend)
    assert [line.split()[0] for line in told][:3] == ["text", "label", "rows"]
    assert "rows      54 train, 6 validate" in told
    assert told[-1] == "1 empty row left out of training"


# -- what cannot be done -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "y", "sentence"),
    [
        (["a b", "b c"] * 9, ["x"] * 18, "labels: expected at least two different labels, got only 'x'"),
        (["a b"] * 9, ["x"] * 8 + ["y"], "labels: label 'y' must have at least 2 rows (for training, validation), got 1"),
        (["", " "] * 9, ["x", "y"] * 9, "texts: expected some to learn from that are not empty, got 16 empty ones"),
    ],
)  # fmt: skip
def test_data_that_nothing_can_be_learned_from(data, y, sentence):
    with pytest.raises(DataError) as error:
        fit(data, y)
    assert str(error.value) == sentence


def test_labels_are_needed():
    with pytest.raises(DataError) as error:
        fit(["a", "b"])
    assert (str(error.value), error.value.hint) == (
        "data: expected labels to learn from, got none",
        "give them as y",
    )
