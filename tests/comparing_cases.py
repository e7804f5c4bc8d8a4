"""Made-up outcomes of a comparison."""

import numpy as np

from grus.decode.comparing.records import CellResult, Cost, Outcome, Point, Run

UNITS = 40
#: Weights and seconds an epoch, about as they are at equal width.
COSTS = {"gru": (7500, 1.0), "lstm": (10000, 1.6), "rnn": (2500, 0.9), "mingru": (6000, 0.5)}


def a_cell(
    cell, mean, *, spread=0.02, seeds=3, seconds=None, parameters=None, state="finished", place=(1.0, None)
):
    """Results around a mean error; all cells have the same hard and easy units."""
    rng = np.random.default_rng(sorted(COSTS).index(cell))
    hard = np.random.default_rng(99).normal(0, 0.3, UNITS)
    runs = []
    for seed in range(seeds):
        losses = mean + hard + rng.normal(0, 2 * spread, UNITS) + rng.normal(0, spread)
        losses += mean - losses.mean() + rng.normal(0, spread)
        validation = (mean * np.array([1.6, 1.2, 1.0, 1.01])).tolist()
        reach = _decay(cell, 40) if not seed else []
        made = {"losses": losses.tolist(), "weights": [1.0] * UNITS, "also": {"RMSE": 1.3 * mean}}
        made |= {
            "validation": validation,
            "best_epoch": 3,
            "seconds": 2.5,
            "gradient": reach,
            "last_state": reach,
        }
        runs.append(Run(cell, 16, 1e-3, seed, *place, **made))
    tried = [
        Run(cell, 16, rate, 0, *place, "finished", [score], 1, 1.0, [score] * UNITS, [1.0] * UNITS)
        for rate, score in ((3e-4, 1.1 * mean), (3e-3, 1.05 * mean))
    ]
    weights, pace = COSTS[cell]
    pace = pace if seconds is None else seconds
    cost = Cost(
        cell,
        16,
        parameters or weights,
        50,
        pace,
        0.95 * pace,
        1.1 * pace,
        pace,
        40.0,
        24,
        False,
        100 * weights,
    )
    if state == "diverged":
        lost = [Run(cell, 16, rate, 0, *place, "diverged") for rate in (3e-4, 1e-3)]
        return CellResult(cell, 16, lost, [], cost)
    return CellResult(cell, 16, [tried[0], runs[0], tried[1]], runs, cost)


def _decay(cell, steps):
    """A gradient that falls with the distance, that of the simple RNN soonest."""
    rate = {"gru": 0.05, "lstm": 0.03, "rnn": 0.6, "mingru": 0.1}[cell]
    return np.exp(-rate * np.arange(steps)).tolist()


def a_point(*cells, share=1.0, length=None, floors=None):
    """A point of cells, with a floor far above them."""
    return Point(share, length, {"repeat last": 9.0} if floors is None else floors, list(cells))


def an_outcome(*points, metric="MAE (y)", seeds=3, equal="width"):
    """An outcome of points."""
    plan = ["target    'y', 100 values on 100 steps", "cells     gru 16, lstm 16: equal width"]
    return Outcome(
        "forecast", "Forecast of y", metric, plan, equal, seeds, 0.95, "a machine, 2 cores", list(points)
    )
