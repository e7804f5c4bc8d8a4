"""``grus predict MODEL DATA``: forecast what comes after the last row; needs no torch."""

from pathlib import Path
from typing import Annotated, Any

import typer

from grus.cli.options import Config, Data, Json, Level, ModelFolder, Quiet, as_numbers


def predict(
    model: ModelFolder,
    data: Data,
    future: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Rows of the horizon with the covariates that are known in advance."
        ),
    ] = None,
    level: Level = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Write to a .csv, .parquet or .json file, not to stdout."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Replace the file named by -o.")] = False,
    json: Json = False,
    quiet: Quiet = False,
    config: Config = None,
) -> None:
    """Forecast the horizon after the last row of every series in DATA.

    \b
    [bold]grus predict model demand.csv > forecast.csv[/bold]
    [bold]grus predict model demand.csv --level 80,95 -o forecast.parquet[/bold]
    [bold]grus predict model demand.csv --future weather.csv --json[/bold]
    [bold]zcat demand.csv.gz | grus predict model -[/bold]
    """
    from grus.artifact import load_model
    from grus.cli.people import People
    from grus.cli.tables import check_output, put, records, table_file, to_csv, write_table
    from grus.cli.watch import WatchedForecaster
    from grus.inspection.wording import count, to_json

    people = People(quiet)
    if out is not None:
        check_output(out, force)
    live = WatchedForecaster(*load_model(model), quiet)
    with table_file(data) as path:
        panel, ahead = _read(live, path, future)
        columns = live.predict(panel, ahead, level=as_numbers(level))
    people.say(f"{panel.frequency.count(live.task.horizon)} ahead for {panel.n_series:,} series")
    if out is not None:
        write_table(columns, out)
        people.say(f"wrote {out}: {count(len(next(iter(columns.values()))), 'row')}")
    else:
        put(to_json(records(columns)) if json else to_csv(columns))


def _read(live: Any, path: Path, future: str | None) -> tuple[Any, Any]:
    """The history as a panel, and the columns of the future file, if there is one."""
    from grus.data.readers import read_columns

    columns, source = read_columns(path)
    panel = live.panel(columns, source)
    return panel, None if future is None else read_columns(future)[0]
