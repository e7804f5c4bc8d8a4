"""What ``scripts/bench kernels`` adds to ``grus bench``: Markdown of a run, a baseline, the check; nothing is timed."""

import importlib.util
from pathlib import Path

import msgspec
import numpy as np
import pytest
from made_up import LARGE, MACHINE, SMALL, measured, report

from grus import benchmark
from grus.kernels import native

FILE = Path(__file__).parents[2] / "benchmarks" / "kernels.py"
HERE = msgspec.structs.replace(MACHINE, isa=native.isa())


@pytest.fixture
def script(monkeypatch, tmp_path):
    """The script as a module, with a folder of its own for baselines and kernels of a speed that can be set."""
    spec = importlib.util.spec_from_file_location("kernels_script", FILE)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    made.milliseconds, made.scatter = 2.0, 1.0

    def run(contests, threads, rounds, competitors, on_result):
        (count,) = threads
        return report(*(one(k, s, count) for k, s in contests), machine=HERE)

    def one(kind, size, count):
        ours = made.milliseconds if size == LARGE else 1.0
        ours *= np.linspace(1.0, made.scatter, 3)
        return measured(kind, size, count, grus=ours, grus_runtime=ours, torch_lstm=5.0, sgemm=11.0)

    monkeypatch.setattr(made, "BASELINES", tmp_path)
    monkeypatch.setattr(benchmark, "run", run)
    return made


def test_a_check_against_the_baseline_that_was_saved(script, capsys, tmp_path):
    file = tmp_path / f"{native.isa()}.json"
    assert script.main(["--check"]) == 2
    assert capsys.readouterr().err == (
        f"error: {file}: no baseline for {native.isa()} yet\nhint: scripts/bench kernels --save\n"
    )
    assert script.main(["--save"]) == 0
    assert capsys.readouterr().out == f"{file}\n"
    assert len(benchmark.read_report(file).measurements) == 7 * 2 + 5

    assert script.main(["--check"]) == 0
    assert capsys.readouterr().out == (
        "kernels: nothing is slower than the baseline beyond what the runs scatter\n"
    )
    script.milliseconds = 3.0
    assert script.main(["--check"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"error: {file.name}: forward at {LARGE} takes 1.50 times as long as the baseline says; "
        f"training at {LARGE} takes 1.50 times as long as the baseline says\n"
        "hint: the baseline is of Made Up 3000, 2026-11-20\n"
    )


def test_a_machine_that_is_not_quiet_is_told_so(script, capsys):
    script.main(["--save"])
    script.scatter = 2.0
    capsys.readouterr()
    assert script.main(["--check"]) == 0
    assert capsys.readouterr().err == (
        "note: 19 of 19 measurements scatter so much that 1.25 times as long would not show; "
        "keep the machine quiet\n"
    )


def test_markdown_of_a_run(script, capsys, tmp_path):
    file = tmp_path / "run.json"
    file.write_text(
        benchmark.to_json(report(measured("forward", SMALL, grus=1.0, torch_gru=3.0, sgemm=11.0)))
    )
    assert script.main(["--markdown", str(file)]) == 0
    assert "| 1 100 16 64 | 1 ms [1, 1] | 3.00x |" in capsys.readouterr().out
    assert script.main(["--markdown", str(tmp_path / "none.json")]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path / 'none.json'}: no such file or directory\n"


def test_anything_else_is_grus_bench(script, capsys):
    assert script.main(["--rounds", "4"]) == 2
    assert capsys.readouterr().err.startswith("error: grus bench: --rounds must be at least 5, got '4'\n")
