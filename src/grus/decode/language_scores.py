"""How well a language model knows a text, beside what counting tokens and pairs of tokens would say."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

#: Tokens looked at together.
_BLOCK = 1 << 20


@dataclass(frozen=True)
class LanguageEvaluation:
    """Scores of a stream of tokens, every one of which counts, read in order with the state carried.

    Attributes:
        tokens: how many there are; unknown: how many of them stand for what the model does not know.
        characters: of the text, 0 if it is none.
        nats: minus the sum of the natural logarithms of the tokens' probabilities.
        floors: the same of what costs nothing, by name.
    """

    tokens: int
    unknown: int
    characters: int
    nats: float
    floors: dict[str, float] = field(default_factory=dict)

    @property
    def loss(self) -> float:
        """Nats a token."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """exp(nats a token): among how many tokens, equally likely, one would be as unsure."""
        return _exp(self.loss)

    @property
    def bits_per_character(self) -> float:
        """Bits a character of the text; NaN if it is none."""
        return self.nats / math.log(2) / self.characters if self.characters else math.nan

    def rows(self) -> list[dict[str, float | str]]:
        """The model's scores, then those of the floors, from the best."""
        found = [("model", self.nats), *sorted(self.floors.items(), key=lambda item: item[1])]
        return [
            {
                "model": name,
                "nats_per_token": nats / self.tokens,
                "perplexity": _exp(nats / self.tokens),
                "bits_per_character": nats / math.log(2) / self.characters if self.characters else math.nan,
            }
            for name, nats in found
        ]


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def count_codes(codes: np.ndarray, size: int) -> np.ndarray:
    """How often each code stands in a stream, float64 [size]."""
    counts = np.zeros(size)
    for begin in range(0, len(codes), _BLOCK):
        counts += np.bincount(codes[begin : begin + _BLOCK], minlength=size)
    return counts


class Pairs:
    """How often each code follows each in a stream: keys ``before * size + code`` in order, and their counts."""

    def __init__(self, keys: np.ndarray, counts: np.ndarray, size: int) -> None:
        self.keys, self.counts, self.size = keys, counts, size
        before = keys // size
        self.totals = np.bincount(before, counts, size)
        self.kinds = np.bincount(before, minlength=size).astype(np.float64)

    @staticmethod
    def of(codes: np.ndarray, begin: int, size: int) -> "Pairs":
        """Count a stream, before which stands ``begin``."""
        keys, counts = np.empty(0, np.int64), np.empty(0)
        for start in range(0, len(codes), _BLOCK):
            new, count = np.unique(_keys(codes, start, begin, size), return_counts=True)
            both, place = np.unique(np.concatenate([keys, new]), return_inverse=True)
            keys, counts = both, np.bincount(place, np.concatenate([counts, count]), len(both))
        return Pairs(keys, counts, size)

    @staticmethod
    def from_table(table: np.ndarray) -> "Pairs":
        """From counts [size, size]."""
        keys = np.flatnonzero(table)
        return Pairs(keys, table.ravel()[keys], len(table))

    def table(self) -> np.ndarray:
        """Counts, float64 [size, size]."""
        table = np.zeros(self.size * self.size)
        table[self.keys] = self.counts
        return table.reshape(self.size, self.size)

    def count(self, keys: np.ndarray) -> np.ndarray:
        """How often some pairs were counted."""
        if not len(self.keys):
            return np.zeros(len(keys))
        place = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[place] == keys, self.counts[place], 0.0)


def _keys(codes: np.ndarray, start: int, begin: int, size: int) -> np.ndarray:
    """Keys of the pairs that end in a block."""
    part = codes[start : start + _BLOCK].astype(np.int64)
    first = begin if not start else int(codes[start - 1])
    return np.concatenate([[first], part[:-1]]) * size + part


def floors(codes: np.ndarray, begin: int, unigram: np.ndarray, pairs: Pairs | None) -> Mapping[str, float]:
    """Nats of a stream by counts of training: of tokens, and of pairs of tokens where these were kept.

        p(b) = (n_b + 1) / (N + V)
        p(b | a) = (n_ab + t_a p(b)) / (n_a + t_a)      t_a: how many different tokens followed a

    Args:
        codes: the stream. begin: the code before it.
        unigram: counts of training, float64 [V]; pairs: of pairs.

    Reference:
        Witten and Bell 1991, method C, as the interpolation.
    """
    single = (unigram + 1) / (unigram.sum() + len(unigram))
    nats = {"unigram": 0.0} | ({} if pairs is None else {"bigram": 0.0})
    for start in range(0, len(codes), _BLOCK):
        part = codes[start : start + _BLOCK]
        one = single[part]
        nats["unigram"] -= float(np.log(one).sum())
        if pairs is not None:
            keys = _keys(codes, start, begin, pairs.size)
            before = keys // pairs.size
            total, kinds = pairs.totals[before], pairs.kinds[before]
            both = (pairs.count(keys) + kinds * one) / np.maximum(total + kinds, 1)
            nats["bigram"] -= float(np.log(np.where(total > 0, both, one)).sum())
    return nats
