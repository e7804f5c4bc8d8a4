"""PyPOTS' GRU-D on the folds of benchmarks/physionet2012.py, beside Grus' own: AUC, and processor time of training.

    python3 -m venv peers && peers/bin/pip install torch==2.13.0
    peers/bin/pip install --no-deps -r constraints-pypots.txt
    peers/bin/python benchmarks/physionet2012_peers.py --table peers.jsonl                       AUC of every fold
    .venv/bin/python benchmarks/physionet2012_peers.py --turns peers/bin/python --fold 0         time, in turns

The same inputs: the same hourly rows, columns, bounds, means and deviations of training; 64 units; the same folds,
validation rows, batch, rate, epochs and patience. PyPOTS stops by its own validation loss and has no dropout. It needs
a grid, so every stay has 48 hourly rows, and its rows without a measurement cost time that Grus' do not. Time is
compared over as many epochs of training and validation of both, so that who stops when plays no part; an epoch is one
pass through the training stays (an epoch of `grus.Classifier` has at least 50 steps, which here are two passes).
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import physionet2012 as p
from run_table import append_run, read_runs

HOURS = 48


def grid(stays: p.Stays, train: np.ndarray) -> np.ndarray:
    """Hourly rows of all stays, float32 [4000, 48, inputs], bounded and standardised by the training stays' values."""
    number, hour = np.searchsorted(stays.ids, stays.table["stay"]), stays.table["minute"] // 60
    values = np.stack([stays.table[name] for name in stays.names], 1)
    known = values[np.isin(number, train)]
    values = np.clip(values, *np.nanquantile(known, (0.001, 0.999), axis=0))
    known = values[np.isin(number, train)]
    deviation = np.nanstd(known, axis=0)
    out = np.full((len(stays.ids), HOURS, len(stays.names)), np.nan, np.float32)
    out[number, hour] = (values - np.nanmean(known, axis=0)) / np.where(deviation > 0, deviation, 1.0)
    return out


def train(fold: int, seed: int, epochs: int, patience: int) -> dict[str, Any]:
    """PyPOTS' model of one fold."""
    import torch
    from pypots.classification import GRUD  # pyright: ignore[reportMissingImports]
    from pypots.optim import Adam  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (PyPOTS draws from it)
    stays = p.read()
    rows = p.parts(stays.died, fold)
    x = grid(stays, rows[0])
    parts = [{"X": x[own], "y": stays.died[own]} for own in rows]
    settings = p.SETTINGS
    model = GRUD(
        n_steps=HOURS, n_features=x.shape[2], n_classes=2, rnn_hidden_size=settings["hidden_size"],
        batch_size=settings["batch_size"], epochs=epochs, patience=patience,
        optimizer=Adam(lr=settings["learning_rate"]), device="cpu", num_workers=0, verbose=False,
    )  # fmt: skip
    begin = time.process_time()
    model.fit(parts[0], parts[1])
    seconds = time.process_time() - begin
    found = [np.asarray(model.predict_proba(part))[:, 1] for part in parts[1:]]
    return {
        "model": "PyPOTS GRU-D", "fold": fold, "seed": seed, "cpu_s": round(seconds, 1),
        "validation_auc": p.area_under_roc(found[0], parts[1]["y"]), **p.scores(found[1], parts[2]["y"]),
        "p": found[1].round(5).tolist(),
    }  # fmt: skip


def timed(python: str, own: bool, fold: int, epochs: int) -> float:
    """Processor seconds of training for so many epochs, in a process of its own."""
    who = "grus" if own else "pypots"
    command = [python, __file__, "--worker", who, "--fold", str(fold), "--epochs", str(epochs)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    if done.returncode:
        sys.exit(f"error: {who} failed\n{done.stderr[-2000:]}")
    return float(next(line for line in done.stdout.splitlines() if line.startswith("RESULT ")).split()[1])


def work(who: str, fold: int, epochs: int) -> float:
    """Processor seconds of the training loop alone: of Grus without its baselines, of PyPOTS ``fit``."""
    if who == "pypots":
        return train(fold, 0, epochs, epochs)["cpu_s"]
    import grus.tasks.estimator as estimator
    from grus.tasks.classify_job import ClassifyJob

    ClassifyJob.__init__.__kwdefaults__["min_steps"] = 1  # an epoch is one pass
    spent, run = [], estimator.train

    def watched(*arguments: Any) -> Any:
        begin = time.process_time()
        history = run(*arguments)
        spent.append(time.process_time() - begin)
        rows = len(p.parts(stays.died, fold)[0])
        assert history.epochs[-1].steps == epochs * -(-rows // p.SETTINGS["batch_size"]), "one pass an epoch"
        return history

    estimator.train = watched
    settings = p.SETTINGS | {"epochs": epochs, "patience": None}
    stays = p.read()
    p.recurrent("decay", stays, fold, 0, settings, test=False)
    return spent[0]


def main() -> None:
    """Parse the command line; train the folds that the table lacks, or measure in turns."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, help="one JSON line a run; what it has is not run again")
    parser.add_argument("--fold", action="append", type=int, choices=range(p.FOLDS))
    parser.add_argument("--epochs", type=int, default=p.SETTINGS["epochs"])
    parser.add_argument("--turns", help="the peers' python: measure both in turns")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", choices=("grus", "pypots"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    chosen = args.fold or range(p.FOLDS)
    if args.worker:
        print("RESULT", work(args.worker, chosen[0], args.epochs))
        return
    if args.turns:
        pairs = [
            (
                timed(args.turns, False, chosen[0], args.epochs),
                timed(sys.executable, True, chosen[0], args.epochs),
            )
            for _ in range(args.rounds)
        ]
        ratios = [theirs / ours for theirs, ours in pairs]
        print(json.dumps({"epochs": args.epochs, "cpu_s": pairs, "ratios": ratios, "median": median(ratios)}))
        return
    results = read_runs(args.table)
    for fold in chosen:
        if any(r["fold"] == fold for r in results):
            continue
        results.append(train(fold, 0, args.epochs, min(p.SETTINGS["patience"], args.epochs)))
        print({key: value for key, value in results[-1].items() if key != "p"}, file=sys.stderr, flush=True)
        append_run(args.table, results[-1])
    print(p.summarise(results, p.read().died))


if __name__ == "__main__":
    main()
