"""The report of a language model: one self-contained HTML page, with the figures beside it as metrics.json."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import msgspec

from grus.artifact import write_file
from grus.decode import LanguageEvaluation, LiveGenerator
from grus.inspection.language.page import language_page
from grus.inspection.language.wording import language_evaluation_dict
from grus.inspection.render import render
from grus.inspection.report import METRICS, PAGE, plan_columns
from grus.inspection.wording import to_json
from grus.training import History


def write_language_report(
    folder: Path,
    *,
    title: str,
    plan: list[str],
    history: History,
    evaluations: Mapping[str, LanguageEvaluation],
    live: LiveGenerator,
    name: str = "MODEL",
    seed: int = 0,
) -> Path:
    """Write what there is to see about a trained language model; return the page's path.

    Args:
        folder: where; made if absent.
        title: the page's headline.
        plan: how the text was understood, in sentences.
        history: of the training.
        evaluations: by ``test`` (first, if there is one) and ``validation``.
        live: the model, which writes the samples.
        name: of the model folder, for the commands at the end of the page.
        seed: of the samples.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = language_page(history, evaluations, live, seed)
    metrics = {
        "title": title,
        "task": msgspec.to_builtins(live.task),
        "evaluations": {part: language_evaluation_dict(e) for part, e in evaluations.items()},
        "history": asdict(history),
        "samples": [asdict(sample) for sample in page.samples],
    }
    text = render("language.html.j2", title=title, plan=plan_columns(plan), name=name, page=page)
    write_file(folder / METRICS, to_json(metrics).encode())
    write_file(folder / PAGE, text.encode())
    return folder / PAGE
