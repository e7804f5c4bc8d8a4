"""Progress for people, on stderr: a bar with the time left on a terminal, else one plain line an epoch."""

import sys
import time
from typing import TYPE_CHECKING, Literal, Protocol, TextIO

from grus.training.history import EpochRecord

if TYPE_CHECKING:
    from rich.progress import Progress as RichBar

Mode = Literal["auto", "bar", "plain", "quiet"]

# A refresh of the bar takes about 1 ms of Python; a thread refreshing ten times a second, which is what
# rich does on its own, would take it from the training threads.
_REFRESH_SECONDS = 0.25


class Progress(Protocol):
    """What the loop tells about its progress; every method is called from the loop's thread."""

    def note(self, text: str) -> None:
        """Something worth a line of its own, before training begins."""
        ...

    def start(self, done: int, total: int, epochs: int) -> None:
        """Training begins with ``done`` of ``total`` optimiser steps already made; with 0 epochs, a range test."""
        ...

    def step(self, epoch: int, done: int, loss: float | None) -> None:
        """A step of ``epoch`` (from 1) is made; ``loss`` is the epoch's mean so far; must be cheap."""
        ...

    def epoch(self, record: EpochRecord, is_best: bool) -> None:
        """An epoch and its validation are done."""
        ...

    def close(self) -> None:
        """Training ended, for whatever reason."""
        ...


def make_progress(mode: Mode = "auto", stream: TextIO | None = None) -> Progress | None:
    """Choose how to report: a bar where ``stream`` (default stderr) is a terminal, else plain lines.

    ``bar`` and ``plain`` force the one or the other, ``quiet`` returns None.
    """
    out: TextIO = sys.stderr if stream is None else stream
    if mode == "quiet":
        return None
    if mode == "bar" or (mode == "auto" and out.isatty()):
        return BarProgress(out)
    return PlainProgress(out)


def trial_bar(mode: Mode, title: str, stream: TextIO | None = None) -> Progress | None:
    """A bar for one trial of a search, which is gone when the trial ends; None where there is no bar."""
    out: TextIO = sys.stderr if stream is None else stream
    return BarProgress(out, title) if mode == "bar" or (mode == "auto" and out.isatty()) else None


def format_seconds(seconds: float) -> str:
    """Whole seconds as m:ss or h:mm:ss."""
    minutes, second = divmod(max(0, round(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


class TimeLeft:
    """Seconds to the last planned step at the mean pace so far, validation included in the pace."""

    def __init__(self, done: int, total: int, now: float) -> None:
        self._first, self.total, self._begin = done, total, now

    def __call__(self, done: int, now: float) -> float | None:
        """Seconds left after ``done`` steps, or None before the first; early stopping may end it sooner."""
        made = done - self._first
        return (now - self._begin) / made * (self.total - done) if made > 0 else None


def describe(record: EpochRecord, epochs: int, is_best: bool) -> str:
    """One line on an epoch: ``epoch 3/20  loss 0.123  mae 4.56 (best)  lr 0.001  1.2 s  ...``."""
    scores = [f"{name} {value:.5g}" for name, value in record.validation.items()]
    if scores and is_best:
        scores[0] += " (best)"
    figures = [
        f"epoch {record.epoch}/{epochs}",
        f"loss {record.train_loss:.5g}",
        *scores,
        f"lr {record.learning_rate:.3g}",
        f"{record.seconds:.1f} s",
        f"{record.samples_per_second:.0f} samples/s",
    ]
    return "  ".join(figures)


class PlainProgress:
    """One line an epoch, for files and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def note(self, text: str) -> None:
        """Print it."""
        print(text, file=self._stream, flush=True)

    def start(self, done: int, total: int, epochs: int) -> None:
        """Remember the plan."""
        self._epochs = epochs
        self._left = TimeLeft(done, total, time.monotonic())

    def step(self, epoch: int, done: int, loss: float | None) -> None:
        """Steps are not shown."""

    def epoch(self, record: EpochRecord, is_best: bool) -> None:
        """Print the epoch's line with the time left."""
        left = self._left(record.steps, time.monotonic())
        tail = "" if left is None else f"  {format_seconds(left)} left"
        print(describe(record, self._epochs, is_best) + tail, file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing to undo."""


class BarProgress:
    """A bar over all planned steps: epoch, running loss, best score, time gone and time left.

    With a ``title`` it is one of many: the title goes before, nothing is noted, and no trace is left.
    """

    def __init__(self, stream: TextIO, title: str = "") -> None:
        self._stream, self._title = stream, title
        self._bar: RichBar | None = None

    def note(self, text: str) -> None:
        """Print it above the bar to come."""
        if not self._title:
            print(text, file=self._stream, flush=True)

    def start(self, done: int, total: int, epochs: int) -> None:
        """Draw the bar; rich is imported only here."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self._epochs, self._score = epochs, ""
        self._now_at: tuple[int, int, float | None] = (0, done, None)
        self._begin = self._shown_at = time.monotonic()
        self._left = TimeLeft(done, total, self._begin)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[clock]}"),
            console=Console(file=self._stream, force_terminal=True),
            auto_refresh=False,
            redirect_stdout=False,
            transient=bool(self._title) or not epochs,
        )
        self._task = self._bar.add_task(
            f"{self._title}  starting".strip(), total=total, completed=done, clock=""
        )
        self._bar.start()

    def plan(self, title: str, total: int) -> None:
        """From here on another title, and another number of steps in all."""
        self._title, self._score = title, ""
        self._left.total = total
        if self._bar is not None:
            self._bar.update(self._task, total=total)

    def step(self, epoch: int, done: int, loss: float | None) -> None:
        """Redraw, at most four times a second."""
        self._now_at = (epoch, done, loss)
        now = time.monotonic()
        if now - self._shown_at >= _REFRESH_SECONDS:
            left = self._left(done, now)
            self._draw(now, "" if left is None else f", {format_seconds(left)} left")

    def epoch(self, record: EpochRecord, is_best: bool) -> None:
        """Note the epoch's score."""
        if is_best:
            name, value = next(iter(record.validation.items()))
            self._score = f"  best {name} {value:.5g}"
        self.step(record.epoch, record.steps, record.train_loss)

    def close(self) -> None:
        """Leave the last state on the screen and give the cursor back."""
        if self._bar is not None:
            self._draw(time.monotonic(), "")
            self._bar.stop()

    def _draw(self, now: float, left: str) -> None:
        if self._bar is None:
            return
        epoch, done, loss = self._now_at
        mean = "" if loss is None else f"  loss {loss:.5g}"
        before = "starting" if self._epochs else "looking for a learning rate"
        label = f"epoch {epoch}/{self._epochs}{mean}{self._score}" if epoch else before
        label = f"{self._title}  {label}".strip()
        clock = format_seconds(now - self._begin) + left
        self._bar.update(self._task, description=label, completed=done, clock=clock)
        self._bar.refresh()
        self._shown_at = now
