"""Rows of a table as examples: grouped by id, in order of time, labels that agree, events as visits."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grus.errors import DataError, UsageError
from grus.preprocess.build_examples import ExampleRoles, build_examples
from grus.preprocess.columns import Source, as_column

DAYS = np.array(["2024-01-01", "2024-01-08", "2024-01-08", "2024-02-01", "2024-01-30T12:00"], "M8[ns]")


def columns(**given):
    return {name: as_column(values, name) for name, values in given.items()}


def error(table, roles, kind=DataError):
    with pytest.raises(kind) as caught:
        build_examples(table, roles)
    return str(caught.value), caught.value.hint


def test_texts_are_rows():
    table = columns(
        text=np.array(["a b", None, ""], object), label=[1, 0, 1], id=["p", "q", "r"], more=[1, 2, 3]
    )
    examples = build_examples(table, ExampleRoles("text", ("text",), "label", "id"))
    assert examples.texts == ["a b", "", ""]
    assert examples.labels == [("1",), ("0",), ("1",)]
    assert examples.ids.tolist() == ["p", "q", "r"]
    bare = build_examples(table, ExampleRoles("text", ("text",)))
    assert (bare.labels, bare.ids) == (None, None)


def test_numbers_may_be_texts_and_dates_may_not():
    assert build_examples(columns(t=[3.0, np.nan]), ExampleRoles("text", ("t",))).texts == ["3", ""]
    said = "data, column 't': expected text, got dates"
    assert error(columns(t=DAYS), ExampleRoles("text", ("t",)))[0] == said


SERIES = ExampleRoles("series", ("x", "y"), "label", "id", "t")


def a_series_table(**more):
    table = {"id": ["b", "a", "b", "a", "b"], "t": [2, 10, 0, 9, 1], "x": [3.0, 5, 1, 4, 2],
             "y": [3, 5, 1, 4, np.nan], "label": ["u", "v", "u", "v", "u"]}  # fmt: skip
    return columns(**(table | more))


def test_series_are_the_rows_of_an_id_in_order_of_time():
    examples = build_examples(a_series_table(), SERIES)
    assert (examples.rows, examples.columns, examples.ids.tolist()) == (2, ("x", "y"), ["b", "a"])
    assert examples.offsets.tolist() == [0, 3, 5]
    np.testing.assert_array_equal(examples.series, [[1, 1], [2, np.nan], [3, 3], [4, 4], [5, 5]])
    assert examples.labels == [("u",), ("v",)]


def test_without_times_rows_are_in_order_as_they_come():
    roles = ExampleRoles("series", ("x",), None, "id")
    examples = build_examples(a_series_table(), roles)
    assert examples.series.ravel().tolist() == [3, 1, 2, 5, 4]
    one = build_examples(a_series_table(), ExampleRoles("series", ("x",)))
    assert (one.rows, one.ids, one.offsets.tolist()) == (1, None, [0, 5])


def test_dates_and_several_columns_order_rows():
    table = columns(id=[7, 7, 7], day=["2024-01-02", "2024-01-01", "2024-01-02"], hour=[5, 3, 1], x=[3, 1, 2])
    examples = build_examples(table, ExampleRoles("series", ("x",), None, "id", "day+hour"))
    assert examples.series.ravel().tolist() == [1, 2, 3]


def test_what_a_series_may_not_be():
    twice = error(a_series_table(t=[2, 9, 0, 9, 1]), SERIES)[0]
    assert twice == (
        "data, column 't': expected times of 'a' that differ, got one twice (row 1 (counting from 0) and "
        "row 3 (counting from 0))"
    )
    mixed = error(a_series_table(label=["u", "v", "w", "v", "w"]), SERIES)[0]
    where = "data, row 0 (counting from 0), column 'label': expected one label in all rows of 'b', got"
    assert mixed == f"{where} 'w' and 'u'"
    gap = error(a_series_table(label=np.array([None, "v", "u", "v", "u"], object)), SERIES)[0]
    assert gap == f"{where} 'u' and an empty cell"
    lost = error(a_series_table(label=np.array(["u", None, "u", None, "u"], object)), SERIES)
    assert lost[0] == "data, row 3 (counting from 0), column 'label': expected a label, got an empty cell"
    assert lost[1] == "in a CSV file words such as NA and None stand for missing values too"
    word = error(a_series_table(x=["1", "2", "?", "4", "5"]), SERIES)[0]
    assert word == "data, row 2 (counting from 0), column 'x': expected a number, got '?'"
    nobody = error(a_series_table(id=np.array(["b", None, "b", "a", "b"], object)), SERIES)[0]
    assert nobody == (
        "data, row 1 (counting from 0), column 'id': expected the name of a series, got an empty cell"
    )


def test_rows_of_a_file_are_named_as_its_source_names_them():
    source = Source("x.csv", lambda index: f"row {index + 2}")
    with pytest.raises(DataError, match=r"^x\.csv, row 4, column 'x': expected a number, got '\?'$"):
        build_examples(a_series_table(x=["1", "2", "?", "4", "5"]), SERIES, source)


EVENTS = ExampleRoles("events", ("code",), "label", "id", "day", multi=True)


def an_event_table(**more):
    table = {"id": ["b", "a", "a", "a", "b"], "day": DAYS, "code": ["I10", "E11", " I10", "I10", "Z00"],
             "label": ["u|w", "v", "v", "v", "w | u"]}  # fmt: skip
    return columns(**(table | more))


def test_events_of_one_time_are_one_visit():
    examples = build_examples(an_event_table(), EVENTS)
    assert (examples.rows, examples.words) == (2, ("I10", "E11", "Z00"))
    assert examples.offsets.tolist() == [0, 2, 4]
    assert examples.visits.tolist() == [0, 1, 2, 4, 5]
    assert examples.codes.tolist() == [0, 2, 1, 0, 0]
    np.testing.assert_array_equal(examples.gaps, [np.nan, 29.5, np.nan, 24])
    assert examples.labels == [("u", "w"), ("v",)]


def test_a_row_without_a_code_is_an_empty_visit():
    codes = np.array(["I10", "E11", None, "", "Z00"], object)
    examples = build_examples(
        an_event_table(code=codes), ExampleRoles("events", ("code",), None, "id", "day")
    )
    assert examples.visits.tolist() == [0, 1, 2, 3, 3]
    assert examples.codes.tolist() == [0, 2, 1]


def test_events_without_times_and_with_counted_ones():
    bare = build_examples(an_event_table(), ExampleRoles("events", ("code",), None, "id"))
    assert bare.visits.tolist() == [0, 1, 2, 3, 4, 5]
    assert np.isnan(bare.gaps).all()
    counted = build_examples(
        an_event_table(day=[4, 1, 1, 9, 1], code=[10, 20, 10, 30, 10]),
        ExampleRoles("events", ("code",), None, "id", "day"),
    )
    np.testing.assert_array_equal(counted.gaps, [np.nan, 3, np.nan, 8])
    assert counted.words == ("10", "20", "30")


def test_what_cannot_be_built():
    table = an_event_table()
    assert error(table, ExampleRoles("events", ("kode",), None, "id")) == (
        "data: no column 'kode'; the columns are 'id', 'day', 'code', 'label'",
        "did you mean 'code'?",
    )
    said = "data: expected an id column that says whose events they are, got none"
    assert error(table, ExampleRoles("events", ("code",)), UsageError)[0] == said
    said = "data: expected a folder of images or an array, got a table"
    assert error(table, ExampleRoles("images"), UsageError)[0] == said
    said = "data, column 'day': expected names or numbers, got dates"
    assert error(table, ExampleRoles("events", ("day",), None, "id"))[0] == said


def test_a_long_table():
    rng = np.random.default_rng(0)
    n = 200_000
    table = {"id": np.sort(rng.integers(0, 20_000, n)), "t": np.arange(n), "x": rng.normal(size=n),
             "code": rng.integers(0, 500, n), "label": np.zeros(n, np.int64)}  # fmt: skip
    series = build_examples(table, ExampleRoles("series", ("x",), "label", "id", "t"))
    np.testing.assert_array_equal(series.series[:, 0], table["x"])
    events = build_examples(table, ExampleRoles("events", ("code",), None, "id", "t"))
    assert len(events.codes) == n


ROWS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.sampled_from(["p", "q", "r", None])),
    min_size=1,
    max_size=30,
)


@given(ROWS)
def test_events_are_what_a_dictionary_finds(rows):
    """An oracle without a single array."""
    ids, times, codes = (list(column) for column in zip(*rows))
    cells = np.empty(len(codes), object)
    cells[:] = codes
    table = {"id": np.array(ids), "t": np.array(times), "code": cells}
    examples = build_examples(table, ExampleRoles("events", ("code",), None, "id", "t"))
    wanted: dict[str, dict[int, list[str]]] = {}
    for who, when, code in rows:
        wanted.setdefault(who, {}).setdefault(when, []).extend([code] if code else [])
    assert examples.ids.tolist() == list(wanted)
    found = []
    for first, last in itertools.pairwise(examples.offsets):
        visits = [examples.codes[a:b] for a, b in itertools.pairwise(examples.visits[first : last + 1])]
        gaps = examples.gaps[first:last]
        found.append(([[examples.words[code] for code in visit] for visit in visits], gaps.tolist()[1:]))
        assert np.isnan(gaps[0])
    assert found == [
        ([by_time[t] for t in sorted(by_time)], np.diff(sorted(by_time)).tolist())
        for by_time in wanted.values()
    ]


@given(ROWS)
def test_series_are_what_a_dictionary_finds(rows):
    table = {
        "id": np.array([r[0] for r in rows]),
        "x": np.arange(float(len(rows))),
        "t": np.array([r[1] for r in rows]),
    }
    wanted: dict[str, list[tuple[int, float]]] = {}
    for i, (who, when, _) in enumerate(rows):
        wanted.setdefault(who, []).append((when, float(i)))
    if any(len({t for t, _ in steps}) < len(steps) for steps in wanted.values()):
        with pytest.raises(DataError, match="that differ, got one twice"):
            build_examples(table, ExampleRoles("series", ("x",), None, "id", "t"))
        return
    examples = build_examples(table, ExampleRoles("series", ("x",), None, "id", "t"))
    found = [examples.series[a:b, 0].tolist() for a, b in itertools.pairwise(examples.offsets)]
    assert found == [[x for _, x in sorted(steps)] for steps in wanted.values()]
