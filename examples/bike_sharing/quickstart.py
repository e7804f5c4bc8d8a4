"""Forecast hourly bike rentals a day ahead, and score every daily origin of the last eight weeks.

Two models on the same split: one knows the calendar only, the other also the weather of the day to come, as if its
forecast were perfect. Eight weeks of test and the eight before for validation are never trained on.
"""

import sys
import time
from pathlib import Path

from grus import Forecaster

HERE = Path(__file__).parent
DATA = HERE / "hourly.csv"
EIGHT_WEEKS = 8 * 7 * 24
CALENDAR = ["holiday", "workingday"]
WEATHER = [*CALENDAR, "weathersit", "temp", "atemp", "hum", "windspeed"]


def main() -> None:
    """Train, score, save and print."""
    out = Path("models")
    rows, reports, seconds = [], [], 0.0
    for label, known, folder in (
        ("GRU, calendar only", CALENDAR, "bike-calendar"),
        ("GRU, weather known in advance", WEATHER, "bike-weather"),
    ):
        print(f"\n{label}", file=sys.stderr)
        model = Forecaster(horizon=24, future=known, val_size=EIGHT_WEEKS, test_size=EIGHT_WEEKS)
        begin = time.perf_counter()
        model.fit(DATA, report_plan=lambda lines: print("\n".join(lines), file=sys.stderr))
        seconds += time.perf_counter() - begin
        test = model.test_
        if not rows:
            rows += [(s.name, s.mae, s.rmse, 1 - s.mae / test.best_baseline.mae) for s in test.scores[1:]]
        rows.append((label, test.model.mae, test.model.rmse, test.gain))
        reports.append(model.save(out / folder, force=True) / "report" / "index.html")
    print(f"\nRentals an hour, 24 h ahead, {test.windows} daily origins from {test.first} to {test.last}")
    print(f"{'':32}{'MAE':>8}{'RMSE':>8}{'under the best naive':>23}")
    for name, mae, rmse, gain in rows:
        print(f"{name:32}{mae:8.1f}{rmse:8.1f}{gain:23.1%}")
    print(f"\ntraining and scoring took {seconds:.0f} s")
    for report in reports:
        print(f"report: {report}")
    print("next: grus predict models/bike-calendar DATA.csv --future FUTURE.csv --level 80,95")


if __name__ == "__main__":
    main()
