"""A transcriber's figures in words, the same in reports and on the terminal, and as plain data for JSON."""

from typing import TYPE_CHECKING, Any

from grus.inspection.wording import count, percent

if TYPE_CHECKING:
    from grus.decode.transcription_scores import Edits, TranscriptionEvaluation


def transcription_verdict(evaluation: "TranscriptionEvaluation") -> str:
    """``3.2% of 1,500 words wrong (20 replaced, 18 left out, 10 too many); 88% of the recordings without an error``."""
    e = evaluation
    w = e.words
    return (
        f"word error rate {percent(w.rate, 2)} of {count(w.length, 'word')} ({w.substitutions:,} replaced, "
        f"{w.deletions:,} left out, {w.insertions:,} too many); {percent(e.right)} of the recordings without an error"
    )


def transcription_evaluation_dict(evaluation: "TranscriptionEvaluation") -> dict[str, Any]:
    """An evaluation as plain data, without the texts."""
    e = evaluation
    return {
        "recordings": e.n,
        "seconds": e.seconds,
        "word_error_rate": e.wer,
        "character_error_rate": e.cer,
        "words": _edits(e.words),
        "characters": _edits(e.characters),
        "right": e.right,
        "log_loss": e.log_loss,
    }


def _edits(edits: "Edits") -> dict[str, int]:
    return {
        "length": edits.length,
        "substitutions": edits.substitutions,
        "deletions": edits.deletions,
        "insertions": edits.insertions,
    }
