"""A translator's figures in words, the same in reports and on the terminal, and as plain data for JSON."""

from typing import TYPE_CHECKING, Any

from grus.inspection.wording import figure

if TYPE_CHECKING:
    from grus.decode.translation_scores import TranslationEvaluation


def translation_verdict(evaluation: "TranslationEvaluation") -> str:
    """``BLEU 37.2; copying the source gives 3.1``."""
    return f"BLEU {figure(evaluation.bleu, 3)}; copying the source gives {figure(evaluation.copied, 3)}"


def probability_sentence(evaluation: "TranslationEvaluation") -> str:
    """How probable the references are, and how long the translations beside them."""
    e = evaluation
    return (
        f"a token of the references has a perplexity of {figure(e.perplexity, 3)}; the translations have "
        f"{100 * e.length_ratio:.0f}% of their words"
    )


def translation_evaluation_dict(evaluation: "TranslationEvaluation") -> dict[str, Any]:
    """An evaluation as plain data, without the texts."""
    e = evaluation
    return {
        "sentences": e.n,
        "bleu": e.bleu,
        "chrf": e.chrf,
        "signatures": list(e.signatures),
        "bleu_of_copying": e.copied,
        "log_loss": e.log_loss,
        "perplexity": e.perplexity,
        "tokens": e.tokens,
        "length_ratio": e.length_ratio,
    }
