"""The order of calls and how many; the clock is made up, so nothing here depends on the machine."""

import gc

import numpy as np
import pytest

from grus.benchmark import timing


class Clock:
    """Goes on only when a job runs or someone sleeps, and writes down both."""

    def __init__(self):
        self.now, self.log = 0.0, []

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.log.append("rest")
        self.now += seconds

    def job(self, name, seconds):
        def run():
            self.log.append(name)
            assert not gc.isenabled()
            self.now += seconds() if callable(seconds) else seconds

        return run


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(timing, "time", made)
    return made


def test_competitors_take_turns_after_a_rest_and_an_untimed_call(clock):
    jobs = {"a": clock.job("a", 0.002), "b": clock.job("b", 0.010)}
    times = timing.interleaved(jobs, 2)
    a, b = ["rest", "a", "a", "a"], ["rest", "b", "b"]  # 2 ms twice make 3 ms; 10 ms once
    assert clock.log[-14:] == [*a, *b, *a, *b]
    np.testing.assert_allclose(times["a"], [2, 2])
    np.testing.assert_allclose(times["b"], [10, 10])


def test_a_short_call_is_repeated_until_it_fills_a_sample(clock):
    timing.interleaved({"a": clock.job("a", 1e-5)}, 1)
    sample = clock.log[clock.log.index("rest") + 1 :]
    assert len(sample) == pytest.approx(1 + timing.SAMPLE_SECONDS / 1e-5, abs=1)


def test_the_untimed_call_is_not_in_the_figure(clock):
    costs = iter([9.0, 0.5, 7.0, 1.0, 7.0, 2.0])  # warming up, counting, then untimed and timed in turns
    times = timing.interleaved({"a": clock.job("a", lambda: next(costs))}, 2)
    assert times["a"].tolist() == [1000.0, 2000.0]


@pytest.mark.parametrize("was_on", [True, False])
def test_the_garbage_collector_is_left_as_it_was(clock, was_on):
    before = gc.isenabled()
    try:
        (gc.enable if was_on else gc.disable)()
        timing.interleaved({"a": clock.job("a", 1.0)}, 1)
        assert gc.isenabled() is was_on
        with pytest.raises(ZeroDivisionError):
            timing.interleaved({"a": lambda: 1 / 0}, 1)
        assert gc.isenabled() is was_on
    finally:
        (gc.enable if before else gc.disable)()
