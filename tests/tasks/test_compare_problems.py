"""A user's data as a problem: the figures are those of the estimators, and every cell sees the same rows."""

import dataclasses

import numpy as np
import pytest
import torch
from classify_tables import TINY as CLASSIFY
from classify_tables import images, series, texts
from compare_cases import a_setting
from forecast_tables import TINY as FORECAST
from forecast_tables import one_series, table

from grus import Classifier, Forecaster
from grus.errors import DataError, UsageError
from grus.tasks.compare.classify import ClassifyProblem
from grus.tasks.compare.forecast import ForecastProblem
from grus.training import train


def forecasts(data=None, test_size=30, lengths=(), **options):
    data = one_series(300) if data is None else data
    return ForecastProblem(data, Forecaster(6, **(FORECAST | options)), test_size, lengths)


def classes(data=None, y=None, validation=None, test=None, **options):
    data, y = texts(90) if data is None else (data, y)
    options = {"val_size": 20, "test_size": 25} | options
    return ClassifyProblem(data, y, Classifier(**(CLASSIFY | options)), validation, test)


def trained(problem, setting):
    job = problem.job(setting)
    train(job, problem.config(setting), None)
    with torch.no_grad():
        return problem.losses(job.model, setting)


@pytest.mark.parametrize("data", [one_series(300), table(lengths=(150, 130))], ids=["one", "two"])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_forecast_errors_and_floors_are_those_of_the_estimator(data, cell):
    setting = a_setting(cell=cell, hidden=8, seed=1)
    problem = forecasts(data)
    options = FORECAST | {"cell": cell, "seed": 1, "learning_rate": setting.learning_rate}
    model = Forecaster(6, test_size=30, **options).fit(data, progress="quiet")
    found = trained(problem, setting)
    assert found.mean == pytest.approx(model.test_.model.mae, rel=1e-6)
    assert found.also["RMSE (y)"] == pytest.approx(model.test_.model.rmse, rel=1e-6)
    assert problem.floors() == pytest.approx({s.name: s.mae for s in model.test_.scores[1:]})


@pytest.mark.parametrize("kind", ["texts", "several labels"])
def test_class_errors_and_floors_are_those_of_the_estimator(kind):
    data, y = texts(90)
    options = CLASSIFY | {"val_size": 20, "test_size": 25, "seed": 1, "epochs": 1}
    if kind != "texts":
        y = [{"a"} if label == "good" else {"a", "b"} for label in y]
    problem = ClassifyProblem(data, y, Classifier(**options))
    setting = a_setting(hidden=8, seed=1)
    model = Classifier(**(options | {"learning_rate": setting.learning_rate})).fit(data, y, progress="quiet")
    found = trained(problem, setting)
    assert set(found.values.tolist()) <= {0.0, 1.0}
    assert found.mean == pytest.approx(1 - model.test_.accuracy)
    assert found.also["log loss"] == pytest.approx(model.test_.log_loss, rel=1e-6)
    floors = {name: 1 - score.accuracy for name, score in model.test_.baselines.items()}
    assert problem.floors() == pytest.approx(floors, abs=1e-9)


def test_cells_differ_in_the_cell_alone():
    for problem in (forecasts(), classes()):
        one, other = (problem.job(a_setting(cell=cell)) for cell in ("gru", "rnn"))
        assert one.steps(0) == other.steps(0)
        for step in range(3):
            a, b = one.batch(1, step), other.batch(1, step)
            assert all(np.array_equal(a[name], b[name], equal_nan=True) for name in a)
        ops = [[node.op.name for node in job.model.graph.nodes] for job in (one, other)]
        changed = [pair for pair in zip(*ops, strict=True) if pair[0] != pair[1]]
        assert {pair[0].removesuffix(" step").removesuffix("Step") for pair in changed} == {"GRU"}


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_graph_that_is_counted_is_the_one_that_is_trained(cell):
    many = table("promo", "kind", lengths=(150, 130))
    for problem, length in (
        (forecasts(lengths=(12, 24)), 24),
        (forecasts(many, future=["promo"], static=["kind"]), None),
        (classes(), None),
    ):
        setting = a_setting(cell=cell, length=length)
        assert problem.graph(cell, 6, length) == problem.job(setting).model.graph


def test_a_job_starts_from_fresh_weights_every_time():
    for problem in (forecasts(), classes()):
        setting = a_setting()
        before = problem.job(setting).model.tensors()
        trained(problem, setting)
        again = problem.job(setting).model.tensors()
        assert all(np.array_equal(before[name], again[name]) for name in before)


def test_a_share_of_a_series_is_its_newest_training_rows_and_the_test_rows_stay():
    data = one_series(300)
    whole = forecasts(data)
    data["y"] = np.where(np.arange(300) < 100, 1e6, data["y"])
    spoilt = forecasts(data)
    setting = a_setting(share=0.3, hidden=8)
    one, other = trained(whole, setting), trained(spoilt, setting)
    assert one.values.tolist() == other.values.tolist(), "older rows are not seen at all"
    assert whole.job(setting).steps(0) == 50
    full = dataclasses.replace(setting, share=1.0)
    assert len(trained(whole, full).values) == len(trained(whole, setting).values) == 5
    assert trained(whole, full).mean != trained(spoilt, full).mean


def test_lookbacks_are_tested_on_the_same_windows():
    problem = forecasts(lengths=(12, 48))
    found = [trained(problem, a_setting(length=length, hidden=8)) for length in (12, 48)]
    assert np.array_equal(found[0].weights, found[1].weights)
    graphs = [problem.job(a_setting(length=length)).batch(0, 0)["past"].shape[1] for length in (12, 48)]
    assert graphs == [12, 48]
    assert problem.floors(12) == problem.floors(48)


def test_units_are_places_in_time_or_series_whichever_are_more():
    many = table(lengths=(90,) * 2)
    assert "5 of the test, each a place in time" in forecasts(many).plan[-1]
    assert "2 of the test, each a series" in forecasts(many, test_size=12).plan[-1]
    assert "5 of the test, each a window" in forecasts().plan[-1]
    found = trained(forecasts(many), a_setting(hidden=8))
    assert found.weights.tolist() == [12.0] * 5


def test_a_share_of_labelled_rows_is_stratified_and_nested():
    problem = classes(*series(90))
    rows = {}
    for share in (0.2, 0.5):
        kept = problem._prepare(share, None).parts.train
        rows[share] = {id.tobytes() for id in np.split(kept.series, kept.offsets[1:-1])}
        counts = np.unique([label for (label,) in kept.labels], return_counts=True)[1]
        assert counts.max() - counts.min() <= 1
        assert abs(len(kept) - share * 45) < 1
    assert rows[0.2] < rows[0.5]
    assert len(trained(problem, a_setting(share=0.2, hidden=8)).values) == 25


def test_the_length_of_an_example_is_max_length():
    problem = classes(*series(60))
    lengths = problem.job(a_setting(length=3)).batch(0, 0)["lengths"]
    assert lengths.max() == 3
    assert problem.job(a_setting()).batch(0, 0)["lengths"].max() > 3


def test_validation_and_test_rows_of_their_own():
    data, y = texts(60)
    problem = classes(data, y, (data[:20], y[:20]), (data[20:35], y[20:35]))
    assert problem.plan[-1] == "units     15 of the test, each one text"
    assert problem._prepare(1.0, None).parts.train.rows == 60
    pictures, labels = images()
    assert len(classes(pictures, labels, None, (pictures[:10], labels[:10]), val_size=8)._parts.test) == 10


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(UsageError, match=r"^compare: val_size must leave rows to compare on, got 0$"):
        forecasts(val_size=0)
    with pytest.raises(UsageError, match=r"^compare: test_size must leave rows to compare on, got 0$"):
        forecasts(test_size=0)
    with pytest.raises(UsageError, match=r"^compare: test_size must leave rows to compare on, got 0$"):
        classes(test_size=0)
    with pytest.raises(
        UsageError, match=r"^test must be a pair \(data, labels\) as labels are given as y, got list"
    ):
        classes(*texts(30), None, ["a"])
    with pytest.raises(
        DataError,
        match=r"^sizes: a share of 0.05 leaves 12 training rows, but a lookback of 12 and a horizon of 6 need at "
        r"least 18$",
    ):
        forecasts().job(a_setting(share=0.05))
