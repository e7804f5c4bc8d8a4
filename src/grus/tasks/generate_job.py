"""A language model as a training job: streams of tokens side by side, read chunk by chunk with the state carried."""

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from grus.errors import DataError
from grus.models import GraphModule
from grus.models.adaptive import AdaptiveSoftmax
from grus.tasks.generate_networks import LOGITS

#: Steps an epoch has at least, as for the other tasks: a short text is gone through several times.
MIN_STEPS = 50
#: Logits of so many numbers at once in validation.
_VALUES = 1 << 22
_OFFSETS = 0x0FF5E7  # keeps these random numbers apart from others of the same seed


class LanguageJob:
    """See `grus.training.Job`.

    The N tokens are a ring, cut into ``streams`` rows of N // streams tokens; the cut is at another place in every
    pass, drawn from (seed, pass), so that the edges of rows and chunks move. Each row is read ``chunk`` tokens a step;
    its state goes on to the next step, gradients do not (truncated back-propagation through time).

    Args:
        model: built from the spec.
        train, validation: codes int [N]; validation may have none.
        begin: the code before the first token.
        streams: rows a step; fewer where the text is shorter than a chunk of each.
        chunk: tokens of a row a step.
        seed: of the places of the cuts.
        min_steps: an epoch goes through the text as often as it takes for so many steps.

    Raises:
        DataError: no tokens to learn from.
    """

    def __init__(
        self,
        model: GraphModule,
        train: np.ndarray,
        validation: np.ndarray,
        *,
        begin: int,
        streams: int,
        chunk: int,
        seed: int,
        min_steps: int = MIN_STEPS,
    ) -> None:
        if len(train) < 2:
            raise DataError(f"text: expected at least two tokens to learn from, got {len(train)}")
        self.model = model
        self._train, self._validation, self._begin = train, validation, begin
        self._streams = max(1, min(streams, len(train) // chunk))
        self._length = len(train) // self._streams
        self._chunk, self._seed = chunk, seed
        self._port = model.graph.inputs[0].name
        self._steps_per_pass = -(-self._length // chunk)
        self._passes = -(-min_steps // self._steps_per_pass)
        # What the loss is made of: the logits, or in their place what an adaptive softmax reads.
        source = model.graph.outputs[LOGITS]
        last = model.nodes[source]
        self._adaptive = last if isinstance(last, AdaptiveSoftmax) else None
        if self._adaptive is not None:
            source = next(node.inputs[0] for node in model.graph.nodes if node.name == source)
        self._outputs = {LOGITS: source}

    def steps(self, epoch: int) -> int:
        """Chunks in an epoch: one or more passes through the text."""
        return self._passes * self._steps_per_pass

    def batch(self, epoch: int, step: int) -> dict[str, Tensor | np.ndarray]:
        """``targets`` [streams * T], ``first`` (whether a pass begins), and the tokens before the targets by port."""
        turn, place = epoch * self._passes + step // self._steps_per_pass, step % self._steps_per_pass
        offset = int(np.random.default_rng((self._seed, _OFFSETS, turn)).integers(len(self._train)))
        steps = np.arange(place * self._chunk, min((place + 1) * self._chunk, self._length))
        rows = np.arange(self._streams)[:, None] * self._length
        places = (offset + rows + steps) % len(self._train)
        before = np.where(places > 0, self._train[places - 1], self._begin)
        return {
            "targets": self._train[places].astype(np.int64).reshape(-1),
            self._port: before.astype(np.int64),
            "first": np.array(place == 0),
        }

    def loss(self, batch: dict[str, Tensor], carry: Any) -> tuple[Tensor, Any]:
        """Mean of -log p(target) over all tokens of the chunk, and the states after it."""
        state = None if carry is None or bool(batch["first"]) else carry
        outputs, after = self.model.run({self._port: batch[self._port]}, state, self._outputs)
        return self._nats(outputs[LOGITS].flatten(0, 1), batch["targets"], "mean"), after

    def validate(self) -> dict[str, float]:
        """Nats a token of the validation text, all of it in order with the state carried, and the perplexity."""
        if not len(self._validation):
            return {}
        device = next(self.model.parameters()).device
        codes, state, total = self._validation, None, 0.0
        size = max(_VALUES // self.model.graph.inputs[0].size, 1)
        for begin in range(0, len(codes), size):
            targets = np.asarray(codes[begin : begin + size], np.int64)
            before = np.concatenate([[codes[begin - 1] if begin else self._begin], targets[:-1]])
            tokens = torch.from_numpy(before.astype(np.int64))[None].to(device)
            outputs, state = self.model.run({self._port: tokens}, state, self._outputs)
            wanted = torch.from_numpy(targets).to(device)
            total += float(self._nats(outputs[LOGITS][0], wanted, "sum"))
        loss = total / len(codes)
        return {"validation_loss": loss, "perplexity": float(np.exp(min(loss, 700.0)))}

    def _nats(self, made: Tensor, targets: Tensor, reduction: Literal["mean", "sum"]) -> Tensor:
        """-log p(target); an adaptive softmax computes only the clusters that the targets fall in."""
        if self._adaptive is None:
            return functional.cross_entropy(made, targets, reduction=reduction)
        total = self._adaptive.loss(made, targets)
        return total / len(targets) if reduction == "mean" else total
