"""The work of ``grus stream --audio``: samples in on stdin, what the model makes of them out, at fixed moments."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from grus.cli.answers import check_options
from grus.cli.options import named
from grus.cli.people import People
from grus.cli.stream_rows import CsvAnswers, JsonAnswers, ready
from grus.cli.stream_saved import Interrupts, Saver, amount
from grus.decode import LiveClassifier, LiveTranscriber, load
from grus.decode.streaming.keyed import Record
from grus.decode.streaming.listening import Listener, Listening, Namer, Waker, Writer
from grus.errors import DataError, UnsupportedError, UsageError
from grus.spec import LogMel

#: Bytes asked for at once; a pipe holds 64 KB.
_READ = 1 << 16
#: Options of ``grus stream`` that are for rows.
_OF_ROWS = ("key", "seq", "evict_after", "future", "level", "detail")


def run_sound(ctx: typer.Context, model: Path) -> None:
    """Listen until stdin ends, or a signal comes.

    Raises:
        UsageError: options for rows, or a model that does not listen. DataError: stdin is no such sound.
        KeyboardInterrupt: on Ctrl-C, after all was saved. SystemExit: 143 on SIGTERM, likewise.
    """
    options, people = ctx.params, People(ctx.params["quiet"])
    for param in ctx.command.params:
        if param.name in _OF_ROWS and param.name in named(ctx):
            raise UsageError(f"{ctx.command_path}: {param.opts[0]} is for rows, not for --audio")
    if options["out_format"] not in ("json", "csv"):
        raise UsageError(f"{ctx.command_path}: --format must be json or csv, got {options['out_format']!r}")
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("stdin: expected raw samples, got a terminal", hint="pipe them in")
    loaded = load(model)
    step: LogMel | None = loaded.model.step(LogMel)
    if step is None:
        raise UsageError(f"{ctx.command_path}: --audio is for models of recordings, which {model} is not")
    rate = options["rate"]
    if rate not in (None, step.rate):
        raise UsageError(
            f"{ctx.command_path}: --rate must be {step.rate}, the rate that {model} was trained at, got {rate}",
            hint=f"... | ffmpeg -f s16le -ar {rate} -ac 1 -i - -f s16le -ar {step.rate} - | ...",
        )
    check_options(ctx, loaded.model, model)
    listener = _listener(ctx, loaded)
    sound = Listening(listener, options["every"])
    steps, seconds = amount(ctx, "save_every", "steps")
    rows = None if steps is None else 2 * step.stride * steps
    saver = Saver(sound, options["state"], rows, seconds)
    if saver.restore():
        people.say(f"{saver.path}: goes on after byte {sound.seq:,} ({sound.seconds:.2f} s)")
    answers = CsvAnswers(listener.columns) if options["out_format"] == "csv" else JsonAnswers()

    def say(records: list[Record]) -> None:
        if records:
            sys.stdout.buffer.write(answers.encode(records))
            sys.stdout.buffer.flush()

    interrupts = _listen(sound, Ear(sys.stdin.fileno()), saver, say)
    people.say(f"{sound.seconds:.2f} s heard")
    interrupts.end()


def _listener(ctx: typer.Context, loaded: Any) -> Listener:
    o = ctx.params
    if o["wake"] is None and "threshold" in named(ctx):
        raise UsageError(f"{ctx.command_path}: --threshold is for --wake")
    if not 0 < o["threshold"] <= 1:
        raise UsageError(
            f"{ctx.command_path}: --threshold must be above 0 and at most 1, got {o['threshold']}"
        )
    if o["wake"] is not None and o["every"] is not None:
        raise UsageError(
            f"{ctx.command_path}: --every must not be given with --wake, which looks at every step"
        )
    if isinstance(loaded, LiveTranscriber):
        return Writer(loaded) if o["wake"] is None else Waker(loaded, o["wake"], o["threshold"])
    if o["wake"] is not None:
        raise UsageError(f"{ctx.command_path}: --wake is for a transcriber of words, got another model")
    if isinstance(loaded, LiveClassifier):
        return Namer(loaded, o["proba"])
    raise UnsupportedError("model: it cannot listen to a stream")


class Ear:
    """The bytes of a pipe, as many as are waiting, and never a file with a header.

    Args:
        handle: a file descriptor.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle
        #: The first bytes, while they are too few to tell.
        self.first = b""
        self._known = False

    def wait(self, seconds: float | None) -> bool:
        """Whether there is something to read (or the end) within so many seconds; None: for ever."""
        return ready(self._handle, seconds)

    def read(self) -> bytes | None:
        """What is waiting, which may be nothing that can be told yet; None at the end.

        Raises:
            DataError: a file with a header.
        """
        data = os.read(self._handle, _READ)
        if not data:
            return None
        if self._known:
            return data
        self.first += data
        if len(self.first) < 4:
            return b""
        if self.first[:4] in (b"RIFF", b"fLaC", b"OggS"):
            raise DataError(
                "stdin: expected raw samples, got a file with a header",
                hint="grus predict MODEL FILE reads files",
            )
        self._known, data, self.first = True, self.first, b""
        return data


def _listen(sound: Listening, ear: Ear, saver: Saver, say: Callable[[list[Record]], None]) -> Interrupts:
    """Answer all there is; a signal, which is returned, ends it after what is at hand, with everything saved.

    Raises:
        DataError: too few samples for one step, half a sample, or a file with a header.
    """
    with Interrupts() as interrupts:
        while (data := interrupts.read(ear, saver)) is not None:
            say(sound.feed(data))
            saver.save_if_due()
        say(sound.feed(ear.first))
        if interrupts.stopped is None:
            _check_end(sound, saver)
            say(sound.final())
        saver.save()
    if sound.ends_in_half and saver.path is None and interrupts.stopped is None:
        raise DataError("stdin: expected samples of 2 bytes, got half of one at the end")
    return interrupts


def _check_end(sound: Listening, saver: Saver) -> None:
    """With a state, what is too little now may be enough the next time."""
    if not sound.steps and saver.path is None:
        raise DataError(
            f"stdin: expected at least {sound.step.window:,} samples, one step, got {sound.heard:,}"
        )
