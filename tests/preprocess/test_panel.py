"""Tables laid on a grid: gaps, disorder, repeats, roles, pieces, disk."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grus.errors import DataError, UsageError
from grus.preprocess import storage
from grus.preprocess.axis import find_repeats
from grus.preprocess.columns import Source
from grus.preprocess.frequency import Frequency
from grus.preprocess.panel import build_panel
from grus.preprocess.roles import Roles

SALES = Source("sales.csv", lambda index: f"row {index + 2}", ["sales.csv: read as a test"])
LONG = Roles("y", id="id", time="ds", past=("p",), future=("f",), static=("s",))


def days(*numbers):
    return np.datetime64("2024-01-01", "ns") + np.array(numbers) * np.timedelta64(1, "D")


def long_table():
    """Two series, A of 5 days with the 3rd missing, B of 3 days; a category, a missing value, a static text."""
    return {
        "id": np.array(list("AAAABBB"), object),
        "ds": days(0, 1, 3, 4, 2, 3, 4),
        "y": np.array([1.0, 2, 4, np.nan, 10, 11, 12]),
        "p": np.array(["x", None, "y", "x", "x", "y", "y"], object),
        "f": np.array([1, 2, 4, 5, 3, 4, 5]),
        "s": np.array([7.0, 7, np.nan, 7, 8, 8, 8]),
        "unused": np.arange(7),
    }


def same(a, b):
    """Raise unless two panels agree in everything but notes."""
    assert (a.ids, a.frequency, a.roles) == (b.ids, b.frequency, b.roles)
    for name in ("id_values", "starts", "offsets", "target", "observed"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    for group in ("past", "future", "static"):
        one, two = getattr(a, group), getattr(b, group)
        assert list(one) == list(two)
        for name in one:
            np.testing.assert_array_equal(np.array(one[name].tolist()), np.array(two[name].tolist()))


def test_same_rejects_a_difference():
    panel = build_panel(long_table(), LONG)
    table = long_table()
    table["f"][3] = 9
    with pytest.raises(AssertionError):
        same(panel, build_panel(table, LONG))


def test_gaps_are_filled_and_masked():
    panel = build_panel(long_table(), LONG, source=SALES)
    assert panel.ids == ("A", "B")
    assert panel.frequency == Frequency("D")
    assert panel.offsets.tolist() == [0, 5, 8]
    np.testing.assert_array_equal(panel.target, [1, 2, np.nan, 4, np.nan, 10, 11, 12])
    assert panel.observed.tolist() == [True, True, False, True, False, True, True, True]
    assert panel.past["p"].tolist() == ["x", None, None, "y", "x", "x", "y", "y"]
    np.testing.assert_array_equal(panel.future["f"], [1, 2, np.nan, 4, 5, 3, 4, 5])
    assert panel.static["s"].tolist() == [7, 8]
    assert panel.notes == (
        "sales.csv: read as a test",
        "1 missing day filled and masked in 1 series",
        "column 'y': 1 missing value masked",
    )
    np.testing.assert_array_equal(panel.times(0), days(0, 1, 2, 3, 4))
    np.testing.assert_array_equal(panel.all_times(), days(0, 1, 2, 3, 4, 2, 3, 4))


def test_nothing_given_is_changed():
    table, before = long_table(), long_table()
    build_panel(table, LONG)
    for name, values in table.items():
        np.testing.assert_array_equal(np.array(values.tolist()), np.array(before[name].tolist()))


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(7)), st.sampled_from([1, 2, 3, 100]))
def test_the_order_of_rows_changes_nothing_but_a_note(order, chunk):
    table = {name: values[list(order)] for name, values in long_table().items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "CHUNK", chunk)
        panel = build_panel(table, LONG, source=SALES)
    panel = panel.select([panel.ids.index("A"), panel.ids.index("B")])
    same(panel, build_panel(long_table(), LONG))
    late = [
        k for k in range(1, 7)
        if any((order[j] < 4) == (order[k] < 4) and order[j] > order[k] for j in range(k))
    ]  # fmt: skip
    noted = [note for note in panel.notes if "order of time" in note]
    assert bool(noted) == bool(late)
    if late:
        assert noted == [
            f"rows were not in the order of time (first at row {late[0] + 2}) and have been sorted"
        ]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_agrees_with_pandas_on_any_table(data):
    lengths = data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=5))
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    frames = []
    for i, n in enumerate(lengths):
        start = pd.Timestamp("2024-03-01") + pd.Timedelta(int(rng.integers(0, 100)), "h")
        times = pd.date_range(start, periods=n, freq="h")
        keep = rng.random(n) < 0.8
        keep[[0, -1]] = True
        frame = pd.DataFrame({"id": i * 7 - 3, "ds": times, "y": rng.normal(size=n), "p": rng.normal(size=n)})
        frames.append(frame[keep])
    frame = pd.concat(frames).sample(frac=1, random_state=seed % 2**31)
    panel = build_panel(
        {name: frame[name].to_numpy() for name in frame}, Roles("y", "id", "ds", past=("p",)), Frequency("h")
    )
    for i, value in enumerate(panel.id_values):
        expected = frame[frame["id"] == value].set_index("ds").sort_index().asfreq("h")
        np.testing.assert_array_equal(panel.times(i), expected.index.to_numpy().astype("M8[ns]"))
        np.testing.assert_array_equal(panel.target[panel.rows(i)], expected["y"])
        np.testing.assert_array_equal(panel.past["p"][panel.rows(i)], expected["p"])


@pytest.mark.parametrize("ids", [np.array([7, 7, 3, 3]), np.array(["b", "b", "a", "a"]),
                                 np.array(["2024-01-02", "2024-01-02", "2024-01-01", "2024-01-01"], "M8[ns]"),
                                 np.array([1.5, 1.5, 1.0, 1.0]), np.array([True, True, False, False])])  # fmt: skip
def test_ids_of_any_kind_keep_type_and_order_of_appearance(ids):
    panel = build_panel({"id": ids, "t": np.array([1, 2, 1, 2]), "y": np.arange(4.0)}, Roles("y", "id", "t"))
    assert panel.id_values.tolist() == [ids[0], ids[2]] or panel.id_values.tolist() == ids[[0, 2]].tolist()
    assert panel.id_values.dtype.kind == ("O" if ids.dtype.kind == "U" else ids.dtype.kind)
    assert all(isinstance(name, str) for name in panel.ids)
    assert panel.target.tolist() == [0, 1, 2, 3]


def test_whole_ids_are_named_alike_whatever_their_type():
    """A column of ids with an empty cell somewhere is read as floats; 7.0 is still series 7."""
    for ids in (np.array([7, 7, 3, 3]), np.array([7.0, 7, 3, 3]), np.array(["7", "7", "3", "3"], object)):
        assert build_panel({"id": ids, "y": np.ones(4)}, Roles("y", "id")).ids == ("7", "3")
    ids = np.array([1e300, 7.5, 7.5, 1e300])
    assert build_panel({"id": ids, "y": np.ones(4)}, Roles("y", "id")).ids[1] == "7.5"


def test_without_id_and_time_rows_are_steps():
    panel = build_panel({"y": np.arange(4.0)}, Roles("y"))
    assert panel.ids == ("series",)
    assert panel.frequency == Frequency("step")
    assert panel.times(0).tolist() == [0, 1, 2, 3]
    assert panel.notes == ()


@pytest.mark.parametrize("chunk", [1, 2, 5, 100])
def test_without_time_the_order_inside_each_series_counts(monkeypatch, chunk):
    monkeypatch.setattr(storage, "CHUNK", chunk)
    table = {"id": np.array(list("ABAAB"), object), "y": np.arange(5.0)}
    panel = build_panel(table, Roles("y", "id"))
    assert panel.target.tolist() == [0, 2, 3, 1, 4]
    assert panel.offsets.tolist() == [0, 3, 5]
    assert build_panel(table, Roles("y", "id"), Frequency("step", 2)).times(0).tolist() == [0, 2, 4]
    with pytest.raises(UsageError, match=r"^frequency: h needs a time column, got none$"):
        build_panel(table, Roles("y", "id"), Frequency("h"))


def test_whole_number_time_with_gaps():
    panel = build_panel({"t": np.array([10, 16, 12]), "y": np.array([1.0, 3, 2])}, Roles("y", time="t"))
    assert str(panel.frequency) == "2step"
    np.testing.assert_array_equal(panel.target, [1, 2, np.nan, 3])
    assert panel.notes[1] == "1 missing step of 2 filled and masked"


def test_joined_time_columns():
    table = {"date": np.array(["1/31/2011"] * 2, object), "hr": np.array([4, 5]), "y": np.arange(2.0)}
    panel = build_panel(table, Roles("y", time="date+hr"))
    assert panel.starts[0] == np.datetime64("2011-01-31T04")
    assert str(panel.frequency) == "h"


def refused(sentence, table=None, roles=LONG, frequency=None, hint=None, **changed):
    table = {**(long_table() if table is None else table), **changed}
    with pytest.raises(DataError) as caught:
        build_panel(table, roles, frequency, SALES)
    assert str(caught.value) == sentence
    if hint is not None:
        assert caught.value.hint == hint


def test_repeated_stamp_of_one_series():
    table = {
        "ds": np.array(["2024-01-04", "2024-01-05", "2024-01-05", "2024-01-06"], object),
        "y": np.arange(4.0),
    }
    refused(
        "sales.csv, row 4, column 'ds': expected one row per time stamp, got '2024-01-05 00:00:00' twice "
        "(first in row 3)",
        table,
        Roles("y", time="ds"),
        hint="name the column that tells the series apart, if there are several; else keep one of the rows",
    )


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_repeated_stamp_among_series_and_far_apart(monkeypatch, chunk):
    monkeypatch.setattr(storage, "CHUNK", chunk)
    refused(
        "sales.csv, row 7, column 'ds': expected one row per time stamp for series 'B', "
        "got '2024-01-03 00:00:00' twice (first in row 6)",
        ds=days(0, 1, 3, 4, 2, 2, 0),
        hint="keep one of the rows",
    )


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_rows_that_repeat_others_in_every_cell_are_left_out(monkeypatch, chunk):
    monkeypatch.setattr(storage, "CHUNK", chunk)
    table = {name: values[[0, 0, 1, 2, 3, 4, 0, 5, 6, 3]] for name, values in long_table().items()}
    panel = build_panel(table, LONG, source=SALES)
    same(panel, build_panel(long_table(), LONG))
    assert panel.notes[1:] == (
        "rows were not in the order of time (first at row 8) and have been sorted",
        "3 rows that repeat earlier ones in every cell left out (first at row 3)",
        "1 missing day filled and masked in 1 series",
        "column 'y': 1 missing value masked",
    )
    once = build_panel({name: values[[0, 1, 1]] for name, values in long_table().items()}, LONG, source=SALES)
    assert "1 row that repeats an earlier one in every cell left out (row 4)" in once.notes
    table["unused"] = np.arange(10)
    refused(
        "sales.csv, row 3, column 'ds': expected one row per time stamp for series 'A', "
        "got '2024-01-01 00:00:00' twice (first in row 2)",
        table,
    )
    table["unused"] = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
    refused(
        "sales.csv, row 11, column 'ds': expected one row per time stamp for series 'A', "
        "got '2024-01-05 00:00:00' twice (first in row 6)",
        table,
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=60), st.sampled_from([1, 2, 7, 100]))
def test_repeats_are_found_as_a_dictionary_finds_them(place, chunk):
    seen: dict[int, int] = {}
    expected = [(row, seen[at]) for row, at in enumerate(place) if seen.setdefault(at, row) != row]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "CHUNK", chunk)
        later, first = find_repeats(np.array(place), 10)
    assert list(zip(later.tolist(), first.tolist())) == expected


def test_all_stamps_alike_are_repeats_too():
    table = {"ds": days(0, 0), "y": np.ones(2)}
    with pytest.raises(DataError, match="expected one row per time stamp, got '2024-01-01 00:00:00' twice"):
        build_panel(table, Roles("y", time="ds"))


def test_the_hour_that_comes_twice_gets_its_own_hint():
    stamps = ["2024-10-27 01:00", "2024-10-27 02:00", "2024-10-27 02:00", "2024-10-27 03:00"]
    with pytest.raises(DataError, match="got '2024-10-27 02:00:00' twice") as caught:
        build_panel({"ds": np.array(stamps, object), "y": np.arange(4.0)}, Roles("y", time="ds"))
    assert caught.value.hint == (
        "clocks seem to have been set back in that hour: give every time stamp its UTC offset, as in 02:00+01:00"
    )
    zoned = [s + z for s, z in zip(stamps, ("+02:00", "+02:00", "+01:00", "+01:00"))]
    panel = build_panel({"ds": np.array(zoned, object), "y": np.ones(4)}, Roles("y", time="ds"))
    assert panel.length(0) == 4
    assert panel.starts[0] == np.datetime64("2024-10-26T23")


def test_off_the_grid():
    refused(
        "sales.csv, row 5, column 'ds': expected steps of D, got '2024-01-05 06:00:00' after "
        "'2024-01-04 00:00:00' (row 4)",
        ds=days(0, 1, 3, 4, 2, 3, 4) + np.array([0, 0, 0, 6, 0, 0, 0]) * np.timedelta64(1, "h"),
        hint="name the frequency, or bring the rows to even steps first",
    )


def test_rows_without_a_step():
    ds = np.datetime64("2024-01-01", "ns") + np.array([0, 7, 20, 21, 40, 47, 90]) * np.timedelta64(1, "s")
    refused(
        "sales.csv, column 'ds': expected rows in even steps, got uneven ones "
        "(the commonest, 7s, is 33.3% of them)",
        {"ds": ds, "y": np.ones(7)},
        Roles("y", time="ds"),
        hint="bring the rows to even steps first, such as the mean of each hour, or name irregular",
    )


def test_rows_further_apart_than_the_step_that_was_named_are_noted():
    table = {"ds": days(0, 1, 2, 4), "y": np.ones(4)}
    panel = build_panel(table, Roles("y", time="ds"), Frequency("h"))
    assert panel.notes == (
        "rows come every day, not every hour: what lies between counts as missing",
        "93 missing hours filled and masked",
    )
    table = {"ds": np.array([0, 6, 12]), "y": np.ones(3)}
    panel = build_panel(table, Roles("y", time="ds"), Frequency("step", 2))
    assert panel.notes[0] == "rows come every 6, not every 2: what lies between counts as missing"
    assert build_panel(table, Roles("y", time="ds"), Frequency("step", 6)).notes == ()


def test_a_named_frequency_is_held_to():
    refused(
        "sales.csv, row 3, column 'ds': expected steps of 2D, got '2024-01-02 00:00:00' after "
        "'2024-01-01 00:00:00' (row 2)",
        frequency=Frequency("D", 2),
    )
    refused(
        "sales.csv, column 'ds': expected whole numbers for frequency 'step', got dates",
        frequency=Frequency("step"),
    )
    refused(
        "sales.csv, column 'ds': expected dates for frequency 'D', got whole numbers",
        frequency=Frequency("D"),
        ds=np.arange(7),
    )
    assert build_panel(long_table(), LONG, Frequency("h", 12)).lengths.tolist() == [9, 5]


def test_a_named_frequency_makes_one_row_enough():
    table = {"ds": days(0), "y": np.ones(1)}
    assert build_panel(table, Roles("y", time="ds"), Frequency("D")).n_rows == 1
    with pytest.raises(DataError, match="got one each"):
        build_panel(table, Roles("y", time="ds"))


def test_a_stray_stamp_does_not_fill_the_memory():
    ds = np.concatenate(
        (np.datetime64("2024-01-01", "ns") + np.arange(100) * np.timedelta64(1, "s"), days(9999))
    )
    with pytest.raises(DataError) as caught:
        build_panel({"ds": ds, "y": np.ones(101)}, Roles("y", time="ds"), source=SALES)
    assert str(caught.value) == (
        "sales.csv, column 'ds': expected rows in steps of s with few gaps, got 101 rows for 863,913,601 steps "
        "(series 'series' goes from '2024-01-01' to '2051-05-18')"
    )
    assert caught.value.hint == "look for a stray time stamp, or name the frequency"


def test_missing_names_and_cells():
    table = long_table()
    del table["y"]
    refused("sales.csv: no column 'y'; the columns are 'id', 'ds', 'p', 'f', 's', 'unused'", table)
    refused(
        "sales.csv, row 3, column 'id': expected the name of a series, got an empty cell",
        id=np.array(["A", None, *"AABBB"], object),
    )
    refused(
        "sales.csv, row 4, column 'id': expected the name of a series, got an empty cell",
        id=np.array([1, 1, np.nan, 1, 2, 2, 2]),
    )
    refused(
        "sales.csv, row 3, column 'ds': expected a time stamp, got an empty cell",
        ds=np.array([np.datetime64("2024-01-01"), *["NaT"] * 6], "M8[ns]"),
    )


def test_values_of_the_wrong_kind():
    refused(
        "sales.csv, row 4, column 'y': expected a number, got 'n/a-ish'",
        y=np.array([*"12", "n/a-ish", *"4567"], object),
    )
    refused("sales.csv, row 2, column 'y': expected a finite number, got inf", y=np.full(7, np.inf))
    refused("sales.csv, column 'y': expected numbers, got only empty cells", y=np.full(7, np.nan))
    refused("sales.csv, column 'f': expected numbers or text for a covariate, got dates", f=days(*range(7)))
    refused("sales.csv, column 'f': expected 7 rows as in 'y', got 6", f=np.ones(6))
    refused(
        "sales.csv: expected rows, got a table without any", {name: v[:0] for name, v in long_table().items()}
    )


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_static_values_must_not_change(monkeypatch, chunk):
    monkeypatch.setattr(storage, "CHUNK", chunk)
    refused(
        "sales.csv, row 7, column 's': expected one value for the whole of series 'B', got 9.0 after 8.0",
        s=np.array([7.0, 7, 7, 7, 8, 9, 8]),
        hint="a value that changes with time belongs under past or future",
    )
    refused(
        "sales.csv, row 5, column 's': expected one value for the whole of series 'A', got north after south",
        s=np.array([None, "south", "south", "north", "n", "n", "n"], object),
    )
    table = {**long_table(), "s": np.array([None, "south", None, "south", None, "", "NA"], object)}
    assert build_panel(table, LONG).static["s"].tolist() == ["south", None]


def test_target_may_be_text_of_numbers_and_truth_values_a_covariate():
    table = {
        **long_table(),
        "y": np.array(["1", "2", "4", "", "10", "11", "12"], object),
        "f": np.arange(7) > 3,
    }
    panel = build_panel(table, LONG)
    assert panel.target[0] == 1
    np.testing.assert_array_equal(panel.future["f"], [0, 0, np.nan, 0, 0, 1, 1, 1])


def test_on_disk_everything_is_the_same(monkeypatch):
    monkeypatch.setattr(storage, "CHUNK", 3)
    table = long_table()
    spilled = {}
    for name, values in table.items():
        plain = (
            np.array(["" if v is None else v for v in values.tolist()]) if values.dtype == object else values
        )
        spilled[name] = storage.empty(7, plain.dtype, disk=True)
        spilled[name][:] = plain
    panel = build_panel(spilled, LONG)
    for values in (panel.target, panel.observed, panel.past["p"], panel.future["f"]):
        assert storage.on_disk(values)
    assert panel.past["p"].tolist() == ["x", "", "", "y", "x", "x", "y", "y"]
    panel.past["p"] = np.array([v or None for v in panel.past["p"].tolist()], object)
    same(panel, build_panel(table, LONG))
    cut = panel.cut(1, 3)
    assert storage.on_disk(cut.target)
    np.testing.assert_array_equal(cut.target, [2, np.nan, 11, 12])


def test_cut_last_between_select():
    panel = build_panel(long_table(), LONG)
    part = panel.cut(1, 4)
    assert part.lengths.tolist() == [3, 2]
    assert part.starts.tolist() == days(1, 3).tolist()
    np.testing.assert_array_equal(part.target, [2, np.nan, 4, 11, 12])
    assert panel.cut(np.array([0, 3]), 99).lengths.tolist() == [5, 0]
    assert panel.last(2).all_times().tolist() == days(3, 4, 3, 4).tolist()
    assert panel.last(4).lengths.tolist() == [4, 3]
    between = panel.between("2024-01-02 12:00", "2024-01-04")
    assert between.all_times().tolist() == days(2, 2).tolist()
    assert panel.between("1999", "2000").lengths.tolist() == [0, 0]
    only = panel.select([1])
    assert (only.ids, only.static["s"].tolist(), only.target.tolist()) == (("B",), [8], [10, 11, 12])
    same(panel.select(np.array([True, True])), panel)


@pytest.mark.parametrize("spelling", ["B", "W-TUE", "ME", "MS", "QE", "YS", "h"])
def test_between_on_every_calendar(spelling):
    times = pd.date_range("2019-12-30", periods=40, freq=spelling)
    table = {"ds": times.to_numpy(), "y": np.arange(40.0)}
    panel = build_panel(table, Roles("y", time="ds"))
    for first in (times[3], times[3] + pd.Timedelta("1s"), times[3] - pd.Timedelta("1D")):
        for last in (times[9], times[9] + pd.Timedelta("1s")):
            expected = table["y"][(times >= first) & (times < last)]
            found = panel.between(first.to_datetime64(), last.to_datetime64())
            np.testing.assert_array_equal(found.target, expected)


def test_between_on_whole_numbers():
    panel = build_panel({"t": np.array([5, 7, 9, 11]), "y": np.arange(4.0)}, Roles("y", time="t"))
    assert panel.between(6, 11).target.tolist() == [1, 2]


def test_description():
    assert build_panel(long_table(), LONG).describe() == (
        "2 series, 3 to 5 days each, 8 rows from 2024-01-01 to 2024-01-05, 2 unobserved"
    )
    single = build_panel({"y": np.arange(4.0)}, Roles("y"))
    assert single.describe() == "1 series, 4 steps from 0 to 3, 0 unobserved"
    assert single.cut(0, 0).describe() == "1 series without rows"
