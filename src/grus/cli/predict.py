"""``grus predict MODEL DATA``: what comes after the last row, or what each row is; needs no torch."""

from pathlib import Path
from typing import Annotated

import typer

from grus.cli.options import Config, Data, Json, Level, ModelFolder, Quiet


def predict(
    ctx: typer.Context,
    model: ModelFolder,
    data: Data,
    future: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Rows of the horizon with the covariates that are known in advance."
        ),
    ] = None,
    level: Level = None,
    proba: Annotated[
        bool, typer.Option("--proba", metavar="", help="Also one column a label with its probability.")
    ] = False,
    beam: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Hypotheses of a translator's (default 5) or transcriber's (1) search."
        ),
    ] = None,
    events: Annotated[
        bool, typer.Option("--events", metavar="", help="A row for every event of a detector, not every row.")
    ] = False,
    detail: Annotated[
        bool,
        typer.Option("--detail", metavar="", help="Also the score and the expected value of every column."),
    ] = False,
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
    """Forecast the horizon after the last row of each series in DATA; label, score or translate its rows.

    \b
    [bold]grus predict model demand.csv > forecast.csv[/bold]
    [bold]grus predict model demand.csv --level 80,95 -o forecast.parquet[/bold]
    [bold]grus predict model demand.csv --future weather.csv --json[/bold]
    [bold]zcat demand.csv.gz | grus predict model -[/bold]
    [bold]grus predict model reviews.jsonl --proba > labels.csv[/bold]
    [bold]grus predict model sentences.csv > translations.csv[/bold]
        of a translator; for plain text see grus translate
    [bold]grus predict model recordings/ > labels.csv[/bold]
        of a classifier of recordings, or a transcriber
    [bold]grus predict model pump.csv --events[/bold]
        what a detector saw: start, end, severity and columns of every event
    """
    from grus.artifact import load_model
    from grus.cli.answers import answers_of
    from grus.cli.people import People
    from grus.cli.tables import check_output, put, records, to_csv, write_table
    from grus.inspection.wording import count, to_json

    people = People(quiet)
    if out is not None:
        check_output(out, force)
    loaded, tensors = load_model(model)
    answers = answers_of(ctx, loaded, model)
    with answers.data_file(data) as path:
        columns, sentence = answers.predict(loaded, tensors, path, ctx.params, quiet)
    people.say(sentence)
    if out is not None:
        write_table(columns, out)
        people.say(f"wrote {out}: {count(len(next(iter(columns.values()))), 'row')}")
    else:
        put(to_json(records(columns)) if json else to_csv(columns))
