"""Draws bike_forecast.png from the model that scripts/quickstart leaves: six daily forecasts in a row.

python docs/images/bike_forecast.py
"""

from pathlib import Path

import numpy as np

import grus
from grus.data.readers import read_columns
from grus.inspection.plots import figure_of, new_axes, plot_forecast

ROOT = Path(__file__).parents[2]
FIRST = np.datetime64("2012-12-12T00", "ns")
DAYS, HISTORY = 6, 48


def main() -> None:
    """Forecast each day from the midnight before it, and draw the days side by side."""
    live = grus.load(ROOT / "models" / "bike-weather")
    panel = live.panel(read_columns(ROOT / "examples" / "bike_sharing" / "hourly.csv")[0])
    begin = int(live.frequency.position(np.array([FIRST]), panel.starts[0])[0])
    origins = begin + 24 * np.arange(DAYS)
    forecasts = live.forecast(panel, np.zeros(DAYS, np.int64), origins, (80, 95))
    rows = slice(begin - HISTORY, begin + 24 * DAYS)
    ax = new_axes(10.5, 3.6)[0]
    plot_forecast(
        panel.times(0)[rows],
        panel.target[rows],
        forecasts.point.ravel(),
        lower={level: ends.ravel() for level, ends in forecasts.lower.items()},
        upper={level: ends.ravel() for level, ends in forecasts.upper.items()},
        unit="rentals an hour",
        name="GRU, a day ahead",
        ax=ax,
    )
    figure_of(ax).savefig(Path(__file__).with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()
