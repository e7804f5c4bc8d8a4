"""The work of ``grus stream --audio``: samples in on stdin, what the model makes of them out, at fixed moments."""

import os
import sys
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import typer

from grus.cli.answers import check_options
from grus.cli.options import named
from grus.cli.people import People
from grus.cli.stream_rows import CsvAnswers, JsonAnswers
from grus.decode import LiveClassifier, LiveTranscriber, load
from grus.decode.streaming.keyed import Record
from grus.decode.wake import HOLD, fires
from grus.errors import DataError, UnsupportedError, UsageError
from grus.runtime import State
from grus.spec import LogMel

#: Bytes asked for at once; a pipe holds 64 KB.
_READ = 1 << 16
#: Steps from one answer to the next, where nothing is said.
EVERY = 10
#: Options of ``grus stream`` that are for rows.
_OF_ROWS = ("key", "state", "save_every", "seq", "evict_after", "future", "level", "detail")


class Listener(Protocol):
    """What hears the samples of one stream."""

    columns: tuple[str, ...]
    #: Steps from one answer to the next, where nothing is said.
    every: int

    def hear(self, samples: np.ndarray) -> None:
        """Take in samples int16 [N]."""
        ...

    def answer(self, final: bool) -> Record | None:
        """What there is to say now; None: nothing new."""
        ...


def run_sound(ctx: typer.Context, model: Path) -> None:
    """Listen until stdin ends.

    Raises:
        UsageError: options for rows, or a model that does not listen. DataError: stdin is no such sound.
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
    answers = CsvAnswers(listener.columns) if options["out_format"] == "csv" else JsonAnswers()
    seconds = Ear(step, listener, options["every"] or listener.every, answers).listen(sys.stdin.fileno())
    people.say(f"{seconds:.2f} s heard")


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


class Namer:
    """A classifier that says what the recording is so far."""

    def __init__(self, live: LiveClassifier, proba: bool) -> None:
        self._live, self._proba, self.every = live, proba, EVERY
        self._state: State = live.init_state(1)
        self._found: dict[str, np.ndarray] = {}
        label = live.task.label or "label"
        more = () if live.task.multi else ("probability",)
        every = tuple(f"p_{name}" for name in live.task.labels) if proba else ()
        self.columns = ("seconds", label, *more, *every, "final")

    def hear(self, samples: np.ndarray) -> None:
        """Take in samples."""
        self._found, self._state = self._live.run(samples[None], self._state, proba=self._proba)

    def answer(self, final: bool) -> Record:
        """The label of all that was heard."""
        return {name: values.tolist()[0] for name, values in self._found.items()}


class Writer:
    """A transcriber that says what was said so far, whenever there is more of it."""

    def __init__(self, live: LiveTranscriber) -> None:
        self.columns: tuple[str, ...] = ("seconds", "text", "final")
        self.every = EVERY
        self._live = live
        self._state: State = live.init_state(1)
        self._units: list[str] = []
        self._said = 0

    def hear(self, samples: np.ndarray) -> None:
        """Take in samples."""
        (new,), self._state = self._live.run(samples[None], self._state)
        self._units += new

    def answer(self, final: bool) -> Record | None:
        """The text so far; None if it is what was said already."""
        if len(self._units) == self._said and not final:
            return None
        self._said = len(self._units)
        return {"text": self._live.joined(self._units)}


class Waker:
    """A transcriber of words that listens for one of them, and says when its score reaches a threshold."""

    def __init__(self, live: LiveTranscriber, word: str, threshold: float) -> None:
        live.word_code(word)
        self.columns: tuple[str, ...] = ("seconds", "word", "score", "final")
        self.every = 1
        self._live, self._word, self._threshold = live, word, threshold
        self._hold = round(HOLD * live.rate / live.log_mel.stride)
        self._state: State = live.init_state(1)
        self._steps = 0
        self._last: int | None = None
        self._found: float | None = None

    def hear(self, samples: np.ndarray) -> None:
        """Take in samples."""
        scores, self._state = self._live.listen(samples, self._word, self._state)
        last = None if self._last is None else self._last - self._steps
        for step in fires(scores, self._threshold, self._hold, last):
            self._last, self._found = self._steps + step, float(scores[step])
        self._steps += len(scores)

    def answer(self, final: bool) -> Record | None:
        """The score, if it has just fired."""
        found, self._found = self._found, None
        return {"word": self._word, "score": found} if found is not None or final else None


class Ear:
    """Cuts the samples of a pipe where an answer is due, so that answers are the same however the samples come.

    Args:
        step: what a step of the network is made of.
        listener: who hears them.
        every: steps from one answer to the next.
        answers: how they are written.
    """

    def __init__(
        self, step: LogMel, listener: Listener, every: int, answers: CsvAnswers | JsonAnswers
    ) -> None:
        self._step, self._listener, self._every, self._answers = step, listener, every, answers
        self._heard = 0
        self._due = step.window + (every - 1) * step.stride

    def listen(self, handle: int) -> float:
        """Read until the end; returns the seconds that were heard.

        Raises:
            DataError: too few samples for one step, half a sample, or a file with a header.
        """
        rest, first = b"", True
        while data := os.read(handle, _READ):
            data = rest + data
            if first and len(data) < 4:
                rest = data
                continue
            if first and data[:4] in (b"RIFF", b"fLaC", b"OggS"):
                raise DataError(
                    "stdin: expected raw samples, got a file with a header",
                    hint="grus predict MODEL FILE reads files",
                )
            first = False
            whole = len(data) // 2 * 2
            rest = data[whole:]
            self._hear(np.frombuffer(data[:whole], "<i2"))
        if first and rest:
            self._hear(np.frombuffer(rest[: len(rest) // 2 * 2], "<i2"))
        steps = self._step.steps(self._heard)
        if not steps:
            raise DataError(
                f"stdin: expected at least {self._step.window:,} samples, one step, got {self._heard:,}"
            )
        self._say(steps, final=True)
        if len(rest) % 2:
            raise DataError("stdin: expected samples of 2 bytes, got half of one at the end")
        return self._heard / self._step.rate

    def _hear(self, samples: np.ndarray) -> None:
        while len(samples):
            now = samples[: self._due - self._heard]
            samples = samples[len(now) :]
            self._listener.hear(now)
            self._heard += len(now)
            if self._heard == self._due:
                self._say(self._step.steps(self._heard), final=False)
                self._due += self._every * self._step.stride

    def _say(self, steps: int, final: bool) -> None:
        found = self._listener.answer(final)
        if found is None:
            return
        seconds = (self._step.window + (steps - 1) * self._step.stride) / self._step.rate
        record = {"seconds": round(seconds, 4), **found, "final": final}
        sys.stdout.buffer.write(self._answers.encode([record]))
        sys.stdout.buffer.flush()
