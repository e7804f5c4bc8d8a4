"""``grus bench``: what it prints, what it refuses, and that no speed comes with wrong numbers."""

import csv
import io
import json

import pytest
import torch
from cli_runs import run, spawn, write

from grus import benchmark
from grus.benchmark import problem, timing
from grus.benchmark.competitor import Grus, GrusRuntime, Sgemm, TorchGRU

TINY = ["bench", "--size", "3,4,5,7", "--threads", "1", "--rounds", "5"]


@pytest.fixture
def small(monkeypatch):
    """Only what comes with torch, in no time (JAX in this process would forbid others to fork)."""
    monkeypatch.setattr(benchmark, "COMPETITORS", (Grus, GrusRuntime, TorchGRU, Sgemm))
    monkeypatch.setattr(problem, "SGEMM_SIZE", 32)
    monkeypatch.setattr(timing, "REST_SECONDS", 0.0)
    monkeypatch.setattr(timing, "SAMPLE_SECONDS", 1e-5)


def test_help_has_examples(capsys):
    ran = run(capsys, "bench", "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.count("grus bench ") >= 3
    assert "--config" in ran.out


def test_csv_on_stdout_and_lines_on_stderr(capsys, small):
    ran = run(capsys, *TINY)
    assert ran.code == 0
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert [(row["kind"], row["competitor"]) for row in rows] == [
        *[("forward", name) for name in ("grus", "grus_runtime", "torch_gru", "sgemm")],
        *[("training", name) for name in ("grus", "torch_gru", "sgemm")],
    ]
    assert {tuple(row[k] for k in ("threads", "B", "T", "I", "H")) for row in rows} == {
        ("1", "3", "4", "5", "7")
    }
    assert rows[0]["ratio"] == "1.0"
    lines = ran.err.splitlines()
    assert lines[0].startswith("1/2 forward  B=3 T=4 I=5 H=7, 1 thread: ")
    assert lines[1].startswith("2/2 training B=3 T=4 I=5 H=7, 1 thread: ")
    assert lines[2].startswith("geometric mean, forward, 1 thread: grus runtime ")
    assert lines[3].startswith("  at worst ")


def test_json_quiet_and_options_from_a_file(capsys, tmp_path, small):
    config = write(tmp_path / "bench.toml", 'size = ["2,1,3,4", "2,2,3,4"]\nthreads = "1,2"\nrounds = 5\n')
    ran = run(capsys, "bench", "--config", config, "--json", "-q")
    assert (ran.code, ran.err) == (0, "")
    file = write(tmp_path / "run.json", ran.out)
    report = benchmark.read_report(file)
    assert json.loads(ran.out)["schema"] == 1
    assert report.rounds == 5
    kinds = ["forward", "training", "step", "forward", "training"]
    assert [m.kind for m in report.measurements] == kinds * 2
    assert [m.threads for m in report.measurements] == [1] * 5 + [2] * 5


def test_the_seven_are_the_default(capsys, monkeypatch, small):
    asked = []
    monkeypatch.setattr(
        benchmark, "run", lambda *args: asked.append(args) or (_ for _ in ()).throw(KeyboardInterrupt)
    )
    assert run(capsys, "bench").code == 130
    contests, threads, rounds, *_ = asked[0]
    assert contests == benchmark.contests_of("seven")
    assert len(threads) == 1
    assert rounds == 15


REFUSED = [
    (["--size", "3,4,5"], "size must be four whole numbers B,T,I,H of at least 1 such as 32,100,64,128, got '3,4,5'", ""),
    (["--size", "3,4,5,0"], "size must be four whole numbers B,T,I,H of at least 1 such as 32,100,64,128, got '3,4,5,0'", ""),
    (["--shapes", "eight"], "grus bench: --shapes must be one of seven, grid, all, got 'eight'", "'grus bench --help' shows how it is used"),
    (["--threads", "0"], "grus bench: --threads must be whole numbers from 1 to 1024 such as 1,2, got '0'", ""),
    (["--threads", "1,two"], "grus bench: --threads must be whole numbers from 1 to 1024 such as 1,2, got 'two'", ""),
    (["--threads", "1025"], "grus bench: --threads must be whole numbers from 1 to 1024 such as 1,2, got '1025'", ""),
    (["--rounds", "4"], "grus bench: --rounds must be at least 5, got '4'", "'grus bench --help' shows how it is used"),
    (["--rounds", "many"], "grus bench: --rounds must be a whole number, got 'many'", "'grus bench --help' shows how it is used"),
    (["now"], "grus bench: expected nothing after the last argument, got 'now'", "'grus bench --help' shows how it is used"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "error", "hint"), REFUSED, ids=[" ".join(r[0]) for r in REFUSED])
def test_bad_usage(capsys, arguments, error, hint):
    ran = run(capsys, "bench", *arguments)
    assert (ran.err, ran.out, ran.code) == (f"error: {error}\n" + (f"hint: {hint}\n" if hint else ""), "", 2)


def test_wrong_numbers_are_an_error_and_no_speed(capsys, monkeypatch, small):
    right = TorchGRU.forward
    monkeypatch.setattr(TorchGRU, "forward", lambda self: 1.001 * right(self))
    ran = run(capsys, *TINY)
    assert (ran.code, ran.out) == (1, "")
    sentence, hint = ran.err.splitlines()
    assert sentence == (
        "error: torch GRU, forward at B=3 T=4 I=5 H=7: the relative error to float64 must be below 0.0001, "
        "got 0.001"
    )
    assert hint == "hint: no speed is reported of wrong numbers"


def test_who_is_absent_is_said(capsys, monkeypatch):
    monkeypatch.setattr(benchmark.measure, "find_spec", lambda name: None)
    monkeypatch.setattr(timing, "REST_SECONDS", 0.0)
    monkeypatch.setattr(timing, "SAMPLE_SECONDS", 1e-5)
    ran = run(capsys, *TINY)
    assert ran.code == 0
    assert ran.err.splitlines()[:3] == [
        "left out: JAX scan, because jax is not installed (pip install 'grus[bench]')",
        "left out: ONNX Runtime, because onnxruntime is not installed (pip install 'grus[bench]')",
        "left out: OpenVINO, because openvino is not installed (pip install 'grus[bench]')",
    ]


def test_every_competitor_that_is_installed_takes_part(tmp_path, monkeypatch):
    """In a process of its own, with all that the extra brings; whoever is absent is in the JSON."""
    monkeypatch.setenv(
        "OMP_WAIT_POLICY", "passive"
    )  # or torch's threads wait for each other on a loaded machine
    ran = spawn("bench", "--size", "3,1,5,7", "--threads", "2,1", "--rounds", "5", "--json")
    assert ran.code == 0, ran.err
    report = benchmark.read_report(write(tmp_path / "run.json", ran.out))
    for m in report.measurements:
        can = {c.name for c in benchmark.COMPETITORS if m.kind in c.kinds}
        assert set(m.times) == can - set(report.absent)
    for name in report.absent:
        assert f"left out: {benchmark.LABELS[name]}, because" in ran.err


def test_without_torch_it_says_what_to_install(capsys, monkeypatch):
    import grus.cli.tables

    monkeypatch.setattr(grus.cli.tables, "find_spec", lambda name: None)
    ran = run(capsys, *TINY)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "error: measuring needs the package torch, which is not installed\nhint: pip install 'grus[train]'\n"
    )


def test_torch_is_really_used_with_the_threads_asked_for(capsys, monkeypatch, small):
    seen = []
    right = TorchGRU.forward

    def watched(self):
        seen.append(torch.get_num_threads())
        return right(self)

    monkeypatch.setattr(TorchGRU, "forward", watched)
    before = torch.get_num_threads()
    assert run(capsys, *TINY[:-4], "--threads", "2,1,2", "--rounds", "5", "-q").code == 0
    assert set(seen) == {1, 2}
    assert seen == sorted(seen, reverse=True)
    assert torch.get_num_threads() == before
