"""How accuracy falls as values are missing or noisy, for every way to read missing values.

    scripts/bench robustness --table robust.jsonl            what the file lacks is run; the table is printed
    python docs/images/robustness.py robust.jsonl            draws it

Japanese Vowels (270 recordings to train on, 370 to test, 12 channels, 9 speakers). Every model is trained on the same
rows, of whose values 30% were dropped at random, and tested on rows of which other shares were dropped, or to which
normal noise was added, of a standard deviation in those of the channel in training. One thread; the settings are those
of benchmarks/classify.py, in one direction, and were not chosen for any of the forms.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import classify
from run_table import append_run, read_runs

FORMS = ("default", "mean", "forward", "indicators", "decay")
TRAINED = 0.3
DROPPED = (0.0, 0.15, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
NOISE = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
SETTINGS: dict[str, Any] = {
    "val_size": 0,
    "epochs": 15,
    "hidden_size": 128,
    "bidirectional": False,
    "device": "cpu",
}


def dropped(rows: list[np.ndarray], share: float, seed: int) -> list[np.ndarray]:
    """The series with a share of their values missing at random."""
    random = np.random.default_rng(seed)
    return [np.where(random.random(row.shape) < share, np.nan, row) for row in rows]


def noisy(rows: list[np.ndarray], spread: np.ndarray, amount: float, seed: int) -> list[np.ndarray]:
    """The series with normal noise, ``amount`` times the spread of each channel."""
    random = np.random.default_rng(seed)
    return [row + random.normal(size=row.shape) * spread * amount for row in rows]


def run(form: str, seed: int) -> dict[str, Any]:
    """One model, its accuracy at every share dropped and every noise."""
    from grus import Classifier

    parts = classify.sensors("sensor_japanese_vowels", "japanese_vowels.npz")
    rows, labels = parts.train
    held, truth = parts.test
    spread = np.concatenate(rows).std(0)
    options: Any = {**SETTINGS, "irregular": None if form == "default" else form, "seed": seed, "log": "none"}
    model = Classifier(**options).fit(dropped(rows, TRAINED, 1000 + seed), labels, progress="quiet")
    return {
        "form": form,
        "seed": seed,
        "dropped": {str(share): model.score(dropped(held, share, seed), truth) for share in DROPPED},
        "noise": {str(amount): model.score(noisy(held, spread, amount, seed), truth) for amount in NOISE},
    }


def summarise(results: list[dict[str, Any]]) -> str:
    """Mean accuracy over seeds, in percent, as two tables."""
    lines = []
    for key, name, levels in (("dropped", "share dropped", DROPPED), ("noise", "noise", NOISE)):
        lines += [
            f"| {name} | " + " | ".join(f"{level:g}" for level in levels) + " |",
            "|---" * (len(levels) + 1) + "|",
        ]
        for form in [form for form in FORMS if any(r["form"] == form for r in results)]:
            own = [r[key] for r in results if r["form"] == form]
            means = [100 * float(np.mean([one[str(level)] for one in own])) for level in levels]
            lines.append(
                f"| {form} ({len(own)} seeds) | " + " | ".join(f"{mean:.1f}" for mean in means) + " |"
            )
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, run what the table lacks, print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, help="one JSON line a run; what it has is not run again")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    results = read_runs(args.table)
    known = {(r["form"], r["seed"]) for r in results}
    for seed in range(args.seeds):
        for form in FORMS:
            if (form, seed) in known:
                continue
            results.append(run(form, seed))
            print(json.dumps(results[-1]), file=sys.stderr, flush=True)
            append_run(args.table, results[-1])
    print(summarise(results))


if __name__ == "__main__":
    main()
