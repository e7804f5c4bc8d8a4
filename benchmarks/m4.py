"""M4 weekly (Makridakis et al. 2020): 359 series of 80 to 2,597 weeks without dates, 13 weeks ahead, one model.

Metrics of the competition: sMAPE = mean of 200 |y - f| / (|y| + |f|); MASE relative to the series' own mean
|y_t - y_{t-1}|
over its training rows; OWA = the mean of both relative to the naive forecast; MSIS of the 95% interval in the unit of
MASE.

    scripts/bench m4                           train with the defaults, three seeds, score the competition's test rows
    scripts/bench m4 --holdout                 the same on the last 13 training rows: for choices, which see no test row
    scripts/bench m4 --option epochs=20        any argument of grus.Forecaster
"""

import argparse
import ast
import csv
import gzip
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from shared_data import data_folder

HORIZON = 13
#: sMAPE, MASE and OWA of the competition's results for weekly series.
PUBLISHED = {
    "naive": (9.161, 2.777, 1.000),
    "Theta": (9.093, 2.637, 0.971),
    "ES-RNN, the winner": (7.817, 2.356, 0.851),
    "RNN benchmark": (15.22, 5.132, 1.755),
}


def read(file: Path) -> dict[str, np.ndarray]:
    """Series by name from a ragged table: a name, then values, then empty cells."""
    with gzip.open(file, "rt", newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    return {row[0]: np.array([float(cell) for cell in row[1:] if cell]) for row in rows}


def long_table(series: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """unique_id and y; the rows of a series in their order."""
    names = np.array(list(series), object)
    return {
        "unique_id": np.repeat(names, [len(values) for values in series.values()]),
        "y": np.concatenate(list(series.values())),
    }


def scores(history: dict[str, np.ndarray], truth: np.ndarray, point: np.ndarray) -> tuple[float, float]:
    """sMAPE and MASE of forecasts [N, 13]."""
    error = np.abs(truth - point)
    return (
        float((200 * error / (np.abs(truth) + np.abs(point))).mean()),
        float((error / unit(history)).mean()),
    )


def unit(history: dict[str, np.ndarray]) -> np.ndarray:
    """Mean |y_t - y_{t-1}| of each series [N, 1]."""
    return np.array([[np.abs(np.diff(values)).mean()] for values in history.values()])


def msis(history: dict[str, np.ndarray], truth: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """Mean scaled interval score of a 95% interval (Gneiting and Raftery 2007)."""
    missed = np.maximum(low - truth, 0) + np.maximum(truth - high, 0)
    return float(((high - low + 2 / 0.05 * missed) / unit(history)).mean())


def run(
    history: dict[str, np.ndarray], truth: np.ndarray, seed: int, options: dict[str, Any]
) -> dict[str, Any]:
    """Train one model over all series and score it."""
    from grus import Forecaster

    begin = time.perf_counter()
    model = Forecaster(HORIZON, id="unique_id", target="y", seed=seed, **options).fit(long_table(history))
    seconds = time.perf_counter() - begin
    columns = model.predict(level=[95])
    found = {name: columns[name].reshape(-1, HORIZON) for name in ("GRU", "GRU-lo-95", "GRU-hi-95")}
    order = [list(history).index(name) for name in columns["unique_id"][::HORIZON]]
    kept = {name: values for number, (name, values) in enumerate(history.items()) if number in set(order)}
    assert list(kept) == list(columns["unique_id"][::HORIZON])
    smape, mase = scores(kept, truth[order], found["GRU"])
    floor = naive(kept, truth[order])
    inside = (found["GRU-lo-95"] <= truth[order]) & (truth[order] <= found["GRU-hi-95"])
    return {
        "series": len(order), "seed": seed, "smape": smape, "mase": mase,
        "owa": (smape / floor[0] + mase / floor[1]) / 2,
        "msis": msis(kept, truth[order], found["GRU-lo-95"], found["GRU-hi-95"]), "coverage_95": float(inside.mean()),
        "epochs": len(model.history_.epochs), "seconds": round(seconds, 1), **options,
    }  # fmt: skip


def naive(history: dict[str, np.ndarray], truth: np.ndarray) -> tuple[float, float]:
    """sMAPE and MASE of the last value, repeated."""
    last = np.array([values[-1:] for values in history.values()])
    return scores(history, truth, np.broadcast_to(last, truth.shape))


def option(text: str) -> tuple[str, Any]:
    """``name=value``."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def main() -> None:
    """Parse the command line; print one JSON object a seed, and the floor."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--holdout", action="store_true", help="score the last 13 training rows instead")
    parser.add_argument("--seeds", default="0,1,2", help="comma separated")
    parser.add_argument("--option", type=option, action="append", default=[], metavar="NAME=VALUE")
    args = parser.parse_args()
    folder = data_folder("m4_weekly")
    history, test = read(folder / "Weekly-train.csv.gz"), read(folder / "Weekly-test.csv.gz")
    if args.holdout:
        test = {name: values[-HORIZON:] for name, values in history.items()}
        history = {name: values[:-HORIZON] for name, values in history.items()}
    truth = np.array([test[name] for name in history])
    smape, mase = naive(history, truth)
    print(json.dumps({"model": "naive", "series": len(history), "smape": smape, "mase": mase}), flush=True)
    for seed in map(int, args.seeds.split(",")):
        print(json.dumps(run(history, truth, seed, dict(args.option))), flush=True)
    if not args.holdout:
        print(f"published, sMAPE / MASE / OWA: {PUBLISHED}", file=sys.stderr)


if __name__ == "__main__":
    main()
