"""What ``grus stream`` saves, when, and how a signal ends it: the same for rows and for sound."""

import re
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Protocol, Self, TypeVar

import typer

from grus.artifact import write_file
from grus.errors import ModelFolderError, UsageError

T = TypeVar("T", covariant=True)


class Savable(Protocol):
    """What goes on from bytes that it made itself."""

    @property
    def seq(self) -> int:
        """A number that rises with what was taken in."""
        ...

    def to_bytes(self) -> bytes:
        """All that is needed to go on."""
        ...

    def restore(self, blob: bytes, what: str) -> None:
        """Go on from what `to_bytes` wrote, called ``what`` in messages."""
        ...


class Source(Protocol[T]):
    """What is waited for on stdin."""

    def wait(self, seconds: float | None) -> bool:
        """Whether there is something to read (or the end) within so many seconds; None: for ever."""
        ...

    def read(self) -> T | None:
        """What is waiting; None after the end."""
        ...


def amount(ctx: typer.Context, name: str, noun: str = "rows") -> tuple[int | None, float | None]:
    """``5000`` is rows (or another ``noun``), ``10s`` is seconds: (rows, seconds), one of them None.

    Raises:
        UsageError: it is neither.
    """
    text = ctx.params[name]
    if text is None:
        return None, None
    match = re.fullmatch(r"(\d{1,15})(s?)", text.strip(), re.ASCII)
    if match is None or int(match[1]) < 1:
        flag = f"--{name.replace('_', '-')}"
        raise UsageError(
            f"{ctx.command_path}: {flag} must be {noun} such as 5000 or seconds such as 10s, got {text!r}"
        )
    return (None, float(match[1])) if match[2] else (int(match[1]), None)


class Saver:
    """All there is to go on from in one file, which at every moment holds that of some row or sample, whole.

    Args:
        streams: what is saved.
        path: where; None: nowhere.
        rows, seconds: save when ``seq`` rose by so many, or so much time went by, since the last time.

    Raises:
        UsageError: there is no such folder.
    """

    def __init__(self, streams: Savable, path: Path | None, rows: int | None, seconds: float | None) -> None:
        self.streams, self.path, self._rows, self._seconds = streams, path, rows, seconds
        self._saved, self._when = 0, time.monotonic()
        if path is not None and not path.parent.is_dir():
            raise UsageError(f"{path}: no such folder: {path.parent}", hint="make it first")

    def restore(self) -> bool:
        """Go on from the file; whether there is one."""
        if self.path is None or not self.path.exists():
            return False
        try:
            blob = self.path.read_bytes()
        except OSError as error:
            raise ModelFolderError(
                f"{self.path}: cannot be read: {(error.strerror or '').lower()}"
            ) from error
        self.streams.restore(blob, str(self.path))
        self._saved = self.streams.seq
        return True

    def due_in(self) -> float | None:
        """Seconds until a save is due; None: not before there are more rows."""
        if self.path is None or self.streams.seq == self._saved:
            return None
        if self._rows is not None:
            return 0.0 if self.streams.seq - self._saved >= self._rows else None
        return max(self._when + (self._seconds or 0.0) - time.monotonic(), 0.0)

    def save(self) -> None:
        """Write the file, unless it holds all that there is."""
        if self.path is not None and self.streams.seq != self._saved:
            write_file(self.path, self.streams.to_bytes())
            self._saved = self.streams.seq
        self._when = time.monotonic()

    def save_if_due(self) -> None:
        """Write the file if it is time to."""
        if self.due_in() == 0.0:
            self.save()


class Interrupts:
    """Ctrl-C and SIGTERM, which end a stream after what is at hand, and never tear a save."""

    def __init__(self) -> None:
        #: The signal that came.
        self.stopped: int | None = None
        self._waiting = False

    def __enter__(self) -> Self:
        self._before = {
            number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def read(self, source: Source[T], saver: Saver) -> T | None:
        """What comes next, saving when it is time to meanwhile; None at the end, or when a signal came."""
        try:
            self._waiting = True
            if self.stopped is not None:
                return None
            while not source.wait(saver.due_in()):
                self._waiting = False  # no signal may tear a save
                saver.save_if_due()
                self._waiting = True
            return source.read()
        except _Stop:
            return None
        finally:
            self._waiting = False

    def end(self) -> None:
        """Raise KeyboardInterrupt, or SystemExit 143, if a signal came."""
        if self.stopped == signal.SIGINT:
            raise KeyboardInterrupt
        if self.stopped is not None:
            raise SystemExit(128 + self.stopped)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopped = number
        if self._waiting:
            raise _Stop


class _Stop(Exception):  # noqa: N818  (a signal, not a fault)
    """A signal came while nothing was at hand."""
