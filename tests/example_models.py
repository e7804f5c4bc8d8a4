"""A small forecasting model, made without training."""

import numpy as np

from grus.spec import Calendar, Categories, CovariateScale, Forecast, Model, Port, SeriesScale, chain, ops


def small_model(fill: float | None = None) -> tuple[Model, dict[str, np.ndarray]]:
    """A model and its tensors; ``fill`` sets every weight of the network to one value."""
    graph = chain(Port("past", "seq", 2, "src"), [ops.GRU(4), ops.Last(), ops.Linear(3)])
    task = Forecast(
        horizon=3, lookback=6, target="y", id=None, time="ds", past=(), future=(), static=(), frequency="h", season=24
    )  # fmt: skip
    steps = (Calendar(()), Categories({}), CovariateScale(()), SeriesScale("standard", ("series",)))
    model = Model(1, task, steps, {"main": graph})
    rng = np.random.default_rng(0)
    tensors = {}
    for name, (dtype, shape) in model.tensors().items():
        value = rng.uniform(0.5, 1.0, shape)
        if fill is not None and name.startswith("main"):
            value = np.full(shape, fill)
        tensors[name] = value.astype(dtype)
    return model, tensors
