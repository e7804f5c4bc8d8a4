"""Next-step prediction of polyphonic music as a training job: whole pieces, padded a batch at a time."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from grus.data.buckets import bucketed_batches
from grus.models import GraphModule
from grus.preprocess.ragged import Ragged

CLOCK, INPUT, OUTPUT = "src", "x", "logits"
_PIECES_AT_ONCE = 32
MOST_SEMITONES = 6


class MusicJob:
    """See `grus.training.Job`.

    Args:
        model: reads 88 keys a step and puts out the log-odds of each at the next.
        pieces: of at least two steps each.
        chosen: numbers of those to train on, int64.
        validation: pieces that are scored after each epoch.
        batch_size: pieces a step.
        seed: of their order.
        weight_noise: standard deviation of the Gaussian noise that is added to all weights, drawn anew for each step.
        transpose: share of the training pieces that are moved by up to six semitones up or down, drawn anew each time.
    """

    def __init__(
        self,
        model: GraphModule,
        pieces: Ragged,
        chosen: np.ndarray,
        validation: Ragged,
        *,
        batch_size: int,
        seed: int,
        weight_noise: float = 0.0,
        transpose: float = 0.0,
    ) -> None:
        self.model = model
        self._pieces, self._chosen, self._validation = pieces, chosen, validation
        self._batch_size, self._seed, self._weight_noise = batch_size, seed, weight_noise
        self._transpose = transpose
        self._batches: tuple[int, list[np.ndarray]] = (-1, [])

    def steps(self, epoch: int) -> int:
        """Batches in a pass over all chosen pieces."""
        return -(-len(self._chosen) // self._batch_size)

    def batch(self, epoch: int, step: int) -> dict[str, Tensor | np.ndarray]:
        """``lengths`` and ``x``; pieces of about one length stand together."""
        if self._batches[0] != epoch:
            lengths = self._pieces.lengths[self._chosen]
            self._batches = (epoch, bucketed_batches(lengths, self._batch_size, self._seed, epoch))
        arrays, lengths = self._pieces.batch(self._chosen[self._batches[1][step]])
        if self._transpose:
            random = np.random.default_rng([self._seed, epoch, step])
            moves = random.integers(1, MOST_SEMITONES + 1, len(lengths)) * random.choice(
                [-1, 1], len(lengths)
            )
            moves[random.random(len(lengths)) >= self._transpose] = 0
            arrays[INPUT] = np.stack(
                [transposed(x, move) for x, move in zip(arrays[INPUT], moves, strict=True)]
            )
        return {"lengths": lengths, **arrays}

    def loss(self, batch: dict[str, Tensor], carry: Any) -> tuple[Tensor, Any]:
        """NLL per step, nats: the sum over the keys, the mean over all steps of the batch but the first of a piece.

        With weight noise the gradient is that of the noisy weights, and moves the clean ones (Graves 2011, "Practical
        variational inference for neural networks"; Chung et al. 2014 use 0.075 for music).
        """
        is_noisy = self.model.training and self._weight_noise > 0
        costs, steps = _step_costs(
            self._with_noise if is_noisy else self.model, batch[INPUT], batch["lengths"]
        )
        return costs.sum() / steps.sum(), carry

    def validate(self) -> dict[str, float]:
        """NLL per step over the validation pieces, all steps pooled."""
        values = piece_errors(self.model, self._validation)
        return {"validation_nll": float(np.average(values, weights=self._validation.lengths - 1))}

    def _with_noise(self, *arguments: Any) -> dict[str, Tensor]:
        """What the model would say with other weights near its own."""
        noisy = {
            name: weight + self._weight_noise * torch.randn_like(weight)
            for name, weight in self.model.named_parameters()
        }
        return functional_call(self.model, noisy, arguments)


def transposed(x: np.ndarray, semitones: int) -> np.ndarray:
    """A roll [T, 88] moved up by so many semitones, or as it is where a note would leave the keyboard."""
    lost = x[:, len(x[0]) - semitones :] if semitones > 0 else x[:, :-semitones]
    return x if semitones == 0 or lost.any() else np.roll(x, semitones, axis=1)


def piece_errors(model: GraphModule, pieces: Ragged) -> np.ndarray:
    """NLL per step of each piece, float64 [P]."""
    device = next(model.parameters()).device
    order = np.argsort(pieces.lengths, kind="stable")
    errors = np.empty(len(pieces))
    for start in range(0, len(order), _PIECES_AT_ONCE):
        chosen = order[start : start + _PIECES_AT_ONCE]
        arrays, lengths = pieces.batch(chosen)
        with torch.no_grad():
            x, steps = torch.from_numpy(arrays[INPUT]), torch.from_numpy(lengths)
            costs, steps = _step_costs(model, x.to(device), steps.to(device))
        errors[chosen] = (costs.double().sum(1) / steps).cpu().numpy()
    return errors


def _step_costs(run: Callable[..., dict[str, Tensor]], x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """NLL of each step but the first, 0 at padding [B, T - 1], and how many of them each piece has [B]."""
    known, truth, steps = x[:, :-1], x[:, 1:], lengths - 1
    outputs = run({INPUT: known}, {CLOCK: steps})[OUTPUT]
    costs = functional.binary_cross_entropy_with_logits(outputs, truth, reduction="none").sum(2)
    real = torch.arange(costs.shape[1], device=costs.device) < steps[:, None]
    return torch.where(real, costs, 0.0), steps
