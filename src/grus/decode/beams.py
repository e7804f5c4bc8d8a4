"""Beam search over the tokens of a `TokenModel`: the most probable continuation rather than a random one."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from grus.decode.sampling import log_probabilities, penalise
from grus.decode.token_model import PLACE, RECENT, TokenModel
from grus.runtime import State


@dataclass(frozen=True)
class Beam:
    """A continuation: its codes int64 [T], the sum of their log-probabilities, and the state after it (one row)."""

    codes: np.ndarray
    log_probability: float
    state: State

    @property
    def score(self) -> float:
        """The mean log-probability of a token, by which beams of different lengths are compared."""
        return self.log_probability / max(len(self.codes), 1)


def beam_search(
    model: TokenModel,
    state: State,
    *,
    beams: int,
    most: int,
    penalty: float = 1.0,
    ended: Callable[[list[int]], bool] | None = None,
) -> list[Beam]:
    """The best continuations that are found when the ``beams`` best are gone on with at every step.

    The log-probabilities of a step, after the repetition penalty, are added up; a continuation that has ended leaves
    its place to the next best.

    Args:
        model, state: the network, and one row of a state.
        beams: how many are kept.
        most: tokens at most.
        penalty: see `grus.decode.sampling.Sampling`.
        ended: whether the codes so far are at their end.

    Returns:
        ``beams`` continuations or fewer, the best first by their mean log-probability a token.
    """
    network, owner = model.network(state), state.owner
    recent, seen, random = state.nodes[PLACE]
    codes, totals = np.empty((1, 0), np.int64), np.zeros(1)
    done: list[Beam] = []

    def beam(row: int) -> Beam:
        last = np.concatenate([recent, codes[row : row + 1]], axis=1)[:, -RECENT:]
        nodes = {**network[row].nodes, PLACE: (last, seen[row : row + 1].copy(), random)}
        return Beam(codes[row], float(totals[row]), State(nodes, owner))

    for step in range(most):
        given = codes[:, -1:] if step else recent[:, -1:]
        logits, network = model.logits(given, network)
        scores = log_probabilities(logits[:, 0].astype(np.float64))
        scores[:, 0] = -np.inf
        scores = (totals[:, None] + penalise(scores, seen, penalty)).ravel()
        best = np.argsort(-scores, kind="stable")[: beams - len(done)]
        best = best[np.isfinite(scores[best])]
        rows, chosen = best // model.task.size, best % model.task.size
        network, totals = network[rows], scores[best]
        codes = np.concatenate([codes[rows], chosen[:, None]], axis=1)
        seen = seen[rows]
        seen[np.arange(len(rows)), chosen] = True
        over = np.array([ended is not None and ended(row.tolist()) for row in codes], bool)
        done += [beam(int(row)) for row in np.flatnonzero(over)]
        network, totals, codes, seen = network[~over], totals[~over], codes[~over], seen[~over]
        if not len(codes):
            break
    found = [*done, *(beam(row) for row in range(len(codes)))]
    return sorted(found, key=lambda one: -one.score)
