"""Faults of a water circuit in the 34 labelled files of SKAB: row by row, without point adjustment, beside floors.

Of every file the first 400 rows train; the rest are scored. No input tells how far a file has come: the column of dates
is not read. Settings are the same for all files; the threshold of each is set by its own training rows.

    scripts/bench skab                          one seed
    scripts/bench skab --seed 0 --seed 1 --seed 2
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from grus.data.readers import read_columns
from shared_data import data_folder

TRAIN = 400
#: A file is one experiment at one working point, so what is normal stays what it was in its training rows, their level
#: too; faults last for minutes, come on slowly and move several sensors. 360 rows are few: a small network.
SETTINGS: dict[str, Any] = {
    "memory": 0, "outside": 0.0, "short": 10, "level": True, "joint": True, "false_alarm_rate": 1e-5,
    "hidden_size": 4, "epochs": 3, "dropout": 0.3, "weight_decay": 0.1,
}  # fmt: skip


@dataclass(frozen=True)
class File:
    """One experiment: its name, the sensors by column, and 1 in every anomalous row."""

    name: str
    columns: dict[str, np.ndarray]
    anomalous: np.ndarray


def load() -> list[File]:
    """The labelled files."""
    files = []
    for path in sorted(data_folder("skab").glob("*/*.csv.gz")):
        columns, _ = read_columns(path)
        if "anomaly" in columns:
            sensors = {n: v for n, v in columns.items() if n not in ("datetime", "anomaly", "changepoint")}
            name = f"{path.parent.name}/{path.name.removesuffix('.csv.gz')}"
            files.append(File(name, sensors, columns["anomaly"] == 1))
    return files


def pooled(files: list[File], called: list[np.ndarray]) -> dict[str, float]:
    """F1, false alarm rate and missed alarm rate of all rows after the training ones, in percent."""
    truth = np.concatenate([file.anomalous[TRAIN:] for file in files])
    found = np.concatenate([rows[TRAIN:] for rows in called])
    hits, false = int((truth & found).sum()), int((found & ~truth).sum())
    missed = int((truth & ~found).sum())
    return {
        "f1": 100 * 2 * hits / (2 * hits + false + missed),
        "false_alarms": 100 * false / int((~truth).sum()),
        "missed": 100 * missed / int(truth.sum()),
    }


def floors(files: list[File]) -> dict[str, dict[str, float]]:
    """Rules that read no sensor: every row, and the rows at which faults begin and end in most files."""
    rows = [np.arange(len(file.anomalous)) for file in files]
    return {
        "every row": pooled(files, [row >= 0 for row in rows]),
        "the clock alone (rows 566 to 966)": pooled(files, [(row >= 566) & (row < 966) for row in rows]),
    }


def level_alone(files: list[File]) -> list[np.ndarray]:
    """The detector's score and threshold without a network: of the sensors' levels, judged together."""
    from grus.decode.likelihood import Likelihood, damped, to_severity
    from grus.spec import Detect
    from grus.tasks.detect_fit import threshold_of

    called = []
    for file in files:
        values = np.stack([np.asarray(v, np.float64) for v in file.columns.values()], 1)
        spread = values[:TRAIN].std(0)
        values = (values - values[:TRAIN].mean(0)) / np.where(spread > 0, spread, 1.0)
        task = Detect(tuple(file.columns), None, None, None, SETTINGS["short"], 0, 0.0, 0, joint=True)
        begin, mean, level = np.zeros(values.shape[1]), [], np.zeros(values.shape[1])
        for row in damped(values[:TRAIN]):
            level = level + (row - level) / task.short
            mean.append(level)
        likelihood = Likelihood(task, np.mean(mean, 0), np.std(mean, 0), begin, begin, begin)
        state, severity = likelihood.begin(1), []
        for row in damped(values):
            found, state = likelihood.step(state, row[None], row[None])
            severity.append(found.max())
        least = to_severity(threshold_of(np.array(severity[:TRAIN]), 1e-4))
        called.append(np.array(severity) > least)
    return called


def detect(files: list[File], seed: int, settings: dict[str, Any]) -> list[np.ndarray]:
    """Which rows `grus.AnomalyDetector` calls anomalous, file by file."""
    from grus import AnomalyDetector

    called, begin = [], time.process_time()
    for number, file in enumerate(files):
        model = AnomalyDetector(seed=seed, device="cpu", log="none", **settings)
        model.fit({name: values[:TRAIN] for name, values in file.columns.items()}, progress="quiet")
        called.append(model.predict(file.columns) == 1)
        seconds = time.process_time() - begin
        print(f"{number + 1}/{len(files)} {file.name}, {seconds:.0f} s of CPU", file=sys.stderr, flush=True)
    return called


def main() -> None:
    """Parse the command line, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument(
        "--set",
        type=json.loads,
        default={},
        help="arguments of AnomalyDetector in JSON, over those of SETTINGS",
    )
    args = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    files = load()
    found = floors(files) | {"level alone, no network": pooled(files, level_alone(files))}
    for seed in args.seed or [0]:
        found[f"grus, seed {seed}"] = pooled(files, detect(files, seed, SETTINGS | args.set))
    print("| | F1 | false alarms % | missed % |\n|---|---|---|---|")
    for name, row in found.items():
        print(f"| {name} | {row['f1'] / 100:.3f} | {row['false_alarms']:.2f} | {row['missed']:.2f} |")


if __name__ == "__main__":
    main()
