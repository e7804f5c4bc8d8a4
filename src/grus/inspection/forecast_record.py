"""From panels, forecasts and histories to the arrays that pictures are made of."""

from dataclasses import dataclass

import numpy as np

from grus.data.splits import Split
from grus.decode import Evaluation, Forecasts
from grus.decode.baselines import repeat_last, seasonal_naive
from grus.decode.scores import windows_of
from grus.preprocess.frequency import stamp
from grus.preprocess.panel import Panel

#: A picture of a long series has at most so many bins across; more could not be told apart.
BINS = 480


@dataclass(frozen=True)
class Overview:
    """One series from afar.

    Attributes:
        name: of the series.
        times: first stamp of each bin [B].
        low, middle, high: smallest, mean and largest value of each bin [B], NaN where all are missing.
        parts: ``validation`` and ``test`` -> their first stamp, and the stamp after their last.
    """

    name: str
    times: np.ndarray
    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray
    parts: dict[str, tuple[np.generic, np.generic]]


@dataclass(frozen=True)
class Window:
    """One forecast with what came before it and what came.

    Attributes:
        kind: ``best``, ``typical`` or ``worst`` by MAE.
        series: name of the series; origin: first stamp of the horizon, as text; mae: of this window.
        times, truth: of history and horizon [T + H].
        point, baseline: [H]; baseline_name: the baseline with the least MAE over all windows.
        lower, upper: by level, each [H].
    """

    kind: str
    series: str
    origin: str
    mae: float
    times: np.ndarray
    truth: np.ndarray
    point: np.ndarray
    baseline_name: str
    baseline: np.ndarray
    lower: dict[float, np.ndarray]
    upper: dict[float, np.ndarray]


def evaluated_panel(name: str, panel: Panel, split: Split) -> Panel:
    """The panel whose rows an evaluation's origins count: for ``validation`` it ends where validation does."""
    return panel.cut(0, split.val_end) if name == "validation" else panel


def overview(panel: Panel, split: Split, i: int, bins: int = BINS) -> Overview:
    """Series i in at most ``bins`` bins, with where its held-back parts lie."""
    values = panel.target[panel.rows(i)]
    season = panel.frequency.season
    size = max(1, -(-len(values) // bins))
    if (
        size > season
    ):  # whole seasons, or the mean would swing with the part of the season that a bin happens to hold
        size = -(-size // season) * season
    padded = np.full(-(-len(values) // size) * size, np.nan)
    padded[: len(values)] = values
    table = padded.reshape(-1, size)
    known = np.isfinite(table)
    some = known.any(1)
    counts = np.maximum(known.sum(1), 1)
    mean = np.where(known, table, 0.0).sum(1) / counts
    low = np.where(known, table, np.inf).min(1)
    high = np.where(known, table, -np.inf).max(1)
    parts = {}
    for label, first, end in (
        ("validation", split.train_end, split.val_end),
        ("test", split.val_end, split.test_end),
    ):
        if end[i] > first[i]:
            edges = panel.frequency.at(panel.starts[i], np.array([first[i], end[i]]))
            parts[label] = (edges[0], edges[1])
    return Overview(
        name=panel.ids[i],
        times=panel.frequency.at(panel.starts[i], size * np.arange(len(table))),
        low=np.where(some, low, np.nan),
        middle=np.where(some, mean, np.nan),
        high=np.where(some, high, np.nan),
        parts=parts,
    )


def typical_series(evaluation: Evaluation, most: int = 3) -> list[int]:
    """Series numbers for a few pictures: the one of median error, the best and the worst, fewer if there are fewer."""
    errors = evaluation.model.by_series
    known = np.flatnonzero(np.isfinite(errors))
    if not len(known):
        return [0]
    order = known[np.argsort(errors[known], kind="stable")]
    chosen = [order[(len(order) - 1) // 2], order[0], order[-1]]
    return [int(i) for i in dict.fromkeys(chosen)][:most]


def telling_windows(panel: Panel, evaluation: Evaluation, history: int) -> list[Window]:
    """The best, the typical (median) and the worst window by MAE; fewer if there are fewer.

    Args:
        panel: whose rows the evaluation counts; see `evaluated_panel`.
        history: rows before the origin to show, at most.
    """
    forecasts = evaluation.forecasts
    error = np.abs(forecasts.point - windows_of(panel, forecasts))
    known = np.isfinite(error)
    mae = np.where(known, error, 0.0).sum(1) / np.maximum(known.sum(1), 1)
    # A window with gaps in its truth would look better than it is.
    full = np.flatnonzero(known.sum(1) == known.sum(1).max(initial=0))
    if not len(full) or not known.any():
        return []
    order = full[np.argsort(mae[full], kind="stable")]
    chosen = {"best": order[0], "typical": order[(len(order) - 1) // 2], "worst": order[-1]}
    name = evaluation.best_baseline.name
    rival = baseline_values(name, panel, forecasts)
    shown: dict[int, Window] = {}
    for kind, w in chosen.items():
        shown.setdefault(
            int(w), _window(kind, int(w), panel, forecasts, float(mae[w]), history, (name, rival))
        )
    return list(shown.values())


def _window(
    kind: str, w: int, panel: Panel, f: Forecasts, mae: float, history: int, rival: tuple[str, np.ndarray]
) -> Window:
    i, origin, horizon = int(f.series[w]), int(f.origins[w]), f.point.shape[1]
    begin = int(panel.offsets[i])
    first = max(begin, origin - history)
    last = min(origin + horizon, int(panel.offsets[i + 1]))
    truth = np.full(origin + horizon - first, np.nan)
    truth[: last - first] = panel.target[first:last]
    return Window(
        kind=kind,
        series=panel.ids[i],
        origin=stamp(panel.frequency.at(panel.starts[i], origin - begin)[()]),
        mae=mae,
        times=panel.frequency.at(panel.starts[i], np.arange(first - begin, origin + horizon - begin)),
        truth=truth,
        point=f.point[w],
        baseline_name=rival[0],
        baseline=rival[1][w],
        lower={level: values[w] for level, values in f.lower.items()},
        upper={level: values[w] for level, values in f.upper.items()},
    )


def baseline_values(name: str, panel: Panel, forecasts: Forecasts) -> np.ndarray:
    """The forecasts [W, H] of a baseline by the name it has in an evaluation, as that scored them."""
    horizon = forecasts.point.shape[1]
    last = repeat_last(panel, forecasts.origins, horizon)
    if name == "repeat last":
        return last
    values = seasonal_naive(panel, forecasts.origins, horizon, int(name.rsplit(" ", 1)[1]))
    return np.where(np.isfinite(values), values, last)


def coverage_by_step(panel: Panel, forecasts: Forecasts) -> dict[float, np.ndarray]:
    """Share of the known true values inside the interval, by level, at each step [H]; NaN where none is known."""
    truth = windows_of(panel, forecasts)
    known = np.isfinite(truth)
    counts = known.sum(0)
    shares = {}
    for level in forecasts.lower:
        inside = known & (forecasts.lower[level] <= truth) & (truth <= forecasts.upper[level])
        out = np.full(truth.shape[1], np.nan)
        shares[level] = np.divide(inside.sum(0), counts, out=out, where=counts > 0)
    return shares
