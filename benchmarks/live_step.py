"""What one row costs: ``live.step`` from a raw record to an answer, for one stream and for many at once.

    scripts/bench live_step

A forecaster (hourly, 24 back, 6 ahead) and a classifier of series in one direction (3 channels), both small and trained
for a moment. A step reads the row's cells and its stamp, checks them against what came before, scales, runs the network
and puts the answer into columns. The answers are compared with those of ``predict`` before anything is timed. Times are
what the process worked (CPU time; set OMP_NUM_THREADS and GRUS_NUM_THREADS to 1), so that others do not count.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import grus
from soak import make_model

STREAMS = (1, 64, 1024)


def timed(call: Callable[[], Any], seconds: float) -> dict[str, float]:
    """Microseconds a call: median and quartiles of as many as fit in the time, at least 7."""
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while len(samples) < 7 or time.perf_counter() < end:
        begin = time.process_time()
        call()
        samples.append((time.process_time() - begin) * 1e6)
    low, middle, high = statistics.quantiles(samples, n=4)
    return {"us": middle, "us_q25": low, "us_q75": high}


def hours(streams: int, steps: int) -> list[list[dict[str, Any]]]:
    """Rows of many series, hour by hour."""
    stamps = np.datetime_as_string(
        np.datetime64("2024-02-01T00", "s") + np.arange(steps) * np.timedelta64(1, "h")
    )
    return [
        [{"unique_id": f"k{i}", "ds": stamp, "y": float((i + t) % 24)} for i in range(streams)]
        for t, stamp in enumerate(stamps.tolist())
    ]


def forecaster(folder: Path, seconds: float) -> dict[str, Any]:
    """Steps of a forecaster whose rings are full."""
    live: Any = grus.load(make_model(folder))
    found: dict[str, Any] = {"memory": live.memory}
    for streams in STREAMS:
        rows = hours(streams, live.memory + 2)
        state = live.init_state(streams)
        for now in rows[:-1]:
            _, state = live.step(now, state)
        before, now = state, rows[-1]
        for level in ((), (80,)):
            y, _ = live.step(now, before, level=level)
            so_far = [row for part in rows for row in part]
            wanted = live.predict(so_far, level=level)
            assert all(np.array_equal(y[name], wanted[name]) for name in y), "step and predict differ"
            name = f"{streams} streams" + (", with an interval" if level else "")
            found[name] = timed(partial(live.step, now, before, level=level), seconds)
    return found


def classifier(folder: Path, seconds: float) -> dict[str, Any]:
    """Steps of a classifier."""
    x = np.random.default_rng(0).normal(size=(1024, 30, 3)).cumsum(axis=1)
    labels = np.where(x[:, -1, 0] > 0, "up", "down")
    model = grus.Classifier(bidirectional=False, hidden_size=64, epochs=1, device="cpu")
    live: Any = grus.load(model.fit(list(x), labels, progress="quiet").save(folder / "trend"))
    found: dict[str, Any] = {}
    for streams in STREAMS:
        _, before = live.run(x[:streams, :20])
        y, _ = live.step(x[:streams, 20], before, proba=True)
        wanted = live.predict(list(x[:streams, :21]), proba=True)
        assert all(np.array_equal(y[name], wanted[name]) for name in y), "step and predict differ"
        found[f"{streams} streams"] = timed(partial(live.step, x[:streams, 20], before), seconds)
    return found


def main() -> None:
    """Run and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="for each figure")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        told = {
            "forecaster": forecaster(folder, options.seconds),
            "classifier": classifier(folder, options.seconds),
        }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
