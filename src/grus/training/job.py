"""What a task hands to the loop, and the small helpers that walk its batches and carried states."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch

from grus.errors import UsageError

Batch = dict[str, "torch.Tensor | np.ndarray"]
"""Named arrays; the first dimension of the first one counts the samples."""

Carry = Any
"""A tensor, None, or tuples, lists and dicts of them: recurrent state handed from step to step."""


class Job(Protocol):
    """One trainable thing: a model with its data, its loss and its validation.

    The loop trains ``model`` in place.  Before every step it seeds torch's generators from (seed, step);
    NumPy's and Python's are left alone, so ``batch`` and ``loss`` must draw from torch or from their own
    seeded generator.
    """

    @property
    def model(self) -> torch.nn.Module:
        """The module to train, initialised by the task, with the weights it shall start from."""
        ...

    def steps(self, epoch: int) -> int:
        """Optimiser steps in this epoch (counted from 0), at least 1 and the same every time it is asked."""
        ...

    def batch(self, epoch: int, step: int) -> Batch:
        """The batch of this step: a pure function of (the job's seed, epoch, step), on any device."""
        ...

    def loss(self, batch: dict[str, torch.Tensor], carry: Carry) -> tuple[torch.Tensor, Carry]:
        """Mean loss (a scalar) of a batch on the training device, and the state to carry on.

        ``carry`` is None at the first step of an epoch, later what the previous step returned, detached.
        """
        ...

    def validate(self) -> dict[str, float]:
        """Scores of the model as it stands (in eval mode, without gradients); the first is monitored."""
        ...


class Inputs:
    """A batch on its way through Fabric, which casts tensors it can see to the precision of the forward
    pass: targets of 1234.5 would become 1232 in bfloat16.  Autocast picks what to cast, op by op.
    """

    def __init__(self, batch: dict[str, torch.Tensor], carry: Carry) -> None:
        self.batch = batch
        self.carry = carry


class LossModule(torch.nn.Module):
    """The job's loss as a forward pass, so that precision and DDP see all of it, whichever methods of the
    model it calls.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.model = job.model
        self._loss = job.loss

    def forward(self, inputs: Inputs) -> tuple[torch.Tensor, Carry]:
        """The loss of a batch, and the state to carry on."""
        return self._loss(inputs.batch, inputs.carry)


def to_tensors(batch: Batch, device: torch.device) -> dict[str, torch.Tensor]:
    """The batch as tensors on ``device``; NumPy arrays are shared, not copied, where that is possible."""
    return {
        name: torch.as_tensor(value).to(device, non_blocking=True) if isinstance(value, np.ndarray)
        else value.to(device, non_blocking=True)
        for name, value in batch.items()
    }  # fmt: skip


def batch_size(batch: dict[str, torch.Tensor]) -> int:
    """Samples in the batch: the first dimension of its first tensor that has one, else 1."""
    return next((value.shape[0] for value in batch.values() if value.ndim), 1)


def map_carry(function: Callable[[torch.Tensor], torch.Tensor], carry: Carry) -> Carry:
    """Apply ``function`` to every tensor of a carried state; raises UsageError for other contents."""
    if carry is None:
        return None
    if isinstance(carry, torch.Tensor):
        return function(carry)
    if type(carry) is dict:
        return {key: map_carry(function, value) for key, value in carry.items()}
    if type(carry) in (tuple, list):
        return type(carry)(map_carry(function, value) for value in carry)
    kind = type(carry).__name__
    raise UsageError(f"training: carry must hold tensors, None, tuples, lists and dicts only, got {kind}")
