"""Progress of a whole comparison: one bar over all its runs with the time left, or a line a run."""

import sys
import time
from typing import TextIO

from grus.decode.comparing.records import Run
from grus.inspection.wording import figure
from grus.training.history import EpochRecord
from grus.training.progress import BarProgress, Mode, TimeLeft, format_seconds

#: Parts of a run that the bar moves by.
_PARTS = 1000


class WholeProgress:
    """Told by the loop about the steps of each run (see `grus.training.Progress`), and by the runner about the runs.

    A run counts as one, whatever it takes: those that stop early make the mean, and so the time left, shorter.

    Args:
        mode: ``auto``, ``bar``, ``plain`` or ``quiet``.
        stream: where people read; stderr if None.
    """

    def __init__(self, mode: Mode, stream: TextIO | None = None) -> None:
        self._out: TextIO = sys.stderr if stream is None else stream
        self._quiet = mode == "quiet"
        has_bar = mode == "bar" or (mode == "auto" and self._out.isatty())
        self._bar = BarProgress(self._out, "comparison") if has_bar else None
        self._done, self._planned, self._total, self._epochs = 0, 0, 1, 0
        self._left: TimeLeft | None = None
        self._begun = False

    def run(self, title: str, done: int, planned: int, epochs: int) -> None:
        """A run begins, after ``done`` of the ``planned``."""
        self._title, self._done, self._planned, self._epochs = title, done, planned, epochs
        if self._left is None:
            self._left = TimeLeft(done, planned, time.monotonic())
        self._left.total = planned
        if self._bar is not None and not self._begun:
            self._bar.start(done * _PARTS, planned * _PARTS, epochs)
            self._begun = True
        if self._bar is not None:
            self._bar.plan(f"run {done + 1}/{planned} {title}", planned * _PARTS)

    def ended(self, run: Run) -> None:
        """The run has ended: a line for those who see no bar."""
        self._done += 1
        if self._quiet or self._bar is not None:
            return
        said = "diverged" if run.state == "diverged" else f"validation {figure(run.score)}"
        left = None if self._left is None else self._left(self._done, time.monotonic())
        tail = "" if left is None else f"  {format_seconds(left)} left"
        self.say(f"run {self._done}/{self._planned}  {self._title}  {said}  {run.seconds:.1f} s{tail}")

    def say(self, text: str) -> None:
        """Something worth a line of its own."""
        if not self._quiet and self._bar is None:
            print(text, file=self._out, flush=True)

    def finish(self) -> None:
        """The comparison is over, for whatever reason."""
        if self._bar is not None and self._begun:
            self._bar.close()

    # -- what the loop says ------------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        """Nothing: a run of many has no line of its own before it begins."""

    def start(self, done: int, total: int, epochs: int) -> None:
        """Remember how many steps this run has."""
        self._total = max(total, 1)

    def step(self, epoch: int, done: int, loss: float | None) -> None:
        """Move the bar by the part of the run that was made."""
        if self._bar is not None:
            self._bar.step(epoch, self._done * _PARTS + done * _PARTS // self._total, loss)

    def epoch(self, record: EpochRecord, is_best: bool) -> None:
        """Epochs are not shown."""

    def close(self) -> None:
        """The run ended; the bar stays."""
