"""A training step of grus.nn.GRUD beside the same layer written as a plain loop of PyTorch operations.

    scripts/bench grud [--sizes 64,48,33,64 ...] [--rounds 9] [--json FILE]

Forward and backward over B rows of T steps of D variables, of which three in ten are observed, with the gradients of
all weights, in float32 on one thread. "loop" is what one would write from the paper's equations: every step computes
its decays, its products and its gates, and autograd does the rest. "GRU" is grus.nn.GRU over the joined values and
mask, without decays and with nothing to fill in: what could not be saved. First the answers: output and gradients of
the two against the loop in float64. Then all take turns: milliseconds of processor time a step, median [quartiles]
over the rounds, and the loop's over ours, round by round.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor

from grus.benchmark import Spread, measure
from grus.benchmark.competitor import Grus
from grus.nn import GRU, GRUD

SIZES = ((64, 48, 33, 64), (32, 200, 12, 128), (1, 48, 33, 64))
TOLERANCE = 2e-4  # of the largest number of a result


class Case:
    """Inputs of one size, the gradient that arrives, and a module with the loop's weights."""

    def __init__(self, batch: int, steps: int, variables: int, hidden: int) -> None:
        torch.manual_seed(0)
        self.module = GRUD(variables, hidden, batch_first=True)
        self.plain = GRU(2 * variables, hidden, batch_first=True)
        self.mask = (torch.rand(batch, steps, variables) < 0.3).float()
        self.x = torch.randn(batch, steps, variables) * self.mask
        self.gap = torch.rand(batch, steps, 1)
        self.d_output = torch.randn(batch, steps, hidden)

    def leaves(self) -> list[Tensor]:
        return list(self.module.parameters())

    def step(self, run: Callable[[], Tensor], leaves: list[Tensor], d_output: Tensor) -> list[Tensor]:
        """Output and gradients of a training step."""
        for leaf in leaves:
            leaf.grad = None
        output = run()
        output.backward(d_output)
        return [output.detach(), *(leaf.grad for leaf in leaves)]  # pyright: ignore[reportReturnType]

    def ours(self) -> list[Tensor]:
        return self.step(lambda: self.module(self.x, self.mask, self.gap)[0], self.leaves(), self.d_output)

    def gru(self) -> list[Tensor]:
        joined = torch.cat([self.x, self.mask], -1)
        return self.step(lambda: self.plain(joined)[0], list(self.plain.parameters()), self.d_output)

    def loop(self, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        weights = dict(self.module.named_parameters())
        if dtype != torch.float32:
            weights = {name: p.detach().to(dtype).requires_grad_() for name, p in weights.items()}
        given = [a.to(dtype) for a in (self.x, self.mask, self.gap)]
        return self.step(lambda: loop(*given, weights), list(weights.values()), self.d_output.to(dtype))

    def check(self) -> None:
        """Stop at a wrong answer."""
        exact = self.loop(torch.float64)
        for name, found in (("loop", self.loop()), ("grus", self.ours())):
            for i, (value, wanted) in enumerate(zip(found, exact, strict=True)):
                error = float((value.double() - wanted).abs().max() / wanted.abs().max())
                if not error < TOLERANCE:
                    raise SystemExit(f"grud: result {i} of {name} is off by {error:.2g} of the largest")


def loop(x: Tensor, mask: Tensor, gap: Tensor, w: dict[str, Tensor]) -> Tensor:
    """The equations of Che et al. 2018 with the GRU of PyTorch, a step at a time: x [B, T, D] -> h [B, T, H]."""
    batch, steps, size = x.shape
    h = x.new_zeros(batch, w["weight_hh_l0"].shape[1])
    last, delta, before = x.new_zeros(batch, size), x.new_zeros(batch, size), x.new_ones(batch, size)
    outputs = []
    for t in range(steps):
        m = mask[:, t]
        delta = gap[:, t] + (1 - before) * delta
        gx = torch.exp(-torch.relu(w["input_decay_weight"] * delta + w["input_decay_bias"]))
        gh = torch.exp(-torch.relu(delta @ w["state_decay_weight"].t() + w["state_decay_bias"]))
        value = m * x[:, t] + (1 - m) * gx * last
        a = torch.cat([value, m], 1) @ w["weight_ih_l0"].t() + w["bias_ih_l0"]
        h = gh * h
        b = h @ w["weight_hh_l0"].t() + w["bias_hh_l0"]
        (a_r, a_z, a_n), (b_r, b_z, b_n) = a.chunk(3, 1), b.chunk(3, 1)
        r, z = torch.sigmoid(a_r + b_r), torch.sigmoid(a_z + b_z)
        n = torch.tanh(a_n + r * b_n)
        h = (1 - z) * n + z * h
        last, before = m * x[:, t] + (1 - m) * last, m
        outputs.append(h)
    return torch.stack(outputs, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", type=sizes, nargs="+", default=SIZES, help="B,T,D,H")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    about = measure.machine([Grus])
    print(f"{about.cpu}, one thread, load {os.getloadavg()[0]:.2f} at the start, {about.date}")
    print(f"{about.isa}, torch {torch.__version__}, {options.rounds} rounds, processor time\n")
    print("| B | T | D | H | loop ms | GRUD ms | GRU ms | loop over GRUD |")
    print("|---|---|---|---|---|---|---|---|")
    results = []
    for size in options.sizes:
        case = Case(*size)
        case.check()
        times = in_turns({"loop": case.loop, "grud": case.ours, "gru": case.gru}, options.rounds)
        ratio = Spread.of(times["loop"] / times["grud"])
        cells = [told(Spread.of(values)) for values in times.values()]
        print(f"| {' | '.join(map(str, size))} | {' | '.join(cells)} | {told(ratio)}x |", flush=True)
        samples = {name: [round(v, 4) for v in values.tolist()] for name, values in times.items()}
        ratios = msgspec.to_builtins(ratio)
        results.append({"size": size, "processor_milliseconds": samples, "loop_over_grud": ratios})
    if options.json:
        report = {"machine": msgspec.to_builtins(about), "rounds": options.rounds, "results": results}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def in_turns(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """Milliseconds of processor time a call of each job, round by round; each takes about 0.1 s of a round."""
    counts = {}
    for name, job in jobs.items():
        job()
        begin = time.process_time()
        job()
        counts[name] = max(1, round(0.1 / max(time.process_time() - begin, 1e-6)))
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            begin = time.process_time()
            for _ in range(counts[name]):
                job()
            times[name].append(1000 * (time.process_time() - begin) / counts[name])
    return {name: np.array(values) for name, values in times.items()}


def sizes(text: str) -> tuple[int, ...]:
    found = tuple(int(part) for part in text.split(","))
    if len(found) != 4 or min(found) < 1:
        raise argparse.ArgumentTypeError(f"must be B,T,D,H, got {text}")
    return found


def told(spread: Spread) -> str:
    return f"{spread.median:.3g} [{spread.q25:.3g}, {spread.q75:.3g}]"


if __name__ == "__main__":
    main()
