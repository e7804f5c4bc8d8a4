"""Steps: spelling, arithmetic against pandas, and what is inferred from stamps."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grus.errors import DataError, UsageError
from grus.preprocess.frequency import Frequency, full_stamp, stamp
from grus.preprocess.grid import infer_frequency

SPELLINGS = [
    "us", "250ms", "s", "30s", "min", "15min", "h", "2h", "D", "3D", "B", "2B", "W-SUN", "W-WED", "2W-MON",
    "MS", "ME", "2MS", "QS", "QS-FEB", "QE", "QE-NOV", "YS", "YS-APR", "YE", "YE-JUN", "2YE",
]  # fmt: skip

INFERRED = [s for s in SPELLINGS if s != "2B"]  # every second business day is not told from gaps


def range_of(spelling, n, start="2019-12-30 00:00"):
    return pd.date_range(start, periods=n, freq=spelling).to_numpy().astype("M8[ns]")


@pytest.mark.parametrize("spelling", [*SPELLINGS, "step", "7step"])
def test_spelling_survives_a_round_trip(spelling):
    assert str(Frequency.from_string(spelling)) == spelling


@pytest.mark.parametrize(
    ("spelling", "meant"),
    [("H", "h"), ("15T", "15min"), ("M", "ME"), ("Q", "QE"), ("A", "YE"), ("AS", "YS"), ("W", "W-SUN"),
     ("QS-JAN", "QS"), ("QE-DEC", "QE"), (" 1h ", "h")],
)  # fmt: skip
def test_other_spellings_mean_the_same(spelling, meant):
    assert Frequency.from_string(spelling) == Frequency.from_string(meant)


@pytest.mark.parametrize(
    "spelling", ["", "x", "0h", "-1h", "1.5h", "W-FOO", "W-JAN", "QS-MON", "D-MON", "h15"]
)
def test_unknown_spelling_is_a_usage_error(spelling):
    with pytest.raises(UsageError, match=r"^frequency: expected one of us, ms, .*, got '"):
        Frequency.from_string(spelling)


def test_unknown_unit_is_a_usage_error_also_without_a_spelling():
    with pytest.raises(UsageError, match="got '2fortnight'"):
        Frequency("fortnight", 2)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_at_and_position_agree_with_pandas(spelling):
    frequency, times = Frequency.from_string(spelling), range_of(spelling, 110)
    k = np.arange(110)
    np.testing.assert_array_equal(frequency.at(times[0], k), times)
    np.testing.assert_array_equal(frequency.position(times, times[0]), k)
    np.testing.assert_array_equal(frequency.position(times, times[60]), k - 60)
    np.testing.assert_array_equal(frequency.at(times[60], k - 60), times)


@pytest.mark.parametrize("spelling", [s for s in SPELLINGS if s != "us"])
def test_a_stamp_between_two_steps_is_refused_and_named(spelling):
    frequency, times = Frequency.from_string(spelling), range_of(spelling, 50)
    times[20] += np.timedelta64(1, "us")
    with pytest.raises(DataError, match=rf"expected steps of {spelling} counted from .*, got '.*000001'"):
        frequency.position(times, times[0])


@pytest.mark.parametrize(
    ("spelling", "start", "bad"),
    [("B", "2024-01-01", "2024-01-06"), ("B", "2024-01-06", "2024-01-08"), ("MS", "2024-01-01", "2024-02-02"),
     ("ME", "2024-01-31", "2024-02-28"), ("ME", "2024-01-30", "2024-02-29"), ("2MS", "2024-01-01", "2024-02-01"),
     ("QS", "2024-01-01", "2024-03-01"), ("YE", "2023-12-31", "2024-11-30"), ("W-MON", "2024-01-01", "2024-01-09")],
)  # fmt: skip
def test_calendar_steps_refuse_days_off_the_calendar(spelling, start, bad):
    exact = Frequency.from_string(spelling).locate(np.array([bad], "M8[ns]"), np.datetime64(start, "ns"))[1]
    assert not exact.any()


def test_starts_may_differ_from_stamp_to_stamp():
    frequency = Frequency.from_string("MS")
    starts = np.array(["2024-01-01", "2023-01-01"], "M8[ns]")
    np.testing.assert_array_equal(frequency.position(np.array(["2024-03-01"] * 2, "M8[ns]"), starts), [2, 14])


def test_spans_of_more_than_292_years_do_not_overflow():
    frequency = Frequency("D")
    first, last = np.datetime64("1700-01-01", "ns"), np.datetime64("2200-01-01", "ns")
    k = frequency.position(np.array([last]), first)
    assert k[0] == (last.astype("M8[D]") - first.astype("M8[D]")).astype(int)
    assert frequency.at(first, k)[0] == last
    assert not frequency.locate(np.array([last + np.timedelta64(1, "h")]), first)[1].any()


def test_whole_numbers():
    frequency = Frequency("step", 5)
    np.testing.assert_array_equal(frequency.at(3, np.arange(3)), [3, 8, 13])
    np.testing.assert_array_equal(frequency.position(np.array([3, 13, -2]), 3), [0, 2, -1])
    with pytest.raises(DataError, match=r"expected steps of 5step counted from '3', got '4'"):
        frequency.position(np.array([3, 4]), 3)


@pytest.mark.parametrize(
    ("spelling", "seasons"),
    [("s", (60, 3600)), ("min", (60, 1440, 10080)), ("15min", (96, 672)), ("30min", (48, 336)), ("h", (24, 168)),
     ("2h", (12, 84)), ("D", (7,)), ("7D", (1,)), ("B", (5,)), ("W", (52,)), ("2W", (26,)), ("MS", (12,)),
     ("ME", (12,)), ("3MS", (4,)), ("QE", (4,)), ("YS", (1,)), ("step", (1,)), ("7min", (1440,)), ("11h", (1,))],
)  # fmt: skip
def test_seasons(spelling, seasons):
    frequency = Frequency.from_string(spelling)
    assert frequency.seasons == seasons
    assert frequency.season == seasons[0]


def test_counts_in_words():
    assert Frequency("h").count(1) == "1 hour"
    assert Frequency("B").count(1234) == "1,234 business days"
    assert Frequency("min", 15).count(2) == "2 steps of 15 minutes"
    assert Frequency("min", 15).words == "15 minutes"


def test_stamps_as_people_write_them():
    assert stamp(np.datetime64("2024-01-05", "ns")) == "2024-01-05"
    assert full_stamp(np.datetime64("2024-01-05", "ns")) == "2024-01-05 00:00:00"
    assert stamp(np.datetime64("2024-01-05T13:00", "ns")) == "2024-01-05 13:00:00"
    assert stamp(np.datetime64("2024-01-05T13:00:00.500", "ns")) == "2024-01-05 13:00:00.5"
    assert full_stamp(np.int64(12)) == stamp(12) == "12"


@pytest.mark.parametrize("spelling", INFERRED)
def test_inferred_from_a_plain_range(spelling):
    assert str(infer_frequency(range_of(spelling, 60))) == spelling


@settings(max_examples=60, deadline=None)
@given(
    spelling=st.sampled_from(INFERRED),
    holes=st.sets(st.integers(0, 109), max_size=30),
    seed=st.integers(0, 2**32 - 1),
)
def test_inferred_through_gaps_and_disorder(spelling, holes, seed):
    times = np.delete(range_of(spelling, 110), sorted(holes))
    assert str(infer_frequency(times)) == spelling
    assert str(infer_frequency(np.random.default_rng(seed).permutation(times))) == spelling


def test_daily_stamps_over_weekends_are_days_and_within_a_week_too():
    assert str(infer_frequency(range_of("D", 10))) == "D"
    assert str(infer_frequency(range_of("B", 5, "2024-01-01"))) == "D"  # Monday to Friday: no weekend to see


def test_monthly_stamps_inside_the_month_are_not_taken_for_months():
    times = range_of("MS", 10) + np.timedelta64(14, "D")
    with pytest.raises(DataError, match=r"expected steps of 31D"):
        infer_frequency(times, "when", "t.csv")


def test_uneven_stamps_name_two_rows():
    times = np.array(
        ["2024-01-01 00:00", "2024-01-01 00:10", "2024-01-01 00:20", "2024-01-01 00:37"], "M8[ns]"
    )
    with pytest.raises(DataError) as caught:
        infer_frequency(times, "when", "t.csv")
    assert str(caught.value) == (
        "t.csv, row 3 (counting from 0), column 'when': expected steps of 10min, got '2024-01-01 00:37:00' "
        "after '2024-01-01 00:20:00' (row 2 (counting from 0))"
    )


def test_one_stamp_has_no_frequency():
    with pytest.raises(DataError, match=r"expected two time stamps or more in some series, got one each"):
        infer_frequency(range_of("D", 1))
