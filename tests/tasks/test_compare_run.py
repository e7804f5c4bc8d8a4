"""The runner: what it trains, keeps, goes on with, and measures."""

import json
import math

import numpy as np
import pytest
import torch
from compare_cases import SumJob, SumProblem, a_setting, figures, run, settings

from grus.decode.comparing.records import Run
from grus.errors import DivergenceError, ModelFolderError, TrainingInterrupted, UsageError
from grus.tasks.compare import run as runner
from grus.tasks.compare.gradients import gradient_reach
from grus.tasks.compare.measure import captured, measure, training_memory
from grus.tasks.compare.sizes import count_parameters
from grus.tasks.compare.store import Store, is_begun, name_of
from grus.training.checkpoint import checkpoint_path


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A comparison at two shares, and its folder."""
    folder = tmp_path_factory.mktemp("comparisons") / "sum"
    return run(folder, sizes=(0.5, 1.0)), folder


def test_what_is_trained(unbroken):
    outcome, folder = unbroken
    assert [(point.share, point.length) for point in outcome.points] == [(0.5, None), (1.0, None)]
    assert outcome.main is outcome.points[1]
    for point in outcome.points:
        assert [result.cell for result in point.cells] == ["gru", "lstm", "rnn"]
        for result in point.cells:
            assert [run.learning_rate for run in result.tried] == [0.01, 0.03]
            assert result.rate == min(result.tried, key=lambda run: run.score).learning_rate
            assert [run.seed for run in result.runs] == [0, 1]
            assert result.losses.shape == (2, 30)
            assert [bool(run.gradient) for run in result.runs] == [True, False]
            assert len(result.runs[0].last_state) == 6
    assert len(list((folder / "runs").glob("*.json"))) == 2 * 3 * 3, (
        "two rates, and a second seed at the better"
    )
    assert not list((folder / "running").glob("*"))


def test_costs(unbroken):
    for point in unbroken[0].points:
        costs = {result.cell: result.cost for result in point.cells}
        for cell, cost in costs.items():
            assert cost.parameters == count_parameters(SumProblem().graph(cell, cost.hidden))
            assert cost.steps == (2 if point.share < 1 else 4)
            assert 0 < cost.low <= cost.epoch_seconds <= cost.high
            assert cost.cpu_seconds > 0
            assert (cost.streams, cost.latency_steps) == (True, 1)
            assert cost.latency_us > 0
            assert cost.memory > 16 * cost.parameters


def test_nothing_is_made_twice_and_more_may_be_asked_for(unbroken, monkeypatch):
    outcome, folder = unbroken
    made = []
    train = runner.train
    monkeypatch.setattr(runner, "train", lambda *a, **k: made.append(a) or train(*a, **k))
    assert figures(run(folder, sizes=(0.5, 1.0))) == figures(outcome)
    assert made == []
    again = run(folder, sizes=(1.0,), seeds=3, cells=("gru", "lstm"))
    assert len(made) == 2, "the third seed of both"
    assert again.points[0].cells[0].losses[:2].tolist() == outcome.main.cells[0].losses.tolist()


def test_killed_at_any_batch_it_goes_on_to_the_same_figures(unbroken, tmp_path, monkeypatch):
    """What a kill leaves is what Ctrl-C leaves without the last checkpoint: here nothing is said, all is dropped."""
    outcome, _ = unbroken
    batch, count = SumJob.batch, iter(range(10**6))
    # In searches, between runs, among seeds, and while times are taken.
    deadly = {0, 5, 13, 40, 41, 60, 90, 110, 150}

    class Killed(BaseException):
        pass

    def dying(self, epoch, step):
        if next(count) in deadly:
            raise Killed
        return batch(self, epoch, step)

    monkeypatch.setattr(SumJob, "batch", dying)
    kills = 0
    while True:
        try:
            found = run(tmp_path / "sum", sizes=(0.5, 1.0))
            break
        except Killed:
            kills += 1
    assert kills == len(deadly)
    assert figures(found) == figures(outcome)


def test_ctrl_c_leaves_a_checkpoint_and_says_where(tmp_path, monkeypatch):
    import signal

    batch, count = SumJob.batch, iter(range(10**6))

    def interrupted(self, epoch, step):
        if next(count) == 30:
            signal.raise_signal(signal.SIGINT)
        return batch(self, epoch, step)

    monkeypatch.setattr(SumJob, "batch", interrupted)
    with pytest.raises(
        TrainingInterrupted, match=r"^comparison stopped by Ctrl-C in run 3 of 9; its runs so far are in "
    ):
        run(tmp_path)
    assert is_begun(tmp_path)
    running = list((tmp_path / "running").glob("*"))
    assert len(running) == 1
    assert checkpoint_path(running[0]).is_file()
    assert len(list((tmp_path / "runs").glob("*.json"))) == 2


def test_the_search_goes_on_while_the_best_rate_is_at_an_end():
    s = settings(rates=None, learning_rate=1e-3)
    assert s.first_rates() == [0.00033, 0.001, 0.003]
    scores = {0.00033: 3.0, 0.001: 2.0, 0.003: 1.0}
    assert s.next_rate(scores) == 0.009
    assert s.next_rate(scores | {0.009: 2.0}) is None
    assert s.next_rate(scores | {0.009: 0.5}) == 0.027
    assert s.next_rate(scores | {0.009: 0.5, 0.027: 0.1}) is None, "five are enough"
    assert s.next_rate({0.00033: 1.0, 0.001: 2.0, 0.003: 3.0}) == 0.00011
    assert s.next_rate(dict.fromkeys((0.00033, 0.001, 0.003), math.inf)) == 0.00011
    assert settings(rates=(0.1,)).next_rate({0.1: 1.0}) is None


class Diverging(SumProblem):
    """The LSTM never comes to an end, the GRU not with seed 1."""

    def job(self, setting):
        job = super().job(setting)
        if setting.cell == "lstm" or (setting.cell == "gru" and setting.seed == 1):
            loss = job.loss
            job.loss = lambda batch, carry: (loss(batch, carry)[0] * math.inf, None)
        return job


def test_a_cell_that_diverges_stands_in_the_table_without_errors(tmp_path):
    outcome = run(tmp_path, Diverging())
    gru, lstm, _ = outcome.main.cells
    assert (len(gru.runs), gru.diverged) == (1, 1)
    assert lstm.runs == []
    assert [run.state for run in lstm.tried] == ["diverged"] * 2
    assert lstm.cost.parameters > 0
    assert lstm.cost.epoch_seconds == 0
    assert figures(run(tmp_path, Diverging())) == figures(outcome)
    with pytest.raises(
        DivergenceError, match=r"^compare: one cell must come to the end of its training, got losses"
    ):
        run(tmp_path / "none", Diverging(), cells=("gru", "lstm"), seed=1)


def test_a_damaged_run_is_named(tmp_path):
    store = Store(tmp_path)
    setting = a_setting(share=0.25, length=7)
    file = tmp_path / "runs" / f"{name_of(setting)}.json"
    assert file.name == "gru-6-0.01-share0.25-length7-seed0.json"
    store.keep_run(setting, Run("gru", 6, 0.01, 0, 0.25, 7, validation=[1.0]))
    assert store.run(setting).score == 1.0
    file.write_text(file.read_text()[:40])
    with pytest.raises(ModelFolderError, match=r"share0.25-length7-seed0.json: damaged \("):
        store.run(setting)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"cells": ("gru",)}, "cells must be a list of at least two different cells of gru, "),
        ({"cells": ("gru", "gru")}, "cells must be a list of at least two different cells"),
        ({"cells": ("gru", "tcn")}, "cells must be a list of at least two different cells"),
        ({"equal": "size"}, "equal must be 'parameters' or 'width', got 'size'"),
        ({"hidden_size": 0}, "hidden_size must be a whole number of at least 1, got 0"),
        ({"rates": (0.0,)}, r"rates must be a list of numbers above 0, or None, got \(0.0,\)"),
        ({"seeds": 0}, "seeds must be a whole number of at least 1, got 0"),
        ({"sizes": (0.5, 1.5)}, r"sizes must be a list of shares above 0, of at most 1, got \(0.5, 1.5\)"),
        ({"lengths": (0,)}, r"lengths must be a list of whole numbers of at least 1, or None, got \(0,\)"),
        ({"level": 1.0}, "level must be a share between 0 and 1, got 1.0"),
        ({"parameters": 100, "equal": "width"}, "parameters must be None for equal='width', got 100"),
    ],
)
def test_settings_that_cannot_be_used(changed, sentence):
    with pytest.raises(UsageError, match="^" + sentence):
        settings(**changed)


def test_settings_are_put_in_order():
    made = settings(sizes=[1, 0.1, 0.1], lengths=np.array([48, 24]), rates=[3e-3, 1e-3])
    assert (made.sizes, made.lengths, made.rates) == ((0.1, 1), (24, 48), (1e-3, 3e-3))
    assert list(made.points()) == [(24, 0.1), (24, 1), (48, 0.1), (48, 1)]


# -- what is measured ------------------------------------------------------------------------------------------------


def test_gradients_by_lag_are_those_of_autograd():
    problem = SumProblem()
    job = problem.job(a_setting(cell="lstm"))
    found = gradient_reach(job)
    batch = {name: torch.from_numpy(values) for name, values in job.batch(0, 0).items()}
    x = batch["x"][:16].clone().requires_grad_()
    out = job.model({"x": x})["out"]
    ((out - batch["y"][:16]) ** 2).sum().backward()
    norms = x.grad.norm(dim=-1).square().mean(0).sqrt().flip(0)
    np.testing.assert_allclose(found.loss, norms.numpy(), rtol=1e-5)
    assert len(found.last_state) == 6
    assert job.model.training


def test_a_deep_memory_reaches_further_than_a_shallow_one():
    """Gates that keep, and gates that overwrite: the picture of vanishing gradients is right."""
    reach = {}
    for keep in (-4.0, 4.0):
        job = SumProblem(length=30).job(a_setting())
        with torch.no_grad():
            for name, weight in job.model.named_parameters():
                if "bias_ih" in name:
                    weight[6:12] = keep  # the update gate
        values = np.array(gradient_reach(job).last_state)
        reach[keep] = values[-1] / values[0]
    assert reach[4.0] > 0.3
    assert reach[-4.0] < 1e-3


def test_measuring_sees_what_the_model_is_given_and_leaves_it_in_its_mode():
    job = SumProblem().job(a_setting())
    inputs, lengths = captured(job)
    assert inputs["x"].shape == (16, 6, 2)
    assert lengths is None
    assert job.model.training
    small, large = (training_memory(SumProblem(length=length).job(a_setting())) for length in (6, 60))
    weights = 16 * count_parameters(SumProblem().graph("gru", 6))
    assert large - weights > 5 * (small - weights) > 0


def test_a_slower_job_takes_longer():
    problem = SumProblem()

    class Slow(SumProblem):
        def job(self, setting):
            job = super().job(setting)
            if setting.cell == "rnn":
                loss = job.loss

                def slow(batch, carry):
                    for _ in range(20):
                        loss(batch, carry)
                    return loss(batch, carry)

                job.loss = slow
            return job

    cells = {cell: a_setting(cell=cell) for cell in ("gru", "rnn")}
    slow, plain = measure(Slow(), cells), measure(problem, cells)
    assert slow[1].cpu_seconds / slow[0].cpu_seconds > 3 * plain[1].cpu_seconds / plain[0].cpu_seconds


def test_records_are_plain_json(unbroken):
    file = next((unbroken[1] / "runs").glob("gru*seed0.json"))
    assert json.loads(file.read_text())["cell"] == "gru"
