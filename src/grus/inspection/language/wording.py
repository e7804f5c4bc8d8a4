"""Scores of language models in words, the same in reports and on the terminal, and as plain data for JSON."""

import math
from typing import TYPE_CHECKING, Any

from grus.inspection.wording import count, figure, percent

if TYPE_CHECKING:
    from grus.decode import LanguageEvaluation


def language_evaluation_dict(evaluation: "LanguageEvaluation") -> dict[str, Any]:
    """An evaluation as plain data."""
    e = evaluation
    return {
        "tokens": e.tokens,
        "unknown": e.unknown,
        "characters": e.characters,
        "nats": e.nats,
        "nats_per_token": e.loss,
        "perplexity": e.perplexity,
        "bits_per_character": e.bits_per_character,
        "scores": e.rows(),
    }


def language_verdict(evaluation: "LanguageEvaluation", unit: str) -> str:
    """``perplexity 4.34 a character (1.468 nats, 2.118 bits a character), bigram 11.9``."""
    e = evaluation
    bits = f", {figure(e.bits_per_character)} bits a character" if math.isfinite(e.bits_per_character) else ""
    best = e.rows()[1:2]
    beside = f"; {best[0]['model']} {figure(float(best[0]['perplexity']))}" if best else ""
    return f"perplexity {figure(e.perplexity)} a {unit} ({figure(e.loss)} nats{bits}){beside}"


def counted(evaluation: "LanguageEvaluation", unit: str) -> str:
    """How many tokens were scored, and how many of them the model does not know."""
    e = evaluation
    said = f"every one of {count(e.tokens, unit)} counts, read in order with the state carried"
    if not e.unknown:
        return said
    share = percent(e.unknown / e.tokens, 2)
    return f"{said}; {e.unknown:,} of them ({share}) are unknown to the model, and scored as one token"
