"""Small detectors with random weights, and rows for them."""

import numpy as np

from example_graphs import random_tensors
from grus.preprocess.detect import DetectPreprocessor, fit_detect_steps
from grus.preprocess.records import DetectRoles, build_records
from grus.spec import Detect, Model
from grus.tasks.detect_networks import NetworkConfig, build_network

COLUMNS = ("temp", "flow")


def rows(n=200, ids=("a", "b"), seed=0, gaps=0.1):
    """Hours of two columns of every id, mixed, some values missing; labels of a few rows."""
    rng = np.random.default_rng(seed)
    hours = np.datetime64("2026-01-01T00", "h") + np.arange(n)
    order = np.argsort(np.tile(np.arange(n), len(ids)), kind="stable")
    table = {
        "id": np.repeat(np.array(ids, object), n),
        "time": np.tile(hours.astype("M8[ns]"), len(ids)),
        "temp": 20 + 5 * np.sin(np.tile(np.arange(n), len(ids)) * np.pi / 12) + rng.normal(size=n * len(ids)),
        "flow": 100 * rng.normal(size=n * len(ids)),
        "anomaly": (rng.random(n * len(ids)) < 0.05).astype(np.int64),
    }
    for name in COLUMNS:
        table[name][rng.random(n * len(ids)) < gaps] = np.nan
    return {name: values[order] for name, values in table.items()}


def detector(
    ids=True,
    time=True,
    gaps=0.1,
    cell="gru",
    quiet=5,
    memory=50,
    layers=1,
    columns=COLUMNS,
    seed=0,
    level=False,
    joint=False,
    irregular=None,
    table=None,
    hidden=6,
):
    """A model and its tensors."""
    table = rows(gaps=gaps) if table is None else table
    roles = DetectRoles(columns, "id" if ids else None, "time" if time else None, "anomaly")
    if not ids:
        table = {name: values[table["id"] == "a"] for name, values in table.items()}
    records = build_records(table, roles)
    task = Detect(columns, roles.id, roles.time, roles.label, 5, memory, 0.05, quiet, level, joint)
    steps, arrays = fit_detect_steps(records, columns, grouped=ids, irregular=irregular, timed=time)
    port = DetectPreprocessor(task, steps, arrays).port()
    graph = build_network(
        NetworkConfig(len(columns), cell, hidden, layers, decays=irregular == "decay"), port
    )
    tensors = {f"main.{name}": values for name, values in random_tensors(graph, seed).items()}
    fitted = {"mean": 0.0, "spread": 0.3, "rows": 40.0, "low": -2.0, "high": 2.0, "threshold": 0.3}
    tensors |= arrays | {
        f"task.{name}": np.full(shape, fitted[name]) for name, shape in task.arrays().items()
    }
    return Model(1, task, steps, {"main": graph}), tensors
