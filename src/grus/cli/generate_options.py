"""The options of ``grus fit generate`` beside those of `grus.cli.fit_options`; the defaults stand in its signature."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

_TEXT, _MUSIC, _NETWORK, _TRAINING = "Text", "Music", "Network", "Training"


def _option(help: str, panel: str, *flags: str, **more: Any) -> Any:
    return typer.Option(*flags, help=help, rich_help_panel=panel, **more)


def _zero_is_none(value: float | None) -> float | None:
    return value or None


Data = Annotated[
    list[str],
    typer.Argument(
        metavar="DATA",
        help="Files of plain text in UTF-8 (also .gz), or folders; - for stdin. Of music: MIDI files, folders, or an "
        "archive of voices.",
    ),
]
Kind = Annotated[Literal["text", "midi"], _option("What the files hold.", _TEXT)]
Layout = Annotated[
    Literal["auto", "voices", "polyphony"],
    _option(
        "Parts with one note at a time, or any notes in one part (default: voices if there are).", _MUSIC
    ),
]
StepsPerBeat = Annotated[
    int, _option("Steps of the grid in a quarter note; 12 hold triplets.", _MUSIC, min=1, max=96)
]
Transpose = Annotated[bool, _option("Every piece in another key each epoch.", _MUSIC)]
Validation = Annotated[
    Path | None,
    _option("Text to validate on (default: a part of DATA).", _TEXT, metavar="FILE"),
]
Test = Annotated[Path | None, _option("Text to test on (default: the end of DATA).", _TEXT, metavar="FILE")]
ValSize = Annotated[
    float, _option("Share or characters for validation, before the test.", _TEXT, metavar="SIZE")
]
TestSize = Annotated[float, _option("Share or characters at the end for a test.", _TEXT, metavar="SIZE")]
Tokenizer = Annotated[
    Literal["char", "word", "space", "bpe"],
    _option("How the text is cut; space: between blanks, for text that is cut already.", _TEXT),
]
VocabularySize = Annotated[int, _option("The most characters, words or pieces known.", _TEXT)]
MinCount = Annotated[
    int | None,
    _option("How often one must occur to be known (default: characters 1, others 2).", _TEXT),
]
Lower = Annotated[bool, _option("Put the text in lower case first.", _TEXT)]

EmbeddingSize = Annotated[
    int | None, _option("Units of a token's vector (default: 64, or tied: those of a layer).", _NETWORK)
]
Tied = Annotated[
    bool | None,
    _option("Let the output use the embedding's table (default: for all but characters).", _NETWORK),
]
Softmax = Annotated[
    Literal["full", "adaptive"],
    _option(
        "adaptive: rare words in clusters with fewer units, faster where a vocabulary is large.", _NETWORK
    ),
]
InputDropout = Annotated[
    float | None,
    _option("Share of the tokens' vectors dropped (default: characters 0, else as --dropout).", _NETWORK),
]
Variational = Annotated[bool, _option("Drop the same for all steps of a chunk.", _NETWORK)]

BatchSize = Annotated[int, _option("Streams of text read side by side.", _TRAINING)]
Chunk = Annotated[int, _option("Tokens of each a step; the state goes on to the next.", _TRAINING)]
Epochs = Annotated[int, _option("The most passes over the text.", _TRAINING)]
Clip = Annotated[
    float | None, _option("The largest norm of a gradient; 0: any.", _TRAINING, callback=_zero_is_none)
]
MaxSeconds = Annotated[
    float | None, _option("Stop training after so long.", _TRAINING, metavar="SECONDS", min=0)
]
Precision = Annotated[
    Literal["32-true", "bf16-mixed", "16-mixed"],
    _option("bf16-mixed: products in bfloat16, faster where a vocabulary is large.", _TRAINING),
]
