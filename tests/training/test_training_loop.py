"""What the loop computes: against steps written out by hand, and at its edges."""

import math
import time
from dataclasses import replace

import pytest
import torch
from training_jobs import CarryJob, LineJob, ScriptedJob, same_weights

from grus.errors import DivergenceError, UsageError
from grus.training import TrainingConfig, train
from grus.training.checkpoint import load_checkpoint
from grus.training.meter import Meter
from grus.training.state import RunState

CPU = TrainingConfig(device="cpu", epochs=3, log="none")


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_same_weights_rejects_one_ulp():
    left, right = LineJob().model, LineJob().model
    assert same_weights(left, right)
    with torch.no_grad():
        bias = right[0].bias
        bias[0] = torch.nextafter(bias[0], torch.tensor(math.inf))
    assert not same_weights(left, right)


def test_equals_a_loop_written_out_by_hand(tmp_path):
    config = replace(
        CPU, learning_rate=0.02, weight_decay=0.1, gradient_clip=0.5, warmup_steps=4, decay="linear"
    )
    job = LineJob(dropout=0.0)
    history = train(job, config, tmp_path)

    hand = LineJob(dropout=0.0)
    matrices = [p for p in hand.model.parameters() if p.ndim == 2]
    vectors = [p for p in hand.model.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}], fused=True
    )
    step, losses = 0, []
    for epoch in range(3):
        for index in range(5):
            rate = 0.02 * (step + 1) / 4 if step < 4 else 0.02 * (1 - 0.99 * (step - 4) / 10)
            for group in optimizer.param_groups:
                group["lr"] = rate
            batch = hand.batch(epoch, index)
            batch = {"x": torch.from_numpy(batch["x"]), "y": batch["y"]}
            optimizer.zero_grad()
            loss, _ = hand.loss(batch, None)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(hand.model.parameters(), 0.5)
            optimizer.step()
            losses.append(loss.item())
            step += 1
    assert same_weights(job.model, hand.model)
    assert [r.train_loss for r in history.epochs] == pytest.approx(
        [sum(losses[i : i + 5]) / 5 for i in (0, 5, 10)], rel=1e-12
    )


def test_learns_and_reports(tmp_path):
    job = LineJob(dropout=0.0, steps=20)
    history = train(job, replace(CPU, epochs=15, learning_rate=0.02), tmp_path)
    assert history.stopped == "epochs"
    assert history.monitored == "mse"
    assert history.best_score is not None
    assert history.best_score < 0.05
    assert [r.epoch for r in history.epochs] == list(range(1, 16))
    assert [r.steps for r in history.epochs] == list(range(20, 301, 20))
    assert history.epochs[-1].learning_rate == pytest.approx(0.01 * 0.02)
    assert all(r.samples_per_second == pytest.approx(160 / r.seconds) for r in history.epochs)
    assert not job.model.training
    with torch.no_grad():
        assert job.validate()["mse"] == history.best_score


def test_the_callers_generator_is_left_alone(tmp_path):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    train(LineJob(), CPU, tmp_path)
    assert torch.equal(before, torch.get_rng_state())


def test_two_runs_are_equal_whatever_the_generator_and_another_seed_is_not(tmp_path):
    runs = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(runs))
        job = LineJob()
        train(job, replace(CPU, seed=seed), tmp_path)
        runs.append(job.model)
    assert same_weights(runs[0], runs[1])
    assert not same_weights(runs[0], runs[2])  # dropout draws from the seed


def test_early_stopping_restores_the_best_weights(tmp_path):
    job = ScriptedJob([5.0, 4.0, 3.0, 3.5, 3.0, 3.2, 1.0])
    history = train(job, replace(CPU, epochs=7, patience=3), tmp_path)
    assert history.stopped == "patience"
    assert [r.validation["score"] for r in history.epochs] == [5.0, 4.0, 3.0, 3.5, 3.0, 3.2]
    assert (history.best_epoch, history.best_score) == (3, 3.0)
    assert torch.equal(next(job.model.parameters()), job.seen[2])
    assert not torch.equal(job.seen[2], job.seen[5])


def test_without_patience_all_epochs_run_and_the_best_weights_are_kept(tmp_path):
    job = ScriptedJob([1.0, 2.0, 3.0])
    history = train(job, CPU, tmp_path)
    assert (history.stopped, history.best_epoch, len(history.epochs)) == ("epochs", 1, 3)
    assert torch.equal(next(job.model.parameters()), job.seen[0])


def test_without_validation_the_last_weights_are_kept(tmp_path):
    class Blind(LineJob):
        def validate(self):
            return {}

    job = Blind()
    history = train(job, CPU, tmp_path)
    assert (history.best_epoch, history.best_score, history.monitored) == (3, None, None)
    improving = ScriptedJob([3.0, 2.0, 1.0], steps=5)
    train(improving, CPU, tmp_path)
    assert same_weights(job.model, improving.model)
    with pytest.raises(UsageError, match="patience needs a validation score"):
        train(Blind(), replace(CPU, patience=2), tmp_path)


@pytest.mark.parametrize("clip", [0.25, None])
def test_clipping_bounds_the_first_step(tmp_path, clip):
    config = replace(
        CPU,
        epochs=1,
        optimizer="sgd",
        learning_rate=0.1,
        gradient_clip=clip,
        decay="constant",
        warmup_steps=0,
    )
    job = LineJob(steps=1)
    begin = flat(job.model)
    train(job, config, tmp_path)
    moved = (flat(job.model) - begin).norm().item()
    if clip is None:
        assert moved > 0.1
    else:
        assert moved == pytest.approx(0.1 * clip, rel=1e-4)


def test_weight_decay_reaches_matrices_only(tmp_path):
    class Flat(LineJob):
        def loss(self, batch, carry):
            return 0 * self.model(batch["x"]).sum(), None

    job, start = Flat(), Flat()
    config = replace(CPU, epochs=1, optimizer="sgd", learning_rate=0.5, weight_decay=0.5, decay="constant")
    train(job, config, tmp_path)
    for (name, after), before in zip(job.model.named_parameters(), start.model.parameters(), strict=True):
        assert torch.equal(after, before) == name.endswith("bias")
    assert job.model[0].weight.norm() < start.model[0].weight.norm()


def test_carry_goes_from_step_to_step_detached_and_restarts_with_the_epoch(tmp_path):
    job = CarryJob(steps=4)
    train(job, replace(CPU, epochs=2), tmp_path)
    assert [carry is None for carry in job.carries] == [True, False, False, False] * 2
    states = [carry["h"][0] for carry in job.carries if carry is not None]
    assert not any(state.requires_grad for state in states)
    assert all(state.shape == (1, 1, 6) for state in states)


def test_a_carry_of_another_kind_is_refused(tmp_path):
    class Odd(LineJob):
        def loss(self, batch, carry):
            return super().loss(batch, carry)[0], {1, 2}

    with pytest.raises(
        UsageError, match="carry must hold tensors, None, tuples, lists and dicts only, got set"
    ):
        train(Odd(), CPU, tmp_path)


class WeightsJob(ScriptedJob):
    """Keeps the first weight matrix as it was before every step."""

    def __init__(self, scores):
        super().__init__(scores)
        self.before = []

    def batch(self, epoch, step):
        self.before.append(next(self.model.parameters()).detach().clone())
        return super().batch(epoch, step)


def test_average_is_validated_and_kept_while_training_goes_on_with_the_weights(tmp_path):
    plain, averaged = ScriptedJob([3.0, 2.0, 1.0]), ScriptedJob([3.0, 2.0, 1.0])
    train(plain, CPU, tmp_path)
    train(averaged, replace(CPU, ema=0.5), tmp_path)
    # by hand: d_t = min(0.5, (1 + t) / (10 + t)) over the weights after every step of the plain run
    weights = WeightsJob([3.0, 2.0, 1.0])
    train(weights, CPU, tmp_path)
    average, *after = [*weights.before, next(plain.model.parameters()).detach()]
    for step, now in enumerate(after, start=1):
        d = min(0.5, (1 + step) / (10 + step))
        average = d * average + (1 - d) * now
    torch.testing.assert_close(next(averaged.model.parameters()).detach(), average, rtol=1e-6, atol=1e-7)
    assert torch.equal(averaged.seen[2], next(averaged.model.parameters()))
    assert not torch.equal(plain.seen[2], averaged.seen[2])


class NaNJob(LineJob):
    """A loss that becomes NaN at optimiser step 8 (epoch 2, step 3 of 5)."""

    def loss(self, batch, carry):
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls == 8:
            self.before = flat(self.model)
        return super().loss(batch, carry)[0] * (math.nan if self.calls >= 8 else 1.0), None


def test_a_loss_that_is_not_finite_stops_before_the_weights_move(tmp_path):
    job = NaNJob()
    config = replace(CPU, checkpoint_every_steps=1, decay="constant", learning_rate=0.0125)
    with pytest.raises(DivergenceError) as caught:
        train(job, config, tmp_path)
    assert str(caught.value) == (
        "training: the loss must be finite, got nan at step 8 (epoch 2, learning rate 0.0125)"
    )
    assert "lower learning_rate" in caught.value.hint
    assert torch.equal(job.before, flat(job.model))
    saved = load_checkpoint(tmp_path)
    assert saved["state"]["global_step"] == 7
    assert all(value.isfinite().all() for value in saved["model"].values())


def test_a_gradient_that_is_not_finite_stops_too(tmp_path):
    class Root(LineJob):
        def loss(self, batch, carry):
            return (0 * self.model(batch["x"])).sum().sqrt(), None  # 0, with derivative infinity * 0

    start = flat(Root().model)
    job = Root()
    with pytest.raises(DivergenceError, match="the gradient norm must be finite, got nan at step 1"):
        train(job, CPU, tmp_path)
    assert torch.equal(start, flat(job.model))


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_not_finite_stops_too(tmp_path, score):
    with pytest.raises(DivergenceError, match=r"validation score score must be finite, got .* after epoch 2"):
        train(ScriptedJob([1.0, score]), CPU, tmp_path)


def test_meter_with_lag_sums_in_the_same_order_and_finds_the_step(monkeypatch):
    losses = [0.1 * k for k in range(1, 8)]
    sums = []
    for lag in (1, 3, 16):
        monkeypatch.setattr("grus.training.meter._LAG", {"cpu": lag})
        state = RunState()
        meter = Meter(state, torch.device("cpu"), check_norm=True)
        for loss in losses:
            meter.add(torch.tensor(loss), torch.tensor(1.0), samples=3, rate=0.1)
            state.global_step += 1
        meter.flush()
        sums.append((state.loss_sum, state.samples))
        caught = pytest.raises(DivergenceError, match="gradient norm must be finite, got inf at step 8")
        if lag == 1:
            with caught:
                meter.add(torch.tensor(1.0), torch.tensor(math.inf), 3, 0.1)
        else:
            meter.add(torch.tensor(1.0), torch.tensor(math.inf), 3, 0.1)
            with caught:
                meter.flush()
    assert sums[0] == sums[1] == sums[2]
    meter = Meter(RunState(), torch.device("cpu"), check_norm=False)
    meter.add(torch.tensor(1.0), torch.tensor(math.inf), 3, 0.1)
    meter.flush()


def test_time_limit_cuts_an_epoch_and_more_time_goes_on_with_it(tmp_path):
    job = LineJob()
    history = train(job, replace(CPU, max_seconds=1e-9), tmp_path)
    assert history.stopped == "max_seconds"
    assert [(r.epoch, r.steps) for r in history.epochs] == [(1, 1)]
    again = LineJob()
    assert train(again, replace(CPU, max_seconds=1e-9), tmp_path, resume=True).epochs[0].steps == 1
    assert same_weights(job.model, again.model)

    unbroken, resumed = LineJob(), LineJob()
    train(resumed, CPU, tmp_path, resume=True)
    train(unbroken, CPU, tmp_path / "unbroken")
    assert same_weights(unbroken.model, resumed.model)


def test_time_limit_between_epochs(tmp_path):
    class Slow(LineJob):
        def validate(self):
            time.sleep(0.3)
            return super().validate()

    history = train(Slow(), replace(CPU, max_seconds=0.29), tmp_path)
    assert (history.stopped, len(history.epochs), history.epochs[0].steps) == ("max_seconds", 1, 5)
    assert history.epochs[0].seconds < 0.29 <= history.seconds


def test_without_a_folder_everything_stays_in_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job, kept = LineJob(), LineJob()
    history = train(job, replace(CPU, log="csv"), None)
    train(kept, CPU, tmp_path / "kept")
    assert len(history.epochs) == 3
    assert same_weights(job.model, kept.model)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    with pytest.raises(UsageError, match="resume must have a folder"):
        train(LineJob(), CPU, None, resume=True)


def test_bfloat16_keeps_targets_and_weights_in_float32(tmp_path):
    seen = {}

    class Watch(LineJob):
        def loss(self, batch, carry):
            output = self.model(batch["x"])
            seen.update(output=output.dtype, target=batch["y"].dtype)
            return torch.nn.functional.mse_loss(output.float(), batch["y"]), None

    job = Watch()
    train(job, replace(CPU, precision="bf16-mixed"), tmp_path)
    assert seen == {"output": torch.bfloat16, "target": torch.float32}
    assert all(p.dtype == torch.float32 for p in job.model.parameters())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"device": "cuda:63"}, "device must be there, got 'cuda:63'"),
        ({"precision": "16-mixed"}, "precision '16-mixed' must run on a CUDA device"),
    ],
)
def test_devices_that_are_not_there(tmp_path, settings, sentence):
    with pytest.raises(UsageError, match=sentence):
        train(LineJob(), replace(CPU, **settings), tmp_path)


def test_a_job_without_steps_or_parameters_is_refused(tmp_path):
    with pytest.raises(UsageError, match="epoch 1 must have at least one step per process, got 0"):
        train(LineJob(steps=0), CPU, tmp_path)
    job = LineJob()
    job.model.requires_grad_(False)
    with pytest.raises(UsageError, match="must have parameters that require gradients"):
        train(job, CPU, tmp_path)
