"""What every ``grus compare TASK`` does around the comparison: folders, Ctrl-C, tables, and the report."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from grus.errors import ModelFolderError, TrainingInterrupted, UsageError

if TYPE_CHECKING:
    from grus.cli.people import People
    from grus.decode.comparing.records import Outcome
    from grus.tasks.compare.api import Task

#: Options that belong to the command; all others are arguments of `grus.compare`.
COMMAND_OPTIONS = ("out", "config", "force", "json", "quiet")
_RUN_FILE, _RUNS, _PAGE = "run.json", "runs", "index.html"


def compare_task(ctx: typer.Context, task: "Task", data: Any, name: str, options: Mapping[str, Any]) -> None:
    """Compare, report, and print.

    Args:
        ctx: of the command, with what was given.
        task, data: as for `grus.compare`; data is a path.
        name: of the data, for the folder where none is given.
        options: arguments of `grus.compare`, those of ``COMMAND_OPTIONS`` among them.
    """
    from grus.cli.people import People
    from grus.cli.tables import put, require, to_csv
    from grus.inspection.wording import to_json

    given = {key: value for key, value in options.items() if key not in COMMAND_OPTIONS}
    people = People(options["quiet"])
    for package in ("torch", "lightning_fabric", "narwhals", "matplotlib", "jinja2"):
        require(package, "training")
    folder = options["out"] or Path("comparisons", f"{name}-{task}")
    _check_folder(folder, given["resume"], options["force"])
    people.say(f"comparison: {folder}" + ("" if options["out"] else " (another one: -o FOLDER)"))
    command = list(ctx.obj)
    from grus.tasks.compare.api import compare

    with _resumable(folder, command):
        found = compare(
            task,
            data,
            **given,
            folder=folder,
            progress="quiet" if people.quiet else "auto",
            report_plan=people.say,
        )
        found.command = shlex.join(["grus", *command])
        page = found.save(folder, force=True)
    _tell(people, found.outcome)
    people.say([found.verdict, f"report: {page}"])
    put(to_json(found.to_dict()) if options["json"] else to_csv(found.table))


def given_options(ctx: typer.Context, *drop: str) -> dict[str, Any]:
    """The command's options by parameter name, but for some."""
    return {key: value for key, value in ctx.params.items() if key not in drop}


def data_name(data: str) -> str:
    """What a table is called, for the default folder."""
    return "stdin" if data == "-" else Path(data).name.split(".")[0] or "table"


def _tell(people: "People", outcome: "Outcome") -> None:
    """The table of every point, the pick first."""
    from grus.decode.comparing.verdict import judge
    from grus.inspection.compare.table import columns_sentence, narrow, people_header, people_rows
    from grus.inspection.compare.wording import cell_name, noise_sentence, point_name, verdict_sentence

    for point in outcome.points:
        name = point_name(outcome, point)
        people.say(f"\n{name}" if name else "")
        found = judge(point, outcome.level)
        pick = "" if found is None else f"{cell_name(found.pick.cell)} {found.pick.hidden}"
        rows = people_rows(outcome, point)
        rows.sort(key=lambda row: row[0] != pick)
        people.table(narrow(people_header(outcome)), map(narrow, rows))
        if len(outcome.points) > 1:
            people.say(verdict_sentence(outcome, point))
    people.say([columns_sentence(outcome, outcome.main), noise_sentence(outcome), ""])


def _check_folder(folder: Path, resume: bool, force: bool) -> None:
    """Refuse before any work is done what would be refused, or lost, at its end."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: must be a folder, got a file")
    begun = (folder / _RUN_FILE).is_file() and (folder / _RUNS).is_dir()
    if resume and not begun:
        raise ModelFolderError(f"{folder}: no comparison to resume from", "start without --resume")
    if begun and not resume and not force:
        raise ModelFolderError(
            f"{folder}: holds a comparison already, and nothing is overwritten unasked",
            "add --resume to go on with it (also with more cells, seeds, sizes or lengths), or --force to start again",
        )
    if not begun and folder.is_dir() and any(folder.iterdir()):
        raise ModelFolderError(
            f"{folder}: holds something else than a comparison, so nothing is written into it",
            "name another folder with -o",
        )


@contextmanager
def _resumable(folder: Path, command: list[str]) -> Iterator[None]:
    """Say after Ctrl-C how to go on."""
    try:
        yield
    except (TrainingInterrupted, KeyboardInterrupt):
        if not (folder / _RUN_FILE).is_file():
            raise
        done = sum(1 for _ in (folder / _RUNS).glob("*.json"))
        rest = [word for word in command if word not in ("--resume", "--force")]
        raise TrainingInterrupted(
            f"comparison stopped by Ctrl-C; {done:,} finished runs, and the checkpoint of the last, are in {folder}",
            hint=f"to go on from there: {shlex.join(['grus', *rest, '--resume'])}",
        ) from None
