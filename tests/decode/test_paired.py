"""Intervals over test units and training runs hold what they say, and a difference of pure noise is called noise."""

import math

import numpy as np
import pytest

from grus.decode.comparing.paired import difference_interval, error_interval
from grus.decode.comparing.student import inside, quantile

LEVEL = 0.95


def draw(rng, runs, units, *, shift=0.0, unit=3.0, own=1.0, run=0.3, rest=0.5, shared=0.0):
    """Losses of two cells [S, U] on the same units; the second is worse by ``shift`` on average."""
    common, seeds = rng.normal(0, unit, units), rng.normal(0, run, runs) * math.sqrt(shared)

    def cell(more):
        noise = rng.normal(0, run, runs) * math.sqrt(1 - shared)
        return (
            more
            + common
            + rng.normal(0, own, units)
            + (seeds + noise)[:, None]
            + rng.normal(0, rest, (runs, units))
        )

    return cell(0.0), cell(shift)


@pytest.mark.parametrize("df", [1, 2, 2.5, 4, 17, 300, math.inf])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.9983])
def test_student_t_is_that_of_scipy(level, df):
    stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")
    wanted = stats.norm.ppf((1 + level) / 2) if math.isinf(df) else stats.t.ppf((1 + level) / 2, df)
    assert quantile(level, df) == pytest.approx(wanted, rel=1e-9)
    assert inside(quantile(level, df), df) == pytest.approx(level, rel=1e-12)
    assert inside(0.0, df) == 0.0


@pytest.mark.parametrize(
    ("runs", "units", "options"),
    [
        (3, 60, {}),
        (3, 60, {"run": 0.0}),
        (3, 60, {"run": 3.0}),
        (2, 200, {}),
        (5, 20, {"rest": 3.0}),
        (1, 60, {"run": 0.0}),
    ],
    ids=str,
)
def test_pure_noise_is_called_noise_at_the_stated_rate(runs, units, options):
    rng, trials = np.random.default_rng(0), 400
    weights = np.ones(units)
    clear = sum(
        difference_interval(*draw(rng, runs, units, **options), weights).is_clear for _ in range(trials)
    )
    # Four standard deviations of a count of 5%.
    assert abs(clear / trials - (1 - LEVEL)) < 4 * math.sqrt(LEVEL * (1 - LEVEL) / trials)


def test_runs_that_share_their_noise_make_it_cautious_never_bold():
    rng = np.random.default_rng(1)
    pairs = [draw(rng, 3, 60, run=1.0, shared=0.7) for _ in range(400)]
    assert sum(difference_interval(*pair, np.ones(60)).is_clear for pair in pairs) / 400 < 0.05


def test_a_clear_difference_is_no_noise():
    rng = np.random.default_rng(2)
    found = [difference_interval(*draw(rng, 3, 60, shift=4.0), np.ones(60)) for _ in range(100)]
    assert all(interval.is_clear and interval.value < 0 for interval in found)
    assert np.mean([interval.low <= -4.0 <= interval.high for interval in found]) > 0.88


def test_forgetting_the_runs_would_be_bold():
    """Why runs belong into the interval: over the units alone, noise of training is taken for a difference."""
    rng, bold, ours = np.random.default_rng(3), 0, 0
    for _ in range(200):
        one, other = draw(rng, 3, 60, run=1.0, own=0.2, rest=0.2)
        units = (one - other).mean(axis=0)
        bold += abs(units.mean()) > 2 * units.std(ddof=1) / math.sqrt(60)
        ours += difference_interval(one, other, np.ones(60)).is_clear
    assert bold > 130
    assert ours < 20


def test_pairing_by_unit_takes_out_what_the_units_have_in_common():
    one, other = draw(np.random.default_rng(4), 3, 60, unit=100.0, shift=1.0)
    wide = error_interval(one, np.ones(60)).half
    assert difference_interval(one, other, np.ones(60)).half < wide / 20


def test_weights_give_the_weighted_mean_and_a_unit_of_weight_0_has_no_say():
    rng = np.random.default_rng(5)
    one, other = draw(rng, 3, 30)
    weights = rng.integers(1, 50, 30).astype(float)
    found = error_interval(one, weights)
    assert found.value == pytest.approx(np.average(one.mean(axis=0), weights=weights))
    weights[-1] = 0.0
    spoilt = one.copy()
    spoilt[:, -1] += 1e6
    assert error_interval(spoilt, weights).value == pytest.approx(error_interval(one, weights).value)
    difference = difference_interval(one, other, weights)
    assert difference.value == pytest.approx(
        error_interval(one, weights).value - error_interval(other, weights).value
    )
    swapped = difference_interval(other, one, weights)
    assert (swapped.value, swapped.half) == pytest.approx((-difference.value, difference.half))


def test_equal_weights_of_any_size_change_nothing():
    one, other = draw(np.random.default_rng(6), 3, 30)
    assert difference_interval(one, other, np.ones(30)) == pytest.approx(
        difference_interval(one, other, np.full(30, 17.0))
    )


def test_what_leaves_nothing_to_judge_by_has_no_width():
    found = error_interval(np.array([[2.0]]), np.ones(1))
    assert found.value == 2.0
    assert math.isnan(found.half)
    assert not found.is_clear
    same = np.full((3, 5), 0.5)
    assert difference_interval(same, same, np.ones(5)).half == 0.0
    assert not difference_interval(same, same, np.ones(5)).is_clear
