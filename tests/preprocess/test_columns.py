"""Columns: types that are let in, text that must be numbers, names of rows."""

from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pytest

from grus.errors import DataError
from grus.preprocess.columns import (
    Source,
    as_column,
    as_covariate,
    as_numbers,
    listed,
    missing_column,
)

SALES = Source("sales.csv", lambda index: f"row {index + 2}")


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([1, 2], np.int8), np.int64),
        (np.array([1, 2], np.uint16), np.int64),
        (np.array([1, 2], np.float32), np.float64),
        ([1, None, 2.5], np.float64),
        ([None, None], np.float64),
        ([Decimal("1.5"), 2], np.float64),
        ([True, False], np.bool_),
        ([True, None], np.float64),
        (["a", None], object),
        (np.array(["a", 1, np.nan], object), object),
        ([date(2024, 1, 1), None], "M8[ns]"),
        ([datetime(2024, 1, 1, 5), None], "M8[ns]"),
        (np.array(["2024-01"], "M8[M]"), "M8[ns]"),
    ],
)
def test_types_let_in(values, dtype):
    assert as_column(values, "x").dtype == np.dtype(dtype)


def test_numbers_among_text_become_text_and_nan_becomes_missing():
    assert as_column(np.array(["a", 1, np.nan, None], object), "x").tolist() == ["a", "1", None, None]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.zeros((2, 2)), "data, column 'x': expected one value per row, got shape (2, 2)"),
        (np.array([1j]), "data, column 'x': expected numbers, text or dates, got type complex128"),
        (np.array([object()]), "data, column 'x': expected numbers, text or dates, got values of type object"),
        (np.array(["a", date(2024, 1, 1)], object),
         "data, column 'x': expected numbers, text or dates, got values of type date, str"),
        (np.array(["2500-01-01"], "M8[D]"),
         "data, row 0 (counting from 0), column 'x': expected a date from 1678 to 2261, got '2500-01-01'"),
    ],
)  # fmt: skip
def test_types_kept_out(values, sentence):
    with pytest.raises(DataError) as caught:
        as_column(values, "x")
    assert str(caught.value) == sentence


def test_text_in_a_number_column_is_named_with_its_row():
    values = np.array(["1", "2.5", None, "n/a", "n/a-ish", "n/a-ish"], object)
    with pytest.raises(DataError) as caught:
        as_numbers(values, "qty", SALES)
    assert str(caught.value) == "sales.csv, row 6, column 'qty': expected a number, got 'n/a-ish'"
    np.testing.assert_array_equal(as_numbers(values[:4], "qty"), [1, 2.5, np.nan, np.nan])


@pytest.mark.parametrize("text", ["1_000", "1,5", "0x1", "12 EUR", "--1"])
def test_what_is_no_number(text):
    with pytest.raises(DataError, match="expected a number, got"):
        as_numbers(np.array([text], object), "qty")


@pytest.mark.parametrize("infinite", [np.inf, -np.inf])
def test_infinite_values_are_refused(infinite):
    with pytest.raises(DataError) as caught:
        as_numbers(np.array([1.0, infinite]), "qty", SALES)
    assert str(caught.value) == f"sales.csv, row 3, column 'qty': expected a finite number, got {infinite}"
    with pytest.raises(DataError, match="expected a finite number"):
        as_numbers(np.array(["1", "inf"], object), "qty", SALES)


def test_numbers_of_every_kind():
    assert as_numbers(np.array([True, False]), "x").tolist() == [1.0, 0.0]
    assert as_numbers(np.array([1, 2]), "x").dtype == np.float64
    with pytest.raises(DataError, match=r"column 'x': expected numbers, got dates$"):
        as_numbers(np.array(["2024"], "M8[ns]"), "x")


def test_covariates_are_numbers_or_categories():
    assert as_covariate(np.array(["NW", None], object), "wind").dtype == object
    assert as_covariate(np.array(["1", "2"], object), "grade").dtype == object  # text on purpose
    assert as_covariate(np.array([1, 2]), "x").dtype == np.float64
    with pytest.raises(DataError, match="expected numbers or text for a covariate, got dates"):
        as_covariate(np.array(["2024"], "M8[ns]"), "x")


def test_a_spoilt_number_column_is_no_category():
    cells = [f"{i / 10}" for i in range(100)]
    cells[40] = "broken"
    with pytest.raises(DataError) as caught:
        as_covariate(np.array(cells, object), "temp", SALES)
    assert str(caught.value) == "sales.csv, row 42, column 'temp': expected a number, got 'broken'"


def test_rows_of_frames_count_from_zero():
    assert Source("data").row(16) == "row 16 (counting from 0)"
    assert SALES.row(16) == "row 18"
    assert f"{SALES}" == "sales.csv"


def test_missing_column_lists_and_hints():
    error = missing_column("qtty", ["ds", "qty"], "sales.csv")
    assert str(error) == "sales.csv: no column 'qtty'; the columns are 'ds', 'qty'"
    assert error.hint == "did you mean 'qty'?"
    assert missing_column("zzz", ["ds", "qty"], "sales.csv").hint == ""
    assert listed([f"c{i}" for i in range(1000)], most=2) == "'c0', 'c1' and 998 more"
