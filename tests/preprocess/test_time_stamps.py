"""Time stamps as people write them, and stamps spread over several columns."""

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grus.errors import DataError
from grus.preprocess.columns import Source
from grus.preprocess.times import as_times, looks_like_times, time_column, time_parts

SHEET = Source("t.csv", lambda index: f"row {index + 2}")


def read(*cells):
    return as_times(np.array(cells, object), "when", SHEET)


@pytest.mark.parametrize(
    ("cell", "meant"),
    [
        ("2024-01", "2024-01-01"),
        ("2024-01-31", "2024-01-31"),
        ("2024/1/31", "2024-01-31"),
        ("2024.01.31", "2024-01-31"),
        ("1990/1/1 0:00", "1990-01-01"),
        ("2024-01-31 13:05", "2024-01-31T13:05"),
        ("2024-01-31T13:05:09.25", "2024-01-31T13:05:09.25"),
        ("2024-01-31 13:05:09,123456789", "2024-01-31T13:05:09.123456789"),
        ("31.12.2024", "2024-12-31"),
        ("1.2.2024", "2024-02-01"),
        ("01.02.2024 07:00", "2024-02-01T07:00"),
        ("12/31/2024", "2024-12-31"),
        ("31/12/2024", "2024-12-31"),
        ("31-12-2024", "2024-12-31"),
        ("12/31/2024 1:05 PM", "2024-12-31T13:05"),
        ("12/31/2024 12:05:00 AM", "2024-12-31T00:05"),
        ("31 Jan 2024", "2024-01-31"),
        ("31-Jan-2024", "2024-01-31"),
        ("Jan 2024", "2024-01-01"),
        ("January 31, 2024", "2024-01-31"),
        ("sep 1, 2024 4:00", "2024-09-01T04:00"),
        ("  2024-01-31 ", "2024-01-31"),
        ("1678-01-01", "1678-01-01"),
    ],
)
def test_common_spellings(cell, meant):
    times, notes = read(cell)
    assert times.dtype == np.dtype("M8[ns]")
    assert times[0] == np.datetime64(meant, "ns")
    assert notes == ()


@pytest.mark.parametrize(
    ("cell", "meant"),
    [
        ("2024-01-31T13:05:00Z", "2024-01-31T13:05"),
        ("2024-01-31 13:05+02:00", "2024-01-31T11:05"),
        ("2024-01-31 13:05:00 -0330", "2024-01-31T16:35"),
        ("2024-01-31 23:30-01", "2024-02-01T00:30"),
    ],
)
def test_zones_are_converted_to_utc_and_noted(cell, meant):
    times, notes = read(cell)
    assert times[0] == np.datetime64(meant, "ns")
    assert notes == ("column 'when': time stamps carry a time zone and were read as UTC",)


FORMATS = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y/%m/%d %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%d.%m.%Y %H:%M:%S",
    "%d-%m-%Y %H:%M:%S", "%d %b %Y %H:%M:%S", "%B %d, %Y %H:%M:%S", "%Y-%m-%d %H:%M:%S+00:00",
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)), min_size=1, max_size=30),
    st.sampled_from(FORMATS),
    st.booleans(),
)
def test_every_stamp_in_every_spelling(stamps, spelling, padded):
    stamps = [stamp.replace(microsecond=0, year=max(stamp.year, 1000)) for stamp in stamps]
    stamps.append(datetime(2024, 12, 31))  # tells day and month apart
    cells = [stamp.strftime(spelling) for stamp in stamps]
    if not padded and spelling[1] != "Y":
        cells = [cell.lstrip("0") for cell in cells]
    assert read(*cells)[0].tolist() == np.array(stamps, "M8[ns]").tolist()


def test_zones_tell_the_hour_that_comes_twice_apart():
    times, _ = read("2024-10-27 02:30+02:00", "2024-10-27 02:30+01:00")
    assert times[1] - times[0] == np.timedelta64(1, "h")


def test_the_column_decides_between_day_and_month_first():
    np.testing.assert_array_equal(
        read("3/4/2024", "3/13/2024")[0], np.array(["2024-03-04", "2024-03-13"], "M8[ns]")
    )
    np.testing.assert_array_equal(
        read("3/4/2024", "13/4/2024")[0], np.array(["2024-04-03", "2024-04-13"], "M8[ns]")
    )


def test_ambiguous_column_is_an_error():
    with pytest.raises(DataError) as caught:
        read("3/4/2024", "5/6/2024")
    assert str(caught.value) == (
        "t.csv, column 'when': expected a date that tells day and month apart, got only days up to 12, "
        "as in '3/4/2024'"
    )
    assert caught.value.hint == "write dates as YYYY-MM-DD"


def test_mixed_column_is_an_error_naming_both_rows():
    with pytest.raises(DataError) as caught:
        read("1/2/2024", "13/1/2024", "1/2/2024", "1/13/2024")
    assert str(caught.value) == (
        "t.csv, column 'when': expected one order of day and month, got '13/1/2024' (row 3) and '1/13/2024' (row 5)"
    )


@pytest.mark.parametrize(
    "cell",
    ["yesterday", "2024-13-01", "2024-02-30", "30 Foo 2024", "2024-1-1 24:00", "2024-01-01 10:60", "1/2/24", "1-01",
     "31.11.2024", "12/31/2024 13:00 PM", "2263-01-01", "1677-12-31", "2024-01/31", "5 Jan 6, 2024"],
)  # fmt: skip
def test_what_is_no_date_is_named_with_its_row(cell):
    with pytest.raises(DataError) as caught:
        read("2024-01-31", "2024-02-01", cell)
    assert str(caught.value).startswith("t.csv, row 4, column 'when': expected a date")
    assert str(caught.value).endswith(f"got {cell!r}")


@pytest.mark.parametrize("empty", [None, "", "NA", "NaT"])
def test_a_missing_stamp_is_named_with_its_row(empty):
    with pytest.raises(DataError) as caught:
        read("2024-01-31", empty)
    assert str(caught.value) == "t.csv, row 3, column 'when': expected a time stamp, got an empty cell"


@pytest.mark.parametrize(
    "values", [np.array(["2024-01-01", "NaT"], "M8[ns]"), np.array([1.0, np.nan])], ids=["dates", "numbers"]
)
def test_a_missing_stamp_in_a_typed_column_too(values):
    with pytest.raises(DataError, match=r"^t.csv, row 3, column 'when': expected a time stamp, got an empty"):
        as_times(values, "when", SHEET)


def test_zone_on_some_stamps_only_is_an_error():
    with pytest.raises(DataError, match=r"with a time zone or none, got 1 of 2 with one$"):
        read("2024-01-31T00:00Z", "2024-01-31T01:00")


def test_whole_numbers_stay_whole_numbers():
    for values in (np.array([3, 4]), np.array([3.0, 4.0]), np.array(["3", "4"], object)):
        times, notes = as_times(values, "when", SHEET)
        assert times.dtype == np.int64
        assert times.tolist() == [3, 4]
        assert notes == ()


def test_fractions_are_no_time_axis():
    with pytest.raises(
        DataError, match=r"^t.csv, row 3, column 'when': expected a date or a whole number, got 0.5$"
    ):
        as_times(np.array([0.0, 0.5]), "when", SHEET)


def test_truth_values_are_no_time_axis():
    with pytest.raises(DataError, match=r"got true and false$"):
        as_times(np.array([True]), "when", SHEET)


def test_days_written_as_one_number():
    for values in (np.array([20240131, 20240201]), np.array(["20240131", "20240201"], object)):
        times, notes = as_times(values, "when", SHEET)
        assert times.tolist() == np.array(["2024-01-31", "2024-02-01"], "M8[ns]").tolist()
        assert notes == ("column 'when': whole numbers such as 20240131 were read as dates",)
    assert as_times(np.array([20240131, 20240132]), "when", SHEET)[0].dtype == np.int64


def test_looks_like_times():
    assert looks_like_times(np.array(["2024-01", None], object))
    assert looks_like_times(np.array(["2024-01"], "M8[M]"))
    assert not looks_like_times(np.array(["1-01"], object))
    assert not looks_like_times(np.array([None, ""], object))
    assert not looks_like_times(np.array([2024]))


def test_date_and_hour_columns_join():
    columns = {"day": np.array(["1/31/2011", "2/1/2011"], object), "hr": np.array([23, 0])}
    times = time_column(columns, "day+hr", SHEET)
    assert times.tolist() == np.array(["2011-01-31T23", "2011-02-01T00"], "M8[ns]").tolist()


def test_parts_of_the_calendar_join():
    columns = {
        "Year": np.array([2010, 2012]), "month": np.array([1, 2]), "day": np.array([31, 29]),
        "hour": np.array([5.0, 6.0]), "minute": np.array([0, 59]), "second": np.array([1, 2]),
    }  # fmt: skip
    times = time_column(columns, "Year+month+day+hour+minute+second", SHEET)
    assert times.tolist() == np.array(["2010-01-31T05:00:01", "2012-02-29T06:59:02"], "M8[ns]").tolist()
    assert time_column(columns, "Year+month", SHEET)[1] == np.datetime64("2012-02-01", "ns")


@pytest.mark.parametrize(
    ("columns", "name", "sentence"),
    [
        ({"d": ["2011-01-01"], "hr": [24]}, "d+hr", "t.csv, row 2, column 'hr': expected an hour from 0 to 23, got 24"),
        ({"year": [2011], "month": [2], "day": [29]}, "year+month+day",
         "t.csv, row 2, column 'year+month+day': expected a date that exists, got 2011-2-29"),
        ({"hour": [1], "minute": [2]}, "hour+minute",
         "t.csv: expected a column of dates or of years to join in 'hour+minute', got neither"),
        ({"d": ["2011-01-01"], "shift": [2]}, "d+shift",
         "t.csv, column 'shift': expected dates, or whole numbers in a column named year, month, day, hour, "
         "minute or second, to join in 'd+shift'"),
        ({"d": ["2011-01-01"]}, "d+hr", "t.csv: no column 'hr'; the columns are 'd'"),
    ],
)  # fmt: skip
def test_what_cannot_be_joined(columns, name, sentence):
    with pytest.raises(DataError) as caught:
        time_column({k: np.array(v, object) for k, v in columns.items()}, name, SHEET)
    assert str(caught.value) == sentence


def test_a_column_may_have_a_plus_in_its_name():
    columns = {"a+b": np.array(["2024-01-01"], object)}
    assert time_parts("a+b", columns) == ("a+b",)
    assert time_column(columns, "a+b", SHEET) is columns["a+b"]
