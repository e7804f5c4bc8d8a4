"""The classifier as a training job: which batches, which loss, which validation scores."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from grus.data.buckets import bucketed_batches
from grus.decode.class_scores import fit_temperature
from grus.models import GraphModule
from grus.preprocess.ragged import Ragged
from grus.tasks.classify_data import Labelled
from grus.tasks.classify_networks import LOGITS

#: Steps an epoch has at least, as for the forecaster: patience counts epochs, and with a few steps in each of them
#: training would end before it has begun. Few rows are gone through several times.
MIN_STEPS = 50
CLOCK = "src"
_VALIDATION_BATCH = 256


class ClassifyJob:
    """See `grus.training.Job`.

    Args:
        model: built from the spec.
        train, validation: validation may have no rows.
        batch_size: rows a step.
        seed: of the order of rows.
        weight: of each label in the loss, float [C], or None.
        token_dropout: share of tokens that are replaced by code 0, the unknown one, in training; with ``masks`` the
            share of measured values that count as missing.
        masks: which features of the input are masks of values, where a network reads no value whose mask is 0.
        smoothing: label smoothing: the share of the truth that is spread evenly over all labels.
        augment: what training makes of an input [B, T, F], given its lengths [B].
        min_steps: an epoch goes through the rows as often as it takes for so many steps.
    """

    def __init__(
        self,
        model: GraphModule,
        train: Labelled,
        validation: Labelled,
        *,
        batch_size: int,
        seed: int,
        weight: np.ndarray | None = None,
        token_dropout: float = 0.0,
        masks: slice | None = None,
        smoothing: float = 0.0,
        augment: Callable[[Tensor, Tensor], Tensor] | None = None,
        min_steps: int = MIN_STEPS,
    ) -> None:
        self.model = model
        self._train, self._validation = train, validation
        self._batch_size, self._seed = batch_size, seed
        self._weight = None if weight is None else torch.from_numpy(weight.astype(np.float32))
        self._token_dropout, self._masks, self._smoothing = token_dropout, masks, smoothing
        self._augment = augment
        self._steps_per_pass = -(-len(train) // batch_size)
        self._passes = -(-min_steps // self._steps_per_pass)
        self._batches: tuple[int, list[np.ndarray]] = (-1, [])

    def steps(self, epoch: int) -> int:
        """Batches in an epoch: one or more passes over all rows."""
        return self._passes * self._steps_per_pass

    def batch(self, epoch: int, step: int) -> dict[str, Tensor | np.ndarray]:
        """``truth``, ``lengths``, and the input by port."""
        turn, place = epoch * self._passes + step // self._steps_per_pass, step % self._steps_per_pass
        if self._batches[0] != turn:
            lengths = self._train.sequences.lengths
            self._batches = (turn, bucketed_batches(lengths, self._batch_size, self._seed, turn))
        return {**self._arrays(self._train, self._batches[1][place])}

    def loss(self, batch: dict[str, Tensor], carry: Any) -> tuple[Tensor, Any]:
        """Mean loss of a batch, each row weighted by its label; in training some tokens are hidden."""
        inputs = {name: values for name, values in batch.items() if name not in ("truth", "lengths")}
        if self.model.training:
            inputs = {name: self._hidden(values, batch["lengths"]) for name, values in inputs.items()}
        logits = self.model(inputs, {CLOCK: batch["lengths"]})[LOGITS]
        return self._cost(logits, batch["truth"]), carry

    def validate(self) -> dict[str, float]:
        """Scores of the validation rows, without weights; nothing if there are none.

        The loss is that of the logits at the temperature that suits these rows best, as the finished model will have:
        a network goes on to find more labels long after it has become too sure of them.
        """
        if not len(self._validation):
            return {}
        logits, truth = self.logits(self._validation.sequences), torch.from_numpy(self._validation.truth)
        several = truth.ndim == 2
        temperature = fit_temperature(logits.numpy(), self._validation.truth, several)
        loss = _log_loss(logits / temperature, truth, None, 0.0)
        right = ((logits > 0) == (truth > 0.5)).all(1) if several else logits.argmax(1) == truth
        return {"validation_loss": float(loss), "accuracy": float(right.float().mean())}

    def logits(self, sequences: Ragged) -> Tensor:
        """The model's outputs, float32 [R, C], on the CPU."""
        device = next(self.model.parameters()).device
        order = np.argsort(sequences.lengths, kind="stable")
        parts: list[Tensor] = []
        for start in range(0, len(order), _VALIDATION_BATCH):
            arrays, lengths = sequences.batch(order[start : start + _VALIDATION_BATCH])
            inputs = {name: torch.from_numpy(values).to(device) for name, values in arrays.items()}
            parts.append(self.model(inputs, {CLOCK: torch.from_numpy(lengths).to(device)})[LOGITS].cpu())
        logits = torch.cat(parts)
        return torch.empty_like(logits).index_copy_(0, torch.from_numpy(order), logits)

    def _arrays(self, rows: Labelled, chosen: np.ndarray) -> dict[str, np.ndarray]:
        arrays, lengths = rows.sequences.batch(chosen)
        return {"truth": rows.truth[chosen], "lengths": lengths, **arrays}

    def _hidden(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Tokens with some replaced by the unknown one, values with some marked as missing, or augmented."""
        if self._augment is not None:
            return self._augment(tokens, lengths)
        if not self._token_dropout:
            return tokens
        if tokens.is_floating_point():
            if self._masks is None:
                return tokens
            kept = torch.rand(tokens[..., self._masks].shape, device=tokens.device) >= self._token_dropout
            hidden = tokens.clone()
            hidden[..., self._masks] *= kept
            return hidden
        return tokens.masked_fill(torch.rand(tokens.shape, device=tokens.device) < self._token_dropout, 0)

    def _cost(self, logits: Tensor, truth: Tensor) -> Tensor:
        weight = None if self._weight is None else self._weight.to(logits.device)
        return _log_loss(logits, truth, weight, self._smoothing)


def _log_loss(logits: Tensor, truth: Tensor, weight: Tensor | None, smoothing: float) -> Tensor:
    """Mean of -log p(truth) over rows, each weighted by its label, or over rows and labels where rows have several.

    Smoothing e: the truth t becomes (1 - e) t + e / C, or with several labels (1 - e) t + e / 2.
    """
    if truth.ndim == 1:
        return functional.cross_entropy(logits, truth, weight, label_smoothing=smoothing)
    truth = truth * (1 - smoothing) + smoothing / 2
    return functional.binary_cross_entropy_with_logits(logits, truth, pos_weight=weight)
