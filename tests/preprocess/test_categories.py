"""Categories: names, codes, and what was never seen."""

import numpy as np
import pytest

from grus.errors import DataError
from grus.preprocess.categories import encode, fit_categories, unseen

WIND = np.array(["NW", "cv", None, "NW", "", "SE", "NA"], object)


def test_sorted_distinct_without_missing():
    assert fit_categories(WIND) == ("NW", "SE", "cv")


def test_codes_leave_zero_for_missing_and_unseen():
    codes = encode(np.array(["cv", "NW", None, "", "new"], object), ("NW", "SE", "cv"))
    assert codes.dtype == np.int32
    assert codes.tolist() == [3, 1, 0, 0, 0]


def test_fixed_width_text_is_the_same():
    assert fit_categories(np.array(["b", "a", ""])) == ("a", "b")
    assert encode(np.array(["b", "", "c"]), ("a", "b")).tolist() == [2, 0, 0]


def test_numbers_go_by_their_shortest_spelling():
    assert fit_categories(np.array([2.0, 1.0, np.nan, 1.5])) == ("1", "1.5", "2")
    assert encode(np.array([1.0, np.nan, 2.5]), ("1", "2")).tolist() == [1, 0, 0]
    assert encode(np.array([2, 1]), ("1", "2")).tolist() == [2, 1]
    assert encode(np.array(["2", "1"], object), ("1", "2")).tolist() == [2, 1]


def test_too_many_values_are_an_error():
    values = np.array([f"v{i}" for i in range(11)], object)
    assert len(fit_categories(values, "shop", most=11)) == 11
    with pytest.raises(DataError) as caught:
        fit_categories(values, "shop", most=10)
    assert str(caught.value) == "column 'shop': expected at most 10 different values in a category, got 11"


def test_empty_column():
    assert fit_categories(np.array([], object)) == ()
    assert encode(np.array([], object), ("a",)).tolist() == []


def test_what_was_never_seen_is_named_in_the_order_it_comes():
    assert unseen(np.array(["z", "NW", None, "a", "z", "NA"], object), ("NW", "SE")) == ["z", "a"]
    assert unseen(np.array([2.0, 1, np.nan, 3]), ("1", "2")) == ["3"]
    assert unseen(WIND, fit_categories(WIND)) == []
