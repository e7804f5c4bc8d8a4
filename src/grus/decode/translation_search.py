"""Beam search over the target tokens of many sentences at once; nothing here knows what a token stands for.

All hypotheses of all sentences are rows of one batch; those of a sentence stand together and look at one memory. A
sentence keeps its ``beam`` best unfinished hypotheses, a finished one among its ``beam`` best candidates is put aside,
and a sentence leaves the batch when as many are aside and no unfinished one scores better.
"""

import heapq
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from grus.kernels.search import Best, best, best_outputs
from grus.runtime import Program, State


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
    """The inputs of the decode part for tokens [N, T], or [R, T] with a first state for each of them."""
    return {"target": tokens, "memory": memory.memory, "keys": memory.keys, "state": memory.state}


def normaliser(logits: np.ndarray) -> np.ndarray:
    """log sum exp over the last axis, float64: what is taken off a logit to make it a log-probability."""
    return best(logits.reshape(-1, logits.shape[-1]), 1).total.reshape(logits.shape[:-1])


class Decoder:
    """The decode part as a search uses it: of the logits of a step only the best are kept.

    Args:
        program: the decode part; its weights are shared.
    """

    def __init__(self, program: Program) -> None:
        self._program, self._layer = program.cut("logits") or (program, None)
        self.init_state = self._program.init_state

    def step(
        self, tokens: np.ndarray, memory: Memory, state: State, how: Search
    ) -> tuple[Best, np.ndarray, State]:
        """One token for each row.

        Args:
            tokens: the last ones, [R].
            memory: of N sentences, with a first state for each row; R / N rows, one after the other, look at one.
            state: before the tokens.
            how: of the search.

        Returns:
            The best next tokens, ``beam`` of them beside the end; what was looked at, [R, S]; the state after it.
        """
        inputs = decode_inputs(tokens[:, None], memory)
        outputs, after = self._program.run(inputs, state, {"src": memory.lengths})
        made, banned = outputs["logits"][:, 0], np.array(how.banned, np.int64)
        size = made.shape[1] if self._layer is None else self._layer.out_features
        most = min(how.beam + 1, size)
        if self._layer is None:
            found = best(made, most, banned=banned, picked=how.end)
        else:
            found = best_outputs(self._layer, made, most, banned=banned, picked=how.end)
        return found, outputs["attention"][:, 0], after


def beam_search(decoder: Decoder, memory: Memory, limits: np.ndarray, how: Search) -> list[list[Hypothesis]]:
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

    def __init__(self, decoder: Decoder, memory: Memory, limits: np.ndarray, how: Search) -> None:
        count = len(memory.lengths)
        self._decoder, self._whole, self._limits, self._how = decoder, memory, limits, how
        self.finished: list[list[Hypothesis]] = [[] for _ in range(count)]
        #: The scores of the ``beam`` best of them, and the least of those where there are as many.
        self._aside: list[list[float]] = [[] for _ in range(count)]
        self._bar = np.full(count, -np.inf)
        self.sentences, self._each = np.arange(count), 1
        self._memory = memory.take(self.sentences)
        self._state: State = decoder.init_state(count)
        self._totals = np.zeros(count)
        self._codes = np.full((count, 1), how.end, np.int64)
        self._looks = np.empty((count, 0, memory.memory.shape[1]), np.float32)

    def step(self) -> None:
        """One more token for every hypothesis."""
        how, sentences = self._how, len(self.sentences)
        found, seen, after = self._decoder.step(self._codes[:, -1], self._memory, self._state, how)
        look = np.zeros((len(seen), 1, self._looks.shape[2]), np.float32)
        look[:, 0, : seen.shape[1]] = seen
        self._looks = np.concatenate([self._looks, look], axis=1)
        shift = self._totals - found.total
        # The candidates of a sentence, those of its first hypothesis first.
        codes = found.codes.reshape(sentences, -1)
        totals = (found.values + shift[:, None]).reshape(sentences, -1)
        ending = codes == how.end
        best = np.argsort(-totals, axis=1, kind="stable")[:, : how.beam]
        each, size = self._each, found.codes.shape[1]
        first = np.arange(sentences)[:, None] * each
        ends = np.where(np.take_along_axis(ending, best, axis=1), first + best // size, -1)
        self._finish(ends, found.picked + shift)
        # What goes on: the best that are not the end.
        going = np.where(ending, -np.inf, totals)
        keep = np.argsort(-going, axis=1, kind="stable")[:, : how.beam]
        kept = np.take_along_axis(going, keep, axis=1)
        left = ~self._done(kept[:, 0], self._codes.shape[1])
        rows, codes = (first + keep // size)[left], np.take_along_axis(codes, keep, axis=1)[left]
        self._go_on(rows, codes.ravel(), kept[left].ravel(), after, left)

    def _finish(self, ends: np.ndarray, totals: np.ndarray) -> None:
        """Put aside what ends among the best candidates of each sentence, and all of those that may not go on.

        Args:
            ends: the rows of those that end, or -1, int64 [N, beam].
            totals: with the end, float64 [R].
        """
        length, each = self._codes.shape[1], self._each
        last = np.repeat(self._limits[self.sentences] < length, each)
        ends = ends[ends >= 0]
        for row in np.concatenate([ends[~last[ends]], np.flatnonzero(last)]).tolist():
            total = float(totals[row])
            if not np.isfinite(total):
                continue
            sentence = int(self.sentences[row // each])
            score, steps = total / length**self._how.length_penalty, int(self._whole.lengths[sentence])
            self.finished[sentence].append(
                Hypothesis(self._codes[row, 1:].copy(), total, score, self._looks[row, :, :steps].copy())
            )
            aside = self._aside[sentence]
            (heapq.heappushpop if len(aside) == self._how.beam else heapq.heappush)(aside, score)
            if len(aside) == self._how.beam:
                self._bar[sentence] = aside[0]

    def _done(self, best: np.ndarray, length: int) -> np.ndarray:
        """Which sentences are finished, bool; ``best`` are the totals of their best unfinished hypotheses."""
        scores = best / length**self._how.length_penalty
        late = self._limits[self.sentences] < length
        return late | ~np.isfinite(best) | (scores <= self._bar[self.sentences])

    def _go_on(
        self, rows: np.ndarray, codes: np.ndarray, totals: np.ndarray, after: State, left: np.ndarray
    ) -> None:
        """Let the sentences that are left go on from these hypotheses, ``rows`` [N, each]."""
        each, rows = rows.shape[1], rows.ravel()
        self._codes = np.concatenate([self._codes[rows], codes[:, None]], axis=1)
        self._looks, self._totals = self._looks[rows], totals
        self._state = after[rows]
        if each != self._each or not left.all():
            self.sentences, self._each = self.sentences[left], each
            memory = self._whole.take(self.sentences)
            self._memory = memory._replace(state=np.repeat(memory.state, each, axis=0))
