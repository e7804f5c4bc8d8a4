"""Polyphonic music without a network: how often each key sounds, and how often after it did or did not sound before."""

import numpy as np

from grus.preprocess.ragged import Ragged

#: Added to every count, so that a key that training never heard is not impossible.
_PRIOR = 0.5


def piece_pairs(pieces: Ragged) -> tuple[np.ndarray, np.ndarray]:
    """Each step and the one after it within its piece: two float32 arrays [N - P, 88]."""
    everything = np.arange(int(pieces.offsets[-1]))
    before = np.delete(everything, pieces.offsets[1:] - 1)
    roll = pieces.ports["x"]
    return roll[before], roll[before + 1]


def marginal(train: Ragged, chosen: np.ndarray) -> np.ndarray:
    """How often each key sounds in the chosen pieces, (n_k + 1/2) / (n + 1) without first steps, float64 [88]."""
    bounds = [(int(train.offsets[i]), int(train.offsets[i + 1])) for i in chosen]
    steps = np.concatenate([np.arange(begin + 1, end) for begin, end in bounds])
    return _chance(train.ports["x"][steps].sum(0, dtype=np.float64), len(steps))


def floors_of(train: Ragged, test: Ragged) -> dict[str, float]:
    r"""NLL per step of two answers without a network, nats: the sum over 88 keys, the mean over all predicted steps.

        marginal       p(y_k) = (n_k + 1/2) / (n + 1)
        Markov         p(y_k | x_k) = (n_{k, x, 1} + 1/2) / (n_{k, x} + 1)    x_k: whether key k sounded one step before

    with counts over the training pairs of steps.

    Args:
        train: pieces that are counted; test: pieces that are predicted, from their second step on.
    """
    x, y = piece_pairs(train)
    before, after = piece_pairs(test)
    both, ones, pressed = (part.sum(0, dtype=np.float64) for part in (x * y, y, x))
    sounded = _chance(both, pressed)
    silent = _chance(ones - both, len(x) - pressed)
    return {
        "per-key marginal": _nll(after, np.broadcast_to(_chance(ones, len(y)), after.shape)),
        "per-key Markov": _nll(after, np.where(before > 0, sounded, silent)),
    }


def _chance(count: np.ndarray, of: np.ndarray | int) -> np.ndarray:
    return (count + _PRIOR) / (of + 2 * _PRIOR)


def _nll(y: np.ndarray, p: np.ndarray) -> float:
    return float(-(y * np.log(p) + (1 - y) * np.log1p(-p)).sum(1).mean())
