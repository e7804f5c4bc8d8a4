"""The arrays behind the pictures, against cases worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from report_cases import a_case, series_panel

from grus.data.splits import Split
from grus.decode import Forecasts
from grus.decode.scores import evaluate
from grus.inspection.forecast_record import (
    baseline_values,
    coverage_by_step,
    evaluated_panel,
    overview,
    telling_windows,
    typical_series,
)


def with_target(panel, values):
    values = np.asarray(values, float)
    return replace(panel, target=values, observed=np.isfinite(values))


def forecasts_of(origins, point, series=None, half=1.0):
    point = np.asarray(point, float)
    series = np.zeros(len(origins), int) if series is None else np.asarray(series)
    return Forecasts(series, np.asarray(origins), point, {80: point - half}, {80: point + half})


def test_overview_bins_range_mean_and_gaps():
    panel = with_target(
        series_panel((10,), integer=True), [1, 2, 3, np.nan, np.nan, np.nan, 7, 8, np.nan, 10]
    )
    split = Split(np.array([4]), np.array([6]), np.array([10]))
    o = overview(panel, split, 0, bins=4)
    assert o.times.tolist() == [0, 3, 6, 9]
    np.testing.assert_array_equal(o.low, [1, np.nan, 7, 10])
    np.testing.assert_array_equal(o.middle, [2, np.nan, 7.5, 10])
    np.testing.assert_array_equal(o.high, [3, np.nan, 8, 10])
    assert {part: (int(a), int(b)) for part, (a, b) in o.parts.items()} == {
        "validation": (4, 6),
        "test": (6, 10),
    }


def test_overview_bins_hold_whole_seasons():
    panel = series_panel((24 * 30,))
    split = Split(np.array([600]), np.array([720]), np.array([720]))
    o = overview(panel, split, 0, bins=20)
    assert np.unique(np.diff(o.times)) == np.timedelta64(48, "h")
    assert np.ptp(o.middle) < 0.5, "the daily cycle of 6 is averaged away"
    assert list(o.parts) == ["validation"], "an empty part is no part"


def test_overview_of_a_short_series_is_the_series():
    panel = series_panel((30, 50))
    o = overview(panel, Split(*np.full((3, 2), 30)), 1)
    np.testing.assert_array_equal(o.middle, panel.target[30:])
    np.testing.assert_array_equal(o.low, o.high)
    assert (o.name, o.parts) == (panel.ids[1], {})


def test_validation_counts_the_rows_of_a_shorter_panel():
    case = a_case()
    assert evaluated_panel("test", case.panel, case.split) is case.panel
    seen = evaluated_panel("validation", case.panel, case.split)
    assert seen.lengths.tolist() == case.split.val_end.tolist()
    again = evaluate(seen, case.evaluations["validation"].forecasts, "GRU", (24,), 24)
    assert again.model.mae == case.evaluations["validation"].model.mae


def scored(panel, forecasts, seasons=(2,)):
    return evaluate(panel, forecasts, "GRU", seasons, 1)


def test_telling_windows():
    panel = with_target(series_panel((20,), integer=True), np.zeros(20))
    point = [[3, 3], [1, 1], [9, 9], [2, 2], [4, 4]]
    e = scored(panel, forecasts_of([4, 8, 12, 14, 18], point))
    best, typical, worst = telling_windows(panel, e, history=3)
    assert [(w.kind, w.mae, w.origin) for w in (best, typical, worst)] == [
        ("best", 1.0, "8"),
        ("typical", 3.0, "4"),
        ("worst", 9.0, "12"),
    ]
    assert typical.times.tolist() == [1, 2, 3, 4, 5]
    assert typical.truth.shape == (5,)
    assert typical.point.tolist() == [3, 3]
    assert typical.lower[80].tolist() == [2, 2]
    assert typical.upper[80].tolist() == [4, 4]


def test_telling_windows_at_the_edges():
    panel = with_target(series_panel((20,), integer=True), np.zeros(20))
    one = scored(panel, forecasts_of([1], [[5, 5]]))
    windows = telling_windows(panel, one, history=10)
    assert [w.kind for w in windows] == ["best"], "one window is shown once"
    assert windows[0].times.tolist() == [0, 1, 2], "history stops where the series begins"
    gap = with_target(panel, np.where(np.arange(20) == 5, np.nan, 0.0))
    e = scored(gap, forecasts_of([4, 8], [[0, 0], [6, 6]]))
    assert {w.origin for w in telling_windows(gap, e, 3)} == {"8"}, "a gap does not make a window the best"
    lost = with_target(panel, np.where(np.arange(20) < 4, 0.0, np.nan))
    assert telling_windows(lost, scored(lost, forecasts_of([4, 8], [[0, 0], [6, 6]])), 3) == []


def test_history_never_reaches_into_another_series():
    panel = series_panel((12, 12), integer=True)
    e = scored(panel, forecasts_of([14], [[0, 0]], series=[1]))
    (window,) = telling_windows(panel, e, history=10)
    assert window.series == panel.ids[1]
    assert window.times.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(window.truth, panel.target[12:16])


@pytest.mark.parametrize("name", ["repeat last", "seasonal naive 24", "seasonal naive 168"])
def test_baselines_are_those_that_were_scored(name):
    case = a_case(lengths=(240, 220))
    e = case.evaluations["test"]
    score = next(s for s in e.scores if s.name == name)
    values = baseline_values(name, case.panel, e.forecasts)
    rows = e.forecasts.origins[:, None] + np.arange(values.shape[1])
    error = np.abs(values - case.panel.target[rows])
    np.testing.assert_allclose(np.nanmean(error, axis=0), score.by_step, rtol=1e-12)


def test_coverage_by_step():
    panel = with_target(series_panel((12,), integer=True), [0, 0, 0, 0, 0, 5, 0, np.nan, 0, np.nan, 0, 1])
    shares = coverage_by_step(panel, forecasts_of([4, 6, 8, 10], np.zeros((4, 2))))
    np.testing.assert_array_equal(shares[80], [1.0, 0.5])
    lost = with_target(panel, np.where(np.arange(12) % 2, np.nan, 0.0))
    np.testing.assert_array_equal(coverage_by_step(lost, forecasts_of([4], [[0, 0]]))[80], [1.0, np.nan])


def test_typical_series():
    case = a_case()
    e = case.evaluations["test"]

    def with_errors(*errors):
        return replace(e, scores=(replace(e.model, by_series=np.array(errors, float)), *e.scores[1:]))

    assert typical_series(with_errors(3, 1, 2, 9, np.nan)) == [2, 1, 3]
    assert typical_series(with_errors(3, 1)) == [1, 0]
    assert typical_series(with_errors(np.nan, 1)) == [1]
    assert typical_series(with_errors(np.nan)) == [0]
