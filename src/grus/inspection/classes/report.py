"""The report of a classifier: one self-contained HTML page, with the figures beside it as metrics.json."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import msgspec

from grus.artifact import write_file
from grus.decode import ClassEvaluation
from grus.inspection.classes.page import class_page
from grus.inspection.classes.wording import class_evaluation_dict
from grus.inspection.render import render
from grus.inspection.report import METRICS, PAGE, plan_columns
from grus.inspection.tuning.page import study_dict, tuning_section
from grus.inspection.wording import to_json
from grus.preprocess.examples import Examples
from grus.spec import Model
from grus.training import History
from grus.training.search import Study


def write_classify_report(
    folder: Path,
    *,
    title: str,
    plan: list[str],
    parts: Mapping[str, Examples],
    history: History,
    evaluations: Mapping[str, ClassEvaluation],
    model: Model,
    name: str = "MODEL",
    tuning: Study | None = None,
) -> Path:
    """Write what there is to see about a trained classifier; return the page's path.

    Args:
        folder: where; made if absent.
        title: the page's headline.
        plan: how the data was understood, in sentences.
        parts: examples by ``train``, ``validation`` and ``test``, with their labels.
        history: of the training.
        evaluations: by ``test`` (first, if there is one) and ``validation``, of the rows of the part.
        model: the spec.
        name: of the model folder, for the commands at the end of the page.
        tuning: the search that chose the settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    metrics = {
        "title": title,
        "task": msgspec.to_builtins(model.task),
        "evaluations": {part: class_evaluation_dict(e) for part, e in evaluations.items()},
        "history": asdict(history),
        **study_dict(tuning),
    }
    page = class_page(parts, history, evaluations, model)
    tuned = tuning_section(tuning, "rows")
    text = render(
        "classify.html.j2", title=title, plan=plan_columns(plan), name=name, page=page, tuning=tuned
    )
    write_file(folder / METRICS, to_json(metrics).encode())
    write_file(folder / PAGE, text.encode())
    return folder / PAGE
