"""Forecasts that cost nothing, which every model has to beat: repeat the last value, repeat the last season."""

import numpy as np

from grus.preprocess.panel import Panel
from grus.preprocess.row_tables import forward_fill


def repeat_last(panel: Panel, origins: np.ndarray, horizon: int) -> np.ndarray:
    """The last value known before each origin at every step [W, H]; NaN where there is none.

    Args:
        panel: series with gaps as NaN.
        origins: global row of each window's first step, int [W].
        horizon: steps H.
    """
    filled = forward_fill(panel.target, panel.offsets)
    return np.repeat(_known(filled, panel, origins, origins - 1)[:, None], horizon, axis=1)


def seasonal_naive(panel: Panel, origins: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The value of the last full season before the origin, at the same place in the season [W, H].

    y_{o+k} is forecast as y_{o+k-ms} with the least m that reaches back before the origin o. A missing value there is
    replaced by the last one known before it (what a naive user would do too).
    """
    filled = forward_fill(panel.target, panel.offsets)
    ahead = np.arange(horizon)
    rows = origins[:, None] + ahead - season * (ahead // season + 1)
    return _known(filled, panel, np.repeat(origins, horizon), rows.ravel()).reshape(rows.shape)


def _known(filled: np.ndarray, panel: Panel, origins: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """``filled`` at ``rows``, NaN where a row lies before the start of the origin's series."""
    start = panel.offsets[np.searchsorted(panel.offsets, origins, side="right") - 1]
    return np.where(rows >= start, filled[np.maximum(rows, 0)], np.nan)
