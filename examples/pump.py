"""Watch a pump: learn what is normal from the first minutes of a run, and see a fault come on, row by row.

    python examples/pump.py run.csv [--normal 400]

The table has a column for each sensor and, to compare with, a column ``anomaly`` of 0 and 1, such as a file of SKAB
(github.com/waico/SKAB): a water circuit with a pump, one row a second, of which the first 400 are normal. A file of
NAB (github.com/numenta/NAB) does as well, with ``--normal`` for the rows to learn from.
"""

import argparse
from pathlib import Path

import numpy as np

from grus import AnomalyDetector
from grus.data.readers import read_columns

#: What says when, or whether something was wrong, is no sensor.
NO_SENSOR = ("datetime", "timestamp", "anomaly", "changepoint")


def main() -> None:
    """Train on the normal rows, feed the others one by one, and print what happened."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("--normal", type=int, default=400, metavar="ROWS", help="rows to learn from")
    args = parser.parse_args()
    columns, _ = read_columns(args.table)
    sensors = {name: values for name, values in columns.items() if name not in NO_SENSOR}
    model = AnomalyDetector(
        memory=0, outside=0.0, short=10, level=True, joint=len(sensors) > 1, hidden_size=4, dropout=0.3,
        weight_decay=0.1, epochs=3,
    )  # fmt: skip
    model.fit({name: values[: args.normal] for name, values in sensors.items()}, progress="quiet")
    print(f"{args.normal} rows learned from, threshold {model.threshold_:.3f}")

    live, alarms = model.live_, 0
    state = live.init_state(1)
    for row in range(len(next(iter(sensors.values())))):
        answer, state = live.step({name: values[row] for name, values in sensors.items()}, state)
        if row >= args.normal and answer["alarm"][0]:
            alarms += 1
            print(f"row {row}: alarm, score {answer['score'][0]:.3f}, mostly {answer['column'][0]}")
    print(f"{alarms} alarms")
    if "anomaly" in columns:
        truth = np.asarray(columns["anomaly"])[args.normal :] == 1
        called = model.predict(sensors)[args.normal :] == 1
        print(
            f"faulty rows called so: {called[truth].mean():.1%}; normal rows called faulty: {called[~truth].mean():.1%}"
        )


if __name__ == "__main__":
    main()
