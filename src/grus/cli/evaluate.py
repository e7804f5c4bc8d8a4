"""``grus evaluate MODEL DATA``: scores beside those of what costs nothing; needs no torch."""

from pathlib import Path
from typing import Annotated

import typer

from grus.cli import fusion_options as f
from grus.cli.options import Config, Data, Json, Level, ModelFolder, Quiet


def evaluate(
    ctx: typer.Context,
    model: ModelFolder,
    data: Data,
    references: Annotated[
        str | None,
        typer.Argument(metavar="[REFERENCES]", help="Translations of DATA, where both are plain text."),
    ] = None,
    beam: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Hypotheses of a translator's (default 5) or transcriber's (1) search."
        ),
    ] = None,
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
    label: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="1 in anomalous rows, else 0 (default: as the detector was fitted)."
        ),
    ] = None,
    language_model: f.LanguageModel = None,
    lm_weight: f.LmWeight = 0.5,
    word_bonus: f.WordBonus = 0.0,
    length_bonus: f.LengthBonus = 0.0,
    wake: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            help="How well a transcriber of words wakes up to this one, threshold by threshold.",
        ),
    ] = None,
    times: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Where WORD is in each recording, in seconds: 0.52-0.97 2.1-2.6, or nothing.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="A page (.html) with the picture of --wake."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Replace the page.")] = False,
    json: Json = False,
    quiet: Quiet = False,
    config: Config = None,
) -> None:
    """Compare a model's answers on DATA with the truth, and with what costs nothing.

    \b
    [bold]grus evaluate model demand.csv[/bold]
        forecasts from origins one horizon apart, over all rows
    [bold]grus evaluate model demand.csv --last 1344 --step 24[/bold]
        the last eight weeks of hours, day by day
    [bold]grus evaluate model demand.csv --level 50,90 --json > scores.json[/bold]
    [bold]grus evaluate model reviews.jsonl[/bold]
        accuracy, calibration and confusion of a classifier's labels
    [bold]grus evaluate model book.txt[/bold]
        perplexity and bits per character of a language model
    [bold]grus evaluate model test.en test.de --beam 1[/bold]
        BLEU, chrF and perplexity of a translator
    [bold]grus evaluate model pump.csv --label anomaly[/bold]
        F1, false alarms and what a detector missed, row by row
    [bold]grus evaluate model calls.tsv --language-model letters --lm-weight 0.4[/bold]
        word error rate of a transcriber with a language model beside it
    [bold]grus evaluate model calls.tsv --wake seven -o seven.html[/bold]
        what a transcriber of words misses of one word, and how often it is wrong
    """
    from grus.artifact import load_model
    from grus.cli.answers import answers_of
    from grus.cli.people import People
    from grus.cli.tables import put, to_csv
    from grus.inspection.wording import to_json

    _check_wake(ctx)
    f.check_fusion(ctx)
    loaded, tensors = load_model(model)
    answers = answers_of(ctx, loaded, model)
    with answers.data_file(data) as path:
        columns, plain = answers.evaluate(loaded, tensors, path, ctx.params, People(quiet), model.name)
    put(to_json(plain) if json else to_csv(columns))


def _check_wake(ctx: typer.Context) -> None:
    """Raise UsageError for options that do not go with --wake, or not without it, before any work is done."""
    from grus.cli.tables import check_page
    from grus.errors import UsageError

    options = ctx.params
    if options["wake"] is None:
        given = next((name for name in ("times", "out", "force") if options[name]), None)
        if given is not None:
            raise UsageError(f"{ctx.command_path}: --{given} is for --wake")
    elif options["beam"] is not None:
        raise UsageError(
            f"{ctx.command_path}: --beam must not be given with --wake, which writes nothing down"
        )
    elif options["out"] is not None:
        check_page(options["out"], options["force"])
