"""``grus inspect MODEL DATA``: what a model remembers of one row, as a page and as numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grus.cli.options import Config, Data, ModelFolder, Quiet

if TYPE_CHECKING:
    from grus.inspection.inside.findings import Findings

_PAGE = Path("inspect.html")


def inspect(
    ctx: typer.Context,
    model: ModelFolder,
    data: Data,
    row: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="The row to look at, from 1: an example, or the last row that a forecast knows.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="The page to write (default: inspect.html)."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Replace the page.")] = False,
    json: Annotated[
        bool,
        typer.Option("--json", metavar="", help="Print the numbers; a page is then written only with -o."),
    ] = False,
    quiet: Quiet = False,
    config: Config = None,
) -> None:
    """Look inside a model while it reads one row: gates, memory, and what the answer rests on.

    \b
    [bold]grus inspect model reviews.jsonl --row 3[/bold]
        the words that opened the gates, in inspect.html
    [bold]grus inspect model demand.csv -o demand.html[/bold]
        the last forecast that the data can check: when the model overwrote what it knew
    [bold]grus inspect model demand.csv --json > numbers.json[/bold]
        every unit's half-life, every step's share, as numbers
    """
    from grus.cli.people import People
    from grus.cli.tables import put
    from grus.inspection.inside.findings import findings_dict
    from grus.inspection.inside.report import write_inspect_report
    from grus.inspection.wording import to_json

    people = People(quiet)
    page = out if out is not None else None if json else _PAGE
    if page is not None:
        _check_page(page, force)
    found, spec = _find(model, data, row)
    people.say([found.case.answer, *_sentences(found)])
    if page is not None:
        command = f"grus inspect {model} {data}" + (f" --row {row}" if row is not None else "")
        write_inspect_report(page, found, spec, title=model.resolve().name, command=command)
        people.say(f"wrote {page}")
    if json:
        put(to_json({"model": str(model), "data": data, **findings_dict(found)}))


def _sentences(found: "Findings") -> list[str]:
    from grus.inspection.inside.gate_words import describe_memory, moment_sentence

    return [moment_sentence(found), describe_memory(found)]


def _check_page(page: Path, force: bool) -> None:
    """Raise UsageError, before any work is done, if the page cannot be written."""
    from grus.errors import UsageError

    if page.suffix not in (".html", ".htm"):
        raise UsageError(f"{page}: expected a name ending in .html, got {page.suffix!r}")
    if not page.parent.is_dir():
        raise UsageError(f"{page}: no such folder: {page.parent}", hint="make it first")
    if page.exists() and not force:
        raise UsageError(
            f"{page}: already exists, and nothing is overwritten unasked",
            hint="name another file with -o, or add --force to replace it",
        )


def _find(folder: Path, data: str, row: int | None) -> "tuple[Findings, Any]":
    """Read model and data, and look."""
    from grus.artifact import load_model
    from grus.cli.tables import require, table_file
    from grus.data import readers
    from grus.data.examples import read_like
    from grus.decode import LiveClassifier, LiveForecaster
    from grus.errors import UnsupportedError
    from grus.inspection.inside.case import classify_case, forecast_case
    from grus.inspection.inside.findings import inspect_case
    from grus.inspection.inside.gates import check_recurrent
    from grus.spec import Classify, Detect, Images

    model, tensors = load_model(folder)
    if isinstance(model.task, Detect):
        raise UnsupportedError(
            f"{folder}: a detector cannot be looked into yet", "grus predict --detail says what it expected"
        )
    check_recurrent(model)
    require("torch", "looking inside a model")
    with table_file(data) as path:
        if isinstance(model.task, Classify):
            live = LiveClassifier(model, tensors)
            images: Images | None = model.step(Images)
            shape = None if images is None else (images.height, images.width, images.channels)
            case = classify_case(live, read_like(path, live.roles, shape=shape), row)
        else:
            live = LiveForecaster(model, tensors)
            columns, source = readers.read_columns(path)
            case = forecast_case(live, live.panel(columns, source), row)
    return inspect_case(live, tensors, case), model
