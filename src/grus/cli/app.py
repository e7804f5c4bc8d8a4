"""The tree of commands, and Typer's own complaints turned into sentences of the house."""

import difflib
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from grus.cli.bench import bench
from grus.cli.check_onnx import check_onnx
from grus.cli.compare_classify import classify as compare_classify
from grus.cli.compare_forecast import forecast as compare_forecast
from grus.cli.compare_memory import memory as compare_memory
from grus.cli.compare_music import music as compare_music
from grus.cli.evaluate import evaluate
from grus.cli.explain import explain
from grus.cli.export import export
from grus.cli.fit_classify import classify
from grus.cli.fit_detect import detect
from grus.cli.fit_forecast import forecast
from grus.cli.fit_generate import fit_generate
from grus.cli.fit_transcribe import fit_transcribe
from grus.cli.fit_translate import translate_fit
from grus.cli.generate import generate
from grus.cli.inspect import inspect
from grus.cli.predict import predict
from grus.cli.stream import stream
from grus.cli.transcribe import transcribe
from grus.cli.translate import translate
from grus.errors import UsageError

# Typer's exceptions, wherever this version of it keeps them (older ones took click's).
_typer_errors: Any = sys.modules[typer.BadParameter.__module__]

_SETTINGS = {"help_option_names": ["-h", "--help"]}


class _Group(TyperGroup):
    """A group of commands that says which there are when it does not know one."""

    noun = "command"

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of a user's day: groups first, then the rest as registered."""
        return sorted(self.commands, key=lambda name: not isinstance(self.commands[name], TyperGroup))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the group's own options; raises UsageError if no command follows."""
        if not args and not ctx.resilient_parsing:
            known = ", ".join(self.list_commands(ctx))
            raise UsageError(
                f"{ctx.command_path}: {self.noun} is missing; the {self.noun}s are {known}",
                hint=f"'{ctx.command_path} --help' says what they do",
            )
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that ``args`` begins with; raises UsageError if there is none of that name."""
        name, known = args[0], ", ".join(self.list_commands(ctx))
        if name not in self.commands and not name.startswith("-"):
            close = difflib.get_close_matches(name, self.commands, n=1)
            raise UsageError(
                f"{ctx.command_path}: no such {self.noun} {name!r}; the {self.noun}s are {known}",
                hint=f"did you mean {close[0]!r}?"
                if close
                else f"'{ctx.command_path} --help' says what they do",
            )
        return super().resolve_command(ctx, args)


class _Tasks(_Group):
    """The tasks of ``grus fit`` and ``grus compare``."""

    noun = "task"


app = typer.Typer(cls=_Group, add_completion=False, context_settings=_SETTINGS, rich_markup_mode="rich")
fit = typer.Typer(cls=_Tasks, context_settings=_SETTINGS, rich_markup_mode="rich")
app.add_typer(fit, name="fit", help="Train a model on a table: [bold]grus fit TASK DATA[/bold].")
fit.command("forecast", context_settings=_SETTINGS)(forecast)
fit.command("classify", context_settings=_SETTINGS)(classify)
fit.command("detect", context_settings=_SETTINGS)(detect)
fit.command("generate", context_settings=_SETTINGS)(fit_generate)
fit.command("translate", context_settings=_SETTINGS)(translate_fit)
fit.command("transcribe", context_settings=_SETTINGS)(fit_transcribe)
compare = typer.Typer(cls=_Tasks, context_settings=_SETTINGS, rich_markup_mode="rich")
app.add_typer(
    compare,
    name="compare",
    help="GRU, LSTM or simple RNN? On your data: [bold]grus compare TASK DATA[/bold].",
)
compare.command("forecast", context_settings=_SETTINGS)(compare_forecast)
compare.command("classify", context_settings=_SETTINGS)(compare_classify)
compare.command("memory", context_settings=_SETTINGS)(compare_memory)
compare.command("music", context_settings=_SETTINGS)(compare_music)
app.command("predict", context_settings=_SETTINGS)(predict)
app.command("evaluate", context_settings=_SETTINGS)(evaluate)
app.command("generate", context_settings=_SETTINGS)(generate)
app.command("export", context_settings=_SETTINGS)(export)
app.command("check-onnx", context_settings=_SETTINGS)(check_onnx)
app.command("inspect", context_settings=_SETTINGS)(inspect)
app.command("explain", context_settings=_SETTINGS)(explain)
app.command("stream", context_settings=_SETTINGS)(stream)
app.command("translate", context_settings=_SETTINGS)(translate)
app.command("transcribe", context_settings=_SETTINGS)(transcribe)
app.command("bench", context_settings=_SETTINGS)(bench)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"grus {version('grus')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Gated recurrent units: train one on your table, see how good it is, let it predict.

    \b
    [bold]grus fit forecast demand.csv --horizon 24 -o model[/bold]
        from a table to a model folder with a report
    [bold]grus predict model demand.csv > forecast.csv[/bold]
        the horizon after the last row
    [bold]grus fit classify reviews.jsonl -o model[/bold]
        the same for labels of texts, series, images, event histories and recordings
    [bold]grus fit generate book.txt -o model[/bold]
        a language model of characters, words or pieces of words
    [bold]grus generate model --prompt "It was "[/bold]
        text that goes on from there, as it comes
    [bold]grus fit translate train.en train.de -o model[/bold]
        from sentences and their translations to a translator: grus translate model < new.en
    [bold]grus fit transcribe calls.tsv -o model[/bold]
        from recordings and what is said in them to a transcriber: grus transcribe model new.wav
    [bold]grus fit detect pump.csv -o model[/bold]
        a detector of what is not as the rows before led to expect
    [bold]grus evaluate model demand.csv[/bold]
        errors beside those of models that cost nothing
    [bold]grus compare forecast demand.csv --horizon 24[/bold]
        GRU, LSTM, simple RNN on your rows: which to take, and whether it is more than noise
    [bold]grus export model --to onnx[/bold]
        the model as a file that runs without Grus
    [bold]grus inspect model demand.csv[/bold]
        what the model remembers, and what its answer rests on
    [bold]grus explain[/bold]
        one step of one cell on paper, with the numbers in the equations
    [bold]grus stream model --state streams.grus < rows.csv[/bold]
        rows in, answers out, for as long as rows come
    [bold]grus bench[/bold]
        how fast the layers are on this machine

    The answer goes to stdout; the plan, progress and tables for people go to stderr.
    """


def invoke(arguments: list[str]) -> int:
    """Parse and run one command line, and return its exit code.

    Raises:
        GrusError: with the sentence for the user, Typer's own complaints included.
    """
    command = typer.main.get_command(app)
    try:
        with command.make_context("grus", list(arguments), obj=arguments) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except _typer_errors.UsageError as error:
        raise _rephrase(error, arguments) from None
    return 0


def _rephrase(error: Any, arguments: list[str]) -> UsageError:
    """Typer's complaint as what, where, must be, got."""
    where = error.ctx.command_path if error.ctx is not None else _command_path(arguments)
    usage = f"'{where} --help' shows how it is used"
    if isinstance(error, _typer_errors.NoSuchOption):
        close = f"did you mean {error.possibilities[0]!r}?" if error.possibilities else usage
        return UsageError(f"{where}: no such option {error.option_name!r}", close)
    if isinstance(error, _typer_errors.MissingParameter):
        flag = error.param.opts[0]
        return UsageError(
            f"{where}: {f'option {flag}' if flag[:1] == '-' else error.param.metavar} is missing", usage
        )
    if isinstance(error, _typer_errors.BadOptionUsage):
        needs = "takes no value" if "does not take" in error.message else "needs a value"
        return UsageError(f"{where}: option {error.option_name!r} {needs}", usage)
    if isinstance(error, typer.BadParameter) and error.param is not None:
        return UsageError(f"{where}: {error.param.opts[0]} must be {_must_be(error)}", usage)
    message = error.format_message()
    if "unexpected extra argument" in message:
        extra = message.partition(" (")[2].removesuffix(")")
        message = f"expected nothing after the last argument, got {extra!r}"
    return UsageError(f"{where}: {message}", usage)


def _command_path(arguments: list[str]) -> str:
    """The command that a command line names, for the errors that Typer raises without saying where."""
    path = "grus"
    command: Any = typer.main.get_command(app)
    for word in arguments:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            break
        path += f" {word}"
    return path


def _must_be(error: Any) -> str:
    """``a whole number, got 'x'``, from the validation error behind a BadParameter."""
    cause = error.__cause__
    details = cause.errors()[0] if hasattr(cause, "errors") else {"type": "", "input": None}
    kinds = {"int": "a whole number", "float": "a number", "bool": "true or false"}
    kind = kinds.get(details["type"].partition("_")[0])
    if details["type"] == "greater_than_equal":
        kind = f"at least {details['ctx']['ge']}"
    choices = error.param.type_descriptor.choices
    if choices:
        kind = f"one of {', '.join(map(str, choices))}"
    return f"{kind}, got {details['input']!r}" if kind else f"usable: {error.message}"
