"""Right answers before any speed, at sizes that take no time; the peers are tried in tests/cli, in a process."""

import numpy as np
import pytest
import torch

from grus.benchmark import (
    COMPETITORS,
    FEW,
    Size,
    available,
    contests_at,
    contests_of,
    measure,
    timing,
    using_threads,
)
from grus.benchmark.competitor import Grus, GrusRuntime, Sgemm, TorchGRU, TorchLSTM
from grus.benchmark.problem import Problem
from grus.benchmark.report import OURS
from grus.errors import GrusError
from grus.kernels import native

WITH_TORCH = (Grus, GrusRuntime, TorchGRU, TorchLSTM, Sgemm)
QUICK = (Grus, GrusRuntime, TorchGRU)  # two threads of oneDNN on a loaded machine wait for each other
SIZE, ONE = Size(3, 4, 5, 7), Size(2, 1, 5, 7)
CASES = [(c, kind) for c in WITH_TORCH for kind in c.kinds]


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(timing, "REST_SECONDS", 0.0)
    monkeypatch.setattr(timing, "SAMPLE_SECONDS", 1e-5)


@pytest.mark.parametrize(("competitor", "kind"), CASES, ids=lambda v: getattr(v, "name", v))
@pytest.mark.parametrize("size", [SIZE, ONE, Size(1, 6, 1, 1)], ids=str)
def test_every_competitor_computes_the_layer(competitor, kind, size):
    problem = Problem(size)
    with using_threads(1):
        made = competitor(problem, 1)
        for _ in range(2):  # gradients do not pile up from call to call
            measure.check(made, kind, problem, getattr(made, kind)())


@pytest.mark.parametrize("part", range(6))
@pytest.mark.parametrize("fault", ["a little", "NaN"])
def test_one_wrong_number_anywhere_is_refused(part, fault):
    problem = Problem(SIZE)
    made = TorchGRU(problem, 1)
    returned = [v.detach().clone() for v in made.training()]
    measure.check(made, "training", problem, tuple(returned))
    worst = returned[part].abs().max()
    returned[part].view(-1)[-1] += 1e-3 * worst if fault == "a little" else torch.nan
    with pytest.raises(GrusError) as caught:
        measure.check(made, "training", problem, tuple(returned))
    said = str(caught.value)
    assert said.startswith(
        "torch GRU, training at B=3 T=4 I=5 H=7: the relative error to float64 must be below 0.0001, got "
    )
    assert caught.value.hint == "no speed is reported of wrong numbers"
    if fault == "a little":
        assert float(said.rpartition(" ")[2]) == pytest.approx(1e-3, rel=0.1)


def test_bfloat16_is_refused():
    problem = Problem(SIZE)
    made = TorchGRU(problem, 1)
    with pytest.raises(GrusError, match="relative error"):
        measure.check(made, "forward", problem, made.forward().bfloat16().float())


def test_a_missing_gradient_is_our_bug():
    problem = Problem(SIZE)
    made = TorchGRU(problem, 1)
    with pytest.raises(ValueError, match="zip"):
        measure.check(made, "training", problem, made.training()[:-1])


def test_no_speed_of_wrong_numbers(monkeypatch):
    monkeypatch.setattr(Grus, "forward", lambda self: torch.zeros(4, 3, 7))
    told = []
    with pytest.raises(GrusError, match=r"grus\.nn, forward at B=3"):
        measure.run([("forward", SIZE)], [1], 5, WITH_TORCH, told.append)
    assert told == []


def test_a_run():
    before = torch.get_num_threads(), native.num_threads()
    told = []
    contests = contests_at([SIZE, ONE])
    report = measure.run(contests, [2, 1], 5, QUICK, told.append)
    assert (torch.get_num_threads(), native.num_threads()) == before
    assert list(report.measurements) == told
    assert [(m.kind, m.size, m.threads) for m in told] == [(k, s, t) for t in (2, 1) for k, s in contests]
    assert report.machine.isa == native.isa()
    assert {"python", "grus", "torch"} <= set(report.machine.versions)
    for m in told:
        assert list(m.times) == [c.name for c in QUICK if m.kind in c.kinds]
        assert all(len(t.samples) == 5 and 0 < t.q25 <= t.median <= t.q75 for t in m.times.values())


def test_contests():
    assert contests_at([SIZE]) == [("forward", SIZE), ("training", SIZE)]
    assert contests_at([ONE]) == [("forward", ONE), ("training", ONE), ("step", ONE)]
    assert len(contests_of("seven")) == 7 * 2 + 5
    assert len(contests_of("all")) == 19 * 2 + 2 + 5


def test_who_is_left_out_and_why(monkeypatch):
    monkeypatch.setattr(measure, "find_spec", lambda name: None if name in ("jax", "onnx") else object())
    present, absent = available(COMPETITORS)
    assert [c.name for c in present] == ["grus", "grus_runtime", "torch_gru", "torch_lstm", "sgemm"]
    assert absent == {
        "jax": "jax is not installed",
        "onnxruntime": "onnx is not installed",
        "openvino": "onnx is not installed",
    }
    assert available(FEW) == (list(FEW), {})


def test_names_are_unique_and_ours_come_with_every_kind():
    assert len({c.name for c in COMPETITORS}) == len({c.label for c in COMPETITORS}) == len(COMPETITORS)
    for kind, name in OURS.items():
        assert any(c.name == name and kind in c.kinds for c in FEW)


def test_the_problem_is_the_same_every_time_and_answers_in_float64():
    first, second = Problem(SIZE), Problem(SIZE)
    for cell in ("gru", "lstm"):
        for a, b in zip(first.weights[cell], second.weights[cell], strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == np.float32
    answer = first.answer("gru", "training")
    assert [a.dtype for a in answer] == [np.float64] * 6
    assert [a.shape for a in answer] == [(4, 3, 7), (4, 3, 5), (21, 5), (21, 7), (21,), (21,)]
    assert first.answer("sgemm", "step") is first.answer("sgemm", "forward")
