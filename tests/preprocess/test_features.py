"""From rows to network inputs: nothing leaks, gaps are masked, training and live windows are one code path."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from example_series import COVARIATES, ROLES, hourly, panel_of, random_forecaster
from grus.errors import DataError
from grus.models import GraphModule
from grus.preprocess import features as features_module
from grus.preprocess import storage
from grus.preprocess.features import Preprocessor
from grus.preprocess.forecast_steps import SERIES, fit_steps, layout
from grus.preprocess.panel import build_panel, extend
from grus.preprocess.roles import Roles
from grus.preprocess.row_tables import forward_fill
from grus.spec import Calendar, Categories, CovariateScale, Forecast, SeriesScale
from grus.tasks.forecast_job import ForecastJob, Windows, series_code
from numerics import assert_bitwise_equal

LOOKBACK, HORIZON = 12, 6
NAN = float("nan")


def roles(kind):
    return Roles("y", "unique_id", "ds", **COVARIATES[kind])


def preprocessor_for(panel, **options):
    steps, arrays = fit_steps(panel, **options)
    r = panel.roles
    task = Forecast(
        HORIZON, LOOKBACK, r.target, r.id, r.time, r.past, r.future, r.static, str(panel.frequency), 24
    )
    return Preprocessor(task, steps, arrays), steps, arrays


def column(preprocessor, inputs, port, name):
    names = getattr(preprocessor.layout, port)
    return inputs[port][..., names.index(name)]


# -- leaks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", COVARIATES)
@given(data=st.data())
def test_no_input_of_a_window_knows_anything_from_its_origin_on(kind, data):
    """Targets and past covariates at or after the origin may be anything, or be missing."""
    table = hourly((60, 50))
    panel = build_panel(table, roles(kind))
    preprocessor, _, _ = preprocessor_for(panel.cut(0, 30))
    series = data.draw(st.integers(0, 1))
    origin = int(panel.offsets[series]) + data.draw(st.integers(1, panel.length(series) - HORIZON))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    changed = build_panel(table, roles(kind))
    later = slice(origin, int(panel.offsets[series + 1]))
    n = later.stop - later.start
    changed.target[later] = np.where(rng.random(n) < 0.3, NAN, rng.normal(0, 1e3, n))
    changed.observed[later] = ~np.isnan(changed.target[later])
    for name, values in changed.past.items():
        values[later] = rng.normal(0, 1e3, n) if values.dtype.kind == "f" else rng.permutation(values[later])
        if name == "state":
            values[later][::3] = "broken"
    windows = np.array([series]), np.array([origin])
    before = preprocessor.windows(preprocessor.features(panel), *windows, HORIZON)
    after = preprocessor.windows(preprocessor.features(changed), *windows, HORIZON)
    assert before.keys() == after.keys()
    for port, values in before.items():
        np.testing.assert_array_equal(after[port], values, err_msg=port)


def test_the_leak_test_would_see_a_leak():
    panel, changed = (build_panel(hourly((60,)), roles("all")) for _ in range(2))
    preprocessor, _, _ = preprocessor_for(panel)
    changed.target[40] += 1
    changed.past["load"][40] += 1
    windows = np.array([0]), np.array([41])  # one row later than the change
    before = preprocessor.windows(preprocessor.features(panel), *windows, HORIZON)
    after = preprocessor.windows(preprocessor.features(changed), *windows, HORIZON)
    assert (before["past"][0, -1] != after["past"][0, -1]).sum() == 2


@pytest.mark.parametrize("scaling", ["standard", "robust", "none"])
def test_rows_after_the_end_of_training_change_no_fitted_number(scaling):
    table = hourly((60, 50))
    changed = {name: values.copy() for name, values in table.items()}
    rng = np.random.default_rng(1)
    for first, last in ((40, 60), (60 + 30, 110)):
        for name in ("y", "load", "price"):
            changed[name][first:last] = rng.normal(0, 1e6, last - first)
        changed["y"][last - 3 : last] = NAN
        changed["load"][first : first + 4] = NAN
        changed["state"][first:last] = "broken"
        changed["promo"][first:last] = "new"
    ends = np.array([40, 30])
    fitted = [
        fit_steps(build_panel(rows, roles("all")).cut(0, ends), scaling=scaling) for rows in (table, changed)
    ]
    assert fitted[0][0] == fitted[1][0]
    assert fitted[0][1].keys() == fitted[1][1].keys()
    for name, values in fitted[0][1].items():
        np.testing.assert_array_equal(fitted[1][1][name], values, err_msg=name)


def test_future_covariates_of_the_horizon_are_seen_and_later_ones_are_not():
    table = hourly((60,))
    panel = build_panel(table, roles("future"))
    preprocessor, _, _ = preprocessor_for(panel)
    windows = np.array([0]), np.array([30])

    def future(row):
        changed = build_panel(table, roles("future"))
        changed.future["price"][row] += 10
        return column(
            preprocessor, preprocessor.windows(preprocessor.features(changed), *windows, 6), "future", "price"
        )

    base = column(
        preprocessor, preprocessor.windows(preprocessor.features(panel), *windows, 6), "future", "price"
    )
    for step in range(6):
        assert np.flatnonzero(future(30 + step)[0] != base[0]).tolist() == [step]
    np.testing.assert_array_equal(future(36), base)


# -- gaps --------------------------------------------------------------------------------------------------


def test_gaps_are_filled_forward_and_marked():
    panel = panel_of([NAN, 1, 2, NAN, NAN, 5, 6, 7], [10, 20, 30])
    preprocessor, _, arrays = preprocessor_for(panel)
    inputs = preprocessor.windows(preprocessor.features(panel), np.array([0]), np.array([7]), HORIZON)
    center, scale = (arrays[f"preprocess.series_scale.{part}"][0] for part in ("center", "scale"))
    target = column(preprocessor, inputs, "past", panel.roles.target)[0]
    expected = (np.array([1, 2, 2, 2, 5, 6]) - center) / scale
    np.testing.assert_allclose(target[-6:], expected, rtol=1e-6)
    np.testing.assert_array_equal(target[:-6], 0)  # before the first value: the series' own mean
    observed = column(preprocessor, inputs, "past", "observed")[0]
    assert observed.tolist() == [0] * 5 + [0, 1, 1, 0, 0, 1, 1]


def test_missing_rows_are_gaps_too():
    table = {
        name: np.delete(values, [20, 21, 25]) for name, values in hourly((60,)).items() if name in ("ds", "y")
    }
    panel = build_panel(table, Roles("y", None, "ds"))
    preprocessor, _, _ = preprocessor_for(panel)
    inputs = preprocessor.windows(preprocessor.features(panel), np.array([0]), np.array([28]), HORIZON)
    observed = column(preprocessor, inputs, "past", "observed")[0]
    assert np.flatnonzero(observed == 0).tolist() == [4, 5, 9]


def test_a_covariate_with_gaps_in_training_brings_its_mask():
    table = hourly((60,))
    table["load"][[3, 50]] = NAN
    panel = build_panel(table, roles("past"))
    preprocessor, steps, _ = preprocessor_for(panel.cut(0, 40))
    assert next(step for step in steps if isinstance(step, CovariateScale)).masked == ("load",)
    inputs = preprocessor.windows(preprocessor.features(panel), np.array([0]), np.array([54]), HORIZON)
    assert column(preprocessor, inputs, "past", "load?")[0].tolist() == [1] * 8 + [0] + [1] * 3
    load = column(preprocessor, inputs, "past", "load")[0]
    assert load[8] == load[7]


def test_a_covariate_without_gaps_in_training_has_no_mask_and_is_filled_later():
    table = hourly((60,))
    table["load"][50] = NAN
    panel = build_panel(table, roles("past"))
    preprocessor, _, _ = preprocessor_for(panel.cut(0, 40))
    assert "load?" not in preprocessor.layout.past
    inputs = preprocessor.windows(preprocessor.features(panel), np.array([0]), np.array([54]), HORIZON)
    assert np.isfinite(inputs["past"]).all()


def test_missing_static_numbers_are_average_and_missing_words_are_unknown():
    table = hourly((40, 40, 40))
    table["area"][:40] = NAN
    table["kind"][:40] = None
    panel = build_panel(table, roles("static"))
    preprocessor, _, _ = preprocessor_for(panel)
    features = preprocessor.features(panel)
    np.testing.assert_allclose(features.static[:, 0], [0, -1, 1], rtol=1e-6)
    assert features.codes["static_code_0"].tolist() == [0, 2, 1]


# -- what training never saw -------------------------------------------------------------------------------


def test_a_category_never_seen_is_code_zero():
    table = hourly((60,))
    preprocessor, steps, _ = preprocessor_for(build_panel(table, roles("past")))
    assert next(step for step in steps if isinstance(step, Categories)).columns == {"state": ("off", "on")}
    changed = {name: values.copy() for name, values in table.items()}
    changed["state"][10], changed["state"][11] = "broken", None
    codes = preprocessor.features(build_panel(changed, roles("past"))).codes["past_code_0"]
    assert codes[10] == codes[11] == 0
    words = np.array(["", "off", "on"])
    rest = np.delete(np.arange(60), [10, 11])
    assert words[codes[rest]].tolist() == table["state"][rest].tolist()


def test_a_series_never_seen_is_code_zero_in_its_own_scale():
    panel = panel_of([1, 2, 3, 4], [10, 20, 30, 40])
    preprocessor, steps, _ = preprocessor_for(panel)
    assert next(step for step in steps if isinstance(step, SeriesScale)).ids == ("a", "b")
    new = panel_of([1, 1], [2, 2], [100, 300, 900])
    features = preprocessor.features(new, np.array([2, 2, 2]))
    port = f"static_code_{preprocessor.layout.static_tokens.index(SERIES)}"
    assert features.codes[port].tolist() == [1, 2, 0]
    # a and b as in training, c by its first two rows alone
    assert features.center.tolist() == [2.5, 25, 200]
    assert features.scale.tolist() == [np.std([1, 2, 3, 4]), np.std([10, 20, 30, 40]), 100]
    np.testing.assert_allclose(features.target[-3:], [-1, 1, 7])


def test_one_series_has_no_code_and_keeps_its_scale_whatever_it_is_called():
    table = {"y": np.arange(10.0)}
    panel = build_panel(table, Roles("y"))
    preprocessor, _, _ = preprocessor_for(panel)
    assert preprocessor.layout.static_tokens == ()
    other = build_panel({"y": np.arange(50.0, 60)}, Roles("y"))
    assert preprocessor.features(other).center.tolist() == [4.5]


def test_an_unseen_series_without_a_value_is_an_error_that_names_it():
    preprocessor, _, _ = preprocessor_for(panel_of([1, 2, 3], [4, 5, 6]))
    with pytest.raises(DataError, match="series 'c': expected at least one value"):
        preprocessor.features(panel_of([1], [2], [NAN, 3]), np.array([1, 1, 1]))


@pytest.mark.parametrize(("kind", "name"), [("past", "load"), ("future", "price"), ("static", "area")])
def test_text_where_training_had_numbers_is_an_error_that_names_the_column(kind, name):
    table = hourly((40, 40))
    preprocessor, _, _ = preprocessor_for(build_panel(table, roles(kind)))
    spoilt = {**table, name: np.full(80, "red", object)}
    with pytest.raises(DataError, match=f"column '{name}': must be numbers as in training, got text"):
        preprocessor.features(build_panel(spoilt, roles(kind)))


def test_numbers_where_training_had_words_are_their_spelling():
    table = {**hourly((40,)), "state": np.array(["1", "2"] * 20, object)}
    preprocessor, _, _ = preprocessor_for(build_panel(table, roles("past")))
    numbers = {**table, "state": np.array([1, 3] * 20)}
    codes = preprocessor.features(build_panel(numbers, roles("past"))).codes["past_code_0"]
    assert codes.tolist() == [1, 0] * 20


# -- windows -----------------------------------------------------------------------------------------------


def test_a_short_history_repeats_its_first_row_marked_as_unobserved():
    panel = build_panel(hourly((60, 50)), roles("all"))
    preprocessor, _, _ = preprocessor_for(panel)
    features = preprocessor.features(panel)
    inputs = preprocessor.windows(features, np.array([1]), panel.offsets[1:2] + 3, HORIZON)
    observed = column(preprocessor, inputs, "past", "observed")[0]
    assert observed.tolist() == [0] * 9 + [1] * 3
    first = features.past[60].copy()
    first[1] = 0
    np.testing.assert_array_equal(inputs["past"][0, :9], np.tile(first, (9, 1)))
    assert set(inputs["past_code_0"][0, :9]) == {features.codes["past_code_0"][60]}


def test_a_window_without_any_history_is_refused():
    panel = panel_of([1.0] * 20, [2.0] * 20)
    preprocessor, _, _ = preprocessor_for(panel)
    with pytest.raises(DataError, match="a window needs at least one row before its first step"):
        preprocessor.windows(preprocessor.features(panel), np.array([1]), np.array([20]), HORIZON)


def test_steps_beyond_the_horizon_repeat_the_last_one():
    panel = build_panel(hourly((60,)), roles("all"))
    preprocessor, _, _ = preprocessor_for(panel)
    features = preprocessor.features(panel)
    short = preprocessor.windows(features, np.array([0]), np.array([30]), HORIZON)
    long = preprocessor.windows(features, np.array([0]), np.array([30]), HORIZON + 2)
    for port in ("future", "future_code_0"):
        np.testing.assert_array_equal(long[port][:, :HORIZON], short[port])
        np.testing.assert_array_equal(long[port][:, HORIZON:], np.repeat(short[port][:, -1:], 2, axis=1))
    lead = column(preprocessor, short, "future", "lead")[0]
    np.testing.assert_allclose(lead, np.arange(6) / 6)


def test_a_horizon_beyond_the_end_repeats_the_last_row_of_its_own_series():
    panel = build_panel(hourly((60, 50)), roles("future"))
    preprocessor, _, _ = preprocessor_for(panel)
    features = preprocessor.features(panel)
    inputs = preprocessor.windows(features, np.array([0, 1]), np.array([58, 108]), HORIZON)
    for row, last in enumerate((59, 109)):
        np.testing.assert_array_equal(
            inputs["future"][row, 1:, 1:], np.tile(features.future[last, 1:], (5, 1))
        )
        np.testing.assert_array_equal(inputs["future_code_0"][row, 1:], features.codes["future_code_0"][last])


def test_the_layout_names_every_feature_in_the_order_of_the_inputs():
    table = hourly((60, 50))
    table["load"][3] = NAN
    panel = build_panel(table, roles("all"))
    steps, _ = fit_steps(panel, calendar=("hour_of_day", "weekend"))
    found = layout(
        (Forecast(6, 12, "y", "unique_id", "ds", ("load", "state"), ("price", "promo"), ("area", "kind"), "h", 24), steps)
    )  # fmt: skip
    clock = (*(f"hour_of_day_{f}{k}" for k in (1, 2, 3, 4) for f in ("sin", "cos")), "weekend")
    assert found.past == ("y", "observed", "load", "load?", *clock)
    assert found.future == ("lead", *clock, "price")
    assert (found.static, found.calendar) == (("area",), 9)
    assert (found.past_tokens, found.future_tokens, found.static_tokens) == (
        ("state",),
        ("promo",),
        ("kind", SERIES),
    )
    assert found.counts == {"state": 3, "promo": 4, "kind": 3, SERIES: 3}
    assert [(port.name, port.kind, port.size, port.clock) for port in found.ports()] == [
        ("past", "seq", 13, "src"),
        ("future", "seq", 11, "tgt"),
        ("static", "vec", 1, ""),
        ("past_code_0", "tokens", 3, "src"),
        ("future_code_0", "tokens", 4, "tgt"),
        ("static_code_0", "tokens", 3, ""),
        ("static_code_1", "tokens", 3, ""),
    ]


@pytest.mark.parametrize(("days", "kept"), [(500, False), (730, False), (731, True), (800, True)])
def test_the_position_in_the_year_needs_two_years_of_training(days, kept):
    times = np.datetime64("2020-01-01", "ns") + np.arange(days) * np.timedelta64(24 * 3600 * 10**9, "ns")
    steps, _ = fit_steps(build_panel({"ds": times, "y": np.arange(float(days))}, Roles("y", None, "ds")))
    calendar = next(step for step in steps if isinstance(step, Calendar)).features
    assert ("day_of_year" in calendar) is kept
    assert "day_of_week" in calendar


def test_forward_fill_stays_within_each_series():
    filled = forward_fill(np.array([NAN, 1, NAN, NAN, NAN, 2]), np.array([0, 3, 3, 6]))
    np.testing.assert_array_equal(filled, [NAN, 1, 1, NAN, NAN, 2])
    assert forward_fill(np.empty(0), np.array([0])).shape == (0,)


# -- one code path -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("gaps", [False, True], ids=["full", "gaps"])
@pytest.mark.parametrize("kind", COVARIATES)
def test_a_training_batch_is_the_live_window_bit_for_bit(kind, gaps):
    """The batch that the network learns from, and what a live forecast at the same place computes from its rows."""
    table = hourly((60, 50))
    if gaps:
        table["y"][[5, 30, 31, 64, 80]] = NAN
        table["load"][[6, 32, 90]] = NAN
        keep = np.delete(np.arange(110), [12, 13, 75])
        table = {name: values[keep] for name, values in table.items()}
    panel = build_panel(table, roles(kind))
    live = random_forecaster(panel.cut(0, np.array([40, 35])))
    offsets = panel.offsets
    series = np.array([0, 0, 1, 1, 0])
    origins = offsets[series] + np.array([12, 25, 20, 30, 34])
    windows = Windows(series, origins)
    preprocessor = live._preprocessor
    job = ForecastJob(
        GraphModule(live.model.parts["main"]), preprocessor, preprocessor.features(panel, np.array([40, 35])),
        windows, windows, steps_out=live.steps, loss="mae", quantiles=(), batch_size=5, windows_per_epoch=100,
        seed=0, series_code=series_code(preprocessor.layout.static_tokens, SERIES),
    )  # fmt: skip
    trained, batch = job._arrays(windows), job.batch(0, 0)
    hidden = series_code(preprocessor.layout.static_tokens, SERIES)
    for name in batch.keys() - {hidden}:  # a batch holds the same windows, shuffled
        np.testing.assert_array_equal(_sorted(batch[name]), _sorted(trained[name]))
    for i, origin in enumerate(origins):
        here = int(series[i])
        position = origin - offsets[here]
        past = panel.select([here]).cut(0, position)
        future = panel.select([here]).cut(position, position + HORIZON)
        ahead = {"unique_id": np.repeat(future.id_values, HORIZON), "ds": future.times(0), **future.future}
        extended = extend(past, HORIZON, ahead)
        inputs = live.inputs(
            preprocessor.features(extended, past.lengths), np.array([0]), extended.offsets[1:] - HORIZON
        )
        assert inputs.keys() == trained.keys() - {"truth"}
        for port, values in inputs.items():
            if values.dtype.kind == "f":
                assert_bitwise_equal(values[0], trained[port][i], port)
            else:
                np.testing.assert_array_equal(values[0], trained[port][i])


def _sorted(values):
    rows = values.reshape(len(values), -1)
    return rows[np.lexsort(rows.T[::-1])]


def test_the_series_code_is_hidden_now_and_then_the_same_way_each_time():
    panel = build_panel(hourly((200, 180)), ROLES)
    live = random_forecaster(panel)
    preprocessor = live._preprocessor
    windows = Windows(np.repeat([0, 1], 160), np.concatenate([np.arange(20, 180), np.arange(214, 374)]))
    job = ForecastJob(
        GraphModule(live.model.parts["main"]), preprocessor, preprocessor.features(panel), windows, windows,
        steps_out=live.steps, loss="mae", quantiles=(), batch_size=320, windows_per_epoch=320, seed=3,
        series_code="static_code_0",
    )  # fmt: skip
    shares = []
    for epoch in range(30):
        codes = job.batch(epoch, 0)["static_code_0"]
        np.testing.assert_array_equal(job.batch(epoch, 0)["static_code_0"], codes)
        assert set(codes.tolist()) <= {0, 1, 2}
        shares.append((codes == 0).mean())
    assert 0.015 < np.mean(shares) < 0.025  # 9,600 draws at 2%
    assert len(set(shares)) > 1


def test_categories_and_series_that_training_never_saw_are_named():
    table = hourly((60, 50))
    panel = build_panel(table, roles("all"))
    preprocessor, _, _ = preprocessor_for(panel)
    assert preprocessor.strangers(panel) == []
    table = {name: values.copy() for name, values in table.items()}
    text = next(name for name, values in panel.past.items() if values.dtype.kind == "O")
    table[text] = table[text].astype(object)
    table[text][[3, 7]] = "hail"
    table["unique_id"] = np.where(table["unique_id"] == panel.ids[0], "new", table["unique_id"]).astype(
        object
    )
    assert preprocessor.strangers(build_panel(table, roles("all"))) == [
        f"column {text!r}: not seen in training, so unknown to the model: 'hail'",
        "1 of 2 series not seen in training, so scaled by their own rows: 'new'",
    ]


# -- larger than memory ------------------------------------------------------------------------------------


def on_disk(table):
    """The same table, its columns mapped from files."""
    spilled = {}
    for name, values in table.items():
        plain = (
            np.array(["" if v is None else v for v in values.tolist()]) if values.dtype == object else values
        )
        spilled[name] = storage.empty(len(plain), plain.dtype, disk=True)
        spilled[name][:] = plain
    return spilled


def calendars():
    """Tables whose series begin together, apart, off each other's grid, and too far apart to share a calendar."""
    table = hourly((60, 50))
    second = table["unique_id"] == "b"
    for name, shift in (("apart", 7 * 3600), ("off", 1800), ("far", 4000 * 3600)):
        shifted = table["ds"] + (second * shift * 10**9).astype("m8[ns]")
        yield pytest.param({**table, "ds": shifted}, id=name)
    for unit in ("B", "W-TUE", "ME", "QS", "D"):
        times = pd.date_range("2019-01-01", periods=60, freq=unit).to_numpy()
        yield pytest.param({**table, "ds": np.concatenate((times, times[5:55]))}, id=unit)
    yield pytest.param({**table, "ds": np.concatenate((np.arange(60), np.arange(50)))}, id="numbers")


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
@pytest.mark.parametrize("table", [*calendars()])
def test_on_disk_every_window_is_the_same_bit_for_bit(monkeypatch, table, chunk):
    rng = np.random.default_rng(0)
    table = {name: values.copy() for name, values in table.items()}
    for name in ("y", "load", "price"):
        table[name][rng.random(110) < 0.3] = NAN
    table["y"][60:70] = NAN
    panel = build_panel(table, roles("all"))
    preprocessor, _, _ = preprocessor_for(panel, calendar=_calendar(panel))
    expected = preprocessor.features(panel)
    monkeypatch.setattr(storage, "CHUNK", chunk)
    spilled = build_panel(on_disk(table), roles("all"))
    found = preprocessor.features(spilled)
    for values in (found.target, found.past, found.future, found.codes["past_code_0"]):
        assert isinstance(values, np.memmap)
    series, origins = np.array([0, 0, 1, 1, 0]), np.array([3, 50, 63, 109, 20])
    before, after = (preprocessor.windows(f, series, origins, HORIZON + 2) for f in (expected, found))
    assert before.keys() == after.keys()
    for port, values in before.items():
        assert values.dtype == after[port].dtype
        assert_bitwise_equal(np.ascontiguousarray(after[port]), values)
    assert_bitwise_equal(np.asarray(found.target), expected.target)
    steps, arrays = fit_steps(spilled, calendar=_calendar(panel))
    again, kept = fit_steps(panel, calendar=_calendar(panel))
    assert steps == again
    for name, values in kept.items():
        np.testing.assert_allclose(arrays[name], values, rtol=1e-14)


def _calendar(panel):
    """Features that change from row to row, whatever the frequency."""
    return () if panel.frequency.is_integer else ("hour_of_day", "day_of_month", "day_of_year")


def test_in_memory_a_large_panel_gives_the_same_windows(monkeypatch):
    panel = build_panel(hourly((60, 50)), roles("all"))
    preprocessor, _, _ = preprocessor_for(panel)
    windows = np.array([0, 1]), np.array([30, 80])
    small = preprocessor.features(panel)
    monkeypatch.setattr(features_module, "LARGE", 10)
    large = preprocessor.features(panel)
    assert small.clock is None
    assert large.clock is not None
    for port, values in preprocessor.windows(small, *windows, HORIZON).items():
        assert_bitwise_equal(preprocessor.windows(large, *windows, HORIZON)[port], values)


def test_on_disk_the_calendar_is_kept_once_for_all_series():
    rows = 50
    table = hourly((rows,) * 8)
    panel = build_panel(on_disk(table), roles("past"))
    features = preprocessor_for(panel)[0].features(panel)
    assert features.clock is not None
    assert features.clock.shape[0] == rows + 7, "series i begins i hours late"
    assert features.past.shape == (8 * rows, 3)
    assert features.future.shape == (8 * rows, 1)


@given(data=st.data())
def test_forward_fill_in_pieces_is_that_of_the_whole(data):
    lengths = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=6))
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    values = np.arange(offsets[-1], dtype=np.float64)
    values[data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))] = NAN
    expected = np.concatenate(
        [np.empty(0), *(pd.Series(values[a:b]).ffill().to_numpy() for a, b in itertools.pairwise(offsets))]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "CHUNK", data.draw(st.integers(1, 12)))
        np.testing.assert_array_equal(forward_fill(values, offsets), expected)
