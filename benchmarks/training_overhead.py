"""What the training loop costs beyond forward, backward and optimiser, in percent of an epoch.

The job is a GRU forecaster, 128 wide, over windows [128, 168, 8]; a second one has the short steps of a GRU
over segments, a third a tiny model, which shows the cost of a step in microseconds.  Every step of
``grus.training.train`` (batch, seed, forward, backward, clip, check, optimiser, log, progress) takes turns
with a bare step (forward, backward, fused AdamW, on a batch that lies in memory) of a twin model, so that
whatever else the machine does falls on both; at the end both models must have the same weights, bit by bit.
Medians over all steps, of wall time and of the thread's CPU time.  ``prefetching`` is the same with the next
batch made by a thread meanwhile.  "Once" is what a run takes outside its steps: set-up, first and last
checkpoint, end of epochs.

    python benchmarks/training_overhead.py [--rounds 3] [--threads 1] [--json FILE]
"""

import argparse
import copy
import io
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
import torch

from grus.training import TrainingConfig, make_progress, train

CONFIG = TrainingConfig(
    epochs=2, device="cpu", decay="constant", gradient_clip=1e9
)  # clipping multiplies by 1


@dataclass(frozen=True)
class Shape:
    name: str
    steps: int  # an epoch
    batch: int
    length: int
    inputs: int
    hidden: int


SHAPES = (
    Shape("GRU 128, batch [128, 168, 8]", 12, 128, 168, 8, 128),
    Shape("GRU 128 over segments, batch [128, 7, 24]", 200, 128, 7, 24, 128),
    Shape("GRU 4, batch [8, 4, 8]", 1000, 8, 4, 8, 4),
)


class Forecaster(torch.nn.Module):
    def __init__(self, inputs: int, hidden: int, horizon: int) -> None:
        super().__init__()
        self.gru = torch.nn.GRU(inputs, hidden, batch_first=True)
        self.head = torch.nn.Linear(hidden, horizon)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.gru(x)[1][0])


class WindowJob:
    """Windows gathered from one long table by a permutation of (seed, epoch)."""

    def __init__(self, shape: Shape) -> None:
        torch.manual_seed(0)
        self.model = Forecaster(shape.inputs, shape.hidden, 24)
        self._shape, self._score = shape, 0.0
        self._order: tuple = (None, None)
        self._table = np.random.default_rng(0).standard_normal((30_000, shape.inputs)).astype(np.float32)
        self._rows = np.arange(shape.length + 24)

    def steps(self, epoch: int) -> int:
        return self._shape.steps

    def batch(self, epoch: int, step: int) -> dict[str, torch.Tensor | np.ndarray]:
        if self._order[0] != epoch:  # a copy of the answer, not state: the batch stays a pure function
            count = len(self._table) - len(self._rows)
            self._order = (epoch, np.random.default_rng((0, epoch)).permutation(count))
        first = self._order[1][step * self._shape.batch : (step + 1) * self._shape.batch]
        windows = self._table[first[:, None] + self._rows]  # [batch, length + 24, inputs]
        return {"x": windows[:, : self._shape.length], "y": windows[:, self._shape.length :, 0]}

    def loss(self, batch, carry):
        return torch.nn.functional.l1_loss(self.model(batch["x"]), batch["y"]), None

    def validate(self) -> dict[str, float]:
        self._score -= 1.0  # the last epoch is the best, as for the twin
        return {"score": self._score}


class Prefetching:
    """``batch`` of a job with the next batch made by a thread meanwhile."""

    def __init__(self, job: Any) -> None:
        self._job = job
        self._pool = ThreadPoolExecutor(1)
        self._next: tuple = (None, None)

    def __call__(self, epoch: int, step: int) -> dict[str, torch.Tensor | np.ndarray]:
        key, future = self._next
        current = future.result() if key == (epoch, step) else self._job.batch(epoch, step)
        following = (epoch, step + 1) if step + 1 < self._job.steps(epoch) else (epoch + 1, 0)
        self._next = (following, self._pool.submit(self._job.batch, *following))
        return current


class TwinJob:
    """Before the loop makes a step, a twin of its model makes the same one, bare; both are timed."""

    def __init__(self, job: Any, prefetching: bool = False) -> None:
        self._job, self._twin = job, copy.deepcopy(job)
        self.model, self.twin = job.model, self._twin.model
        self.loss = job.loss
        parameters = list(self.twin.parameters())
        groups = [
            {"params": [p for p in parameters if (p.ndim > 1) is d], "weight_decay": 0.0}
            for d in (True, False)
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=CONFIG.learning_rate, fused=True)
        maker = copy.deepcopy(job)
        self._ready = {(e, s): maker.batch(e, s) for e in range(CONFIG.epochs) for s in range(job.steps(e))}
        self._make = Prefetching(maker) if prefetching else maker.batch
        self._score = 0.0
        self._begin: tuple[float, float] | None = None
        self.bare: list[tuple[float, float]] = []
        self.loop: list[tuple[float, float]] = []

    def steps(self, epoch: int) -> int:
        return self._job.steps(epoch)

    def validate(self) -> dict[str, float]:
        self._score -= 1.0  # the last epoch is the best, as for the twin
        return {"score": self._score}

    def batch(self, epoch: int, step: int) -> dict[str, torch.Tensor | np.ndarray]:
        if self._begin is not None and step > 0:  # a step with the end of an epoch in it is not one
            self.loop.append(_since(self._begin))
        ready = {name: torch.as_tensor(value) for name, value in self._ready[epoch, step].items()}
        begin = _now()
        self._twin.loss(ready, None)[0].backward()
        self._optimizer.step()
        self._optimizer.zero_grad()
        if step < self.steps(epoch) - 1:
            self.bare.append(_since(begin))
        self._begin = _now()
        return self._make(epoch, step)


def quickstart_job() -> Any:
    """The job that scripts/quickstart trains (calendar covariates), taken from where it is handed to the loop."""
    import grus.tasks.forecast as task

    class Taken(Exception):  # noqa: N818
        pass

    def take(job: Any, *_: Any) -> None:
        raise Taken(job)

    table = Path(__file__).parents[1] / "examples" / "bike_sharing" / "hourly.csv"
    original, task.train = task.train, take
    try:
        weeks = 8 * 7 * 24
        # Without dropout, so that a twin that draws nothing ends at the same weights.
        task.Forecaster(
            24, future=["holiday", "workingday"], dropout=0.0, val_size=weeks, test_size=weeks
        ).fit(table)
    except Taken as taken:
        return taken.args[0]
    finally:
        task.train = original
    raise SystemExit("the quickstart handed no job to the loop")


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(begin: tuple[float, float]) -> tuple[float, float]:
    end = _now()
    return end[0] - begin[0], end[1] - begin[1]


def run(job: Any, prefetching: bool, ema: float | None) -> tuple[TwinJob, float]:
    """One training run; the timed job, and the seconds spent outside its steps."""
    twins = TwinJob(job, prefetching)
    config = replace(CONFIG, ema=ema)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        history = train(twins, config, Path(folder), make_progress("plain", io.StringIO()))
        once = time.perf_counter() - begin - sum(record.seconds for record in history.epochs)
    pairs = zip(twins.model.parameters(), twins.twin.parameters(), strict=True)
    if ema is None and not all(torch.equal(mine, twin) for mine, twin in pairs):
        raise SystemExit("the loop and the bare loop do not end at the same weights; no speed is reported")
    return twins, once


def measure(
    make_job: Callable[[], Any], rounds: int, prefetching: bool = False, ema: float | None = None
) -> dict[str, float]:
    """Medians over the steps of all rounds; a first round warms up."""
    results = [run(make_job(), prefetching, ema) for _ in range(rounds + 1)][1:]
    bare = [entry for job, _ in results for entry in job.bare]
    loop = [entry for job, _ in results for entry in job.loop]
    more = [1000 * (mine[0] - twin[0]) for mine, twin in zip(loop, bare, strict=True)]
    low, middle, high = quantiles(more, n=4)
    wall, cpu = (median(entry[clock] for entry in bare) for clock in (0, 1))
    return {
        "bare_ms": 1000 * wall,
        "more_ms": middle,
        "more_ms_low": low,
        "more_ms_high": high,
        "more_percent": 100 * middle / (1000 * wall),
        "more_cpu_percent": 100 * (median(entry[1] for entry in loop) / cpu - 1),
        "once_ms": 1000 * median(once for _, once in results),
        "steps": len(bare),
    }


def sgemm_rate() -> float:
    """GFLOP/s of a 512 x 512 x 512 float32 product, the best of 20."""
    a = torch.randn(512, 512)
    best = float("inf")
    for _ in range(20):
        begin = time.perf_counter()
        torch.mm(a, a)
        best = min(best, time.perf_counter() - begin)
    return 2 * 512**3 / best / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quickstart", action="store_true", help="only the job of scripts/quickstart")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    report: dict[str, Any] = {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "threads": options.threads,
        "torch": torch.__version__,
        "lightning_fabric": version("lightning-fabric"),
        "sgemm_gflops": sgemm_rate(),
    }
    print(report)
    report["jobs"] = {}
    quickstart = quickstart_job()
    jobs: list[tuple[str, Callable[[], Any], dict[str, Any]]] = [
        ("quickstart", lambda: copy.deepcopy(quickstart), {}),
        ("quickstart, with its EMA", lambda: copy.deepcopy(quickstart), {"ema": 0.99}),
    ]
    for shape in SHAPES:
        jobs.append((shape.name, partial(WindowJob, shape), {}))
        jobs.append((f"{shape.name}, prefetching", partial(WindowJob, shape), {"prefetching": True}))
    for name, make_job, settings in jobs[: 2 if options.quickstart else None]:
        figures = measure(make_job, options.rounds, **settings)
        report["jobs"][name] = figures
        print(
            "{name:55s} bare step {bare_ms:8.3f} ms, loop {more_ms:+.3f} ms "
            "(quartiles {more_ms_low:+.3f} to {more_ms_high:+.3f}) = {more_percent:+.2f}% "
            "(CPU time {more_cpu_percent:+.2f}%), once {once_ms:.0f} ms, {steps} steps".format(
                name=name, **figures
            ),
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
