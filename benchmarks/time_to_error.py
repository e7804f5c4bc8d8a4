"""Time to the validation error that neuralforecast's GRU ends with, on ETTh1, 96 hours from 96.

Protocol: the standard split of ETTh1 (`benchmarks/ett.py`), seven channels, each a series, scaled by its training rows;
test rows are never read. neuralforecast's `GRU` has its default settings, is trained on the training rows to its end
(1,000 steps), and then scores every validation window. Both its errors are the mark: it trains by the absolute one, and
papers report the squared one. `grus.Forecaster` with its default settings gets 3,200 training windows, then twice as
many, and so on, each time from new weights, until both of its errors are as small on the same windows. Of
neuralforecast the clock sees the training steps alone; of Grus all of ``fit``, with reading, choosing the best epoch,
and calibrating intervals. Processor time is given beside wall time: it says more on a machine that others use too.

    python3 -m venv peers && peers/bin/pip install -r constraints-peers.txt
    scripts/bench time_to_error --peer peers/bin/python [--threads 1] [--rounds 3] [--mark MSE MAE] [--json FILE]
"""

import argparse
import json
import logging
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

NAME, LOOKBACK, HORIZON = "ETTh1", 96, 96
TRAIN, VALIDATION = 8640, 2880  # rows
FIRST, MOST = 3200, 3200 * 64  # training windows that Grus gets at first, and at most


class Clock:
    """Wall and processor seconds since it was made."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        return {
            "seconds": time.perf_counter() - self._wall,
            "cpu_seconds": time.process_time() - self._processor,
        }


def train_neuralforecast(values: np.ndarray, stamps: np.ndarray, steps: int | None) -> dict[str, Any]:
    """Train on the training rows of [N, 7] to the end, and score every validation window."""
    import pandas as pd
    import pytorch_lightning as pl
    from neuralforecast import NeuralForecast
    from neuralforecast.models import GRU

    found: dict[str, Any] = {}
    clock: list[Clock] = []

    class Timed(pl.Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            clock.append(Clock())

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            found.update(clock[0].read(), steps=trainer.global_step)

    frame = pd.DataFrame(
        {
            "unique_id": np.repeat([f"channel {number}" for number in range(values.shape[1])], len(values)),
            "ds": np.tile(stamps, values.shape[1]),
            "y": values.T.ravel().astype(np.float32),
        }
    )
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
    model = GRU(
        h=HORIZON, input_size=LOOKBACK, accelerator="cpu", enable_model_summary=False, callbacks=[Timed()],
        **({} if steps is None else {"max_steps": steps}), **quiet,
    )  # fmt: skip
    forecasts = NeuralForecast(models=[model], freq="h").cross_validation(
        frame, test_size=VALIDATION, n_windows=None, step_size=1
    )
    error = (forecasts["GRU"] - forecasts["y"]).to_numpy(np.float64)
    assert len(error) == values.shape[1] * (VALIDATION - HORIZON + 1) * HORIZON
    return {"mse": float((error**2).mean()), "mae": float(np.abs(error).mean()), **found}


def train_grus(values: np.ndarray, stamps: np.ndarray, windows: int, seed: int) -> dict[str, Any]:
    """Train on ``windows`` of the training windows, drawn once, and score every validation window."""
    from grus import Forecaster

    names = [f"channel {number}" for number in range(values.shape[1])]
    table = {"ds": stamps, **dict(zip(names, values.T, strict=True))}
    clock = Clock()
    model = Forecaster(
        HORIZON, time="ds", target=names, lookback=LOOKBACK, val_size=VALIDATION, windows_per_epoch=windows,
        epochs=1, seed=seed, log="none",
    ).fit(table, progress="quiet")  # fmt: skip
    spent, panel = clock.read(), model.panel_
    count = VALIDATION - HORIZON + 1
    origins = (panel.offsets[:-1, None] + TRAIN + np.arange(count)).ravel()
    point = model.live_.forecast(panel, np.repeat(np.arange(panel.n_series), count), origins, ()).point
    error = point - panel.target[origins[:, None] + np.arange(HORIZON)]
    return {
        "mse": float((error**2).mean()), "mae": float(np.abs(error).mean()), "windows": windows, "seed": seed, **spent,
        "training_seconds": sum(epoch.seconds for epoch in model.history_.epochs),
    }  # fmt: skip


def work(task: dict[str, Any]) -> None:
    """Do one task in this process and print its result."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    import torch

    torch.set_num_threads(task["threads"])
    with np.load(task["data"], allow_pickle=False) as data:
        values, stamps = data["values"], data["stamps"]
    if task["who"] == "grus":
        result = train_grus(values, stamps, task["windows"], task["seed"])
    else:
        result = train_neuralforecast(values, stamps, task["steps"])
    print("RESULT " + json.dumps(result))


def prepare(file: Path) -> None:
    """Scaled training and validation rows [11520, 7], by the mean and deviation of the training rows."""
    from grus.data.readers import read_columns
    from shared_data import data_folder

    columns, _ = read_columns(data_folder("ett") / f"{NAME}.csv.gz")
    stamps = columns.pop("date")[: TRAIN + VALIDATION]
    values = np.stack([values[: TRAIN + VALIDATION] for values in columns.values()], axis=1).astype(
        np.float64
    )
    scaled = (values - values[:TRAIN].mean(0)) / values[:TRAIN].std(0)
    np.savez(file, values=scaled, stamps=stamps.astype("datetime64[ns]"))


def runner(data: Path, threads: int) -> Callable[..., dict[str, Any]]:
    """Runs a task in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "GRUS_NUM_THREADS": str(threads)}

    def run(python: str, **task: Any) -> dict[str, Any]:
        task |= {"data": str(data), "threads": threads}
        done = subprocess.run(
            [python, __file__, "--worker", json.dumps(task)],
            capture_output=True, text=True, check=False, env=environment,
        )  # fmt: skip
        if done.returncode:
            sys.exit(f"error: {task['who']} failed\n{done.stderr[-2000:]}")
        line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
        result = {"who": task["who"], **json.loads(line.removeprefix("RESULT "))}
        print(json.dumps(result), file=sys.stderr, flush=True)
        return result

    return run


def reach(run: Callable[..., dict[str, Any]], mark: dict[str, float], rounds: int) -> list[dict[str, Any]]:
    """Runs of the fewest windows with which seed 0 reaches the mark, one a seed."""
    windows = FIRST
    while windows <= MOST:
        runs = [run(sys.executable, who="grus", windows=windows, seed=0)]
        if all(runs[0][error] <= most for error, most in mark.items()):
            return runs + [
                run(sys.executable, who="grus", windows=windows, seed=seed) for seed in range(1, rounds)
            ]
        windows *= 2
    sys.exit(f"error: {NAME}: expected validation errors of {mark} within {MOST:,} windows, got none")


def main() -> None:
    """Parse the command line; print every run on stderr and the comparison, as JSON, on stdout."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", help="the Python that has neuralforecast")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--rounds", type=int, default=3, help="seeds of Grus at the size that reached the mark"
    )
    parser.add_argument(
        "--mark", type=float, nargs=2, metavar=("MSE", "MAE"), help="instead of --peer: reach these"
    )
    parser.add_argument(
        "--steps", type=int, help="of neuralforecast, to try the script; its default is 1,000"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return work(options.worker)
    if (options.peer is None) == (options.mark is None):
        parser.error("expected --peer or --mark")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "rows.npz"
        prepare(data)
        run = runner(data, options.threads)
        theirs = run(options.peer, who="neuralforecast", steps=options.steps) if options.peer else None
        mark = dict(zip(("mse", "mae"), options.mark or (theirs["mse"], theirs["mae"]), strict=True))  # type: ignore[index]
        ours = reach(run, mark, options.rounds)
    result: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores", "threads": options.threads,
        "neuralforecast": theirs, "grus": ours,
    }  # fmt: skip
    for key in ("seconds", "cpu_seconds") if theirs else ():
        result[f"{key}_ratio"] = theirs[key] / median(one[key] for one in ours)  # type: ignore[index]
    text = json.dumps(result, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")
    return None


if __name__ == "__main__":
    main()
