"""Scores of rows against labels: how much was found, how often the alarm was false, beside what costs nothing."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from grus.decode.events import event_rows
from grus.decode.likelihood import to_score, to_severity
from grus.preprocess.records import Records

if TYPE_CHECKING:
    from grus.decode.detector import LiveDetector
    from grus.decode.streaming.detector import Found

#: The baseline that knows no time: a row is anomalous if some column is further than this from its mean in training.
FAR = 3.0


@dataclass(frozen=True)
class RowScore:
    """Rows called anomalous against rows that are, each by itself: nothing is adjusted for belonging to one event.

    Attributes:
        name: ``model``, or that of a baseline.
        precision: of the rows called anomalous, those that are; recall: of those that are, the ones called so; f1:
            their harmonic mean; 0 where 0/0.
        false_alarms: of the rows that are not anomalous, those called so; missed: 1 - recall.
        average_precision: the area under precision by recall over all thresholds; NaN for a rule without a score.
    """

    name: str
    precision: float
    recall: float
    f1: float
    false_alarms: float
    missed: float
    average_precision: float


@dataclass(frozen=True)
class DetectEvaluation:
    """Scores of the model (first) and of the baselines on R labelled rows.

    Attributes:
        scores: of rows.
        rows, anomalous: how many there are, and how many of them are labelled 1.
        events, found: runs of rows labelled 1, and how many of them have a row above the threshold.
        alarms, false: events that the model sees, and how many of them touch no labelled row.
        threshold: of the score.
        records, severity: what was scored, for plots; of each column [R, C].
    """

    scores: tuple[RowScore, ...]
    rows: int
    anomalous: int
    events: int
    found: int
    alarms: int
    false: int
    threshold: float
    records: Records = field(repr=False)
    severity: np.ndarray = field(repr=False)

    @property
    def model(self) -> RowScore:
        """The model's own score."""
        return self.scores[0]

    def table(self) -> list[dict[str, float | str]]:
        """The scores of rows as plain rows, for printing and JSON."""
        return [
            {
                "model": s.name,
                "precision": s.precision,
                "recall": s.recall,
                "f1": s.f1,
                "false_alarm_rate": s.false_alarms,
                "missed": s.missed,
                "average_precision": s.average_precision,
            }
            for s in self.scores
        ]


def evaluate_detector(live: "LiveDetector", records: Records, found: "Found") -> DetectEvaluation:
    """Score labelled rows.

    Args:
        live: the model.
        records: the rows, with labels.
        found: what the model says of them.
    """
    assert records.anomalous is not None
    truth, worst, threshold = records.anomalous, found.severity.max(1), live.threshold
    series = np.repeat(live.preprocessor.series(records.names), records.lengths)
    far = np.abs((records.values - live.preprocessor.center[series]) / live.preprocessor.scale[series])
    far = np.nan_to_num(far).max(1)
    scores = (
        row_score("model", to_score(worst) > threshold, truth, worst),
        row_score("every row", np.ones(len(truth), np.bool_), truth),
        row_score(f"beyond {FAR:g} sd", far > FAR, truth, far),
    )
    least = to_severity(threshold)
    events = hits = alarms = false = 0
    for i in range(records.n_series):
        rows = records.rows(i)
        labelled, above = truth[rows], worst[rows] > least
        runs = event_rows(labelled.astype(np.float64), 0.5, 0)
        seen = event_rows(worst[rows], least, live.task.quiet)
        events, alarms = events + len(runs), alarms + len(seen)
        hits += sum(bool(above[first : last + 1].any()) for first, last in runs)
        false += sum(not labelled[first : last + 1].any() for first, last in seen)
    counts = len(truth), int(truth.sum()), events, hits, alarms, false
    return DetectEvaluation(scores, *counts, threshold, records, found.severity)


def row_score(name: str, called: np.ndarray, truth: np.ndarray, score: np.ndarray | None = None) -> RowScore:
    """Compare rows called anomalous with those that are, bool [R] each; ``score`` ranks them, float64 [R]."""
    hits, calls, there = int((called & truth).sum()), int(called.sum()), int(truth.sum())
    precision, recall = (hits / n if n else 0.0 for n in (calls, there))
    f1 = 2 * hits / (calls + there) if calls + there else 0.0
    normal = len(truth) - there
    false = (calls - hits) / normal if normal else 0.0
    area = float("nan") if score is None else average_precision(score, truth)
    return RowScore(name, precision, recall, f1, false, 1.0 - recall, area)


def average_precision(score: np.ndarray, truth: np.ndarray) -> float:
    """sum_k (R_k - R_{k-1}) P_k over the thresholds from the highest score down; NaN without an anomalous row."""
    if not truth.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.append(np.diff(score[order]) != 0, True)  # rows of one score are called together
    hits, calls = hits[last], np.flatnonzero(last) + 1
    return float(np.sum(np.diff(np.append(0, hits)) / truth.sum() * hits / calls))
