"""``grus stream MODEL``: rows in on stdin, answers out on stdout, for as long as rows come; needs no torch."""

from pathlib import Path
from typing import Annotated

import typer

from grus.cli.options import Config, Level, ModelFolder, Quiet


def stream(
    ctx: typer.Context,
    model: ModelFolder,
    key: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Names the streams (default: the model's id column)."),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Save all states here, and go on from it if it exists."),
    ] = None,
    save_every: Annotated[
        str,
        typer.Option(metavar="N", help="Save after so many rows (of sound: steps; 5000) or seconds (10s)."),
    ] = "10s",
    seq: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Numbers the rows, rising; those taken in before are passed over (default: rows are counted).",
        ),
    ] = None,
    evict_after: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="Forget a key after so many rows (100000) or seconds (3600s) without one of it."
        ),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Answer only every N-th row of a key (of sound: step; default 10)."
        ),
    ] = None,
    future: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Rows with the covariates that are known in advance."),
    ] = None,
    level: Level = None,
    proba: Annotated[
        bool, typer.Option("--proba", metavar="", help="Also the probability of every label.")
    ] = False,
    detail: Annotated[
        bool,
        typer.Option("--detail", metavar="", help="Also the score and the expected value of every column."),
    ] = False,
    out_format: Annotated[
        str, typer.Option("--format", metavar="json|csv", help="Answers as JSON lines or CSV.")
    ] = "json",
    audio: Annotated[
        bool,
        typer.Option(
            "--audio", metavar="", help="stdin is sound: raw samples, 16 bits, little-endian, one channel."
        ),
    ] = False,
    rate: Annotated[
        int | None, typer.Option(metavar="HZ", min=1, help="Of that sound (default: the model's).")
    ] = None,
    wake: Annotated[
        str | None,
        typer.Option(metavar="WORD", help="Of sound: say only when this word of a transcriber is said."),
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(metavar="P", help="Of its score, from 0 to 1; see docs/speech.md for how to choose it."),
    ] = 0.5,
    quiet: Quiet = False,
    config: Config = None,
) -> None:
    """Answer every row on stdin as soon as it comes: a forecast, the label of all rows so far, or its score.

    Rows are CSV with a header or JSON lines. Every answer bears the number of its row (seq),
    and is what grus predict would say for all rows of that key.
    A row that does not fit is answered by an error, and the stream goes on.

    \b
    [bold]tail -f sensors.jsonl | grus stream model > forecasts.jsonl[/bold]
    [bold]grus stream model --key machine --level 80 --state streams.grus < rows.csv[/bold]
    [bold]... | grus stream model --state streams.grus --seq offset[/bold]
        after a crash, send rows again from any place before it: what was taken in is passed over
    [bold]grus stream model --evict-after 3600s --every 24 --format csv < rows.csv[/bold]
    [bold]arecord -f S16_LE -r 16000 -t raw | grus stream model --audio --rate 16000[/bold]
        a classifier of recordings, or a transcriber, listens; with --state FILE it goes on where it was
    [bold]tail -f pump.jsonl | grus stream detector --state pump.grus | grep '"alarm":1'[/bold]
    """
    if audio:
        from grus.cli.stream_sound import run_sound

        run_sound(ctx, model)
        return
    from grus.cli.stream_run import run

    run(ctx, model)
