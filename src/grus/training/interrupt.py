"""Ctrl-C while training: the first asks for a clean stop, the second stops at once."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Self


class Interrupts:
    """A context in which the first SIGINT only sets ``requested``; the second raises KeyboardInterrupt.

    Outside the main thread, or where SIGINT is ignored or handled outside Python, it does nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._installed = False

    def __enter__(self) -> Self:
        self._previous = signal.getsignal(signal.SIGINT)
        ours = self._previous not in (signal.SIG_IGN, None)
        if ours and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._handle)
            self._installed = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, self._previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
