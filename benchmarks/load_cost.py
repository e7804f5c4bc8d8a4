"""What ``grus.load`` costs a process that has NumPy, and what the command line costs before it does anything.

    scripts/bench load_cost --model models/demand           time and memory, medians of 21 fresh processes
    scripts/bench load_cost                                 with a small forecaster made for it

The process cannot import torch, or any library of tables. Time is from the first line after ``import numpy`` until the
model is loaded; *cpu* is what of it the process itself worked, which a loaded machine stretches less; memory is VmRSS,
after less before. Starts of the command line are from exec to exit.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from soak import make_model

_BLOCKED = ("torch", "lightning_fabric", "pyarrow", "narwhals", "pandas", "polars", "matplotlib")
_SCRIPT = """
import sys, time
for name in sys.argv[2].split(","):
    sys.modules[name] = None
def rss():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
import numpy
before, begin, busy = rss(), time.perf_counter(), time.process_time()
import grus
live = grus.load(sys.argv[1])
print((time.perf_counter() - begin) * 1e3, (time.process_time() - busy) * 1e3, (rss() - before) / 1024)
"""
_COMMANDS = (["--version"], ["--help"], ["stream", "--help"], ["predict", "--help"])


def environment(folder: Path) -> dict[str, str]:
    """Compiled modules are kept, as in any installation."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder / "compiled"), "OMP_NUM_THREADS": "1"}


def load_cost(model: Path, folder: Path, rounds: int = 21) -> dict[str, float]:
    """Milliseconds and megabytes of loading a model, medians and quartiles."""
    runs: list[list[float]] = []
    for number in range(rounds + 1):
        arguments = [sys.executable, "-c", _SCRIPT, str(model), ",".join(_BLOCKED)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True, env=environment(folder))
        if not number:  # compiles
            continue
        runs.append([float(part) for part in done.stdout.split()])
    seconds, busy, memory = zip(*runs, strict=True)
    low, middle, high = statistics.quantiles(seconds, n=4)
    return {
        "ms": middle,
        "ms_q25": low,
        "ms_q75": high,
        "ms_min": min(seconds),
        "cpu_ms": statistics.median(busy),
        "mb": statistics.median(memory),
    }


def command_cost(folder: Path, rounds: int = 11) -> dict[str, float]:
    """Milliseconds from exec to exit of some commands, medians."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for arguments in ([], *_COMMANDS):
            begin = time.perf_counter()
            module = ["-m", "grus.cli", *arguments] if arguments else ["-c", "import numpy"]
            subprocess.run(
                [sys.executable, *module], capture_output=True, check=True, env=environment(folder)
            )
            found.setdefault(" ".join(arguments) or "import numpy", []).append(
                (time.perf_counter() - begin) * 1e3
            )
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    """Run as the options say, and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = options.model or make_model(folder)
        load = load_cost(model, folder, options.rounds)
        print(json.dumps({"load": load, "commands_ms": command_cost(folder)}))


if __name__ == "__main__":
    main()
