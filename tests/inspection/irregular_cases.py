"""Irregular series and classifiers of them with random weights: a GRU-D for ``decay``, a GRU for the other forms."""

import numpy as np

from example_graphs import random_tensors
from grus.preprocess.classify import StepOptions, fit_classify_steps
from grus.preprocess.examples import Examples
from grus.spec import Classify, Graph, Model
from grus.tasks.classify_networks import NetworkConfig, build_network

START = np.datetime64("2024-03-01T07:00", "ns")
HOUR = np.timedelta64(1, "h")


def stays(clock="numbers", rows=12, columns=3, most=15, seed=1):
    """Stays of some rows at uneven times in which most values are missing; of the second, all are."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, most, rows)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    values = rng.normal(size=(offsets[-1], columns)) * 10.0 ** (np.arange(columns) % 3) + 5.0
    values[rng.random(values.shape) < 0.6] = np.nan
    values[offsets[1] : offsets[2]] = np.nan
    times = np.concatenate([np.cumsum(rng.integers(1, 90, n)) for n in lengths])
    found = {"numbers": times, "dates": START + times * HOUR, "steps": None}[clock]
    names = tuple("abcdefghijklmnopqrstuvwxyzäöüABCDEFGHIJKLMNOPQRST"[:columns])
    return Examples(
        "series", rows, names, np.array([f"s{i}" for i in range(rows)], object), offsets=offsets, series=values,
        times=found, labels=[(("no", "yes")[i % 2],) for i in range(rows)],
    )  # fmt: skip


def made(form, clock="numbers", *, examples=None, max_length=50, labels=("no", "yes"), **options):
    """A model and its tensors; the options are of `grus.tasks.classify_networks.NetworkConfig`."""
    examples = stays(clock) if examples is None else examples
    steps, arrays = fit_classify_steps(examples, StepOptions(irregular=form))
    task = Classify(
        "series", labels, examples.columns, max_length, label="died", id="id", time=None if clock == "steps" else "t"
    )  # fmt: skip
    sizes = {"bidirectional": False, "pool": "last", "hidden_size": 6} | options
    graph = build_network(NetworkConfig(len(labels), decays=form == "decay", **sizes), task.port(steps))
    assert isinstance(graph, Graph)
    weights = {f"main.{name}": value for name, value in random_tensors(graph).items()}
    numbers = {"task.temperature": np.array([1.5]), "task.prior": np.full(len(labels), 1 / len(labels))}
    return Model(1, task, steps, {"main": graph}), arrays | weights | numbers


def alone(values, times=None, columns=("a", "b", "c")):
    """One stay."""
    values = np.asarray(values, np.float64)
    return Examples("series", 1, columns, offsets=np.array([0, len(values)]), series=values, times=times)
