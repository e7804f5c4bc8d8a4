"""How the error of a forecast grows as values of the history go missing, for every way to read missing values.

    scripts/bench robustness_forecast --table dropped.jsonl      what the file lacks is run; the table is printed

Hours of bike rentals (the newest ``--rows`` of examples/bike_sharing) with the temperature as a past covariate, the
next 12 hours, the last 28 days tested at every twelfth hour. Every model is trained on the same rows, of whose values
30% were dropped at random; the history of the test rows loses other shares, single values or outages of twelve hours,
and what is forecast is always the truth as it was. One thread; small networks, and settings that were not chosen for
any form.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from run_table import append_run, read_runs

DATA = Path(__file__).parents[1] / "examples" / "bike_sharing" / "hourly.csv"
FORMS = ("default", "mean", "forward", "indicators", "decay")
TRAINED, HORIZON, OUTAGE = 0.3, 12, 12
TEST = 24 * 28
DROPPED = (0.0, 0.3, 0.6, 0.8, 0.9)
SETTINGS: dict[str, Any] = {
    "past": ["temp"], "lookback": 72, "segment": 12, "hidden_size": 32, "epochs": 12, "windows_per_epoch": 4096,
    "test_size": TEST, "device": "cpu", "log": "none",
}  # fmt: skip


def table(rows: int) -> dict[str, np.ndarray]:
    """The newest hours: time, rentals, temperature."""
    from grus.data.readers import read_columns

    columns, _ = read_columns(DATA)
    return {name: np.asarray(columns[name])[-rows:] for name in ("ds", "y", "temp")}


def dropped(columns: dict[str, np.ndarray], share: float, seed: int, run: int = 1) -> dict[str, np.ndarray]:
    """The table with a share of its values missing, in runs of so many rows, each column by itself."""
    random = np.random.default_rng(seed)
    found = dict(columns)
    for name in ("y", "temp"):
        length = len(columns[name])
        lost = np.repeat(random.random(-(-length // run)) < share, run)[:length]
        found[name] = np.where(lost, np.nan, columns[name].astype(np.float64))
    return found


def errors(live: Any, columns: dict[str, np.ndarray], seed: int, run: int) -> dict[str, dict[str, float]]:
    """MAE over the test rows at every share, of the model and of the last value known."""
    from grus.decode.baselines import repeat_last

    truth = live.panel(columns)
    series, origins = live.windows(truth, HORIZON, TEST)
    wanted = truth.target[origins[:, None] + np.arange(HORIZON)]
    found: dict[str, dict[str, float]] = {"model": {}, "last": {}}
    for share in DROPPED:
        panel = live.panel(dropped(columns, share, seed, run))
        answers = {
            "model": live.forecast(panel, series, origins).point,
            "last": repeat_last(panel, origins, HORIZON),
        }
        for name, values in answers.items():
            found[name][str(share)] = float(np.nanmean(np.abs(values - wanted)))
    return found


def measure(form: str, seed: int, rows: int) -> dict[str, Any]:
    """One model, its error at every share, dropped one by one and in outages."""
    from grus import Forecaster

    columns = table(rows)
    irregular = None if form == "default" else form
    model: Any = Forecaster(HORIZON, **SETTINGS, irregular=irregular, seed=seed, freq="h")
    model.fit(dropped(columns, TRAINED, 1000 + seed), progress="quiet")
    kinds = {
        "single": errors(model.live_, columns, seed, 1),
        "outages": errors(model.live_, columns, seed, OUTAGE),
    }
    return {"form": form, "seed": seed, "rows": rows, **kinds}


def summarise(results: list[dict[str, Any]]) -> str:
    """Mean MAE over seeds, as a table for values dropped one by one and one for outages."""
    lines = []
    for kind, name in (("single", "share dropped"), ("outages", f"share dropped, {OUTAGE} hours at once")):
        lines += [f"| {name} | " + " | ".join(f"{share:g}" for share in DROPPED) + " |"]
        lines += ["|---" * (len(DROPPED) + 1) + "|"]
        rows = [(form, "model") for form in FORMS if any(r["form"] == form for r in results)] + [("", "last")]
        for form, which in rows:
            own = [r[kind][which] for r in results if form in ("", r["form"])]
            means = [float(np.mean([one[str(share)] for one in own])) for share in DROPPED]
            title = f"{form} ({len(own)} seeds)" if form else "the last value known"
            lines.append(f"| {title} | " + " | ".join(f"{mean:.1f}" for mean in means) + " |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, run what the table lacks, print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, help="one JSON line a run; what it has is not run again")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rows", type=int, default=24 * 180)
    args = parser.parse_args()
    results = read_runs(args.table)
    known = {(r["form"], r["seed"], r["rows"]) for r in results}
    for seed in range(args.seeds):
        for form in FORMS:
            if (form, seed, args.rows) in known:
                continue
            results.append(measure(form, seed, args.rows))
            print(json.dumps(results[-1]), file=sys.stderr, flush=True)
            append_run(args.table, results[-1])
    print(summarise([r for r in results if r["rows"] == args.rows]))


if __name__ == "__main__":
    main()
