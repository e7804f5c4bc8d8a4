"""One step of live streams: grus.runtime.Recurrent beside torch's GRUCell and ONNX Runtime, float32, bf16 and int8.

    scripts/bench step [one] [many] [chunk] [floor] [--threads 1 2] [--rounds 9]

one: B=1, I=16, H from 16 to 512, called from Python with arrays that are there already. many: 64 and 4096 streams
together, I=16, H=64. chunk: a step inside one call over 1000 steps, H=16. floor: H=512 over the time in which the
fastest of three readers (largest element by NumPy, sum by NumPy, matrix times vector by torch) goes through as many
bytes. Microseconds, median [quartiles] of rounds in which all take turns (grus/benchmark/timing.py); ratios are the
other's time over that of Recurrent in float32. Answers are compared with float64 first.
"""

import argparse
import os
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from grus import benchmark
from grus.benchmark import Size, Spread
from grus.benchmark.competitor import Sgemm, TorchGRU
from grus.benchmark.peers import OnnxRuntime
from grus.benchmark.problem import Problem
from grus.benchmark.timing import interleaved
from grus.runtime import Recurrent

Jobs = dict[str, Callable[[], object]]
HIDDEN = (16, 32, 64, 128, 256, 512)
#: largest error relative to the largest value: float32 rounding, 2^-8 a weight, 1/254 a weight
ERRORS = {None: 1e-5, "bf16": 0.02, "int8": 0.02}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.2f} at the start; torch {torch.__version__}")
    for threads in options.threads:
        with benchmark.using_threads(threads):
            for part in options.parts or PARTS:
                print(f"\n{part}, {threads} threads", flush=True)
                PARTS[part](threads, options.rounds)


def ours(problem: Problem, weights: str | None = None) -> Callable[[], object]:
    """A step of Recurrent into arrays that are there already, once its answer was found right."""
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    layers = Recurrent(dict(zip(names, problem.weights["gru"], strict=True)), weights=weights)
    state, y = problem.h_0[:, None].copy(), np.empty_like(problem.h_0)
    layers.step(problem.x[0], state, out=y)
    check(y, problem, ERRORS[weights])
    return partial(layers.step, problem.x[0], state, y)


def check(y: np.ndarray, problem: Problem, error: float) -> None:
    """Stop at a wrong answer."""
    exact = problem.answer("gru", "step")[0]
    if not np.abs(y - exact).max() <= error * np.abs(exact).max():
        raise SystemExit(f"step: wrong answer at {problem.size}")


def theirs(kind: type[TorchGRU] | type[OnnxRuntime], problem: Problem, threads: int) -> Callable[[], object]:
    peer = kind(problem, threads)
    check(peer.arrays(peer.step())[0].reshape(problem.h_0.shape), problem, 1e-5)
    return peer.step


def told(times: np.ndarray) -> str:
    spread = Spread.of(1e3 * times)
    return f"{spread.median:.3g} [{spread.q25:.3g}, {spread.q75:.3g}]"


def one(threads: int, rounds: int) -> None:
    print(
        "| H | us | bf16 | int8 | float32 over int8 | torch GRUCell | ONNX Runtime |\n|---|---|---|---|---|---|---|"
    )
    for hidden in HIDDEN:
        problem = Problem(Size(1, 1, 16, hidden))
        # ONNX Runtime's threads go on spinning after its call: torch, which takes one for a single row, comes next.
        jobs: Jobs = {kind.name: theirs(kind, problem, threads) for kind in (OnnxRuntime, TorchGRU)}
        jobs |= {str(w): ours(problem, w) for w in ERRORS}
        t = interleaved(jobs, rounds)
        middle = {name: float(np.median(times)) for name, times in t.items()}
        ratios = [middle["None"] / middle["int8"]] + [
            middle[p] / middle["None"] for p in ("torch_gru", "onnxruntime")
        ]
        cells = [told(t["None"]), told(t["bf16"]), told(t["int8"]), *(f"{r:.2f}x" for r in ratios)]
        print(f"| {hidden} | {' | '.join(cells)} |", flush=True)


def many(threads: int, rounds: int) -> None:
    print("| streams | us | int8 | torch GRUCell | of sgemm |\n|---|---|---|---|---|")
    for streams in (64, 4096):
        problem = Problem(Size(streams, 1, 16, 64))
        jobs: Jobs = {"ours": ours(problem), "int8": ours(problem, "int8")}
        jobs |= {"torch": theirs(TorchGRU, problem, threads), "sgemm": Sgemm(problem, threads).step}
        t = interleaved(jobs, rounds)
        rate = problem.size.flops / np.median(t["ours"]) / (2 * 1024**3 / np.median(t["sgemm"]))
        ratio = np.median(t["torch"]) / np.median(t["ours"])
        print(
            f"| {streams} | {told(t['ours'])} | {told(t['int8'])} | {ratio:.2f}x | {100 * rate:.0f}% |",
            flush=True,
        )


def chunk(threads: int, rounds: int) -> None:
    layers = Recurrent.from_torch(torch.nn.GRU(16, 16))
    x, state = np.random.default_rng(0).standard_normal((1, 1000, 16), np.float32), layers.init_state(1)
    t = interleaved({"run": lambda: layers.run(x, state)}, rounds)["run"]
    print(f"a step of 1000 in one call, H=16: {told(t / 1000)} us")


def floor(threads: int, rounds: int) -> None:
    problem = Problem(Size(1, 1, 16, 512))
    size = sum(w.size for w in problem.weights["gru"][:2])
    data = np.zeros((1024, size // 1024), np.float32)
    matrix, vector = torch.from_numpy(data), torch.zeros(size // 1024)
    jobs: Jobs = {
        "ours": ours(problem),
        "max": data.max,
        "sum": data.sum,
        "mv": partial(torch.mv, matrix, vector),
    }
    t = interleaved(jobs, rounds)
    best = min(("max", "sum", "mv"), key=lambda name: float(np.median(t[name])))
    rate, ratio = data.nbytes / np.median(t[best]) / 1e6, np.median(t["ours"]) / np.median(t[best])
    read = f"{data.nbytes / 1e6:.2f} MB by {best} in {told(t[best])} us ({rate:.0f} GB/s)"
    print(f"H=512: {told(t['ours'])} us; {read}: {ratio:.2f}x")


PARTS = {"one": one, "many": many, "chunk": chunk, "floor": floor}

if __name__ == "__main__":
    main()
