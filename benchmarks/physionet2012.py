"""In-hospital death in PhysioNet 2012, set A, by every way to read missing values: AUC over five folds.

    scripts/bench physionet2012 --table stays.jsonl                       every run that the file lacks, and the table
    scripts/bench physionet2012 --table stays.jsonl --form decay --seeds 3
    scripts/bench physionet2012 --table stays.jsonl --print               the table alone
    scripts/bench physionet2012 --tune '{"pool": "mean"}' --form decay    validation rows only, no test row is read

The protocol of Che et al. 2018 (Recurrent neural networks for multivariate time series with missing values): 4,000
stays, 48 hours, stratified five-fold cross-validation, one recurrent layer of 64 units, standardised by what was
measured in training. Of each fold's training rows a fifth validates: it stops the training, calibrates, and is all that
settings were chosen by. One thread.

33 of the 37 variables are read. The paper says 33 and we could not check which; left out here are Weight (a description
of the patient, often not given), MechVent (it is only ever 1) and the two that the fewest stays have (TroponinI, 205;
Cholesterol, 305). Amounts with a long tail, such as urine and enzymes, are read as log(1 + x). Age, gender, height,
weight and the kind of unit, known on admission, are columns of the first row.
Never read: SAPS-I, SOFA, Length_of_stay and Survival, which are outcomes or scores made of them.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from run_table import append_run, read_runs
from shared_data import data_folder

FORMS = ("mean", "forward", "indicators", "decay")
BASELINES = ("logistic regression", "gradient boosting")
LEFT_OUT = ("Weight", "MechVent", "Cholesterol", "TroponinI")
#: Amounts that are never below 0 and have a long tail: read as log(1 + x).
LOGARITHMS = (
    "ALP", "ALT", "AST", "BUN", "Bilirubin", "Creatinine", "Glucose", "Lactate", "PaO2", "Platelets", "TroponinT",
    "Urine", "WBC",
)  # fmt: skip
UNITS = (1, 2, 3, 4)
FOLDS = 5
GRID = 60
#: Chosen on validation rows, see `docs/results.md`.
SETTINGS: dict[str, Any] = {
    "hidden_size": 64, "layers": 1, "bidirectional": False, "pool": "last", "dropout": 0.5, "token_dropout": 0.3,
    "epochs": 12, "batch_size": 64, "learning_rate": 2e-3, "patience": 5, "max_length": 300,
}  # fmt: skip
PUBLISHED = {"mean": 0.8195, "forward": 0.8162, "indicators": 0.8155, "decay": 0.8424}


@dataclass(frozen=True)
class Stays:
    """All stays as one long table: a row for each time at which something was measured, and one on admission.

    Attributes:
        table: ``stay``, ``minute``, and the inputs by name, NaN where missing; ids: of the stays, in order.
        names: of the inputs; died: 0 or 1 by stay.
    """

    table: dict[str, np.ndarray]
    ids: np.ndarray
    names: tuple[str, ...]
    died: np.ndarray

    def of(self, rows: np.ndarray, labelled: bool = True) -> dict[str, np.ndarray]:
        """The table of some stays, by number."""
        number = np.searchsorted(self.ids, self.table["stay"])
        kept = np.isin(number, rows)
        found = {name: values[kept] for name, values in self.table.items()}
        return {**found, "died": np.array(["no", "yes"])[self.died[number[kept]]]} if labelled else found


def read(grid: int = GRID, static: bool = True) -> Stays:
    """The stays; ``grid`` minutes are one row, of the means of their measurements, 0: each time is a row of its own."""
    with np.load(data_folder("physionet2012") / "physionet2012_set_a.npz", allow_pickle=False) as file:
        data = {name: file[name] for name in file.files}
    order = np.argsort(data["record_id"], kind="stable")
    rank = np.argsort(order)
    ids, stays = data["record_id"][order].astype(np.int64), len(order)
    stay = rank[np.repeat(np.arange(stays), np.diff(data["row_splits"]))]
    variable, value = data["variable"].astype(np.int64), data["value"].astype(np.float64)
    minute = data["time_min"].astype(np.int64)
    if grid:
        minute = np.minimum(minute // grid, 2880 // grid - 1) * grid
    places = np.concatenate(
        [stay * 10_000 + minute, np.arange(stays) * 10_000]
    )  # one on admission, whatever was measured
    place, row = np.unique(places, return_inverse=True)
    names = [str(name) for name in data["variable_names"]]
    cell = row[: len(stay)] * len(names) + variable
    count = np.bincount(cell, minlength=len(place) * len(names))
    with np.errstate(invalid="ignore"):
        means = np.bincount(cell, value, len(count)) / count
    wide = means.reshape(len(place), len(names))
    inputs = {name: wide[:, i] for i, name in enumerate(names) if name not in LEFT_OUT}
    inputs |= {name: np.log1p(np.maximum(inputs[name], 0.0)) for name in LOGARITHMS}
    if static:
        first = np.searchsorted(place, np.arange(stays) * 10_000)
        for name, values in _static(data, order).items():
            inputs[name] = np.full(len(place), np.nan)
            inputs[name][first] = values
    died = data["outcome"][order, list(data["outcome_names"]).index("In-hospital_death")].astype(np.int64)
    return Stays({"stay": ids[place // 10_000], "minute": place % 10_000, **inputs}, ids, tuple(inputs), died)


def _static(data: Mapping[str, np.ndarray], order: np.ndarray) -> dict[str, np.ndarray]:
    """What is known on admission, by name, NaN where it is not."""
    known = {
        str(name): np.where(column < 0, np.nan, column.astype(np.float64))
        for name, column in zip(data["static_names"], data["static"][order].T)
    }
    unit = known.pop("ICUType")
    return {**known, **{f"ICUType{n}": (unit == n).astype(np.float64) for n in UNITS}}


def folds(died: np.ndarray, count: int = FOLDS, seed: int = 0) -> np.ndarray:
    """The fold of each stay, with the same share of deaths in each, int64."""
    random, found = np.random.default_rng(seed), np.zeros(len(died), np.int64)
    for outcome in (0, 1):
        rows = random.permutation(np.flatnonzero(died == outcome))
        found[rows] = np.arange(len(rows)) % count
    return found


def parts(died: np.ndarray, fold: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stays to train on, to validate (a fifth of the rest) and to test."""
    of = folds(died)
    rest = np.flatnonzero(of != fold)
    inner = folds(died[rest], 5, 100 + fold)
    return rest[inner != 0], rest[inner == 0], np.flatnonzero(of == fold)


# -- scores --------------------------------------------------------------------------------------------------------


def area_under_roc(score: np.ndarray, truth: np.ndarray) -> float:
    """The share of pairs of one that died and one that did not in which the first has the higher score; ties half."""
    values, place = np.unique(score, return_inverse=True)
    positive, all_of = np.bincount(place, truth, len(values)), np.bincount(place, minlength=len(values))
    negative = all_of - positive
    below = np.cumsum(negative) - negative
    return float(positive @ (below + negative / 2) / (positive.sum() * negative.sum()))


def average_precision(score: np.ndarray, truth: np.ndarray) -> float:
    """The area under precision over recall, as a sum over the different scores (scikit-learn's definition)."""
    values, place = np.unique(-score, return_inverse=True)
    positive = np.cumsum(np.bincount(place, truth, len(values)))
    precision = positive / np.cumsum(np.bincount(place, minlength=len(values)))
    return float(np.diff(positive, prepend=0.0) @ precision / positive[-1])


def scores(p: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """AUC, area under precision over recall, and the Brier score (mean squared error of the probability)."""
    return {
        "auc": area_under_roc(p, truth), "auprc": average_precision(p, truth), "brier": float(((p - truth) ** 2).mean())
    }  # fmt: skip


def calibration(p: np.ndarray, truth: np.ndarray, bins: int = 10) -> list[tuple[int, float, float]]:
    """By bins of as many stays each: how many, their mean probability, and the share that died."""
    order = np.argsort(p, kind="stable")
    return [
        (len(part), float(p[part].mean()), float(truth[part].mean())) for part in np.array_split(order, bins)
    ]


# -- models --------------------------------------------------------------------------------------------------------


def recurrent(
    form: str, stays: Stays, fold: int, seed: int, settings: dict[str, Any], test: bool = True
) -> dict[str, Any]:
    """One model of one fold; without ``test`` no test row is read."""
    from grus import Classifier
    from grus.tasks import classify_baselines

    classify_baselines.PENALTIES = (
        1e-1,
    )  # the linear model that goes with a classifier is not asked for here
    train, validation, held = parts(stays.died, fold)
    begin = time.process_time()
    given: Any = form
    model = Classifier(
        irregular=given,
        id="stay",
        time="minute",
        label="died",
        columns=stays.names,
        seed=seed,
        log="none",
        device="cpu",
        **settings,
    ).fit(stays.of(train), validation=stays.of(validation), progress="quiet")  # type: ignore[arg-type]
    seconds = time.process_time() - begin

    def probabilities(rows: np.ndarray) -> np.ndarray:
        found = model.live_.predict(stays.of(rows, labelled=False), proba=True)
        return found["p_yes"][np.searchsorted(found["stay"], stays.ids[rows])]

    history = model.history_
    result = {
        "validation_auc": area_under_roc(probabilities(validation), stays.died[validation]),
        "best_epoch": history.best_epoch, "epochs": len(history.epochs), "cpu_s": round(seconds, 1),
    }  # fmt: skip
    if test:
        p = probabilities(held)
        result |= {**scores(p, stays.died[held]), "p": p.round(5).tolist()}
    return result


def summaries(stays: Stays) -> np.ndarray:
    """Of each stay and input: how often it was measured, and mean, deviation, least, greatest, first, last value."""
    number = np.searchsorted(stays.ids, stays.table["stay"])
    columns = []
    for name in stays.names:
        values = stays.table[name]
        known = np.flatnonzero(~np.isnan(values))
        of, x = number[known], values[known]
        count = np.bincount(of, minlength=len(stays.ids)).astype(float)
        there = count > 0
        starts = np.searchsorted(of, np.flatnonzero(there))
        mean = np.bincount(of, x, len(count))[there] / count[there]
        square = np.bincount(of, x * x, len(count))[there] / count[there]
        found = np.full((7, len(count)), np.nan)
        found[0] = count
        found[1:, there] = [
            mean, np.sqrt(np.maximum(square - mean**2, 0)), np.minimum.reduceat(x, starts),
            np.maximum.reduceat(x, starts), x[starts], x[np.append(starts[1:], len(x)) - 1],
        ]  # fmt: skip
        columns += [found]
    return np.concatenate(columns).T


def baseline(name: str, stays: Stays, fold: int, seed: int) -> dict[str, Any]:
    """A model of summaries that knows no order of time; its one setting is chosen by the AUC of validation rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    train, validation, held = parts(stays.died, fold)
    begin, x = time.process_time(), summaries(stays)
    if name == "logistic regression":
        low, high = np.nanquantile(x[train], (0.001, 0.999), axis=0)
        x = np.clip(x, low, high)
        center, scale = np.nanmean(x[train], 0), np.nanstd(x[train], 0)
        x = np.nan_to_num((x - center) / np.where(scale > 0, scale, 1.0))
        models = [LogisticRegression(C=c, max_iter=2000) for c in (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1)]
        fitted = [model.fit(x[train], stays.died[train]) for model in models]
        found = [lambda rows, model=model: model.predict_proba(x[rows])[:, 1] for model in fitted]
    else:
        options: dict[str, Any] = {
            "learning_rate": 0.05, "max_iter": 300, "max_leaf_nodes": 8, "l2_regularization": 1.0,
            "early_stopping": False, "random_state": seed,
        }  # fmt: skip
        trees = HistGradientBoostingClassifier(**options).fit(x[train], stays.died[train])
        stages = range(19, 300, 20)
        found = [
            lambda rows, n=n: next(p for i, p in enumerate(trees.staged_predict_proba(x[rows])) if i == n)[
                :, 1
            ]
            for n in stages
        ]
    validated = [area_under_roc(predict(validation), stays.died[validation]) for predict in found]
    best = int(np.argmax(validated))
    p = found[best](held)
    return {
        "validation_auc": validated[best], "choice": best, "cpu_s": round(time.process_time() - begin, 1),
        **scores(p, stays.died[held]), "p": p.round(5).tolist(),
    }  # fmt: skip


# -- table ---------------------------------------------------------------------------------------------------------


def summarise(results: list[dict[str, Any]], died: np.ndarray) -> str:
    """The table of all folds: mean and deviation over folds of the mean over seeds, and averaged models beside it."""
    lines = [
        "| | seeds | AUC | sd over folds | AUPRC | Brier | published AUC | CPU s a fold |",
        "|---|---|---|---|---|---|---|---|",
    ]
    of = folds(died)
    pooled: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(r["model"] for r in results):
        runs = [r for r in results if r["model"] == name]
        complete = [f for f in range(FOLDS) if any(r["fold"] == f for r in runs)]
        by_fold = [[r for r in runs if r["fold"] == f] for f in complete]
        means = {
            key: np.array([np.mean([r[key] for r in own]) for own in by_fold])
            for key in ("auc", "auprc", "brier", "cpu_s")
        }
        seeds = len({r["seed"] for r in runs})
        spread = means["auc"].std(ddof=min(1, len(complete) - 1))
        note = "" if len(complete) == FOLDS else f" ({len(complete)} of {FOLDS} folds)"
        lines.append(
            f"| {name}{note} | {seeds} | {means['auc'].mean():.4f} | {spread:.4f} | {means['auprc'].mean():.4f} "
            f"| {means['brier'].mean():.4f} | {PUBLISHED.get(name, '')} | {means['cpu_s'].mean():.0f} |"
        )
        pooled[name] = np.full(len(died), np.nan)
        for f, own in zip(complete, by_fold):
            pooled[name][of == f] = np.mean([r["p"] for r in own], 0)
        if seeds > 1 and len(complete) == FOLDS:
            together = [scores(pooled[name][of == f], died[of == f]) for f in range(FOLDS)]
            mean = {key: np.mean([one[key] for one in together]) for key in together[0]}
            spread = np.std([one["auc"] for one in together], ddof=1)
            lines.append(
                f"| {name}, its {seeds} seeds averaged | | {mean['auc']:.4f} | {spread:.4f} "
                f"| {mean['auprc']:.4f} | {mean['brier']:.4f} | | |"
            )
    for name, p in pooled.items():
        if np.isfinite(p).all():
            lines += [
                "",
                f"Calibration of {name}, tenths of the stays by their probability: said, and died",
                "",
            ]
            lines += [
                "| " + " | ".join(f"{100 * said:.1f}%" for _, said, _ in calibration(p, died)) + " |",
                "|---" * 10 + "|",
            ]
            lines += ["| " + " | ".join(f"{100 * came:.1f}%" for *_, came in calibration(p, died)) + " |"]
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, run what the table lacks, print it."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, help="one JSON line a run; what it has is not run again")
    parser.add_argument(
        "--form", action="append", choices=(*FORMS, *BASELINES), help="may be repeated (default: all)"
    )
    parser.add_argument("--fold", action="append", type=int, choices=range(FOLDS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--grid", type=int, default=GRID, help="minutes a row; 0: the times as they are")
    parser.add_argument("--no-static", action="store_true", help="leave out what is known on admission")
    parser.add_argument(
        "--tune", type=json.loads, help="settings, as JSON: print validation AUCs; no test row is read"
    )
    parser.add_argument("--print", action="store_true", help="the table alone")
    args = parser.parse_args()
    stays = read(args.grid, not args.no_static)
    done = read_runs(args.table)
    jobs = [
        (seed, form, fold)
        for seed in range(args.seeds)
        for form in args.form or (*BASELINES, *FORMS)
        for fold in args.fold or range(FOLDS)
    ]
    if args.tune is not None:
        found = [
            recurrent(form, stays, fold, seed, SETTINGS | args.tune, test=False) for seed, form, fold in jobs
        ]
        print(
            json.dumps(
                {
                    "settings": args.tune,
                    "validation_auc": float(np.mean([r["validation_auc"] for r in found])),
                    "runs": found,
                }
            )
        )
        return
    known = {(r["seed"], r["model"], r["fold"]) for r in done}
    for seed, form, fold in [] if args.print else jobs:
        if (seed, form, fold) in known:
            continue
        own = (
            baseline(form, stays, fold, seed)
            if form in BASELINES
            else recurrent(form, stays, fold, seed, SETTINGS)
        )
        result = {
            "model": form,
            "fold": fold,
            "seed": seed,
            "grid": args.grid,
            "static": not args.no_static,
            **own,
        }
        done.append(result)
        print({key: value for key, value in result.items() if key != "p"}, file=sys.stderr, flush=True)
        append_run(args.table, result)
    print(summarise(done, stays.died))


if __name__ == "__main__":
    main()
