"""``grus fit generate --kind midi``: from MIDI files to a trained, saved model of music with a report."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from grus.cli.fit_run import COMMAND_OPTIONS, fit_task
from grus.cli.options import named
from grus.errors import UsageError

if TYPE_CHECKING:
    from grus.cli.people import People
    from grus.tasks.compose import MusicModel

#: Options of ``grus fit generate`` that only one kind has.
OF_TEXT = (
    "tokenizer", "vocabulary_size", "min_count", "lower", "tied", "softmax", "input_dropout", "variational",
    "precision",
)  # fmt: skip
OF_MIDI = ("layout", "steps_per_beat", "transpose")
#: Options that are arguments of `grus.MusicModel.fit`.
_OF_FIT = ("validation", "test")


def check_kind(ctx: typer.Context, kind: str) -> None:
    """Raise UsageError if an option was given that only the other kind has."""
    other, theirs = ("text", OF_TEXT) if kind == "midi" else ("midi", OF_MIDI)
    for param in ctx.command.params:
        if param.name in theirs and param.name in named(ctx):
            raise UsageError(
                f"{ctx.command_path}: {param.opts[0]} is for --kind {other}, but this is --kind {kind}"
            )


def fit_music(ctx: typer.Context) -> None:
    """Train on music with the options that were given; the others are those of `grus.MusicModel`."""
    given = named(ctx) - {"kind"}
    kept = {
        name: value
        for name, value in ctx.params.items()
        if name in (*COMMAND_OPTIONS, *_OF_FIT) or name in given
    }
    fit_task(
        "generate", kept, list(ctx.obj), _train, _show, opened=music_files,
        next_command="grus generate {} -o tune.mid",
    )  # fmt: skip


@contextmanager
def music_files(data: list[str]) -> Iterator[list[Path]]:
    """The paths of music, which is never read from stdin."""
    if "-" in data:
        raise UsageError("stdin: music must be named as files or a folder, got -")
    yield [Path(one) for one in data]


def _train(arguments: dict[str, Any], paths: list[Path], **run: Any) -> "MusicModel":
    from grus.tasks.compose import MusicModel

    run |= {name: arguments.pop(name) for name in _OF_FIT}
    return MusicModel(**arguments).fit(paths[0] if len(paths) == 1 else paths, **run)


def _show(model: "MusicModel", people: "People") -> dict[str, Any]:
    """Tell people the scores, and return them as plain data."""
    from grus.cli.music_answers import tell
    from grus.inspection.music.wording import music_evaluation_dict

    found = {"validation": model.validation_, "test": model.test_}
    evaluations = {name: e for name, e in found.items() if e is not None}
    for name, evaluation in evaluations.items():
        tell(people, name, evaluation)
    return {name: music_evaluation_dict(e) for name, e in evaluations.items()}
