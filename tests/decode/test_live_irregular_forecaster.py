"""A forecaster of irregular series answers live, to the bit, what predict answers for all rows so far."""

import dataclasses

import msgspec
import numpy as np
import pytest
from live_answers import records, same

from example_series import COVARIATES, HOUR, ROLES, START, hourly, random_forecaster, random_model
from grus.decode import LiveForecaster
from grus.decode.streaming.keyed import Streams, Wanted
from grus.errors import DataError, ModelFolderError, SpecError, UnsupportedError, UsageError
from grus.export import export_c
from grus.preprocess.panel import build_panel
from grus.preprocess.roles import Roles
from grus.runtime import State
from grus.spec import Irregular
from grus.spec.steps import IRREGULAR_FORMS
from numerics import assert_bitwise_equal

MARGINS = np.linspace(0.01, 2.0, 99)[:, None]
PAST = dataclasses.replace(ROLES, **COVARIATES["past"])


def gappy(lengths=(70, 60), clock="grid", seed=1):
    """Hourly series of which a third is missing, with covariates; by ``clock`` at uneven dates or whole numbers."""
    columns, rng = hourly(lengths), np.random.default_rng(seed)
    for name in ("y", "load", "state"):
        lost = rng.random(len(columns["y"])) < 0.35
        columns[name][lost] = None if name == "state" else np.nan
    if clock != "grid":
        apart = np.concatenate([np.cumsum(rng.integers(1, 10**6, n)) for n in lengths])
        columns["ds"] = apart - 10**6 if clock == "numbers" else START + apart * np.timedelta64(10**7, "ns")
    return {name: columns[name] for name in ("unique_id", "ds", "y", "load", "state")}


def made(form, clock="grid", **options):
    """A model with random weights, its intervals calibrated, and its rows."""
    columns = gappy(clock=clock)
    panel = build_panel(columns, PAST, uneven=clock != "grid")
    model, tensors = random_model(panel, margins=MARGINS, irregular=form, **options)
    model = msgspec.structs.replace(model, task=msgspec.structs.replace(model.task, recent=3))
    return LiveForecaster(model, {**tensors, "task.recent": np.array([0.7])}), columns


def one(columns, name="a"):
    return {key: values[columns["unique_id"] == name] for key, values in columns.items()}


@pytest.mark.parametrize("clock", ["grid", "dates", "numbers"])
@pytest.mark.parametrize("form", IRREGULAR_FORMS)
def test_every_row_is_answered_as_by_predict(form, clock):
    live, columns = made(form, clock, model="direct" if clock == "numbers" else "segment")
    own = one(columns)
    assert "step" in live.predict(own) or clock == "grid"
    state = live.init_state()
    for number, row in enumerate(records(own), 1):
        y, state = live.step(row, state, level=[80])
        if number in (3, 9, 13, 40, 70):
            same(y, live.predict({name: values[:number] for name, values in own.items()}, level=[80]))
    for sizes in ((70,), (20, 1, 49)):
        again, first = None, 0
        for size in sizes:
            part = {name: values[first : first + size] for name, values in own.items()}
            y, again = live.run(part, again, level=[80])
            first += size
        same(y, live.predict(own, level=[80]))
        for mine, theirs in zip(again.nodes["rows"], state.nodes["rows"], strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("clock", ["grid", "dates"])
def test_keyed_streams_answer_alike_whatever_comes_together_and_after_a_restart(clock):
    live, columns = made("decay", clock)
    rows = records(columns)
    order = np.argsort(np.random.default_rng(0).random(len(rows)), kind="stable")
    rows = [rows[i] for i in sorted(order.tolist(), key=lambda i: columns["ds"][i])]
    whole = live.predict(columns)
    blobs = set()
    for size in (1, 7, 1000):
        streams, newest = Streams(live, None, Wanted()), {}
        for first in range(0, len(rows), size):
            part = rows[first : first + size]
            for answer in streams.feed(range(first + 1, first + 1 + len(part)), part):
                newest[answer["unique_id"]] = answer
            again = Streams(live, None, Wanted())
            again.restore(streams.to_bytes())
            streams = again
        found = [value for name in ("a", "b") for value in newest[name]["GRU"]]
        assert_bitwise_equal(np.array(found), whole["GRU"])
        blobs.add(streams.to_bytes())
    assert len(blobs) == 1
    if clock == "dates":
        assert newest["a"]["step"] == [1, 2, 3, 4, 5, 6]
        assert set(newest["a"]["ds"]) == {str(one(columns)["ds"][-1]).replace("T", " ").rstrip("0")}


def test_an_answer_at_uneven_times_names_the_last_row_and_counts_those_after_it():
    live, columns = made("indicators", "dates")
    answer = live.predict(columns)
    assert list(answer) == ["unique_id", "ds", "step", "GRU"]
    assert answer["step"].tolist() == [1, 2, 3, 4, 5, 6] * 2
    last = [one(columns, name)["ds"][-1] for name in ("a", "b")]
    np.testing.assert_array_equal(answer["ds"], np.repeat(np.array(last), 6))
    assert answer["ds"].dtype == np.dtype("M8[ns]")


def test_only_the_distance_of_rows_counts_not_when_they_are():
    live, columns = made("decay", "numbers")
    first = live.predict(columns)
    moved = live.predict({**columns, "ds": columns["ds"] + 12345})
    assert_bitwise_equal(moved["GRU"], first["GRU"])
    apart = live.predict({**columns, "ds": columns["ds"] * 3})
    assert (apart["GRU"] != first["GRU"]).all()
    ordered, columns = made("forward", "numbers")
    assert_bitwise_equal(
        ordered.predict({**columns, "ds": columns["ds"] * 3})["GRU"], ordered.predict(columns)["GRU"]
    )


@pytest.mark.parametrize("form", IRREGULAR_FORMS)
def test_windows_are_what_the_forms_say(form):
    """Against loops over one window, with a gap in time at its start."""
    panel = build_panel(one(gappy((40, 30))), PAST)
    live = random_forecaster(panel, irregular=form)
    features = live.features(panel)
    origins = np.array([5, 30])
    past = live.inputs(features, np.zeros(2, int), origins)["past"]
    names = list(live.model.step(Irregular).features())
    assert past.shape[2] == 2 + len(names) + live._preprocessor.layout.calendar
    step, tensors = live.model.step(Irregular), live._preprocessor._rows
    for window, origin in zip(past, origins):
        raw = np.full((12, 2), np.nan)
        raw[max(12 - origin, 0) :] = features.sparse[max(origin - 12, 0) : origin]
        np.testing.assert_array_equal(window[:, 1], np.arange(12) >= 12 - origin)
        for c, name in enumerate(step.columns):
            known = np.flatnonzero(~np.isnan(raw[:, c]))
            for t in range(12):
                seen = known[known <= t]
                held = raw[seen[-1], c] if len(seen) else raw[known[0], c]
                bounded = np.clip(held, tensors._low[c], tensors._high[c])
                value = window[t, 2 + c]
                if form in ("forward", "indicators"):
                    np.testing.assert_allclose(value, bounded, rtol=1e-6)
                else:
                    np.testing.assert_allclose(value, bounded if t in known else 0.0, rtol=1e-6)
                if c == 0:
                    np.testing.assert_allclose(window[t, 0], held, rtol=1e-6)
                if step.reads_times:
                    assert window[t, 2 + names.index(f"{name}?")] == (t in known)
                if form == "indicators":
                    before = known[known < t]
                    since = t - (before[-1] if len(before) else 0)
                    found = np.expm1(window[t, 2 + names.index(f"{name} since")]) * tensors._unit
                    np.testing.assert_allclose(found, since, rtol=1e-5, atol=1e-6)
        if form == "decay":
            gaps = window[:, 2 + names.index("gap")] * tensors._unit
            np.testing.assert_allclose(gaps, np.arange(12) > 0, rtol=1e-6)


def test_a_sensor_that_dies_is_forecast_on_and_counts_again_when_it_is_back():
    live, columns = made("decay")
    own = one(columns)
    state = live.init_state()
    dead = [{**row, "y": np.nan, "load": np.nan} for row in records(own)]
    for row in records(own)[:40]:
        _, state = live.step(row, state)
    last = own["ds"][39]
    for hour in range(1, 101):  # longer than all that the stream remembers
        y, state = live.step({**dead[0], "ds": last + hour * HOUR}, state)
        assert np.isfinite(y["GRU"]).all()
    silent = y["GRU"]
    for row, hour in zip(records(own)[40:], range(101, 200)):
        y, state = live.step({**row, "ds": last + hour * HOUR}, state)
    assert np.isfinite(y["GRU"]).all()
    assert (y["GRU"] != silent).all()
    same(y, live.predict({**{k: v[40:] for k, v in own.items()}, "ds": last + np.arange(101, 131) * HOUR}))


def test_a_clock_that_runs_backwards_stands_still_or_is_of_another_kind():
    live, columns = made("decay", "dates")
    row = {"unique_id": "a", "y": 1.0, "load": None, "state": None}
    _, state = live.step({**row, "ds": "2024-02-01 00:00:01"}, live.init_state())
    for when in ("2024-02-01 00:00:01", "2024-01-31"):
        with pytest.raises(DataError) as error:
            live.step({**row, "ds": when}, state)
        assert str(error.value) == (
            f"rows, row 0 (counting from 0), column 'ds': expected a later time than '2024-02-01 00:00:01', got {when!r}"
        )
    with pytest.raises(DataError, match="column 'ds': expected a date, got a whole number"):
        live.step({**row, "ds": 5}, live.init_state())
    with pytest.raises(DataError) as error:
        live.predict({**columns, "ds": np.arange(len(columns["y"]))})
    assert str(error.value) == "column 'ds': expected dates as in training, got whole numbers"
    twice = {name: np.concatenate((values[:1], values[:1])) for name, values in columns.items()}
    with pytest.raises(
        DataError, match=r"column 'ds': expected one row per time stamp for series 'a', got .* twice"
    ):
        live.predict({**twice, "y": np.array([1.0, 2.0])})


def test_rows_of_a_table_may_come_in_any_order():
    live, columns = made("decay", "dates")
    order = np.random.default_rng(3).permutation(len(columns["y"]))
    mixed = {name: values[order] for name, values in columns.items()}
    ours, theirs = live.predict(mixed), live.predict(columns)
    for name in ("a", "b"):
        assert_bitwise_equal(
            ours["GRU"][ours["unique_id"] == name], theirs["GRU"][theirs["unique_id"] == name]
        )
    panel = live.panel(mixed)
    assert any(note.startswith("rows were not in the order of time (first at row ") for note in panel.notes)


def test_a_covariate_that_was_never_observed_is_refused_and_one_that_is_missing_now_is_not():
    columns = gappy()
    with pytest.raises(DataError) as error:
        random_forecaster(
            build_panel({**columns, "load": np.full(len(columns["y"]), np.nan)}, PAST), irregular="decay"
        )
    assert str(error.value).startswith("column 'load': ")
    live, columns = made("decay")
    assert np.isfinite(live.predict({**columns, "load": np.full(len(columns["y"]), np.nan)})["GRU"]).all()


def test_states_survive_as_bytes_and_stamps_out_of_bounds_are_refused():
    live, columns = made("decay", "numbers")
    _, state = live.run(columns)
    again = State.from_bytes(state.to_bytes(), live)
    assert again.nodes["rows"][-1].tolist() == state.nodes["rows"][-1].tolist()
    bad = tuple(a.copy() for a in state.nodes["rows"])
    bad[-1][0, 0] = (1 << 63) - 1
    with pytest.raises((UsageError, ModelFolderError), match="must hold rows of this model"):
        State.from_bytes(State({"rows": bad}, live.digest).to_bytes(), live)


@pytest.mark.parametrize("form", IRREGULAR_FORMS)
def test_c_code_refuses_what_it_does_not_prepare(form, tmp_path):
    model, tensors = random_model(build_panel(gappy(), PAST), irregular=form)
    with pytest.raises(UnsupportedError, match="C code does not prepare irregular series yet"):
        export_c(model, tensors, tmp_path / "c")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("step", "task", "sentence"),
    [
        ({"columns": ("y",)}, {}, "forecast: the irregular columns must be ('y', 'load'), got ('y',)"),
        (
            {"clock": "dates"},
            {},
            "forecast: the irregular clock must be of dates or numbers where rows are uneven and",
        ),
        (
            {},
            {"uneven": True},
            "forecast: the irregular clock must be of dates or numbers where rows are uneven and",
        ),
    ],
)
def test_hostile_specs_are_refused(step, task, sentence):
    panel = build_panel(gappy(), PAST)
    model, tensors = random_model(panel, irregular="decay")
    steps = tuple(
        msgspec.structs.replace(s, **step) if isinstance(s, Irregular) else s for s in model.preprocess
    )
    changed = msgspec.structs.replace(model.task, **task)
    with pytest.raises(SpecError) as error:
        LiveForecaster(msgspec.structs.replace(model, task=changed, preprocess=steps), tensors)
    assert sentence in str(error.value)


def test_uneven_rows_need_an_irregular_step_and_scales_above_zero():
    panel = build_panel(gappy(), PAST)
    model, tensors = random_model(panel)
    with pytest.raises(SpecError, match="forecast: rows at uneven times need an irregular step"):
        LiveForecaster(
            msgspec.structs.replace(model, task=msgspec.structs.replace(model.task, uneven=True)), tensors
        )
    model, tensors = random_model(panel, irregular="decay")
    with pytest.raises(SpecError, match=r"preprocess\.irregular\.gap_scale must be above zero"):
        LiveForecaster(model, {**tensors, "preprocess.irregular.gap_scale": np.zeros(1)})


def test_one_series_without_an_id_at_uneven_times():
    columns = {name: one(gappy(clock="dates"))[name] for name in ("ds", "y")}
    live = random_forecaster(build_panel(columns, Roles("y", None, "ds"), uneven=True), irregular="decay")
    y, _ = live.run(columns)
    same(y, live.predict(columns))
    assert list(y) == ["ds", "step", "GRU"]
