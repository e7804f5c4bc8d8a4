"""``grus inspect MODEL DATA``: what a model remembers of one row, as a page and as numbers."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grus.cli.options import Config, Data, ModelFolder, Quiet

if TYPE_CHECKING:
    from grus.cli.people import People
    from grus.inspection.inside.findings import Findings
    from grus.spec import Model

_PAGE = Path("inspect.html")


def inspect(
    ctx: typer.Context,
    model: ModelFolder,
    data: Data,
    row: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="The row to look at, from 1: an example, a recording, a row that a detector watches, the last row "
            "that a forecast knows, or the last line of a text.",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="LABEL",
            help="The label of a classifier whose probability is explained (default: the one that it says).",
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
    [bold]grus inspect stays stays.csv --row 7 --label yes[/bold]
        which measurement of the seventh stay raised the probability, and when
    [bold]grus inspect model recordings/ --row 2[/bold]
        where a transcriber wrote what, under the spectrogram, and which sounds opened its gates
    [bold]grus inspect model pump.csv[/bold]
        the row that a detector finds oddest: what was expected, and which rows before it led to that
    [bold]grus inspect model new.en --row 3[/bold]
        what each word of a translation looked at, as a heat map
    [bold]grus inspect model book.txt --row 120[/bold]
        what surprised a language model up to line 120, and what it expects next
    """
    from grus.artifact import load_model
    from grus.cli.people import People
    from grus.cli.tables import check_page, put
    from grus.errors import UnsupportedError, UsageError
    from grus.inspection.inside.findings import findings_dict
    from grus.inspection.inside.report import write_inspect_report
    from grus.inspection.wording import to_json
    from grus.spec import Classify, Generate, Transcribe, Translate

    people = People(quiet)
    page = out if out is not None else None if json else _PAGE
    if page is not None:
        check_page(page, force)
    command = f"grus inspect {model} {data}" + (f" --row {row}" if row is not None else "")
    command += f" --label {shlex.quote(label)}" if label is not None else ""
    loaded, tensors = load_model(model)
    if label is not None and not isinstance(loaded.task, Classify):
        raise UsageError(f"--label: only a classifier has labels, got {label!r}")
    if isinstance(loaded.task, Generate) and loaded.task.kind != "text":
        raise UnsupportedError(
            f"{model}: a model of music cannot be looked into yet", "grus evaluate scores it"
        )
    if isinstance(loaded.task, Translate | Transcribe):
        look = _look if isinstance(loaded.task, Translate) else _hear
        plain = look(loaded, tensors, data, row, people, page, model.resolve().name, command)
        if json:
            put(to_json({"model": str(model), "data": data, **plain}))
        return
    found, spec = _find(loaded, tensors, data, row, label)
    people.say([found.case.answer, *_sentences(found)])
    if page is not None:
        write_inspect_report(page, found, spec, title=model.resolve().name, command=command)
        people.say(f"wrote {page}")
    if json:
        put(to_json({"model": str(model), "data": data, **findings_dict(found)}))


def _sentences(found: "Findings") -> list[str]:
    from grus.inspection.inside.gate_words import describe_memory, moment_sentence

    if found.measured is not None:
        return [*found.measured.describe(), describe_memory(found)]
    return [moment_sentence(found), describe_memory(found)]


def _look(
    model: "Model", tensors: Any, data: str, row: int | None, people: "People", page: Path | None, title: str,
    command: str,
) -> dict[str, Any]:  # fmt: skip
    """Look at one translation; plain text, or a table with the source's column."""
    from grus.cli.tables import table_file
    from grus.data.lines import read_lines
    from grus.data.readers import is_table_path, read_columns
    from grus.decode import LiveTranslator
    from grus.inspection.translations.inside import describe_look, look, look_dict, write_look

    live = LiveTranslator(model, tensors)
    if is_table_path(data):
        with table_file(data) as path:
            columns, _ = read_columns(path, [live.task.source])
        sources = ["" if text is None else str(text) for text in columns[live.task.source].tolist()]
    else:
        sources = read_lines(Path(data))
    found = look(live, sources, row)
    people.say(describe_look(found))
    if page is not None:
        write_look(page, found, live, title=title, command=command)
        people.say(f"wrote {page}")
    return look_dict(found, live)


def _hear(
    model: "Model", tensors: Any, data: str, row: int | None, people: "People", page: Path | None, title: str,
    command: str,
) -> dict[str, Any]:  # fmt: skip
    """Look at one recording of a transcriber."""
    from grus.cli.fit_transcribe import audio_path
    from grus.data.examples import audio_of
    from grus.data.spoken import read_spoken
    from grus.decode import LiveTranscriber
    from grus.inspection.inside.gates import check_recurrent
    from grus.inspection.transcripts.inside import describe_heard, hear, heard_dict, write_heard

    check_recurrent(model)
    live = LiveTranscriber(model, tensors)
    with audio_path(data) as path:
        spoken = read_spoken(path, None, audio_of(live.log_mel), wanted=False)
    people.say(spoken.notes)
    found = hear(live, spoken.names, spoken.recordings(), row)
    people.say(describe_heard(found, live))
    if page is not None:
        write_heard(page, found, live, title=title, command=command)
        people.say(f"wrote {page}")
    return heard_dict(found, live)


def _find(
    model: "Model", tensors: Any, data: str, row: int | None, label: str | None
) -> "tuple[Findings, Any]":
    """Read the data, and look."""
    from grus.cli.tables import require, table_file
    from grus.data import readers
    from grus.data.examples import own_of, read_like
    from grus.data.lines import read_lines
    from grus.decode import LiveClassifier, LiveDetector, LiveForecaster, LiveGenerator
    from grus.inspection.inside.case import classify_case, forecast_case
    from grus.inspection.inside.findings import inspect_case
    from grus.inspection.inside.gates import check_recurrent
    from grus.inspection.inside.passage import inspect_passage
    from grus.inspection.inside.watched import inspect_row
    from grus.spec import Classify, Detect, Generate

    check_recurrent(model)
    require("torch", "looking inside a model")
    if isinstance(model.task, Generate):
        return inspect_passage(LiveGenerator(model, tensors), tensors, read_lines(Path(data)), row), model
    with table_file(data) as path:
        if isinstance(model.task, Classify):
            live = LiveClassifier(model, tensors)
            case = classify_case(live, read_like(path, live.roles, own=own_of(model)), row, label)
        elif isinstance(model.task, Detect):
            live = LiveDetector(model, tensors)
            columns, source = readers.read_columns(path)
            return inspect_row(live, tensors, live.records(columns, source), row), model
        else:
            live = LiveForecaster(model, tensors)
            columns, source = readers.read_columns(path)
            case = forecast_case(live, live.panel(columns, source), row)
    return inspect_case(live, tensors, case), model
