"""The options of ``grus fit transcribe`` beside those of `grus.cli.fit_options` and `grus.cli.classify_options`."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

_SOUND, _ROWS, _NETWORK, _TRAINING = "Recordings", "Rows", "Network", "Training"


def _option(help: str, panel: str, *flags: str, **more: Any) -> Any:
    return typer.Option(*flags, help=help, rich_help_panel=panel, **more)


Data = Annotated[
    str,
    typer.Argument(
        metavar="AUDIO",
        help="A table (CSV, TSV, JSON lines, Parquet) with a column of paths and one of transcripts, or a folder whose "
        "folders, or the first part of whose file names, are the transcripts.",
    ),
]
Transcript = Annotated[
    str | None, _option("The column of transcripts (default: inferred).", _ROWS, metavar="COLUMN")
]
Validation = Annotated[
    Path | None,
    _option("Recordings to validate on, like AUDIO (default: some of AUDIO).", _ROWS, metavar="PATH"),
]
ValSize = Annotated[float, _option("Share or number of recordings for validation.", _ROWS, metavar="ROWS")]
TestSize = Annotated[float, _option("Share or number of recordings kept for a test.", _ROWS, metavar="ROWS")]
Units = Annotated[Literal["char", "word"], _option("What is written at a step.", _NETWORK)]
Lower = Annotated[bool, _option("Put transcripts in lower case first.", _NETWORK)]
Stack = Annotated[
    int,
    _option("Frames side by side that are one step: fewer steps, less to compute.", _SOUND, metavar="FRAMES"),
]
Bidirectional = Annotated[bool, _option("Read in both directions; the default can listen live.", _NETWORK)]
Encoder = Annotated[Literal["gru", "conv-gru"], _option("conv-gru: a convolution first.", _NETWORK)]
Epochs = Annotated[int, _option("The most passes over the recordings.", _TRAINING)]
BatchSize = Annotated[int, _option("Recordings a step.", _TRAINING)]
