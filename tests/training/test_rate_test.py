"""The range test: the rate that its rule says, the same every time, and a model that does not notice it."""

import contextlib
import io
import math
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from training_jobs import CarryJob, LineJob, same_weights

from grus.errors import DivergenceError, TrainingInterrupted
from grus.training import History, TrainingConfig, make_progress, train
from grus.training.checkpoint import checkpoint_path
from grus.training.device import make_fabric, make_optimizer
from grus.training.job import LossModule
from grus.training.rate_test import STEPS, choose, rate_test

AUTO = TrainingConfig(device="cpu", epochs=2, log="none", learning_rate="auto")


class NormJob(LineJob):
    """With buffers that training changes, a submodule that is not trained on, and a frozen weight."""

    def __init__(self):
        super().__init__()
        self.model.append(torch.nn.BatchNorm1d(1))
        self.model[2].eval()
        self.model[0].bias.requires_grad_(False)


def range_test(job, config=AUTO):
    """The range test of a job by itself, without the training that comes after it."""
    fabric = make_fabric(config)
    forward, _ = fabric.setup(LossModule(job), make_optimizer(job.model, config))
    with torch.random.fork_rng(devices=[]):
        return rate_test(job, config, fabric, forward)


def recorded(job):
    """The job, and the positions of the batches that it is asked for."""
    batch, asked = job.batch, []
    job.batch = lambda epoch, step: asked.append((epoch, step)) or batch(epoch, step)
    return job, asked


# -- the rule ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rates", "losses", "chosen"),
    [
        ([1e-4, 1e-3, 1e-2, 1e-1], [3, 2, 1, 5], 1e-3),
        ([0.01234, 1], [1, 2], 0.0012),
        ([0.01278, 1], [1, 2], 0.0013),
        ([1e-4, 1e-3, 1e-2], [2, 1, 1], 1e-4),
        ([1e-4, 1e-3, 1e-2], [math.nan, 2, math.inf], 1e-4),
        ([1e-6], [1], 1e-7),
    ],
    ids=["the smallest", "two digits", "rounded", "the first of equals", "finite ones only", "one step"],
)
def test_a_tenth_of_the_rate_with_the_smallest_loss(rates, losses, chosen):
    assert choose(rates, losses) == chosen


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_no_finite_loss_at_all(loss):
    sentence = f"training: the loss must be finite, got {loss} before the first step of the range test"
    with pytest.raises(DivergenceError) as caught:
        choose([1e-6], [loss])
    assert (str(caught.value), caught.value.hint) == (
        sentence,
        "look for infinite and huge values in the data",
    )


def test_infinite_data(tmp_path):
    job = LineJob()
    job.y[:] = np.inf
    with pytest.raises(DivergenceError, match="got inf before the first step of the range test"):
        train(job, AUTO, tmp_path)
    assert not checkpoint_path(tmp_path).exists()


# -- the test ------------------------------------------------------------------------------------------


def test_rates_rise_until_the_loss_is_four_times_the_smallest():
    found = range_test(LineJob())
    n = len(found.rates)
    assert 50 < n < STEPS
    np.testing.assert_allclose(found.rates, 1e-6 * 10 ** (6 * np.arange(n) / 99))
    assert found.losses[-1] > 4 * min(found.losses)
    assert all(loss <= 4 * min(found.losses[: i + 1]) for i, loss in enumerate(found.losses[:-1]))
    assert found.rate == choose(found.rates, found.losses)
    assert 1e-3 < found.rate < 0.1


def test_a_hundred_steps_at_most():
    job = LineJob(dropout=0.0)
    job.y[:] = 1e4  # too far for any rate to get there, or away
    found = range_test(job)
    assert len(found.rates) == STEPS
    assert found.rates[-1] == 1.0


def test_the_probe_is_not_trained_on_and_epochs_follow_each_other():
    job, asked = recorded(LineJob(steps=3))
    found = range_test(job)
    assert len(asked) == len(found.rates)  # with the probe, and without the step that the last loss prevents
    assert asked[:6] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    job, asked = recorded(LineJob(steps=1))
    range_test(job)
    assert asked[:4] == [(0, 0), (1, 0), (2, 0), (3, 0)]


def test_a_carried_state_goes_from_step_to_step_within_an_epoch():
    job = CarryJob(steps=3)
    loss, carried = job.loss, []

    def watched(batch, carry):
        if torch.is_grad_enabled():
            carried.append(None if carry is None else carry["h"][0].requires_grad)
        else:
            assert carry is None, "the probe starts from nothing"
        return loss(batch, carry)

    job.loss = watched
    found = range_test(job)
    assert len(found.rates) > 50
    assert carried[:8] == [None, False, None, False, False, None, False, False]


def test_the_loss_is_that_of_the_probe_without_dropout():
    job = LineJob(dropout=0.5)
    found = range_test(job)
    job.model.eval()
    batch = {name: torch.as_tensor(value) for name, value in job.batch(0, 0).items()}
    assert found.losses[0] == job.loss(batch, None)[0].item()


def test_the_same_seed_gives_the_same_rate():
    one, two = range_test(LineJob()), range_test(LineJob(), replace(AUTO, learning_rate=123.0))
    assert (one.rates, one.losses, one.rate) == (two.rates, two.losses, two.rate)
    assert range_test(LineJob(), replace(AUTO, seed=1)).losses != one.losses, "dropout is drawn from the seed"
    assert range_test(LineJob(), replace(AUTO, weight_decay=0.5)).losses != one.losses, (
        "it is a part of the run"
    )


# -- what it leaves behind -----------------------------------------------------------------------------


def test_the_model_is_as_it_was():
    job, untouched = NormJob(), NormJob()
    modes = [module.training for module in job.model.modules()]
    found = range_test(job)
    assert len(found.rates) > 10
    assert same_weights(job.model, untouched.model)
    assert [module.training for module in job.model.modules()] == modes
    assert all(parameter.grad is None for parameter in job.model.parameters())


def test_the_model_is_as_it_was_after_an_error():
    job, untouched = NormJob(), NormJob()
    batch = job.batch
    job.batch = lambda epoch, step: batch(epoch, step) if epoch < 3 else [][0]
    with pytest.raises(IndexError):
        range_test(job)
    assert same_weights(job.model, untouched.model)
    assert job.model[0].weight.grad is None


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("make", [LineJob, CarryJob, NormJob])
def test_training_is_bit_for_bit_that_with_the_rate_given(make, precision):
    found, given = make(), make()
    config = replace(AUTO, precision=precision, ema=0.9)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    history = train(found, config, None)
    assert torch.equal(torch.get_rng_state(), before), "the caller's generator is left alone"
    assert history.rate_test is not None
    train(given, replace(config, learning_rate=history.rate_test.rate), None)
    assert same_weights(found.model, given.model)
    assert History.from_json(history.to_json()) == history


def test_the_comparison_can_fail(monkeypatch):
    """A range test that leaves its weights behind is noticed."""
    monkeypatch.setattr("grus.training.rate_test._as_it_was", lambda *_: contextlib.nullcontext())
    found, given = LineJob(), LineJob()
    history = train(found, AUTO, None)
    assert history.rate_test is not None
    train(given, replace(AUTO, learning_rate=history.rate_test.rate), None)
    assert not same_weights(found.model, given.model)


# -- what people are told ------------------------------------------------------------------------------


def test_plain_lines(capsys):
    history = train(LineJob(), AUTO, None, make_progress("plain"))
    assert history.rate_test is not None
    lines, steps = capsys.readouterr().err.splitlines(), len(history.rate_test.rates)
    assert lines[0] == "looking for a learning rate, 100 steps at most"
    assert lines[1].startswith(f"learning rate {history.rate_test.rate:.3g}, found in {steps} steps and ")
    assert [line.split("  ")[0] for line in lines[2:]] == ["epoch 1/2", "epoch 2/2"]


def test_a_bar_of_its_own(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("grus.training.progress._REFRESH_SECONDS", 0.0)
    stream = io.StringIO()
    train(LineJob(), AUTO, None, make_progress("bar", stream))
    test, training = stream.getvalue().split("found in ")
    assert "looking for a learning rate" in test
    assert "epoch" not in test
    assert " 50%" in test
    assert " left" in test
    assert "epoch 2/2" in training
    for part in (test, training):
        assert part.index("\x1b[?25l") < part.rindex("\x1b[?25h"), "the cursor is given back"


# -- broken off ----------------------------------------------------------------------------------------


class KilledError(RuntimeError):
    """Stands for the end of the process."""


def test_a_resumed_run_does_not_test_again(tmp_path):
    unbroken, broken = LineJob(), LineJob()
    expected = train(unbroken, AUTO, None)
    assert expected.rate_test is not None
    batch, calls = broken.batch, iter(range(10**6))

    def breaking(epoch, step):
        if next(calls) == len(expected.rate_test.rates) + 7:
            raise KilledError
        return batch(epoch, step)

    broken.batch = breaking
    with pytest.raises(KilledError):
        train(broken, replace(AUTO, checkpoint_every_steps=1), tmp_path)
    resumed, asked = recorded(LineJob())
    history = train(resumed, AUTO, tmp_path, resume=True)
    assert asked == [(1, 2), (1, 3), (1, 4)]
    assert history.rate_test is not None
    assert replace(history.rate_test, seconds=0) == replace(expected.rate_test, seconds=0)
    assert [r.learning_rate for r in history.epochs] == [r.learning_rate for r in expected.epochs]
    assert same_weights(resumed.model, unbroken.model)


def test_ctrl_c_ends_it_at_once(tmp_path):
    job, untouched = LineJob(), LineJob()
    batch, asked = job.batch, []

    def interrupting(epoch, step):
        asked.append((epoch, step))
        if len(asked) == 4:
            signal.raise_signal(signal.SIGINT)
        return batch(epoch, step)

    job.batch = interrupting
    with pytest.raises(TrainingInterrupted) as caught:
        train(job, AUTO, tmp_path)
    assert str(caught.value) == (
        "training stopped by Ctrl-C while it looked for a learning rate; nothing is lost, start again"
    )
    assert len(asked) == 4
    assert not checkpoint_path(tmp_path).exists()
    assert same_weights(job.model, untouched.model)
