"""From the steps of a CTC network to what was written: greedy, by prefix beam search, and the probability of a text.

    p(y | x) = sum over all paths pi with B(pi) = y of prod_t p_t(pi_t)

A path has a code a step; B takes away repetitions, then blanks (code 0). Graves et al. 2006, Connectionist temporal
classification, section 3. NumPy only, in float64, in logarithms.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np

from grus.decode.sampling import log_probabilities

BLANK = 0
_NEVER = -np.inf
#: Codes that a prefix goes on with in a beam search, the most probable of the step, if the width is no more.
_CODES = 64


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities of each step, float64 [T, C]."""
    return log_probabilities(np.asarray(logits, np.float64))


def least_steps(codes: Sequence[int]) -> int:
    """How many steps a text needs: one a code, and a blank between two of the same."""
    return len(codes) + sum(a == b for a, b in pairwise(codes))


def greedy(scores: np.ndarray, last: int = BLANK) -> tuple[np.ndarray, np.ndarray, int]:
    """The text of the most probable path, step by step.

    Args:
        scores: logits or log-probabilities [T, C].
        last: the path's code at the step before, so that a recording may come in pieces.

    Returns:
        The codes written, int64 [n]; the steps at which they begin, int64 [n]; the path's code at the last step.
    """
    path = scores.argmax(axis=1)
    before = np.concatenate(([last], path))[:-1]
    new = np.flatnonzero((path != before) & (path != BLANK))
    return path[new], new, int(path[-1]) if len(path) else last


def log_likelihood(log_probabilities: np.ndarray, codes: Sequence[int]) -> float:
    """log p(codes | x) by the forward recursion (Graves et al. 2006, section 4.1); -inf where steps are too few.

    Args:
        log_probabilities: float64 [T, C].
        codes: without blanks.
    """
    path = np.zeros(2 * len(codes) + 1, np.int64)
    path[1::2] = codes
    # From two places back only onto a code that differs from the one there.
    leap = np.zeros(len(path), bool)
    leap[3::2] = path[3::2] != path[1:-2:2]
    alpha = np.full(len(path), _NEVER)
    alpha[0] = 0.0  # before the first step
    for t, step in enumerate(log_probabilities):
        one = np.concatenate(([_NEVER], alpha[:-1]))
        if t:
            two = np.where(leap, np.concatenate(([_NEVER, _NEVER], alpha))[: len(path)], _NEVER)
            alpha = np.logaddexp(np.logaddexp(alpha, one), two)
        else:
            alpha = np.logaddexp(alpha, one)
        alpha = alpha + step[path]
    return float(np.logaddexp.reduce(alpha[-2:])) if len(log_probabilities) else (_NEVER if codes else 0.0)


class Worth(Protocol):
    """What texts are worth by themselves, as a sum over their codes."""

    def begin(self) -> None:
        """Know the empty text alone."""
        ...

    def look(self, texts: Sequence[tuple[int, ...]]) -> None:
        """Know these texts alone, each of which is known, or a code more than one that is."""
        ...

    def gains(self, text: tuple[int, ...]) -> Sequence[float]:
        """What each code adds to a known text."""
        ...


class PrefixBeam:
    """Prefix beam search: the most probable texts so far, each with the sum of its paths, step by step.

    Hannun et al. 2014, First-pass large vocabulary continuous speech recognition, algorithm 1. With a ``width`` that
    never leaves a prefix out it is exact.

    Args:
        width: prefixes kept after each step.
        worth: what texts are worth by themselves (see `grus.decode.fusion`), added to log p where they are compared.
    """

    def __init__(self, width: int, worth: Worth | None = None) -> None:
        self._width, self._worth = width, worth
        if worth is not None:
            worth.begin()
        self._sums: dict[tuple[int, ...], float] = {(): 0.0}
        #: By prefix: log p of its paths that end in a blank, and of those that end in its last code.
        self._beam: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, _NEVER)}

    def advance(self, log_probabilities: np.ndarray) -> None:
        """Take in steps, float64 [T, C]."""
        for step in log_probabilities:
            scores = step.tolist()
            found: dict[tuple[int, ...], tuple[float, float]] = {}
            likely = np.argsort(-step[1:], kind="stable")[: max(self._width, _CODES) + 1] + 1
            codes = likely.tolist()
            for prefix, (blank, code) in self._beam.items():
                last = prefix[-1] if prefix else BLANK
                both = _add(blank, code)
                _put(found, prefix, both + scores[BLANK], code + scores[last] if prefix else _NEVER)
                for new in codes:
                    _put(found, (*prefix, new), _NEVER, (blank if new == last else both) + scores[new])
            possible = [item for item in found.items() if _add(*item[1]) > _NEVER]
            sums = {prefix: self._sum(prefix) for prefix, _ in possible}
            possible.sort(key=lambda item: (-_add(*item[1]) - sums[item[0]], item[0]))
            self._beam = dict(possible[: self._width])
            self._sums = {prefix: sums[prefix] for prefix in self._beam}
            if self._worth is not None:
                self._worth.look(list(self._beam))

    def best(self) -> list[tuple[tuple[int, ...], float]]:
        """The texts as codes with log p, the best first: the most probable, but for what each is worth by itself."""
        found = [(prefix, _add(*scores)) for prefix, scores in self._beam.items()]
        return sorted(found, key=lambda item: (-item[1] - self._sums[item[0]], item[0]))

    def worth(self, prefix: tuple[int, ...]) -> float:
        """What a text of `best` is worth by itself; 0 where nothing is."""
        return self._sums[prefix]

    def _sum(self, prefix: tuple[int, ...]) -> float:
        """What a prefix is worth: of the beam before, or a unit more than one of it."""
        if self._worth is None:
            return 0.0
        known = self._sums.get(prefix)
        if known is not None:
            return known
        return self._sums[prefix[:-1]] + self._worth.gains(prefix[:-1])[prefix[-1]]


def prefix_beam(
    log_probabilities: np.ndarray, width: int, worth: Worth | None = None
) -> list[tuple[tuple[int, ...], float]]:
    """The best texts of whole steps [T, C]; see `PrefixBeam`."""
    beam = PrefixBeam(width, worth)
    beam.advance(log_probabilities)
    return beam.best()


def _add(a: float, b: float) -> float:
    """log(exp(a) + exp(b))."""
    low, high = (a, b) if a < b else (b, a)
    if low == _NEVER:
        return high
    return high + float(np.log1p(np.exp(low - high)))


def _put(
    found: dict[tuple[int, ...], tuple[float, float]], prefix: tuple[int, ...], blank: float, code: float
) -> None:
    old = found.get(prefix)
    found[prefix] = (blank, code) if old is None else (_add(old[0], blank), _add(old[1], code))
