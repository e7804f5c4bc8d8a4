"""Words cut into pieces in another way each time: byte pair encoding that leaves merges out at random."""

import itertools
import json
import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from grus.preprocess.subwords import load_tokenizer
from grus.preprocess.text import clean
from grus.spec import Subwords
from grus.spec.subwords import read_definition


class BPEDropout:
    """The same texts as other pieces in every epoch (Provilkov et al. 2020, "BPE-Dropout").

    Of the merges that are possible at a moment each is left out with probability p, and the first in the order of the
    vocabulary is made; it ends when none is left. A word so is seen whole, in parts, and now and then letter by letter.

    Args:
        texts: cut as `Coder` cuts them.
        subwords: the vocabulary; of those that clean texts.
        rate: p, from 0 to below 1. With 0 the pieces are those of `Coder`.
    """

    def __init__(self, texts: Sequence[str], subwords: Subwords, rate: float) -> None:
        pieces, merges = read_definition(subwords.definition, subwords.exact)
        codes = {piece: number + 1 for number, piece in enumerate(pieces)}
        # (left, right) as codes -> (rank, code of both).
        self._merges = {
            (codes[left], codes[right]): (rank, codes[left + right])
            for rank, (left, right) in enumerate(merges)
        }
        self._rate = rate
        cut: Any = load_tokenizer(subwords).pre_tokenizer
        words: dict[str, int] = {}
        self._texts: list[list[int]] = []
        for text in texts:
            cleaned = " ".join(clean(text, subwords.lower).split())
            found = cut.pre_tokenize_str(cleaned)
            self._texts.append([words.setdefault(word, len(words)) for word, _ in found])
        self._words = [[codes[letter] for letter in word] for word in words]

    def draw(self, *position: int) -> list[np.ndarray]:
        """Codes int64 of every text, a pure function of whole numbers such as (seed, epoch)."""
        uniform = random.Random(json.dumps(position)).random
        return [
            np.array([code for word in text for code in self._pieces(self._words[word], uniform)], np.int64)
            for text in self._texts
        ]

    def _pieces(self, letters: list[int], uniform: Any) -> list[int]:
        rate, merges, word = self._rate, self._merges, letters
        while len(word) > 1:
            best, place = None, 0
            for number, pair in enumerate(itertools.pairwise(word)):
                found = merges.get(pair)
                if found is not None and (best is None or found < best) and uniform() >= rate:
                    best, place = found, number
            if best is None:
                break
            word = [*word[:place], best[1], *word[place + 2 :]]
        return word
