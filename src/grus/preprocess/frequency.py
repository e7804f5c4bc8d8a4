"""The even steps that a series is laid on: fixed lengths, business days, calendar months, whole numbers."""

import re
from dataclasses import dataclass

import numpy as np

from grus.errors import DataError, UsageError

MINUTE, HOUR, DAY, WEEK = 60 * 10**9, 3600 * 10**9, 86_400 * 10**9, 7 * 86_400 * 10**9
_FIXED = {"us": 10**3, "ms": 10**6, "s": 10**9, "min": MINUTE, "h": HOUR, "D": DAY, "W": WEEK}
_MONTHS = {"MS": 1, "ME": 1, "QS": 3, "QE": 3, "YS": 12, "YE": 12}
_UNITS = (*_FIXED, "B", *_MONTHS, "step")
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_OTHER_SPELLINGS = {
    "T": "min", "H": "h", "S": "s", "L": "ms", "U": "us", "d": "D", "w": "W", "b": "B",
    "M": "ME", "Q": "QE", "Y": "YE", "A": "YE", "AS": "YS",
}  # fmt: skip
_NOUNS = {
    "us": "microsecond", "ms": "millisecond", "s": "second", "min": "minute", "h": "hour", "D": "day",
    "W": "week", "B": "business day", "MS": "month", "ME": "month", "QS": "quarter", "QE": "quarter",
    "YS": "year", "YE": "year", "step": "step",
}  # fmt: skip
_SPELLING = re.compile(r"([0-9]{0,9})([A-Za-z]+)(?:-([A-Z]{3}))?")


@dataclass(frozen=True)
class Frequency:
    """A step between rows, spelled as in pandas: ``h``, ``15min``, ``D``, ``B``, ``W-MON``, ``MS``, ``2step``.

    Attributes:
        unit: us, ms, s, min, h, D, W, B (Mon-Fri), MS/ME, QS/QE, YS/YE (first or last day), or step
            (whole numbers instead of dates).
        multiple: how many units make one step, at least 1.
        anchor: the weekday of W, the month that begins (QS, YS) or ends (QE, YE) a cycle; "" otherwise.
    """

    unit: str
    multiple: int = 1
    anchor: str = ""

    def __post_init__(self) -> None:  # noqa: D105
        anchors = _anchors(self.unit)
        if self.unit not in _UNITS or self.multiple < 1 or (self.anchor and self.anchor not in anchors):
            raise UsageError(_expected(f"{self.multiple}{self.unit}-{self.anchor}".rstrip("-")))
        if anchors and not self.anchor:
            default = {"W": "SUN", "QE": "DEC", "YE": "DEC"}.get(self.unit, "JAN")
            object.__setattr__(self, "anchor", default)

    @classmethod
    def from_string(cls, text: str) -> "Frequency":
        """Read a spelling such as ``15min``; raises ``UsageError`` for one it does not know."""
        match = _SPELLING.fullmatch(text.strip())
        if match is None:
            raise UsageError(_expected(text))
        count, unit, anchor = match.groups()
        unit = _OTHER_SPELLINGS.get(unit, unit)
        if unit not in _UNITS or (anchor and anchor not in _anchors(unit)) or count.strip("0") == "" != count:
            raise UsageError(_expected(text))
        return cls(unit, int(count or 1), anchor or "")

    def __str__(self) -> str:  # noqa: D105
        hidden = {"QS": "JAN", "YS": "JAN", "QE": "DEC", "YE": "DEC"}.get(self.unit, "")
        anchor = f"-{self.anchor}" if self.anchor != hidden else ""
        return f"{self.multiple if self.multiple > 1 else ''}{self.unit}{anchor}"

    @property
    def is_integer(self) -> bool:
        """Whether the time axis is whole numbers instead of dates."""
        return self.unit == "step"

    @property
    def seasons(self) -> tuple[int, ...]:
        """Usual season lengths in steps, shortest first: ``h`` gives (24, 168), ``D`` (7,), ``MS`` (12,)."""
        cycles = {
            "us": (10**6,), "ms": (10**3,), "s": (60, 3600), "min": (60, 1440, 10_080), "h": (24, 168),
            "D": (7,), "B": (5,), "W": (52,), "MS": (12,), "ME": (12,), "QS": (4,), "QE": (4,),
        }.get(self.unit, ())  # fmt: skip
        if self.unit == "min" and self.multiple > 1:
            cycles = (1440, 10_080)
        found = [cycle // self.multiple for cycle in cycles if cycle % self.multiple == 0]
        return tuple(n for n in found if n > 1) or (1,)

    @property
    def season(self) -> int:
        """The default season length in steps: h 24, D 7, B 5, W 52, month 12, quarter 4, otherwise 1."""
        return self.seasons[0]

    def count(self, n: int) -> str:
        """``1 hour``, ``165 hours``, ``12 steps of 15 minutes``: n steps in words."""
        noun = _NOUNS[self.unit]
        if self.multiple == 1:
            return f"{n:,} {noun}{'' if n == 1 else 's'}"
        return f"{n:,} step{'' if n == 1 else 's'} of {self.multiple} {noun}s"

    def at(self, start: np.ndarray | np.datetime64 | int, k: np.ndarray | int) -> np.ndarray:
        """Stamps ``k`` steps after ``start``; both broadcast; datetime64[ns], or int64 for ``step``."""
        steps = np.asarray(k, np.int64) * self.multiple
        if self.is_integer:
            return np.asarray(start, np.int64) + steps
        first = np.asarray(start, "M8[ns]")
        if self.unit in _FIXED:
            return first + (steps * _FIXED[self.unit]).astype("m8[ns]")
        day = first.astype("M8[D]")
        clock = first - day
        if self.unit == "B":
            return np.busday_offset(day, steps).astype("M8[ns]") + clock
        months = day.astype("M8[M]") + steps * _MONTHS[self.unit]
        if self.unit.endswith("E"):
            return ((months + 1).astype("M8[D]") - 1).astype("M8[ns]") + clock
        return months.astype("M8[ns]") + clock

    def locate(
        self, times: np.ndarray, start: np.ndarray | np.datetime64 | int
    ) -> tuple[np.ndarray, np.ndarray]:
        """How many steps after ``start`` each stamp lies, and whether it lies on a step exactly.

        Returns:
            k, int64, rounded down where the stamp is between two steps; exact, bool; shape of ``times``.
        """
        if self.is_integer:
            k, rest = np.divmod(np.asarray(times, np.int64) - np.asarray(start, np.int64), self.multiple)
            return k, rest == 0
        stamps, first = np.asarray(times, "M8[ns]"), np.asarray(start, "M8[ns]")
        if self.unit in _FIXED:
            span = (stamps - first).astype(np.int64)
            k, rest = np.divmod(span, self.multiple * _FIXED[self.unit])
            return k, rest == 0
        days, first_day = stamps.astype("M8[D]"), first.astype("M8[D]")
        if self.unit == "B":
            span = np.busday_count(first_day, days)
            k = span // self.multiple
        else:
            span = (days.astype("M8[M]") - first_day.astype("M8[M]")).astype(np.int64)
            k = span // (self.multiple * _MONTHS[self.unit])
        # A first stamp on a weekend or inside a month is on no grid; neither is what follows from it.
        return k, (self._on_calendar(days) & self._on_calendar(first_day)) & (self.at(first, k) == stamps)

    def _on_calendar(self, days: np.ndarray) -> np.ndarray:
        if self.unit == "B":
            return np.is_busday(days)
        edge = days + 1 if self.unit.endswith("E") else days
        return edge == edge.astype("M8[M]").astype("M8[D]")

    def position(self, times: np.ndarray, start: np.ndarray | np.datetime64 | int) -> np.ndarray:
        """Steps from ``start`` to each stamp, int64; a stamp between two steps is a ``DataError``."""
        k, exact = self.locate(times, start)
        if not np.all(exact):
            bad = np.asarray(times)[~exact].reshape(-1)[0]
            first = np.broadcast_to(np.asarray(start), np.shape(times))[~exact].reshape(-1)[0]
            raise DataError(
                f"time stamps: expected steps of {self} counted from {stamp(first)!r}, got {stamp(bad)!r}"
            )
        return k


def stamp(value: np.datetime64 | np.int64 | int) -> str:
    """One time stamp as people write it: ``2024-01-05``, ``2024-01-05 13:00:00``, or a whole number."""
    if not isinstance(value, np.datetime64):
        return str(int(value))
    if value == value.astype("M8[D]"):
        return str(value.astype("M8[D]"))
    text = str(value.astype("M8[ns]")).replace("T", " ")
    return text.rstrip("0").rstrip(".") if int(value.astype("M8[ns]").astype(np.int64)) % 10**9 else text[:19]


def _anchors(unit: str) -> tuple[str, ...]:
    return _WEEKDAYS if unit == "W" else _MONTH_NAMES if unit in ("QS", "QE", "YS", "YE") else ()


def _expected(got: str) -> str:
    units = ", ".join(_UNITS)
    return f"frequency: expected one of {units}, a multiple or an anchor of it (15min, W-MON), got {got!r}"


def guess_frequency(times: np.ndarray, offsets: np.ndarray) -> Frequency | None:
    """The commonest step between neighbouring stamps of the same series; None if no series has two.

    Looks at the calendar (month ends, weekdays) but does not check that every stamp lies on the grid.

    Args:
        times: datetime64[ns] or int64 [R], ascending and without repeats inside each series.
        offsets: int64 [N + 1], the rows of series i are ``offsets[i]:offsets[i + 1]``.
    """
    inside = np.ones(max(len(times) - 1, 0), bool)
    inside[offsets[1:-1][(offsets[1:-1] > 0) & (offsets[1:-1] < len(times))] - 1] = False
    ticks = times.astype(np.int64)
    gaps = np.diff(ticks)[inside]
    if not len(gaps):
        return None
    if times.dtype.kind != "M":
        return Frequency("step", _commonest(gaps))
    gap = _commonest(gaps)
    return _guess_calendar(times, inside, gap) or _guess_fixed(times, gaps, gap)


def _commonest(gaps: np.ndarray) -> int:
    """The commonest value, the smallest of several; without sorting when the first one holds the majority."""
    if np.count_nonzero(gaps == gaps[0]) * 2 > len(gaps):
        return int(gaps[0])
    values, counts = np.unique(gaps, return_counts=True)
    return int(values[np.argmax(counts)])


def _guess_calendar(times: np.ndarray, inside: np.ndarray, gap: int) -> Frequency | None:
    """Months, quarters and years, if every stamp is the first, or the last, day of a month."""
    if gap < 28 * DAY:
        return None
    days = times.astype("M8[D]")
    months = days.astype("M8[M]")
    if np.all(days == months.astype("M8[D]")):
        edge = "S"
    elif np.all(days == (months + 1).astype("M8[D]") - 1):
        edge = "E"
    else:
        return None
    step = _commonest(np.diff(months.astype(np.int64))[inside])
    month = _MONTH_NAMES[int(months[0].astype(np.int64)) % 12]
    if step % 12 == 0:
        return Frequency("Y" + edge, step // 12, month)
    if step % 3 == 0:
        return Frequency("Q" + edge, step // 3, _quarter_anchor(month, edge))
    return Frequency("M" + edge, step)


def _quarter_anchor(month: str, edge: str) -> str:
    """Name a cycle of quarters by JAN, FEB or MAR if they begin, by OCT, NOV or DEC if they end there."""
    phase = _MONTH_NAMES.index(month) % 3
    return _MONTH_NAMES[phase if edge == "S" else 9 + phase]


def _guess_fixed(times: np.ndarray, gaps: np.ndarray, gap: int) -> Frequency:
    weekday = (times[:1].astype("M8[D]").astype(np.int64)[0] + 3) % 7  # 1970-01-01 was a Thursday
    if gap % WEEK == 0:
        return Frequency("W", gap // WEEK, _WEEKDAYS[weekday])
    if gap == DAY and np.any(gaps == 3 * DAY) and np.all(np.is_busday(times.astype("M8[D]"))):
        return Frequency("B")
    unit = next((u for u in ("D", "h", "min", "s", "ms") if gap % _FIXED[u] == 0), "us")
    return Frequency(unit, max(gap // _FIXED[unit], 1))
