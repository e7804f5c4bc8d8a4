"""Shifts and scales, fitted on float64 training rows, missing values ignored."""

from typing import Literal

import numpy as np

from grus.errors import DataError, UsageError

Method = Literal["standard", "robust", "none"]
METHODS: tuple[Method, ...] = ("standard", "robust", "none")


def fit_scaler(
    x: np.ndarray, method: Method = "standard", names: tuple[str, ...] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Center and scale of each column, so that (x - center) / scale is of order one.

    standard: mean and sqrt(mean((x - mean)^2)) (ddof=0). robust: median and (q75 - q25) / 1.349, the standard
    deviation of a normal with those quartiles. none: 0 and 1. A column without spread gets scale 1.

    Args:
        x: float64 [R, k], NaN = missing; finite otherwise, up to the largest float64.
        method: standard, robust or none.
        names: of the columns, for messages.

    Returns:
        center [k], scale [k], float64, scale > 0.
    Raises:
        DataError: a column without any value.
    """
    _check_method(method)
    table = np.asarray(x, np.float64)
    k = table.shape[1]
    center, scale = np.zeros(k), np.ones(k)
    for j in range(k):
        present = table[~np.isnan(table[:, j]), j]
        if not len(present):
            name = repr(names[j]) if names else str(j)
            raise DataError(
                f"column {name}: expected at least one value to fit a scale, got only missing ones"
            )
        center[j], scale[j] = _one(present, method)
    return center, scale


def fit_series_scaler(
    values: np.ndarray, offsets: np.ndarray, method: Method = "standard", ids: tuple[str, ...] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """As ``fit_scaler`` for each series by itself; a series without any value is a ``DataError`` naming it.

    Args:
        values: float64 [R], NaN = missing.
        offsets: int64 [N + 1]; series i is ``values[offsets[i]:offsets[i + 1]]``.
        method: standard, robust or none.
        ids: of the series, for messages.

    Returns:
        center [N], scale [N], float64, scale > 0.
    """
    _check_method(method)
    n = len(offsets) - 1
    center, scale = np.zeros(n), np.ones(n)
    for i in range(n):
        row = np.asarray(values[offsets[i] : offsets[i + 1]], np.float64)
        present = row[~np.isnan(row)]
        if not len(present):
            name = repr(ids[i]) if ids else str(i)
            raise DataError(
                f"series {name}: expected at least one value to fit a scale, got only missing ones"
            )
        center[i], scale[i] = _one(present, method)
    return center, scale


def apply(x: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(x - center) / scale, broadcasting, float64."""
    # Divided first: x - center may leave the range of float64 where both are huge and of opposite sign.
    return (
        np.asarray(x, np.float64) / scale - center / scale
        if np.max(np.abs(center), initial=0) > 1e300
        else (np.asarray(x, np.float64) - center) / scale
    )


def invert(z: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """z * scale + center, broadcasting, float64: the inverse of ``apply``."""
    return np.asarray(z, np.float64) * scale + center


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise UsageError(f"scaling: expected one of {', '.join(METHODS)}, got {method!r}")


def _one(present: np.ndarray, method: Method) -> tuple[float, float]:
    if method == "none":
        return 0.0, 1.0
    largest = float(np.max(np.abs(present)))
    if largest == 0.0:
        return 0.0, 1.0
    unit = 2.0 ** np.floor(
        np.log2(largest)
    )  # squares and differences of x / unit stay in range; exact division
    x = present / unit
    if method == "standard":
        middle = float(np.mean(x))
        spread = float(np.sqrt(np.mean((x - middle) ** 2)))
    else:
        low, middle, high = (float(q) for q in np.quantile(x, (0.25, 0.5, 0.75)))
        spread = (high - low) / 1.349
    # Rounding alone gives a constant column a spread of about eps; that is no scale to divide by.
    negligible = spread <= 8 * np.finfo(np.float64).eps * abs(middle)
    scale = 1.0 if negligible else spread * unit
    return middle * unit, scale if scale > 0 else 1.0
