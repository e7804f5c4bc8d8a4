"""``grus generate MODEL``: text that goes on from a prompt, token by token as it comes, or a tune; needs no torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from grus.cli.options import Config, ModelFolder, Quiet

if TYPE_CHECKING:
    from grus.decode import LiveGenerator
    from grus.runtime import State

_HOW, _WHAT, _MUSIC = "Choice of tokens", "Text", "Music"
#: Options that are arguments of `LiveGenerator.generate`.
_ARGUMENTS = (
    "max_new_tokens", "temperature", "top_k", "top_p", "repetition_penalty", "stop", "unknown",
)  # fmt: skip


def generate(
    ctx: typer.Context,
    model: ModelFolder,
    prompt: Annotated[
        str,
        typer.Option(
            "--prompt", "-p", help="Text to go on with; - reads it from stdin.", rich_help_panel=_WHAT
        ),
    ] = "",
    max_new_tokens: Annotated[
        int,
        typer.Option(
            "--max-new-tokens", "-n", min=0, help="Tokens at most.", rich_help_panel=_WHAT, metavar="N"
        ),
    ] = 200,
    stop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", help="End once this text is there; may be repeated.", rich_help_panel=_WHAT
        ),
    ] = None,
    num_return_sequences: Annotated[
        int, typer.Option(min=1, help="How many continuations; number i has seed + i.", rich_help_panel=_HOW)
    ] = 1,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Save the state here, and go on from it, exactly, if it exists.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    unknown: Annotated[
        Literal["refuse", "map"],
        typer.Option(
            help="What becomes of what the model does not know in the prompt.", rich_help_panel=_WHAT
        ),
    ] = "refuse",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="The MIDI file to write.", rich_help_panel=_MUSIC),
    ] = None,
    prime: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A MIDI file to go on from.", rich_help_panel=_MUSIC),
    ] = None,
    prime_beats: Annotated[
        float | None,
        typer.Option(metavar="BEATS", help="Only so many beats of it.", rich_help_panel=_MUSIC),
    ] = None,
    min_beats: Annotated[
        int, typer.Option(metavar="BEATS", min=0, help="Beats to add at least.", rich_help_panel=_MUSIC)
    ] = 0,
    max_beats: Annotated[
        int, typer.Option(metavar="BEATS", min=1, help="Beats to add at most.", rich_help_panel=_MUSIC)
    ] = 64,
    tempo: Annotated[
        int | None,
        typer.Option(
            metavar="BPM",
            min=4,
            max=1000,
            help="Beats a minute (default: the prime's, or drawn).",
            rich_help_panel=_MUSIC,
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw a piano roll too: .png, .svg or .pdf.", rich_help_panel=_MUSIC
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", metavar="", help="Replace these files.", rich_help_panel=_MUSIC)
    ] = False,
    temperature: Annotated[
        float,
        typer.Option(
            help="Below 1 the likely becomes likelier; 0: always the likeliest.", rich_help_panel=_HOW
        ),
    ] = 1.0,
    top_k: Annotated[int, typer.Option(help="Only from the k likeliest; 0: all.", rich_help_panel=_HOW)] = 0,
    top_p: Annotated[
        float, typer.Option(help="Only from the likeliest that make up this share.", rich_help_panel=_HOW)
    ] = 1.0,
    repetition_penalty: Annotated[
        float, typer.Option(help="Above 1: what was there is less likely.", rich_help_panel=_HOW)
    ] = 1.0,
    num_beams: Annotated[
        int,
        typer.Option(
            min=1, help="Above 1: search for the likeliest text with so many beams.", rich_help_panel=_HOW
        ),
    ] = 1,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, help="Of the random numbers (default: another every time).", rich_help_panel=_HOW
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON at the end.")] = False,
    quiet: Quiet = False,
    config: Config = None,
) -> None:
    """Go on with a text, and print it as it comes; or with a tune, and write it.

    \b
    [bold]grus generate model --prompt "To be" -n 500 --temperature 0.8[/bold]
    [bold]grus generate model -p "To be" --top-p 0.9 --seed 7 --stop "."[/bold]
        the same command prints the same text
    [bold]grus generate model --state text.grus >> text.txt[/bold]
        every call goes on exactly where the last one ended
    [bold]grus generate model -p "To be" --num-beams 5 --num-return-sequences 3 --json[/bold]
        the likeliest continuations rather than random ones
    [bold]head -c 500 book.txt | grus generate model --prompt - > on.txt[/bold]
    [bold]grus generate model -o tune.mid --prime start.mid --temperature 0.9 --seed 1[/bold]
        a model of music: the prime and what follows, as a MIDI file
    [bold]grus generate model -o tune.mid --max-beats 128 --tempo 80 --picture roll.png[/bold]

    \b
    Of a text only what is new goes to stdout, of a tune the file's name; the seed to stderr.
    """
    from grus.artifact import load_model
    from grus.cli.generate_music import check_options, generate_music
    from grus.cli.people import People
    from grus.decode import LiveGenerator
    from grus.errors import UsageError

    loaded, tensors = load_model(model)
    music = getattr(loaded.task, "kind", "") == "midi"
    check_options(ctx, music, model)
    if music:
        generate_music(ctx, loaded, tensors)
        return
    live = LiveGenerator(loaded, tensors)
    options = dict(ctx.params)
    several = num_return_sequences > 1 or num_beams > 1
    if state is not None and num_return_sequences > 1:
        raise UsageError(
            f"{ctx.command_path}: --state must have one text, got --num-return-sequences {num_return_sequences}"
        )
    before = _restore(live, state)
    seed = new_seed(seed) if before is None else seed
    arguments = {name: options[name] for name in _ARGUMENTS} | {"stop": tuple(stop or ()), "seed": seed}
    people = People(quiet)
    if seed is not None and num_beams == 1:
        people.say(f"seed: {seed}")
    text = _read_stdin() if prompt == "-" else prompt
    if several:
        counts = {"num_beams": num_beams, "num_return_sequences": num_return_sequences}
        _print_several(live, text, before, state, arguments | counts, json)
    else:
        _print_stream(live, text, before, state, arguments, json)


def new_seed(seed: int | None) -> int:
    """The seed to say: a new one, unless one was given."""
    import secrets

    return secrets.randbelow(1 << 32) if seed is None else seed


def _read_stdin() -> str:
    import sys

    from grus.errors import DataError, UsageError

    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError(
            "stdin: expected a prompt, got a terminal", hint="pipe one in, or give it as --prompt"
        )
    data = sys.stdin.buffer.read()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"stdin, byte {error.start:,}: expected text in UTF-8, got another byte") from None


def _restore(live: "LiveGenerator", file: Path | None) -> "State | None":
    """The state in a file, if there is one."""
    from grus.errors import ModelFolderError
    from grus.runtime import State

    if file is None or not file.exists():
        return None
    try:
        return State.from_bytes(file.read_bytes(), live)  # pyright: ignore[reportArgumentType]
    except OSError as error:
        raise ModelFolderError(f"{file}: cannot be read: {error.strerror}") from error
    except ModelFolderError as error:
        raise ModelFolderError(f"{file}: {error}", error.hint) from None


def _save(file: Path | None, state: "State") -> None:
    from grus.artifact import write_file

    if file is not None:
        write_file(file, state.to_bytes())


def _print_stream(
    live: "LiveGenerator",
    prompt: str,
    before: "State | None",
    file: Path | None,
    arguments: dict[str, Any],
    json: bool,
) -> None:
    """Print a text as it comes; the state is saved also when Ctrl-C or the reader ends it."""
    import sys

    from grus.cli.tables import put
    from grus.inspection.wording import to_json

    stream = live.stream(prompt, state=before, **arguments)
    pieces: list[str] = []
    try:
        for piece in stream:
            if json:
                pieces.append(piece)
            else:
                put(piece)
                sys.stdout.flush()
    finally:
        _save(file, stream.state)
    if json:
        put(to_json(_told(prompt, arguments, ["".join(pieces)], [stream.tokens])))
    elif sys.stdout.isatty():
        put("\n")


def _print_several(
    live: "LiveGenerator",
    prompt: str,
    before: "State | None",
    file: Path | None,
    arguments: dict[str, Any],
    json: bool,
) -> None:
    """Print several texts, or one that beams found, each followed by a line of its own where there are more."""
    from grus.cli.tables import put
    from grus.inspection.wording import to_json

    found = live.generate(prompt, state=before, **arguments)
    _save(file, found.state)
    if json:
        put(to_json(_told(prompt, arguments, list(found.texts), list(found.tokens))))
    else:
        put("\n---\n".join(found.texts) + "\n" * (len(found.texts) > 1))


def _told(prompt: str, arguments: dict[str, Any], texts: list[str], tokens: list[int]) -> dict[str, Any]:
    return {"prompt": prompt, "seed": arguments["seed"], "texts": texts, "tokens": tokens}
