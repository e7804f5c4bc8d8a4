"""What the options of several commands have in common."""

import difflib
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from grus.errors import UsageError

_TASKLESS = ("config", "help")


def names(ctx: typer.Context, value: list[str] | None) -> tuple[str, ...]:
    """Column names, given one by one or joined by commas."""
    return tuple(name for item in value or () for name in (part.strip() for part in item.split(",")) if name)


def numbers(low: float, high: float, example: str, ends: bool = False) -> Callable[..., tuple[float, ...]]:
    """A reader of numbers between ``low`` and ``high``, with ``ends`` or without, one by one or joined by commas."""
    span = f"from {low:g} to {high:g}" if ends else f"between {low:g} and {high:g}"

    def read(ctx: typer.Context, param: typer.CallbackParam, value: list[str] | None) -> tuple[float, ...]:
        found: list[float] = []
        for text in names(ctx, value):
            try:
                found.append(float(text))
            except ValueError:
                found.append(float("nan"))
            if not (low <= found[-1] <= high if ends else low < found[-1] < high):
                raise UsageError(
                    f"{ctx.command_path}: {param.opts[0]} must be numbers {span} such as {example}, got {text!r}"
                )
        return tuple(int(v) if v.is_integer() else v for v in sorted(set(found)))

    return read


def as_numbers(value: Any) -> tuple[float, ...]:
    """What `numbers` made of an option that Typer still believes to be a list of text."""
    return tuple(value or ())


def named(ctx: typer.Context) -> set[str]:
    """The options that were given, on the command line or in a file, by parameter name."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return {name for name, source in sources.items() if source is not None and source.name != "DEFAULT"}


def use_config(ctx: typer.Context, file: Path | None) -> Path | None:
    """Take what the command line does not give from a TOML or JSON file of options.

    Raises:
        UsageError: the file cannot be read, or holds what is no option of the command.
    """
    if file is None:
        return None
    options = {key.replace("-", "_"): value for key, value in _read_config(file).items()}
    known = {p.name: p for p in ctx.command.params if p.name is not None and p.name not in _TASKLESS}
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise UsageError(
                f"{file}: {name!r} is no option of {ctx.command_path}",
                hint=f"did you mean {close[0]!r}?"
                if close
                else f"'{ctx.command_path} --help' lists the options",
            )
        if getattr(known[name], "multiple", False) and not isinstance(options[name], list):
            options[name] = [options[name]]
    ctx.default_map = {**(ctx.default_map or {}), **options}
    return file


def _read_config(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or "").lower() if isinstance(error, OSError) else "not text in UTF-8"
        raise UsageError(f"{file}: cannot be read as options: {reason}") from None
    try:
        options = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        kind = "JSON" if file.suffix == ".json" else "TOML"
        raise UsageError(f"{file}: expected options in {kind}, got what cannot be read: {error}") from None
    if not isinstance(options, dict):
        raise UsageError(f"{file}: expected an object of options, got {type(options).__name__}")
    return options


Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        is_eager=True,
        callback=use_config,
        help="Options in TOML or JSON; flags override them.",
    ),
]
Data = Annotated[
    str,
    typer.Argument(metavar="DATA", help="CSV (also .gz) or Parquet, a file or a folder; - for CSV on stdin."),
]
ModelFolder = Annotated[Path, typer.Argument(metavar="MODEL", help="The model folder that grus fit wrote.")]
Level = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PERCENT",
        callback=numbers(1, 99, "80,95", ends=True),
        help="Central intervals in percent, 1 to 99, such as 80,95.",
    ),
]
Json = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON instead of CSV.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Say nothing on stderr but errors.")]
