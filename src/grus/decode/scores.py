"""Forecasts against truth: errors, interval coverage, and a table with the baselines beside the model."""

from dataclasses import dataclass, field

import numpy as np

from grus.decode.baselines import repeat_last, seasonal_naive
from grus.decode.windows import Forecasts
from grus.preprocess.panel import Panel


@dataclass(frozen=True)
class Score:
    """One forecaster's errors over all windows and steps whose truth, and some value before the window, is known.

    Attributes:
        name: the model's alias, ``repeat last`` or ``seasonal naive N``.
        mae, rmse: in the target's unit.
        smape: 200 * mean(|y - f| / (|y| + |f|)), percent; 0/0 counts as 0.
        mase: absolute error over the series' own seasonal naive MAE (Hyndman and Koehler 2006), averaged.
        by_step: MAE of each step of the horizon [H].
        by_series: MAE of each series [N], NaN where it has no window.
    """

    name: str
    mae: float
    rmse: float
    smape: float
    mase: float
    by_step: np.ndarray
    by_series: np.ndarray


@dataclass(frozen=True)
class Evaluation:
    """Scores of the model (first) and of the baselines on the same windows.

    Attributes:
        scores: the model's, then the baselines'.
        coverage: share of known values inside the interval, by level in percent.
        width: mean width of the interval in the target's unit, by level in percent.
        pinball: mean pinball loss of the interval's two ends in the target's unit, by level in percent.
        windows: number of windows; values: number of forecasts compared.
        first, last: stamps of the first and last origin, as text.
        forecasts: what was scored, for plots.
    """

    scores: tuple[Score, ...]
    coverage: dict[float, float]
    width: dict[float, float]
    pinball: dict[float, float]
    windows: int
    values: int
    first: str
    last: str
    forecasts: Forecasts = field(repr=False)

    @property
    def model(self) -> Score:
        """The model's own score."""
        return self.scores[0]

    @property
    def best_baseline(self) -> Score:
        """The baseline with the least MAE."""
        return min(self.scores[1:], key=lambda score: score.mae)

    @property
    def mean_pinball(self) -> float:
        """The pinball loss over the quantiles of all levels, in the target's unit; NaN without levels."""
        return float(np.mean(list(self.pinball.values()))) if self.pinball else float("nan")

    @property
    def gain(self) -> float:
        """How far the model's MAE lies under the best baseline's, as a share of it (negative: above)."""
        return 1.0 - self.model.mae / self.best_baseline.mae if self.best_baseline.mae else 0.0

    def rows(self) -> list[dict[str, float | str]]:
        """The table as plain rows, for printing and JSON."""
        return [
            {"model": s.name, "mae": s.mae, "rmse": s.rmse, "smape": s.smape, "mase": s.mase}
            for s in self.scores
        ]


def evaluate(
    panel: Panel, forecasts: Forecasts, name: str, seasons: tuple[int, ...], season: int
) -> Evaluation:
    """Score forecasts and the baselines on the same windows.

    Args:
        panel: holds the truth and the history that the baselines use.
        forecasts: of the model.
        name: the model's name in the table.
        seasons: season lengths for the seasonal naive rows, in steps.
        season: the season that MASE is relative to.
    """
    truth = windows_of(panel, forecasts)
    rivals = {name: forecasts.point, **_baselines(panel, forecasts, seasons)}
    unit = seasonal_error(panel, season)[forecasts.series]
    known = np.isfinite(truth) & np.isfinite(rivals["repeat last"])
    truth = np.where(known, truth, np.nan)
    count = known.sum() if known.any() else np.nan
    inside = {
        level: float(((forecasts.lower[level] <= truth) & (truth <= forecasts.upper[level])).sum() / count)
        for level in forecasts.lower
    }
    times = panel.all_times()[forecasts.origins]
    return Evaluation(
        scores=tuple(
            _score(rival, f, truth, unit, forecasts.series, panel.n_series) for rival, f in rivals.items()
        ),
        coverage=inside,
        width={
            level: float((forecasts.upper[level] - forecasts.lower[level]).mean())
            for level in forecasts.lower
        },
        pinball={level: interval_pinball(forecasts, truth, level) for level in forecasts.lower},
        windows=len(forecasts.origins),
        values=int(known.sum()),
        first=_text(times.min()),
        last=_text(times.max()),
        forecasts=forecasts,
    )


def _baselines(panel: Panel, forecasts: Forecasts, seasons: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Every baseline's forecasts [W, H] by name, NaN only where a window has no known value before it at all.

    Where the history holds no full season yet, the seasonal naive repeats the last value, so that a long season
    takes no window out of the comparison; a season that no window's history holds is left out.
    """
    horizon = forecasts.point.shape[1]
    last = repeat_last(panel, forecasts.origins, horizon)
    found = {"repeat last": last}
    for length in seasons:
        values = seasonal_naive(panel, forecasts.origins, horizon, length)
        if length > 1 and np.isfinite(values).any():
            found[f"seasonal naive {length}"] = np.where(np.isfinite(values), values, last)
    return found


def windows_of(panel: Panel, forecasts: Forecasts) -> np.ndarray:
    """The true values that the forecasts speak of [W, H]; NaN where missing or beyond the end."""
    rows = forecasts.origins[:, None] + np.arange(forecasts.point.shape[1])
    end = panel.offsets[forecasts.series + 1][:, None]
    return np.where(rows < end, panel.target[np.minimum(rows, panel.n_rows - 1)], np.nan)


def interval_pinball(forecasts: Forecasts, truth: np.ndarray, level: float) -> float:
    """Mean pinball loss of the two ends of an interval, which are its quantiles q = (1 -+ level/100) / 2.

    The loss of a quantile f at truth y is max(q (y - f), (q - 1) (y - f)) (Koenker and Bassett 1978): least where f has
    the share q of the truth below it, so that it rewards intervals that hold their level and are narrow.

    Args:
        forecasts: with the level among its intervals.
        truth: [W, H], NaN where it does not count.
        level: in percent.
    """
    tail = (1.0 - level / 100.0) / 2.0
    ends = ((tail, forecasts.lower[level]), (1.0 - tail, forecasts.upper[level]))
    losses = [np.maximum(q * (truth - end), (q - 1.0) * (truth - end))[np.isfinite(truth)] for q, end in ends]
    return float(np.mean(losses)) if losses[0].size else float("nan")


def seasonal_error(panel: Panel, season: int) -> np.ndarray:
    """Mean |y_t - y_{t-season}| of each series [N]; NaN where a series is too short or never changes."""
    errors = np.full(panel.n_series, np.nan)
    for i in range(panel.n_series):
        y = panel.target[panel.rows(i)]
        difference = np.abs(y[season:] - y[:-season]) if len(y) > season else np.empty(0)
        difference = difference[np.isfinite(difference)]
        if difference.size and difference.mean() > 0:
            errors[i] = difference.mean()
    return errors


def _score(
    name: str, f: np.ndarray, truth: np.ndarray, unit: np.ndarray, series: np.ndarray, n: int
) -> Score:
    error = np.abs(f - truth)
    known = np.isfinite(error)
    size = np.abs(f) + np.abs(truth)
    relative = np.divide(error, size, out=np.zeros_like(error), where=known & (size > 0))
    total = np.bincount(series, np.where(known, error, 0.0).sum(1), n)
    count = np.bincount(series, known.sum(1), n)
    by_series = np.divide(total, count, out=np.full(n, np.nan), where=count > 0)
    scaled = (error / unit[:, None])[known]
    scaled = scaled[np.isfinite(scaled)]
    steps = known.sum(0)
    by_step = np.divide(
        np.where(known, error, 0.0).sum(0), steps, out=np.full(f.shape[1], np.nan), where=steps > 0
    )
    if not known.any():
        return Score(name, np.nan, np.nan, np.nan, np.nan, by_step, by_series)
    return Score(
        name,
        mae=float(error[known].mean()),
        rmse=float(np.sqrt((error[known] ** 2).mean())),
        smape=float(200.0 * relative[known].mean()),
        mase=float(scaled.mean()) if scaled.size else float("nan"),
        by_step=by_step,
        by_series=by_series,
    )


def _text(time: np.datetime64 | np.int64) -> str:
    return str(time.astype("M8[s]")).replace("T", " ") if isinstance(time, np.datetime64) else str(time)
