"""The options of ``grus fit classify`` beside those of `grus.cli.fit_options`; the defaults stand in its signature."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from grus.cli.options import names

_COLUMNS, _ROWS, _NETWORK, _TRAINING = "Columns", "Rows", "Network", "Training"
_SOUND = "Recordings"


def _option(help: str, panel: str, *flags: str, **more: Any) -> Any:
    return typer.Option(*flags, help=help, rich_help_panel=panel, **more)


Data = Annotated[
    str | None,
    typer.Argument(
        metavar="[DATA]",
        help="CSV, TSV, JSON lines (also .gz) or Parquet, or a folder with a folder of images or "
        "recordings for each label; "
        "- for CSV on stdin.",
    ),
]
Image = Annotated[
    str | None,
    _option("In place of DATA: a folder of images for each label in FOLDER.", _ROWS, metavar="FOLDER"),
]
Audio = Annotated[
    str | None,
    _option(
        "In place of DATA: recordings, in a folder for each label or named 7_theo_12.wav, or a table with a column "
        "of their paths.", _ROWS, metavar="PATH",
    ),
]  # fmt: skip
Validation = Annotated[
    Path | None,
    _option("Labelled data to validate on, like DATA (default: rows of DATA).", _ROWS, metavar="FILE"),
]
Kind = Annotated[
    Literal["text", "series", "images", "events", "audio"] | None,
    _option("What DATA holds (default: inferred).", _ROWS),
]
ValSize = Annotated[float, _option("Share or number of rows for validation.", _ROWS, metavar="ROWS")]
TestSize = Annotated[float, _option("Share or number of rows kept for a test.", _ROWS, metavar="ROWS")]
MaxLength = Annotated[
    int | None, _option("Steps kept of a row: the first of a text, else the last.", _ROWS, metavar="STEPS")
]

Text = Annotated[str | None, _option("The text to be labelled.", _COLUMNS, metavar="COLUMN")]
Label = Annotated[str | None, _option("The label.", _COLUMNS, metavar="COLUMN")]
Id = Annotated[
    str | None, _option("Which example a row belongs to (series, events).", _COLUMNS, metavar="COLUMN")
]
Time = Annotated[str | None, _option("The order of its rows, and visits.", _COLUMNS, metavar="COLUMN")]
Columns = Annotated[
    list[str] | None,
    _option("The channels of a series: a,b or repeated.", _COLUMNS, metavar="COLUMN", callback=names),
]
Code = Annotated[
    str | None,
    _option(
        "What happened: an event's code; rows of one id and time are a visit.", _COLUMNS, metavar="COLUMN"
    ),
]
Variable = Annotated[
    str | None,
    _option(
        "Of series in long form: what the row measures; --columns are then some of these.",
        _COLUMNS,
        metavar="COLUMN",
    ),
]
Value = Annotated[
    str | None, _option("Of series in long form: the measured value.", _COLUMNS, metavar="COLUMN")
]
Multi = Annotated[
    bool | None, _option("Whether a row may have several labels: a|b (default: inferred).", _COLUMNS)
]

Rate = Annotated[
    int | None, _option("Hz to bring recordings to (default: that of most of them).", _SOUND, metavar="HZ")
]
FrameMs = Annotated[float, _option("Milliseconds of a frame of sound.", _SOUND, metavar="MS")]
HopMs = Annotated[float, _option("From one frame to the next.", _SOUND, metavar="MS")]
Bands = Annotated[int, _option("Log-mel bands of a frame.", _SOUND)]
Preemphasis = Annotated[float, _option("Lift high frequencies first: 0.97 is usual.", _SOUND)]
Resample = Annotated[bool, _option("Bring recordings of other rates to it, or refuse them.", _SOUND)]
SkipBad = Annotated[
    bool, _option("Leave out files that are no recordings, and say so, in place of refusing them.", _SOUND)
]
GainDb = Annotated[float, _option("The greatest change of level in training; 0: none.", _SOUND, metavar="DB")]
BandShift = Annotated[
    int, _option("The most bands a spectrum is moved by in training.", _SOUND, metavar="BANDS")
]
Noise = Annotated[float, _option("Share of recordings that get noise in training.", _SOUND, metavar="SHARE")]
TimeMask = Annotated[
    float, _option("The widest stretch of frames hidden in training, as a share; 0: none.", _SOUND)
]
BandMask = Annotated[
    float, _option("The widest stretch of bands hidden in training, as a share; 0: none.", _SOUND)
]

Tokenizer = Annotated[Literal["word", "char", "bpe"], _option("How a text is cut.", _NETWORK)]
VocabularySize = Annotated[int, _option("The most words, characters, pieces or codes known.", _NETWORK)]
Lower = Annotated[bool, _option("Put texts in lower case first.", _NETWORK)]
Bidirectional = Annotated[
    bool | None,
    _option(
        "Read in both directions (default: where the network can); --no-bidirectional for a model that can run live.",
        _NETWORK,
    ),
]
Pool = Annotated[
    Literal["mean", "max", "attention", "last"], _option("How steps become one vector.", _NETWORK)
]
EmbeddingSize = Annotated[int, _option("Units of a token's vector.", _NETWORK)]
TokenDropout = Annotated[
    float,
    _option("Share of tokens, or with --irregular decay of measured values, hidden in training.", _TRAINING),
]
LabelSmoothing = Annotated[float, _option("Share of the truth spread over all labels.", _TRAINING)]
ClassWeight = Annotated[
    Literal["balanced"] | None,
    _option("Let rows of rare labels count for more.", _TRAINING, metavar="balanced"),
]
Epochs = Annotated[int, _option("The most passes over the rows.", _TRAINING)]
BatchSize = Annotated[int, _option("Rows a step.", _TRAINING)]
