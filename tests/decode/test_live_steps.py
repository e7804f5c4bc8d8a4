"""A causal classifier fed step by step answers, to the bit, what predict answers for all steps so far."""

import msgspec
import numpy as np
import pytest
from live_answers import records, same
from test_live_classifier import POOLS, table_of

from example_classifiers import classifier, events, series
from example_graphs import random_tensors
from grus.decode import LiveClassifier
from grus.errors import DataError, GrusError, ModelFolderError, UnsupportedError, UsageError
from grus.runtime import State
from grus.spec import Graph, Node, ops
from numerics import assert_bitwise_equal


def causal(kind, pool="max", time=None, **options):
    """A classifier as in `classifier`, reading forwards only."""
    model, tensors = classifier(kind, pool=POOLS[pool], **options)
    graph = model.parts["main"]
    nodes = [Node("gru", ops.GRU(6), node.inputs) if node.name == "gru" else node for node in graph.nodes]
    graph = Graph(graph.inputs, tuple(nodes), graph.outputs)
    kept = {name: value for name, value in tensors.items() if not name.startswith("main.")}
    weights = {f"main.{name}": value for name, value in random_tensors(graph).items()}
    task = msgspec.structs.replace(model.task, time=time)
    return LiveClassifier(msgspec.structs.replace(model, parts={"main": graph}, task=task), kept | weights)


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("kind", ["series", "events"])
def test_every_row_is_answered_as_by_predict(kind, pool, multi):
    live = causal(kind, pool, multi=multi)
    table = table_of(series() if kind == "series" else events())
    longest = max(set(table["id"].tolist()), key=table["id"].tolist().count)
    own = {name: values[table["id"] == longest] for name, values in table.items() if name != "kind"}
    state = live.init_state()
    for number, row in enumerate(records(own), 1):
        y, state = live.step(row, state, proba=True)
        same(y, live.predict({name: values[:number] for name, values in own.items()}, proba=True))
    assert number > 8


def test_rows_of_one_time_are_one_visit():
    live = causal("events", time="day")
    rng = np.random.default_rng(3)
    days = np.cumsum(rng.integers(0, 2, 40)) * np.timedelta64(1, "D") + np.datetime64("2024-01-30")
    table = {
        "id": np.full(40, "p", object),
        "day": days.astype("M8[ns]"),
        "code": rng.choice(np.array(["I10", "E11", "J45", "F32", "unheard of", None], object), 40),
    }
    state = live.init_state()
    for number, row in enumerate(records(table), 1):
        y, state = live.step(row, state, proba=True)
        same(y, live.predict({name: values[:number] for name, values in table.items()}, proba=True))
    with pytest.raises(DataError, match="column 'day': expected a time not before '2024-02-"):
        live.step({"id": "p", "day": "2023-01-01", "code": "I10"}, state)


def test_rows_must_come_in_the_order_of_time():
    live = causal("series", time="t")
    state = live.init_state()
    for t in (1, 2, 5):
        _, state = live.step({"id": 1, "t": t, "a": 1.0, "b": None, "c": 0.5}, state)
    with pytest.raises(DataError, match="column 't': expected a later time than '5', got '5'"):
        live.step({"id": 1, "t": 5, "a": 1.0, "b": None, "c": 0.5}, state)
    with pytest.raises(DataError, match="column 't': expected a whole number, got a date"):
        live.step({"id": 1, "t": "2024-01-01", "a": 1.0, "b": None, "c": 0.5}, state)
    with pytest.raises(DataError, match="expected the id that the stream began with, got '2'"):
        live.step({"id": 2, "t": 6, "a": 1.0, "b": None, "c": 0.5}, state)


def test_arrays_are_rows_without_names():
    live, examples = causal("series", "attention"), series()
    table = table_of(examples)
    whole = live.predict_proba(examples)
    rng = np.random.default_rng(0)
    lengths = np.diff(examples.offsets)
    x = np.full((len(lengths), 20, 3), np.nan)
    for i, (first, last) in enumerate(zip(examples.offsets[:-1], examples.offsets[1:])):
        x[i, : last - first] = examples.series[first:last]
    y, after = live.run(x, lengths=lengths, proba=True)
    assert_bitwise_equal(np.stack([y[f"p_{label}"] for label in live.task.labels], 1), whole)
    state, first = None, 0
    for size in (3, 0, 1, 9, 7):
        part = x[:, first : first + size]
        y, state = live.run(part, state, lengths=np.clip(lengths - first, 0, size), proba=True)
        first += size
    assert_bitwise_equal(np.stack([y[f"p_{label}"] for label in live.task.labels], 1), whole)
    assert state.to_bytes() == after.to_bytes()
    fed, _ = live.run({name: values for name, values in table.items() if name != "kind"}, proba=True)
    filled = np.flatnonzero(lengths)
    assert_bitwise_equal(np.stack([fed[f"p_{label}"] for label in live.task.labels], 1), whole[filled])
    one, _ = live.step(x[0, 0], live.init_state())
    many, _ = live.step(x[:, 0], live.init_state(len(x)))
    assert one["probability"][0] == many["probability"][0]
    order = rng.permutation(len(x))
    shuffled, _ = live.step(x[order, 0], live.init_state(len(x)))
    assert_bitwise_equal(shuffled["probability"], many["probability"][order])


def test_a_stream_remembers_more_than_predict_reads():
    live = causal("series", max_length=5)
    x = np.random.default_rng(0).normal(size=(1, 9, 3)) * [1.0, 1e6, 1e-6] + [5.0, 0.0, 1.0]
    assert_bitwise_equal(live.run(x[:, :5])[0]["probability"], live.predict(list(x[:, :5]))["probability"])
    again = causal("series", max_length=50).predict(list(x))
    assert_bitwise_equal(live.run(x)[0]["probability"], again["probability"])


def test_a_gap_and_a_value_out_of_range():
    live = causal("series")
    x = np.array([[[np.nan, 1e300, -1e300], [1.0, np.nan, np.nan], [np.nan, np.nan, 2.0]]])
    for steps in range(1, 4):
        part = x[:, :steps]
        assert_bitwise_equal(live.run(part)[0]["probability"], live.predict(list(part))["probability"])


@pytest.mark.parametrize("kind", ["word", "images"])
def test_whole_examples_do_not_stream(kind):
    live = causal(kind)
    with pytest.raises(UnsupportedError, match="reads whole examples, so it cannot run step by step"):
        live.init_state()


def test_a_bidirectional_model_does_not_stream():
    live = LiveClassifier(*classifier("series"))
    for call in (
        live.init_state,
        lambda: live.run(np.zeros((1, 2, 3))),
        lambda: live.step(np.zeros(3), State({})),
    ):
        with pytest.raises(UnsupportedError, match="node 'gru': GRU needs the whole sequence"):
            call()


@pytest.mark.parametrize(
    ("x", "error", "sentence"),
    [
        (np.zeros((2, 3)), DataError, "x: must have 1 streams like the state, got 2"),
        (np.zeros((1, 4)), DataError, "x: must be numbers [streams, steps, 3], got float64 [1, 1, 4]"),
        (np.zeros((1, 1, 1, 3)), DataError, "x: must be numbers [streams, steps, 3], got float64 [1, 1, 1, 1, 3]"),
        (np.full(3, "a"), DataError, "x: must be numbers [streams, steps, 3], got <U1 [1, 1, 3]"),
        (np.full(3, np.inf), DataError, "x: must be finite, or NaN for a gap, got infinity in it"),
        ({"id": 1, "a": 1}, DataError, "rows: no column 'b'; the columns are 'id', 'a'"),
        ([{"id": i, "a": 1, "b": 1, "c": 1} for i in (1, 2)], DataError, "must be one for each of 1 streams, got 2"),
        ({"id": 1, "a": "x", "b": 1, "c": 1}, DataError, "column 'a': expected a number, got 'x'"),
        (7, UsageError, "rows: must be columns, records or a data frame, got int"),
    ],
)  # fmt: skip
def test_steps_that_do_not_fit(x, error, sentence):
    live = causal("series")
    state = live.init_state()
    before = state.to_bytes()
    with pytest.raises(error) as caught:
        live.step(x, state)
    assert sentence in str(caught.value)
    assert state.to_bytes() == before


def test_what_else_is_refused():
    live = causal("series")
    with pytest.raises(UsageError, match="run: lengths are for arrays"):
        live.run([{"id": 1, "a": 1, "b": 1, "c": 1}], lengths=[1])
    with pytest.raises(DataError, match="lengths of clock 'src': must be from 0 to 2, got 3 to 3"):
        live.run(np.zeros((1, 2, 3)), lengths=[3])
    with pytest.raises(UsageError, match="x: must be rows with a code each, got an array"):
        causal("events").run(np.zeros((1, 2, 3)))


@pytest.mark.parametrize("kind", ["series", "events"])
def test_bytes_of_a_live_state(kind):
    live = causal(kind, "attention")
    table = table_of(series() if kind == "series" else events())
    rows = {name: values for name, values in table.items() if name != "kind"}
    _, state = live.run(rows)
    back = State.from_bytes(state.to_bytes(), live)
    assert back.to_bytes() == state.to_bytes()
    with pytest.raises(ModelFolderError, match="belongs to another model"):
        State.from_bytes(state.to_bytes(), causal(kind, "max"))
    place = state.nodes["input"]
    bad = (place[0], place[1] - 100, *place[2:])
    with pytest.raises(ModelFolderError, match="model: state must count from zero"):
        State.from_bytes(State({**state.nodes, "input": bad}, state.owner).to_bytes(), live)
    with pytest.raises(UsageError, match="state must be of this graph"):
        live.run(rows, State({}))
    blob = bytearray(state.to_bytes())
    rng = np.random.default_rng(0)
    for _ in range(300):
        spoilt = blob.copy()
        spoilt[rng.integers(len(blob))] ^= 1 << int(rng.integers(8))
        with pytest.raises(GrusError):
            State.from_bytes(bytes(spoilt), live)


def test_a_reset_stream_begins_again():
    live = causal("series", "mean")
    x = np.random.default_rng(0).normal(size=(3, 4, 3)) * [1.0, 1e6, 1e-6] + [5.0, 0.0, 1.0]
    _, state = live.run(x)
    y, _ = live.step(x[:, 0], live.reset(state, [0, 2]))
    fresh, _ = live.step(x[:, 0], live.init_state(3))
    assert (y["probability"] == fresh["probability"]).tolist() == [True, False, True]
