"""Forecasts of many windows as arrays."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Forecasts:
    """What a model says about W windows of H steps, in the target's unit.

    Attributes:
        series: number of each window's series in the panel, int [W].
        origins: global row of each window's first step, int [W].
        point: [W, H].
        lower, upper: ends of the central interval by level in percent, each [W, H].
    """

    series: np.ndarray
    origins: np.ndarray
    point: np.ndarray
    lower: dict[float, np.ndarray]
    upper: dict[float, np.ndarray]
