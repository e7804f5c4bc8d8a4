"""The scripts of examples/ run on a little of the data that they are about, and say what they are to say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("GRUS_DATA", ROOT.parent / "shared" / "data"))
RUNS = [
    (
        "stock.py",
        "djia_stocks/djia_2006_2018.csv.gz",
        ["--small"],
        ["GRU", "repeat last", "inside the interval of 95%"],
    ),
    ("weather.py", "weather_mpi/weather.csv.gz", ["--small"], ["GRU", "seasonal naive 24", "degrees"]),
    (
        "pump.py",
        "skab/valve1/3.csv.gz",
        [],
        ["400 rows learned from", "alarm, score", "faulty rows called so"],
    ),
]


def run(name, *arguments):
    return subprocess.run(
        [sys.executable, ROOT / "examples" / name, *arguments],
        capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.parametrize(("name", "data", "more", "said"), RUNS, ids=[r[0] for r in RUNS])
def test_example(name, data, more, said):
    if not (DATA / data).is_file():
        pytest.skip(f"no data at {DATA / data}")
    ran = run(name, DATA / data, *more)
    assert ran.returncode == 0, ran.stderr
    for words in said:
        assert words in ran.stdout


def test_every_script_is_run_somewhere():
    # tests/test_icu_example.py and the like
    elsewhere = {"icu_stays.py", "speech.py", "digits.py", "visits.py"}
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == elsewhere | {name for name, *_ in RUNS}
    for name, *_ in RUNS:
        assert run(name, "--help").returncode == 0
