"""The naive forecasts against values worked out by hand."""

import numpy as np
import pytest

from example_series import panel_of
from grus.decode.baselines import repeat_last, seasonal_naive

NAN = float("nan")


def test_the_last_value_is_repeated():
    panel = panel_of([1, 2, 4, 8])
    np.testing.assert_array_equal(repeat_last(panel, np.array([1, 3, 4 - 1]), 2), [[1, 1], [4, 4], [4, 4]])


def test_a_gap_repeats_the_last_value_known_before_it():
    panel = panel_of([1, 2, NAN, NAN, 5])
    np.testing.assert_array_equal(repeat_last(panel, np.array([3, 4]), 1), [[2], [2]])


def test_no_value_before_the_origin_is_unknown_and_never_that_of_the_series_before():
    panel = panel_of([1, 2, 3], [NAN, NAN, 7, 8])
    last = repeat_last(panel, np.array([3 + 1, 3 + 2, 3 + 3]), 1)
    np.testing.assert_array_equal(last, [[NAN], [NAN], [7]])
    np.testing.assert_array_equal(seasonal_naive(panel, np.array([3 + 1, 3 + 2]), 2, 3), np.full((2, 2), NAN))


def test_the_season_repeats_as_often_as_the_horizon_needs():
    panel = panel_of(list(range(10)))
    forecast = seasonal_naive(panel, np.array([6]), 8, 3)
    np.testing.assert_array_equal(forecast, [[3, 4, 5, 3, 4, 5, 3, 4]])


def test_a_horizon_within_one_season():
    panel = panel_of([10, 11, 12, 13, 14, 15, 16])
    np.testing.assert_array_equal(seasonal_naive(panel, np.array([4, 5]), 2, 4), [[10, 11], [11, 12]])


def test_a_season_of_one_is_the_last_value():
    panel = panel_of([3, 1, 4, 1, 5])
    origins = np.array([1, 2, 3, 4])
    np.testing.assert_array_equal(seasonal_naive(panel, origins, 3, 1), repeat_last(panel, origins, 3))


def test_a_gap_a_season_ago_takes_the_value_before_it():
    panel = panel_of([5, 6, NAN, 8, 9])
    np.testing.assert_array_equal(seasonal_naive(panel, np.array([4]), 4, 3), [[6, 6, 8, 6]])


def test_a_series_shorter_than_its_season_is_unknown_where_the_season_lacks():
    panel = panel_of([1, 2, 3])
    np.testing.assert_array_equal(seasonal_naive(panel, np.array([2]), 4, 3), [[NAN, 1, 2, NAN]])


@pytest.mark.parametrize("season", [1, 2, 5, 24])
def test_no_baseline_looks_beyond_the_origin(season):
    rng = np.random.default_rng(0)
    values = rng.normal(size=60)
    origins = np.arange(30, 40)
    for origin in origins:
        later = values.copy()
        later[origin:] = rng.normal(size=60 - origin)
        for rival in (lambda p, o: repeat_last(p, o, 12), lambda p, o: seasonal_naive(p, o, 12, season)):
            before = rival(panel_of(list(values)), np.array([origin]))
            np.testing.assert_array_equal(rival(panel_of(list(later)), np.array([origin])), before)
