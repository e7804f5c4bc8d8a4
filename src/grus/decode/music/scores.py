"""How well a model knows pieces of music, beside what counting would say.

Every token counts, from the tempo to the end of a piece, and each piece is read by itself from the beginning. A token
has the probability with which it is generated: the network's, shared out among the tokens that the grammar allows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from grus.preprocess.music.codes import END, Codes, Kind
from grus.preprocess.music.grammar import Grammar
from grus.spec import Music


@dataclass(frozen=True)
class MusicEvaluation:
    """Scores of some pieces.

    Attributes:
        pieces, steps, tokens: how many there are.
        notes: tokens that are not forced by the form: of voices one a step and part, of polyphony all.
        nats: minus the sum of the natural logarithms of the tokens' probabilities.
        free_nats: the same of the network alone, which may spend probability on what the grammar forbids.
        floors: nats of what costs nothing, under the same grammar, by name.
        left_out: of each piece that has no score a sentence why: what training never saw has no token.
    """

    pieces: int
    steps: int
    tokens: int
    notes: int
    nats: float
    free_nats: float
    floors: dict[str, float] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @property
    def nats_per_step(self) -> float:
        """Nats a step of the grid, over all parts together."""
        return self.nats / self.steps

    @property
    def nats_per_note(self) -> float:
        """Nats a token that is not forced by the form."""
        return self.nats / self.notes

    def rows(self) -> list[dict[str, float | str]]:
        """The model's scores, then those of the floors, from the best."""
        found = [("model", self.nats), *sorted(self.floors.items(), key=lambda item: item[1])]
        return [
            {"model": name, "nats_per_step": nats / self.steps, "nats_per_note": nats / self.notes}
            for name, nats in found
        ]


def allowed_masks(tokens: np.ndarray, step: Music) -> tuple[np.ndarray, int]:
    """Which tokens may stand in place of each of a piece, bool [T, V], and the piece's steps.

    Raises:
        DataError: one may not stand where it does.
    """
    walk = Grammar(step)
    out = np.empty((len(tokens), len(walk.codes)), bool)
    for row, token in enumerate(tokens):
        out[row] = walk.allowed()
        walk.push(token)
    return out, walk.length


def masked_nats(logits: np.ndarray, tokens: np.ndarray, allowed: np.ndarray) -> tuple[float, float]:
    """Nats of tokens under softmax(logits), shared out among those that are allowed; and without.

    Args:
        logits: float [T, V]. tokens: int [T]. allowed: bool [T, V].
    """
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    odds = np.exp(wide)
    own = np.take_along_axis(wide, tokens[:, None].astype(np.int64), axis=1).sum()
    shared = np.log(np.where(allowed, odds, 0.0).sum(axis=1)).sum()
    return float(shared - own), float(np.log(odds.sum(axis=1)).sum() - own)


def before(tokens: np.ndarray, codes: Codes) -> np.ndarray:
    """For each token of a piece the one that a floor looks back to: what the same part did in the step before, or for
    polyphony and for beats, tempos and the end, the token before. END where there is none.
    """
    out = np.concatenate([[END], tokens[:-1]]).astype(np.int64)
    if codes.step.layout == "voices":
        voiced = codes.kinds[tokens] >= Kind.REST
        for part in range(len(codes.step.parts)):
            own = np.flatnonzero(voiced & (codes.parts[tokens] == part))
            out[own] = np.concatenate([[END], tokens[own[:-1]]])[: len(own)]
    return out


def count_pairs(pieces: Sequence[np.ndarray], codes: Codes) -> np.ndarray:
    """How often each token stands after each (see `before`) in some pieces, float64 [V, V]."""
    size = len(codes)
    table = np.zeros(size * size)
    for tokens in pieces:
        table += np.bincount(before(tokens, codes) * size + tokens, minlength=size * size)
    return table.reshape(size, size)


class Floors:
    """Counting, under the grammar: tokens by themselves, and first-order Markov by part where pairs were counted.

        p(b) = (n_b + 1) / (N + V)
        p(b | a) = (n_ab + t_a p(b)) / (n_a + t_a)      a: see `before`; t_a: how many different tokens followed a

    each shared out among the tokens that are allowed.

    Args:
        unigram: counts of training, float64 [V].
        pairs: `count_pairs` of training, or None.

    Reference:
        Witten and Bell 1991, method C, as the interpolation.
    """

    def __init__(self, unigram: np.ndarray, pairs: np.ndarray | None) -> None:
        self._single = (unigram + 1) / (unigram.sum() + len(unigram))
        self._pairs: np.ndarray | None = None
        if pairs is not None:
            kinds = (pairs > 0).sum(axis=1, keepdims=True)
            total = pairs.sum(axis=1, keepdims=True)
            mixed = (pairs + kinds * self._single) / np.maximum(total + kinds, 1)
            self._pairs = np.where(total > 0, mixed, self._single)

    def nats(self, tokens: np.ndarray, allowed: np.ndarray, codes: Codes) -> Iterator[tuple[str, float]]:
        """Name and nats of a piece by each floor."""
        rows = np.arange(len(tokens))
        single = np.broadcast_to(self._single, allowed.shape)
        yield "unigram", _nats(single, rows, tokens, allowed)
        if self._pairs is not None:
            yield "Markov", _nats(self._pairs[before(tokens, codes)], rows, tokens, allowed)


def _nats(table: np.ndarray, rows: np.ndarray, tokens: np.ndarray, allowed: np.ndarray) -> float:
    shared = np.where(allowed, table, 0.0).sum(axis=1)
    return -float(np.log(table[rows, tokens] / shared).sum())


def unforced(tokens: np.ndarray, codes: Codes) -> int:
    """How many tokens count for `MusicEvaluation.notes`."""
    return int((codes.kinds[tokens] >= Kind.REST).sum()) if codes.step.layout == "voices" else len(tokens)
