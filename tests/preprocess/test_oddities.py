"""Numbers that seem to stand for missing values are named; others that are merely extreme are not."""

import numpy as np
import pytest

from grus.preprocess import storage
from grus.preprocess.columns import Source
from grus.preprocess.oddities import stand_ins, value_range

SHEET = Source("t.csv", lambda index: f"row {index + 2}")


def remarks(values):
    return stand_ins(np.array(values, np.float64), "t", SHEET)


@pytest.mark.parametrize("chunk", [1, 3, 100])
@pytest.mark.parametrize(
    ("values", "odd"),
    [
        ([20, 21, -9999, 19, -9999], "-9999"),
        ([0.2, 0.5, 99, 99, np.nan], "99"),
        ([20.5, 21, -999.9, -999.9], "-999.9"),
        ([20, 21, 32767, 32767], "32767"),
        ([20, 21, 9.96921e36, 9.96921e36], "9.96921e+36"),
    ],
)
def test_what_seems_to_stand_for_missing(monkeypatch, chunk, values, odd):
    monkeypatch.setattr(storage, "CHUNK", chunk)
    row = values.index(float(odd)) + 2
    assert remarks(values) == (
        f"column 't': {odd} comes 2 times (first in row {row}), far from every other value; "
        "if it stands for a missing one, leave those cells empty",
    )


def test_both_ends():
    assert [text.split()[2] for text in remarks([20, 21, -9999, 9999, -9999, 9999])] == ["-9999"]
    assert [text.split()[2] for text in remarks([20, 21, -999, 99999, -999, 99999])] == ["99999"]


@pytest.mark.parametrize(
    "values",
    [
        [20, 21, -9999, 19],  # once may be a spike
        [50, 98, 99, 99, 0],  # the top of a percentage
        [5, 5, 99, 99],  # nothing to be far from
        [20, 21, 5000, 5000],  # far, but a number like any other
        [9, 0, 9, 9],
        [np.nan, np.nan],
        [],
    ],
)
def test_what_is_merely_extreme(values):
    assert remarks(values) == ()


def test_value_range():
    assert value_range(np.array([np.nan, 3, -1, 7])) == (-1, 7)
    assert value_range(np.array([np.nan, 3, -1, 7]), without=7) == (-1, 3)
    assert np.isnan(value_range(np.array([np.nan]))).all()
