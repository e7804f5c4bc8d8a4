"""Small tables, and the command line run in this process or in one of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from grus.cli import main

#: A network that trains in a second; the figures it makes do not matter here.
TINY = ["--hidden-size", "8", "--epochs", "2", "--windows-per-epoch", "128", "--device", "cpu"]
HORIZON = 12


@dataclass(frozen=True)
class Ran:
    """What a command line did."""

    code: int
    out: str
    err: str


def run(capsys, *arguments: object) -> Ran:
    """Run one command line in this process."""
    capsys.readouterr()
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return Ran(code, captured.out, captured.err)


def command(*arguments: object) -> list[str]:
    """The same as a process of its own."""
    return [sys.executable, "-m", "grus.cli", *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def spawn(*arguments: object, **more: object) -> Ran:
    """Run one command line in a process of its own."""
    done = subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=120,
        check=False,
        **more,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def hourly(rows: int = 24 * 20, seed: int = 0) -> str:
    """CSV of hours with a daily cycle, and a covariate ``promo`` that is known in advance."""
    rng = np.random.default_rng(seed)
    hours = np.datetime64("2024-03-01T00", "h") + np.arange(rows)
    promo = (np.arange(rows) // 24 % 3 == 0).astype(int)
    y = 100 + 40 * np.sin(np.arange(rows) * np.pi / 12) + 15 * promo + rng.normal(0, 5, rows)
    lines = [f"{str(t).replace('T', ' ')}:00:00,{v:.2f},{p}" for t, v, p in zip(hours, y, promo)]
    return "\n".join(["ds,y,promo", *lines]) + "\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
