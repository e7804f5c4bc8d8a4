"""ETT (Zhou et al. 2021): the standard protocol, every window, beside the naive forecasts.

Protocol: a month is 30 days; rows [0, 12), [12, 16), [16, 20) months train, validate and test, and later rows are
never used; every channel is scaled by the mean and standard deviation (ddof=0) of its training rows; windows have
stride 1 and none is dropped; MSE and MAE are averaged over all windows, steps and the 7 channels, on the scaled values.

    scripts/bench ett --naive                              the floors, all sets and horizons
    scripts/bench ett --table ett.jsonl                    every horizon at both lookbacks, three seeds, on ETTh1
    scripts/bench ett --table ett.jsonl --horizons 96 --lookbacks 96 --seeds 0
    scripts/bench ett --table ett.jsonl --lookbacks 96 --with '{"hidden_size": 128, "dropout": 0.3}'    another recipe

A table goes on where it was stopped: runs whose result stands in the file, with the same settings, are not made again.
The recipes were chosen on validation rows alone, of which each result has the MSE too.
"""

import argparse
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from grus.data.readers import read_columns
from grus.decode.baselines import repeat_last, seasonal_naive
from grus.preprocess.panel import Panel, build_panel
from grus.preprocess.roles import Roles
from grus.preprocess.scaling import fit_series_scaler
from run_table import append_run, read_runs
from shared_data import data_folder

STEPS_PER_DAY = {"ETTh1": 24, "ETTh2": 24, "ETTm1": 96}
HORIZONS = (96, 192, 336, 720)
MONTH = 30
LEVELS = (80, 95)

#: What is trained, by lookback; chosen on the validation rows of ETTh1, seed 0.
RECIPES: dict[int, dict[str, Any]] = {
    96: {"loss": "mae", "hidden_size": 512, "dropout": 0.5},
    720: {"loss": "mae"},
}
SHARED = {
    "calendar": (), "anchor": 1, "hidden_size": 128, "dropout": 0.3, "batch_size": 64, "windows_per_epoch": 10_000,
    "epochs": 12, "patience": 4, "learning_rate": 5e-4, "weight_decay": 0.0,
}  # fmt: skip
#: MSE of SegRNN by lookback and horizon, hidden size 512 (Lin et al. 2023; 96: its repository's README).
SEGRNN = {96: (0.368, 0.408, 0.444, 0.446), 720: (0.351, 0.392, 0.423, 0.466)}


def long_table(path: Path, rows: int) -> dict[str, np.ndarray]:
    """The first ``rows`` rows of the wide file as a long table: unique_id, ds, y."""
    columns, _ = read_columns(path)
    times = columns.pop("date")[:rows]
    return {
        "unique_id": np.repeat(np.array(list(columns), object), rows),
        "ds": np.tile(times, len(columns)),
        "y": np.concatenate([values[:rows] for values in columns.values()]),
    }


def sizes(name: str) -> tuple[int, int, int]:
    """Rows of training, validation and test."""
    day = STEPS_PER_DAY[name]
    return 12 * MONTH * day, 4 * MONTH * day, 4 * MONTH * day


def load(name: str) -> Panel:
    """The panel of the 7 channels, cut to the 20 months that the protocol uses."""
    rows = sum(sizes(name))
    table = long_table(data_folder("ett") / f"{name}.csv.gz", rows)
    return build_panel(table, Roles("y", "unique_id", "ds"), source=name)


def windows(panel: Panel, name: str, horizon: int, part: str = "test") -> tuple[np.ndarray, np.ndarray]:
    """Series and origins of every window of the test rows, or of the validation rows."""
    train, val, test = sizes(name)
    first, rows = (train, val) if part == "validation" else (train + val, test)
    count = rows - horizon + 1
    origins = panel.offsets[:-1, None] + first + np.arange(count)
    return np.repeat(np.arange(panel.n_series), count), origins.ravel()


def scaled_errors(panel: Panel, name: str, series: np.ndarray, origins: np.ndarray, point: np.ndarray):
    """MSE and MAE of forecasts [W, H] on the scale of the training rows."""
    _, scale = fit_series_scaler(panel.cut(0, sizes(name)[0]).target, panel.cut(0, sizes(name)[0]).offsets)
    truth = panel.target[origins[:, None] + np.arange(point.shape[1])]
    error = (point - truth) / scale[series][:, None]
    return float((error**2).mean()), float(np.abs(error).mean())


def naive(name: str, horizon: int, panel: Panel | None = None) -> dict[str, tuple[float, float]]:
    """MSE and MAE of repeat last and of the daily seasonal naive forecast."""
    panel = load(name) if panel is None else panel
    series, origins = windows(panel, name, horizon)
    rivals = {
        "repeat last": repeat_last(panel, origins, horizon),
        "seasonal naive": seasonal_naive(panel, origins, horizon, STEPS_PER_DAY[name]),
    }
    return {rival: scaled_errors(panel, name, series, origins, point) for rival, point in rivals.items()}


def settings_of(lookback: int, more: dict[str, Any]) -> dict[str, Any]:
    """The recipe of a lookback with what else was asked for, as a file of results spells it."""
    return json.loads(json.dumps(SHARED | RECIPES[lookback] | more))


def run(name: str, lookback: int, horizon: int, seed: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Train one model and score every validation and test window."""
    from grus import Forecaster

    rows, cpu = sum(sizes(name)), time.process_time()
    _, val, test = sizes(name)
    model = Forecaster(
        horizon, id="unique_id", time="ds", target="y", lookback=lookback, val_size=val, test_size=test, seed=seed,
        **settings,
    )  # fmt: skip
    begin = time.perf_counter()
    model.fit(long_table(data_folder("ett") / f"{name}.csv.gz", rows))
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    series, origins = windows(model.panel_, name, horizon, "validation")
    forecasts = model.live_.forecast(model.panel_, series, origins)
    validation_mse, _ = scaled_errors(model.panel_, name, series, origins, forecasts.point)
    series, origins = windows(model.panel_, name, horizon)
    forecasts = model.live_.forecast(model.panel_, series, origins, LEVELS)
    mse, mae = scaled_errors(model.panel_, name, series, origins, forecasts.point)
    truth = model.panel_.target[origins[:, None] + np.arange(horizon)]
    inside = {
        f"coverage_{level}": float(
            ((forecasts.lower[level] <= truth) & (truth <= forecasts.upper[level])).mean()
        )
        for level in LEVELS
    }
    history = model.history_
    return {
        "set": name, "lookback": lookback, "horizon": horizon, "seed": seed, "mse": mse, "mae": mae, **inside,
        "validation": history.best_score, "validation_mse": validation_mse, "best_epoch": history.best_epoch,
        "epochs": len(history.epochs),
        "windows": len(origins), "seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1),
        **settings,
    }  # fmt: skip


def results(file: Path, more: dict[str, Any]) -> list[dict[str, Any]]:
    """What stands in a file of results, of runs with these settings."""
    return [r for r in read_runs(file) if r == r | settings_of(r["lookback"], more)]


def fill(file: Path, name: str, wanted: Iterator[tuple[int, int, int]], more: dict[str, Any]) -> None:
    """Make the runs that a file of results lacks, cheapest first, and append each as it is done."""
    done = {(r["set"], r["lookback"], r["horizon"], r["seed"]) for r in results(file, more)}
    for lookback, horizon, seed in sorted(wanted, key=lambda run: (run[2], run[0] + run[1])):
        if (name, lookback, horizon, seed) not in done:
            result = run(name, lookback, horizon, seed, settings_of(lookback, more))
            append_run(file, result)


def table(found: list[dict[str, Any]], name: str) -> str:
    """Mean and spread over the seeds beside the published values, as Markdown."""
    lines = [
        "| lookback | horizon | seeds | MSE | spread | MAE | SegRNN MSE | over it | inside 80% | inside 95% |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for lookback in RECIPES:
        means = []
        for horizon, published in zip(HORIZONS, SEGRNN[lookback]):
            cell = [r for r in found if (r["set"], r["lookback"], r["horizon"]) == (name, lookback, horizon)]
            if not cell:
                continue
            mean = {
                k: statistics.fmean(r[k] for r in cell) for k in ("mse", "mae", "coverage_80", "coverage_95")
            }
            spread = max(r["mse"] for r in cell) - min(r["mse"] for r in cell)
            means.append((mean["mse"], published))
            lines.append(
                f"| {lookback} | {horizon} | {len(cell)} | {mean['mse']:.4f} | {spread:.4f} | {mean['mae']:.4f} | "
                f"{published:.3f} | {mean['mse'] / published - 1:+.1%} | {mean['coverage_80']:.1%} | "
                f"{mean['coverage_95']:.1%} |"
            )
        if means:
            ours, theirs = (statistics.fmean(column) for column in zip(*means))
            lines.append(
                f"| {lookback} | mean of {len(means)} | | {ours:.4f} | | | {theirs:.4f} | {ours / theirs - 1:+.1%} |||"
            )
    return "\n".join(lines)


def whole(text: str) -> list[int]:
    """Whole numbers joined by commas."""
    return [int(part) for part in text.split(",")]


def main() -> None:
    """Parse the command line; print one JSON object a floor, or fill a table and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--naive", action="store_true", help="only the naive floors, all sets and horizons")
    parser.add_argument("--table", type=Path, default=Path("ett.jsonl"), help="file of results to go on with")
    parser.add_argument("--set", default="ETTh1", choices=STEPS_PER_DAY)
    parser.add_argument("--horizons", type=whole, default=HORIZONS, help="comma separated")
    parser.add_argument("--lookbacks", type=whole, default=tuple(RECIPES), help="comma separated, of 96,720")
    parser.add_argument("--seeds", type=whole, default=(0, 1, 2), help="comma separated")
    parser.add_argument("--with", dest="more", type=json.loads, default={}, help="settings, as JSON")
    args = parser.parse_args()
    if args.naive:
        for name in STEPS_PER_DAY:
            panel = load(name)
            for horizon in HORIZONS:
                for rival, (mse, mae) in naive(name, horizon, panel).items():
                    print(
                        json.dumps({"set": name, "horizon": horizon, "model": rival, "mse": mse, "mae": mae})
                    )
        return
    print(f"{os.cpu_count()} cores; results go to {args.table}", file=sys.stderr)
    fill(args.table, args.set, itertools.product(args.lookbacks, args.horizons, args.seeds), args.more)
    print(table(results(args.table, args.more), args.set))


if __name__ == "__main__":
    main()
