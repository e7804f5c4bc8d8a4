"""The training loop, on Lightning Fabric: every task of Grus is trained by `train`."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from grus.errors import (
    DivergenceError,
    GrusError,
    ModelFolderError,
    TrainingInterrupted,
    UnsupportedError,
    UsageError,
)
from grus.training.average import average_in_place, load_average, start_average, update_average
from grus.training.checkpoint import checkpoint_path, load_checkpoint, save_checkpoint
from grus.training.config import TrainingConfig
from grus.training.device import make_fabric, make_optimizer, seed_generators
from grus.training.gradients import Clipper
from grus.training.history import EpochRecord, History, RateTest, Stopped
from grus.training.interrupt import Interrupts
from grus.training.job import Carry, Inputs, Job, LossModule, batch_size, map_carry, to_tensors
from grus.training.logs import open_log
from grus.training.meter import Meter
from grus.training.progress import Progress
from grus.training.rate_test import STEPS, rate_test
from grus.training.schedule import learning_rate_at
from grus.training.state import RunState, check_settings, check_weights, fixed_settings

_STEP, _VALIDATION = 0, 1  # purposes of a seed


def train(
    job: Job,
    config: TrainingConfig,
    folder: Path | None,
    progress: Progress | None = None,
    resume: bool = False,
    give_up: Callable[[Sequence[EpochRecord]], bool] | None = None,
) -> History:
    """Train ``job.model`` in place and leave it with the weights of its best epoch, in eval mode.

    One epoch is ``job.steps(epoch)`` times: seed from (seed, step), batch, loss, backward, clip, step;
    then ``job.validate()``.  The best epoch is the one whose first score is smallest; without scores it is
    the last one.  A run that is killed at any moment and resumed ends with bitwise the weights of an
    unbroken run (on the CPU; same thread count, device and versions).  The caller's torch generators are
    left as they were.  Under ``torchrun`` each optimiser step takes one batch per process.

    Args:
        job: The model with its data, loss and validation.
        config: How to train.
        folder: For checkpoint.pt, which a fresh start replaces, and the log; made if absent.  None keeps
            everything in memory.
        progress: Who is told about the progress (see `make_progress`); None tells nobody.
        resume: Go on from the checkpoint in ``folder``.
        give_up: Asked after every epoch, with all of them so far; True ends the run.

    Returns:
        The figures of every epoch.

    Raises:
        TrainingInterrupted: Ctrl-C; the current step was finished and a checkpoint written (but for a range test,
            which is made again).
        DivergenceError: a loss, gradient norm or score is not finite; nothing of it is saved.
        ModelFolderError: resume without a checkpoint, or with a damaged or foreign one.
        UsageError: settings that cannot be used, or that differ from those of the resumed run.
        UnsupportedError: a carried state in a run of several processes.
    """
    if folder is None and resume:
        raise UsageError("training: resume must have a folder with a checkpoint, got folder=None")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    fabric = make_fabric(config)
    cuda = [fabric.device] if fabric.device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), Interrupts() as interrupts:
        return _Loop(job, config, folder, progress, fabric, interrupts, give_up).run(resume)


class _Loop:
    """One run; its methods are the parts of `train`."""

    def __init__(
        self,
        job: Job,
        config: TrainingConfig,
        folder: Path | None,
        progress: Progress | None,
        fabric: Any,  # lightning_fabric.Fabric; its setup() is not typed usefully
        interrupts: Interrupts,
        give_up: Callable[[Sequence[EpochRecord]], bool] | None,
    ) -> None:
        self._job, self._config, self._folder = job, config, folder
        self._fabric, self._interrupts, self._give_up = fabric, interrupts, give_up
        self._model = job.model
        self._forward, self._optimizer = fabric.setup(LossModule(job), make_optimizer(job.model, config))
        scaled = config.precision == "16-mixed"
        self._parameters = list(self._model.parameters())
        self._clip = Clipper(fabric, self._forward, self._optimizer, config.gradient_clip, scaled)
        self._progress = progress if fabric.is_global_zero else None
        self._total = sum(self._steps(epoch) for epoch in range(config.epochs))
        self._cut = False  # the time was up in the middle of an epoch

    # -- the run ---------------------------------------------------------------------------------------

    def run(self, resume: bool) -> History:
        self._state = self._restore() if resume else self._begin()
        self._before, self._started_at = self._state.elapsed, time.monotonic()
        self._meter = Meter(self._state, self._fabric.device, self._config.precision != "16-mixed")
        self._save()  # a kill from here on can be resumed, and a folder that cannot be written shows now
        log_folder = self._folder if self._fabric.is_global_zero else None
        self._log = open_log(self._config.log, log_folder, self._state.records)
        try:
            if self._progress:
                self._progress.start(self._state.global_step, self._total, self._config.epochs)
            while (stopped := self._why_stop()) is None:
                self._train_epoch()
                self._finish_epoch()
        finally:
            if self._progress:
                self._progress.close()
            if self._log:
                self._log.close()
        if not self._cut:
            self._save()
        self._raise_if_interrupted()
        return self._conclude(stopped)

    def _begin(self) -> RunState:
        ema = start_average(self._model) if self._config.ema else None
        if self._config.learning_rate != "auto":
            return RunState(ema=ema)
        if self._progress:
            self._progress.note(f"looking for a learning rate, {STEPS} steps at most")
            self._progress.start(0, STEPS, 0)
        try:
            found = rate_test(self._job, self._config, self._fabric, self._forward, self._looked_on)
        finally:
            if self._progress:
                self._progress.close()
        self._use_rate(found)
        return RunState(ema=ema, rate_test=found)

    def _use_rate(self, found: RateTest) -> None:
        """Let training have the rate that was found."""
        if self._progress:
            said = f"learning rate {found.rate:.3g}, found in {len(found.rates)} steps"
            self._progress.note(f"{said} and {found.seconds:.1f} s")
        self._config = replace(self._config, learning_rate=found.rate)

    def _train_epoch(self) -> None:
        state = self._state
        steps = self._steps(state.epoch)
        self._model.train()
        begin = time.monotonic()
        spent = state.epoch_seconds
        while state.step < steps:
            if state.step and self._time_is_up():
                self._cut = True
                self._save()
                break
            self._step()
            state.epoch_seconds = spent + time.monotonic() - begin
            if self._progress:
                self._progress.step(state.epoch + 1, state.global_step, self._meter.mean())
            self._save_if_due()
            self._raise_if_interrupted()

    def _step(self) -> None:
        state, config, fabric = self._state, self._config, self._fabric
        rate = learning_rate_at(config, state.global_step, self._total)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._seed(_STEP)
        index = state.step * fabric.world_size + fabric.global_rank
        batch = to_tensors(self._job.batch(state.epoch, index), fabric.device)
        loss, carry = self._forward(Inputs(batch, state.carry))
        fabric.backward(loss)
        self._meter.add(loss, self._clip(), batch_size(batch), rate)
        self._optimizer.step()
        self._clip.clear()
        state.carry = self._detached(carry)
        state.step += 1
        state.global_step += 1
        if state.ema is not None and config.ema is not None:
            update_average(state.ema, self._parameters, config.ema, state.global_step)

    def _finish_epoch(self) -> None:
        state = self._state
        self._meter.flush()
        scores, is_best = self._validate()
        record = EpochRecord(
            epoch=state.epoch + 1,
            steps=state.global_step,
            train_loss=state.loss_sum / max(1, state.samples),
            validation=scores,
            learning_rate=learning_rate_at(self._config, state.global_step - 1, self._total),
            seconds=state.epoch_seconds,
            samples_per_second=state.samples / state.epoch_seconds if state.epoch_seconds else 0.0,
        )
        state.records.append(record)
        state.begin_next_epoch()
        if self._log:
            self._log.write(record)
        if self._progress:
            self._progress.epoch(record, is_best)
        if not self._cut:  # a cut epoch was saved as it stood, so that a run with more time goes on with it
            self._save_if_due(epoch_ended=True)
            self._raise_if_interrupted()

    def _validate(self) -> tuple[dict[str, float], bool]:
        """Scores of the model as it would be shipped, and whether it is the best so far (then kept)."""
        state = self._state
        self._seed(_VALIDATION)
        self._model.eval()
        with torch.no_grad(), average_in_place(state.ema, self._model):
            scores = {name: float(value) for name, value in self._job.validate().items()}
            if not scores:
                if self._config.patience is not None:
                    raise UsageError("training: patience needs a validation score, got none from validate()")
                return scores, False
            name, score = next(iter(scores.items()))
            if not math.isfinite(score):
                raise DivergenceError(
                    f"training: validation score {name} must be finite, got {score} "
                    f"after epoch {state.epoch + 1}",
                    "lower learning_rate, or look for infinite and missing values in the validation data",
                )
            if state.best_score is not None and score >= state.best_score:
                state.bad_epochs += 1
                return scores, False
            state.best_score, state.best_epoch, state.bad_epochs = score, state.epoch + 1, 0
            state.best_weights = {key: value.clone() for key, value in self._model.state_dict().items()}
            return scores, True

    def _conclude(self, stopped: Stopped) -> History:
        """Put the best weights, else the averaged ones, into the model."""
        state = self._state
        if state.best_weights is not None:
            self._model.load_state_dict(state.best_weights)
        elif state.ema is not None:
            load_average(state.ema, self._model)
        self._model.eval()
        return History(
            epochs=list(state.records),
            stopped=stopped,
            monitored=next(iter(state.records[-1].validation), None),
            best_epoch=state.best_epoch or len(state.records),
            best_score=state.best_score,
            seconds=self._elapsed(),
            rate_test=state.rate_test,
        )

    # -- when to stop ----------------------------------------------------------------------------------

    def _why_stop(self) -> Stopped | None:
        state, patience = self._state, self._config.patience
        if self._cut:
            return "max_seconds"
        if state.epoch >= self._config.epochs:
            return "epochs"
        if patience is not None and state.bad_epochs >= patience:
            return "patience"
        if self._give_up is not None and state.step == 0 and state.epoch and self._give_up(state.records):
            return "pruned"
        # In the middle of an epoch the loop over its steps decides, so that the part is validated.
        return "max_seconds" if state.step == 0 and state.epoch and self._time_is_up() else None

    def _time_is_up(self) -> bool:
        limit = self._config.max_seconds
        return limit is not None and self._agree(self._elapsed() >= limit)

    def _agree(self, flag: bool) -> bool:
        """True where any process says so: all must leave the loop at the same step."""
        if self._fabric.world_size == 1:
            return flag
        return bool(self._fabric.all_reduce(torch.tensor(float(flag)), reduce_op="sum") > 0)

    def _raise_if_interrupted(self) -> None:
        if not self._agree(self._interrupts.requested):
            return
        state = self._state
        where = f"training stopped by Ctrl-C after step {state.global_step} of {self._total}"
        if self._folder is None:
            raise TrainingInterrupted(f"{where}; it had no folder, so there is no checkpoint")
        if not self._cut:
            self._save()
        raise TrainingInterrupted(
            f"{where}; its checkpoint is {checkpoint_path(self._folder)}, from which resume=True "
            "(on the command line: the same command with --resume) goes on"
        )

    def _looked_on(self, made: int) -> None:
        """The range test has made so many steps."""
        if self._progress:
            self._progress.step(0, made, None)
        if self._agree(self._interrupts.requested):
            raise TrainingInterrupted(
                "training stopped by Ctrl-C while it looked for a learning rate; nothing is lost, start again"
            )

    # -- checkpoints -----------------------------------------------------------------------------------

    def _save_if_due(self, epoch_ended: bool = False) -> None:
        every, seconds = self._config.checkpoint_every_steps, self._config.checkpoint_every_seconds
        due_by_step = every is not None and not epoch_ended and self._state.global_step % every == 0
        due_by_time = seconds is not None and time.monotonic() - self._saved_at >= seconds
        if due_by_step or due_by_time:
            self._save()

    def _save(self) -> None:
        self._meter.flush()
        self._state.elapsed = self._elapsed()
        if self._folder is not None and self._fabric.is_global_zero:
            contents = {
                "config": fixed_settings(self._config),
                "total_steps": self._total,
                "model": dict(self._model.state_dict()),
                "optimizer": self._optimizer.state_dict(),
                "precision": self._fabric.strategy.precision.state_dict(),
                "state": self._state.to_dict(),
            }
            save_checkpoint(self._folder, contents)
        self._saved_at = time.monotonic()

    def _restore(self) -> RunState:
        assert self._folder is not None
        contents = load_checkpoint(self._folder)
        where = str(checkpoint_path(self._folder))
        try:
            state = RunState.from_dict(contents["state"])
            if self._config.learning_rate == "auto" and state.rate_test is not None:
                self._use_rate(state.rate_test)
            check_settings(contents["config"], self._config)
            if contents["total_steps"] != self._total:
                raise UsageError(
                    f"resume: the run must have {contents['total_steps']} steps as in the checkpoint, "
                    f"got {self._total}",
                    "resume with the data of the interrupted run, or start again without resume",
                )
            check_weights(contents["model"], self._model, where)
            self._model.load_state_dict(contents["model"])
            self._optimizer.load_state_dict(contents["optimizer"])
            self._fabric.strategy.precision.load_state_dict(contents["precision"])
        except GrusError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise ModelFolderError(f"{where}: the checkpoint does not hold together ({error})") from error
        device = self._fabric.device
        state.carry = map_carry(lambda tensor: tensor.to(device), state.carry)
        if state.ema is not None:
            state.ema = {name: tensor.to(device) for name, tensor in state.ema.items()}
        return state

    # -- small things ----------------------------------------------------------------------------------

    def _steps(self, epoch: int) -> int:
        steps = self._job.steps(epoch) // self._fabric.world_size
        if steps < 1:
            raise UsageError(
                f"training: epoch {epoch + 1} must have at least one step per process, got {steps}"
            )
        return steps

    def _seed(self, purpose: int) -> None:
        rank = self._fabric.global_rank
        seed_generators(self._fabric.device, self._config.seed, self._state.global_step, purpose, rank)

    def _detached(self, carry: Carry) -> Carry:
        if carry is not None and self._fabric.world_size > 1:
            raise UnsupportedError("training: a carried state must run in one process, got several")
        return map_carry(torch.Tensor.detach, carry)

    def _elapsed(self) -> float:
        return self._before + time.monotonic() - self._started_at
