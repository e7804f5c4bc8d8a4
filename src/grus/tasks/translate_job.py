"""The translator as a training job: which batches, which loss, which validation scores."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from grus.data.buckets import bucketed_batches
from grus.models import EncoderDecoder
from grus.models.projected_loss import projected_loss
from grus.tasks.translate_data import Coded
from grus.tasks.translate_networks import readout_of

#: Steps an epoch has at least: patience counts epochs. Few pairs are gone through several times.
MIN_STEPS = 50
_VALIDATION_BATCH = 128

#: BLEU of the validation rows, translated greedily by the weights of the model file.
Bleu = Callable[[Mapping[str, np.ndarray]], float]


class TranslateJob:
    """See `grus.training.Job`.

    Args:
        model: built from the spec.
        train, validation: validation may have no rows.
        ends: the codes that close a source and a target; the target's also opens it.
        batch_size: pairs a step.
        seed: of the order of pairs.
        smoothing: label smoothing: the share of the truth that is spread evenly over all tokens.
        bleu: of the validation rows, or None.
        monitor: which score says whether an epoch was the best, ``loss`` or ``bleu``.
        redraw: the training pairs by the number of a pass through them, where every pass has other codes.
        min_steps: an epoch goes through the pairs as often as it takes for so many steps.
    """

    def __init__(
        self,
        model: EncoderDecoder,
        train: Coded,
        validation: Coded,
        *,
        end: int,
        batch_size: int,
        seed: int,
        smoothing: float = 0.0,
        bleu: Bleu | None = None,
        monitor: Literal["loss", "bleu"] = "loss",
        redraw: Callable[[int], Coded] | None = None,
        min_steps: int = MIN_STEPS,
    ) -> None:
        self.model = model
        self._train, self._validation, self._end = train, validation, end
        self._batch_size, self._seed, self._smoothing = batch_size, seed, smoothing
        self._bleu, self._monitor, self._redraw = bleu, monitor, redraw
        self._steps_per_pass = -(-len(train) // batch_size)
        self._passes = -(-min_steps // self._steps_per_pass)
        self._batches: tuple[int, list[np.ndarray]] = (-1, [])
        self._readout = {"readout": readout_of(model.decode.graph)}
        self._order = _by_length(train)

    def steps(self, epoch: int) -> int:
        """Batches in an epoch: one or more passes over all pairs."""
        return self._passes * self._steps_per_pass

    def batch(self, epoch: int, step: int) -> dict[str, Tensor | np.ndarray]:
        """``source``, ``given`` (the target behind the code that opens it), ``truth`` and the lengths of both sides."""
        turn, place = epoch * self._passes + step // self._steps_per_pass, step % self._steps_per_pass
        if self._batches[0] != turn:
            if self._redraw is not None:
                self._train = self._redraw(turn)
                self._order = _by_length(self._train)
            self._batches = (turn, bucketed_batches(self._order, self._batch_size, self._seed, turn))
        return {**self._arrays(self._train, self._batches[1][place])}

    def loss(self, batch: dict[str, Tensor], carry: Any) -> tuple[Tensor, Any]:
        """Mean loss of the target's tokens and ends, each predicted from the true ones before it."""
        return self._cost(batch, self._smoothing if self.model.training else 0.0)[0], carry

    def validate(self) -> dict[str, float]:
        """Loss of the validation rows without smoothing, and what their greedy translation lacks of a BLEU of 100."""
        if not len(self._validation):
            return {}
        total, tokens = 0.0, 0
        device = next(self.model.parameters()).device
        order = np.argsort(self._validation.target.lengths, kind="stable")
        for start in range(0, len(order), _VALIDATION_BATCH):
            arrays = self._arrays(self._validation, order[start : start + _VALIDATION_BATCH])
            loss, count = self._cost({k: torch.from_numpy(v).to(device) for k, v in arrays.items()}, 0.0)
            total, tokens = total + float(loss) * count, tokens + count
        scores = {"validation_loss": total / tokens}
        if self._bleu is not None:
            scores["100 - BLEU"] = 100.0 - self._bleu(self.model.tensors())
        if self._monitor == "bleu" and self._bleu is not None:
            return {name: scores[name] for name in ("100 - BLEU", "validation_loss")}
        return scores

    def _cost(self, batch: Mapping[str, Tensor], smoothing: float) -> tuple[Tensor, int]:
        """The mean loss of a token, and how many there are."""
        lengths = {
            "src": batch["source_lengths"]
        }  # a step of the target sees none after it: no need to end early
        outputs = self.model(batch["source"], batch["given"], lengths, self._readout)
        truth = batch["truth"]
        real = torch.arange(truth.shape[1], device=truth.device) < batch["target_lengths"][:, None]
        weight = self.model.decode.get_parameter("nodes.logits.weight")
        return projected_loss(outputs["readout"][real], weight, truth[real], smoothing), int(real.sum())

    def _arrays(self, rows: Coded, chosen: np.ndarray | Sequence[int]) -> dict[str, np.ndarray]:
        source, source_lengths = rows.source.batch(chosen)
        target, target_lengths = rows.target.batch(chosen)
        truth = target["tokens"]
        given = np.concatenate([np.full((len(truth), 1), self._end), truth[:, :-1]], axis=1)
        return {
            "source": source["tokens"], "given": given, "truth": truth, "source_lengths": source_lengths,
            "target_lengths": target_lengths,
        }  # fmt: skip


def _by_length(rows: Coded) -> np.ndarray:
    """A number for each pair; by it targets of one length stand together, and among them sources of about one."""
    return rows.target.lengths * (int(rows.source.lengths.max(initial=0)) + 1) + rows.source.lengths
