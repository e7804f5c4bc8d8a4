"""``grus translate MODEL < in > out``: a line in, a line out; needs no torch."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from grus.cli.options import Config, ModelFolder, Quiet

if TYPE_CHECKING:
    from grus.decode.translator import LiveTranslator, Translation

#: Lines translated at once; more of them wait for no one longer than it takes to translate these.
_TOGETHER = 512


def translate(
    ctx: typer.Context,
    model: ModelFolder,
    beam: Annotated[
        int, typer.Option(metavar="N", min=1, help="Hypotheses kept; 1 is greedy search, the fastest.")
    ] = 5,
    length_penalty: Annotated[
        float | None, typer.Option(metavar="A", help="Rank by log p / length^A (default: the model's).")
    ] = None,
    n_best: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="N translations a line, with scores: number ||| text ||| score."),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(metavar="TOKENS", min=1, help="Of a translation (default: by its source's length)."),
    ] = None,
    alignments: Annotated[
        bool,
        typer.Option(
            "--alignments", metavar="",
            help="Also pairs of words, source-target, from 0: text, a tab, 0-0 2-1; with --n-best after |||.",
        ),
    ] = False,
    copy_unknown: Annotated[
        bool, typer.Option(help="Put the source's word in the place of an unknown one.")
    ] = True,
    score: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="In place of translating: log p of these translations, line by line."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print a JSON object a line, with scores and tokens.")
    ] = False,
    quiet: Quiet = False,
    config: Config = None,
) -> None:  # fmt: skip
    """Translate stdin line by line to stdout, as many lines at once as are waiting.

    An empty line stays empty, so line n of the output belongs to line n of the input.

    \b
    [bold]grus translate model < new.en > new.de[/bold]
    [bold]grus translate model --beam 1 < new.en > new.de[/bold]
        greedy search, several times as fast
    [bold]echo "Two dogs play." | grus translate model --n-best 3 --alignments[/bold]
        0 ||| zwei hunde spielen. ||| -0.31 ||| 0-0 1-1 2-2
    [bold]grus translate model --json < new.en | jq -r '.translations[0].score'[/bold]
    [bold]grus translate model --score theirs.de < new.en[/bold]
        how probable somebody else's translations are
    """
    from grus.cli.people import People
    from grus.decode import load
    from grus.errors import UsageError
    from grus.spec import Translate

    people = People(quiet)
    live: Any = load(model)
    live.model.task_as(Translate)
    if n_best is not None and n_best > beam:
        raise UsageError(
            f"{ctx.command_path}: --n-best must be at most --beam, which is {beam}, got {n_best}"
        )
    if score is not None:
        _score(live, score)
        return
    options = {
        "beam": beam, "length_penalty": length_penalty, "max_length": max_length, "copy_unknown": copy_unknown,
        "n_best": n_best or 1,
    }  # fmt: skip
    for first, lines in _blocks():
        cut = live.cut(lines)
        if cut:
            shown = ", ".join(f"{first + row:,}" for row in cut[:3]) + (", ..." if len(cut) > 3 else "")
            people.say(
                f"{len(cut):,} of the lines so long that only {live.task.max_source:,} tokens are read (line {shown})"
            )
        for number, (line, found) in enumerate(zip(lines, live.translate(lines, **options)), first):
            for text in _answers(number, line, found, n_best, alignments, json):
                sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def _blocks() -> Iterator[tuple[int, list[str]]]:
    """The lines that are waiting on stdin, and the number of the first, from 1."""
    from grus.cli.stream_rows import Lines
    from grus.data.lines import lines_of
    from grus.errors import DataError, UsageError

    if sys.stdin is None:
        raise UsageError("stdin: expected sentences, one a line, got none", hint="pipe them in")
    reader, number, offset = Lines(sys.stdin.fileno()), 1, 0
    while (waiting := reader.read()) is not None:
        for begin in range(0, len(waiting), _TOGETHER):
            raw: list[bytes] = []
            for line in waiting[begin : begin + _TOGETHER]:
                if line is None:
                    raise DataError(f"stdin: line {number + len(raw):,} is too long to be a sentence")
                raw.append(line + b"\n")
            yield number, list(lines_of(raw, "stdin", number, offset))
            number, offset = number + len(raw), offset + sum(map(len, raw))


def _answers(
    number: int, line: str, found: "list[Translation]", n_best: int | None, alignments: bool, as_json: bool
) -> Iterator[str]:
    """What is printed for one line of input."""
    if as_json:
        translations = [
            {
                "text": one.text,
                "score": one.score,
                "log_probability": one.log_probability,
                "tokens": list(one.tokens),
                **({"alignment": [list(pair) for pair in one.alignment]} if alignments else {}),
            }
            for one in found
        ]
        yield msgspec.json.encode({"line": number, "source": line, "translations": translations}).decode()
        return
    for one in found:
        pairs = " ".join(f"{source}-{target}" for source, target in one.alignment)
        if n_best is None:
            yield f"{one.text}\t{pairs}" if alignments else one.text
        else:
            fields = [str(number - 1), one.text, f"{one.score:.6f}", *([pairs] if alignments else [])]
            yield " ||| ".join(fields)


def _score(live: "LiveTranslator", path: Path) -> None:
    """log p of each line of a file, given the line of stdin."""
    from grus.data.lines import read_lines
    from grus.errors import DataError

    targets = read_lines(path)
    done = 0
    for first, lines in _blocks():
        some = targets[first - 1 : first - 1 + len(lines)]
        if len(some) < len(lines):
            raise DataError(
                f"stdin and {path.name}: expected as many lines in each: line {len(targets) + 1:,} of stdin is the "
                "first without a partner"
            )
        for value in live.score(lines, some):
            sys.stdout.write(f"{value:.6f}\n")
        done = first - 1 + len(lines)
        sys.stdout.flush()
    if done < len(targets):
        raise DataError(
            f"stdin and {path.name}: expected as many lines in each: line {done + 1:,} of {path.name} is the first "
            "without a partner"
        )
