"""Calendar features: smooth pairs of the clock and the year, the same for a stamp wherever it is seen."""

import numpy as np

from grus.errors import UsageError
from grus.preprocess.frequency import DAY, Frequency

HARMONICS = {
    "minute_of_hour": 2,
    "hour_of_day": 4,
    "day_of_week": 3,
    "day_of_month": 2,
    "day_of_year": 3,
    "week_of_year": 3,
    "month_of_year": 3,
    "quarter_of_year": 1,
    "weekend": 0,
}
"""Calendar name -> number of (sin, cos) pairs; 0 marks a plain 0/1 flag."""


def feature_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Column names of ``calendar_features``: ``hour_of_day_sin1``, ``hour_of_day_cos1``, ..., ``weekend``."""
    out: list[str] = []
    for name in names:
        harmonics = _harmonics(name)
        out += [f"{name}_{f}{k}" for k in range(1, harmonics + 1) for f in ("sin", "cos")] or [name]
    return tuple(out)


def calendar_features(times: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Smooth features of time stamps: sin(2 pi k phase), cos(2 pi k phase), k = 1 .. harmonics of each name.

    The phase of a cycle runs from 0 to 1 and depends on the stamp alone; nothing is fitted.

    Args:
        times: datetime64 [R].
        names: keys of ``HARMONICS``.

    Returns:
        float32 [R, len(feature_names(names))], in [-1, 1].
    """
    stamps = np.asarray(times, "M8[ns]")
    out = np.empty((len(stamps), len(feature_names(names))), np.float32)
    column = 0
    for name in names:
        harmonics = _harmonics(name)
        phase = cycle_phase(stamps, name)
        if not harmonics:
            out[:, column] = phase
            column += 1
        for k in range(1, harmonics + 1):
            angle = 2 * np.pi * k * phase
            out[:, column], out[:, column + 1] = np.sin(angle), np.cos(angle)
            column += 2
    return out


def default_calendar(frequency: Frequency) -> tuple[str, ...]:
    """The cycles that a series of this frequency can show; none for whole-number time."""
    unit = frequency.unit
    if unit == "step":
        return ()
    length = frequency.nanoseconds
    if length is not None and length < DAY:
        short = length < 3600 * 10**9
        return (
            *(("minute_of_hour",) if short else ()),
            "hour_of_day",
            "day_of_week",
            "weekend",
            "day_of_year",
        )
    by_unit = {
        "D": ("day_of_week", "weekend", "day_of_month", "day_of_year"),
        "B": ("day_of_week", "day_of_month", "day_of_year"),
        "W": ("week_of_year",),
        "MS": ("month_of_year",), "ME": ("month_of_year",),
        "QS": ("quarter_of_year",), "QE": ("quarter_of_year",),
    }  # fmt: skip
    return by_unit.get(unit, ())


def _harmonics(name: str) -> int:
    if name not in HARMONICS:
        raise UsageError(f"calendar: expected one of {', '.join(HARMONICS)}, got {name!r}")
    return HARMONICS[name]


def cycle_phase(stamps: np.ndarray, name: str) -> np.ndarray:
    """Where in its cycle each stamp lies, float64 in [0, 1); the flag itself for ``weekend``."""
    days = stamps.astype("M8[D]")
    clock = (stamps - days).astype(np.int64)
    weekday = (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    months = stamps.astype("M8[M]")
    if name == "minute_of_hour":
        return clock % (3600 * 10**9) / (3600 * 10**9)
    if name == "hour_of_day":
        return clock / DAY
    if name == "day_of_week":
        return (weekday + clock / DAY) / 7
    if name == "weekend":
        return (weekday >= 5).astype(np.float64)
    if name == "day_of_month":
        return (days - months).astype(np.int64) / 31
    if name == "month_of_year":
        return months.astype(np.int64) % 12 / 12
    if name == "quarter_of_year":
        return months.astype(np.int64) % 12 // 3 / 4
    start = stamps.astype("M8[Y]")
    length = ((start + 1).astype("M8[D]") - start.astype("M8[D]")).astype(np.int64)
    day = (days - start.astype("M8[D]")).astype(np.int64)
    return (day + clock / DAY) / length
