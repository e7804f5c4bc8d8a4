"""Forecast the closing prices of stocks five days ahead, and see that the price of today is as good.

    python examples/stock.py prices.csv [--small]

The table is long: columns Date, Close and Name, a row for each day of each stock, such as the files of
github.com/szrlee/Stock-Time-Series-Analysis put together. One model sees all stocks. What to expect: prices are close
to a random walk, whose best forecast is its last value; what a model can offer is how far they may go.
"""

import argparse
import sys
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.csv

from grus import Forecaster


def main() -> None:
    """Train, and print the error of the model beside those of simple rules."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("--small", action="store_true", help="three stocks since 2016, one short epoch")
    args = parser.parse_args()
    prices = pyarrow.csv.read_csv(args.table).select(["Date", "Close", "Name"])
    settings = {}
    if args.small:
        few = prices["Name"].unique()[:3]
        recent = pc.greater_equal(prices["Date"].cast("string"), "2016-01-01")
        prices = prices.filter(pc.and_(recent, pc.is_in(prices["Name"], few)))
        settings = {"epochs": 1, "hidden_size": 16, "windows_per_epoch": 512}
    model = Forecaster(horizon=5, target="Close", id="Name", time="Date", freq="B", test_size=60, **settings)
    model.fit(prices, report_plan=lambda plan: print(*plan, sep="\n", file=sys.stderr))
    for score in model.test_.scores:
        print(f"{score.name:16} mean absolute error {score.mae:.3f}")
    for level, share in model.test_.coverage.items():
        print(f"inside the interval of {level:g}%: {share:.1%} of the true prices")


if __name__ == "__main__":
    main()
