"""The vocabularies of a translator, fitted on training texts only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from grus.errors import UsageError
from grus.preprocess.subwords import fit_subwords
from grus.preprocess.text import fit_vocabulary
from grus.spec import AnyStep, Subwords, Vocabulary

Tokenizer = Literal["bpe", "word", "char"]


@dataclass(frozen=True)
class VocabularyOptions:
    """How texts are cut.

    Attributes:
        tokenizer: bpe, word or char.
        vocabulary_size: most pieces, words or characters known, of each vocabulary.
        joint: one vocabulary for both sides.
        lower: put texts in lower case, so that translations are too.
        min_count: how often one must occur in training to be known.
    """

    tokenizer: Tokenizer = "bpe"
    vocabulary_size: int = 8_000
    joint: bool = True
    lower: bool = False
    min_count: int = 2


def fit_vocabularies(
    source: Sequence[str], target: Sequence[str], options: VocabularyOptions
) -> tuple[AnyStep, ...]:
    """One step for both sides, or one for each.

    Raises:
        DataError: nothing occurs often enough; MissingExtraError: the library tokenizers is not installed.
    """
    if options.joint:
        return (_fit([*source, *target], options),)
    sides = [("source", source), ("target", target)]
    return tuple(msgspec.structs.replace(_fit(texts, options), side=side) for side, texts in sides)


def _fit(texts: Sequence[str], options: VocabularyOptions) -> Vocabulary | Subwords:
    size, least, lower = options.vocabulary_size, options.min_count, options.lower
    spaced = (" ".join(text.split()) for text in texts)
    if options.tokenizer == "bpe":
        return fit_subwords(spaced, lower=lower, size=size, min_count=least)
    if options.tokenizer not in ("word", "char"):
        raise UsageError(f"tokenizer: must be bpe, word or char, got {options.tokenizer!r}")
    return fit_vocabulary(spaced, options.tokenizer, lower=lower, size=size, min_count=least)
