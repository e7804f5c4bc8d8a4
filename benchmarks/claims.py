"""What is commonly said of GRUs, measured: weights, training time and accuracy beside LSTM and simple RNN.

    scripts/bench claims --out claims                 everything, about half an hour of one core; resumable
    scripts/bench claims --out claims --only speed    one part: speed, bike, trec, vowels, digits
    scripts/bench claims --out claims --table         the tables from what is there, as Markdown

Accuracy is `grus.compare` at equal width: the same rows, a search for each cell's learning rate, three seeds, intervals
over test units and runs; on shares of the training rows, and for rental bikes and vowels at several lengths.
Training time is the measurement of `grus.compare`, the training loop in turns on the same batches, of a classifier of
made-up series at several widths and lengths. Set OMP_NUM_THREADS and GRUS_NUM_THREADS to 1 for one core.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from classify import SETS
from grus.artifact import write_file

CELLS = ("gru", "lstm", "rnn")
WIDTHS, LENGTHS = (32, 64, 128, 256), (32, 128, 512)
HOURLY = Path(__file__).parents[1] / "examples" / "bike_sharing" / "hourly.csv"
EIGHT_WEEKS = 8 * 7 * 24
_COMMON: dict[str, Any] = {
    "cells": CELLS, "equal": "width", "hidden_size": 64, "rates": [1e-3, 3e-3, 1e-2], "seeds": 3, "device": "cpu",
}  # fmt: skip


def bike(folder: Path) -> Any:
    """Hourly demand a day ahead, by share of 20 months and by lookback."""
    from grus import compare

    return compare(
        "forecast", HOURLY, horizon=24, future=["holiday", "workingday"], val_size=EIGHT_WEEKS, test_size=EIGHT_WEEKS,
        windows_per_epoch=6400, epochs=6, sizes=[0.1, 0.3, 1.0], lengths=[48, 168],
        folder=folder, resume=resumable(folder), **_COMMON,
    )  # fmt: skip


def labelled(name: str, **settings: Any) -> Callable[[Path], Any]:
    """A public set of `benchmarks/classify.py` with its own test rows, by share of its training rows."""

    def run(folder: Path) -> Any:
        from grus import compare

        parts = SETS[name]()
        options = {"val_size": 0.1} | settings
        return compare(
            "classify",
            *parts.train,
            test=parts.test,
            folder=folder,
            resume=resumable(folder),
            **options,
            **_COMMON,
        )

    return run


PARTS: dict[str, Callable[[Path], Any]] = {
    "bike": bike,
    "trec": labelled("trec", sizes=[0.1, 0.3, 1.0], epochs=10, lower=False, token_dropout=0.2),
    "vowels": labelled("japanese_vowels", sizes=[0.3, 1.0], lengths=[7, 29], epochs=15, val_size=0.2),
    "digits": labelled("digits", sizes=[0.1, 0.3, 1.0], epochs=20, dropout=0.3),
}
TITLES = {
    "bike": "hourly bike rentals, 24 ahead", "trec": "TREC questions", "vowels": "Japanese Vowels",
    "digits": "digits by rows",
}  # fmt: skip


def resumable(folder: Path) -> bool:
    """Whether there is something to go on with."""
    from grus.tasks.compare.store import is_begun

    return is_begun(folder)


def speed(file: Path) -> list[dict[str, Any]]:
    """Weights and training time of every width and length: series of 16 channels, 32 at once, one layer, no dropout."""
    from grus import Classifier
    from grus.tasks.compare.classify import ClassifyProblem
    from grus.tasks.compare.measure import measure
    from grus.tasks.compare.problem import Setting

    found = json.loads(file.read_text()) if file.is_file() else []
    done = {(row["hidden"], row["length"]) for row in found}
    for length in LENGTHS:
        random = np.random.default_rng(0)
        data = list(random.normal(size=(320, length, 16)))
        options = {
            "bidirectional": False,
            "pool": "last",
            "dropout": 0.0,
            "ema": None,
            "test_size": 32,
            "log": "none",
        }
        problem = ClassifyProblem(data, [i % 2 for i in range(320)], Classifier(**options, device="cpu"))
        for hidden in WIDTHS:
            if (hidden, length) in done:
                continue
            costs = measure(problem, {cell: Setting(cell, hidden, 1e-3) for cell in CELLS})
            for cost in costs:
                found.append({
                    "cell": cost.cell, "hidden": hidden, "length": length, "steps": cost.steps,
                    "weights": cost.parameters - 2 * (hidden + 1),
                    "seconds": cost.epoch_seconds, "low": cost.low, "high": cost.high, "cpu_seconds": cost.cpu_seconds,
                    "latency_us": cost.latency_us, "memory": cost.memory,
                })  # fmt: skip
            write_file(file, json.dumps(found, indent=1).encode())
            print(f"width {hidden}, {length} steps: done", file=sys.stderr, flush=True)
    return found


def speed_table(rows: list[dict[str, Any]]) -> str:
    """Ratios by width and length, of the medians of rounds in turns."""
    by_place: dict[tuple[int, int], dict[str, dict[str, Any]]] = {}
    for row in rows:
        by_place.setdefault((row["hidden"], row["length"]), {})[row["cell"]] = row
    lines = [
        "| units | steps | weights of the layer, GRU / LSTM | GRU / RNN | ms a step, GRU | time, GRU / LSTM | "
        "GRU / RNN | processor time, GRU / LSTM | GRU / RNN | memory of a step, GRU / LSTM |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (hidden, length), cells in sorted(by_place.items()):
        gru, lstm, rnn = (cells[cell] for cell in CELLS)

        lines.append(
            f"| {hidden} | {length} | {gru['weights'] / lstm['weights']:.3f} | {gru['weights'] / rnn['weights']:.2f} | "
            f"{1e3 * gru['seconds'] / gru['steps']:.2f} | {gru['seconds'] / lstm['seconds']:.2f} | "
            f"{gru['seconds'] / rnn['seconds']:.2f} | {gru['cpu_seconds'] / lstm['cpu_seconds']:.2f} | "
            f"{gru['cpu_seconds'] / rnn['cpu_seconds']:.2f} | {gru['memory'] / lstm['memory']:.2f} |"
        )
    return "\n".join(lines)


def accuracy_table(comparisons: dict[str, Any]) -> str:
    """Errors at equal width, and the differences to the GRU with their 95% intervals."""
    from grus.inspection.compare.wording import error_text, plus_minus

    lines = [
        "| data | training rows | steps | GRU | LSTM - GRU | RNN - GRU | best baseline | "
        "weights, GRU / LSTM | time an epoch, GRU / LSTM | GRU / RNN |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, comparison in comparisons.items():
        outcome = comparison.outcome
        for point in outcome.points:
            cells = {result.cell: result for result in point.cells}
            gru = cells["gru"]
            differences = [
                plus_minus(cells[cell].minus(gru, outcome.level), outcome.metric) for cell in ("lstm", "rnn")
            ]
            floor = point.best_floor
            best = "-" if floor is None else f"{floor[0]} {error_text(floor[1], outcome.metric)}"
            lines.append(
                f"| {TITLES[name]} ({outcome.metric}) | {100 * point.share:g}% | {point.length or ''} | "
                f"{error_text(gru.mean, outcome.metric)} | {differences[0]} | {differences[1]} | {best} | "
                f"{gru.cost.parameters / cells['lstm'].cost.parameters:.3f} | "
                f"{gru.cost.epoch_seconds / cells['lstm'].cost.epoch_seconds:.2f} | "
                f"{gru.cost.epoch_seconds / cells['rnn'].cost.epoch_seconds:.2f} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, measure what is missing, and print Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("claims"), help="folder of all that is measured")
    parser.add_argument("--only", choices=("speed", *PARTS), help="one part")
    parser.add_argument("--table", action="store_true", help="print what is there, measure nothing")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    chosen = [args.only] if args.only else ["speed", *PARTS]
    if "speed" in chosen:
        file = args.out / "speed.json"
        rows = (
            json.loads(file.read_text())
            if args.table and file.is_file()
            else []
            if args.table
            else speed(file)
        )
        print(speed_table(rows), flush=True)
    comparisons = {}
    for name in (part for part in PARTS if part in chosen):
        folder = args.out / name
        if args.table and not (folder / "index.html").is_file():
            continue
        comparisons[name] = PARTS[name](folder)
        comparisons[name].save(folder, force=True)
        print(f"{name}: {comparisons[name].verdict}", file=sys.stderr, flush=True)
    if comparisons:
        print("\n" + accuracy_table(comparisons))
        for name, comparison in comparisons.items():
            print(f"\n{TITLES[name]}, {comparison.outcome.machine}: {comparison.verdict}")


if __name__ == "__main__":
    main()
