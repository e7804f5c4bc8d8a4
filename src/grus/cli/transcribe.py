"""``grus transcribe MODEL FILES``: a line a recording; needs no torch."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from grus.cli import fusion_options as f
from grus.cli.options import Config, ModelFolder, Quiet

if TYPE_CHECKING:
    from grus.cli.people import People
    from grus.decode import LiveTranscriber
    from grus.decode.transcriber import Transcript

#: Recordings transcribed at once.
_TOGETHER = 16


def transcribe(
    ctx: typer.Context,
    model: ModelFolder,
    files: Annotated[
        list[str], typer.Argument(metavar="FILES", help="Recordings (wav, flac, ...), or folders of them.")
    ],
    beam: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Prefixes of a beam search; 1 is greedy, the fastest (default: 1, with a language model 16).",
        ),
    ] = None,
    language_model: f.LanguageModel = None,
    lm_weight: f.LmWeight = 0.5,
    word_bonus: f.WordBonus = 0.0,
    length_bonus: f.LengthBonus = 0.0,
    skip_bad: Annotated[
        bool,
        typer.Option("--skip-bad", metavar="", help="Pass over files that are no recordings, and say so."),
    ] = False,
    json: Annotated[
        bool,
        typer.Option(
            "--json", metavar="", help="A JSON object a line, with the units and when they were known."
        ),
    ] = False,
    quiet: Quiet = False,
    config: Config = None,
) -> None:
    """Write down what is said in recordings: the name of the file, a tab, the text.

    \b
    [bold]grus transcribe model call.wav[/bold]
    [bold]grus transcribe model calls/ --beam 8 > calls.tsv[/bold]
    [bold]grus transcribe model calls/ --language-model letters --lm-weight 0.4[/bold]
        what is likely to be written, beside what was heard; grus evaluate finds the weight
    [bold]grus transcribe model call.wav --json | jq .times[/bold]
        seconds at which each unit was known
    [bold]arecord -f S16_LE -r 16000 -t raw | grus stream model --audio[/bold]
        as it is said
    """
    from grus.cli.people import People
    from grus.decode import load
    from grus.spec import Transcribe

    f.check_fusion(ctx)
    people = People(quiet)
    live = load(model)
    live.model.task_as(Transcribe)
    how = {"beam": beam, "fusion": f.fusion_of(ctx.params)}
    live.transcribe([], **how)  # type: ignore[call-arg,union-attr]  (what does not fit is said before any file is read)
    paths = [path for file in files for path in _expanded(Path(file))]
    passed = 0
    for first in range(0, len(paths), _TOGETHER):
        lines, bad = _block(live, paths[first : first + _TOGETHER], how, skip_bad, json, people)  # type: ignore[arg-type]
        passed += bad
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
    if passed:
        people.say(f"{passed:,} of {len(paths):,} files passed over")


def _expanded(path: Path) -> Iterator[Path]:
    """The recordings that a path stands for."""
    from grus.data.audio_sets import find_recordings

    if not path.is_dir():
        yield path
        return
    yield from find_recordings(path, (), None, False).files


def _block(
    live: "LiveTranscriber",
    paths: list[Path],
    how: dict[str, Any],
    skip_bad: bool,
    as_json: bool,
    people: "People",
) -> tuple[list[str], int]:
    """The lines of some recordings, and how many files were passed over."""
    from grus.data.audio_files import read_recording
    from grus.errors import DataError
    from grus.preprocess.resample import resample

    names, samples, bad = [], [], 0
    for path in paths:
        try:
            values, rate, _ = read_recording(path)
        except DataError as error:
            if not skip_bad:
                raise DataError(str(error), error.hint or "to pass over such files: --skip-bad") from error
            people.say(f"passed over: {error}")
            bad += 1
            continue
        if rate != live.rate:
            people.say(f"{path}: resampled from {rate:,} to {live.rate:,} Hz")
        names.append(str(path))
        samples.append(resample(values, rate, live.rate))
    found = live.transcribe(samples, **how)
    return [_line(name, one, as_json) for name, one in zip(names, found)], bad


def _line(name: str, one: "Transcript", as_json: bool) -> str:
    if not as_json:
        return f"{name}\t{one.text}"
    times = {"times": [round(time, 4) for time in one.times]} if one.times or not one.units else {}
    record = {
        "file": name,
        "text": one.text,
        "log_probability": one.log_probability,
        "units": list(one.units),
        **times,
    }
    return msgspec.json.encode(record).decode()
