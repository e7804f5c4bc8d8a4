"""The transcriber as a training job: which batches, the CTC loss, and the error rate of validation."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from grus.data.buckets import bucketed_batches
from grus.decode.ctc import BLANK, greedy
from grus.decode.transcription_scores import Edits, edits
from grus.models import GraphModule
from grus.tasks.transcribe_data import Coded
from grus.tasks.transcribe_networks import LOGITS

#: Steps an epoch has at least: patience counts epochs. Few recordings are gone through several times.
MIN_STEPS = 50
CLOCK = "src"
_VALIDATION_BATCH = 64


class TranscribeJob:
    """See `grus.training.Job`.

    The loss is -log p(y | x) of all texts of a batch over the number of their units (Graves et al. 2006).

    Args:
        model: built from the spec.
        train, validation: validation may have nothing.
        batch_size: recordings a step.
        seed: of their order.
        augment: what training makes of steps [B, T, F], given their lengths [B].
        words: the text of some codes cut into words, for the error rate of validation.
        min_steps: an epoch goes through the recordings as often as it takes for so many steps.
    """

    def __init__(
        self,
        model: GraphModule,
        train: Coded,
        validation: Coded,
        *,
        batch_size: int,
        seed: int,
        augment: Callable[[Tensor, Tensor], Tensor] | None,
        words: Callable[[Sequence[int]], list[str]],
        min_steps: int = MIN_STEPS,
    ) -> None:
        self.model = model
        self._train, self._validation = train, validation
        self._batch_size, self._seed = batch_size, seed
        self._augment, self._words = augment, words
        self._steps_per_pass = -(-len(train) // batch_size)
        self._passes = -(-min_steps // self._steps_per_pass)
        self._batches: tuple[int, list[np.ndarray]] = (-1, [])

    def steps(self, epoch: int) -> int:
        """Batches in an epoch: one or more passes over all recordings."""
        return self._passes * self._steps_per_pass

    def batch(self, epoch: int, step: int) -> dict[str, Tensor | np.ndarray]:
        """``x`` and ``lengths``; ``codes`` of all texts, one after the other, and ``written``, how many of each."""
        turn, place = epoch * self._passes + step // self._steps_per_pass, step % self._steps_per_pass
        if self._batches[0] != turn:
            lengths = self._train.sequences.lengths
            self._batches = (turn, bucketed_batches(lengths, self._batch_size, self._seed, turn))
        return {**self._arrays(self._train, self._batches[1][place])}

    def loss(self, batch: dict[str, Tensor], carry: Any) -> tuple[Tensor, Any]:
        """Mean loss of a unit."""
        x = batch["x"]
        if self.model.training and self._augment is not None:
            x = self._augment(x, batch["lengths"])
        total, units, _ = self._cost(x, batch)
        return total / units, carry

    def validate(self) -> dict[str, float]:
        """Loss of a unit and word error rate (greedy) of the validation recordings; nothing if there are none."""
        if not len(self._validation):
            return {}
        device = next(self.model.parameters()).device
        order = np.argsort(self._validation.sequences.lengths, kind="stable")
        total, units, errors = 0.0, 0, Edits(0, 0, 0, 0)
        for start in range(0, len(order), _VALIDATION_BATCH):
            rows = order[start : start + _VALIDATION_BATCH]
            batch = {
                name: torch.from_numpy(values).to(device)
                for name, values in self._arrays(self._validation, rows).items()
            }
            loss, count, logits = self._cost(batch["x"], batch)
            total, units = total + float(loss), units + count
            for row, steps, scores in zip(rows.tolist(), batch["lengths"].tolist(), logits.cpu().numpy()):
                found, _, _ = greedy(scores[:steps])
                wanted = self._validation.codes[row].tolist()
                errors += edits(self._words(wanted), self._words(found.tolist()))
        return {"validation_loss": total / units, "word error rate": errors.rate}

    def _cost(self, x: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, int, Tensor]:
        """The sum of the losses, how many units there are, and the logits."""
        lengths, written = batch["lengths"], batch["written"]
        logits = self.model({"x": x}, {CLOCK: lengths})[LOGITS]
        scores = logits.float().log_softmax(-1).transpose(0, 1)
        total = functional.ctc_loss(scores, batch["codes"], lengths, written, blank=BLANK, reduction="sum")
        return total, max(int(written.sum()), 1), logits

    @staticmethod
    def _arrays(rows: Coded, chosen: np.ndarray) -> dict[str, np.ndarray]:
        arrays, lengths = rows.sequences.batch(chosen)
        codes = [rows.codes[row] for row in chosen.tolist()]
        written = np.array([len(some) for some in codes], np.int64)
        return {"x": arrays["x"], "lengths": lengths, "codes": np.concatenate(codes), "written": written}
