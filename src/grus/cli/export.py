"""``grus export MODEL --to onnx|c``: a model as a file that runs elsewhere, proved before it is written; no torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from grus.cli.options import Config, ModelFolder, Quiet, named
from grus.errors import UsageError

if TYPE_CHECKING:
    from grus.export import CReport, OnnxFile

#: Options that only one format has.
_OF_C = ("name", "precision", "limit")


def export(
    ctx: typer.Context,
    model: ModelFolder,
    to: Annotated[Literal["onnx", "c"], typer.Option(help="ONNX, or C99 with nothing but libm.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH",
            help="The ONNX file, or the folder of the C files (default: MODEL's name).",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Replace what stands at -o.")] = False,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="C: of the files and in front of every name.")
    ] = "model",
    precision: Annotated[Literal["float32", "int8"], typer.Option(help="C: of the weights.")] = "float32",
    limit: Annotated[
        int, typer.Option(metavar="BYTES", min=1, help="C: refuse a model with more constants than this.")
    ] = 2 << 20,
    json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON.")] = False,
    quiet: Quiet = False,
    config: Config = None,
) -> None:
    """Write MODEL as a file that runs without Grus.

    Before anything is written it is run (ONNX Runtime, or your C compiler) on random lengths, batches and states, and
    must give what Grus gives.

    \b
    [bold]grus export model --to onnx[/bold]
        model.onnx: states as inputs and outputs, any batch, any number of steps
    [bold]grus export model --to onnx -o web/demand.onnx --force --json[/bold]
    [bold]grus export model --to c -o firmware --name demand[/bold]
        firmware/demand.h and firmware/demand.c: no allocation, no library but libm
    [bold]grus export model --to c -o firmware --precision int8[/bold]
        a quarter of the flash
    """
    from grus.cli.people import People
    from grus.cli.tables import put
    from grus.inspection.wording import to_json

    people = People(quiet)
    for option in _OF_C:
        if to == "onnx" and option in named(ctx):
            raise UsageError(f"{ctx.command_path}: --{option} is for --to c, but this is --to onnx")
    answer = (
        _onnx(model, out, force, people)
        if to == "onnx"
        else _c(model, out, force, people, name=name, precision=precision, limit_bytes=limit)
    )
    put(to_json(answer) if json else "".join(f"{path}\n" for path in answer["files"]))


def _onnx(model: Path, out: Path | None, force: bool, people: Any) -> dict[str, Any]:
    from grus.export import onnx

    made: OnnxFile = onnx(model, Path(f"{model.resolve().name}.onnx") if out is None else out, force=force)
    people.say(
        [
            f"wrote {made.path}: {made.size:,} bytes",
            f"inputs    {', '.join(made.inputs)}",
            f"outputs   {', '.join(made.outputs)}",
            f"states    {', '.join(made.states) or 'none'}",
            f"proved    {made.cases} random cases in ONNX Runtime: greatest difference {made.largest:.1e}",
        ]
    )
    return {
        "to": "onnx",
        "files": [str(made.path)],
        "bytes": made.size,
        "inputs": list(made.inputs),
        "outputs": list(made.outputs),
        "states": list(made.states),
        "cases": made.cases,
        "largest_difference": made.largest,
    }


def _c(model: Path, out: Path | None, force: bool, people: Any, **options: Any) -> dict[str, Any]:
    from grus.artifact import load_model
    from grus.export import export_c

    loaded, tensors = load_model(model)
    folder = Path(f"{model.resolve().name}-c") if out is None else out
    made: CReport = export_c(loaded, tensors, folder, force=force, **options)
    steps = ", ".join(f"{function} {count:,}" for function, count in made.multiplies.items())
    people.say(
        [
            f"wrote {made.header} and {made.source}",
            f"flash     {made.flash_bytes:,} bytes of constants ({made.precision})",
            f"RAM       {made.ram_bytes:,} bytes a stream",
            f"multiply  {steps or 'none'}",
            f"proof     {made.proof}",
            *made.notes,
        ]
    )
    return {
        "to": "c",
        "files": [str(made.header), str(made.source)],
        "precision": made.precision,
        "flash_bytes": made.flash_bytes,
        "ram_bytes": made.ram_bytes,
        "multiplies": made.multiplies,
        "proved": made.proved,
        "proof": made.proof,
        "notes": list(made.notes),
    }
