"""Rows at uneven times, laid one after the other."""

import numpy as np
import pytest

from grus.errors import DataError
from grus.preprocess.panel import build_panel, extend
from grus.preprocess.roles import Roles
from grus.preprocess.stacked import lay_out_table

ROLES = Roles("y", "id", "t")
TABLE = {
    "id": np.array(["b", "a", "b", "a", "b"], object),
    "t": np.array([50, 7, 3, 5, 4]),
    "y": np.array([5.0, 2.0, 3.0, np.nan, 4.0]),
}


def test_rows_of_each_series_in_the_order_of_time():
    panel = build_panel(TABLE, ROLES, uneven=True)
    assert panel.ids == ("b", "a")
    assert panel.offsets.tolist() == [0, 3, 5]
    assert panel.stamps.tolist() == [3, 4, 50, 5, 7]
    np.testing.assert_array_equal(panel.target, [3.0, 4.0, 5.0, np.nan, 2.0])
    assert panel.observed.tolist() == [True, True, True, False, True]
    assert panel.when(np.array([0, 1]), np.array([2, 0])).tolist() == [50, 5]
    assert panel.describe() == "2 series, 2 to 3 steps each, 5 rows from 3 to 50, 1 unobserved"
    assert panel.notes == (
        "rows were not in the order of time (first at row 2 (counting from 0)) and have been sorted",
        "rows come at uneven times: a step is a row, however far from the one before",
        "column 'y': 1 missing value masked",
    )


def test_cuts_selections_and_horizons_keep_the_stamps():
    panel = build_panel(TABLE, ROLES, uneven=True)
    assert panel.last(2).stamps.tolist() == [4, 50, 5, 7]
    assert panel.select(np.array([1])).stamps.tolist() == [5, 7]
    longer = extend(panel, 2)
    assert longer.stamps[:3].tolist() == [3, 4, 50]
    assert longer.offsets.tolist() == [0, 5, 9]


def test_dates_keep_their_nanoseconds():
    times = np.datetime64("2026-01-01T00:00:00.123456789", "ns") + np.array([10, 0, 5, 7, 1]).astype("m8[ns]")
    panel = build_panel({**TABLE, "t": times}, ROLES, uneven=True)
    assert panel.stamps.dtype == np.dtype("M8[ns]")
    assert panel.stamps.tolist() == times[[4, 2, 0, 1, 3]].tolist()  # b at 1, 5 and 10, a at 0 and 7


def test_rows_that_repeat_others_are_left_out_and_others_named():
    twice = {name: np.concatenate((values, values[:1])) for name, values in TABLE.items()}
    panel = build_panel(twice, ROLES, uneven=True)
    assert panel.n_rows == 5
    assert "1 row that repeats an earlier one in every cell left out (row 5 (counting from 0))" in panel.notes
    twice["y"][-1] = 9.0
    with pytest.raises(DataError) as error:
        build_panel(twice, ROLES, uneven=True)
    assert str(error.value) == (
        "data, row 5 (counting from 0), column 't': expected one row per time stamp for series 'b', got '50' twice "
        "(first in row 0 (counting from 0))"
    )


def test_several_targets_have_the_same_stamps():
    table = {"t": np.array([9, 1, 4]), "north": np.arange(3.0), "south": np.array([np.nan, 1.0, 2.0])}
    panel = lay_out_table(table, Roles("y", None, "t"), ("north", "south"), uneven=True)
    assert panel.ids == ("north", "south")
    assert panel.stamps.tolist() == [1, 4, 9, 1, 4, 9]
    np.testing.assert_array_equal(panel.target, [1.0, 2.0, 0.0, 1.0, 2.0, np.nan])
