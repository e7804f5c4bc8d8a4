"""The examples of speech run: that of tones as it stands, without any data, that of spoken digits where they are."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
DIGITS = Path(os.environ.get("GRUS_DATA", ROOT.parent / "shared" / "data")) / "speech_fsdd" / "recordings"


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, EXAMPLES / script, *arguments],
        capture_output=True, text=True, timeout=300, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_the_example_of_tones_runs(tmp_path):
    done = run("speech.py", tmp_path)
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert first.startswith("classifier: ")
    assert float(second.split()[-1].rstrip("%")) < 10
    assert third.startswith("said ")
    assert (tmp_path / "sentences" / "config.json").is_file()


def test_the_example_of_digits_hears_them():
    if not DIGITS.is_dir():
        pytest.skip(f"no data at {DIGITS}")
    done = run("digits.py", DIGITS, "--small")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "500 clips learned from; one digit in ten is right by chance"
    assert re.match(r"speakers that were heard: (\d+)% of 250 clips right$", lines[1])
    assert int(re.search(r"(\d+)%", lines[1])[1]) >= 80  # seen: 91
    assert re.match(r"theo, who was not: \d+% of 50 clips right$", lines[2])
    assert lines[3].startswith("0_george_0.wav, 0.05 s: ")
    assert lines[-1].startswith("0_george_0.wav, 0.30 s: ")


def test_the_example_of_digits_says_what_it_lacks(tmp_path):
    done = run("digits.py", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == (
        f"digits.py: error: {tmp_path}: expected files such as 7_theo_12.wav, got none"
    )
