"""The options of ``grus fit detect`` beside those of `grus.cli.fit_options`; the defaults stand in its signature."""

from typing import Annotated, Any

import typer

from grus.cli.options import names

_COLUMNS, _ROWS, _SCORES, _NETWORK, _TRAINING = "Columns", "Rows", "Scores", "Network", "Training"


def _option(help: str, panel: str, *flags: str, **more: Any) -> Any:
    return typer.Option(*flags, help=help, rich_help_panel=panel, **more)


Columns = Annotated[
    list[str] | None,
    _option(
        "What is watched: a,b or repeated (default: all other numbers).",
        _COLUMNS,
        metavar="COLUMN",
        callback=names,
    ),
]
Label = Annotated[
    str | None,
    _option(
        "1 in rows known to be anomalous, which are not learned from, else 0.", _COLUMNS, metavar="COLUMN"
    ),
]
ValSize = Annotated[
    float, _option("Share of each series, its last rows, that validates.", _ROWS, metavar="SHARE")
]
Window = Annotated[int, _option("Rows of a training window.", _ROWS, metavar="ROWS")]

Short = Annotated[int, _option("Rows of the short mean of the errors.", _SCORES, metavar="ROWS")]
Memory = Annotated[
    int,
    _option(
        "Rows of its long history, which a drift becomes part of; 0: the training rows, for ever.", _SCORES,
        metavar="ROWS",
    ),
]  # fmt: skip
Outside = Annotated[
    float,
    _option(
        "Share of the range so far by which a value must leave it to be severe by itself; 0: never.", _SCORES,
        metavar="SHARE",
    ),
]  # fmt: skip
Quiet = Annotated[
    int | None,
    _option(
        "Rows below the threshold between alarms (default: a fifth of the rows, at most 150).", _SCORES,
        "--quiet-rows", metavar="ROWS",
    ),
]  # fmt: skip
Level = Annotated[
    bool, _option("Judge a value beside its error, as if only its mean had been expected.", _SCORES)
]
Joint = Annotated[bool, _option("Judge a row by all columns together, not by its worst.", _SCORES)]
FalseAlarmRate = Annotated[
    float, _option("Share of normal rows above the threshold.", _SCORES, metavar="SHARE")
]
Contamination = Annotated[
    float | None,
    _option("Share of the training rows above the threshold, in place of that.", _SCORES, metavar="SHARE"),
]
Epochs = Annotated[int, _option("The most passes over the windows.", _TRAINING)]
BatchSize = Annotated[int, _option("Windows a step.", _TRAINING)]
