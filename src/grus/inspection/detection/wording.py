"""A detector's figures in words, the same in reports and on the terminal, and as plain data for JSON."""

from typing import TYPE_CHECKING, Any

from grus.inspection.wording import count, percent

if TYPE_CHECKING:
    from grus.decode import DetectEvaluation


def detect_verdict(evaluation: "DetectEvaluation") -> str:
    """``F1 81.2%, that of calling every row anomalous 69.8%``: the model beside the best rule."""
    best = max(evaluation.scores[1:], key=lambda score: score.f1)
    return f"F1 {percent(evaluation.model.f1)}; the best of the simple rules ({best.name}) has {percent(best.f1)}"


def event_sentence(evaluation: "DetectEvaluation") -> str:
    """``3 of 4 labelled events found; 2 of 5 events that the model sees touch no labelled row``."""
    e = evaluation
    return (
        f"{e.found:,} of {count(e.events, 'labelled event')} found; {e.false:,} of {count(e.alarms, 'event')} that the "
        "model sees touch no labelled row"
    )


def detect_evaluation_dict(evaluation: "DetectEvaluation") -> dict[str, Any]:
    """An evaluation as plain data."""
    e = evaluation
    return {
        "rows": e.rows,
        "anomalous": e.anomalous,
        "threshold": e.threshold,
        "precision": e.model.precision,
        "recall": e.model.recall,
        "f1": e.model.f1,
        "false_alarm_rate": e.model.false_alarms,
        "missed": e.model.missed,
        "average_precision": e.model.average_precision,
        "events": e.events,
        "events_found": e.found,
        "alarms": e.alarms,
        "false_alarms": e.false,
        "scores": e.table(),
    }
