"""How long ``grus inspect`` takes on a series of 10,000 steps: a process of its own, from the command to the page.

python benchmarks/inspect_long.py [--steps 10000] [--hidden-size 64] [--rounds 3]
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def series(path: Path, steps: int) -> None:
    """Four recordings of two channels and their labels: slow waves, and faster ones."""
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8") as file:
        file.write("id,t,x,y,label\n")
        for number in range(4):
            fast = number % 2
            t = np.arange(steps)
            x = np.sin(t * (0.01 + 0.01 * fast)) + rng.normal(0, 0.3, steps)
            y = (rng.random(steps) < 0.001).cumsum() % 2 + rng.normal(0, 0.1, steps)
            label = ("slow", "fast")[fast]
            file.writelines(f"{number},{k},{x[k]:.4f},{y[k]:.4f},{label}\n" for k in range(steps))


def grus(*arguments: str) -> tuple[float, float]:
    """Run one command; seconds that went by, and seconds of processor time."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "grus.cli", *arguments, "-q"], check=True)
    after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    return end - begin, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--hidden-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data, model, page = Path(folder, "series.csv"), Path(folder, "model"), Path(folder, "page.html")
        series(data, options.steps)
        small = [
            "--hidden-size",
            str(options.hidden_size),
            "--epochs",
            "1",
            "--max-length",
            str(options.steps),
        ]
        grus(
            "fit",
            "classify",
            str(data),
            "--id",
            "id",
            "--time",
            "t",
            "--label",
            "label",
            "-o",
            str(model),
            *small,
        )
        print(
            f"{options.steps:,} steps, {options.hidden_size} units, both directions; load {os.getloadavg()[0]:.1f}"
        )
        for _ in range(options.rounds):
            wall, busy = grus("inspect", str(model), str(data), "-o", str(page), "--force")
            print(
                f"{wall:.1f} s went by, {busy:.1f} s of processor time, page of {page.stat().st_size:,} bytes"
            )


if __name__ == "__main__":
    main()
