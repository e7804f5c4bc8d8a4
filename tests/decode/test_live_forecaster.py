"""A live forecaster with random weights: what comes out for what goes in."""

import numpy as np
import pytest

from example_series import HOUR, ROLES, START, hourly, panel_of, random_forecaster
from grus.errors import DataError, UnsupportedError, UsageError
from grus.preprocess.panel import build_panel
from grus.preprocess.roles import Roles

MARGINS = np.arange(1.0, 100.0)[:, None] / 100


@pytest.fixture(scope="module")
def data():
    return {name: values for name, values in hourly((60, 50)).items() if name in ("unique_id", "ds", "y")}


@pytest.fixture(scope="module")
def live(data):
    return random_forecaster(build_panel(data, ROLES), margins=MARGINS)


def test_columns_are_named_and_typed_as_users_know_them(live, data):
    out = live.predict(data, level=[80, 97.5])
    assert list(out) == ["unique_id", "ds", "GRU", "GRU-lo-80", "GRU-hi-80", "GRU-lo-97.5", "GRU-hi-97.5"]
    assert {len(values) for values in out.values()} == {12}
    assert out["unique_id"].tolist() == ["a"] * 6 + ["b"] * 6
    ends = [START + 60 * HOUR, START + 51 * HOUR]
    np.testing.assert_array_equal(out["ds"], np.concatenate([end + np.arange(6) * HOUR for end in ends]))
    assert out["ds"].dtype == np.dtype("M8[ns]")
    assert all(out[name].dtype == np.float64 for name in list(out)[2:])


def test_whole_ids_and_times_stay_whole_numbers():
    columns = {"shop": np.repeat([7, 3], 20), "t": np.tile(np.arange(100, 140, 2), 2), "y": np.arange(40.0)}
    live = random_forecaster(build_panel(columns, Roles("y", "shop", "t")), alias="net", margins=MARGINS)
    out = live.predict(columns, level=[80])
    assert list(out) == ["shop", "t", "net", "net-lo-80", "net-hi-80"]
    assert out["shop"].dtype == out["t"].dtype == np.int64
    assert out["shop"].tolist() == [7] * 6 + [3] * 6
    assert out["t"].tolist() == list(range(140, 152, 2)) * 2


def test_without_id_and_time_there_is_only_a_step_number():
    columns = {"y": np.arange(30.0)}
    live = random_forecaster(build_panel(columns, Roles("y")))
    out = live.predict(columns)
    assert list(out) == ["ds", "GRU"]
    assert out["ds"].tolist() == list(range(30, 36))


def test_intervals_are_the_point_and_its_margins_in_the_series_own_scale(live, data):
    out = live.predict(data, level=[50])
    panel = live.panel(data)
    scale = np.repeat(live.features(panel).scale, 6)
    np.testing.assert_allclose(out["GRU-hi-50"] - out["GRU"], 0.5 * scale)
    np.testing.assert_allclose(out["GRU"] - out["GRU-lo-50"], 0.5 * scale)


def test_the_spread_widens_intervals_by_the_place_in_the_season(data):
    spread = np.linspace(0.5, 2.0, 24)
    live = random_forecaster(build_panel(data, ROLES), margins=MARGINS, spread=spread)
    out = live.predict(data, level=[50])
    hours = (out["ds"] - START).astype("m8[h]").astype(int) % 24
    scale = np.repeat(live.features(live.panel(data)).scale, 6)
    np.testing.assert_allclose(out["GRU-hi-50"] - out["GRU"], 0.5 * scale * spread[hours])
    np.testing.assert_allclose(out["GRU"] - out["GRU-lo-50"], 0.5 * scale * spread[hours])
    tail = {name: values[40:60] for name, values in data.items()}
    for name, values in live.predict(tail, level=[50]).items():  # wherever the rows begin
        np.testing.assert_array_equal(values, out[name][:6])


def test_levels_are_given_in_any_order_and_come_out_so(live, data):
    assert list(live.predict(data, level=(95, 50)))[3:] == [
        "GRU-lo-95",
        "GRU-hi-95",
        "GRU-lo-50",
        "GRU-hi-50",
    ]
    assert list(live.predict(data, level=np.array([90.0])))[3:] == ["GRU-lo-90", "GRU-hi-90"]
    assert list(live.evaluate(data).coverage) == [80, 95]


@pytest.mark.parametrize("level", [0, 100, -5, 99.5, 0.8, 150, float("nan"), "80", None])
def test_a_level_out_of_range_is_refused(live, data, level):
    for ask in (live.predict, live.evaluate):
        with pytest.raises(UsageError, match=rf"^level must be from 1 to 99 percent, got {level!r}$"):
            ask(data, level=[level])


@pytest.mark.parametrize("level", [80, "80"])
def test_level_is_a_list(live, data, level):
    with pytest.raises(UsageError, match=r"level must be a list of percentages such as \[80, 95\], got '?80"):
        live.predict(data, level=level)


def test_a_model_without_calibration_says_so_and_still_evaluates(data):
    live = random_forecaster(build_panel(data, ROLES))
    with pytest.raises(UnsupportedError, match="has no calibrated intervals"):
        live.predict(data, level=[80])
    assert live.evaluate(data).coverage == {}
    assert "GRU-lo-80" not in live.predict(data)


def test_what_was_never_negative_is_not_forecast_negative(data):
    low = {**data, "y": data["y"] * 0 + np.tile([0.0, 0.1], 55)}
    panel = build_panel(low, ROLES)
    free, clipped = (
        random_forecaster(panel, margins=MARGINS * 50, non_negative=flag).predict(low, level=[80])
        for flag in (False, True)
    )
    assert free["GRU-lo-80"].min() < 0
    for name in ("GRU", "GRU-lo-80", "GRU-hi-80"):
        np.testing.assert_array_equal(clipped[name], np.maximum(free[name], 0))


def test_quantile_models_answer_with_their_median_and_nested_intervals(data):
    quantiles = (0.1, 0.5, 0.9)
    live = random_forecaster(build_panel(data, ROLES), quantiles=quantiles, margins=-MARGINS / 5)
    panel = live.panel(data)
    origins = panel.offsets[1:] - 6
    features = live.features(panel)
    outputs = live.outputs(features, np.arange(2), origins)
    assert (np.diff(outputs, axis=-1) >= 0).all()
    answer = live.forecast(panel, np.arange(2), origins, [50, 80, 95])
    unscaled = outputs[..., 1] * features.scale[:, None] + features.center[:, None]
    np.testing.assert_allclose(answer.point, unscaled)
    assert (answer.lower[95] <= answer.lower[80]).all()
    assert (answer.upper[95] >= answer.upper[80]).all()


def forms(columns):
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    frame = pd.DataFrame(columns)
    return {
        "columns": columns,
        "lists": {name: values.tolist() for name, values in columns.items()}
        | {"ds": [t.item() for t in columns["ds"].astype("M8[us]")]},
        "records": [dict(zip(columns, row)) for row in zip(*columns.values())],
        "pandas": frame,
        "pandas-shuffled": frame.sample(frac=1.0, random_state=0),
        "pandas-indexed": frame.set_index("ds"),
        "pandas-category": frame.astype({"unique_id": "category", "y": "Float64"}),
        "pandas-zone": frame.assign(ds=frame["ds"].dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin")),
        "polars": pl.DataFrame(frame),
        "polars-category": pl.DataFrame(frame).with_columns(pl.col("unique_id").cast(pl.Categorical)),
        "pyarrow": pa.table(frame),
        "pyarrow-dictionary": dictionaries(pa.table(frame)),
        "text-times": {**columns, "ds": np.array([str(t).replace("T", " ")[:19] for t in columns["ds"]])},
    }


FORMS = (
    "columns", "lists", "records", "pandas", "pandas-shuffled", "pandas-indexed", "pandas-category", "pandas-zone",
    "polars", "polars-category", "pyarrow", "pyarrow-dictionary", "text-times",
)  # fmt: skip


def dictionaries(table):
    """Text columns of a pyarrow table as codes and words."""
    for number, name in enumerate(table.column_names):
        if str(table[name].type) in ("string", "large_string"):
            table = table.set_column(number, name, table[name].dictionary_encode())
    return table


@pytest.mark.parametrize("form", FORMS)
def test_rows_in_any_form_give_the_same_numbers(live, data, form):
    expected = live.predict(data, level=[80])
    found = live.predict(forms(data)[form], level=[80])
    if form == "pandas-shuffled":  # series come in the order in which they first appear
        order = np.lexsort((found["ds"], found["unique_id"]))
        found = {name: values[order] for name, values in found.items()}
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("form", FORMS)
def test_a_frame_with_gaps_and_covariates_in_any_form(form):
    data = hourly((60, 50))
    data["y"][[5, 59, 80]] = np.nan
    data["load"][[7, 58]] = np.nan
    data["state"][9] = None
    live = random_forecaster(build_panel(data, Roles("y", "unique_id", "ds", past=("load", "state"))))
    found = live.predict(forms(data)[form])
    order = np.lexsort((found["ds"], found["unique_id"]))
    np.testing.assert_array_equal(found["GRU"][order], live.predict(data)["GRU"])


@pytest.mark.parametrize("name", ["when", None])
def test_an_index_of_stamps_goes_by_its_name_or_ds(data, name):
    import pandas as pd

    time = name or "ds"
    columns = {"unique_id": data["unique_id"], time: data["ds"], "y": data["y"]}
    live = random_forecaster(build_panel(columns, Roles("y", "unique_id", time)))
    frame = pd.DataFrame(columns).set_index(time).rename_axis(name)
    np.testing.assert_array_equal(live.predict(frame)["GRU"], live.predict(columns)["GRU"])
    plain = pd.DataFrame(columns)  # its index of row numbers is no column
    np.testing.assert_array_equal(live.predict(plain)["GRU"], live.predict(columns)["GRU"])


def test_only_the_lookback_counts(live, data):
    tail = {name: np.concatenate([values[60 - 12 : 60], values[110 - 12 :]]) for name, values in data.items()}
    np.testing.assert_array_equal(live.predict(tail)["GRU"], live.predict(data)["GRU"])


def test_one_row_of_history_is_enough(live, data):
    out = live.predict({name: values[:1] for name, values in data.items()} | {"ds": data["ds"][:1]})
    assert np.isfinite(out["GRU"]).all()
    assert len(out["GRU"]) == 6


def test_a_series_alone_and_among_others_is_the_same(live, data):
    together = live.predict(data, level=[80])
    for name, rows in (("a", slice(0, 60)), ("b", slice(60, None))):
        alone = live.predict({k: v[rows] for k, v in data.items()}, level=[80])
        for column, values in alone.items():
            np.testing.assert_array_equal(values, together[column][together["unique_id"] == name])


def test_predicting_changes_nothing(live, data):
    before = {name: values.copy() for name, values in data.items()}
    first = live.predict(data, level=[80])
    live.evaluate(data)
    second = live.predict(data, level=[80])
    for name, values in first.items():
        np.testing.assert_array_equal(second[name], values)
    for name, values in before.items():
        np.testing.assert_array_equal(data[name], values)


def test_many_windows_are_forecast_as_one_by_one(live):
    panel = build_panel({k: v for k, v in hourly((700,)).items() if k in ("unique_id", "ds", "y")}, ROLES)
    series, origins = live.windows(panel, 1)
    assert len(origins) > 512  # more than one batch
    together = live.forecast(panel, series, origins, [80])
    for i in (0, 511, 512, len(origins) - 1):
        alone = live.forecast(panel, series[i : i + 1], origins[i : i + 1], [80])
        np.testing.assert_array_equal(alone.point[0], together.point[i])
        np.testing.assert_array_equal(alone.lower[80][0], together.lower[80][i])


def test_windows_lie_inside_their_series_and_the_last_one_ends_at_the_end():
    live = random_forecaster(panel_of(list(range(40)), list(range(30))))
    panel = panel_of([0.0] * 20, [0.0] * 17, [0.0] * 18)
    series, origins = live.windows(panel, 1)
    assert series.tolist() == [0, 0, 0, 2]
    assert origins.tolist() == [12, 13, 14, 20 + 17 + 12]
    series, origins = live.windows(panel, 6, last=12)
    assert series.tolist() == [0, 0, 1, 1, 2, 2]
    assert origins.tolist() == [8, 14, 25, 31, 43, 49]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"step": 0}, "evaluate: step must be a whole number of at least 1, got 0"),
        ({"step": -1}, "evaluate: step must be a whole number of at least 1, got -1"),
        ({"step": 1.5}, "evaluate: step must be a whole number of at least 1, got 1.5"),
        ({"last": 5}, "evaluate: last must be a whole number of at least the horizon of 6, got 5"),
        ({"last": 0}, "evaluate: last must be a whole number of at least the horizon of 6, got 0"),
        ({"last": "24"}, "evaluate: last must be a whole number of at least the horizon of 6, got '24'"),
    ],
)
def test_evaluate_refuses_what_it_cannot_use(live, data, options, sentence):
    with pytest.raises(UsageError) as error:
        live.evaluate(data, **options)
    assert str(error.value) == sentence


def test_series_too_short_to_evaluate(live, data):
    short = {name: values[:17] for name, values in data.items()}
    with pytest.raises(
        DataError, match="the longest series has 17 hours, but lookback 12 \\+ horizon 6 need 18"
    ):
        live.evaluate(short)
    with pytest.raises(
        DataError, match="the longest series has 6 hours, but horizon 6 and one before it need 7"
    ):
        live.evaluate({name: values[:6] for name, values in data.items()}, last=6)
    assert live.evaluate({name: values[:7] for name, values in data.items()}, last=6).windows == 1


def test_an_evaluation_is_what_forecasts_and_truth_give_by_hand(live, data):
    result = live.evaluate(data, step=4, last=20, level=[80])
    errors, inside = [], []
    for rows, end in ((slice(0, 60), 60), (slice(60, 110), 50)):
        own = {name: values[rows] for name, values in data.items()}
        for origin in range(end - 20, end - 6 + 1, 4):
            out = live.predict({name: values[:origin] for name, values in own.items()}, level=[80])
            truth = own["y"][origin : origin + 6]
            errors.append(np.abs(out["GRU"] - truth))
            inside.append((out["GRU-lo-80"] <= truth) & (truth <= out["GRU-hi-80"]))
    assert (result.windows, result.values) == (8, 48)
    assert result.model.mae == pytest.approx(np.mean(errors), rel=1e-12)
    assert result.model.rmse == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-12)
    np.testing.assert_allclose(result.model.by_step, np.mean(errors, 0))
    assert result.coverage[80] == np.mean(inside)
    assert result.first == "2024-01-02 07:00:00"


@pytest.mark.parametrize("alone", [True, False])
def test_an_unseen_series_is_scaled_by_its_past_alone(live, data, alone):
    """Its truth must not reach its own forecasts, not even through the scale."""
    new = {name: values[:60].copy() for name, values in data.items()}
    new["unique_id"][:] = "zebra"

    def first_window(rows):
        if not alone:
            rows = {name: np.concatenate([data[name], values]) for name, values in rows.items()}
        result = live.evaluate(rows, step=1, last=10)
        assert result.windows == (5 if alone else 15)
        return result.forecasts.point[-5]

    before = first_window(new)
    np.testing.assert_array_equal(
        first_window({**new, "y": np.where(np.arange(60) < 50, new["y"], 1e6)}), before
    )
    alike = live.predict({name: values[:50] for name, values in new.items()})
    np.testing.assert_array_equal(before, alike["GRU"])


def test_rows_that_do_not_fit_are_refused(live, data):
    for rows, error, sentence in (
        ({k: v for k, v in data.items() if k != "y"}, DataError, "rows: no column 'y'; the columns are"),
        ([], DataError, "rows: expected rows, got none"),
        ({name: values[:0] for name, values in data.items()}, DataError, "rows: expected rows"),
        (
            [{"ds": 1}, {"y": 2}],
            DataError,
            "row 1 (counting from 0): field 'ds' must stand in every row or none",
        ),
        ([1, 2], UsageError, "rows: must be columns, records or a data frame, got int in a list"),
        (7, UsageError, "rows: must be columns, records or a data frame, got int"),
        ("data.csv", UsageError, "rows: must be columns, records or a data frame, got str"),
        ({**data, "y": data["y"].astype(str)[:-1]}, DataError, "expected 109 rows"),
    ):
        with pytest.raises(error) as caught:
            live.predict(rows)
        assert sentence in str(caught.value)
