"""The options of ``grus fit forecast``: names, kinds and help; the defaults stand in its signature."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from grus.cli.options import names, numbers, use_config
from grus.errors import UsageError

_COLUMNS, _DATA, _NETWORK, _TRAINING, _RUN = "Columns", "Rows", "Network", "Training", "Run"


def _option(help: str, panel: str, *flags: str, **more: Any) -> Any:
    return typer.Option(*flags, help=help, rich_help_panel=panel, **more)


def _names_or_nothing(ctx: typer.Context, value: list[str] | None) -> tuple[str, ...] | None:
    """None if not given, so that it is inferred; empty for ``none``."""
    found = names(ctx, value)
    return None if not found else () if found == ("none",) else found


def _zero_is_none(value: float | None) -> float | None:
    return value or None


def _one_or_several(ctx: typer.Context, value: list[str] | None) -> str | tuple[str, ...] | None:
    """A name alone is itself; none is None, so that it is inferred."""
    found = names(ctx, value)
    return found if len(found) > 1 else found[0] if found else None


def _rate(ctx: typer.Context, param: typer.CallbackParam, value: str) -> float | str:
    """A number, or ``auto``."""
    if value == "auto":
        return value
    try:
        return float(value)
    except ValueError:
        raise UsageError(
            f"{ctx.command_path}: {param.opts[0]} must be a number or auto, got {value!r}"
        ) from None


Horizon = Annotated[
    int | None, _option("Steps to forecast; needed unless --from is given.", _DATA, metavar="STEPS")
]
From = Annotated[
    Path | None,
    _option(
        "Go on training this model on the new rows of DATA, at a tenth of the learning rate.", _RUN, "--from",
        metavar="MODEL",
    ),
]  # fmt: skip
Out = Annotated[
    Path | None,
    _option(
        "The model folder to write (default: models/NAME-TASK, after the data).", _RUN, "--out", "-o",
        metavar="FOLDER",
    ),
]  # fmt: skip

Id = Annotated[str | None, _option("Which series a row belongs to.", _COLUMNS, metavar="COLUMN")]
Time = Annotated[str | None, _option("The time stamp.", _COLUMNS, metavar="COLUMN")]
Target = Annotated[
    list[str] | None,
    _option(
        "What to forecast; of several (a,b or repeated) each becomes a series.", _COLUMNS, metavar="COLUMN",
        callback=_one_or_several,
    ),
]  # fmt: skip
Past = Annotated[
    list[str] | None,
    _option("Covariates known up to now: a,b or repeated.", _COLUMNS, metavar="COLUMN", callback=names),
]
Future = Annotated[
    list[str] | None,
    _option("Covariates known for the horizon too.", _COLUMNS, metavar="COLUMN", callback=names),
]
Static = Annotated[
    list[str] | None, _option("One value a series.", _COLUMNS, metavar="COLUMN", callback=names)
]

Freq = Annotated[
    str | None, _option("Step between rows: h, 15min, D, W-MON, MS, ..., rows (default: inferred).", _DATA)
]
Lookback = Annotated[
    int | None, _option("Steps the network sees (default: about seven seasons).", _DATA, metavar="STEPS")
]
ValSize = Annotated[
    int | None,
    _option("Last steps of each series for validation (default: a tenth).", _DATA, metavar="STEPS"),
]
TestSize = Annotated[int, _option("Last steps of each series kept for a test.", _DATA, metavar="STEPS")]

Network = Annotated[Literal["segment", "direct"], _option("Over segments, or over steps.", _NETWORK)]
Cell = Annotated[
    Literal["gru", "lstm", "rnn", "mingru"],
    _option("Of the recurrent layers; rnn: simple, tanh; mingru: for very long sequences.", _NETWORK),
]
HiddenSize = Annotated[int, _option("Units of a recurrent layer.", _NETWORK)]
Layers = Annotated[int, _option("Recurrent layers.", _NETWORK)]
Dropout = Annotated[float, _option("Share of activations dropped in training.", _NETWORK)]
Encoder = Annotated[
    Literal["gru", "conv-gru", "gru-attention"],
    _option("The cell alone, after a convolution, or before self-attention.", _NETWORK),
]
KernelSize = Annotated[
    int, _option("Steps that the convolution of conv-gru sees.", _NETWORK, metavar="STEPS")
]
Irregular = Annotated[
    Literal["mean", "forward", "indicators", "decay"] | None,
    _option(
        "Missing values and uneven times of series: the training mean; the last value; that with masks and times; "
        "GRU-D (default: the last value with masks; times are not read).",
        _NETWORK,
    ),
]
Segment = Annotated[int | None, _option("Steps a segment (default: fits the horizon).", _NETWORK)]
Anchor = Annotated[
    int | None, _option("Last steps averaged into the level (default: a season).", _NETWORK, metavar="STEPS")
]
Calendar = Annotated[
    list[str] | None,
    _option("Calendar features, or none (default: by the frequency).", _NETWORK, callback=_names_or_nothing),
]
Loss = Annotated[Literal["mae", "mse", "huber"], _option("What training minimises.", _NETWORK)]
Quantiles = Annotated[
    list[str] | None,
    _option(
        "Forecast these quantiles, such as 0.1,0.5,0.9, in place of a point.", _NETWORK, metavar="PROBABILITY",
        callback=numbers(0, 1, "0.1,0.5,0.9"),
    ),
]  # fmt: skip
Scaling = Annotated[Literal["standard", "robust", "none"], _option("Of each series.", _NETWORK)]

Epochs = Annotated[int, _option("The most passes over the windows.", _TRAINING)]
BatchSize = Annotated[int, _option("Windows a step.", _TRAINING)]
LearningRate = Annotated[
    Any,
    _option(
        "The peak, after which it decays; auto: found by a range test.", _TRAINING, "--learning-rate", "--lr",
        metavar="RATE", parser=str, callback=_rate,
    ),
]  # fmt: skip
Tune = Annotated[
    int | None,
    _option(
        "Try so many sets of rate, batch size and network, but for what is given, and keep the best.", _TRAINING,
        "--tune", metavar="TRIALS", min=1,
    ),
]  # fmt: skip
WeightDecay = Annotated[float, _option("Of the weight matrices.", _TRAINING)]
Patience = Annotated[
    int | None,
    _option(
        "Epochs without a better validation before stopping; 0: never.", _TRAINING, callback=_zero_is_none
    ),
]
Ema = Annotated[
    float | None, _option("Decay of the average of the weights; 0: none.", _TRAINING, callback=_zero_is_none)
]
WindowsPerEpoch = Annotated[int, _option("The most windows an epoch.", _TRAINING)]
Seed = Annotated[int, _option("Of everything random.", _TRAINING)]
Device = Annotated[str, _option("auto, cpu, cuda, cuda:N or mps.", _TRAINING)]
Log = Annotated[
    Literal["none", "csv", "tensorboard"], _option("Figures of each epoch, under report/.", _TRAINING)
]

Alias = Annotated[
    str | None, _option("Name of the forecast's column (default: the cell's).", _RUN, metavar="NAME")
]
Resume = Annotated[
    bool, _option("Go on from the checkpoint that an interrupted run left.", _RUN, "--resume", metavar="")
]
Force = Annotated[bool, _option("Replace the model folder if it exists.", _RUN, "--force", metavar="")]
Json = Annotated[bool, _option("Print the scores as JSON, not the folder.", _RUN, "--json", metavar="")]
Quiet = Annotated[bool, _option("Say nothing on stderr but errors.", _RUN, "--quiet", "-q", metavar="")]
Config = Annotated[
    Path | None,
    _option(
        "Options in TOML or JSON; flags override them.",
        _RUN,
        metavar="FILE",
        is_eager=True,
        callback=use_config,
    ),
]
