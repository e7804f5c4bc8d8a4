"""Labels and their scores for the command line; needs no torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.cli.answers import Prediction, Scores
from grus.cli.people import People
from grus.cli.tables import table_file
from grus.cli.watch import WatchedClassifier
from grus.data.examples import own_of, read_like
from grus.inspection.classes.wording import (
    calibration_sentence,
    class_evaluation_dict,
    class_verdict,
    unmeasured_sentence,
    unseen_sentence,
)
from grus.inspection.wording import count, figure, percent
from grus.preprocess.examples import Examples
from grus.preprocess.irregular import unmeasured
from grus.spec import Irregular

if TYPE_CHECKING:
    from grus.decode import ClassEvaluation
    from grus.spec import Model

#: A confusion matrix of more labels is left to the report and to --json.
_MOST_LABELS = 12


#: What is answered for stands in a table.
data_file = table_file


def predict(model: "Model", tensors: Any, path: Path, options: dict[str, Any], quiet: bool) -> Prediction:
    """The label of every row, with its probability."""
    live = WatchedClassifier(model, tensors, quiet)
    examples = _read(live, path, labelled=False, people=People(quiet))
    columns = live.predict(examples, proba=options["proba"])
    said = f"{count(examples.rows, 'row')} labelled"
    return Prediction(columns, "\n".join(filter(None, [said, _unmeasured(live.model, examples)])))


def evaluate(
    model: "Model", tensors: Any, path: Path, options: dict[str, Any], people: People, name: str
) -> Scores:
    """Accuracy, macro-F1, calibration and confusion, beside the baselines."""
    live = WatchedClassifier(model, tensors, people.quiet)
    examples = _read(live, path, labelled=True, people=people)
    evaluation = live.evaluate(examples)
    tell(people, f"{name} on {path.name}", evaluation)
    if said := _unmeasured(live.model, examples):
        people.say(said)
    rows = evaluation.rows()
    columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    return Scores(columns, class_evaluation_dict(evaluation))


def tell(people: People, name: str, evaluation: "ClassEvaluation") -> None:
    """Print the scores beside those of the baselines, the calibration, and which labels are taken for which."""
    e = evaluation
    people.say(f"\n{name}: {count(e.n, 'row')}")
    people.table(
        ["", "accuracy", "macro-F1", "log loss"],
        (
            [str(row["model"]), *(percent(float(row[key])) for key in ("accuracy", "macro_f1")),
             figure(float(row["log_loss"]))]
            for row in e.rows()
        ),
    )  # fmt: skip
    people.say([class_verdict(e), calibration_sentence(e)])
    if e.unseen:
        people.say(unseen_sentence(e))
    if not e.task.multi and len(e.task.labels) <= _MOST_LABELS:
        header = ["true \\ predicted", *e.task.labels]
        people.table(header, ([label, *map(str, row)] for label, row in zip(e.task.labels, e.confusion)))


def _unmeasured(model: "Model", examples: Examples) -> str:
    """A sentence on rows that hold no value, where a model is made for missing ones."""
    return unmeasured_sentence(unmeasured(examples)) if isinstance(model.preprocess[0], Irregular) else ""


def _read(live: WatchedClassifier, path: Path, labelled: bool, people: People) -> Examples:
    return read_like(path, live.roles, labelled=labelled, own=own_of(live.model, people.say))
