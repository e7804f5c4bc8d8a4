"""The options of ``grus fit translate`` beside those of `grus.cli.fit_options`; the defaults stand in its signature."""

from typing import Annotated, Any, Literal

import typer

from grus.cli.options import names

_PAIRS, _NETWORK, _TRAINING = "Pairs", "Network", "Training"


def _option(help: str, panel: str, *flags: str, **more: Any) -> Any:
    return typer.Option(*flags, help=help, rich_help_panel=panel, **more)


Data = Annotated[
    str,
    typer.Argument(
        metavar="SRC",
        help="Sentences, one a line (also .gz); or, without TGT, a table with a column a language: CSV, TSV, "
        "JSON lines (also .gz), Parquet.",
    ),
]
Translations = Annotated[
    str | None, typer.Argument(metavar="[TGT]", help="Their translations, line by line.")
]
Source = Annotated[str | None, _option("The source: a column, or what to call it.", _PAIRS, metavar="COLUMN")]
Target = Annotated[str | None, _option("The target: a column, or what to call it.", _PAIRS, metavar="COLUMN")]
Validation = Annotated[
    list[str] | None,
    _option(
        "Pairs to validate on, like the data: SRC,TGT or repeated, or one table (default: pairs of the data).",
        _PAIRS, metavar="FILE", callback=names,
    ),
]  # fmt: skip
ValSize = Annotated[float, _option("Share or number of pairs for validation.", _PAIRS, metavar="PAIRS")]
TestSize = Annotated[float, _option("Share or number of pairs kept for a test.", _PAIRS, metavar="PAIRS")]
MaxLength = Annotated[
    int | None, _option("Tokens read of a sentence (default: 100).", _PAIRS, metavar="TOKENS")
]

Tokenizer = Annotated[
    Literal["bpe", "word", "char"], _option("How texts are cut: pieces of words, ...", _NETWORK)
]
VocabularySize = Annotated[int, _option("The most tokens known.", _NETWORK)]
Joint = Annotated[bool, _option("One vocabulary for both languages.", _NETWORK)]
Lower = Annotated[bool, _option("Put texts in lower case, so that translations are too.", _NETWORK)]
HiddenSize = Annotated[int, _option("Units of the decoder and of each direction of the encoder.", _NETWORK)]
Layers = Annotated[int, _option("Of the encoder.", _NETWORK)]
EmbeddingSize = Annotated[int, _option("Units of a token's vector.", _NETWORK)]
Tied = Annotated[bool, _option("Let the output layer be the table of embeddings.", _NETWORK)]
Attention = Annotated[
    Literal["additive", "multiplicative"], _option("How the state is compared with the source.", _NETWORK)
]
Decoder = Annotated[
    Literal["conditional", "plain"], _option("Two GRUs, between which it looks; or one.", _NETWORK)
]
Dropout = Annotated[float, _option("Of the embeddings.", _NETWORK)]
StateDropout = Annotated[float, _option("Of the encoder's states.", _NETWORK)]
OutputDropout = Annotated[float, _option("Before the output layer.", _NETWORK)]
BpeDropout = Annotated[
    float,
    _option("Probability that a merge of pieces is left out, anew in every epoch.", _TRAINING),
]
LabelSmoothing = Annotated[float, _option("Share of the truth spread over all tokens.", _TRAINING)]
LengthPenalty = Annotated[float, _option("a: beam search ranks by log p / length^a.", _NETWORK, metavar="A")]
Monitor = Annotated[
    Literal["bleu", "loss"], _option("The validation score that chooses the epoch.", _TRAINING)
]
Epochs = Annotated[int, _option("The most passes over the pairs.", _TRAINING)]
BatchSize = Annotated[int, _option("Pairs a step.", _TRAINING)]
