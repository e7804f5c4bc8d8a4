"""A live detector: the same scores whole, in any chunks and row by row, with whatever gaps, and from its bytes."""

import numpy as np
import pytest
from live_answers import records, same

import grus
import torch_free
from example_detectors import COLUMNS, detector, rows
from grus.artifact import save_model
from grus.decode import LiveDetector
from grus.decode.streaming.detector import WARM_UP
from grus.decode.streaming.keyed import Streams, Wanted
from grus.errors import DataError, ModelFolderError, UsageError
from grus.runtime.state import State
from numerics import assert_bitwise_equal

KINDS = {
    "two-series": {},
    "one-series": {"ids": False},
    "no-clock": {"ids": False, "time": False},
    "no-gaps": {"gaps": 0.0},
    "lstm": {"cell": "lstm", "layers": 2},
    "rnn": {"cell": "rnn"},
    "loud": {"quiet": 0},
    "frozen": {"memory": 0},
    "one-column": {"columns": ("flow",)},
    "levels": {"level": True},
    "together": {"level": True, "joint": True, "memory": 0},
}


def live(**options):
    return LiveDetector(*detector(**options))


def table(ids=True, **_):
    found = rows(n=120, seed=5)
    del found["anomaly"]
    found["flow"][40:44] = 1e6
    return found if ids else {name: values[found["id"] == "a"] for name, values in found.items()}


def part(columns, some):
    return {name: values[some] for name, values in columns.items()}


def joined(parts):
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_and_steps_are_the_whole(kind):
    model, given = live(**KINDS[kind]), table(**KINDS[kind])
    whole = model.predict(given, detail=True)
    assert len(whole["score"]) == len(given["time"])
    n = len(given["time"])
    for cuts in ([1, 2, 9, 10, 60], [WARM_UP * 2, n - 1], [n // 2]):
        state, parts = model.init_state(2 if "id" in whole else 1), []
        for first, last in zip([0, *cuts], [*cuts, n]):
            answer, state = model.run(part(given, slice(first, last)), state, detail=True)
            parts.append(answer)
        same(joined(parts), whole)
    state, parts = model.init_state(1), []
    own = np.arange(n) if "id" not in whole else np.flatnonzero(given["id"] == "b")
    for row in own[:60].tolist():
        answer, state = model.step({name: values[row] for name, values in given.items()}, state, detail=True)
        parts.append(answer)
    same(joined(parts), part(whole, own[:60]))


def test_rows_of_streams_answered_together_have_the_bits_of_each_alone():
    model, given = live(), table()
    both = model.predict(given)
    for name in ("a", "b"):
        own = given["id"] == name
        same(model.predict(part(given, own)), part(both, own))


@pytest.mark.parametrize("size", [1, 3, 512])
def test_keyed_streams_answer_what_predict_says(size):
    model, given = live(), table()
    whole = records(model.predict(given, detail=True))
    streams, found = Streams(model, wanted=Wanted(detail=True)), []
    plain = [{k: (None if v != v else v) for k, v in row.items()} for row in records(given)]
    for row in plain:
        row["time"] = str(row["time"])[:19]
    for first in range(0, len(plain), size):
        found += streams.feed(
            range(first + 1, first + 1 + len(plain[first : first + size])), plain[first : first + size]
        )
        if first == size * 7:
            blob = streams.to_bytes()
            streams = Streams(model, wanted=Wanted(detail=True))
            streams.restore(blob)
    assert [r["score"] for r in found] == [r["score"] for r in whole]
    assert [r["alarm"] for r in found] == [r["alarm"] for r in whole]
    assert [r["expected_flow"] for r in found] == [r["expected_flow"] for r in whole]
    assert set(found[0]) == {
        "seq", "id", "score", "alarm", "column", "score_temp", "score_flow", "expected_temp", "expected_flow",
    }  # fmt: skip


def test_a_state_is_a_value_that_goes_through_bytes():
    model, given = live(ids=False), table(ids=False)
    _, state = model.run(part(given, slice(0, 50)))
    blob = state.to_bytes()
    again = State.from_bytes(blob, model)
    rest = part(given, slice(50, None))
    one, after = model.run(rest, state)
    other, _ = model.run(rest, again)
    same(one, other)
    assert state.to_bytes() == blob
    blank, _ = model.run(rest, model.reset(after, 0))
    same(blank, model.predict(rest))
    with pytest.raises(ModelFolderError, match="belongs to another model"):
        State.from_bytes(blob, live(ids=False, quiet=7))


@pytest.mark.parametrize(
    ("node", "place", "value", "sentence"),
    [
        ("errors", 2, -1.0, "variances and counts of at least 0"),
        ("errors", 3, -1.0, "variances and counts of at least 0"),
        ("errors", 0, np.nan, "finite numbers"),
        ("errors", 5, np.inf, "finite numbers"),
        ("recent", 0, np.nan, "finite numbers"),
        ("input", 3, np.inf, "finite numbers"),
        ("input", 1, -1, "count from zero"),
    ],
)
def test_a_state_that_cannot_be(node, place, value, sentence):
    model = live(ids=False)
    state = model.init_state(1)
    state.nodes[node][place][...] = value
    with pytest.raises(UsageError, match=sentence):
        model.check_state(State(state.nodes))
    with pytest.raises(ModelFolderError, match="state: damaged"):
        State.from_bytes(state.to_bytes(), model)


def test_a_sensor_that_dies_and_comes_back():
    """Hours without any value: nothing is said of them, and the state is good for what comes after."""
    rng = np.random.default_rng(0)
    n = 1500
    whole = {"temp": rng.normal(size=n), "flow": rng.normal(size=n)}
    dead = {name: values.copy() for name, values in whole.items()}
    for values in dead.values():
        values[700:1000] = np.nan
    model = LiveDetector(*detector(ids=False, time=False, gaps=0.0, memory=8000))
    center, scale = model.preprocessor.center[0], model.preprocessor.scale[0]
    for c, name in enumerate(COLUMNS):
        whole[name], dead[name] = (t[name] * scale[c] + center[c] for t in (whole, dead))
    found, usual = model.predict(dead), model.predict(whole)
    assert not found["score"][700:1000].any()
    assert not found["alarm"][700:1000].any()
    assert np.isfinite(found["score"]).all()
    assert found["alarm"][1000:].sum() <= usual["alarm"][1000:].sum() + 1
    # The network forgets what it was; soon only the history of the errors differs.
    apart = np.abs(found["score"][1100:] - usual["score"][1100:])
    assert apart.mean() < 0.05


def test_one_absurd_value_does_not_blind_it():
    rng = np.random.default_rng(1)
    model = LiveDetector(*detector(ids=False, time=False, gaps=0.0, memory=8000, columns=("flow",)))
    values = rng.normal(size=3000) * model.preprocessor.scale[0] + model.preprocessor.center[0]
    values[1000] = 1e300
    values[2500:2510] += 12 * model.preprocessor.scale[0]
    found = model.predict({"flow": values})
    assert found["score"][1000] == found["score"].max()
    assert found["score"][2500:2510].max() > 0.6
    assert np.isfinite(found["score"]).all()


def test_alarms_wait_until_it_was_quiet():
    model, given = live(ids=False, quiet=10), table(ids=False)
    given["flow"][:] = 0.0
    given["flow"][[50, 55, 80]] = (1e4, 2e3, 3e6)
    found = model.predict(given)
    assert found["alarm"][50] == 1
    assert found["column"][50] == "flow"
    assert not found["alarm"][51:60].any()
    assert found["alarm"][80] == 1


@pytest.mark.parametrize("quiet", [1, 3, 40])
def test_an_event_raises_one_alarm_however_long_it_lasts_and_grows(quiet):
    model, given = live(ids=False, quiet=quiet), table(ids=False)
    given["flow"][:] = np.where(np.arange(120) % 50 < 30, 0.0, 10.0 ** (np.arange(120) % 50 / 6))
    found, events = model.predict(given), model.events(given)
    assert (found["score"] > model.threshold).sum() >= 20
    assert given["time"][found["alarm"] == 1].tolist() == events["start"].tolist()


def test_the_first_rows_are_taken_in_and_not_scored():
    found = live(ids=False).predict(table(ids=False))
    assert not found["score"][: WARM_UP - 1].any() or found["score"][:WARM_UP].max() < 1
    frozen = LiveDetector(*detector(ids=False, gaps=0.0))
    quiet = {"time": table(ids=False)["time"], "temp": np.full(120, 20.0), "flow": np.zeros(120)}
    assert not frozen.predict(quiet)["score"][:WARM_UP].any()


def test_answers_come_in_the_order_of_the_rows():
    model, given = live(), table()
    order = np.argsort(given["id"], kind="stable")
    same(part(model.predict(given), order), model.predict(part(given, order)))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.pop("flow"), "no column 'flow'; the columns are 'id', 'time', 'temp'"),
        (
            lambda t: t["time"].__setitem__(slice(20, 24), t["time"][:4]),
            "column 'time': expected a later time than '2026-01-01 09:00:00' (row 18 (counting from 0)), "
            "got '2026-01-01'",
        ),
        (
            lambda t: t["time"].__setitem__(slice(20, 22), t["time"][18:20]),
            "expected a later time than '2026-01-01 09:00:00' (row 18 (counting from 0)), got '2026-01-01 09:00:00'",
        ),
        (lambda t: t.__setitem__("time", np.arange(240)), "expected dates as in training, got whole numbers"),
        (lambda t: t.__setitem__("temp", np.full(240, "x")), "row 0 (counting from 0), column 'temp': expected a number"),
        (lambda t: t["temp"].__setitem__(7, np.inf), "row 7 (counting from 0), column 'temp': expected a finite number"),
        (lambda t: t["id"].__setitem__(3, None), "column 'id': expected the name of a series, got an empty cell"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit(change, sentence):
    given = table()
    change(given)
    with pytest.raises(DataError) as caught:
        live().predict(given)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"time": "2026-01-01 05:00"}, "column 'time': expected a later time than '2026-01-05 23:00:00'"),
        ({"time": "yesterday"}, "column 'time': expected a date"),
        ({"temp": "hot"}, "column 'temp': expected a number, got 'hot'"),
        ({"id": "b"}, "column 'id': expected the id that the stream began with, got 'b'"),
    ],
)
def test_a_live_row_that_does_not_fit_leaves_the_state_as_it_was(row, sentence):
    model, given = live(), part(table(), table()["id"] == "a")
    _, state = model.run(given)
    before = state.to_bytes()
    good = {"id": "a", "time": "2026-02-01 00:00", "temp": 20.0, "flow": 1.0}
    with pytest.raises(DataError) as caught:
        model.step(good | row, state)
    assert sentence in str(caught.value)
    assert state.to_bytes() == before
    model.step(good, state)


def test_keyed_streams_answer_bad_rows_by_errors_and_go_on():
    streams = Streams(live())
    good = {"id": "a", "time": "2026-02-01 00:00", "temp": 20.0, "flow": 1.0}
    lines = [
        good,
        good,
        good | {"time": "2026-02-01 01:00", "flow": "?"},
        good | {"time": "2026-02-01 02:00"},
    ]
    found = streams.feed([1, 2, 3, 4], lines)
    assert ["error" in row for row in found] == [False, True, True, False]
    assert "expected a later time than '2026-02-01'" in found[1]["error"]
    alone, _ = live().run([lines[0], lines[3]])
    assert [found[0]["score"], found[3]["score"]] == alone["score"].tolist()


def test_a_saved_detector_needs_no_torch(tmp_path):
    model, tensors = detector()
    save_model(tmp_path / "m", model, tensors)
    given = table()
    expected = LiveDetector(model, tensors).predict(given)
    same(grus.load(tmp_path / "m").predict(given), expected)
    for precision in ("bf16", "int8"):
        rounded = grus.load(tmp_path / "m", precision=precision).predict(given)
        assert np.abs(rounded["score"] - expected["score"]).mean() < 0.1
    plain = [
        {k: str(v)[:19] if k == "time" else None if v != v else v for k, v in row.items()}
        for row in records(given)
    ]
    assert torch_free.detections(tmp_path / "m", plain, tmp_path) == torch_free.as_bytes(expected)


def test_scores_depend_on_the_rows_before_alone():
    model, given = live(ids=False), table(ids=False)
    whole = model.predict(given)
    changed = {name: values.copy() for name, values in given.items()}
    changed["flow"][90:] = 7e5
    other = model.predict(changed)
    assert_bitwise_equal(whole["score"][:90], other["score"][:90])
    assert (whole["score"][90:] != other["score"][90:]).any()
