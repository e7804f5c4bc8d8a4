"""Scores of a model of music for the command line; needs no torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.cli.answers import Prediction, Scores
from grus.cli.fit_music import music_files
from grus.cli.watch import WatchedComposer
from grus.data.music_files import read_music
from grus.errors import UsageError
from grus.inspection.music.wording import counted, music_evaluation_dict, music_verdict
from grus.inspection.wording import figure

if TYPE_CHECKING:
    from grus.cli.people import People
    from grus.decode import MusicEvaluation
    from grus.spec import Model


@contextmanager
def data_file(data: str) -> Iterator[Path]:
    """The path of music."""
    with music_files([data]) as paths:
        yield paths[0]


def predict(model: "Model", tensors: Any, path: Path, options: dict[str, Any], quiet: bool) -> Prediction:
    """Refuse: a model of music has no answer for rows."""
    raise UsageError(
        "grus predict: a model of music has no answer for rows of data",
        hint="grus generate MODEL goes on with a tune, grus evaluate MODEL FOLDER scores some",
    )


def evaluate(
    model: "Model", tensors: Any, path: Path, options: dict[str, Any], people: "People", name: str
) -> Scores:
    """Nats a step and a note, beside counting; of an archive the pieces for a test."""
    live = WatchedComposer(model, tensors, people.quiet)
    parts = read_music(path, live.step.steps_per_beat)
    named = parts.test or parts.train
    people.say(parts.notes)
    evaluation = live.evaluate([one.piece for one in named], [one.source for one in named])
    tell(people, f"{name} on {path.name}", evaluation)
    rows = evaluation.rows()
    columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    return Scores(columns, music_evaluation_dict(evaluation))


def tell(people: "People", name: str, evaluation: "MusicEvaluation") -> None:
    """Print the scores beside those of counting, and what was counted."""
    people.say(f"\n{name}: {counted(evaluation)}")
    people.table(
        ["", "nats a step", "nats a note"],
        (
            [str(row["model"]), figure(float(row["nats_per_step"])), figure(float(row["nats_per_note"]))]
            for row in evaluation.rows()
        ),
    )
    people.say(music_verdict(evaluation))
