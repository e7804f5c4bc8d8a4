"""A detector of irregular rows scores live, to the bit, as predict does, and bears with sensors that fall silent."""

import msgspec
import numpy as np
import pytest
import torch
from live_answers import records, same

from example_detectors import COLUMNS, detector, rows
from graph_oracle import run
from grus.decode import LiveDetector
from grus.decode.streaming.keyed import Streams, Wanted
from grus.errors import DataError, SpecError
from grus.export.features import feature_names
from grus.models import GraphModule
from grus.preprocess.detect import DetectPreprocessor
from grus.runtime import Program, State
from grus.spec import Detect, Irregular
from grus.spec.steps import IRREGULAR_FORMS
from numerics import assert_bitwise_equal, assert_close_to_oracle, to_numpy


def uneven(n=120, ids=("a", "b"), numbers=False, gaps=0.4):
    """Rows of which two fifths are missing, minutes to days apart."""
    table = rows(n, ids, gaps=gaps)
    apart = np.random.default_rng(5).integers(1, 3 * 86_400, n).cumsum()
    when = np.repeat(apart, len(ids))  # rows are mixed, one of each id at a time
    table["time"] = (
        when if numbers else np.datetime64("2026-01-01", "ns") + when * np.timedelta64(10**9, "ns")
    )
    return table


def made(form, **options):
    return LiveDetector(*detector(irregular=form, **options))


def own(table, name="a"):
    return {key: values[table["id"] == name] for key, values in table.items() if key != "anomaly"}


@pytest.mark.parametrize("clock", ["dates", "numbers", "steps"])
@pytest.mark.parametrize("form", IRREGULAR_FORMS)
def test_every_row_is_scored_as_by_predict_in_chunks_of_any_size(form, clock):
    table = uneven(numbers=clock == "numbers")
    live = made(form, table=table, time=clock != "steps")
    if clock == "steps":
        del table["time"]
    columns = own(table)
    whole = live.predict(columns, detail=True)
    for sizes in ((1,) * 20, (3, 50, 1, 66)):
        state, first = None, 0
        for size in sizes:
            part = {name: values[first : first + size] for name, values in columns.items()}
            y, state = live.run(part, state, detail=True)
            same(y, {name: values[first : first + size] for name, values in whole.items()})
            first += size
    state, last = live.init_state(), None
    for number, row in enumerate(records(columns)):
        y, state = live.step(row, state, detail=True)
        last = State.from_bytes(state.to_bytes(), live) if number == 30 else last
        same(y, {name: values[number : number + 1] for name, values in whole.items()})
    y, _ = live.run({name: values[31:] for name, values in columns.items()}, last, detail=True)
    same(y, {name: values[31:] for name, values in whole.items()})


@pytest.mark.parametrize("form", ["indicators", "decay"])
def test_keyed_streams_answer_alike_after_a_restart(form):
    table = uneven()
    live = made(form, table=table)
    del table["anomaly"]
    whole, lines = live.predict(table), records(table)
    blobs = set()
    for size in (1, 9, 1000):
        streams, found = Streams(live, None, Wanted()), []
        for first in range(0, len(lines), size):
            part = lines[first : first + size]
            found += list(streams.feed(range(first + 1, first + 1 + len(part)), part))
            again = Streams(live, None, Wanted())
            again.restore(streams.to_bytes())
            streams = again
        assert_bitwise_equal(np.array([answer["score"] for answer in found]), whole["score"])
        blobs.add(streams.to_bytes())
    assert len(blobs) == 1


@pytest.mark.parametrize("form", IRREGULAR_FORMS)
def test_inputs_are_what_was_known_before_each_row(form):
    """Against loops over the rows of one series."""
    table = uneven(40)
    model, tensors = detector(irregular=form, table=table)
    pre = DetectPreprocessor(model.task_as(Detect), model.preprocess, tensors)
    found = LiveDetector(model, tensors).records({k: v for k, v in table.items() if k != "anomaly"})
    x, values = pre.series_inputs(found, 0)
    names, unit = feature_names(model)["x"], tensors["preprocess.irregular.gap_scale"][0] * 86_400e9
    assert len(names) == x.shape[1]
    stamps, low, high = (
        found.stamps[found.rows(0)].astype(float), tensors["preprocess.irregular.low"], tensors["preprocess.irregular.high"],
    )  # fmt: skip
    for t, row in enumerate(x):
        for c, name in enumerate(COLUMNS):
            known = np.flatnonzero(~np.isnan(values[:t, c]))
            there = t > 0 and t - 1 in known
            last = values[known[-1], c] if len(known) else 0.0
            held = form in ("forward", "indicators")
            value = np.clip(last, low[c], high[c]) if there or (held and len(known)) else 0.0
            np.testing.assert_allclose(row[names.index(f"{name} before")], value, rtol=1e-6)
            if form == "decay":
                np.testing.assert_allclose(row[names.index(f"{name} last")], np.clip(last, -6, 6), rtol=1e-6)
            if form in ("indicators", "decay"):
                assert row[names.index(f"{name}? before")] == there
            if form == "indicators" and t:
                seen = known[known < t - 1]
                since = (stamps[t - 1] - stamps[seen[-1] if len(seen) else 0]) / unit
                wanted = min(np.log1p(since), 6)
                np.testing.assert_allclose(row[names.index(f"{name} since before")], wanted, rtol=1e-5)
        if form in ("indicators", "decay"):
            ahead = np.log1p((stamps[t] - stamps[max(t - 1, 0)]) / unit)
            np.testing.assert_allclose(row[names.index("ahead")], min(ahead, 6), rtol=1e-5)
        if form == "decay":
            gap = (stamps[t - 1] - stamps[t - 2]) / unit if t > 1 else 0.0
            np.testing.assert_allclose(row[names.index("gap before")], gap, rtol=1e-5)
            assert row[names.index("row")] == (t > 0)


@pytest.mark.parametrize("form", ["indicators", "decay"])
def test_torch_and_the_runtime_are_the_oracle(form):
    table = uneven(60)
    model, tensors = detector(irregular=form, table=table)
    pre = DetectPreprocessor(model.task_as(Detect), model.preprocess, tensors)
    found = LiveDetector(model, tensors).records({k: v for k, v in table.items() if k != "anomaly"})
    x = np.stack([pre.series_inputs(found, i)[0] for i in range(2)])
    graph = model.parts["main"]
    weights = {k.removeprefix("main."): v for k, v in tensors.items() if k.startswith("main.")}
    wide, narrow = (run(graph, weights, {"x": x}, None, kind)["mean"] for kind in (np.float64, np.float32))
    module = GraphModule(graph).eval()
    module.load_tensors(weights)
    with torch.no_grad():
        theirs = module({"x": torch.from_numpy(x)})["mean"]
    assert_close_to_oracle(to_numpy(theirs), wide, narrow, "torch")
    assert_close_to_oracle(Program(graph, weights)({"x": x})["mean"], wide, narrow, "runtime")


@pytest.mark.parametrize("form", IRREGULAR_FORMS)
def test_silence_changes_no_score_raises_no_alarm_and_ends(form):
    table = own(uneven(400, ("a", "b")))
    live = made(form, table=uneven(400, ("a", "b")))
    silent = {name: values.copy() for name, values in table.items()}
    for name in COLUMNS:
        silent[name][100:300] = np.nan
    found = live.predict(silent, detail=True)
    quiet = slice(100, 300)
    assert (found["score"][quiet] == 0).all()
    assert (found["alarm"][quiet] == 0).all()
    assert set(found["column"][quiet]) == {""}
    assert np.isfinite(found["expected_temp"]).all()
    _, before = live.run({name: values[:100] for name, values in silent.items()})
    _, after = live.run({name: values[100:300] for name, values in silent.items()}, before)
    for one, other in zip(before.nodes["errors"], after.nodes["errors"], strict=True):
        assert_bitwise_equal(other, one)
    assert (found["score"][300:] > 0).any()
    np.testing.assert_array_equal(np.isfinite(found["score"]), True)


def test_a_column_that_died_is_scored_no_more_and_the_others_are():
    table = own(uneven(300))
    live = made("decay", table=uneven(300))
    dead = {**table, "flow": np.full(300, np.nan)}
    found = live.predict(dead, detail=True)
    assert (found["score_flow"] == 0).all()
    assert (found["score_temp"] > 0).any()


def test_a_clock_that_runs_backwards_or_is_of_another_kind():
    live = made("decay", table=uneven())
    row = {"id": "a", "temp": 20.0, "flow": None}
    _, state = live.step({**row, "time": "2026-02-01"}, live.init_state())
    before = state.to_bytes()
    for when in ("2026-02-01", "2026-01-31"):
        with pytest.raises(
            DataError, match=f"column 'time': expected a later time than '2026-02-01', got '{when}'"
        ):
            live.step({**row, "time": when}, state)
    assert state.to_bytes() == before
    with pytest.raises(DataError, match="column 'time': expected a date, got a whole number"):
        live.step({**row, "time": 7}, live.init_state())
    counted = made("decay", table=uneven(numbers=True))
    with pytest.raises(DataError) as error:
        counted.predict(own(uneven()))
    assert str(error.value) == "rows, column 'time': expected whole numbers as in training, got dates"
    assert made("forward", table=uneven(numbers=True)).predict(own(uneven(numbers=True)))["score"].shape == (
        120,
    )


def test_hostile_specs_and_states_are_refused():
    table = uneven()
    model, tensors = detector(irregular="decay", table=table)

    def changed(**fields):
        steps = tuple(
            msgspec.structs.replace(s, **fields) if isinstance(s, Irregular) else s for s in model.preprocess
        )
        return msgspec.structs.replace(model, preprocess=steps)

    with pytest.raises(SpecError, match="detect: the irregular columns must be those of the task"):
        LiveDetector(changed(columns=("flow", "temp")), tensors)
    with pytest.raises(SpecError, match="detect: the irregular clock must be of dates or numbers"):
        LiveDetector(changed(clock="steps"), tensors)
    with pytest.raises(SpecError, match="gap_scale must be above zero"):
        LiveDetector(model, {**tensors, "preprocess.irregular.gap_scale": np.zeros(1)})
    live = LiveDetector(model, tensors)
    _, state = live.run(own(table))
    for value in (np.nan, np.inf):
        arrays = [a.copy() for a in state.nodes["input"]]
        arrays[7][0, 0] = value  # what was made of the newest row
        bad = State({**state.nodes, "input": tuple(arrays)}, "another")
        with pytest.raises(Exception, match="state must hold finite numbers"):
            live.step(records(own(table))[0], bad)
