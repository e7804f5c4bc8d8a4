"""Forecast the temperature of the next day from all instruments of a weather station, hour by hour.

    python examples/weather.py weather.csv [--small]

The table has a column ``date`` and a column for each instrument, every ten minutes, such as the files of the Max Planck
Institute in Jena (bgc-jena.mpg.de/wetter). -9999 stands for a missing value there.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from grus import Forecaster
from grus.data.readers import read_columns

TARGET, TIME, MISSING = "T (degC)", "date", -9999.0


def main() -> None:
    """Train, and print the error of the model beside those of simple rules."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument(
        "--small", action="store_true", help="six weeks and four instruments, one short epoch"
    )
    args = parser.parse_args()
    columns, _ = read_columns(args.table)
    hourly = {name: values[5::6] for name, values in columns.items()}  # the rows of full hours
    for name, values in hourly.items():
        if name != TIME:
            hourly[name] = np.where(values == MISSING, np.nan, values)
    settings = {}
    if args.small:
        hourly = {name: hourly[name][: 42 * 24] for name in (TIME, TARGET, "p (mbar)", "rh (%)")}
        settings = {"epochs": 1, "hidden_size": 16, "windows_per_epoch": 512}
    days = 24 * (7 if args.small else 60)
    others = [name for name in hourly if name not in (TIME, TARGET)]
    model = Forecaster(
        horizon=24, target=TARGET, time=TIME, past=others, freq="h", val_size=days, test_size=days, **settings
    )
    model.fit(hourly, report_plan=lambda plan: print(*plan, sep="\n", file=sys.stderr))
    for score in model.test_.scores:
        print(f"{score.name:16} mean absolute error {score.mae:.2f} degrees")


if __name__ == "__main__":
    main()
