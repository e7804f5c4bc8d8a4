"""The comparison must reject a slower kernel and accept noise; on made-up figures, never on a clock."""

import msgspec
import numpy as np
import pytest
from made_up import LARGE, MACHINE, SMALL, measured, report

from grus.benchmark.regression import compare, compare_twice
from grus.errors import DataError


def run(seed, slower=1.0, machine=1.0, lstm=1.0, scatter=0.05, kind="training", size=LARGE, rounds=15):
    """A run with our kernel, the whole machine, or torch's LSTM slower than usual."""
    rng = np.random.default_rng(seed)
    noise = rng.lognormal(0, scatter, (3, rounds)) * machine
    ours = "grus_runtime" if kind == "step" else "grus"
    times = {ours: 3.0 * slower * noise[0], "torch_lstm": 9.0 * lstm * noise[1], "sgemm": 11.0 * noise[2]}
    return measured(kind, size, **times)


def regressions(current, baseline):
    return [c for c in compare(current, baseline) if c.is_regression]


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_accepted(seed):
    assert regressions(report(run(seed)), report(run(1000 + seed))) == []


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", ["training", "step"])
def test_a_slower_kernel_is_rejected(seed, kind):
    (found,) = regressions(report(run(seed, slower=1.5, kind=kind)), report(run(1000 + seed, kind=kind)))
    assert (found.kind, found.size) == (kind, LARGE)
    assert 1.2 < found.slower < 1.8
    assert str(found) == (
        f"{kind} at B=32 T=100 I=64 H=128 takes {found.slower:.2f} times as long as the baseline says"
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_steady_run_shows_five_percent(seed):
    before = report(run(1000 + seed, scatter=0.003))
    assert regressions(report(run(seed, slower=1.05, scatter=0.003)), before)
    assert not regressions(report(run(seed, scatter=0.003)), before)


@pytest.mark.parametrize("change", [{"machine": 3.0}, {"lstm": 0.5}, {"slower": 0.5}], ids=str)
def test_what_is_no_regression(change):
    """A slower machine, a faster LSTM of another version, and a faster kernel."""
    assert regressions(report(run(0, **change)), report(run(1))) == []


def test_only_the_slower_one_is_named():
    before = report(run(1), run(2, size=SMALL), run(3, kind="forward"))
    now = report(run(4), run(5, size=SMALL, slower=2.0), run(6, kind="forward"))
    assert [(r.kind, r.size) for r in regressions(now, before)] == [("training", SMALL)]


def test_a_baseline_that_does_not_fit():
    other = msgspec.structs.replace(MACHINE, isa="avx2")
    with pytest.raises(DataError) as caught:
        regressions(report(run(0)), report(run(1), machine=other))
    assert str(caught.value) == "baseline: expected a run with avx512, got one with avx2"
    with pytest.raises(DataError) as caught:
        regressions(report(run(0)), report(run(1, size=SMALL)))
    assert str(caught.value) == (
        "baseline: expected training at B=32 T=100 I=64 H=128 with 2 threads, got none"
    )


def test_it_must_be_slower_twice():
    before, calm = report(run(1), run(2, size=SMALL)), report(run(3), run(4, size=SMALL))
    both = [("training", LARGE), ("training", SMALL)]

    def measure(contests):
        asked.append(list(contests))
        return answers.pop(0)

    asked, answers = [], [calm]
    assert not any(c.is_regression for c in compare_twice(measure, both, before))
    assert asked == [both], "nothing seemed slower, so nothing is measured again"

    asked, answers = [], [report(run(5), run(6, size=SMALL, slower=2.0)), report(run(7, size=SMALL))]
    assert not any(c.is_regression for c in compare_twice(measure, both, before))
    assert asked == [both, [("training", SMALL)]]

    slow = run(6, size=SMALL, slower=2.0)
    asked, answers = [], [report(run(5), slow), report(slow)]
    found = compare_twice(measure, both, before)
    assert [(c.size, c.is_regression) for c in found] == [(LARGE, False), (SMALL, True)]


def test_how_much_would_show():
    steady, wild = report(run(1, scatter=0.003)), report(run(1, scatter=0.3))
    assert compare(steady, steady)[0].visible < 1.03
    assert compare(wild, wild)[0].visible > 1.5
