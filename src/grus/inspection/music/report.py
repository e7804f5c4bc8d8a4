"""The report of a model of music: one self-contained HTML page, with figures and MIDI files beside it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import msgspec

from grus.artifact import write_file
from grus.decode import LiveComposer, MusicEvaluation
from grus.errors import MissingExtraError
from grus.inspection.music.page import music_page
from grus.inspection.music.wording import music_evaluation_dict
from grus.inspection.render import render
from grus.inspection.report import METRICS, PAGE, plan_columns
from grus.inspection.wording import to_json
from grus.training import History


def write_music_report(
    folder: Path,
    *,
    title: str,
    plan: list[str],
    history: History,
    evaluations: Mapping[str, MusicEvaluation],
    live: LiveComposer,
    name: str = "MODEL",
    seed: int = 0,
) -> Path:
    """Write what there is to see and hear about a trained model of music; return the page's path.

    Args:
        folder: where; made if absent.
        title: the page's headline.
        plan: how the music was understood, in sentences.
        history: of the training.
        evaluations: by ``test`` (first, if there is one) and ``validation``.
        live: the model, which writes the samples; without mido they are pictures only.
        name: of the model folder, for the commands at the end of the page.
        seed: of the samples.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = music_page(history, evaluations, live, seed)
    heard: set[str] = set()
    with suppress(MissingExtraError):
        for sample in page.samples:
            write_file(folder / sample.file, sample.composition.midi())
            heard.add(sample.file)
    metrics = {
        "title": title,
        "task": msgspec.to_builtins(live.task),
        "evaluations": {part: music_evaluation_dict(e) for part, e in evaluations.items()},
        "history": asdict(history),
        "samples": [
            {"file": sample.file, "how": sample.how} for sample in page.samples if sample.file in heard
        ],
    }
    text = render("music.html.j2", title=title, plan=plan_columns(plan), name=name, page=page, heard=heard)
    write_file(folder / METRICS, to_json(metrics).encode())
    write_file(folder / PAGE, text.encode())
    return folder / PAGE
