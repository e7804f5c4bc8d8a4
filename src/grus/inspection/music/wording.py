"""Scores of models of music in words, the same in reports and on the terminal, and as plain data for JSON."""

from typing import TYPE_CHECKING, Any

from grus.inspection.wording import count, figure

if TYPE_CHECKING:
    from grus.decode import MusicEvaluation


def music_evaluation_dict(evaluation: "MusicEvaluation") -> dict[str, Any]:
    """An evaluation as plain data."""
    e = evaluation
    return {
        "pieces": e.pieces,
        "steps": e.steps,
        "tokens": e.tokens,
        "notes": e.notes,
        "nats": e.nats,
        "nats_per_step": e.nats_per_step,
        "nats_per_note": e.nats_per_note,
        "nats_without_grammar": e.free_nats,
        "left_out": list(e.left_out),
        "scores": e.rows(),
    }


def music_verdict(evaluation: "MusicEvaluation") -> str:
    """``1.85 nats a step (0.4625 a note); Markov 3.102``."""
    e = evaluation
    best = e.rows()[1:2]
    beside = f"; {best[0]['model']} {figure(float(best[0]['nats_per_step']))}" if best else ""
    return f"{figure(e.nats_per_step)} nats a step ({figure(e.nats_per_note)} a note){beside}"


def counted(evaluation: "MusicEvaluation") -> str:
    """How much was scored."""
    e = evaluation
    said = f"{count(e.pieces, 'piece')} of {count(e.steps, 'step')}, each read from its beginning"
    if not e.left_out:
        return said
    return f"{said}; {count(len(e.left_out), 'piece')} left out, such as {e.left_out[0]}"
