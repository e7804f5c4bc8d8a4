"""Reports for people: one self-contained HTML page, with the figures beside it as metrics.json."""

import re
from dataclasses import asdict
from pathlib import Path

import msgspec

from grus.artifact import write_file
from grus.data.splits import Split
from grus.decode import Evaluation
from grus.inspection.forecast_page import forecast_page
from grus.inspection.render import render
from grus.inspection.tuning.page import study_dict, tuning_section
from grus.inspection.wording import evaluation_dict, to_json
from grus.preprocess.panel import Panel
from grus.spec import Model
from grus.training import History
from grus.training.search import Study

PAGE, METRICS = "index.html", "metrics.json"


def write_forecast_report(
    folder: Path,
    *,
    title: str,
    plan: list[str],
    panel: Panel,
    split: Split,
    history: History,
    evaluations: dict[str, Evaluation],
    model: Model,
    name: str = "MODEL",
    tuning: Study | None = None,
) -> Path:
    """Write what there is to see about a trained forecaster; return the page's path.

    Args:
        folder: where; made if absent.
        title: the page's headline.
        plan: how the data was understood, in sentences.
        panel, split: the data, and which rows of it were trained on.
        history: of the training.
        evaluations: by ``test`` (first, if there is one) and ``validation``; origins count the rows of ``panel``,
            for ``validation`` those of the panel cut where validation ends.
        model: the spec.
        name: of the model folder, for the commands at the end of the page.
        tuning: the search that chose the settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    metrics = {
        "title": title,
        "task": msgspec.to_builtins(model.task),
        "evaluations": {part: evaluation_dict(e) for part, e in evaluations.items()},
        "history": asdict(history),
        **study_dict(tuning),
    }
    page = forecast_page(panel, split, history, evaluations, model)
    tuned = tuning_section(tuning, "windows")
    text = render(
        "forecast.html.j2", title=title, plan=plan_columns(plan), name=name, page=page, tuning=tuned
    )
    write_file(folder / METRICS, to_json(metrics).encode())
    write_file(folder / PAGE, text.encode())
    return folder / PAGE


def plan_columns(plan: list[str]) -> list[tuple[str, str]]:
    """Lines such as ``target    'y', 17,379 values`` as (name, text); the name is empty where there is none."""
    parts = [re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in plan]
    return [(part[0], part[1]) if len(part) == 2 else ("", part[0]) for part in parts]
