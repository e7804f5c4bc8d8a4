"""What the training loop costs beyond forward, backward and optimiser, in percent of an epoch.

The job is a GRU forecaster, 128 wide, over windows [128, 168, 8].  A bare loop (forward, backward, fused
AdamW on batches that already lie in memory) takes turns with ``grus.training.train``, which also gathers
its batches, seeds, clips, checks, logs to CSV, prints progress and writes checkpoints, and with the same
loop over a job that prefetches the next batch in a thread.  Each runs two epochs, of which the second is
timed (wall, and CPU of the process, which other processes disturb less); what the loop needs once a run
is shown beside it.  A job of segments has short steps, and one with a tiny model shows the cost of a step
in microseconds.

    python benchmarks/training_overhead.py [--rounds 11] [--steps 8] [--threads 1] [--json FILE]
"""

import argparse
import io
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
import torch

from grus.training import EpochRecord, TrainingConfig, train
from grus.training.progress import PlainProgress

EPOCHS = 2


@dataclass(frozen=True)
class Seconds:
    wall: float
    cpu: float
    once: float = 0.0


class Forecaster(torch.nn.Module):
    def __init__(self, inputs: int, hidden: int, horizon: int) -> None:
        super().__init__()
        self.gru = torch.nn.GRU(inputs, hidden, batch_first=True)
        self.head = torch.nn.Linear(hidden, horizon)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.gru(x)[1][0])


class WindowJob:
    """Windows gathered from one long table by a permutation of (seed, epoch)."""

    def __init__(
        self, steps: int, batch: int = 128, length: int = 168, inputs: int = 8, hidden: int = 128
    ) -> None:
        torch.manual_seed(0)
        self.model = Forecaster(inputs, hidden, 24)
        self._steps, self._batch, self._score = steps, batch, 0.0
        self._order: tuple = (None, None)
        table = np.random.default_rng(0).standard_normal((20_000, inputs)).astype(np.float32)
        self._table, self._length = table, length
        self._rows = np.arange(length + 24)
        self._count = len(table) - length - 24

    def steps(self, epoch: int) -> int:
        return self._steps

    def batch(self, epoch: int, step: int) -> dict[str, torch.Tensor | np.ndarray]:
        if self._order[0] != epoch:  # a copy of the answer, not state: the batch stays a pure function
            self._order = (epoch, np.random.default_rng((0, epoch)).permutation(self._count))
        first = self._order[1][step * self._batch : (step + 1) * self._batch]
        windows = self._table[first[:, None] + self._rows]  # [batch, length + 24, inputs]
        return {"x": windows[:, : self._length], "y": windows[:, self._length :, 0]}

    def loss(self, batch, carry):
        return torch.nn.functional.l1_loss(self.model(batch["x"]), batch["y"]), None

    def validate(self) -> dict[str, float]:
        self._score -= 1.0  # the last epoch is the best, as in the bare loop
        return {"score": self._score}


class PrefetchingJob:
    """The same job, with the next batch made by a thread meanwhile."""

    def __init__(self, job: WindowJob) -> None:
        self.model, self._job = job.model, job
        self.steps, self.loss, self.validate = job.steps, job.loss, job.validate
        self._pool = ThreadPoolExecutor(1)
        self._next: tuple = (None, None)

    def batch(self, epoch: int, step: int) -> dict[str, torch.Tensor | np.ndarray]:
        key, future = self._next
        current = future.result() if key == (epoch, step) else self._job.batch(epoch, step)
        following = (epoch, step + 1) if step + 1 < self.steps(epoch) else (epoch + 1, 0)
        self._next = (following, self._pool.submit(self._job.batch, *following))
        return current


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def between(first: tuple[float, float], last: tuple[float, float]) -> Seconds:
    return Seconds(last[0] - first[0], last[1] - first[1])


def run_bare(job: WindowJob, rate: float) -> Seconds:
    """Forward, backward and optimiser over the steps of the second epoch."""
    batches = [
        [
            {k: torch.as_tensor(v) for k, v in job.batch(epoch, step).items()}
            for step in range(job.steps(epoch))
        ]
        for epoch in range(EPOCHS)
    ]
    parameters = list(job.model.parameters())
    groups = [{"params": [p for p in parameters if p.ndim == d], "weight_decay": 0.0} for d in (2, 1)]
    optimizer = torch.optim.AdamW(groups, lr=rate, fused=True)
    job.model.train()
    begin = now()
    for epoch in batches:
        begin = now()
        for batch in epoch:
            loss, _ = job.loss(batch, None)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return between(begin, now())


class Marks(PlainProgress):
    """Notes when each epoch ended."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.times: list[tuple[float, float]] = []

    def epoch(self, record: EpochRecord, is_best: bool) -> None:
        super().epoch(record, is_best)
        self.times.append(now())


def run_loop(job: Any, config: TrainingConfig) -> Seconds:
    """The second epoch of train(), and ``once``: what the run took beyond two such epochs."""
    marks = Marks()
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        history = train(job, config, Path(folder), marks)
        total = time.perf_counter() - begin
    once = total - sum(record.seconds for record in history.epochs)
    return replace(between(marks.times[0], marks.times[1]), once=once)


def check(steps: int, config: TrainingConfig) -> None:
    """All three end with bitwise the same weights; clipping at 1e9 multiplies by one."""
    models = []
    for runner in (run_bare_job, run_loop_job, run_prefetching_job):
        job = WindowJob(steps, batch=16, length=24)
        runner(job, config)
        models.append(torch.cat([p.detach().flatten() for p in job.model.parameters()]))
    if not (torch.equal(models[0], models[1]) and torch.equal(models[0], models[2])):
        raise SystemExit("the loops do not compute the same weights; no speed is reported")


def run_bare_job(job: WindowJob, config: TrainingConfig) -> Seconds:
    return run_bare(job, config.learning_rate)


def run_loop_job(job: WindowJob, config: TrainingConfig) -> Seconds:
    return run_loop(job, config)


def run_prefetching_job(job: WindowJob, config: TrainingConfig) -> Seconds:
    return run_loop(PrefetchingJob(job), config)


RUNNERS = {"bare": run_bare_job, "loop": run_loop_job, "prefetching": run_prefetching_job}


def measure(make: Callable[[], WindowJob], config: TrainingConfig, rounds: int) -> dict[str, list[Seconds]]:
    """Seconds of each runner, round by round, taking turns; the first round is dropped."""
    seconds: dict[str, list[Seconds]] = {name: [] for name in RUNNERS}
    for _ in range(rounds + 1):
        for name, runner in RUNNERS.items():
            seconds[name].append(runner(make(), config))
    return {name: values[1:] for name, values in seconds.items()}


def sgemm_rate() -> float:
    """GFLOP/s of a 512 x 512 x 512 float32 product, the best of 20."""
    a = torch.randn(512, 512)
    best = min(_seconds(lambda: a @ a) for _ in range(20))
    return 2 * 512**3 / best / 1e9


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def summary(seconds: dict[str, list[Seconds]], steps: int) -> dict[str, dict[str, Any]]:
    """Milliseconds a step, and the overhead over the bare loop of the same round in percent."""
    result = {}
    for name, values in seconds.items():
        pairs = list(zip(values, seconds["bare"], strict=True))
        wall = [100 * (value.wall / bare.wall - 1) for value, bare in pairs]
        cpu = [100 * (value.cpu / bare.cpu - 1) for value, bare in pairs]
        low, _, high = quantiles(wall, n=4)
        result[name] = {
            "ms_per_step": 1000 * median(value.wall for value in values) / steps,
            "overhead_percent": median(wall),
            "overhead_quartiles": [low, high],
            "cpu_overhead_percent": median(cpu),
            "once_ms": 1000 * median(value.once for value in values),
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    config = TrainingConfig(epochs=EPOCHS, device="cpu", decay="constant", gradient_clip=1e9)
    check(4, config)
    jobs = {
        "GRU 128, batch [128, 168, 8]": (lambda: WindowJob(options.steps), options.steps),
        "GRU 128 over segments, batch [128, 7, 24]": (lambda: WindowJob(150, length=7, inputs=24), 150),
        "GRU 4, batch [8, 4, 8]": (lambda: WindowJob(1000, batch=8, length=4, hidden=4), 1000),
    }
    report: dict[str, Any] = {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": options.threads,
        "torch": torch.__version__,
        "lightning_fabric": version("lightning-fabric"),
        "sgemm_gflops": sgemm_rate(),
        "rounds": options.rounds,
        "jobs": {},
    }
    for name, (make, steps) in jobs.items():
        results = summary(measure(make, config, options.rounds), steps)
        report["jobs"][name] = results
        print(name)
        for runner, figures in results.items():
            low, high = figures["overhead_quartiles"]
            print(
                f"  {runner:12s}{figures['ms_per_step']:9.3f} ms a step, "
                f"{figures['overhead_percent']:+6.2f}% over bare "
                f"(quartiles {low:+.2f} to {high:+.2f}; CPU time {figures['cpu_overhead_percent']:+.2f}%), "
                f"once a run {figures['once_ms']:.0f} ms"
            )
    print({key: value for key, value in report.items() if key != "jobs"})
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
