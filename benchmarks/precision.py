"""What storing the weights in 16 or 8 bits does to the answers: test scores of one model in float32, bf16 and int8.

    scripts/bench precision [--set trec --set bike ...]

Every model is trained once, as scripts/bench classify does (seed 0) or, for ``bike``, as the example with weather known
in advance, saved, and loaded in each precision. Accuracy for classifiers; MAE over 56 daily origins for ``bike``.
Intervals and temperatures stay those that were fitted in float32.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import grus
from classify import SETS, SETTINGS, fit

PRECISIONS = ("float32", "bf16", "int8")
BIKE = Path(__file__).parent.parent / "examples" / "bike_sharing"
WEEKS = 8 * 7 * 24


def classifier(name: str, folder: Path) -> list[float]:
    """Accuracy on the test rows in each precision."""
    parts = SETS[name]()
    fit(SETTINGS[name], 0, parts.train, parts.validation).save(folder)
    rows, labels = parts.test
    found = []
    for precision in PRECISIONS:
        live = grus.load(folder, precision=precision)
        assert isinstance(live, grus.LiveClassifier)
        answers = live.predict(rows)[live.task.label or "label"]
        found.append(float(np.mean(np.asarray(answers).astype(str) == np.asarray(labels))))
    return found


def bike(folder: Path) -> list[float]:
    """Mean absolute error of the day ahead, every day of the last eight weeks, in each precision."""
    sys.path.insert(0, str(BIKE))
    from quickstart import DATA, WEATHER  # pyright: ignore[reportMissingImports]

    model = grus.Forecaster(horizon=24, future=WEATHER, val_size=WEEKS, test_size=WEEKS, log="none")
    model.fit(DATA, progress="quiet").save(folder)
    import pandas as pd

    table: Any = pd.read_csv(DATA, parse_dates=["ds"])
    begin = table["ds"].max() - pd.Timedelta(hours=WEEKS - 1)
    lives, errors = [grus.load(folder, precision=p) for p in PRECISIONS], [[] for _ in PRECISIONS]
    for day in range(56):
        origin = begin + pd.Timedelta(days=day)
        past: Any = table[table["ds"] < origin]
        hours = pd.DataFrame({"ds": pd.date_range(origin, periods=24, freq="h")})
        ahead: Any = hours.merge(table, how="left")  # some hours are missing from the source
        known = {"ds": ahead["ds"].to_numpy(), **{c: ahead[c].ffill().bfill().to_numpy() for c in WEATHER}}
        there = ahead["y"].notna().to_numpy()
        for live, error in zip(lives, errors, strict=True):
            assert isinstance(live, grus.LiveForecaster)
            answer = list(live.predict({c: past[c].to_numpy() for c in past}, known).values())[-1]
            error += np.abs(answer - ahead["y"].to_numpy())[there].tolist()
    return [float(np.mean(error)) for error in errors]


def main() -> None:
    """Parse the command line, print a line a set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", action="append", choices=[*SETS, "bike"])
    print("| set | float32 | bf16 | int8 |\n|---|---|---|---|")
    for name in parser.parse_args().set or ["japanese_vowels", "trec", "digits", "bike"]:
        with tempfile.TemporaryDirectory() as place:
            scores = bike(Path(place) / "m") if name == "bike" else classifier(name, Path(place) / "m")
        print(f"| {name} | {' | '.join(f'{score:.6g}' for score in scores)} |", flush=True)


if __name__ == "__main__":
    main()
