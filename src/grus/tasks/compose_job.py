"""A model of music as a training job: whole pieces side by side, each from the beginning, in a key of its own."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from grus.data.buckets import bucketed_batches
from grus.errors import DataError
from grus.models import GraphModule
from grus.preprocess.music.codes import END, Codes, transposed
from grus.tasks.generate_networks import LOGITS

#: Steps an epoch has at least, as for the other tasks: few pieces are gone through several times.
MIN_STEPS = 50
_KEYS = 0x0C7A4E  # keeps these random numbers apart from others of the same seed
#: A target that does not count: after the end of a shorter piece.
_NONE = -100
#: Tokens of all rows at once in validation.
_VALUES = 1 << 13


class MusicJob:
    """See `grus.training.Job`.

    A batch is some pieces of about one length, each transposed by semitones drawn from (seed, epoch, piece) among those
    that keep it in its range. They are read side by side, ``chunk`` tokens a step, from the state before the first
    token; the state goes on from step to step, gradients do not (truncated back-propagation through time), and no
    state goes from a piece to another.

    Args:
        model: built from the spec.
        train, validation: tokens int [T] of each piece; validation may have none.
        shifts: by training piece, the semitones to choose from.
        codes: of the tokens.
        batch_size: pieces a batch.
        chunk: tokens of each a step.
        seed: of the order and the keys.
        min_steps: an epoch goes through the pieces as often as it takes for so many steps.

    Raises:
        DataError: no pieces to learn from.
    """

    def __init__(
        self,
        model: GraphModule,
        train: Sequence[np.ndarray],
        validation: Sequence[np.ndarray],
        *,
        shifts: Sequence[range],
        codes: Codes,
        batch_size: int,
        chunk: int,
        seed: int,
        min_steps: int = MIN_STEPS,
    ) -> None:
        if not train:
            raise DataError("music: expected pieces to learn from, got none")
        self.model = model
        self._train, self._validation, self._shifts, self._codes = train, validation, shifts, codes
        self._batch_size, self._chunk, self._seed = batch_size, chunk, seed
        self._port = model.graph.inputs[0].name
        self._lengths = np.array([len(tokens) for tokens in train])
        chunks = -(-int(self._lengths.sum()) // (batch_size * chunk))
        self._passes = -(-min_steps // max(chunks, 1))
        self._plans: dict[int, list[tuple[int, np.ndarray, int]]] = {}

    def steps(self, epoch: int) -> int:
        """Chunks in an epoch: one or more passes through the pieces."""
        return len(self._plan(epoch))

    def batch(self, epoch: int, step: int) -> dict[str, Tensor | np.ndarray]:
        """``targets`` [B * T], ``first`` (whether pieces begin), and the tokens before the targets by port."""
        turn, rows, begin = self._plan(epoch)[step]
        end = min(begin + self._chunk, int(self._lengths[rows].max()))
        targets = np.full((len(rows), end - begin), _NONE, np.int64)
        before = np.full((len(rows), end - begin), END, np.int64)
        for i, row in enumerate(rows):
            tokens = self._transposed(turn, int(row))
            own = tokens[begin:end]
            targets[i, : len(own)] = own
            shown = tokens[max(begin - 1, 0) : end - 1]
            before[i, not begin :][: len(shown)] = shown
        return {"targets": targets.reshape(-1), self._port: before, "first": np.array(begin == 0)}

    def loss(self, batch: dict[str, Tensor], carry: Any) -> tuple[Tensor, Any]:
        """Mean of -log p(target) over all tokens of the chunk, and the states after it."""
        state = None if carry is None or bool(batch["first"]) else carry
        outputs, after = self.model.run({self._port: batch[self._port]}, state)
        return functional.cross_entropy(
            outputs[LOGITS].flatten(0, 1), batch["targets"], ignore_index=_NONE
        ), after

    def validate(self) -> dict[str, float]:
        """Nats a token of the validation pieces, each from the beginning; without the grammar's help."""
        if not len(self._validation):
            return {}
        device = next(self.model.parameters()).device
        order = np.argsort([len(tokens) for tokens in self._validation], kind="stable")
        total, count = 0.0, sum(map(len, self._validation))
        for rows in np.array_split(order, -(-len(order) // 16)):
            pieces = [self._validation[row] for row in rows]
            longest = max(map(len, pieces))
            targets = np.full((len(pieces), longest), _NONE, np.int64)
            for i, tokens in enumerate(pieces):
                targets[i, : len(tokens)] = tokens
            before = np.pad(targets[:, :-1], ((0, 0), (1, 0)), constant_values=END)
            before[before == _NONE] = END
            state = None
            for begin in range(0, longest, max(_VALUES // len(pieces), 1)):
                part = slice(begin, begin + max(_VALUES // len(pieces), 1))
                given = torch.from_numpy(before[:, part]).to(device)
                outputs, state = self.model.run({self._port: given}, state)
                wanted = torch.from_numpy(targets[:, part]).to(device).flatten()
                found = outputs[LOGITS].flatten(0, 1)
                total += float(functional.cross_entropy(found, wanted, ignore_index=_NONE, reduction="sum"))
        return {"validation_loss": total / count}

    def _plan(self, epoch: int) -> list[tuple[int, np.ndarray, int]]:
        """Pass, pieces and first token of every step of an epoch."""
        if epoch not in self._plans:
            found: list[tuple[int, np.ndarray, int]] = []
            for turn in range(epoch * self._passes, (epoch + 1) * self._passes):
                for rows in bucketed_batches(self._lengths, self._batch_size, self._seed, turn):
                    longest = int(self._lengths[rows].max())
                    found += [(turn, rows, begin) for begin in range(0, longest, self._chunk)]
            self._plans = {epoch: found}  # one is enough: epochs follow each other
        return self._plans[epoch]

    def _transposed(self, turn: int, row: int) -> np.ndarray:
        allowed = self._shifts[row]
        if len(allowed) == 1:
            return self._train[row]
        rng = np.random.default_rng((self._seed, _KEYS, turn, row))
        return transposed(self._train[row], int(allowed[rng.integers(len(allowed))]), self._codes)
