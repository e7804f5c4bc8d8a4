"""Calendar features: smooth, periodic, the same wherever a stamp is seen."""

import numpy as np
import pytest

from grus.errors import UsageError
from grus.preprocess.calendar import HARMONICS, calendar_features, default_calendar, feature_names
from grus.preprocess.frequency import Frequency

HOURS = np.datetime64("2023-12-20", "ns") + np.arange(24 * 400) * np.timedelta64(1, "h")


def test_names_match_columns_and_bounds():
    names = tuple(HARMONICS)
    x = calendar_features(HOURS, names)
    assert x.dtype == np.float32
    assert x.shape == (len(HOURS), len(feature_names(names)))
    assert np.abs(x).max() <= 1
    assert feature_names(("day_of_week", "weekend"))[:2] == ("day_of_week_sin1", "day_of_week_cos1")
    assert feature_names(("weekend",)) == ("weekend",)


@pytest.mark.parametrize(
    ("name", "period"), [("minute_of_hour", 1), ("hour_of_day", 24), ("day_of_week", 168)]
)
def test_fixed_cycles_repeat(name, period):
    x = calendar_features(HOURS, (name,))
    np.testing.assert_array_equal(x[:-period], x[period:])


def test_first_harmonic_is_the_clock():
    x = calendar_features(HOURS[:24], ("hour_of_day",))
    angle = 2 * np.pi * np.arange(24) / 24
    np.testing.assert_allclose(x[:, :2], np.stack((np.sin(angle), np.cos(angle)), 1), atol=1e-6)
    np.testing.assert_allclose(x[:, 2], np.sin(2 * angle), atol=1e-6)


def test_week_begins_on_monday_and_weekend_is_saturday_and_sunday():
    days = np.arange("2024-01-01", "2024-01-08", dtype="M8[D]")  # Monday to Sunday
    assert calendar_features(days, ("weekend",))[:, 0].tolist() == [0, 0, 0, 0, 0, 1, 1]
    np.testing.assert_allclose(calendar_features(days[:1], ("day_of_week",))[0, :2], [0, 1], atol=1e-7)


def test_year_closes_on_itself_in_leap_years_too():
    for year in (2023, 2024):
        ends = np.array([f"{year}-01-01T00", f"{year}-12-31T23:59:59"], "M8[ns]")
        x = calendar_features(ends, ("day_of_year",))
        np.testing.assert_allclose(x[0], x[1], atol=1e-5)


def test_before_1970_too():
    x = calendar_features(np.array(["1969-12-29T06"], "M8[ns]"), ("hour_of_day", "weekend", "month_of_year"))
    np.testing.assert_allclose(x[0, :2], [1, 0], atol=1e-6)  # a quarter of the day
    assert x[0, 8] == 0  # a Monday
    np.testing.assert_allclose(x[0, 9], np.sin(2 * np.pi * 11 / 12), atol=1e-6)


def test_a_row_does_not_depend_on_the_others():
    names = tuple(HARMONICS)
    np.testing.assert_array_equal(
        calendar_features(HOURS, names)[777:779], calendar_features(HOURS[777:779], names)
    )


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("15min", ("minute_of_hour", "hour_of_day", "day_of_week", "weekend", "day_of_year")),
        ("h", ("hour_of_day", "day_of_week", "weekend", "day_of_year")),
        ("D", ("day_of_week", "weekend", "day_of_month", "day_of_year")),
        ("B", ("day_of_week", "day_of_month", "day_of_year")),
        ("W-MON", ("week_of_year",)),
        ("ME", ("month_of_year",)),
        ("QS", ("quarter_of_year",)),
        ("YS", ()),
        ("step", ()),
    ],
)
def test_default_cycles(spelling, expected):
    assert default_calendar(Frequency.from_string(spelling)) == expected


def test_unknown_cycle_is_a_usage_error():
    with pytest.raises(UsageError, match=r"^calendar: expected one of minute_of_hour, .*, got 'tide'$"):
        calendar_features(HOURS, ("tide",))
