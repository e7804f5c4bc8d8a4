"""Where a forecast is worth little: stocks, exchange rates and weather against the random walk, reported as it comes.

The walk repeats the last value. The model has its defaults, the split is 70/10/20 in time order, and nothing was chosen
on test rows. The figure is the mean over the series of MAE / MAE of the walk, so that no series with large numbers
decides alone.

    scripts/bench honest                       all of them, as Markdown
    scripts/bench honest --only stocks
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from grus.data.readers import read_columns
from shared_data import data_folder


@dataclass(frozen=True)
class Case:
    """A table, the arguments of `grus.Forecaster` that belong to it, the rows of a series, and rows between origins."""

    columns: dict[str, np.ndarray]
    arguments: dict[str, Any]
    rows: int
    step: int


def stocks() -> Case:
    """Closing prices of 31 large US companies on business days, 2006 to 2017."""
    columns, _ = read_columns(data_folder("djia_stocks") / "djia_2006_2018.csv.gz", ["Date", "Close", "Name"])
    return Case(columns, {"id": "Name", "time": "Date", "target": "Close", "freq": "B"}, 3130, 1)


def exchange() -> Case:
    """Eight daily exchange rates, 1990 to 2016; the dates of the file are invented, so rows count as days."""
    columns, _ = read_columns(data_folder("exchange_rate") / "exchange_rate_ltsf.csv.gz")
    names = [name for name in columns if name != "date"]
    columns = {f"rate {name}": columns[name] for name in names}
    return Case(columns, {"target": list(columns)}, len(next(iter(columns.values()))), 1)


def weather() -> Case:
    """21 measurements every 10 minutes of 2020; -9999 stands for missing, of a stamp that comes twice one row goes."""
    columns, _ = read_columns(data_folder("weather_mpi") / "weather.csv.gz")
    first = np.unique(columns["date"], return_index=True)[1]
    table = {"date": columns.pop("date")[first]}
    for name, values in columns.items():
        table[name] = np.where(values[first] == -9999, np.nan, values[first])
    return Case(table, {"time": "date", "target": list(columns), "windows_per_epoch": 20_000}, len(first), 6)


CASES: dict[str, tuple[Callable[[], Case], tuple[int, ...]]] = {
    "stocks": (stocks, (1, 5, 20)),
    "exchange": (exchange, (5, 96)),
    "weather": (weather, (36, 96)),
}


def run(name: str, horizon: int, seed: int) -> dict[str, Any]:
    """Train with the defaults and score every window of the last fifth beside the walk."""
    from grus import Forecaster

    make, _ = CASES[name]
    case = make()
    test, val = case.rows // 5, case.rows // 10
    begin = time.perf_counter()
    model = Forecaster(horizon, test_size=test, val_size=max(val, horizon), seed=seed, **case.arguments)
    model.fit(case.columns)
    seconds = time.perf_counter() - begin
    e = model.evaluate(step=case.step, last=test)
    walk = next(score for score in e.scores if score.name == "repeat last")
    ratio = e.model.by_series / walk.by_series
    moved = _direction(model, e)
    return {
        "set": name, "horizon": horizon, "seed": seed, "series": len(ratio), "windows": e.windows,
        "over_walk": float(np.nanmean(ratio)), "better_series": int((ratio < 1).sum()),
        "best_naive_over_walk": e.best_baseline.mae / walk.mae, "right_direction": moved[0], "mostly_up": moved[1],
        "coverage_80": e.coverage[80], "coverage_95": e.coverage[95],
        "epochs": len(model.history_.epochs), "seconds": round(seconds, 1),
    }  # fmt: skip


def _direction(model: Any, e: Any) -> tuple[float, float]:
    """Of the windows that moved over the horizon, the share forecast to the right side, and the share that rose."""
    panel, f = model.panel_, e.forecasts
    last = panel.target[f.origins - 1]
    change = panel.target[f.origins + f.point.shape[1] - 1] - last
    some = np.isfinite(change) & (change != 0)
    right = np.sign(f.point[:, -1] - last)[some] == np.sign(change[some])
    return float(right.mean()), float((change[some] > 0).mean())


def table(found: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| data | horizon | series | windows | MAE over that of the walk | better series | right direction (rose) "
        "| inside 80% | inside 95% |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['set']} | {r['horizon']} | {r['series']} | {r['windows']:,} | {r['over_walk']:.3f} "
        f"| {r['better_series']} of {r['series']} | {r['right_direction']:.1%} ({r['mostly_up']:.1%}) "
        f"| {r['coverage_80']:.1%} | {r['coverage_95']:.1%} |"
        for r in found
    ]
    return "\n".join(lines)


def main() -> None:
    """Parse the command line; print one JSON object a model on stderr, and the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=CASES, help="one of the data sets")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    found = []
    for name, (_, horizons) in CASES.items():
        for horizon in horizons if args.only in (None, name) else ():
            found.append(run(name, horizon, args.seed))
            print(json.dumps(found[-1]), file=sys.stderr, flush=True)
    print(table(found))


if __name__ == "__main__":
    main()
