"""Rows of the future appended to a panel: matched by series and stamp, or refused by name."""

import numpy as np
import pytest

from grus.errors import DataError
from grus.preprocess import storage
from grus.preprocess.columns import Source
from grus.preprocess.frequency import Frequency
from grus.preprocess.panel import build_panel, extend
from grus.preprocess.roles import Roles

AHEAD = Source("ahead.csv", lambda index: f"row {index + 2}")


def hours(*numbers):
    return np.datetime64("2024-01-01", "ns") + np.array(numbers) * np.timedelta64(1, "h")


def history(**changed):
    table = {
        "id": np.array([1, 1, 1, 2, 2]),
        "ds": hours(0, 1, 2, 1, 2),
        "y": np.arange(5.0),
        "p": np.array(list("abcab"), object),
        "f": np.arange(5.0),
        "g": np.array(list("uvuvu"), object),
        **changed,
    }
    return build_panel(table, Roles("y", "id", "ds", past=("p",), future=("f", "g")))


def ahead():
    """Hours 3 and 4 of both series, in disorder, with rows of the past, of hour 5 and of a third series."""
    return {
        "id": np.array([2, 1, 1, 3, 2, 1, 1]),
        "ds": hours(4, 3, 4, 3, 3, 5, 2),
        "f": np.array([24, 13, 14, -1, 23, -1, -1]),
        "g": np.array(["u", None, "v", "x", "w", "x", "x"], object),
    }


def test_rows_are_matched_by_series_and_stamp():
    panel = extend(history(), 2, ahead())
    assert panel.offsets.tolist() == [0, 5, 9]
    np.testing.assert_array_equal(panel.target, [0, 1, 2, np.nan, np.nan, 3, 4, np.nan, np.nan])
    assert panel.observed.tolist() == [True, True, True, False, False, True, True, False, False]
    assert panel.past["p"].tolist() == ["a", "b", "c", None, None, "a", "b", None, None]
    assert panel.future["f"].tolist() == [0, 1, 2, 13, 14, 3, 4, 23, 24]
    assert panel.future["g"].tolist() == ["u", "v", "u", None, "v", "v", "u", "w", "u"]
    np.testing.assert_array_equal(panel.times(1), hours(1, 2, 3, 4))


def test_history_is_not_changed():
    panel = history()
    extend(panel, 2, ahead())
    assert panel.n_rows == 5


def test_without_future_covariates_nothing_is_needed():
    table = {"ds": hours(0, 1), "y": np.ones(2)}
    panel = extend(build_panel(table, Roles("y", time="ds")), 3)
    assert panel.n_rows == 5
    assert panel.observed.tolist() == [True, True, False, False, False]


def test_ids_match_by_name_whatever_their_type():
    panel = extend(history(), 2, {**ahead(), "id": np.array([str(i) for i in ahead()["id"]], object)})
    assert panel.future["f"].tolist() == [0, 1, 2, 13, 14, 3, 4, 23, 24]


def test_numbers_and_text_are_brought_together():
    panel = extend(history(g=np.array(list("12121"), object)), 2, {**ahead(), "g": np.arange(7.0)})
    assert panel.future["g"].tolist() == ["1", "2", "1", "1", "2", "2", "1", "4", "0"]
    panel = extend(history(), 2, {**ahead(), "f": np.array([str(v) for v in ahead()["f"]], object)})
    assert panel.future["f"].tolist() == [0, 1, 2, 13, 14, 3, 4, 23, 24]
    with pytest.raises(DataError, match=r"^ahead.csv, row 2, column 'f': expected a number, got 'u'$"):
        extend(history(), 2, {**ahead(), "f": ahead()["g"]}, AHEAD)


def test_without_time_the_rows_follow_in_order():
    panel = build_panel({"y": np.ones(2), "f": np.ones(2)}, Roles("y", future=("f",)))
    assert extend(panel, 2, {"f": np.array([5, 6, 7])}).future["f"].tolist() == [1, 1, 5, 6]


def test_calendar_steps():
    table = {"ds": np.array(["2024-01-31", "2024-02-29"], "M8[ns]"), "y": np.ones(2), "f": np.ones(2)}
    panel = build_panel(table, Roles("y", time="ds", future=("f",)), Frequency("ME"))
    ends = np.array(["2024-03-31", "2024-04-30"], "M8[ns]")
    grown = extend(panel, 2, {"ds": ends, "f": np.array([3, 4])})
    assert grown.future["f"].tolist() == [1, 1, 3, 4]
    assert grown.times(0)[2:].tolist() == ends.tolist()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (None, "ahead.csv: expected 2 hours of 'f', 'g' after the last row of each series, got none"),
        ({"g": None},
         "ahead.csv: no column 'g'; the columns are 'id', 'ds', 'f'"),
        ({"ds": None},
         "ahead.csv: no column 'ds'; the columns are 'id', 'f', 'g'"),
        ({"ds": np.arange(7)},
         "ahead.csv, column 'ds': expected dates as in the history"),
        ({"id": np.array([2, 1, 1, 3, 3, 1, 1])},
         "ahead.csv, columns 'f', 'g': expected 2 hours from '2024-01-01 03:00:00' on for series "
         "'2', got no row for 1 of them ('2024-01-01 03:00:00')"),
        ({"id": np.array([3, 1, 1, 3, 3, 1, 1])},
         "ahead.csv, columns 'f', 'g': expected 2 hours from '2024-01-01 03:00:00' on for series "
         "'2', got no row for 2 of them ('2024-01-01 03:00:00' to '2024-01-01 04:00:00')"),
        ({"ds": hours(4, 3, 4, 3, 3, 5, 2) + np.timedelta64(1, "m")},
         "ahead.csv, columns 'f', 'g': expected 2 hours from '2024-01-01 03:00:00' on for series "
         "'1', got no row for 2 of them ('2024-01-01 03:00:00' to '2024-01-01 04:00:00')"),
        ({"f": np.array([1, 2, 3, 4, np.inf, 6, 7])},
         "ahead.csv, row 6, column 'f': expected a finite number, got inf"),
        ({"f": np.full(7, np.nan)},
         "ahead.csv, column 'f': expected 2 hours of values, got only empty cells"),
        ({"g": np.array([None, "", "NA", "x", None, "x", "x"], object)},
         "ahead.csv, column 'g': expected 2 hours of values, got only empty cells"),
        ({"ds": hours(4, 3, 3, 3, 3, 4, 2)},
         "ahead.csv, row 4, column 'ds': expected one row per time stamp for series '1', "
         "got '2024-01-01 03:00:00' twice (first in row 3)"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(change, sentence):
    future = None
    if change is not None:
        future = {name: values for name, values in {**ahead(), **change}.items() if values is not None}
    with pytest.raises(DataError) as caught:
        extend(history(), 2, future, AHEAD)
    assert str(caught.value) == sentence


def test_what_is_missing_here_and_there_in_the_horizon_is_noted():
    future = {**ahead(), "f": np.array([24, np.nan, np.nan, 3, 23, 5, 2])}
    assert extend(history(), 2, future).notes == (
        "column 'f': 2 of 4 values of the horizon are missing; the last ones known stand in for them",
        "column 'g': 1 of 4 values of the horizon are missing; they count as unknown",
    )
    gaps = history(f=np.array([0, np.nan, 2, 3, 4]), g=np.array(["u", "v", None, "v", "u"], object))
    assert extend(gaps, 2, future).notes == (), "nothing new to a model that was trained on gaps"
    blank = {**ahead(), "f": np.full(7, np.nan), "g": np.full(7, None)}
    assert np.isnan(extend(gaps, 2, blank).future["f"][3:5]).all()


def test_a_row_that_comes_twice_alike_is_one_row():
    future = {name: values[[0, 1, 2, 3, 4, 5, 6, 1, 0]] for name, values in ahead().items()}
    np.testing.assert_array_equal(
        extend(history(), 2, future).future["f"], extend(history(), 2, ahead()).future["f"]
    )


def test_on_disk_everything_is_the_same(monkeypatch):
    monkeypatch.setattr(storage, "CHUNK", 2)
    expected = extend(history(), 2, ahead())
    panel = history()
    for group in (panel.past, panel.future):
        for name, values in group.items():
            plain = (
                np.array(["" if v is None else v for v in values.tolist()])
                if values.dtype == object
                else values
            )
            group[name] = storage.empty(len(plain), plain.dtype, disk=True)
            group[name][:] = plain
    grown = extend(panel, 2, ahead())
    assert storage.on_disk(grown.future["f"])
    assert grown.future["f"].tolist() == expected.future["f"].tolist()
    assert grown.future["g"].tolist() == [v or "" for v in expected.future["g"].tolist()]
