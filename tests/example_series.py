"""Small tables of series, and forecasting models on them with random weights: no training needed."""

from typing import Any

import numpy as np

from example_graphs import random_tensors
from grus.decode import LiveForecaster
from grus.decode.intervals import LEVELS
from grus.preprocess.forecast_steps import fit_steps, layout
from grus.preprocess.panel import Panel, build_panel
from grus.preprocess.roles import Roles
from grus.spec import Forecast, Model
from grus.tasks.forecast_networks import NetworkConfig, build_network

START = np.datetime64("2024-01-01T00", "ns")
HOUR = np.timedelta64(3600 * 10**9, "ns")


def panel_of(*series: list[float]) -> Panel:
    """Series ``a``, ``b``, ... on whole-number time from 0, NaN for a missing value."""
    names = np.repeat(np.array(list("abcdefgh"[: len(series)]), object), [len(s) for s in series])
    times = np.concatenate([np.arange(len(s)) for s in series])
    columns = {"unique_id": names, "ds": times, "y": np.concatenate([np.array(s, float) for s in series])}
    return build_panel(columns, Roles("y", "unique_id", "ds"))


def hourly(lengths: tuple[int, ...] = (120, 100), seed: int = 0) -> dict[str, np.ndarray]:
    """Hourly series with a daily cycle and every kind of covariate; series i begins i hours late."""
    rng = np.random.default_rng(seed)
    parts = []
    for i, length in enumerate(lengths):
        time = START + (np.arange(length) + i) * HOUR
        wave = 10 * (i + 1) + 3 * np.sin((np.arange(length) + i) * np.pi / 12)
        parts.append(
            {
                "unique_id": np.full(length, "abcdefgh"[i], object),
                "ds": time,
                "y": wave + rng.normal(0, 0.5, length),
                "load": rng.normal(100, 20, length),
                "state": rng.choice(np.array(["on", "off"], object), length),
                "price": rng.normal(5, 1, length),
                "promo": rng.choice(np.array(["none", "tv", "web"], object), length),
                "area": np.full(length, 3.5 * i),
                "kind": np.full(length, "xy"[i % 2], object),
            }
        )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


ROLES = Roles("y", "unique_id", "ds")
COVARIATES: dict[str, dict[str, tuple[str, ...]]] = {
    "none": {},
    "past": {"past": ("load", "state")},
    "future": {"future": ("price", "promo")},
    "static": {"static": ("area", "kind")},
    "all": {"past": ("load", "state"), "future": ("price", "promo"), "static": ("area", "kind")},
}


def random_forecaster(panel: Panel, *, seed: int = 0, **options: Any) -> LiveForecaster:
    """The live form of `random_model`."""
    return LiveForecaster(*random_model(panel, seed=seed, **options))


def random_model(panel: Panel, *, seed: int = 0, **options: Any) -> tuple[Model, dict[str, np.ndarray]]:
    """A model fitted on the panel as far as preprocessing goes, with random weights.

    ``options`` are those of `NetworkConfig`, and quantiles, calendar, margins, spread, non_negative, alias, irregular.
    """
    quantiles = options.pop("quantiles", ())
    margins, spread = options.pop("margins", None), options.pop("spread", None)
    extra = {name: options.pop(name) for name in ("non_negative", "alias") if name in options}
    irregular = options.pop("irregular", None)
    steps, arrays = fit_steps(panel, calendar=options.pop("calendar", None), irregular=irregular)
    config = NetworkConfig(
        **{
            "model": "segment", "lookback": 12, "horizon": 6, "segment": 6, "anchor": 6, "hidden_size": 8,
            "outputs": max(1, len(quantiles)), "head_size": 4,
        } | options
    )  # fmt: skip
    roles = panel.roles
    task = Forecast(
        config.horizon, config.lookback, roles.target, roles.id, roles.time, roles.past, roles.future, roles.static,
        str(panel.frequency), panel.frequency.season, tuple(quantiles),
        levels_known=len(LEVELS) if margins is not None else 0, uneven=panel.stamps is not None, **extra,
    )  # fmt: skip
    graph = build_network(config, layout((task, steps)))
    tensors = arrays | {f"main.{name}": value for name, value in random_tensors(graph, seed).items()}
    if margins is not None:
        tensors["task.conformal"] = np.broadcast_to(margins, (len(LEVELS), config.horizon)).copy()
        tensors["task.spread"] = np.ones(task.season) if spread is None else np.asarray(spread)
    return Model(1, task, steps, {"main": graph}), tensors
