"""The report of a translator: one self-contained HTML page, with the figures beside it as metrics.json."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import msgspec

from grus.artifact import write_file
from grus.data.pairs import Pairs
from grus.decode.translation_scores import TranslationEvaluation
from grus.decode.translator import LiveTranslator
from grus.inspection.render import render
from grus.inspection.report import METRICS, PAGE, plan_columns
from grus.inspection.translations.page import translate_page
from grus.inspection.translations.wording import translation_evaluation_dict
from grus.inspection.wording import to_json
from grus.training import History


def write_translate_report(
    folder: Path,
    *,
    title: str,
    plan: list[str],
    parts: Mapping[str, Pairs],
    history: History,
    evaluations: Mapping[str, TranslationEvaluation],
    live: LiveTranslator,
    name: str = "MODEL",
) -> Path:
    """Write what there is to see about a trained translator; return the page's path.

    Args:
        folder: where; made if absent.
        title: the page's headline.
        plan: how the data was understood, in sentences.
        parts: pairs by ``train``, ``validation`` and ``test``.
        history: of the training.
        evaluations: by ``test`` (first, if there is one) and ``validation``.
        live: the translator, for the pictures of its attention.
        name: of the model folder, for the commands at the end of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    metrics = {
        "title": title,
        "task": msgspec.to_builtins(live.task),
        "evaluations": {part: translation_evaluation_dict(e) for part, e in evaluations.items()},
        "history": asdict(history),
    }
    page = translate_page(parts, history, evaluations, live)
    text = render("translate.html.j2", title=title, plan=plan_columns(plan), name=name, page=page)
    write_file(folder / METRICS, to_json(metrics).encode())
    write_file(folder / PAGE, text.encode())
    return folder / PAGE
