"""Central prediction intervals by split conformal calibration.

Vovk et al. 2005; for quantile models the conformalised form of Romano, Patterson and Candes 2019: the half-width (or,
with quantiles, the margin) c of a level is the ceil((n+1) * level)-th smallest of the n calibration scores
max(lower - y, y - upper), separately for each step of the horizon, in units of each series' scale. A point model's
lower and upper are both the point, so that the score is |y - point|.

Errors are first divided by their typical size at that place in the season (locally weighted conformal prediction, Lei
et al. 2018): nights are surer than rush hours, and one margin for both would be too wide for one and too narrow for the
other. Then by the mean size of the last few forecasts of the series that were over by then (normalised conformal
prediction with a running scale): of many series some are calm, and one series has calm months. The sizes of the season
come from training windows and those of the last forecasts from before each window, so that no window sizes itself.
"""

import math
from collections.abc import Iterable, Sequence
from numbers import Real

import numpy as np

from grus.errors import UsageError
from grus.preprocess.panel import Panel

#: Levels in percent that a model file carries margins for.
LEVELS = np.arange(1, 100)

#: How many earlier forecasts say how wide an interval is now; on ETTh1 (96 hours ahead) 4 to 28 of them did alike.
RECENT = 7

#: Values that the overall error counts for beside those of one phase of the season.
PRIOR = 10.0


def check_levels(level: Iterable[float]) -> list[float]:
    """Levels in percent as plain numbers, whole ones as ``int``.

    Raises:
        UsageError: it is no list, or one of them is no number from 1 to 99.
    """
    if isinstance(level, str) or not isinstance(level, Iterable):
        raise UsageError(f"level must be a list of percentages such as [80, 95], got {level!r}")
    levels = list(level)
    for wanted in levels:
        if not isinstance(wanted, Real) or not LEVELS[0] <= float(wanted) <= LEVELS[-1]:
            raise UsageError(f"level must be from {LEVELS[0]} to {LEVELS[-1]} percent, got {wanted!r}")
    return [int(wanted) if float(wanted).is_integer() else float(wanted) for wanted in levels]


def base_interval(
    outputs: np.ndarray, quantiles: tuple[float, ...], level: float
) -> tuple[np.ndarray, np.ndarray]:
    """The network's own central interval of a level, before calibration.

    Args:
        outputs: [..., Q], increasing along Q (one output: a point).
        quantiles: the Q probabilities; empty for a point model.
        level: in percent.

    Returns:
        lower and upper, each [...]. A level beyond the outermost quantiles uses the outermost.
    """
    if not quantiles:
        return outputs[..., 0], outputs[..., 0]
    tail = (1.0 - level / 100.0) / 2.0
    return _at(outputs, quantiles, tail), _at(outputs, quantiles, 1.0 - tail)


def point(outputs: np.ndarray, quantiles: tuple[float, ...]) -> np.ndarray:
    """The point forecast [...]: the network's own, or the median of its quantiles."""
    return _at(outputs, quantiles, 0.5) if quantiles else outputs[..., 0]


def calibrate(outputs: np.ndarray, truth: np.ndarray, quantiles: tuple[float, ...]) -> np.ndarray:
    """Margins [99, H] from calibration windows.

    Args:
        outputs: [W, H, Q] of the network, scaled.
        truth: [W, H] scaled, NaN where missing.
        quantiles: the Q probabilities; empty for a point model.

    Returns:
        float64 [99, H], one row per level of `LEVELS`; a step without any truth takes the margins of all steps, and
        without a single known value they are 0.
    """
    known = np.isfinite(truth)
    margins = np.zeros((len(LEVELS), truth.shape[1]))
    for row, level in enumerate(LEVELS):
        lower, upper = base_interval(outputs, quantiles, float(level))
        scores = np.maximum(lower - truth, truth - upper)
        for step in range(truth.shape[1]):
            mask = known[:, step]
            values = scores[:, step][mask] if mask.any() else scores[known]
            margins[row, step] = _conformal_quantile(values, int(level))
    # A wider level may never be narrower than the one before it.
    return np.maximum.accumulate(margins, axis=0) if not quantiles else margins


def season_phases(
    panel: Panel, series: np.ndarray, origins: np.ndarray, horizon: int, season: int
) -> np.ndarray:
    """The place in the season of every step of every window, int [W, H] from 0 to season - 1.

    It counts steps on the calendar (from 1970-01-01, or from 0), so that it means the same in any table.
    """
    start = panel.starts[series]
    zero = np.zeros((), start.dtype)  # 1970-01-01 for dates
    first = panel.frequency.locate(start, zero)[0] + origins - panel.offsets[series]
    return (first[:, None] + np.arange(horizon)) % season


def phase_spread(error: np.ndarray, phases: np.ndarray, season: int) -> np.ndarray:
    """Typical size of the error at each place in the season, float64 [season].

    The mean |error| of a phase, drawn towards that of all phases by the weight of ten values, so that a phase with few
    values is not believed blindly; relative to the mean of all, so that margins keep their unit.

    Args:
        error: [W, H], NaN where the truth is missing.
        phases: [W, H] from `season_phases`.
        season: number of phases.
    """
    known = np.isfinite(error)
    size, phase = np.abs(error[known]), phases[known]
    overall = float(size.mean()) if size.size else 0.0
    if overall == 0.0:
        return np.ones(season)
    total, count = np.bincount(phase, size, season), np.bincount(phase, minlength=season)
    return (total + PRIOR * overall) / (count + PRIOR) / overall


def earlier_origins(
    origins: np.ndarray, first: np.ndarray, horizon: int, season: int, count: int
) -> np.ndarray:
    """Origins of the last forecasts that were over before each origin, int64 [W, count], -1 where there is none.

    They lie a season apart, or further, so that ``count`` of them reach over a whole horizon.

    Args:
        origins: int [W].
        first: the least origin that each may have, int [W].
    """
    back = horizon + max(season, horizon // count) * np.arange(count)
    earlier = origins[:, None] - back
    return np.where(earlier >= first[:, None], earlier, -1)


def mean_size(error: np.ndarray) -> np.ndarray:
    """Mean |error| of each window [W], NaN where no truth is known; ``error`` is [W, H] with NaN."""
    known = np.isfinite(error)
    count = known.sum(1)
    total = np.abs(np.where(known, error, 0.0)).sum(1)
    return np.divide(total, count, out=np.full(len(error), np.nan), where=count > 0)


def drawn_mean(sizes: np.ndarray, typical: float) -> np.ndarray:
    """The mean of each row [W], NaN left out, drawn towards ``typical`` by the weight of one value."""
    known = np.isfinite(sizes)
    return (np.where(known, sizes, 0.0).sum(1) + typical) / (known.sum(1) + 1)


def nested_intervals(
    outputs: np.ndarray, quantiles: tuple[float, ...], margins: np.ndarray, levels: Sequence[float]
) -> dict[float, tuple[np.ndarray, np.ndarray]]:
    """Calibrated central intervals: the network's own ends, moved outwards by the margin of their level.

    Margins of a quantile model need not grow with the level, so each of its intervals is joined with those of all
    smaller whole levels: a wider level contains a narrower one, whichever of them are asked for. Between two whole
    levels the ends are interpolated.

    Args:
        outputs: [W, H, Q] of the network, scaled.
        quantiles: the Q probabilities; empty for a point model.
        margins: [99, H] as `calibrate` gives them.
        levels: in percent, each from 1 to 99.

    Returns:
        By level, in the order given: lower and upper, each [W, H], scaled.
    """
    wanted = {whole for level in levels for whole in (int(level), math.ceil(level))}
    low, high = np.full(outputs.shape[:-1], np.inf), np.full(outputs.shape[:-1], -np.inf)
    ends: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for whole in range(LEVELS[0], max(wanted, default=0) + 1) if quantiles else sorted(wanted):
        below, above = base_interval(outputs, quantiles, whole)
        below, above = below - margins[whole - LEVELS[0]], above + margins[whole - LEVELS[0]]
        # A margin below zero can turn a narrow interval inside out: its ends then count in either order.
        low = np.minimum(low, np.minimum(below, above))
        high = np.maximum(high, np.maximum(below, above))
        if whole in wanted:
            ends[whole] = low, high

    def between(level: float, side: int) -> np.ndarray:
        first, second = ends[int(level)][side], ends[math.ceil(level)][side]
        return first + (level - int(level)) * (second - first)

    return {level: (between(level, 0), between(level, 1)) for level in levels}


def _conformal_quantile(scores: np.ndarray, level: int) -> float:
    """The ceil((n + 1) * level / 100)-th smallest of n scores; the largest where n is too few for the level."""
    if not scores.size:
        return 0.0
    # In whole numbers: 100 * 0.07 is a little more than 7, and would round up to 8.
    rank = min(-(-(scores.size + 1) * level // 100), scores.size)
    return float(np.partition(scores, rank - 1)[rank - 1])


def _at(outputs: np.ndarray, quantiles: tuple[float, ...], probability: float) -> np.ndarray:
    """Interpolate the quantile function at a probability, constant beyond its ends."""
    place = float(np.interp(probability, quantiles, np.arange(len(quantiles))))
    low = int(place)
    high = min(low + 1, len(quantiles) - 1)
    return outputs[..., low] + np.asarray(place - low, outputs.dtype) * (
        outputs[..., high] - outputs[..., low]
    )
