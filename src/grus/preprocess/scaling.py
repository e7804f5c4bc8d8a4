"""Shifts and scales, fitted on float64 training rows, missing values ignored."""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from grus.errors import DataError, UsageError
from grus.preprocess.storage import CHUNK, chunks

Method = Literal["standard", "robust", "none"]
METHODS: tuple[Method, ...] = ("standard", "robust", "none")
NORMAL_QUARTILES = 1.3489795003921634
"""q75 - q25 of the standard normal distribution."""


def fit_scaler(
    x: np.ndarray, method: Method = "standard", names: tuple[str, ...] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Center and scale of each column, so that (x - center) / scale is of order one.

    standard: mean and sqrt(mean((x - mean)^2)) (ddof=0). robust: median and (q75 - q25) / 1.349, the standard
    deviation of a normal with those quartiles (the plain one, where the quartiles coincide). none: 0 and 1.
    A constant column gets its value and scale 1.

    Args:
        x: float64 [R, k], NaN = missing; finite otherwise, up to the largest float64.
        method: standard, robust or none.
        names: of the columns, for messages.

    Returns:
        center [k], scale [k], float64, scale > 0.
    Raises:
        DataError: a column without any value.
    """
    table = np.asarray(x, np.float64)
    center, scale = np.zeros(table.shape[1]), np.ones(table.shape[1])
    for j in range(table.shape[1]):
        name = f"column {names[j]!r}" if names else f"column {j}"
        center[j : j + 1], scale[j : j + 1] = _fit(table[:, j], np.array([0, len(table)]), method, [name])
    return center, scale


def fit_series_scaler(
    values: np.ndarray, offsets: np.ndarray, method: Method = "standard", ids: tuple[str, ...] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """As ``fit_scaler`` for each series by itself; a series without any value is a ``DataError`` naming it.

    Args:
        values: float64 [R], NaN = missing; may lie on disk.
        offsets: int64 [N + 1]; series i is ``values[offsets[i]:offsets[i + 1]]``.
        method: standard, robust or none.
        ids: of the series, for messages.

    Returns:
        center [N], scale [N], float64, scale > 0.
    """
    names = [f"series {name!r}" for name in ids] if ids else []
    return _fit(values, np.asarray(offsets, np.int64), method, names)


def apply(x: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(x - center) / scale, broadcasting, float64."""
    values = np.asarray(x, np.float64)
    if np.max(np.abs(center), initial=0.0) < 1e290:
        return (values - center) / scale
    # The difference of two such numbers may leave the range of float64; halving them is exact.
    return (values / 2 - np.asarray(center) / 2) / scale * 2


def invert(z: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """z * scale + center, broadcasting, float64: the inverse of ``apply``."""
    return np.asarray(z, np.float64) * scale + center


def _fit(
    values: np.ndarray, offsets: np.ndarray, method: str, names: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    if method not in METHODS:
        raise UsageError(f"scaling: expected one of {', '.join(METHODS)}, got {method!r}")
    n = len(offsets) - 1
    count, low, high = extent(values, offsets)
    if (count == 0).any():
        i = int(np.argmin(count))
        name = names[i] if names else f"series {i}"
        raise DataError(f"{name}: expected at least one value to fit a scale, got only missing ones")
    if method == "none":
        return np.zeros(n), np.ones(n)
    # Squares and differences of x / unit stay in range whatever x is, and dividing by a power of two is exact.
    unit = np.ldexp(1.0, np.frexp(np.maximum(np.abs(low), np.abs(high)))[1] - 1)
    center, spread = _moments(values, offsets, unit, count)
    if method == "robust":
        center, quartiles = _quartiles(values, offsets, unit)
        coincide = quartiles <= 8 * np.finfo(np.float64).eps * spread
        spread = np.where(coincide, spread, quartiles / NORMAL_QUARTILES)
    # A spread of a few roundings is no scale to divide by.
    flat = (low == high) | (spread <= 8 * np.finfo(np.float64).eps * np.abs(center))
    return np.where(low == high, low, center * unit), np.where(flat, 1.0, spread * unit)


def _pieces(
    values: np.ndarray, offsets: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Values piece by piece: the piece, where each series begins in it, which series, and the series per row."""
    for piece in chunks(len(values)):
        first = int(np.searchsorted(offsets, piece.start, side="right")) - 1
        last = int(np.searchsorted(offsets, piece.stop, side="left"))
        bounds = np.clip(offsets[first : last + 1], piece.start, piece.stop) - piece.start
        some = np.flatnonzero(np.diff(bounds))
        series = first + some
        part = np.asarray(values[piece], np.float64)
        yield part, bounds[:-1][some], series, np.repeat(series, np.diff(bounds)[some])


def extent(values: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many values are present, the least and the greatest, for each series."""
    n = len(offsets) - 1
    count, low, high = np.zeros(n, np.int64), np.full(n, np.inf), np.full(n, -np.inf)
    for part, heads, series, _ in _pieces(values, offsets):
        count[series] += np.add.reduceat(~np.isnan(part), heads, dtype=np.int64)
        low[series] = np.fmin(low[series], np.fmin.reduceat(part, heads))
        high[series] = np.fmax(high[series], np.fmax.reduceat(part, heads))
    return count, low, high


def _moments(
    values: np.ndarray, offsets: np.ndarray, unit: np.ndarray, count: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (ddof=0) of x / unit, in two passes."""
    n = len(offsets) - 1
    total, squares = np.zeros(n), np.zeros(n)
    for part, heads, series, rows in _pieces(values, offsets):
        total[series] += np.add.reduceat(np.nan_to_num(part / unit[rows]), heads)
    mean = total / count
    for part, heads, series, rows in _pieces(values, offsets):
        squares[series] += np.add.reduceat(np.nan_to_num(part / unit[rows] - mean[rows]) ** 2, heads)
    return mean, np.sqrt(squares / count)


def _quartiles(values: np.ndarray, offsets: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and q75 - q25 of x / unit, linearly interpolated; series are sorted many at a time."""
    n = len(offsets) - 1
    median, spread = np.zeros(n), np.zeros(n)
    first = 0
    while first < n:
        last = max(int(np.searchsorted(offsets, offsets[first] + CHUNK, side="right")) - 1, first + 1)
        series = np.repeat(np.arange(last - first), np.diff(offsets[first : last + 1]))
        x = np.asarray(values[offsets[first] : offsets[last]]) / unit[first:last][series]
        present = ~np.isnan(x)
        series, x = series[present], x[present]
        x = x[np.lexsort((x, series))] if last - first > 1 else np.sort(x)
        counts = np.bincount(series, minlength=last - first)
        heads = np.cumsum(counts) - counts
        low, median[first:last], high = (_at_rank(x, heads, q * (counts - 1)) for q in (0.25, 0.5, 0.75))
        spread[first:last] = high - low
        first = last
    return median, spread


def _at_rank(x: np.ndarray, heads: np.ndarray, rank: np.ndarray) -> np.ndarray:
    below = np.floor(rank).astype(np.int64)
    above = np.ceil(rank).astype(np.int64)
    return x[heads + below] + (x[heads + above] - x[heads + below]) * (rank - below)
