"""``grus evaluate MODEL DATA``: errors beside those of naive forecasts; needs no torch."""

from typing import TYPE_CHECKING, Annotated

import typer

from grus.cli.options import Config, Data, Json, Level, ModelFolder, Quiet, as_numbers

if TYPE_CHECKING:
    from grus.decode import Evaluation
    from grus.preprocess.columns import Columns


def evaluate(
    model: ModelFolder,
    data: Data,
    step: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Rows from one origin to the next (default: the horizon)."),
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Forecast only from origins in the last N rows (default: all)."
        ),
    ] = None,
    level: Level = ["80", "95"],  # noqa: B006  (Typer shows it in --help and never changes it)
    json: Json = False,
    quiet: Quiet = False,
    config: Config = None,
) -> None:
    """Forecast from many origins in DATA and compare with the truth, and with what costs nothing.

    \b
    [bold]grus evaluate model demand.csv[/bold]
        origins one horizon apart, over all rows
    [bold]grus evaluate model demand.csv --last 1344 --step 24[/bold]
        the last eight weeks of hours, day by day
    [bold]grus evaluate model demand.csv --level 50,90 --json > scores.json[/bold]
    """
    from grus.artifact import load_model
    from grus.cli.people import People
    from grus.cli.tables import put, table_file, to_csv
    from grus.cli.watch import WatchedForecaster
    from grus.data.readers import read_columns
    from grus.inspection.wording import evaluation_dict, to_json

    live = WatchedForecaster(*load_model(model), quiet)
    with table_file(data) as path:
        columns, source = read_columns(path)
        evaluation = live.evaluate(live.panel(columns, source), step=step, last=last, level=as_numbers(level))
    People(quiet).evaluation(f"{model.name} on {source}", evaluation, live.task.target)
    put(to_json(evaluation_dict(evaluation)) if json else to_csv(_scores(evaluation)))


def _scores(evaluation: "Evaluation") -> "Columns":
    import numpy as np

    rows = evaluation.rows()
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}
