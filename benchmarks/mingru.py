"""A training step of grus.nn.MinGRU beside one of grus.nn.GRU, over sequences of 4096 steps.

    scripts/bench mingru [--threads 1 2] [--rounds 9] [--json FILE]

Forward and backward, with the gradients of input and weights, from a zero state. First the answers: the MinGRU's output
and gradients from a random state against the oracle in float64 (grus/kernels/reference_mingru.py), and its output at
every number of threads against that of one, to the bit; the GRU's against torch in float64. Then both take turns
(grus/benchmark/timing.py): milliseconds, median [quartiles], and the GRU's time over the MinGRU's, round by round.
"wanted" is what that must be on two threads.
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import torch

from grus import benchmark
from grus.benchmark import Size, Spread, measure
from grus.benchmark.competitor import Grus, Sgemm
from grus.benchmark.problem import Problem
from grus.benchmark.report import SGEMM_SIZE
from grus.benchmark.timing import interleaved
from grus.kernels.reference_mingru import MinGRUWeights, mingru_direction, mingru_direction_backward
from grus.nn import MinGRU

STEPS = 4096
SIZES = (*(Size(B, STEPS, 16, 64) for B in (1, 2, 4)), Size(32, STEPS, 128, 128))
ROWS = 4  # of the oracle's at a time: memory


class Layer:
    """A MinGRU on the data of a problem, from a zero state (what is timed) or from a random one (what is checked)."""

    def __init__(self, problem: Problem) -> None:
        torch.manual_seed(0)
        self.problem = problem
        self.module = MinGRU(problem.size.I, problem.size.H)
        self.x = torch.from_numpy(problem.x).clone().requires_grad_()
        self.h_0 = torch.from_numpy(problem.h_0)[None].clone().requires_grad_()
        self.d_output = torch.from_numpy(problem.d_output)

    def training(self, h_0: torch.Tensor | None = None) -> tuple[np.ndarray, ...]:
        """Output, and the gradients of x, of the weight and of the bias."""
        leaves = (self.x, *self.module.parameters())
        for leaf in leaves:
            leaf.grad = None
        output, _ = self.module(self.x, h_0)
        output.backward(self.d_output)
        return (output, *(leaf.grad for leaf in leaves))  # pyright: ignore[reportReturnType]

    def check(self) -> None:
        """Stop at a wrong answer."""
        found = [value.detach().numpy() for value in self.training(self.h_0)]
        for name, array, exact in zip(
            ("output", "d_x", "d_weight", "d_bias"), found, self.oracle(), strict=True
        ):
            error = np.abs(array - exact).max() / np.abs(exact).max()
            if not error < measure.TOLERANCE:
                raise SystemExit(
                    f"mingru: {name} at {self.problem.size} is off by {error:.2g} of the largest"
                )

    def oracle(self) -> tuple[np.ndarray, ...]:
        """The same in float64, some rows at a time."""
        weight, bias = (p.detach().numpy().astype(np.float64) for p in self.module.parameters())
        outputs, d_x, d_weight, d_bias = [], [], 0.0, 0.0
        p = self.problem
        for row in range(0, p.size.B, ROWS):
            x, d_output = (a[:, row : row + ROWS].astype(np.float64) for a in (p.x, p.d_output))
            h_0 = p.h_0[row : row + ROWS].astype(np.float64)
            forward = mingru_direction(x, h_0, MinGRUWeights(weight, bias))
            grads = mingru_direction_backward(d_output, np.zeros_like(h_0), forward.trace)
            outputs.append(forward.output)
            d_x.append(grads.x)
            d_weight = d_weight + grads.weights.weight_ih
            d_bias = d_bias + grads.weights.bias_ih
        return np.concatenate(outputs, axis=1), np.concatenate(d_x, axis=1), d_weight, d_bias  # pyright: ignore[reportReturnType]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    about = measure.machine([Grus])
    print(f"{about.cpu}, {about.cores} cores, load {os.getloadavg()[0]:.2f} at the start, {about.date}")
    print(f"{about.isa}, torch {torch.__version__}, T={STEPS}, {options.rounds} rounds\n")
    print("| threads | B | I | H | GRU ms | MinGRU ms | GRU over MinGRU | wanted | sgemm GFLOP/s |")
    print("|---|---|---|---|---|---|---|---|---|")
    results = []
    for size in SIZES:
        problem = Problem(size)
        layer = Layer(problem)
        with benchmark.using_threads(1):
            alone = layer.training(layer.h_0)[0].detach().numpy()
        for threads in options.threads:
            with benchmark.using_threads(threads):
                results.append(contest(problem, layer, alone, threads, options.rounds))
    if options.json:
        report = {"machine": msgspec.to_builtins(about), "rounds": options.rounds, "results": results}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def contest(
    problem: Problem, layer: Layer, alone: np.ndarray, threads: int, rounds: int
) -> dict[str, object]:
    """Check both, time both, print a row."""
    size, gru = problem.size, Grus(problem, threads)
    layer.check()
    if not np.array_equal(layer.training(layer.h_0)[0].detach().numpy(), alone):
        raise SystemExit(f"mingru: the output at {size} on {threads} threads has not the bits of one")
    measure.check(gru, "training", problem, gru.training())
    jobs: dict[str, Callable[[], object]] = {
        "gru": gru.training,
        "mingru": layer.training,
        "sgemm": Sgemm(problem, threads).training,
    }
    times = interleaved(jobs, rounds)
    ratio = Spread.of(times["gru"] / times["mingru"])
    wanted = 2 if size.B > 4 else 5
    rate = 2 * SGEMM_SIZE**3 / np.median(times["sgemm"]) / 1e6
    cells = [
        *(told(Spread.of(times[name])) for name in ("gru", "mingru")),
        f"{told(ratio)}x",
        f"{wanted}x",
        f"{rate:.0f}",
    ]
    print(f"| {threads} | {size.B} | {size.I} | {size.H} | {' | '.join(cells)} |", flush=True)
    samples = {name: [round(v, 4) for v in values.tolist()] for name, values in times.items()}
    return {
        "size": msgspec.to_builtins(size), "threads": threads, "milliseconds": samples,
        "gru_over_mingru": msgspec.to_builtins(ratio), "wanted": wanted,
    }  # fmt: skip


def told(spread: Spread) -> str:
    return f"{spread.median:.3g} [{spread.q25:.3g}, {spread.q75:.3g}]"


if __name__ == "__main__":
    main()
