"""The example of speech runs as it stands, without any data."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "examples" / "speech.py"


def test_the_example_of_tones_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path],
        capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert first.startswith("classifier: ")
    assert float(second.split()[-1].rstrip("%")) < 10
    assert third.startswith("said ")
    assert (tmp_path / "sentences" / "config.json").is_file()
