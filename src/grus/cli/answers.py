"""What ``grus predict`` and ``grus evaluate`` do with a model, by its task; the one table of the tasks' answers."""

from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import typer

from grus.cli.fusion_options import FUSION_OPTIONS
from grus.cli.options import named
from grus.errors import UsageError

if TYPE_CHECKING:
    from grus.cli.people import People
    from grus.preprocess.columns import Columns
    from grus.spec import Model

#: By the task's tag in the model file, or its kind where that has a module of its own: the module that answers, what
#: such a model is called, and the options of ``predict`` and ``evaluate`` that only it has.
_TASKS = {
    "forecast": ("grus.cli.forecast_answers", "a forecaster", ("future", "level", "step", "last")),
    "classify": ("grus.cli.classify_answers", "a classifier", ("proba",)),
    "generate": ("grus.cli.generate_answers", "a language model", ()),
    "translate": ("grus.cli.translate_answers", "a translator", ("beam", "references")),
    "transcribe": (
        "grus.cli.transcribe_answers",
        "a transcriber",
        ("beam", "wake", "times", *FUSION_OPTIONS),
    ),
    "midi": ("grus.cli.music_answers", "a model of music", ()),
    "detect": ("grus.cli.detect_answers", "a detector", ("events", "detail", "label")),
}


class Prediction(NamedTuple):
    """A table of answers, and a sentence about it."""

    columns: "Columns"
    sentence: str


class Scores(NamedTuple):
    """Scores as a table and as plain data; people have been told."""

    columns: "Columns"
    plain: dict[str, Any]


class Answers(Protocol):
    """The module of a task."""

    def data_file(self, data: str) -> AbstractContextManager[Path]:
        """The path of DATA, for ``-`` that of a copy of stdin."""
        ...

    def predict(
        self, model: "Model", tensors: Any, path: Path, options: dict[str, Any], quiet: bool
    ) -> Prediction:
        """Answer for the data at ``path``; ``options`` are those of the command."""
        ...

    def evaluate(
        self, model: "Model", tensors: Any, path: Path, options: dict[str, Any], people: "People", name: str
    ) -> Scores:
        """Score the data at ``path``, and tell people about the model called ``name``."""
        ...


def answers_of(ctx: typer.Context, model: "Model", folder: Path) -> Answers:
    """The module that answers for a model.

    Raises:
        UsageError: an option was given that only models of another task have.
    """
    check_options(ctx, model, folder)
    return import_module(_TASKS[_tag(model)][0])  # type: ignore[return-value]


def _tag(model: "Model") -> str:
    kind = getattr(model.task, "kind", "")
    return kind if kind in _TASKS else str(type(model.task).__struct_config__.tag)


def check_options(ctx: typer.Context, model: "Model", folder: Path) -> None:
    """Raise UsageError if an option was given that only models of another task have."""
    _, what, own = _TASKS[_tag(model)]
    given = [p for p in ctx.command.params if p.name in named(ctx)]
    for _, other, theirs in _TASKS.values():
        for param in given:
            if param.name in theirs and param.name not in own:
                raise UsageError(
                    f"{ctx.command_path}: {param.opts[0]} is for {other}, but {folder} is {what}"
                )
