"""Tables and settings for forecasters that train in a blink."""

import numpy as np

from example_series import hourly
from grus import Forecaster

TINY = {
    "hidden_size": 8, "epochs": 1, "lookback": 12, "segment": 6, "batch_size": 32, "device": "cpu", "log": "none",
}  # fmt: skip
PLAIN = ("unique_id", "ds", "y")


def table(*columns, lengths=(90, 80), seed=0):
    """Some columns of `hourly`, always with id, time and target."""
    data = hourly(lengths, seed)
    return {name: data[name] for name in (*PLAIN, *columns)}


def one_series(length=120, seed=0):
    """One series without an id."""
    data = hourly((length,), seed)
    return {"ds": data["ds"], "y": data["y"]}


def tiny(horizon=6, **options):
    """A small forecaster; for ``model="direct"`` without segments."""
    if options.get("model") == "direct":
        options.setdefault("segment", None)
    return Forecaster(horizon, **(TINY | options))


def fit(data, horizon=6, **options):
    """A small forecaster, trained quietly."""
    return tiny(horizon, **options).fit(data, progress="quiet")


def tensors_equal(one, two):
    """Whether two fitted forecasters have the same tensors bit for bit."""
    return one.tensors_.keys() == two.tensors_.keys() and all(
        np.array_equal(one.tensors_[name], two.tensors_[name]) for name in one.tensors_
    )
