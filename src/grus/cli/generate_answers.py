"""Scores of a language model for the command line; needs no torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.cli.answers import Prediction, Scores
from grus.cli.tables import text_files
from grus.cli.watch import WatchedGenerator
from grus.data.text_files import read_source, read_tokens
from grus.errors import UsageError
from grus.inspection.language.wording import counted, language_evaluation_dict, language_verdict
from grus.inspection.wording import figure

if TYPE_CHECKING:
    from grus.cli.people import People
    from grus.decode import LanguageEvaluation
    from grus.spec import Model


@contextmanager
def data_file(data: str) -> Iterator[Path]:
    """The path of a text; see `grus.cli.tables.text_files`."""
    with text_files([data]) as paths:
        yield paths[0]


def predict(model: "Model", tensors: Any, path: Path, options: dict[str, Any], quiet: bool) -> Prediction:
    """Refuse: a language model has no answer for rows."""
    raise UsageError(
        "grus predict: a language model has no answer for rows of data",
        hint="grus generate MODEL goes on with a text, grus evaluate MODEL TEXT scores one",
    )


def evaluate(
    model: "Model", tensors: Any, path: Path, options: dict[str, Any], people: "People", name: str
) -> Scores:
    """Perplexity and bits per character, beside counting."""
    live = WatchedGenerator(model, tensors, people.quiet)
    evaluation = live.evaluate(read_tokens(read_source(path), live.codec))
    tell(people, f"{name} on {path.name}", evaluation, live.codec.unit)
    rows = evaluation.rows()
    columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    return Scores(columns, language_evaluation_dict(evaluation))


def tell(people: "People", name: str, evaluation: "LanguageEvaluation", unit: str) -> None:
    """Print the scores beside those of counting, and what was counted."""
    people.say(f"\n{name}: {counted(evaluation, unit)}")
    people.table(
        ["", f"nats a {unit}", "perplexity", "bits a character"],
        (
            [str(row["model"]), *(figure(float(value)) for key, value in row.items() if key != "model")]
            for row in evaluation.rows()
        ),
    )
    people.say(language_verdict(evaluation, unit))
