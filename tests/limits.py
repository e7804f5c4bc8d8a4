"""A disk, a memory and a clock that have room for so much and no more."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: the kernel refuses the write that would make it, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def most_memory(more: int) -> Iterator[None]:
    """No more than so many bytes beyond what the process has mapped: what asks for them gets a MemoryError (Linux)."""
    status = Path("/proc/self/status")
    if not status.exists():
        yield
        return
    mapped = next(
        int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmData")
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, ((mapped << 10) + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextmanager
def most_seconds(seconds: float) -> Iterator[None]:
    """TimeoutError in what computes for longer; the time that a busy machine makes it wait does not count."""

    def stop(signum: int, frame: object) -> None:
        raise TimeoutError(f"computed for more than {seconds} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
