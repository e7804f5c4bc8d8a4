"""The options that every ``grus compare TASK`` has; the defaults stand in the signatures."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from grus.cli.options import names, numbers
from grus.errors import UsageError

_PANEL, _RUN = "Comparison", "Run"


def _option(help: str, panel: str, *flags: str, **more: Any) -> Any:
    return typer.Option(*flags, help=help, rich_help_panel=panel, **more)


def _names_or_all(ctx: typer.Context, value: list[str] | None) -> tuple[str, ...] | None:
    return names(ctx, value) or None


def _whole(example: str) -> Callable[..., tuple[int, ...] | None]:
    """A reader of whole numbers of at least 1, one by one or joined by commas."""

    def read(
        ctx: typer.Context, param: typer.CallbackParam, value: list[str] | None
    ) -> tuple[int, ...] | None:
        found = names(ctx, value)
        for text in found:
            if not text.isdecimal() or not int(text):
                raise UsageError(
                    f"{ctx.command_path}: {param.opts[0]} must be whole numbers of at least 1 such as {example}, "
                    f"got {text!r}"
                )
        return tuple(map(int, found)) or None

    return read


def _rates(
    ctx: typer.Context, param: typer.CallbackParam, value: list[str] | None
) -> tuple[float, ...] | None:
    return numbers(0, 10, "1e-3,3e-3")(ctx, param, value) or None


def _shares(ctx: typer.Context, param: typer.CallbackParam, value: list[str] | None) -> tuple[float, ...]:
    found = names(ctx, value)
    try:
        shares = [float(text) for text in found]
    except ValueError:
        shares = [0.0]
    if not all(0 < share <= 1 for share in shares):
        raise UsageError(
            f"{ctx.command_path}: {param.opts[0]} must be shares above 0, of at most 1, such as 0.1,0.3,1, "
            f"got {','.join(found)!r}"
        )
    return tuple(shares) or (1.0,)


Cells = Annotated[
    list[str] | None,
    _option(
        "Which, such as gru,lstm (default: all there are).", _PANEL, metavar="CELL", callback=_names_or_all
    ),
]
Equal = Annotated[
    Literal["parameters", "width"],
    _option("Give all cells as many weights as the GRU has, or as many units.", _PANEL),
]
HiddenSize = Annotated[
    int | None, _option("Units of the GRU, or of all (default: the task's own).", _PANEL, metavar="UNITS")
]
Parameters = Annotated[
    int | None, _option("Weights of the whole network, in place of the GRU's.", _PANEL, metavar="WEIGHTS")
]
Rates = Annotated[
    list[str] | None,
    _option(
        "Learning rates to try for each cell, such as 1e-3,3e-3 (default: around --lr, by threes).", _PANEL,
        metavar="RATE", callback=_rates,
    ),
]  # fmt: skip
LearningRate = Annotated[
    float, _option("Where the search for a rate begins.", _PANEL, "--learning-rate", "--lr", metavar="RATE")
]
Seeds = Annotated[int, _option("Training runs of each cell at its best rate.", _PANEL, min=1)]
Sizes = Annotated[
    list[str] | None,
    _option(
        "Shares of the training rows, such as 0.1,0.3,1: compare at each.", _PANEL, metavar="SHARE",
        callback=_shares,
    ),
]  # fmt: skip
Level = Annotated[float, _option("Of the intervals, a share.", _PANEL)]
Seed = Annotated[int, _option("The first.", _PANEL)]
Out = Annotated[
    Path | None,
    _option(
        "Where runs and the report go (default: comparisons/NAME-TASK).",
        _RUN,
        "--out",
        "-o",
        metavar="FOLDER",
    ),
]
Resume = Annotated[
    bool,
    _option(
        "Go on with the runs in the folder; more cells, seeds, sizes and lengths may be asked for.", _RUN,
        "--resume", metavar="",
    ),
]  # fmt: skip
Force = Annotated[
    bool, _option("Start again, though the folder holds a comparison.", _RUN, "--force", metavar="")
]
Json = Annotated[bool, _option("Print all as JSON, not the table as CSV.", _RUN, "--json", metavar="")]


def lengths(what: str) -> Any:
    """The option ``--lengths``; ``what`` is the length of this task."""
    return _option(
        f"{what}, such as 24,48,96: compare at each.", _PANEL, metavar="STEPS", callback=_whole("24,48,96")
    )
