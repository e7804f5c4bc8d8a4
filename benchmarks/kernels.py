"""Native CPU kernels against PyTorch's GRU and LSTM: forward, training step and single step.

    python benchmarks/kernels.py [--shapes seven|grid|all] [--threads 2] [--rounds 15] [--json FILE] [--only NAME]

No speed is reported of a kernel whose numbers are wrong: outputs and every gradient are compared with float64 first.
Competitors run interleaved in one process (A B C A B C), so that what else the machine does hits all of them;
medians and quartiles are over rounds. ``sgemm`` is a 1024^3 product of the same run: the speed of the machine.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from grus.kernels import native
from grus.nn import GRU


class Size(NamedTuple):
    """Batch, time, input size and hidden size."""

    B: int
    T: int
    I: int  # noqa: E741
    H: int

    @property
    def flops(self) -> int:
        """Floating-point operations of one forward pass; a training step has three times as many."""
        return 2 * self.B * self.T * 3 * self.H * (self.I + self.H)


SEVEN = [
    Size(1, 100, 16, 64),
    Size(32, 100, 32, 64),
    Size(32, 100, 64, 128),
    Size(64, 100, 128, 256),
    Size(128, 50, 16, 32),
    Size(16, 1000, 64, 128),
    Size(256, 30, 512, 512),
]
GRID = [
    Size(1, 100, 128, 128),
    Size(1, 100, 64, 512),
    Size(1, 1, 64, 128),
    Size(8, 100, 32, 64),
    Size(8, 100, 300, 128),
    Size(8, 50, 128, 650),
    Size(32, 1, 64, 128),
    Size(32, 50, 97, 97),
    Size(32, 60, 256, 64),
    Size(32, 60, 16, 256),
    Size(64, 24, 10, 32),
    Size(20, 35, 650, 650),
]
Times = dict[str, list[float]]


class Models:
    """The competitors at one size, with the same weights for both GRUs."""

    def __init__(self, size: Size) -> None:
        torch.manual_seed(0)
        self.size = size
        self.gru, self.lstm = torch.nn.GRU(size.I, size.H), torch.nn.LSTM(size.I, size.H)
        self.x = torch.randn(size.T, size.B, size.I, requires_grad=True)
        self.d_output = torch.randn(size.T, size.B, size.H)
        self.layer = GRU(size.I, size.H)
        for name, parameter in self.gru.named_parameters():
            setattr(self.layer, name, parameter)  # the very same Parameter objects, so that gradients compare

    def ours(self) -> Tensor:
        return self.layer(self.x)[0]

    def forwards(self) -> dict[str, Callable[[], Tensor]]:
        return {
            "grus": self.ours,
            "torch_gru": lambda: self.gru(self.x)[0],
            "torch_lstm": lambda: self.lstm(self.x)[0],
        }

    def training_step(self, forward: Callable[[], Tensor]) -> None:
        self.x.grad = None
        for p in (*self.gru.parameters(), *self.lstm.parameters()):
            p.grad = None
        forward().backward(self.d_output)

    def check(self) -> None:
        """Refuse to go on if output or a gradient is further from float64 than float32 arithmetic explains."""
        exact_gru = torch.nn.GRU(self.size.I, self.size.H, dtype=torch.float64)
        exact_gru.load_state_dict(self.gru.state_dict())
        x = self.x.detach().double().requires_grad_()
        exact = exact_gru(x)[0]
        exact.backward(self.d_output.double())
        self.training_step(self.ours)
        pairs = [(self.ours(), exact), (self.x.grad, x.grad)]
        pairs += [(p.grad, q.grad) for p, q in zip(self.gru.parameters(), exact_gru.parameters())]
        for ours, right in pairs:
            assert ours is not None
            assert right is not None
            error = ((ours.double() - right).abs().max() / right.abs().max().clamp(min=1e-30)).item()
            if not error < 1e-4:
                raise SystemExit(f"kernels: wrong numbers at {self.size}: relative error {error:.2e}")


def interleaved(jobs: dict[str, Callable[[], object]], rounds: int) -> Times:
    """Seconds of every job in every round, after one warm-up round."""
    times: Times = {name: [] for name in jobs}
    for i in range(rounds + 1):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if i:
                times[name].append(time.perf_counter() - start)
    return times


def summary(times: Times) -> dict[str, dict[str, float]]:
    """Median and quartiles in milliseconds, and the best."""
    result = {}
    for name, values in times.items():
        low, median, high = np.quantile(values, [0.25, 0.5, 0.75]) * 1e3
        result[name] = {"median": median, "q25": low, "q75": high, "best": min(values) * 1e3}
    return result


def sgemm() -> Callable[[], Tensor]:
    a = torch.randn(1024, 1024)
    return lambda: a @ a


def measure(size: Size, rounds: int) -> dict:
    """Forward (without gradient) and training step at one size."""
    models = Models(size)
    models.check()
    product = sgemm()

    def quiet(f: Callable[[], Tensor]) -> Callable[[], object]:
        def job() -> None:
            with torch.no_grad():
                f()

        return job

    forwards = models.forwards()
    result: dict = {"size": size._asdict()}
    jobs = {
        "forward": {name: quiet(f) for name, f in forwards.items()},
        "training": {name: (lambda f=f: models.training_step(f)) for name, f in forwards.items()},
    }
    for kind, competitors in jobs.items():
        times = summary(interleaved({**competitors, "sgemm": product}, rounds))
        work = size.flops * (1 if kind == "forward" else 3)
        rate = 2 * 1024**3 / times["sgemm"]["median"] / 1e6
        result[kind] = times | {
            "speedup_torch_gru": times["torch_gru"]["median"] / times["grus"]["median"],
            "speedup_torch_lstm": times["torch_lstm"]["median"] / times["grus"]["median"],
            "gflops": work / times["grus"]["median"] / 1e6,
            "sgemm_gflops": rate,
        }
    return result


def measure_step(hidden: int, rounds: int) -> dict:
    """One step of one row from Python: PackedGRU.step with out=, and torch.nn.GRUCell; microseconds."""
    cell = torch.nn.GRUCell(16, hidden)
    packed = native.PackedGRU(*(p.detach().numpy() for p in cell.parameters()))
    x, h = torch.randn(1, 16), torch.zeros(1, hidden)
    x_np, h_np, out = x.numpy(), h.numpy(), np.empty((1, hidden), np.float32)
    np.testing.assert_allclose(packed.step(x_np, h_np), cell(x, h).detach().numpy(), atol=1e-5)

    def ours() -> None:
        for _ in range(200):
            packed.step(x_np, h_np, out)

    def torch_cell() -> None:
        with torch.inference_mode():
            for _ in range(200):
                cell(x, h)

    times = summary(interleaved({"grus": ours, "torch_gru_cell": torch_cell}, rounds))
    return {"hidden": hidden} | {name: t["median"] * 1e3 / 200 for name, t in times.items()}


def geometric_mean(values: Iterator[float]) -> float:
    return math.exp(statistics.fmean(math.log(v) for v in values))


def machine(threads: int) -> dict:
    """What a figure depends on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "threads": threads,
        "isa": native.isa(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def show(result: dict) -> None:
    size = " ".join(f"{v:5d}" for v in result["size"].values())
    for kind in ("forward", "training"):
        r = result[kind]
        print(
            f"{size}  {kind:8s}  grus {r['grus']['median']:9.3f} ms"
            f" [{r['grus']['q25']:.3f}, {r['grus']['q75']:.3f}]"
            f"  torch GRU {r['torch_gru']['median']:9.3f} ({r['speedup_torch_gru']:5.2f}x)"
            f"  torch LSTM {r['torch_lstm']['median']:9.3f} ({r['speedup_torch_lstm']:5.2f}x)"
            f"  {r['gflops']:6.1f} of {r['sgemm_gflops']:.1f} GFLOP/s",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shapes", choices=["seven", "grid", "all"], default="seven")
    parser.add_argument("--threads", type=int, default=native.num_threads())
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", type=int, nargs="*", help="indices into the list of shapes")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    native.set_num_threads(args.threads)
    sizes = {"seven": SEVEN, "grid": GRID, "all": SEVEN + GRID}[args.shapes]
    if args.only is not None:
        sizes = [sizes[i] for i in args.only]
    about = machine(args.threads)
    print(json.dumps(about))
    print("    B     T     I     H")
    results = []
    for size in sizes:
        results.append(measure(size, args.rounds))
        show(results[-1])
    steps = [measure_step(hidden, args.rounds) for hidden in (16, 64, 128, 256, 512)]
    for s in steps:
        print(
            f"step H={s['hidden']:4d}  grus {s['grus']:7.2f} us  torch GRUCell {s['torch_gru_cell']:7.2f} us"
        )
    for kind in ("forward", "training"):
        for peer in ("gru", "lstm"):
            mean = geometric_mean(r[kind][f"speedup_torch_{peer}"] for r in results)
            print(f"geometric mean, {kind}: {mean:.2f}x torch {peer.upper()}")
    if args.json:
        args.json.write_text(
            json.dumps({"machine": about, "shapes": results, "steps": steps}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
