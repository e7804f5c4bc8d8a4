"""What 8-bit weights cost in accuracy: trained models in C99 on test rows, beside the runtime.

    python benchmarks/c99.py [--epochs N]

Japanese vowels (370 test examples, nine speakers) and bike sharing (56 daily origins), both of a size
for a microcontroller. The runtime runs the float weights, and the 8-bit weights with float activations; C99 runs the
8-bit weights with activations of 16 bits inside the products. Prints one JSON line a model and way of running.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import grus
from classify import SETS
from grus.decode import LiveClassifier, LiveForecaster
from grus.export.c99.classifier import classifier_program
from grus.export.c99.compiler import build, find_compiler, run
from grus.export.c99.driver import Call
from grus.export.c99.forecaster import forecaster_program
from grus.export.c99.proof import as_stored
from grus.export.c99.trials import forecast_calls

ROOT = Path(__file__).parents[1]
EIGHT_WEEKS = 8 * 7 * 24


def main() -> None:
    """Train, export, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, help="of the training (default: those of the estimators)")
    options = {} if (epochs := parser.parse_args().epochs) is None else {"epochs": epochs}
    for row in [*vowels(options), *bikes(options)]:
        print(json.dumps(row), flush=True)


def vowels(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Accuracy of a classifier of twelve channels: GRU-64, the mean of its states."""
    parts = SETS["japanese_vowels"]()
    settings: dict[str, Any] = {
        "bidirectional": False,
        "hidden_size": 64,
        "pool": "mean",
        "val_size": 0,
        "epochs": 15,
    }
    estimator = grus.Classifier(**settings | options, seed=0, log="none").fit(*parts.train, progress="quiet")
    model, tensors = saved(estimator)
    rows, labels = parts.test
    truth = np.array([model.task.labels.index(label) for label in labels])
    for name, given, program in ways(model, tensors, classifier_program):
        if program is None:
            chosen = LiveClassifier(model, given).predict_proba(rows).argmax(axis=1)
        else:
            calls = [call for row in rows for call in (Call(1, ()), *(Call(2, (step,)) for step in row))]
            last = np.cumsum([len(row) + 1 for row in rows]) - 1
            answers = answers_of(program, [Call(0, ()), *calls])[1:]
            chosen = np.array([answers[i][0].argmax() for i in last])
        yield {
            "data": "japanese vowels",
            "way": name,
            **sizes(program),
            "accuracy": float((chosen == truth).mean()),
        }


def bikes(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """MAE of a forecaster that knows the calendar: GRU-32 over segments."""
    settings: dict[str, Any] = {"horizon": 24, "hidden_size": 32, "future": ["holiday", "workingday"]}
    data = ROOT / "examples" / "bike_sharing" / "hourly.csv"
    estimator = grus.Forecaster(
        **settings | options, val_size=EIGHT_WEEKS, test_size=EIGHT_WEEKS, seed=0, log="none"
    )
    model, tensors = saved(estimator.fit(data, progress="quiet"))
    live = LiveForecaster(model, tensors)
    panel = live.panel(columns_of_csv(data))
    panel = panel.last(model.task.lookback + EIGHT_WEEKS)
    origins = np.arange(model.task.lookback, panel.n_rows - 23, 24)
    truth = panel.target[origins[:, None] + np.arange(24)]
    for name, given, program in ways(model, tensors, forecaster_program):
        if program is None:
            found = LiveForecaster(model, given).forecast(panel, np.zeros(len(origins), int), origins).point
        else:
            calls = [Call(0, ()), *forecast_calls(model, program, panel, [int(i) for i in origins])]
            found = np.array([outputs[0] for outputs in answers_of(program, calls) if outputs])
        yield {
            "data": "bike sharing",
            "way": name,
            **sizes(program),
            "mae": float(np.nanmean(np.abs(found - truth))),
        }


def saved(estimator: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """The spec and the numbers of an estimator, as its folder holds them."""
    from grus.artifact import load_model

    with tempfile.TemporaryDirectory() as folder:
        model, tensors = load_model(estimator.save(Path(folder) / "model"))
    return model, dict(tensors)


def columns_of_csv(path: Path) -> Any:
    """The table as a frame."""
    import pandas as pd

    return pd.read_csv(path)


def ways(model: Any, tensors: Any, make: Any) -> Iterator[tuple[str, Any, Any]]:
    """The runtime, the runtime with the stored 8-bit weights, and C99 in both precisions."""
    wide, narrow = make(model, tensors, "model", "float32"), make(model, tensors, "model", "int8")
    yield "runtime, float32", tensors, None
    yield "runtime, 8-bit weights, float activations", as_stored(tensors, narrow), None
    yield "C99, float32", tensors, wide
    yield "C99, 8-bit weights, 16-bit activations", tensors, narrow


def answers_of(program: Any, calls: list[Call]) -> list[tuple[np.ndarray, ...]]:
    """What the compiled program says."""
    compiler = find_compiler()
    assert compiler is not None, "a C compiler is needed"
    with tempfile.TemporaryDirectory() as folder:
        return run(build([program], Path(folder), compiler), [program], calls)


def sizes(program: Any) -> dict[str, Any]:
    """Flash and RAM of a program."""
    return {} if program is None else {"constants": program.unit.flash, "state_bytes": program.unit.ram}


if __name__ == "__main__":
    main()
