"""Death in intensive care, of made-up stays: values are missing, times are uneven, and both say something.

Severity wanders through every stay. It moves heart rate, blood pressure and lactate; it makes nurses and doctors
measure more often, lactate above all; and at the end of the stay it decides, by chance, who dies. One stay is followed
live, and explained: which measurement, when. No one here is a patient, and what comes out is not a medical device.

    python examples/icu_stays.py [--stays 600] [--epochs 15]
"""

import argparse
import sys

import numpy as np

from grus import Classifier
from grus.inspection import measurements

HOURS, HOUR = 48, 60
CHANNELS = ("heart_rate", "map", "temperature", "lactate")
FORMS = ("mean", "decay")


def make_stays(stays: int, seed: int) -> dict[str, np.ndarray]:
    """A long table: stay, minute, four channels with NaN where nothing was measured, and whether the patient died."""
    random = np.random.default_rng(seed)
    table: dict[str, list[object]] = {name: [] for name in ("stay", "minute", *CHANNELS, "died")}
    for stay in range(stays):
        severity = np.cumsum(random.normal(0.01 * random.normal(), 0.25, HOURS)) + random.normal()
        died = random.random() < 1 / (1 + np.exp(3.0 - 1.2 * severity[-6:].mean()))
        minute = 0
        while True:
            now = severity[min(minute // HOUR, HOURS - 1)]
            typical = (85 + 9 * now, 78 - 7 * now, 37 + 0.25 * now, 1.8 + 0.7 * max(now, 0.0))
            spread = (8, 8, 0.4, 0.5)
            often = (0.9, 0.7, 0.3, 0.04 + 0.12 * (now > 1))
            cells = [
                random.normal(m, s) if random.random() < p else np.nan
                for m, s, p in zip(typical, spread, often)
            ]
            for name, value in zip(table, (stay, minute, *cells, "yes" if died else "no")):
                table[name].append(value)
            minute += 1 + int(random.exponential(150 / (1 + 0.5 * max(now, 0.0))))
            if minute >= HOURS * HOUR:
                break
    return {name: np.array(values) for name, values in table.items()}


def auc(p: np.ndarray, died: np.ndarray) -> float:
    """The share of pairs, one who died and one who did not, in which the first has the higher probability."""
    difference = p[died][:, None] - p[~died]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def main() -> None:
    """Train one model a form on the same stays, and compare them on stays that nothing has seen."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stays", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=15)
    args = parser.parse_args()
    train, test = make_stays(args.stays, 0), make_stays(args.stays, 1)
    missing = np.isnan(np.stack([train[name] for name in CHANNELS])).mean()
    first = np.unique(test["stay"], return_index=True)[1]
    died = test["died"][first] == "yes"
    print(f"{args.stays} stays, {missing:.0%} of the values missing, {died.mean():.0%} died")
    models: dict[str, Classifier] = {}
    for form in FORMS:
        model = models[form] = Classifier(
            id="stay", time="minute", label="died", columns=CHANNELS, irregular=form, bidirectional=False, pool="last",
            hidden_size=32, learning_rate=3e-3, epochs=args.epochs, device="cpu", log="none",
        )  # fmt: skip
        model.fit(train, progress="quiet", report_plan=lambda lines: print("\n".join(lines), file=sys.stderr))
        p = model.predict_proba(test)[:, list(model.classes_).index("yes")]
        print(f"{form:8} AUC {auc(p, died):.3f}, Brier score {((p - died) ** 2).mean():.3f}")
    one = {name: values[test["stay"] == 0] for name, values in test.items() if name != "died"}
    live, rows = models["decay"].live_, len(one["stay"])
    state = live.init_state()
    for row in range(rows):
        answer, state = live.step(
            {name: values[row].item() for name, values in one.items()}, state, proba=True
        )
        if row % 8 == 0 or row == rows - 1:
            print(f"stay 0, minute {one['minute'][row]:5}: probability of death {answer['p_yes'][0]:.2f}")
    found = measurements(
        models["decay"], one, label="yes"
    )  # the same as a page: grus inspect MODEL DATA --label yes
    print(*found.describe(), sep="\n")


if __name__ == "__main__":
    main()
