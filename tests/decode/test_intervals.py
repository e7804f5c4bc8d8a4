"""Split conformal margins: exact ranks on small cases, coverage on exchangeable data, nesting."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grus.decode.intervals import (
    LEVELS,
    base_interval,
    calibrate,
    check_levels,
    drawn_mean,
    earlier_origins,
    mean_size,
    nested_intervals,
    phase_spread,
    point,
    season_phases,
)
from grus.errors import UsageError
from grus.preprocess.frequency import Frequency
from grus.preprocess.panel import build_panel
from grus.preprocess.roles import Roles

NAN = float("nan")

QUANTILES = (0.1, 0.5, 0.9)


def calibrated_point(errors):
    """Margins of a point model that always says 0."""
    truth = np.asarray(errors, float)
    return calibrate(np.zeros((*truth.shape, 1)), truth, ())


def test_a_margin_is_the_right_order_statistic():
    # n = 99 scores 1..99: the ceil(100 * level/100)-th smallest is the level itself.
    errors = np.random.default_rng(0).permutation(np.arange(1, 100)) * np.where(np.arange(99) % 2, 1.0, -1.0)
    np.testing.assert_array_equal(calibrated_point(errors[:, None])[:, 0], LEVELS)


def test_ranks_round_up_and_stop_at_the_largest_score():
    margins = calibrated_point(np.array([[1.0], [2.0], [3.0]]))[:, 0]
    # ceil(4 * level): 1 up to 25%, 2 up to 50%, 3 up to 75%; beyond, n scores cannot promise it.
    assert [margins[level - 1] for level in (1, 25, 26, 50, 51, 75, 76, 99)] == [1, 1, 2, 2, 3, 3, 3, 3]


def test_a_margin_among_many_scores():
    scores = np.random.default_rng(1).permutation(np.arange(1.0, 200.0))  # n + 1 = 200: rank 2 * level
    np.testing.assert_array_equal(calibrated_point(scores[:, None])[:, 0], 2.0 * LEVELS)


def test_each_step_of_the_horizon_has_its_own():
    margins = calibrated_point(np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]))
    np.testing.assert_array_equal(margins[:, 1], 10 * margins[:, 0])


def test_missing_truth_is_no_score_and_a_step_without_any_takes_all():
    nan = np.nan
    margins = calibrated_point(np.array([[1.0, nan, nan], [nan, 8.0, nan], [3.0, nan, nan]]))
    assert margins[49].tolist() == [3.0, 8.0, 3.0]  # of 1 and 3, of 8, of 1 3 8
    assert margins[98].tolist() == [3.0, 8.0, 8.0]


def test_one_window_gives_its_error_and_none_gives_zero():
    np.testing.assert_array_equal(calibrated_point(np.array([[2.0, -5.0]])), np.tile([2.0, 5.0], (99, 1)))
    np.testing.assert_array_equal(calibrated_point(np.empty((0, 2))), np.zeros((99, 2)))


@pytest.mark.parametrize("level", [50, 80, 95])
def test_a_point_models_coverage_on_exchangeable_data(level):
    rng = np.random.default_rng(1)
    scale = np.exp(rng.normal(0, 0.5, (2, 4000, 3)))
    calibration, test = rng.standard_t(3, (2, 4000, 3)) * scale
    margins = calibrated_point(calibration)
    low, high = nested_intervals(np.zeros((*test.shape, 1)), (), margins, [level])[level]
    inside = ((low <= test) & (test <= high)).mean(0)
    # Standard deviation of a step's coverage over both draws: sqrt(2 p (1-p) / 4000), at most 1.12 points.
    np.testing.assert_allclose(inside, level / 100, atol=4 * np.sqrt(2 * 0.25 / 4000))


@pytest.mark.parametrize("level", [50, 80, 95])
@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0], ids=["too-narrow", "right", "too-wide"])
def test_a_quantile_models_coverage_whatever_its_own_quantiles_are(level, spread):
    rng = np.random.default_rng(2)
    z = spread * 1.2815515655446004

    def outputs(mean):
        return mean[..., None] + np.array([-z, 0.0, z])

    means = rng.normal(size=(2, 4000, 2))
    truth = means + rng.normal(size=means.shape)
    margins = calibrate(outputs(means[0]), truth[0], QUANTILES)
    low, high = nested_intervals(outputs(means[1]), QUANTILES, margins, [level])[level]
    inside = ((low <= truth[1]) & (truth[1] <= high)).mean(0)
    np.testing.assert_allclose(inside, level / 100, atol=4 * np.sqrt(2 * 0.25 / 4000))


def test_the_base_interval_interpolates_and_ends_at_the_outermost_quantiles():
    outputs = np.array([[0.0, 10.0, 30.0]])
    assert [b.item() for b in base_interval(outputs, QUANTILES, 80)] == [0, 30]
    assert [b.item() for b in base_interval(outputs, QUANTILES, 95)] == [0, 30]
    np.testing.assert_allclose(np.ravel(base_interval(outputs, QUANTILES, 40)), [5, 20])
    assert point(outputs, QUANTILES).item() == 10
    assert point(outputs, (0.4, 0.6, 0.8)).item() == 5  # the median lies between two of them
    assert point(np.array([[7.0]]), ()).item() == 7


def test_a_level_between_two_whole_ones_lies_between_theirs():
    margins = np.arange(1.0, 100.0)[:, None] * np.array([1.0, 2.0])
    levels = [80, 97.5, 1, 99]
    found = nested_intervals(np.zeros((1, 2, 1)), (), margins, levels)
    for level in levels:
        np.testing.assert_allclose(found[level], [[[-level, -2 * level]], [[level, 2 * level]]])


@given(
    seed=st.integers(0, 2**32 - 1),
    quantiles=st.sampled_from([(), (0.5,), (0.1, 0.9), QUANTILES, (0.05, 0.25, 0.5, 0.75, 0.95)]),
    windows=st.integers(0, 30),
)
def test_intervals_nest(seed, quantiles, windows):
    """A wider level contains a narrower one, also where calibration takes back width that the quantiles had."""
    rng = np.random.default_rng(seed)
    shape = (windows + 5, 3, max(1, len(quantiles)))
    outputs = np.sort(rng.normal(size=shape) * rng.exponential(size=(windows + 5, 1, 1)), axis=-1)
    truth = rng.normal(size=shape[:2]) * 0.3
    margins = calibrate(outputs[:windows], truth[:windows], quantiles)
    levels = [1, 10, 50, 62.5, 80, 90, 95, 99]
    found = nested_intervals(outputs[windows:], quantiles, margins, levels)
    for narrow, wide in pairwise(levels):
        assert (found[wide][0] <= found[narrow][0]).all()
        assert (found[narrow][1] <= found[wide][1]).all()
    for low, high in found.values():
        assert (low <= high).all()


def test_an_interval_is_the_same_whatever_other_levels_are_asked_for():
    rng = np.random.default_rng(3)
    outputs = np.sort(rng.normal(size=(50, 4, 3)), axis=-1)
    margins = calibrate(outputs[:25], rng.normal(size=(25, 4)) * 0.2, QUANTILES)
    together = nested_intervals(outputs[25:], QUANTILES, margins, [95, 50, 80])
    assert list(together) == [95, 50, 80]
    for level, ends in together.items():
        np.testing.assert_array_equal(
            nested_intervals(outputs[25:], QUANTILES, margins, [level])[level], ends
        )


def test_levels_as_users_give_them():
    assert check_levels([1, 99, 80.0, np.int64(50), np.float64(97.5)]) == [1, 99, 80, 50, 97.5]
    assert [type(level) for level in check_levels(np.array([80.0, 97.5]))] == [int, float]
    assert check_levels(level for level in (80, 95)) == [80, 95]
    assert check_levels(()) == []
    for level in (0.99, 99.01, 0, 100, True + 99, "80", None):
        with pytest.raises(UsageError, match=f"level must be from 1 to 99 percent, got {level!r}"):
            check_levels([50, level])
    for levels in (80, "80", None):
        with pytest.raises(UsageError, match="level must be a list of percentages such as"):
            check_levels(levels)


# -- the place in the season ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frequency", "first", "season", "wanted"),
    [
        ("h", np.datetime64("2024-03-01T22", "ns"), 24, [22, 23, 0, 1]),
        ("MS", np.datetime64("2023-11-01", "ns"), 12, [10, 11, 0, 1]),
        ("D", np.datetime64("1969-12-30", "ns"), 7, [5, 6, 0, 1]),
        ("step", np.int64(9), 5, [4, 0, 1, 2]),
    ],
)
def test_phases_count_on_the_calendar_not_from_the_first_row(frequency, first, season, wanted):
    steps = Frequency.from_string(frequency)
    times = steps.at(first, np.arange(30))
    panel = build_panel({"t": times, "y": np.zeros(30)}, Roles("y", time="t"), steps)
    later = panel.cut(7, 30)
    zero = np.array([0])
    assert season_phases(panel, zero, np.array([0]), 4, season).tolist() == [wanted]
    assert season_phases(later, zero, np.array([3]), 4, season).tolist() == [
        [(wanted[0] + 10 + k) % season for k in range(4)]
    ]


def test_spread_is_the_size_of_the_error_by_phase_drawn_towards_that_of_all():
    rng = np.random.default_rng(0)
    phases = rng.integers(0, 3, (4000, 5))
    error = rng.standard_normal(phases.shape) * np.array([0.5, 1.0, 2.0])[phases]
    spread = phase_spread(error, phases, 4)
    ratio = spread[:3] / spread[1]
    np.testing.assert_allclose(ratio, [0.5, 1.0, 2.0], rtol=0.05)
    assert spread[3] == 1.0  # never seen: what all phases have
    error[phases == 2] = np.nan
    assert phase_spread(error, phases, 4)[2] == 1.0


@pytest.mark.parametrize("error", [np.zeros((3, 2)), np.full((3, 2), np.nan), np.zeros((0, 2))])
def test_without_errors_every_phase_counts_the_same(error):
    assert phase_spread(error, np.zeros(error.shape, int), 4).tolist() == [1.0] * 4


def test_earlier_forecasts_are_over_before_the_origin_and_a_season_apart():
    found = earlier_origins(np.array([100, 60]), np.array([10, 30]), 12, 24, 3)
    assert found.tolist() == [[88, 64, 40], [48, -1, -1]]
    # A horizon beyond the season is reached over by as many.
    assert earlier_origins(np.array([1000]), np.array([0]), 240, 24, 3).tolist() == [[760, 680, 600]]


def test_the_size_of_a_window_is_its_mean_error():
    np.testing.assert_array_equal(mean_size(np.array([[1.0, -3], [NAN, 2], [NAN, NAN]])), [2, 2, NAN])


def test_a_mean_is_drawn_towards_what_is_typical():
    sizes = np.array([[4.0, 2.0], [NAN, 7.0], [NAN, NAN]])
    np.testing.assert_array_equal(drawn_mean(sizes, 3.0), [(4 + 2 + 3) / 3, 5, 3])
