"""What the kernels take beside time: memory of a training step, the price of each option, the gain of a second thread.

    scripts/bench kernel_costs [memory] [options] [threads] [--shapes seven|grid|all] [--size B,T,I,H] [--rounds 15]

memory: peak of resident memory above what was there before, over three training steps in a process of its own (from
Linux: VmHWM, reset before the first step; what malloc holds free is handed back first). options: time over that of
the plain layer for the same arithmetic (two directions are twice as much; with lengths only valid steps count).
threads: time with one thread over time with two. A ! marks what is beyond the bar. Timed as in
grus/benchmark/timing.py; ratios of medians, quartiles of the rounds' ratios in brackets.
"""

import argparse
import ctypes
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grus import benchmark
from grus.benchmark import Size, Spread
from grus.benchmark.problem import Problem
from grus.benchmark.timing import interleaved
from grus.kernels import native
from grus.nn import GRU

THREADS = 2
COMPETITORS = {c.name: c for c in benchmark.COMPETITORS}

#: option -> its bar at B >= 32, at smaller B, and the arguments of the layer
OPTIONS: dict[str, tuple[float, float, dict[str, Any]]] = {
    "lengths": (1.25, 1.25, {}),
    "resets": (1.25, 1.25, {}),
    "recurrent_dropout": (1.25, 1.25, {"recurrent_dropout": 0.2}),
    "zoneout": (1.25, 1.25, {"zoneout": 0.1}),
    "bidirectional": (1.25, 1.25, {"bidirectional": True}),
    "reset_before": (1.6, np.inf, {"reset_after": False}),
    "layer_norm": (1.6, np.inf, {"layer_norm": True}),
}


def memory(sizes: list[Size], rounds: int) -> None:
    names = ("grus", "torch_gru", "torch_lstm")
    for size in sizes:
        peaks = {name: _in_a_process(name, size) for name in names}
        ratio = peaks["grus"] / peaks["torch_gru"]
        mark = "!" if ratio > (0.7 if size.T >= 500 else 1.0) else ""
        told = ", ".join(f"{name} {peak / 2**20:.1f} MiB" for name, peak in peaks.items())
        print(f"memory   {size}: {told}; {ratio:.2f} of torch's GRU{mark}", flush=True)


def _in_a_process(name: str, size: Size) -> int:
    text = ",".join(map(str, (size.B, size.T, size.I, size.H)))
    command = [sys.executable, __file__, "--peak", name, "--size", text]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def peak(name: str, size: Size) -> int:
    """Bytes that training steps need above the layer and its data."""
    with benchmark.using_threads(THREADS):
        COMPETITORS[name](Problem(Size(2, 2, 2, 2)), THREADS).training()  # loads libraries, starts threads
        competitor = COMPETITORS[name](Problem(size), THREADS)
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        for _ in range(3):
            competitor.training()
        return _status("VmHWM") - before


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def options(sizes: list[Size], rounds: int) -> None:
    for size in sizes:
        for kind in ("forward", "training"):
            shares: dict[str, float] = {"plain": 1.0}
            jobs = {"plain": _layer(size, kind, {}, {})}
            for name, (_, _, arguments) in OPTIONS.items():
                if kind == "training" or name != "recurrent_dropout":  # which is nothing in evaluation
                    call, shares[name] = _call_arguments(size, name)
                    jobs[name] = _layer(size, kind, arguments, call)
            with benchmark.using_threads(THREADS):
                times = interleaved(jobs, rounds)
            for name in list(jobs)[1:]:
                spread = Spread.of(times[name] / times["plain"] / shares[name])
                bar = OPTIONS[name][0 if size.B >= 32 else 1]
                told = f"{spread.median:.2f} [{spread.q25:.2f}, {spread.q75:.2f}]"
                print(
                    f"options  {size} {kind:8} {name:17} {told}{'!' if spread.median > bar else ''}",
                    flush=True,
                )


def _layer(size: Size, kind: str, arguments: dict[str, Any], call: dict[str, Any]) -> Callable[[], object]:
    """A call of grus.nn.GRU: training mode and backward, or evaluation without gradients."""
    torch.manual_seed(0)
    layer = GRU(size.I, size.H, **arguments).train(kind == "training")
    x = torch.randn(size.T, size.B, size.I, requires_grad=True)
    d_output = torch.randn(size.T, size.B, size.H * (2 if layer.bidirectional else 1))

    def forward() -> None:
        with torch.no_grad():
            layer(x, **call)

    def training() -> None:
        for leaf in (x, *layer.parameters()):
            leaf.grad = None
        layer(x, **call)[0].backward(d_output)

    return training if kind == "training" else forward


def _call_arguments(size: Size, name: str) -> tuple[dict[str, Any], float]:
    """What the call gets, and how much arithmetic there is beside the plain layer's."""
    rng = np.random.default_rng(0)
    if name == "lengths":
        lengths = torch.from_numpy(rng.integers((size.T + 1) // 2, size.T + 1, size.B))
        return {"lengths": lengths}, lengths.sum().item() / (size.B * size.T)
    if name == "resets":
        return {"resets": torch.from_numpy(rng.random((size.B, size.T)) < 0.02)}, 1.0
    return {}, 2.0 if name == "bidirectional" else 1.0


def threads(sizes: list[Size], rounds: int) -> None:
    for size in sizes:
        for kind in ("forward", "training"):
            job = _layer(size, kind, {}, {})
            with benchmark.using_threads(THREADS):
                times = interleaved({str(n): partial(_with, n, job) for n in (1, 2)}, rounds)
            gain = Spread.of(times["1"] / times["2"])
            mark = "!" if size.B >= 32 and gain.median < 1.7 else ""
            told = f"{gain.median:.2f} [{gain.q25:.2f}, {gain.q75:.2f}]{mark}"
            print(f"threads  {size} {kind:8} 2 over 1: {told}", flush=True)


def _with(count: int, job: Callable[[], object]) -> None:
    torch.set_num_threads(count)
    native.set_num_threads(count)
    job()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", nargs="*", help="memory, options, threads; all without")
    parser.add_argument("--shapes", choices=list(benchmark.SHAPES), default="seven")
    parser.add_argument("--size", type=benchmark.parse_size, action="append", metavar="B,T,I,H")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--peak", choices=list(COMPETITORS), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    sizes = chosen.size or list(benchmark.SHAPES[chosen.shapes])
    if chosen.peak:
        print(peak(chosen.peak, sizes[0]))
        return
    parts = {"memory": memory, "options": options, "threads": threads}
    for name in chosen.what or parts:
        if name not in parts:
            parser.error(f"expected memory, options or threads, got {name!r}")
        parts[name](sizes, chosen.rounds)


if __name__ == "__main__":
    main()
