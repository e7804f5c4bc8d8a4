"""A classifier's figures in words, the same in reports and on the terminal, and as plain data for JSON."""

from typing import TYPE_CHECKING, Any

from grus.inspection.wording import count, percent

if TYPE_CHECKING:
    from grus.decode import ClassEvaluation

_SHOWN = 5


def class_verdict(evaluation: "ClassEvaluation") -> str:
    """``wrong on 20.1% of rows, bag of words on 24.3%``: the model beside the best baseline."""
    best = evaluation.best_baseline
    own, other = 1 - evaluation.accuracy, 1 - evaluation.baselines[best].accuracy
    return f"wrong on {percent(own)} of the rows, the best baseline ({best}) on {percent(other)}"


def calibration_sentence(evaluation: "ClassEvaluation") -> str:
    """``probabilities are off by 2.1 percentage points on average (ECE)``."""
    return f"probabilities are off by {100 * evaluation.ece:.1f} percentage points on average (ECE)"


def unseen_sentence(evaluation: "ClassEvaluation") -> str:
    """Which labels training did not know, and how many rows they have; empty if there are none."""
    unseen = evaluation.unseen
    if not unseen:
        return ""
    names = ", ".join(f"{label!r} ({rows:,})" for label, rows in sorted(unseen.items())[:_SHOWN])
    more = f" and {len(unseen) - _SHOWN:,} more" if len(unseen) > _SHOWN else ""
    return f"{count(sum(unseen.values()), 'row')} of labels that training did not know count as wrong: {names}{more}"


def unmeasured_sentence(rows: int) -> str:
    """``3 rows without any value: ...``; empty for none."""
    if not rows:
        return ""
    return (
        f"{count(rows, 'row')} without any value: the model has only each label's share in training to go by"
    )


def class_evaluation_dict(evaluation: "ClassEvaluation") -> dict[str, Any]:
    """An evaluation as plain data."""
    e = evaluation
    labels = {
        label: {
            "precision": float(e.precision[i]),
            "recall": float(e.recall[i]),
            "f1": float(e.f1[i]),
            "rows": int(e.support[i]),
        }
        for i, label in enumerate(e.task.labels)
    }
    return {
        "rows": e.n,
        "accuracy": e.accuracy,
        "macro_f1": e.macro_f1,
        "micro_f1": e.micro_f1,
        "log_loss": e.log_loss,
        "ece": e.ece,
        "scores": e.rows(),
        "best_baseline": e.best_baseline,
        "labels": labels,
        "confusion": e.confusion.tolist(),
        "calibration": e.calibration.tolist(),
        "unseen": e.unseen,
    }
