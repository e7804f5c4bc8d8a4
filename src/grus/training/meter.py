"""Losses and gradient norms on their way from the device to the epoch's mean, with the check for NaN."""

import math
from dataclasses import dataclass

import torch

from grus.errors import DivergenceError
from grus.training.state import RunState

# Reading a number from a GPU waits for it; on the CPU it costs nothing, so there every step is checked
# before the optimiser moves.
_LAG = {"cpu": 1}
_LAG_ELSEWHERE = 16


@dataclass(frozen=True)
class _Step:
    step: int
    epoch: int
    rate: float
    samples: int


class Meter:
    """Adds the figures of each step to the epoch's sums, in order, a few steps late on an accelerator.

    Args:
        state: Whose ``loss_sum`` and ``samples`` grow.
        device: Where the losses are.
        check_norm: False where infinite gradients are part of the method (float16 loss scaling).
    """

    def __init__(self, state: RunState, device: torch.device, check_norm: bool) -> None:
        self._state = state
        self._lag = _LAG.get(device.type, _LAG_ELSEWHERE)
        self._check_norm = check_norm
        self._pending: list[tuple[_Step, torch.Tensor]] = []  # [2]: loss, norm

    def add(self, loss: torch.Tensor, norm: torch.Tensor, samples: int, rate: float) -> None:
        """Note a step; raises DivergenceError when this step or a pending one is not finite."""
        entry = _Step(self._state.global_step, self._state.epoch, rate, samples)
        if self._lag == 1:
            self._take(entry, loss.item(), norm.item())
            return
        self._pending.append((entry, torch.stack((loss.detach(), norm.to(loss.dtype)))))
        if len(self._pending) >= self._lag:
            self.flush()

    def flush(self) -> None:
        """Read all pending steps; called before anything is validated or saved."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        figures = torch.stack([tensor for _, tensor in pending]).tolist()
        for (entry, _), (loss, norm) in zip(pending, figures, strict=True):
            self._take(entry, loss, norm)

    def mean(self) -> float | None:
        """Mean loss of the epoch so far, or None before the first step that was read."""
        state = self._state
        return state.loss_sum / state.samples if state.samples else None

    def _take(self, entry: _Step, loss: float, norm: float) -> None:
        self._check("loss", loss, entry)
        if self._check_norm:
            self._check("gradient norm", norm, entry)
        self._state.loss_sum += loss * entry.samples
        self._state.samples += entry.samples

    def _check(self, what: str, value: float, entry: _Step) -> None:
        if not math.isfinite(value):
            raise DivergenceError(
                f"training: the {what} must be finite, got {value} at step {entry.step + 1} "
                f"(epoch {entry.epoch + 1}, learning rate {entry.rate:.3g})",
                "lower learning_rate, set gradient_clip, add warmup_steps, or look for infinite and huge "
                "values in the data; the last checkpoint is from before this step",
            )
