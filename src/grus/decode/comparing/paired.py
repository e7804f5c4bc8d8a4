"""Intervals of a cell's error and of the difference between two, over the test units and over the seeds of training.

Another training run of the same cell gives another error, and so would another set of test rows. Both are drawn from
something larger, so both belong into the interval. The model is that of readers and cases in medical imaging, with runs
in the place of readers, each nested in its cell, and test units in the place of cases, which all runs share:

    loss of cell c in run s at unit u = mean_c + unit_u + (cell x unit)_cu + run_s(c) + rest_csu

Between two cells the units cancel but for what is particular to the cell (they are paired), and the runs do not: a seed
gives two cells the same order of rows, but no weight in common.

Reference: Obuchowski and Rockette 1995, "Hypothesis testing of diagnostic accuracy for multiple readers and multiple
tests"; degrees of freedom as in Hillis 2014, "A marginal-mean ANOVA approach for analyzing multireader multicase
radiological imaging data", after Satterthwaite 1946.
"""

import math
from typing import NamedTuple

import numpy as np

from grus.decode.comparing.student import quantile


class Interval(NamedTuple):
    """An estimate with the half width of its interval: value - half to value + half.

    Args:
        value: mean over runs and units.
        half: NaN where one unit and one run leave nothing to judge by.
        error: its standard error; df: degrees of freedom of that.
    """

    value: float
    half: float
    error: float
    df: float

    @property
    def low(self) -> float:
        """Lower end."""
        return self.value - self.half

    @property
    def high(self) -> float:
        """Upper end."""
        return self.value + self.half

    @property
    def is_clear(self) -> bool:
        """Whether the interval holds no zero: more than noise."""
        return abs(self.value) > self.half


def error_interval(losses: np.ndarray, weights: np.ndarray, level: float = 0.95) -> Interval:
    """Mean error of one cell.

        variance = var(run means) / S + [var(unit means) / U - var(rest) / (S U)]

    Args:
        losses: of S runs at U units, float64 [S, U].
        weights: what each unit counts [U].
        level: of the interval, a share.
    """
    balanced = _balanced(losses, weights)
    return _interval(float(balanced.mean()), [_runs(balanced)], _units(balanced, [balanced]), level)


def difference_interval(
    one: np.ndarray, other: np.ndarray, weights: np.ndarray, level: float = 0.95
) -> Interval:
    """Mean error of one cell minus that of another, on the same units.

        variance = var(run means of one) / S + the same of the other
                   + [var(differences of the unit means) / U - var(rest of both) / (S U)]

    With one run a cell nothing is known of the noise between runs, and the interval is over the units alone.

    Args:
        one, other: losses, float64 [S, U] and [R, U]; the units are the same.
        weights: what each unit counts [U].
        level: of the interval, a share.
    """
    a, b = _balanced(one, weights), _balanced(other, weights)
    units = a.mean(axis=0) - b.mean(axis=0)
    parts = [_runs(a), _runs(b)]
    return _interval(float(units.mean()), parts, _units(units[None], [a, b]), level)


def _balanced(losses: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Losses whose plain mean is the weighted one: mean_s + w_u / mean(w) (loss_su - mean_s), a ratio made linear."""
    losses, share = np.asarray(losses, np.float64), np.asarray(weights, np.float64) / np.mean(weights)
    means = np.average(losses, axis=1, weights=weights)[:, None]
    return means + share * (losses - means)


def _runs(losses: np.ndarray) -> tuple[float, int]:
    """Variance of the mean that comes from the runs, and its degrees of freedom."""
    s = len(losses)
    return (float(losses.mean(axis=1).var(ddof=1)) / s, s - 1) if s > 1 else (0.0, 0)


def _units(means: np.ndarray, cells: list[np.ndarray]) -> tuple[float, int]:
    """Variance of the mean that comes from the units, without what the variance of the runs holds already."""
    u = means.shape[1]
    if u < 2:
        return 0.0, 0
    rest = sum(_rest(losses) / losses.size for losses in cells if len(losses) > 1)
    return max(float(means.mean(axis=0).var(ddof=1)) / u - rest, 0.0), u - 1


def _rest(losses: np.ndarray) -> float:
    """Variance that neither the run nor the unit explains."""
    s, u = losses.shape
    left = losses - losses.mean(axis=0) - losses.mean(axis=1)[:, None] + losses.mean()
    return float((left**2).sum()) / ((s - 1) * (u - 1))


def _interval(
    value: float, runs: list[tuple[float, int]], units: tuple[float, int], level: float
) -> Interval:
    parts = [(variance, df) for variance, df in (*runs, units) if df]
    total = sum(variance for variance, _ in parts)
    if not parts:
        return Interval(value, math.nan, math.nan, math.nan)
    doubt = sum(variance**2 / df for variance, df in parts)
    df = total**2 / doubt if doubt else math.inf
    error = math.sqrt(total)
    return Interval(value, quantile(level, df) * error, error, df)
