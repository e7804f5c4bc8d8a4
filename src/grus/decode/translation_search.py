"""Beam search over the target tokens of many sentences at once; nothing here knows what a token stands for.

All hypotheses of all sentences are rows of one batch. A sentence keeps its ``beam`` best unfinished hypotheses, a
finished one among its ``beam`` best candidates is put aside, and a sentence leaves the batch when as many are aside and
no unfinished one scores better.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from grus.runtime import Program, State

#: Rows of logits that are worked through at once.
_ROWS = 16


class Memory(NamedTuple):
    """What a decoder looks at: memory [N, S, M], keys [N, S, A], first state [N, H], valid steps int64 [N]."""

    memory: np.ndarray
    keys: np.ndarray
    state: np.ndarray
    lengths: np.ndarray

    def take(self, rows: np.ndarray) -> "Memory":
        """Some of the sentences, without steps that none of them has."""
        lengths = self.lengths[rows]
        most = int(lengths.max(initial=0))
        return Memory(self.memory[rows, :most], self.keys[rows, :most], self.state[rows], lengths)


@dataclass(frozen=True)
class Hypothesis:
    """A finished target.

    Attributes:
        codes: int64 [n], without the end.
        log_probability: of the whole target, the end included.
        score: log_probability / (n + 1)^a, by which hypotheses are ranked.
        attention: float32 [n + 1, S], what each step, the end's too, looked at in the source.
    """

    codes: np.ndarray
    log_probability: float
    score: float
    attention: np.ndarray


@dataclass(frozen=True)
class Search:
    """How to search.

    Attributes:
        beam: hypotheses kept a sentence; 1 is greedy search.
        length_penalty: a.
        end: the code that opens and closes a target.
        banned: codes that are never put out.
    """

    beam: int
    length_penalty: float
    end: int
    banned: tuple[int, ...] = ()


def decode_inputs(tokens: np.ndarray, memory: Memory) -> dict[str, np.ndarray]:
    """The inputs of the decode part for tokens [N, T]."""
    return {"target": tokens, "memory": memory.memory, "keys": memory.keys, "state": memory.state}


def normaliser(logits: np.ndarray) -> np.ndarray:
    """log sum exp over the last axis, float64: what is taken off a logit to make it a log-probability."""
    flat = logits.reshape(-1, logits.shape[-1])
    out = np.empty(len(flat))
    for row in range(0, len(flat), _ROWS):  # so few that what is made of them stays in the second cache
        some = flat[row : row + _ROWS]
        most = some.max(axis=-1)
        total = np.exp(some - most[:, None]).sum(axis=-1)
        out[row : row + _ROWS] = np.log(total.astype(np.float64)) + most
    return out.reshape(logits.shape[:-1])


def beam_search(decoder: Program, memory: Memory, limits: np.ndarray, how: Search) -> list[list[Hypothesis]]:
    """The best targets of every sentence, the best first, ``beam`` of them or fewer.

    Args:
        decoder: the decode part.
        memory: of N sentences.
        limits: most tokens of each target, the end not counted, int64 [N].
        how: of the search.
    """
    beams = _Beams(decoder, memory, limits, how)
    while beams.sentences.size:
        beams.step()
    return [sorted(found, key=lambda one: -one.score)[: how.beam] for found in beams.finished]


class _Beams:
    """The unfinished hypotheses; of every sentence in the batch equally many rows, one after the other."""

    def __init__(self, decoder: Program, memory: Memory, limits: np.ndarray, how: Search) -> None:
        count = len(memory.lengths)
        self._decoder, self._whole, self._limits, self._how = decoder, memory, limits, how
        self.finished: list[list[Hypothesis]] = [[] for _ in range(count)]
        self.sentences, self._each = np.arange(count), 1
        self._memory = memory.take(self.sentences)
        self._state: State = decoder.init_state(count)
        self._totals = np.zeros(count)
        self._codes = np.full((count, 1), how.end, np.int64)
        self._looks = np.empty((count, 0, memory.memory.shape[1]), np.float32)

    def step(self) -> None:
        """One more token for every hypothesis."""
        how = self._how
        inputs = decode_inputs(self._codes[:, -1:], self._memory)
        outputs, after = self._decoder.run(inputs, self._state, {"src": self._memory.lengths})
        look = np.zeros((len(self._codes), 1, self._looks.shape[2]), np.float32)
        look[..., : outputs["attention"].shape[2]] = outputs["attention"]
        self._looks = np.concatenate([self._looks, look], axis=1)
        logits = outputs["logits"][:, 0]
        shift = self._totals - normaliser(logits)
        ends = logits[:, how.end] + shift
        place, totals = self._candidates(logits, shift)
        self._finish(place, totals, ends)
        # What goes on: the best that are not the end.
        going = totals.reshape(len(self.sentences), -1).copy()
        going[place[1].reshape(going.shape) == how.end] = -np.inf
        keep = np.argsort(-going, axis=1, kind="stable")[:, : how.beam]
        flat = (keep + np.arange(len(going))[:, None] * going.shape[1]).ravel()
        kept = np.take_along_axis(going, keep, axis=1)
        done = self._done(kept[:, 0], self._codes.shape[1])
        self._each = keep.shape[1]
        self._go_on(place[0][flat], place[1][flat], kept.ravel(), after, done)

    def _candidates(self, logits: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The best tokens of every hypothesis: (row, code) int64 [2, R * k] and the totals with them, float64."""
        for code in self._how.banned:
            logits[:, code] = -np.inf
        k = min(self._how.beam + 1, logits.shape[1])
        rows = np.arange(len(logits))
        codes, totals = np.empty((k, len(rows)), np.int64), np.empty((k, len(rows)))
        for rank in range(k):  # a few times the greatest is several times as fast as a partition of each row
            codes[rank] = logits.argmax(axis=1)
            totals[rank] = logits[rows, codes[rank]] + shift
            logits[rows, codes[rank]] = -np.inf
        return np.stack([np.repeat(rows, k), codes.T.ravel()]), totals.T.ravel()

    def _finish(self, place: np.ndarray, totals: np.ndarray, ends: np.ndarray) -> None:
        """Put aside what ends among the best candidates of each sentence, and all of those that may not go on."""
        length, beam = self._codes.shape[1], self._how.beam
        by_sentence = totals.reshape(len(self.sentences), -1)
        best = np.argsort(-by_sentence, axis=1, kind="stable")[:, :beam]
        last = self._limits[self.sentences] < length
        for number, chosen in enumerate(best + np.arange(len(best))[:, None] * by_sentence.shape[1]):
            if last[number]:
                rows = range(number * self._each, (number + 1) * self._each)
            else:
                rows = place[0][chosen[place[1][chosen] == self._how.end]].tolist()
            for row in rows:
                if np.isfinite(ends[row]):
                    total = float(ends[row])
                    sentence = int(self.sentences[number])
                    steps = int(self._whole.lengths[sentence])
                    self.finished[sentence].append(
                        Hypothesis(
                            self._codes[row, 1:].copy(), total, total / length**self._how.length_penalty,
                            self._looks[row, :, :steps].copy(),
                        )
                    )  # fmt: skip

    def _done(self, best: np.ndarray, length: int) -> np.ndarray:
        """Which sentences are finished, bool; ``best`` are the totals of their best unfinished hypotheses."""
        done = (self._limits[self.sentences] < length) | ~np.isfinite(best)
        scores = best / length**self._how.length_penalty
        for number in np.flatnonzero(~done):
            aside = sorted((one.score for one in self.finished[self.sentences[number]]), reverse=True)
            done[number] = len(aside) >= self._how.beam and scores[number] <= aside[self._how.beam - 1]
        return done

    def _go_on(
        self, rows: np.ndarray, codes: np.ndarray, totals: np.ndarray, after: State, done: np.ndarray
    ) -> None:
        """Let the sentences that are not done go on from these hypotheses."""
        each, before = self._each, len(self._codes)
        kept = np.repeat(~done, each)
        rows, codes, totals = rows[kept], codes[kept], totals[kept]
        self._codes = np.concatenate([self._codes[rows], codes[:, None]], axis=1)
        self._looks, self._totals = self._looks[rows], totals
        self._state = after[rows]
        if done.any() or len(rows) != before:
            self.sentences = self.sentences[~done]
            self._memory = self._whole.take(np.repeat(self.sentences, each))
