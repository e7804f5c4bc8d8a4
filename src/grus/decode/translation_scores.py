"""How good translations are: BLEU and chrF as sacrebleu defines them, and how probable the references are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grus.errors import MissingExtraError


@dataclass(frozen=True)
class TranslationEvaluation:
    """Translations beside references.

    Attributes:
        sources, references, translations: texts.
        bleu, chrf: of the whole set, from 0 to 100; signatures say how they were computed.
        copied: BLEU of the sources themselves, which costs nothing.
        log_loss: mean of -log p of a reference's token, its end included; tokens: how many there are.
        length_ratio: words of the translations for one of the references.
    """

    sources: tuple[str, ...]
    references: tuple[str, ...]
    translations: tuple[str, ...]
    bleu: float
    chrf: float
    signatures: tuple[str, str]
    copied: float
    log_loss: float
    tokens: int
    length_ratio: float

    @property
    def n(self) -> int:
        """How many sentences."""
        return len(self.references)

    @property
    def perplexity(self) -> float:
        """exp(log_loss), of a token."""
        return float(np.exp(self.log_loss))


def bleu(translations: Sequence[str], references: Sequence[str], lower: bool) -> float:
    """BLEU of a set of translations (Papineni et al. 2002, as sacrebleu does it: Post 2018), from 0 to 100."""
    return min(float(_metrics(lower)[0].corpus_score(list(translations), [list(references)]).score), 100.0)


def evaluate_translations(
    sources: Sequence[str],
    references: Sequence[str],
    translations: Sequence[str],
    log_probabilities: Sequence[np.ndarray],
    lower: bool,
) -> TranslationEvaluation:
    """Score translations.

    Args:
        sources, references, translations: as many texts each, at least one.
        log_probabilities: of each reference's tokens and end, as the model sees them.
        lower: whether case does not count, as for a model that writes in lower case.

    Raises:
        MissingExtraError: sacrebleu is not installed.
    """
    first, second = _metrics(lower)
    found = first.corpus_score(list(translations), [list(references)])
    chrf = second.corpus_score(list(translations), [list(references)])
    signatures = (str(first.get_signature()), str(second.get_signature()))
    words = [sum(len(text.split()) for text in texts) for texts in (translations, references)]
    tokens = sum(map(len, log_probabilities))
    total = float(sum(row.sum() for row in log_probabilities))
    return TranslationEvaluation(
        sources=tuple(sources),
        references=tuple(references),
        translations=tuple(translations),
        bleu=min(float(found.score), 100.0),
        chrf=float(chrf.score),
        signatures=signatures,
        copied=bleu(sources, references, lower),
        log_loss=-total / max(tokens, 1),
        tokens=tokens,
        length_ratio=words[0] / max(words[1], 1),
    )


def _metrics(lower: bool) -> tuple[Any, Any]:
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError as error:
        raise MissingExtraError(
            "BLEU needs sacrebleu, which is not installed", hint="pip install 'grus[text]'"
        ) from error
    return BLEU(lowercase=lower), CHRF(lowercase=lower)
