"""The likelihood of errors, against its definition written out and against the normal distribution."""

import math

import numpy as np
import pytest

from grus.decode.likelihood import FLOOR, OUTSIDE, Likelihood, damped, digits, to_score, to_severity
from grus.spec import Detect
from numerics import assert_bitwise_equal


def task(short=5, memory=50, outside=0.05, columns=("a",), level=False, joint=False):
    return Detect(columns, None, None, None, short, memory, outside, 0, level, joint)


def likelihood(of, mean=0.0, spread=1.0, rows=0.0, low=-1.0, high=1.0):
    fitted = {"mean": mean, "spread": spread, "rows": rows, "low": low, "high": high}
    shapes = of.arrays()
    return Likelihood(of, **{name: np.full(shapes[name], value) for name, value in fitted.items()})


def run(found, errors, values):
    state, out = found.begin(1), []
    for error, value in zip(errors, values):
        severity, state = found.step(state, np.atleast_2d(error), np.atleast_2d(value))
        out.append(severity[0])
    return np.array(out), state


def test_digits_are_those_of_the_normal_tail():
    for z, p in ((0.0, 1.0), (1.959963984540054, 0.05), (-3.290526731491926, 0.001), (4.891638475698, 1e-6)):
        assert digits(z) == pytest.approx(-math.log10(p), abs=1e-9)
    # Where erfc is still exact and where the series is used, the two agree; then the tail goes on where erfc is 0.
    below, above = digits(np.nextafter(8.0, 0)), digits(8.0)
    assert above == pytest.approx(below, rel=1e-4)
    assert digits(30.0) == pytest.approx(197.3092 - math.log10(2), abs=1e-3)
    assert digits(50.0) == pytest.approx(544.9665 - math.log10(2), abs=1e-3)
    assert digits(1e200) == digits(-1e300) == 1e6
    grid = [digits(z) for z in np.linspace(0, 60, 6001)]
    assert (np.diff(grid) > 0).all()


def test_errors_are_damped_evenly():
    errors = np.array([[-1e300, -2.0, 0.0, 1e-9], [np.nan, 2.0, 1e3, np.inf]])
    found = damped(errors)
    assert found[0, 1] == -found[1, 1] == -math.log1p(2)
    assert found[0, 3] == pytest.approx(1e-9)
    assert np.isnan(found[1, 0])
    assert found[1, 3] == -found[0, 0] == 10.0


def test_it_is_the_definition():
    rng, of = np.random.default_rng(0), task(short=3, memory=20, columns=("a", "b"))
    errors, values = rng.normal(size=(200, 2)), rng.normal(size=(200, 2)) * 2
    errors[rng.random((200, 2)) < 0.2] = np.nan
    values[np.isnan(errors)] = np.nan
    found, _ = run(likelihood(of, 0.1, 0.5, 7.0), errors, values)
    for c in range(2):
        a, m, v, k, low, high = 0.0, 0.1, 0.25, 7, -1.0, 1.0
        for t in range(200):
            if np.isnan(errors[t, c]):
                assert found[t, c] == 0
                continue
            a += (errors[t, c] - a) / 3
            k = min(k + 1, 20)
            apart = a - m
            m += apart / k
            v += (apart * (a - m) - v) / k
            worst = digits((a - m) / math.sqrt(v + FLOOR**2))
            past = max(values[t, c] - high, low - values[t, c], 0.0)
            worst = max(worst, OUTSIDE / 0.05 * past / (high - low))
            low, high = min(low, values[t, c]), max(high, values[t, c])
            assert found[t, c] == pytest.approx(worst, rel=1e-9, abs=1e-12), (t, c)


@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize("joint", [False, True])
def test_levels_and_rows_judged_together_are_the_definition(level, joint):
    """With a memory of 0, so that z is the short mean in units of the spread of training."""
    rng = np.random.default_rng(4)
    errors, values = rng.normal(size=(60, 3)), rng.normal(size=(60, 3)) * 3
    errors[rng.random((60, 3)) < 0.2] = np.nan
    of = task(short=4, memory=0, outside=0.0, columns=("a", "b", "c"), level=level, joint=joint)
    found, _ = run(likelihood(of, 0.1, 0.5), errors, values)
    a = np.zeros(6 if level else 3)
    for t in range(60):
        both = np.concatenate((errors[t], damped(values[t])))[: len(a)]
        there = np.tile(~np.isnan(errors[t]), 2)[: len(a)]
        a[there] += (both[there] - a[there]) / 4
        z = np.where(there, np.abs(a - 0.1) / math.sqrt(0.25 + FLOOR**2), 0.0)
        columns = np.maximum(z[:3], z[-3:])
        if joint and columns.any():
            columns = columns / columns.max() * np.mean(z[there] ** 4) ** 0.25
        assert found[t] == pytest.approx([digits(v) for v in columns], rel=1e-9, abs=1e-12), t


def test_equal_weights_until_the_memory_is_full():
    """The long mean and variance of the first rows are the ordinary ones."""
    errors = np.random.default_rng(1).normal(size=30)
    _, state = run(likelihood(task(short=1, memory=1000), spread=0.0), errors, np.zeros(30))
    assert state[1][0, 0] == pytest.approx(errors.mean())
    assert state[2][0, 0] == pytest.approx(errors.var())


def test_a_drift_becomes_part_of_the_history():
    rng = np.random.default_rng(2)
    errors = rng.normal(size=4000)
    errors[2000:] += 3.0
    found, _ = run(likelihood(task(memory=500, outside=0.0)), damped(errors), np.zeros(4000))
    assert found[2000:2020].max() > 8
    assert found[3500:].max() < 5
    still, _ = run(likelihood(task(memory=0, outside=0.0), spread=0.3), damped(errors), np.zeros(4000))
    assert np.median(still[3500:]) > 5


def test_a_value_outside_of_all_before_counts_once():
    values = np.array([0.0, 1.5, 1.5, 1.4, 1.6, np.nan, 1e9, 3e9])
    found, _ = run(likelihood(task()), np.zeros(8), values)
    assert found[1, 0] == pytest.approx(8 * 0.25 / 0.05)
    assert found[2, 0] == found[3, 0] == 0
    assert found[4, 0] == pytest.approx(8 * (0.1 / 2.5) / 0.05)
    assert found[6, 0] == 1e6
    assert found[7, 0] == pytest.approx(8 * 2 / 0.05, rel=1e-6)
    off, _ = run(likelihood(task(outside=0.0)), np.zeros(8), values)
    assert not off.any()


def test_what_is_missing_changes_nothing():
    found = likelihood(task(columns=("a", "b")))
    _, before = run(found, np.ones((3, 2)), np.ones((3, 2)))
    severity, after = found.step(before, np.full((1, 2), np.nan), np.full((1, 2), np.nan))
    assert not severity.any()
    for one, other in zip(before, after):
        assert_bitwise_equal(one, other)


def test_white_noise_is_severe_as_often_as_it_says():
    rng = np.random.default_rng(3)
    found, _ = run(
        likelihood(task(memory=8000, outside=0.0), spread=0.3), rng.normal(size=40_000), np.zeros(40_000)
    )
    for exponent in (1, 2, 3):
        share = float((found[2000:, 0] > exponent).mean())
        assert 0.6 < share / 10.0**-exponent < 1.5, exponent


def test_scores_and_severities_are_each_other():
    severity = np.array([0.0, 5.0, 20.0, 1e6])
    assert to_score(severity).tolist() == [0.0, 0.5, 0.8, 1e6 / (1e6 + 5)]
    assert to_severity(float(to_score(np.float64(7.25)))) == pytest.approx(7.25)
