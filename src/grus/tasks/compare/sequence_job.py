"""Sequences of one length as a training job: fresh batches or rows of a set, and a score on fixed validation rows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from grus.data.windows import epoch_order
from grus.models import GraphModule
from grus.tasks.compare.memory_sequences import Sequences

INPUT, OUTPUT = "x", "out"
_ROWS_AT_ONCE = 256

Cost = Callable[[Tensor, Tensor], Tensor]
"""From outputs and truth to what each row costs, [R]."""
Batches = Callable[[int, int], Sequences]
"""The batch of an epoch and a step, a pure function of both."""


def squared_error(outputs: Tensor, truth: Tensor) -> Tensor:
    """(y - t)^2 for outputs [R, 1] and truth [R]."""
    return (outputs[:, 0] - truth).square()


def cross_entropy(outputs: Tensor, truth: Tensor) -> Tensor:
    """-ln p(t), nats, for logits [R, C] and truth [R]; the mean over the steps for [R, T, C] and [R, T]."""
    costs = functional.cross_entropy(outputs.flatten(0, -2), truth.flatten(), reduction="none")
    return costs.view(truth.shape).flatten(1).mean(1) if truth.ndim > 1 else costs


def wrong(outputs: Tensor, truth: Tensor) -> Tensor:
    """1 where the largest of the logits [R, C] is not that of the truth [R], else 0."""
    return (outputs.argmax(1) != truth).float()


def rows_of(train: Sequences, batch_size: int, seed: int) -> tuple[int, Batches]:
    """Steps an epoch, and the batches, of a set that is gone through in a new order every epoch."""
    steps = -(-len(train) // batch_size)

    def batch(epoch: int, step: int) -> Sequences:
        order = epoch_order(len(train), seed, epoch)
        return train.rows(order[step * batch_size : (step + 1) * batch_size])

    return steps, batch


class SequenceJob:
    """See `grus.training.Job`.

    Args:
        model: reads ``x`` and puts out ``out``.
        steps: optimiser steps an epoch.
        batches: what they train on.
        validation: rows that are scored after each epoch.
        cost: what is minimised.
        metric: what is told beside it, if that is something else.
    """

    def __init__(
        self,
        model: GraphModule,
        steps: int,
        batches: Batches,
        validation: Sequences,
        cost: Cost,
        metric: Cost,
    ) -> None:
        self.model = model
        self._steps, self._batches, self._validation = steps, batches, validation
        self._cost, self._metric = cost, metric

    def steps(self, epoch: int) -> int:
        """As many in every epoch."""
        return self._steps

    def batch(self, epoch: int, step: int) -> dict[str, Tensor | np.ndarray]:
        """``x`` and ``truth``."""
        drawn = self._batches(epoch, step)
        return {INPUT: drawn.x, "truth": drawn.truth}

    def loss(self, batch: dict[str, Tensor], carry: Any) -> tuple[Tensor, Any]:
        """Mean cost of the rows of a batch."""
        return self._cost(self.model({INPUT: batch[INPUT]})[OUTPUT], batch["truth"]).mean(), carry

    def validate(self) -> dict[str, float]:
        """Mean cost of the validation rows, and the mean metric."""
        scores = {"validation_loss": float(row_errors(self.model, self._validation, self._cost).mean())}
        if self._metric is self._cost:
            return scores
        return scores | {
            "validation_metric": float(row_errors(self.model, self._validation, self._metric).mean())
        }


@torch.no_grad()
def row_errors(model: GraphModule, rows: Sequences, metric: Cost) -> np.ndarray:
    """The metric of each row, float64 [R]."""
    device = next(model.parameters()).device
    parts: list[Tensor] = []
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = rows.rows(slice(start, start + _ROWS_AT_ONCE))
        outputs = model({INPUT: torch.from_numpy(part.x).to(device)})[OUTPUT]
        parts.append(metric(outputs, torch.from_numpy(part.truth).to(device)).cpu())
    return torch.cat(parts).double().numpy()
