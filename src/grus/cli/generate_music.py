"""``grus generate MODEL -o tune.mid``: a tune that goes on from a prime, and its picture; needs no torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from grus.cli.options import named
from grus.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from grus.decode import Composition
    from grus.spec import Model

#: Options of ``grus generate`` that only one kind of model has.
OF_TEXT = (
    "prompt", "max_new_tokens", "stop", "state", "unknown", "repetition_penalty", "num_beams",
)  # fmt: skip
OF_MIDI = ("out", "prime", "prime_beats", "min_beats", "max_beats", "tempo", "picture", "force")
#: Options that are arguments of `LiveComposer.generate`.
_ARGUMENTS = (
    "prime", "prime_beats", "min_beats", "max_beats", "tempo", "temperature", "top_k", "top_p", "num_return_sequences",
)  # fmt: skip
_PICTURES = (".png", ".svg", ".pdf")
_DPI = 120


def check_options(ctx: typer.Context, music: bool, folder: Path) -> None:
    """Raise UsageError if an option was given that only the other kind of model has."""
    theirs, other, what = (
        (OF_TEXT, "a language model", "a model of music")
        if music
        else (OF_MIDI, "a model of music", "a language model")
    )
    for param in ctx.command.params:
        if param.name in theirs and param.name in named(ctx):
            raise UsageError(f"{ctx.command_path}: {param.opts[0]} is for {other}, but {folder} is {what}")


def generate_music(ctx: typer.Context, model: "Model", tensors: Any) -> None:
    """Write one tune or several, and a picture of each that was asked for; print the paths."""
    from grus.artifact import write_file
    from grus.cli.generate import new_seed
    from grus.cli.people import People
    from grus.cli.tables import put
    from grus.decode import LiveComposer
    from grus.inspection.wording import to_json

    options = ctx.params
    if options["out"] is None:
        raise UsageError(
            f"{ctx.command_path}: --out is missing; a model of music writes a MIDI file",
            hint=f"{ctx.command_path} MODEL -o tune.mid",
        )
    tunes, pictures = _outputs(ctx)
    live, people = LiveComposer(model, tensors), People(options["quiet"])
    seed = new_seed(options["seed"])
    people.say(f"seed: {seed}")
    found = live.generate(seed=seed, **{name: options[name] for name in _ARGUMENTS})
    told = []
    for number, made in enumerate(found):
        write_file(tunes[number], made.midi())
        told.append(_told(tunes[number], made, seed + number))
        people.say(_sentence(told[-1]))
        if pictures:
            write_file(pictures[number], _picture(made, pictures[number].suffix))
            told[-1]["picture"] = str(pictures[number])
    put(to_json(told) if options["json"] else "".join(f"{path}\n" for path in tunes + pictures))


def _outputs(ctx: typer.Context) -> tuple[list[Path], list[Path]]:
    """The files to write, each checked before any work is done."""
    options, found = ctx.params, []
    for path, suffixes in ((options["out"], (".mid", ".midi")), (options["picture"], _PICTURES)):
        found.append([] if path is None else _numbered(path, options["num_return_sequences"]))
        for one in found[-1]:
            if one.suffix.lower() not in suffixes:
                raise UsageError(
                    f"{one}: expected a name ending in {', '.join(suffixes)}, got {one.suffix!r}"
                )
            if not one.parent.is_dir():
                raise UsageError(f"{one}: no such folder: {one.parent}", hint="make it first")
            if one.exists() and not options["force"]:
                raise UsageError(
                    f"{one}: already exists, and nothing is overwritten unasked",
                    hint="name another file, or add --force to replace it",
                )
    if found[1]:
        _require_matplotlib()
    return found[0], found[1]


def _numbered(path: Path, count: int) -> list[Path]:
    """The path, or of several ``tune-1.mid``, ``tune-2.mid``, ..."""
    if count == 1:
        return [path]
    return [path.with_stem(f"{path.stem}-{number + 1}") for number in range(count)]


def _require_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "--picture needs matplotlib, which is not installed", hint="pip install 'grus[train]'"
        ) from error


def _picture(made: "Composition", suffix: str) -> bytes:
    import io

    from grus.inspection.music.plots import draw_roll

    file = io.BytesIO()
    # Without the date, the same tune is the same picture to the byte.
    stamp = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(suffix.lower())
    draw_roll(made.piece, given=made.given).savefig(file, format=suffix[1:].lower(), dpi=_DPI, metadata=stamp)
    return file.getvalue()


def _told(path: Path, made: "Composition", seed: int) -> dict[str, Any]:
    return {
        "file": str(path),
        "seed": seed,
        "notes": len(made.piece.notes),
        "steps": made.piece.length,
        "given_steps": made.given,
        "ended": made.ended,
        "log_probability": made.log_probability,
    }


def _sentence(told: dict[str, Any]) -> str:
    end = "which the model ended" if told["ended"] else "up to the limit"
    prime = f", {told['given_steps']:,} of them given" if told["given_steps"] else ""
    return f"wrote {told['file']}: {told['notes']:,} notes in {told['steps']:,} steps{prime}, {end}"
