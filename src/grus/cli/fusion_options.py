"""The options of a language model beside a transcriber, and the model that they name."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grus.cli.options import named
from grus.errors import UsageError

if TYPE_CHECKING:
    from grus.decode.fusion import Fusion

#: How much it counts; each is refused without --language-model.
_AMOUNTS = ("lm_weight", "word_bonus", "length_bonus")
#: All of them.
FUSION_OPTIONS = ("language_model", *_AMOUNTS)

LanguageModel = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="A language model (grus fit generate --tokenizer char) that helps a transcriber's beam search to choose.",
    ),
]
LmWeight = Annotated[float, typer.Option(metavar="W", help="How much its log-probabilities count.")]
WordBonus = Annotated[float, typer.Option(metavar="B", help="Added for each word, against texts too short.")]
LengthBonus = Annotated[float, typer.Option(metavar="B", help="Added for each character (or unit).")]


def check_fusion(ctx: typer.Context) -> None:
    """Raise UsageError, before any work is done, for amounts without a language model, or a search without a beam."""
    given = [param for param in ctx.command.params if param.name in named(ctx)]
    amount = next((param for param in given if param.name in _AMOUNTS), None)
    if ctx.params["language_model"] is None and amount is not None:
        raise UsageError(f"{ctx.command_path}: {amount.opts[0]} is for --language-model")
    if ctx.params["language_model"] is not None and ctx.params["beam"] == 1:
        raise UsageError(f"{ctx.command_path}: --beam must be above 1 with --language-model, got 1")


def fusion_of(options: dict[str, Any]) -> "Fusion | None":
    """The language model that the options of a command name, or None.

    Raises:
        UsageError: it is another model, or its amounts cannot be. ModelFolderError: it cannot be loaded.
    """
    folder = options["language_model"]
    if folder is None:
        return None
    from grus.decode import LiveGenerator, load
    from grus.decode.fusion import Fusion

    live = load(folder)
    if not isinstance(live, LiveGenerator):
        raise UsageError(
            f"{folder}: must be a language model of text, got another model", "see grus fit generate"
        )
    return Fusion(live, options["lm_weight"], options["word_bonus"], options["length_bonus"])
