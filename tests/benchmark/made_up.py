"""Reports from figures that nobody measured."""

import numpy as np

from grus.benchmark import Measurement, Report, Size, Times
from grus.benchmark.report import Machine

SMALL, LARGE = Size(1, 100, 16, 64), Size(32, 100, 64, 128)
MACHINE = Machine("Made Up 3000", 2, 0.1, "avx512", {"python": "3.11", "torch": "2.13"}, "2026-11-20")


def measured(kind="forward", size=SMALL, threads=2, **milliseconds) -> Measurement:
    """Samples by competitor; a number alone stands for three rounds of it."""
    times = {name: Times.of(np.full(3, v) if np.isscalar(v) else v) for name, v in milliseconds.items()}
    return Measurement(kind, size, threads, times)


def report(*measurements, machine=MACHINE, **more) -> Report:
    return Report(machine, 3, measurements, **more)
