"""``grus explain``: one step of one GRU cell on paper; needs no torch."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from grus.cli.options import Config, named
from grus.errors import DataError, UsageError

if TYPE_CHECKING:
    from grus.decode.explaining.lines import Explanation
    from grus.spec import Model

#: Options by what they are for; given without it they would be ignored.
_OF_MODEL = ("layer", "row", "step", "reverse", "future")
_OF_DATA = ("row", "step", "future")
_OF_RANDOM = ("input_size", "hidden_size", "seed")


def _units(ctx: typer.Context, param: typer.CallbackParam, value: list[str] | None) -> tuple[int, ...] | None:
    """Numbers of units, given one by one or joined by commas."""
    texts = [text.strip() for item in value or () for text in item.split(",")]
    for text in texts:
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise UsageError(f"{ctx.command_path}: --unit must be whole numbers such as 0,3, got {text!r}")
    return tuple(map(int, texts)) or None


def explain(
    ctx: typer.Context,
    model: Annotated[
        Path | None, typer.Argument(metavar="MODEL", help="A model folder; without one, a cell by itself.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="What [bold]grus predict[/bold] takes; - for CSV on stdin."),
    ] = None,
    cell: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Weights of one cell in JSON (see below); - for stdin."),
    ] = None,
    x: Annotated[
        str | None, typer.Option("--x", metavar="NUMBERS", help="The input: 0.5,-1; - for stdin.")
    ] = None,
    h: Annotated[
        str | None, typer.Option("--h", metavar="NUMBERS", help="The state before (default: zeros).")
    ] = None,
    layer: Annotated[
        int, typer.Option(min=0, metavar="N", help="Counted through all GRU layers of MODEL, from 0.")
    ] = 0,
    reverse: Annotated[
        bool, typer.Option("--reverse", metavar="", help="The backward direction of the layer.")
    ] = False,
    unit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N", callback=_units, help="Units to write out (default: all of up to 4, or 0)."
        ),
    ] = None,
    row: Annotated[int, typer.Option(min=0, metavar="N", help="Example or series of DATA, from 0.")] = 0,
    step: Annotated[
        int, typer.Option(metavar="N", help="Step of that row, from 0; negative counts from the end.")
    ] = -1,
    future: Annotated[
        str | None, typer.Option(metavar="FILE", help="Rows of the horizon, as for grus predict.")
    ] = None,
    notation: Annotated[
        Literal["pytorch", "chung"] | None,
        typer.Option(help="pytorch: z keeps the old state; chung: z replaces it. The state is the same."),
    ] = None,
    reset: Annotated[
        Literal["before", "after"] | None,
        typer.Option(help="Where the reset gate of a cell acts: before or after the recurrent product."),
    ] = None,
    input_size: Annotated[int, typer.Option(metavar="N", min=1, help="Inputs of a random cell.")] = 2,
    hidden_size: Annotated[int, typer.Option(metavar="N", min=1, help="Units of a random cell.")] = 2,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the random cell.")] = 0,
    digits: Annotated[
        int, typer.Option(metavar="N", help="Significant digits; the computation is float64.")
    ] = 4,
    mistakes: Annotated[
        bool,
        typer.Option("--mistakes", metavar="", help="Add what the usual mistakes of a port would give."),
    ] = False,
    latex: Annotated[bool, typer.Option("--latex", metavar="", help="Print LaTeX (amsmath).")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print JSON, in full precision.")
    ] = False,
    config: Config = None,
) -> None:
    """Write out one step of a GRU cell, every line of the equations with the numbers in it.

    \b
    [bold]grus explain[/bold]
        a random cell of two units, for paper; --seed N for another
    [bold]grus explain --notation chung --reset before --latex[/bold]
        the same as Chung et al. (2014) write it, for a slide
    [bold]grus explain model reviews.jsonl --row 3 --step 5 --unit 0,7[/bold]
        what two units of a trained model did at the sixth word of the fourth review
    [bold]grus explain model --layer 1 --x 0.5,-1,2,0 --digits 9[/bold]
        the second layer for an input by hand, to hold a port to
    [bold]echo '{"weight_ih": [[1], [0], [2]], "weight_hh": [[0], [0], [1]]}' | grus explain --cell - --x 0.5[/bold]
        a cell by hand, with the names and shapes of torch.nn.GRUCell (also of a state_dict of torch.nn.GRU, of
        Keras: kernel, recurrent_kernel, bias, and of ONNX: W, R, B); with bias_ih, bias_hh, reset_after, notation,
        x and h where you have them
    [bold]grus explain --cell port.json --mistakes[/bold]
        also what h' would be with the reset gate elsewhere, r and z swapped, a bias lost, ...
    """
    from grus.cli.tables import put
    from grus.inspection.wording import to_json

    if latex and as_json:
        raise UsageError(f"{ctx.command_path}: expected --latex or --json, got both")
    if mistakes and latex:
        raise UsageError(f"{ctx.command_path}: --mistakes is for text and JSON, not for --latex")
    _check_options(ctx, model, data, cell)
    if [cell, x, data].count("-") > 1:
        raise UsageError(f"{ctx.command_path}: stdin can be only one of DATA, --cell and --x")
    found = _explanation(ctx)
    if as_json:
        put(to_json(found.to_dict()))
    else:
        put(found.latex(digits) if latex else found.text(digits, mistakes=mistakes))


def _check_options(ctx: typer.Context, model: Path | None, data: str | None, cell: str | None) -> None:
    """Refuse options that would have no effect here."""
    rules = [
        (model is not None and cell is not None, ("cell",), "is a cell by itself, but a MODEL is named too"),
        (model is not None, ("reset",), "is for a cell by itself; a model says it of its own"),
        (model is not None or cell is not None, _OF_RANDOM, "is for a random cell"),
        (model is None and cell is None, ("layer", "reverse"), "is for a MODEL or a cell of several layers"),
        (model is None and cell is not None, ("row", "step", "future"), "is for a MODEL and DATA"),
        (data is None, _OF_DATA, "is for a MODEL and DATA"),
        (data is not None, ("x", "h"), "is given by DATA; leave one of them out"),
    ]
    given = named(ctx)
    for applies, options, sentence in rules:
        for param in ctx.command.params:
            if applies and param.name in options and param.name in given:
                raise UsageError(f"{ctx.command_path}: {param.opts[0]} {sentence}")


def _explanation(ctx: typer.Context) -> "Explanation":
    from grus.decode.explaining.explain import explain, explain_given
    from grus.decode.explaining.given import given_cell, random_cell

    o: Any = ctx.params
    x, h, notation, unit = _stdin_or(o["x"], "--x"), o["h"], o["notation"], o["unit"]
    after = None if o["reset"] is None else o["reset"] == "after"
    if o["model"] is not None:
        if o["data"] is None and x is None:
            raise UsageError(
                f"{ctx.command_path}: expected DATA, or --x with the input of the layer, got neither"
            )
        place = {key: o[key] for key in ("layer", "reverse", "row", "step")}
        if o["data"] is None:
            return explain(o["model"], x=x, h=h, unit=unit, notation=notation, **place)
        return _of_data(o, place)
    if o["cell"] is not None:
        name = "stdin" if o["cell"] == "-" else o["cell"]
        given = given_cell(_read_cell(o["cell"]), o["layer"], o["reverse"], name)
    else:
        given = random_cell(o["input_size"], o["hidden_size"], o["seed"])
    return explain_given(given, x, h, unit, notation, after)


def _of_data(o: dict[str, Any], place: dict[str, Any]) -> "Explanation":
    from grus.artifact import load_model
    from grus.cli.tables import table_file
    from grus.data.readers import read_columns
    from grus.decode.explaining.explain import explain

    with table_file(o["data"]) as path:
        rows = _read_data(load_model(o["model"])[0], path)
    ahead = None if o["future"] is None else read_columns(o["future"])[0]
    return explain(o["model"], rows, unit=o["unit"], notation=o["notation"], future=ahead, **place)


def _read_data(model: "Model", path: Path) -> Any:
    """The rows of a file, as the live model takes them."""
    from grus.data.examples import own_of, read_like
    from grus.data.readers import read_columns
    from grus.preprocess.build_examples import ExampleRoles
    from grus.spec import Classify, Transcribe

    task = model.task
    if isinstance(task, Transcribe):
        return []  # `explain` says that it cannot
    if not isinstance(task, Classify):
        return read_columns(path)[0]
    roles = ExampleRoles(
        task.kind, task.inputs, task.label, task.id, task.time, task.multi, task.variable, task.value
    )
    return read_like(path, roles, own=own_of(model))


def _stdin_or(text: str | None, what: str) -> str | None:
    """The text itself, or what stands on stdin if it is ``-``."""
    if text != "-":
        return text
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError(f"stdin: expected {what}, got a terminal", hint="pipe it in")
    try:
        found = sys.stdin.read()
    except UnicodeDecodeError:
        raise DataError(f"stdin: expected {what} as text in UTF-8") from None
    if not found.strip():
        raise DataError(f"stdin: expected {what}, got nothing")
    return found


def _read_cell(file: str) -> Mapping[str, Any]:
    name = "stdin" if file == "-" else file
    try:
        text = _stdin_or("-", "a cell in JSON") if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {(error.strerror or '').lower()}") from None
    except UnicodeDecodeError:
        raise DataError(f"{name}: expected a cell in JSON, got what is not text in UTF-8") from None
    try:
        values = json.loads(text or "")
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: expected a cell in JSON, got what cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise DataError(
            f'{name}: expected an object such as {{"weight_ih": ...}}, got {type(values).__name__}'
        )
    return values
