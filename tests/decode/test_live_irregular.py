"""A classifier of irregular series fed row by row answers, to the bit, what predict answers for all rows so far."""

import msgspec
import numpy as np
import pytest
from live_answers import records, same
from test_live_classifier import POOLS, table_of

import grus
from example_classifiers import classifier
from example_graphs import random_tensors
from grus.artifact import save_model
from grus.decode import LiveClassifier
from grus.decode.streaming.keyed import Streams, Wanted
from grus.errors import DataError, UnsupportedError, UsageError
from grus.export import export_c
from grus.preprocess.classify import StepOptions, fit_classify_steps
from grus.preprocess.examples import Examples
from grus.runtime import State
from grus.spec import Classify, Graph, Model, Node, ops
from grus.spec.steps import IRREGULAR_FORMS
from numerics import assert_bitwise_equal

DAY = np.timedelta64(1, "D")


def stays(clock="numbers", rows=12):
    """Stays of 1 to 14 rows at uneven times in which most values are missing; of one, all are."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 15, rows)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    values = rng.normal(size=(offsets[-1], 3)) * [1.0, 1e4, 1e-4] + [5.0, 0.0, 1.0]
    values[rng.random(values.shape) < 0.6] = np.nan
    values[offsets[1] : offsets[2]] = np.nan
    times = np.concatenate([rng.integers(-50, 50) + np.cumsum(rng.integers(1, 90, n)) for n in lengths])
    found = {"numbers": times, "dates": np.datetime64("1969-12-01", "ns") + times * DAY, "steps": None}[clock]
    return Examples(
        "series", rows, ("a", "b", "c"), np.arange(rows) * 7, offsets=offsets, series=values, times=found,
        labels=[(("no", "yes")[i % 2],) for i in range(rows)],
    )  # fmt: skip


def made(form, clock="numbers", pool="max"):
    """A model of one direction, its weights random."""
    examples = stays(clock)
    steps, arrays = fit_classify_steps(examples, StepOptions(irregular=form))
    task = Classify(
        "series", ("no", "yes"), examples.columns, 50, label="died", id="id", time=None if clock == "steps" else "t"
    )  # fmt: skip
    nodes = (
        Node("gru", ops.GRU(6), ("x",)),
        Node("pool", POOLS[pool], ("gru",)),
        Node("logits", ops.Linear(2), ("pool",)),
    )
    graph = Graph((task.port(steps),), nodes, {"logits": "logits"})
    weights = {f"main.{name}": value for name, value in random_tensors(graph).items()}
    numbers = {"task.temperature": np.array([1.5]), "task.prior": np.array([0.2, 0.8])}
    return Model(1, task, steps, {"main": graph}), arrays | weights | numbers


def table(examples):
    """The same as columns."""
    found = table_of(examples)
    del found["kind"]
    return found if examples.times is None else {**found, "t": examples.times}


@pytest.mark.parametrize("clock", ["numbers", "dates", "steps"])
@pytest.mark.parametrize("form", IRREGULAR_FORMS)
def test_every_row_is_answered_as_by_predict(form, clock):
    live, columns = LiveClassifier(*made(form, clock, "attention")), table(stays(clock))
    for who in (0, 7, 21):
        own = {name: values[columns["id"] == who] for name, values in columns.items()}
        state = live.init_state()
        for number, row in enumerate(records(own), 1):
            y, state = live.step(row, state, proba=True)
            same(y, live.predict({name: values[:number] for name, values in own.items()}, proba=True))


@pytest.mark.parametrize("form", IRREGULAR_FORMS)
def test_streams_answer_as_predict_whatever_comes_together_and_after_a_restart(form):
    examples = stays()
    columns = table(examples)
    rows = [{**row, "id": str(row["id"])} for row in records(columns)]
    order = np.argsort(columns["t"], kind="stable")
    rows = [rows[i] for i in order]
    live = LiveClassifier(*made(form))
    whole = {str(name): p for name, p in zip(examples.ids, live.predict_proba(examples))}
    blobs = set()
    for sizes in (1, 5, 1000):
        streams, newest = Streams(live, None, Wanted(proba=True)), {}
        for first in range(0, len(rows), sizes):
            part = rows[first : first + sizes]
            for answer in streams.feed(range(first + 1, first + 1 + len(part)), part):
                newest[answer["id"]] = [answer["p_no"], answer["p_yes"]]
            again = Streams(live, None, Wanted(proba=True))
            again.restore(streams.to_bytes())
            streams = again
        assert newest == {name: p.tolist() for name, p in whole.items()}
        blobs.add(streams.to_bytes())
    assert len(blobs) == 1


@pytest.mark.parametrize("form", IRREGULAR_FORMS)
def test_arrays_are_rows_without_names_where_there_are_no_times(form):
    live, examples = LiveClassifier(*made(form, "steps")), stays("steps")
    lengths = np.diff(examples.offsets)
    x = np.full((len(lengths), 14, 3), np.nan)
    for i, (first, last) in enumerate(zip(examples.offsets[:-1], examples.offsets[1:])):
        x[i, : last - first] = examples.series[first:last]
    whole = live.predict_proba(examples)
    state, first = None, 0
    for size in (3, 0, 1, 10):
        part = x[:, first : first + size]
        y, state = live.run(part, state, lengths=np.clip(lengths - first, 0, size), proba=True)
        first += size
    assert_bitwise_equal(np.stack([y["p_no"], y["p_yes"]], 1), whole)
    assert_bitwise_equal(State.from_bytes(state.to_bytes(), live).nodes["input"][1], state.nodes["input"][1])


def test_arrays_lack_the_times_that_a_model_reads():
    live = LiveClassifier(*made("decay"))
    with pytest.raises(UsageError) as error:
        live.step(np.zeros(3), live.init_state())
    assert str(error.value) == (
        "x: must be rows with the column 't', as the model reads the time between them, got an array"
    )
    with pytest.raises(DataError) as error:
        live.predict([np.zeros((4, 3))])
    assert str(error.value) == "column 't': expected whole numbers as in training, got rows without times"
    live = LiveClassifier(*made("forward"))
    assert live.predict([np.zeros((4, 3))])["died"].shape == (1,)


def test_a_clock_that_runs_backwards_or_is_of_another_kind():
    live = LiveClassifier(*made("decay", "dates"))
    row = {"id": 1, "a": 1.0, "b": None, "c": None}
    with pytest.raises(DataError, match="column 't': expected a date, got a whole number"):
        live.step({**row, "t": 5}, live.init_state())
    _, state = live.step({**row, "t": "2024-02-01"}, live.init_state())
    before = state.to_bytes()
    for stamp in ("2024-02-01", "2024-01-31"):
        with pytest.raises(DataError, match="column 't': expected a later time than '2024-02-01'"):
            live.step({**row, "t": stamp}, state)
    assert state.to_bytes() == before
    with pytest.raises(DataError, match="column 't': expected dates as in training, got whole numbers"):
        live.predict({"id": [1], "t": [3], "a": [1.0], "b": [None], "c": [2.0]})
    with pytest.raises(DataError, match="column 't': expected times of '1' that differ, got one twice"):
        live.predict(
            {"id": [1, 1], "t": ["2024-02-01"] * 2, "a": [1.0, 2.0], "b": [None, 1.0], "c": [2.0, 1.0]}
        )


def test_rows_of_a_table_may_come_in_any_order():
    live, columns = LiveClassifier(*made("decay")), table(stays())
    order = np.random.default_rng(0).permutation(len(columns["id"]))
    found = live.predict({name: values[order] for name, values in columns.items()}, proba=True)
    expected = live.predict(columns, proba=True)
    place = np.argsort(found["id"])
    assert_bitwise_equal(found["p_yes"][place], expected["p_yes"])


@pytest.mark.parametrize("form", IRREGULAR_FORMS)
def test_a_stay_without_any_row_is_answered_by_the_bias(form):
    model, tensors = made(form)
    none = Examples(
        "series",
        1,
        ("a", "b", "c"),
        offsets=np.array([0, 0]),
        series=np.empty((0, 3)),
        times=np.empty(0, np.int64),
    )
    logits = tensors["main.logits.bias"] / 1.5
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(LiveClassifier(model, tensors).predict_proba(none)[0], expected, rtol=1e-6)


def test_a_folder_is_the_same_model(tmp_path):
    model, tensors = made("indicators", "dates")
    save_model(tmp_path / "model", model, tensors)
    again, examples = grus.load(tmp_path / "model"), stays("dates")
    assert_bitwise_equal(
        again.predict_proba(examples), LiveClassifier(model, tensors).predict_proba(examples)
    )


def test_a_state_may_hold_times_before_1970_and_no_infinity():
    live = LiveClassifier(*made("indicators", "dates"))
    _, state = live.step({"id": 1, "t": "1950-01-01", "a": 1.0, "b": None, "c": None}, live.init_state())
    assert State.from_bytes(state.to_bytes(), live).to_bytes() == state.to_bytes()
    stamp, count, name, value, at = state.nodes["input"]
    assert at.tolist() == [[stamp[0]] * 3]
    assert stamp[0] < 0
    late = State({**state.nodes, "input": (stamp, count, name, value, at + (1 << 62))}, "")
    y, _ = live.step({"id": 1, "t": "1951-01-01", "a": None, "b": None, "c": None}, late)
    assert np.isfinite(y["probability"]).all()
    bad = State({**state.nodes, "input": (stamp, count, name, value * np.inf, at)}, "")
    with pytest.raises(UsageError, match="model: state must hold finite numbers"):
        live.check_state(bad)


def test_c_code_is_refused(tmp_path):
    with pytest.raises(UnsupportedError) as error:
        export_c(*classifier("irregular"), tmp_path / "c")
    assert (
        str(error.value) == "model: C code does not prepare irregular series yet (irregular was given to fit)"
    )
    assert not (tmp_path / "c").exists()


def test_a_clock_without_its_column_is_refused():
    model, _ = made("decay")
    with pytest.raises(
        grus.errors.SpecError, match="a clock must be of dates or numbers where a time column is read"
    ):
        msgspec.structs.replace(model, task=msgspec.structs.replace(model.task, time=None))
