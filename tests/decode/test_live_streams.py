"""A forecaster fed row by row answers, to the bit, what predict answers for all rows so far."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest
from live_answers import records, same

from example_series import COVARIATES, HOUR, ROLES, START, hourly, random_forecaster, random_model
from grus.decode import LiveForecaster
from grus.errors import DataError, ModelFolderError, UsageError
from grus.preprocess.panel import build_panel
from grus.preprocess.roles import Roles
from grus.preprocess.stacked import lay_out_table
from grus.runtime import State

MARGINS = np.linspace(0.01, 2.0, 99)[:, None]


def with_recent(panel, recent=3, **options):
    """A model whose intervals follow its last forecasts."""
    model, tensors = random_model(panel, margins=MARGINS, **options)
    task = msgspec.structs.replace(model.task, recent=recent)
    return LiveForecaster(
        msgspec.structs.replace(model, task=task), {**tensors, "task.recent": np.array([0.7])}
    )


def check_row_by_row(live, columns, starts=(1, 2, 5, 13, 40, 80), level=(80,), future=None):
    """Step through one series; at some rows compare with predict of all rows so far."""
    state = live.init_state()
    for number, row in enumerate(records(columns), 1):
        so_far = {name: values[:number] for name, values in columns.items()}
        y, state = live.step(row, state, level=level, future=future)
        if np.isnan(y["GRU"]).all():  # no value yet
            with pytest.raises(DataError):
                live.predict(so_far, future, level=level)
            continue
        if number in starts or number == len(columns["y" if "y" in columns else "a"]):
            same(y, live.predict(so_far, future, level=level))
    return state


def one(columns, name="a"):
    return {key: values[columns["unique_id"] == name] for key, values in columns.items()}


@pytest.mark.parametrize("model", ["segment", "direct"])
@pytest.mark.parametrize("which", ["none", "past", "static"])
def test_every_row_is_answered_as_by_predict(which, model):
    columns = hourly((120, 100))
    roles = dataclasses.replace(ROLES, **COVARIATES[which])
    live = with_recent(build_panel(columns, roles), model=model)
    assert live.memory == 12 + 6 + 2 * 24
    check_row_by_row(live, one(columns))


def test_gaps_and_missing_values():
    columns = hourly((150,))
    rng = np.random.default_rng(1)
    columns["y"][rng.random(150) < 0.2] = np.nan
    columns["y"][0] = np.nan
    columns["load"][rng.random(150) < 0.2] = np.nan
    columns["state"][rng.random(150) < 0.2] = None
    kept = rng.random(150) < 0.7
    kept[60:80] = False
    columns = {name: values[kept] for name, values in columns.items()}
    roles = dataclasses.replace(ROLES, past=("load", "state"))
    live = with_recent(build_panel(columns, roles))
    check_row_by_row(live, columns, range(1, 200))


def test_a_gap_longer_than_the_memory():
    columns = one(hourly((60,)))
    columns["ds"][30:] += 500 * HOUR
    live = with_recent(build_panel(columns, ROLES))
    check_row_by_row(live, columns, range(28, 60))


@pytest.mark.parametrize("scaling", ["standard", "robust"])
def test_a_series_that_training_never_saw(scaling):
    columns = hourly((120, 110))
    live = with_recent(build_panel(columns, ROLES))
    live._preprocessor._series = msgspec.structs.replace(live._preprocessor._series, method=scaling)
    stranger = one(columns)
    stranger["unique_id"][:] = "zebra"
    stranger["y"] = stranger["y"] * 1000 + 5
    check_row_by_row(live, stranger, range(1, 121))


def test_future_covariates():
    columns = hourly((60, 50))
    roles = dataclasses.replace(ROLES, **COVARIATES["all"])
    live = with_recent(build_panel(columns, roles))
    now = one(columns)
    state = live.init_state()
    for number, row in enumerate(records(now)[:40], 1):
        y, state = live.step(row, state, level=[80], future=columns)
        if number > 35:
            so_far = {name: values[:number] for name, values in now.items()}
            same(y, live.predict(so_far, columns, level=[80]))
    with pytest.raises(DataError, match="future: expected 6 hours of 'price', 'promo'"):
        live.step(records(now)[40], state)


@pytest.mark.parametrize("frequency", ["B", "MS", "15min", "2step"])
def test_other_frequencies(frequency):
    n = 100
    times = {
        "B": np.busday_offset(np.datetime64("2024-01-01"), np.arange(n)),
        "MS": np.datetime64("2010-01") + np.arange(n),
        "15min": START + np.arange(n) * (HOUR // 4),
        "2step": 7 + 2 * np.arange(n),
    }[frequency]
    times = times if frequency == "2step" else times.astype("M8[ns]")
    columns = {"t": times, "y": np.sin(np.arange(n)) * 5}
    live = with_recent(build_panel(columns, Roles("y", None, "t")))
    assert str(live.frequency) == frequency
    check_row_by_row(live, columns)


def test_without_a_time_column():
    columns = {"y": np.sin(np.arange(60.0))}
    live = with_recent(build_panel(columns, Roles("y")))
    check_row_by_row(live, columns)


def test_several_targets():
    rng = np.random.default_rng(0)
    columns = {
        "shop": np.repeat(np.array(["s", "t"], object), 80),
        "ds": np.tile(START + np.arange(80) * HOUR, 2),
        "a": rng.normal(size=160),
        "b": rng.normal(5, 2, 160),
    }
    roles = Roles("y", "shop", "ds")
    panel = lay_out_table(columns, roles, ("a", "b"))
    model, tensors = random_model(panel, margins=MARGINS)
    task = msgspec.structs.replace(model.task, targets=("a", "b"), id="shop", time="ds")
    live = LiveForecaster(msgspec.structs.replace(model, task=task), tensors)
    first = {name: values[:80] for name, values in columns.items()}
    check_row_by_row(live, first, range(1, 81))
    y, _ = live.run(columns, level=[80])
    same(y, live.predict(columns, level=[80]))


# -- many streams, chunks, and the state as a value -----------------------------------------------------------


@pytest.fixture(scope="module")
def columns():
    return {
        name: values
        for name, values in hourly((120, 100, 90)).items()
        if name in ("unique_id", "ds", "y", "load")
    }


@pytest.fixture(scope="module")
def live(columns):
    return with_recent(build_panel(columns, dataclasses.replace(ROLES, past=("load",))))


def test_streams_step_together_as_alone(live, columns):
    rows = [records(one(columns, name)) for name in "abc"]
    together = live.init_state(3)
    alone = [live.init_state() for _ in range(3)]
    for number in range(80):
        now = [series[number] for series in rows]
        y, together = live.step(now, together, level=[80])
        for i in range(3):
            own, alone[i] = live.step(now[i], alone[i], level=[80])
            same({name: values[i * 6 : i * 6 + 6] for name, values in y.items()}, own)
    assert State.join(alone).to_bytes() == together.to_bytes()


def test_chunks_of_any_sizes_give_the_same_state(live, columns):
    whole, after = live.run(columns, level=[80])
    same(whole, live.predict(columns, level=[80]))
    state, first = live.init_state(3), 0
    order = np.argsort(columns["ds"], kind="stable")  # b and c begin later
    for size in (40, 1, 100, 7, 1000):
        part = {name: values[order[first : first + size]] for name, values in columns.items()}
        first += size
        y, state = live.run(part, state, level=[80])
        assert set(y["unique_id"]) == set(part["unique_id"])
    assert state.to_bytes() == after.to_bytes()


def test_a_frame_a_list_and_columns_are_the_same_rows(live, columns):
    import pandas as pd

    part = {name: values[:30] for name, values in columns.items()}
    wanted, state = live.run(part)
    for rows in (
        pd.DataFrame(part),
        records(part),
        {name: values.tolist() for name, values in part.items() if name != "ds"} | {"ds": part["ds"]},
    ):
        found, other = live.run(rows)
        same(found, wanted)
        assert other.to_bytes() == state.to_bytes()


def test_a_reset_stream_begins_again(live, columns):
    row = records(one(columns))
    _, state = live.run({name: values[:50] for name, values in columns.items()})
    again = live.reset(State.join([state, state]), 1)
    y, _ = live.step([row[50], row[50]], again)
    fresh, _ = live.step(row[50], live.init_state())
    same({name: values[6:] for name, values in y.items()}, fresh)


def test_a_state_is_left_as_it_was(live, columns):
    row = records(one(columns))
    _, state = live.run({name: values[:50] for name, values in columns.items()})
    before = state.to_bytes()
    live.step(row[50], state)
    with pytest.raises(DataError):
        live.step(row[49], state)
    assert state.to_bytes() == before


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ds": "2024-01-02 01:00"}, "expected a later time than '2024-01-02 01:00:00', got '2024-01-02 01:00:00'"),
        ({"ds": "2023-01-02 01:00"}, "expected a later time than '2024-01-02 01:00:00', got '2023-01-02 01:00:00'"),
        ({"ds": "2024-01-02 02:30"}, "expected steps of h from '2024-01-02 01:00:00', got '2024-01-02 02:30:00'"),
        ({"ds": "tomorrow"}, "rows, row 0 (counting from 0), column 'ds': expected a date such as 2024-01-31, got 'tomorrow'"),
        ({"ds": "2024-02-31"}, "rows, row 0 (counting from 0), column 'ds': expected a date and time that exist, got '2024-02-31'"),
        ({"ds": None}, "rows, row 0 (counting from 0), column 'ds': expected a time stamp, got an empty cell"),
        ({"ds": 17}, "rows, row 0 (counting from 0), column 'ds': expected a date, got a whole number"),
        ({"ds": [1]}, "column 'ds': expected a time stamp, got [1]"),
        ({"y": "n/a-ish"}, "rows, row 0 (counting from 0), column 'y': expected a number, got 'n/a-ish'"),
        ({"y": float("inf")}, "rows, row 0 (counting from 0), column 'y': expected a finite number, got inf"),
        ({"y": 10**400}, "rows, row 0 (counting from 0), column 'y': expected a finite number, got inf"),
        ({"unique_id": None}, "column 'unique_id': expected the name of a series, got an empty cell"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit(live, columns, change, sentence):
    _, state = live.run({name: values[:26] for name, values in columns.items()})
    row = {**records(one(columns))[26], **change}
    with pytest.raises(DataError) as caught:
        live.step([row], state)
    assert sentence in str(caught.value)


def test_what_else_is_refused(live, columns):
    _, state = live.run({name: values[:26] for name, values in columns.items()})
    row = records(one(columns))[26]
    with pytest.raises(DataError, match="rows: must be one for each of 2 streams, got 1"):
        live.step(row, State.join([state, state]))
    with pytest.raises(DataError, match=r"rows: no column 'y'; the columns are"):
        live.step({"ds": "2024-01-02 02:00", "unique_id": "a", "load": 1}, state)
    with pytest.raises(DataError, match="rows: must be of the series of the state, got one of 'b'"):
        live.run(columns, state)
    with pytest.raises(DataError, match="expected the series that the stream began with, got 'b'"):
        live.step({**row, "unique_id": "b"}, state)
    with pytest.raises(UsageError, match="run: state must hold each series once"):
        live.run([row], State.join([state, state]))
    with pytest.raises(UsageError, match="rows: must be columns, records or a data frame, got int"):
        live.step(7, state)


def test_a_first_row_off_the_calendar_begins_nothing():
    days = np.busday_offset(np.datetime64("2024-01-01"), np.arange(60)).astype("M8[ns]")
    live = random_forecaster(build_panel({"t": days, "y": np.arange(60.0)}, Roles("y", None, "t")))
    state = live.init_state()
    with pytest.raises(DataError, match="column 't': expected steps of B, got '2024-06-01'"):
        live.step({"t": "2024-06-01", "y": 1}, state)
    _, state = live.step({"t": "2024-05-31", "y": 1}, state)
    _, state = live.step({"t": "2024-06-03", "y": 1}, state)
    assert state.nodes["rows"][4].tolist() == [2]


def test_a_stray_stamp_far_ahead_is_refused(live, columns):
    _, state = live.run({name: values[:26] for name, values in columns.items()})
    row = records(one(columns))[26]
    with pytest.raises(
        DataError, match=r"expected a time at most 1,026,000 steps after '2024-01-02 01:00:00'"
    ):
        live.step({**row, "ds": "2261-01-01"}, state)
    live.step({**row, "ds": "2100-01-01"}, state)


def test_threads_share_a_model(live, columns):
    names = ("a", "b", "c")

    def answer(name):
        state = live.init_state()
        for row in records(one(columns, name))[:60]:
            y, state = live.step({**row, "ds": str(row["ds"])[:19]}, state, level=[80])
        return y, state.to_bytes()

    wanted = [answer(name) for name in names]
    with ThreadPoolExecutor(6) as pool:
        for (y, blob), (alone, its) in zip(pool.map(answer, names * 2), wanted * 2):
            same(y, alone)
            assert blob == its


def test_static_covariates_stay_what_they_were():
    columns = hourly((40, 40))
    roles = dataclasses.replace(ROLES, static=("area", "kind"))
    live = random_forecaster(build_panel(columns, roles))
    rows = records(one(columns))
    _, state = live.run({name: values[:20] for name, values in columns.items()})
    same(live.step({**rows[20], "area": None, "kind": ""}, state)[0], live.step(rows[20], state)[0])
    with pytest.raises(DataError, match="column 'area': expected 0 as before, got 5"):
        live.step({**rows[20], "area": 5}, state)
    with pytest.raises(DataError, match="column 'kind': expected 'x' as before, got 'y'"):
        live.step({**rows[20], "kind": "y"}, state)


def test_bytes_of_a_live_state(live, columns):
    _, state = live.run(columns)
    blob = state.to_bytes()
    assert State.from_bytes(blob, live).to_bytes() == blob
    with pytest.raises(ModelFolderError, match="belongs to another model"):
        State.from_bytes(blob, random_forecaster(build_panel(columns, ROLES)))
    rings = list(state.nodes["rows"])
    for number, bad in ((0, np.inf), (4, live.memory + 1), (4, -1), (5, np.iinfo(np.int64).min), (6, -1)):
        spoilt = [array.copy() for array in rings]
        spoilt[number].flat[0] = bad
        with pytest.raises(ModelFolderError, match="state: damaged: model: state must"):
            State.from_bytes(State({"rows": tuple(spoilt)}, state.owner).to_bytes(), live)
    with pytest.raises(UsageError, match="state must be of this graph"):
        live.step(records(columns)[0], State({}, ""))
