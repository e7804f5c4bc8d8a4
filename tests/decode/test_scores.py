"""Errors, coverage and the table against values worked out by hand."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from example_series import panel_of
from grus.decode import Forecasts
from grus.decode.scores import evaluate, interval_pinball, seasonal_error, windows_of

NAN = float("nan")


def forecasts(origins, point, series=None, lower=None, upper=None):
    series = np.zeros(len(origins), np.int64) if series is None else np.array(series)
    return Forecasts(series, np.array(origins), np.array(point, float), lower or {}, upper or {})


def test_every_error_by_hand():
    # Windows at 4 and 6 of one series; the last one ends at the last row.
    panel = panel_of([1, 2, 3, 4, 5, 6, 8, 10])
    result = evaluate(panel, forecasts([4, 6], [[5, 8], [8, 6]]), "GRU", (2,), 2)
    model, last, seasonal = result.scores
    assert [s.name for s in result.scores] == ["GRU", "repeat last", "seasonal naive 2"]
    # errors 0, 2, 0, 4
    assert model.mae == 1.5
    assert model.rmse == pytest.approx(np.sqrt(20 / 4))
    assert model.smape == pytest.approx(200 * (2 / 14 + 4 / 16) / 4)
    # |y_t - y_{t-2}|: 2 2 2 2 3 4, mean 2.5
    assert model.mase == pytest.approx(1.5 / 2.5)
    np.testing.assert_array_equal(model.by_step, [0, 3])
    np.testing.assert_array_equal(model.by_series, [1.5])
    # repeat last: 4 4 against 5 6, 6 6 against 8 10; seasonal: 3 4 and 5 6
    assert last.mae == (1 + 2 + 2 + 4) / 4
    assert seasonal.mae == (2 + 2 + 3 + 4) / 4
    assert result.best_baseline is last
    assert result.gain == pytest.approx(1 - 1.5 / 2.25)
    assert (result.windows, result.values, result.first, result.last) == (2, 4, "4", "6")
    assert result.rows()[1] == {
        "model": "repeat last", "mae": last.mae, "rmse": last.rmse, "smape": last.smape, "mase": last.mase,
    }  # fmt: skip


def test_each_series_has_its_own_unit_and_mean():
    panel = panel_of([0, 2, 4, 6], [0, 10, 20, 30])
    result = evaluate(panel, forecasts([3, 7], [[8], [40]], [0, 1]), "GRU", (1,), 1)
    np.testing.assert_array_equal(result.model.by_series, [2, 10])
    assert result.model.mae == 6
    assert result.model.mase == 1.0  # 2 in units of 2, and 10 in units of 10


def test_a_series_without_windows_has_no_score_of_its_own():
    panel = panel_of([0, 2, 4, 6], [0, 10, 20, 30])
    result = evaluate(panel, forecasts([3], [[8]], [0]), "GRU", (1,), 1)
    np.testing.assert_array_equal(result.model.by_series, [2, NAN])


def test_smape_of_zero_over_zero_is_zero():
    panel = panel_of([0, 0, 0, 0])
    result = evaluate(panel, forecasts([2], [[0, 3]]), "GRU", (1,), 1)
    assert result.model.smape == 100.0  # 0 for 0/0, 200 for 3/3
    assert result.scores[1].smape == 0.0
    assert np.isnan(result.model.mase)  # a series that never changes has no unit


def test_the_gain_over_a_perfect_baseline_is_none():
    panel = panel_of([1, 1, 1, 1])
    assert evaluate(panel, forecasts([2], [[2, 2]]), "GRU", (1,), 1).gain == 0.0


def test_missing_truth_is_left_out_of_every_figure():
    panel = panel_of([1, 2, 3, 4, NAN, 6])
    interval = {80: np.array([[3, 3, 3.0]])}, {80: np.array([[5, 5, 5.0]])}
    result = evaluate(panel, forecasts([3], [[5, 99, 5]], None, *interval), "GRU", (1,), 1)
    assert result.values == 2
    assert result.model.mae == 1.0
    np.testing.assert_array_equal(result.model.by_step, [1, NAN, 1])
    assert result.coverage == {80: 0.5}
    assert result.width == {80: 2.0}


@given(st.lists(st.booleans(), min_size=6, max_size=6), st.integers(0, 2**32 - 1))
def test_a_masked_score_is_the_score_of_the_subset(mask, seed):
    """Masking values of the last window, which no history contains, leaves what the other values give."""
    rng = np.random.default_rng(seed)
    values, point = rng.normal(size=20), rng.normal(size=(1, 6))
    masked = values.copy()
    masked[14:][np.array(mask)] = NAN
    keep = ~np.array(mask)
    result = evaluate(panel_of(list(masked)), forecasts([14], point), "GRU", (4,), 4)
    truth = values[14:][keep]
    for score, f in zip(result.scores, (point[0], np.full(6, values[13]), values[[10, 11, 12, 13, 10, 11]])):
        error = np.abs(f[keep] - truth)
        expected = (
            (error.mean(), np.sqrt((error**2).mean()), (200 * error / (abs(f[keep]) + abs(truth))).mean())
            if keep.any()
            else (NAN, NAN, NAN)
        )
        np.testing.assert_allclose((score.mae, score.rmse, score.smape), expected, rtol=1e-12)
    assert result.values == keep.sum()


def test_no_known_value_at_all_is_nan_without_a_warning():
    panel = panel_of([1, 2, 3, NAN, NAN])
    interval = {80: np.zeros((1, 2))}, {80: np.ones((1, 2))}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluate(panel, forecasts([3], [[1, 1]], None, *interval), "GRU", (1,), 1)
    assert result.values == 0
    assert np.isnan(
        [result.model.mae, result.model.rmse, result.model.smape, result.coverage[80], result.pinball[80]]
    ).all()


def test_a_season_longer_than_the_history_falls_back_to_the_last_value():
    """So that a long season cannot take windows out of the comparison of all the others."""
    panel = panel_of([1, 2, 3, 4, 5, 6])
    result = evaluate(panel, forecasts([2, 4], [[0, 0], [0, 0]]), "GRU", (3,), 1)
    assert result.values == 4
    seasonal = result.scores[2]
    # window at 2: the season ago lacks (so 2), then 1; window at 4: 2, 3
    assert seasonal.mae == (1 + 3 + 3 + 3) / 4


def test_a_season_that_no_window_has_is_no_rival():
    panel = panel_of([1, 2, 3, 4, 5, 6])
    result = evaluate(panel, forecasts([2, 4], [[0, 0], [0, 0]]), "GRU", (3, 24), 1)
    assert [s.name for s in result.scores] == ["GRU", "repeat last", "seasonal naive 3"]
    assert result.values == 4
    assert np.isfinite(result.model.mae)


def test_a_season_of_one_is_not_listed_beside_repeat_last():
    panel = panel_of([1, 2, 3, 4])
    assert [s.name for s in evaluate(panel, forecasts([2], [[1, 1]]), "GRU", (1,), 1).scores] == [
        "GRU",
        "repeat last",
    ]


def test_windows_at_the_end_know_what_there_is():
    panel = panel_of([1, 2, 3], [4, 5, 6])
    f = forecasts([2, 5], [[0, 0, 0], [0, 0, 0]], [0, 1])
    np.testing.assert_array_equal(windows_of(panel, f), [[3, NAN, NAN], [6, NAN, NAN]])


def test_the_seasonal_error_of_each_series():
    panel = panel_of([1, 2, 4, 8], [1, NAN, 5, 6], [3, 3, 3, 3], [1, 2])
    np.testing.assert_array_equal(seasonal_error(panel, 2), [(3 + 6) / 2, 4, NAN, NAN])
    np.testing.assert_array_equal(seasonal_error(panel, 1), [7 / 3, 1, NAN, 1])


def test_pinball_loss_by_hand():
    panel = panel_of([0, 1, 2, 3])
    lower, upper = {80: np.array([[2.5, 2.0]])}, {80: np.array([[3.0, 2.5]])}
    result = evaluate(panel, forecasts([2], [[2, 3]], None, lower, upper), "GRU", (1,), 1)
    # lower end, q = 0.1: y - f = -0.5 and 1; upper end, q = 0.9: -1 and 0.5
    assert result.pinball[80] == pytest.approx((0.9 * 0.5 + 0.1 * 1 + 0.1 * 1 + 0.9 * 0.5) / 4)
    assert result.mean_pinball == pytest.approx(result.pinball[80])


@given(st.integers(0, 2**32 - 1), st.sampled_from([50, 80, 95]), st.floats(-3, 3))
def test_no_other_interval_has_less_pinball_loss_than_the_quantiles_of_the_truth(seed, level, shift):
    truth = np.random.default_rng(seed).normal(size=(1, 400))
    tail = (1 - level / 100) / 2
    best = np.quantile(truth, [tail, 1 - tail])

    def loss(low, high):
        ends = {level: np.full(truth.shape, low)}, {level: np.full(truth.shape, high)}
        return interval_pinball(forecasts([0], truth, None, *ends), truth, level)

    least = loss(*best)
    assert loss(best[0] + shift, best[1]) >= least - 1e-3
    assert loss(best[0], best[1] + shift) >= least - 1e-3
    assert loss(best[0] - 1, best[1] + 1) > least


def test_without_intervals_there_is_no_pinball_loss():
    result = evaluate(panel_of([0, 1, 2, 3]), forecasts([2], [[2, 3]]), "GRU", (1,), 1)
    assert result.pinball == {}
    assert np.isnan(result.mean_pinball)


def test_intervals_count_their_ends_as_inside():
    panel = panel_of([0, 1, 2, 3])
    lower, upper = {50: np.array([[2, 2.5]])}, {50: np.array([[2, 2.9]])}
    assert evaluate(panel, forecasts([2], [[2, 3]], None, lower, upper), "GRU", (1,), 1).coverage == {50: 0.5}
