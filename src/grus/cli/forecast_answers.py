"""Forecasts and their scores for the command line; needs no torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.cli.answers import Prediction, Scores
from grus.cli.options import as_numbers
from grus.cli.tables import table_file
from grus.cli.watch import WatchedForecaster
from grus.data import readers
from grus.inspection.wording import evaluation_dict

if TYPE_CHECKING:
    from grus.cli.people import People
    from grus.spec import Model


#: What is answered for stands in a table.
data_file = table_file


def predict(model: "Model", tensors: Any, path: Path, options: dict[str, Any], quiet: bool) -> Prediction:
    """The horizon after the last row of every series."""
    live = WatchedForecaster(model, tensors, quiet)
    columns, source = readers.read_columns(path)
    panel = live.panel(columns, source)
    ahead = None if options["future"] is None else readers.read_columns(options["future"])[0]
    answer = live.predict(panel, ahead, level=as_numbers(options["level"]))
    return Prediction(
        answer, f"{panel.frequency.count(live.task.horizon)} ahead for {panel.n_series:,} series"
    )


def evaluate(
    model: "Model", tensors: Any, path: Path, options: dict[str, Any], people: "People", name: str
) -> Scores:
    """Errors from many origins, beside those of naive forecasts."""
    live = WatchedForecaster(model, tensors, people.quiet)
    columns, source = readers.read_columns(path)
    evaluation = live.evaluate(
        live.panel(columns, source),
        step=options["step"],
        last=options["last"],
        level=as_numbers(options["level"]),
    )
    people.evaluation(f"{name} on {source}", evaluation, live.task.target)
    rows = evaluation.rows()
    return Scores({key: np.array([row[key] for row in rows]) for key in rows[0]}, evaluation_dict(evaluation))
