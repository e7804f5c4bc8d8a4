"""The report of a detector: one self-contained HTML page, with the figures beside it as metrics.json."""

from dataclasses import asdict
from pathlib import Path

import msgspec

from grus.artifact import write_file
from grus.decode import DetectEvaluation, LiveDetector
from grus.inspection.detection.page import detect_page
from grus.inspection.detection.wording import detect_evaluation_dict
from grus.inspection.render import render
from grus.inspection.report import METRICS, PAGE, plan_columns
from grus.inspection.wording import to_json
from grus.preprocess.records import Records
from grus.training import History


def write_detect_report(
    folder: Path,
    *,
    plan: list[str],
    records: Records,
    history: History,
    evaluation: DetectEvaluation | None,
    live: LiveDetector,
    name: str = "MODEL",
) -> Path:
    """Write what there is to see about a trained detector; return the page's path.

    Args:
        folder: where; made if absent.
        plan: how the data was understood, in sentences.
        records: the rows of ``fit``.
        history: of the training.
        evaluation: of these rows; None without labels.
        live: the model.
        name: of the model folder, for the commands at the end of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    title = f"Anomalies of {', '.join(live.task.columns)}"
    severity = evaluation.severity if evaluation is not None else live.score(records).severity
    metrics = {
        "title": title,
        "task": msgspec.to_builtins(live.task),
        "threshold": live.threshold,
        "evaluations": {} if evaluation is None else {"fit": detect_evaluation_dict(evaluation)},
        "history": asdict(history),
    }
    page = detect_page(live, records, severity, history, evaluation)
    text = render("detect.html.j2", title=title, plan=plan_columns(plan), name=name, page=page)
    write_file(folder / METRICS, to_json(metrics).encode())
    write_file(folder / PAGE, text.encode())
    return folder / PAGE
