"""What a convolution before the GRU, or self-attention after it, brings to classification and forecasting.

    scripts/bench hybrids --results hybrids.jsonl              the runs that the file lacks, and the table
    scripts/bench hybrids --results hybrids.jsonl --set trec   of one set (may be repeated)
    scripts/bench hybrids --results hybrids.jsonl --print      the table alone

Every encoder gets the settings of the GRU, which were chosen for the GRU (benchmarks/classify.py, benchmarks/ett.py,
the bike sharing example with weather known): the same units, epochs and seeds. One thread.
"""

import argparse
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import classify
import ett
from run_table import append_run, read_runs

ENCODERS = ("gru", "conv-gru", "gru-attention")
SEEDS = 3
BIKE = Path(__file__).parent.parent / "examples" / "bike_sharing"
#: A recipe of 128 units, which takes a fifth of the time of the best known at this lookback, of 512.
ETT = {"hidden_size": 128, "dropout": 0.3}


def classified(name: str, seed: int, more: dict[str, Any]) -> dict[str, Any]:
    """Accuracy on the test rows."""
    parts = classify.SETS[name]()
    found = classify.score(name, parts, classify.SETTINGS[name] | more, seed)
    return {"accuracy": found["accuracy"], "epochs": found["epochs"]}


def etth1(name: str, seed: int, more: dict[str, Any]) -> dict[str, Any]:
    """Squared error of all test windows of ETTh1, 96 hours from 96, on the scale of the training rows."""
    found = ett.run("ETTh1", 96, 96, seed, ett.settings_of(96, ETT | {"log": "none"} | more))
    return {key: found[key] for key in ("mse", "validation_mse", "epochs")}


def bike(name: str, seed: int, more: dict[str, Any]) -> dict[str, Any]:
    """Mean absolute error of the day ahead, every day of the last eight weeks, weather known."""
    sys.path.insert(0, str(BIKE))
    from quickstart import DATA, EIGHT_WEEKS, WEATHER  # pyright: ignore[reportMissingImports]

    from grus import Forecaster

    model = Forecaster(
        24, future=WEATHER, val_size=EIGHT_WEEKS, test_size=EIGHT_WEEKS, seed=seed, log="none", **more
    ).fit(DATA, progress="quiet")
    assert model.test_ is not None
    assert model.validation_ is not None
    return {
        "mae": model.test_.model.mae, "validation_mae": model.validation_.model.mae,
        "epochs": len(model.history_.epochs),
    }  # fmt: skip


#: By set: what runs it, and its figure. Cheapest first.
SETS: dict[str, tuple[Callable[..., dict[str, Any]], str]] = {
    "japanese_vowels": (classified, "accuracy"),
    "basic_motions": (classified, "accuracy"),
    "digits": (classified, "accuracy"),
    "bike": (bike, "mae"),
    "sst2": (classified, "accuracy"),
    "etth1": (etth1, "mse"),
    "plaid": (classified, "accuracy"),
    "trec": (classified, "accuracy"),
}
TITLES = {
    "japanese_vowels": "Japanese Vowels", "basic_motions": "Basic Motions", "digits": "digits by rows",
    "bike": "bike sharing, weather known", "sst2": "SST-2", "etth1": "ETTh1, 96 hours from 96", "plaid": "PLAID",
    "trec": "TREC",
}  # fmt: skip

FIGURES = {"accuracy": "accuracy, %", "mae": "MAE", "mse": "MSE"}


def fill(file: Path, names: list[str]) -> None:
    """Make the runs that the file lacks and append each as it is done: every set once, then with the next seed."""
    done = {(r["set"], r["encoder"], r["seed"]) for r in read_runs(file)}
    runs = itertools.product(range(SEEDS), names, ENCODERS)
    for seed, name, encoder in runs:
        make, _ = SETS[name]
        if (name, encoder, seed) in done:
            continue
        cpu, begin = time.process_time(), time.perf_counter()
        result = {"set": name, "encoder": encoder, "seed": seed, **make(name, seed, {"encoder": encoder})}
        result["cpu_seconds"] = round(time.process_time() - cpu, 1)
        result["seconds"] = round(time.perf_counter() - begin, 1)
        print(json.dumps(result), file=sys.stderr, flush=True)
        append_run(file, result)


def cell(values: list[float], figure: str) -> str:
    """Mean and standard deviation."""
    scale, digits = {"accuracy": (100, 1), "mae": (1, 1), "mse": (1, 4)}[figure]
    spread = f" +- {scale * statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{scale * statistics.fmean(values):.{digits}f}{spread}"


def table(found: list[dict[str, Any]]) -> str:
    """Each set's figure by encoder, and processor time of a run over that of the GRU alone, as Markdown."""
    lines = [
        f"| set | figure | seeds | {' | '.join(ENCODERS)} | time of conv-gru | time of gru-attention |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, (_, figure) in SETS.items():
        runs = {(r["encoder"], r["seed"]): r for r in found if r["set"] == name}
        seeds = [s for s in range(SEEDS) if all((encoder, s) in runs for encoder in ENCODERS)]
        if not seeds:
            continue
        rows = [[runs[encoder, seed] for seed in seeds] for encoder in ENCODERS]
        times = [statistics.fmean(r["cpu_seconds"] for r in one) for one in rows]
        cells = [cell([r[figure] for r in one], figure) for one in rows]
        cells += [f"{time / times[0]:.1f}x" for time in times[1:]]
        lines.append(f"| {' | '.join([TITLES[name], FIGURES[figure], str(len(seeds)), *cells])} |")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, fill the file, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results", type=Path, default=Path("hybrids.jsonl"), help="file of results to go on with"
    )
    parser.add_argument("--set", action="append", choices=SETS, help="only this one; may be repeated")
    parser.add_argument("--print", action="store_true", help="the table alone")
    args = parser.parse_args()
    if not args.print:
        import torch

        torch.set_num_threads(1)
        print(f"{os.cpu_count()} cores; results go to {args.results}", file=sys.stderr)
        fill(args.results, args.set or list(SETS))
    print(table(read_runs(args.results)))


if __name__ == "__main__":
    main()
