"""Scores, events and their evaluation for the command line; needs no torch."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.cli.answers import Prediction, Scores
from grus.cli.tables import table_file
from grus.cli.watch import WatchedDetector
from grus.data import readers
from grus.inspection.detection.wording import detect_evaluation_dict, detect_verdict, event_sentence
from grus.inspection.wording import count, figure, percent

if TYPE_CHECKING:
    from grus.cli.people import People
    from grus.decode import DetectEvaluation
    from grus.spec import Model


#: What is answered for stands in a table.
data_file = table_file


def predict(model: "Model", tensors: Any, path: Path, options: dict[str, Any], quiet: bool) -> Prediction:
    """The score of every row, or with ``events`` a row for every event."""
    live = WatchedDetector(model, tensors, quiet)
    records = live.records(*readers.read_columns(path))
    if options["events"]:
        columns = live.events(records)
        return Prediction(columns, f"{count(len(columns['start']), 'event')} in {count(len(records), 'row')}")
    columns = live.predict(records, detail=options["detail"])
    above = int((columns["score"] > live.threshold).sum())
    alarms = int(columns["alarm"].sum())
    sentence = f"{count(len(records), 'row')} scored: {above:,} above {figure(live.threshold, 3)}"
    return Prediction(columns, f"{sentence}, {count(alarms, 'alarm')}")


def evaluate(
    model: "Model", tensors: Any, path: Path, options: dict[str, Any], people: "People", name: str
) -> Scores:
    """F1, false alarms and what was missed, beside rules that cost nothing."""
    live = WatchedDetector(model, tensors, people.quiet)
    if options["label"] is not None:
        live.roles = replace(live.roles, label=options["label"])
    columns, source = readers.read_columns(path)
    evaluation = live.evaluate(live.records(columns, source, labelled=True))
    tell(people, f"{name} on {path.name}", evaluation)
    rows = evaluation.table()
    return Scores(
        {key: np.array([row[key] for row in rows]) for key in rows[0]}, detect_evaluation_dict(evaluation)
    )


def tell(people: "People", name: str, evaluation: "DetectEvaluation") -> None:
    """Print the scores of rows beside those of the simple rules, and what became of the events.

    Area is that under precision by recall over all thresholds.
    """
    e = evaluation
    people.say(f"\n{name}: {count(e.rows, 'row')}, {e.anomalous:,} of them anomalous")
    people.table(
        ["", "F1", "precision", "missed", "false alarms", "area"],
        (
            [s.name, percent(s.f1), percent(s.precision), percent(s.missed), percent(s.false_alarms, 2),
             figure(s.average_precision, 3)]
            for s in e.scores
        ),
    )  # fmt: skip
    people.say([detect_verdict(e), event_sentence(e)])
