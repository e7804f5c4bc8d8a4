"""ETT (Zhou et al. 2021): the standard protocol, every window, beside the naive forecasts.

Protocol: a month is 30 days; rows [0, 12), [12, 16), [16, 20) months train, validate and test, and later rows are
never used; every channel is scaled by the mean and standard deviation (ddof=0) of its training rows; windows have
stride 1 and none is dropped; MSE and MAE are averaged over all windows, steps and the 7 channels, on the scaled values.

    scripts/bench ett --naive                              the floors, all sets and horizons
    scripts/bench ett --set ETTh1 --horizon 96             train and score, three seeds: --seeds 0,1,2
"""

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np

from grus.data.readers import read_columns
from grus.decode.baselines import repeat_last, seasonal_naive
from grus.preprocess.panel import Panel, build_panel
from grus.preprocess.roles import Roles
from grus.preprocess.scaling import fit_series_scaler
from shared_data import data_folder

STEPS_PER_DAY = {"ETTh1": 24, "ETTh2": 24, "ETTm1": 96}
HORIZONS = (96, 192, 336, 720)
MONTH = 30


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


def test_windows(panel: Panel, name: str, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Series and origins of every test window."""
    train, val, test = sizes(name)
    count = test - horizon + 1
    origins = panel.offsets[:-1, None] + train + val + np.arange(count)
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
    series, origins = test_windows(panel, name, horizon)
    rivals = {
        "repeat last": repeat_last(panel, origins, horizon),
        "seasonal naive": seasonal_naive(panel, origins, horizon, STEPS_PER_DAY[name]),
    }
    return {rival: scaled_errors(panel, name, series, origins, point) for rival, point in rivals.items()}


def train(args: argparse.Namespace, seed: int) -> dict[str, object]:
    """Train one model and score every test window."""
    from grus import Forecaster

    panel = load(args.set)
    _, val, test = sizes(args.set)
    model = Forecaster(
        args.horizon, id="unique_id", time="ds", target="y", lookback=args.lookback, calendar=(), loss=args.loss,
        hidden_size=args.hidden, dropout=args.dropout, learning_rate=args.learning_rate, batch_size=args.batch_size,
        epochs=args.epochs, windows_per_epoch=10**9, val_size=val, test_size=test, weight_decay=0.0, seed=seed,
    )  # fmt: skip
    begin = time.perf_counter()
    model.fit(long_table(data_folder("ett") / f"{args.set}.csv.gz", sum(sizes(args.set))))
    seconds = time.perf_counter() - begin
    series, origins = test_windows(panel, args.set, args.horizon)
    forecasts = model.live_.forecast(panel, series, origins)
    mse, mae = scaled_errors(panel, args.set, series, origins, forecasts.point)
    history = model.history_
    return {
        "set": args.set, "horizon": args.horizon, "lookback": args.lookback, "seed": seed, "mse": mse, "mae": mae,
        "validation": history.best_score, "best_epoch": history.best_epoch, "epochs": len(history.epochs),
        "hidden": args.hidden, "windows": len(origins), "seconds": round(seconds, 1),
    }  # fmt: skip


def main() -> None:
    """Parse the command line and print one JSON object a result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--naive", action="store_true", help="only the naive floors, all sets and horizons")
    parser.add_argument("--set", default="ETTh1", choices=STEPS_PER_DAY)
    parser.add_argument("--horizon", type=int, default=96)
    parser.add_argument("--lookback", type=int, default=96)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--dropout", type=float, default=0.5)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument(
        "--batch-size", type=int, default=1792, help="windows of one channel (256 of 7 channels)"
    )
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--loss", default="mse", choices=("mse", "mae", "huber"))
    parser.add_argument("--seeds", default="0", help="comma separated")
    args = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores", file=sys.stderr)
    if args.naive:
        for name in STEPS_PER_DAY:
            panel = load(name)
            for horizon in HORIZONS:
                for rival, (mse, mae) in naive(name, horizon, panel).items():
                    print(
                        json.dumps({"set": name, "horizon": horizon, "model": rival, "mse": mse, "mae": mae})
                    )
        return
    for seed in map(int, args.seeds.split(",")):
        print(json.dumps(train(args, seed)), flush=True)


if __name__ == "__main__":
    main()
