"""One run: every competitor at every size, right answers first."""

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grus.benchmark.competitor import Competitor, Grus, GrusRuntime, Sgemm, TorchGRU, TorchLSTM
from grus.benchmark.peers import JaxScan, OnnxRuntime, OpenVINO
from grus.benchmark.problem import Problem
from grus.benchmark.report import Contest, Kind, Machine, Measurement, Report, Times
from grus.benchmark.shapes import SHAPES, STEPS, Shapes, Size
from grus.benchmark.timing import interleaved
from grus.errors import GrusError
from grus.kernels import native

COMPETITORS: tuple[type[Competitor], ...] = (
    Grus, GrusRuntime, TorchGRU, TorchLSTM, JaxScan, OnnxRuntime, OpenVINO, Sgemm,
)  # fmt: skip
LABELS = {c.name: c.label for c in COMPETITORS}
#: enough to see a regression: ours and two yardsticks
FEW = (Grus, GrusRuntime, TorchLSTM, Sgemm)

#: Largest error relative to the largest value. Float32 stays below 1e-5 at every shape of the registry, bfloat16
#: or a mistaken formula is above 1e-3.
TOLERANCE = 1e-4


def available(competitors: Sequence[type[Competitor]]) -> tuple[list[type[Competitor]], dict[str, str]]:
    """Those whose packages are installed, and why the others are not among them."""
    missing = {c.name: [p for p in c.packages if find_spec(p) is None] for c in competitors}
    absent = {name: f"{packages[0]} is not installed" for name, packages in missing.items() if packages}
    return [c for c in competitors if c.name not in absent], absent


def contests_of(shapes: Shapes) -> list[Contest]:
    """What is measured at a set of shapes: `contests_at` each, and the single steps."""
    return contests_at(SHAPES[shapes]) + [("step", size) for size in STEPS]


def contests_at(sizes: Iterable[Size]) -> list[Contest]:
    """Forward and training step at every size, and a single step where T = 1."""
    return [
        (kind, size)
        for size in sizes
        for kind in ("forward", "training", "step")
        if kind != "step" or size.T == 1
    ]


def run(
    contests: Sequence[Contest],
    threads: Sequence[int],
    rounds: int,
    competitors: Sequence[type[Competitor]],
    on_result: Callable[[Measurement], None] = lambda result: None,
) -> Report:
    """Measure every contest at every number of threads; ``on_result`` hears of each as it is done.

    Raises:
        GrusError: a competitor returned wrong numbers; no speed is reported then.
    """
    present, absent = available(competitors)
    about = machine(present)
    results = []
    for count in threads:
        problem = None
        for kind, size in contests:
            problem = problem if problem is not None and problem.size == size else Problem(size)
            results.append(measure(kind, problem, count, rounds, present))
            on_result(results[-1])
    return Report(about, rounds, tuple(results), absent)


def measure(
    kind: Kind, problem: Problem, threads: int, rounds: int, competitors: Sequence[type[Competitor]]
) -> Measurement:
    """Check the answers of those that can do this kind of call, then time them in turns.

    Raises:
        GrusError: wrong numbers.
    """
    with using_threads(threads):
        jobs = {}
        for made in (c(problem, threads) for c in competitors if kind in c.kinds):
            job = getattr(made, kind)
            check(made, kind, problem, job())
            jobs[made.name] = job
        times = interleaved(jobs, rounds)
    return Measurement(
        kind, problem.size, threads, {name: Times.of(values) for name, values in times.items()}
    )


def check(competitor: Competitor, kind: Kind, problem: Problem, returned: Any) -> None:
    """Raise GrusError unless every array is what float64 gives, to `TOLERANCE`."""
    right = problem.answer(competitor.cell, kind)
    for array, exact in zip(competitor.arrays(returned), right, strict=True):
        worst = np.abs(array.reshape(exact.shape) - exact).max() / max(np.abs(exact).max(), 1e-30)
        if not worst < TOLERANCE:
            raise GrusError(
                f"{competitor.label}, {kind} at {problem.size}: the relative error to float64 must be below "
                f"{TOLERANCE:g}, got {worst:.2g}",
                hint="no speed is reported of wrong numbers",
            )


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """Let torch and our kernels use so many threads, and put back what was."""
    before = torch.get_num_threads(), native.num_threads()
    torch.set_num_threads(count)
    native.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        native.set_num_threads(before[1])


def machine(competitors: Iterable[type[Competitor]]) -> Machine:
    """What the figures of this run depend on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    versions = {"python": platform.python_version()}
    for package in ("grus", "torch", *(p for c in competitors for p in c.packages)):
        versions[package] = _version(package)
    return Machine(
        cpu=names[0] if names else platform.processor() or platform.machine(),
        cores=os.cpu_count() or 1,
        load=round(os.getloadavg()[0], 2),
        isa=native.isa(),
        versions=versions,
        date=time.strftime("%Y-%m-%d"),
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
