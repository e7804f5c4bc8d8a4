"""The even steps that a series is laid on: fixed lengths, business days, calendar months, whole numbers."""

import re
from dataclasses import dataclass

import numpy as np

from grus.errors import DataError, UsageError

DAY = 86_400 * 10**9
_FIXED = {
    "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9, "D": DAY, "W": 7 * DAY,
}  # fmt: skip
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
_CYCLES = {
    "us": (10**6,), "ms": (10**3,), "s": (60, 3600), "min": (60, 1440, 10_080), "h": (24, 168), "D": (7,),
    "B": (5,), "W": (52,), "MS": (12,), "ME": (12,), "QS": (4,), "QE": (4,),
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

    def __post_init__(self) -> None:
        anchors = _anchors(self.unit)
        if self.unit not in _UNITS or self.multiple < 1 or (self.anchor and self.anchor not in anchors):
            raise _unknown(f"{self.multiple}{self.unit}-{self.anchor}".rstrip("-"))
        if anchors and not self.anchor:
            default = {"W": "SUN", "QE": "DEC", "YE": "DEC"}.get(self.unit, "JAN")
            object.__setattr__(self, "anchor", default)

    @classmethod
    def from_string(cls, text: str) -> "Frequency":
        """Read a spelling such as ``15min``; raises ``UsageError`` for one it does not know."""
        match = _SPELLING.fullmatch(text.strip())
        if match is None or (match[1] and not int(match[1])):
            raise _unknown(text)
        unit = _OTHER_SPELLINGS.get(match[2], match[2])
        if unit not in _UNITS or (match[3] and match[3] not in _anchors(unit)):
            raise _unknown(text)
        return cls(unit, int(match[1] or 1), match[3] or "")

    @classmethod
    def from_gap(cls, gap: int, first: np.datetime64) -> "Frequency":
        """The fixed-length step of ``gap`` nanoseconds; ``first`` gives the weekday of a weekly one."""
        if gap % (7 * DAY) == 0:
            weekday = (int(first.astype("M8[D]").astype(np.int64)) + 3) % 7  # 1970-01-01 was a Thursday
            return cls("W", gap // (7 * DAY), _WEEKDAYS[weekday])
        unit = next((u for u in ("D", "h", "min", "s", "ms") if gap % _FIXED[u] == 0), "us")
        return cls(unit, max(gap // _FIXED[unit], 1))

    @classmethod
    def from_months(cls, months: int, first: np.datetime64, edge: str) -> "Frequency":
        """The step of so many calendar months, on their first ("S") or last ("E") days, from the stamp ``first``."""
        month = int(first.astype("M8[M]").astype(np.int64)) % 12
        if months % 12 == 0:
            return cls("Y" + edge, months // 12, _MONTH_NAMES[month])
        if months % 3 == 0:  # quarters go by the first of their months, JAN to MAR, or the last, OCT to DEC
            return cls("Q" + edge, months // 3, _MONTH_NAMES[month % 3 + (0 if edge == "S" else 9)])
        return cls("M" + edge, months)

    def __str__(self) -> str:
        hidden = {"QS": "JAN", "YS": "JAN", "QE": "DEC", "YE": "DEC"}.get(self.unit, "")
        anchor = f"-{self.anchor}" if self.anchor != hidden else ""
        return f"{self.multiple if self.multiple > 1 else ''}{self.unit}{anchor}"

    @property
    def is_integer(self) -> bool:
        """Whether the time axis is whole numbers instead of dates."""
        return self.unit == "step"

    @property
    def nanoseconds(self) -> int | None:
        """Length of a step if it is always the same, None for calendar steps and whole numbers."""
        return self.multiple * _FIXED[self.unit] if self.unit in _FIXED else None

    @property
    def seasons(self) -> tuple[int, ...]:
        """Usual season lengths in steps, shortest first: ``h`` gives (24, 168), ``D`` (7,), ``MS`` (12,)."""
        cycles = _CYCLES.get(self.unit, ())
        if self.unit == "min" and self.multiple > 1:
            cycles = cycles[1:]  # of 15-minute steps people mean the day, not the hour
        found = [cycle // self.multiple for cycle in cycles if cycle % self.multiple == 0]
        return tuple(n for n in found if n > 1) or (1,)

    @property
    def season(self) -> int:
        """The default season length in steps: h 24, D 7, B 5, W 52, month 12, quarter 4, otherwise 1."""
        return self.seasons[0]

    @property
    def words(self) -> str:
        """The length of a step in words: ``hour``, ``15 minutes``."""
        if self.multiple == 1:
            return _NOUNS[self.unit]
        return str(self.multiple) if self.is_integer else f"{self.multiple} {_NOUNS[self.unit]}s"

    def count(self, n: int) -> str:
        """``1 hour``, ``165 hours``, ``12 steps of 15 minutes``: n steps in words."""
        plural = "" if n == 1 else "s"
        return f"{n:,} {self.words}{plural}" if self.multiple == 1 else f"{n:,} step{plural} of {self.words}"

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
        self, times: np.ndarray | np.datetime64 | int, start: np.ndarray | np.datetime64 | int
    ) -> tuple[np.ndarray, np.ndarray]:
        """How many steps after ``start`` each stamp lies, and whether it lies on a step exactly.

        Returns:
            k, int64 (the step before or after, where the stamp is between two); exact, bool; shapes broadcast.
        """
        if self.is_integer:
            k, rest = np.divmod(np.asarray(times, np.int64) - np.asarray(start, np.int64), self.multiple)
            return k, rest == 0
        stamps, first = np.asarray(times, "M8[ns]"), np.asarray(start, "M8[ns]")
        if self.unit in _FIXED:
            span = (stamps - first).astype(np.int64)
            if np.any(
                (span < 0) != (stamps < first)
            ):  # more than 292 years apart: too far for int64 nanoseconds
                return self._locate_far(stamps, first)
            k, rest = np.divmod(span, self.multiple * _FIXED[self.unit])
            return k, rest == 0
        days, first_day = stamps.astype("M8[D]"), first.astype("M8[D]")
        if self.unit == "B":
            k = np.busday_count(first_day, days) // self.multiple
        else:
            months = (days.astype("M8[M]") - first_day.astype("M8[M]")).astype(np.int64)
            k = months // (self.multiple * _MONTHS[self.unit])
        # A first stamp on a weekend or inside a month is on no grid; neither is what follows from it.
        on_calendar = self._on_calendar(days) & self._on_calendar(first_day)
        regular = np.where(on_calendar, first_day, np.datetime64("1970-01-01"))
        back = self.at(regular.astype("M8[ns]") + (first - first_day), k)
        return k, on_calendar & (back == stamps)

    def _locate_far(self, stamps: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``locate`` for fixed steps, in microseconds."""
        coarse, begin = stamps.astype("M8[us]"), first.astype("M8[us]")
        k, rest = np.divmod((coarse - begin).astype(np.int64), self.multiple * _FIXED[self.unit] // 1000)
        return k, (rest == 0) & (stamps - coarse == first - begin)

    def _on_calendar(self, days: np.ndarray) -> np.ndarray:
        if self.unit == "B":
            return np.is_busday(days)
        edge = days + 1 if self.unit.endswith("E") else days
        return edge == edge.astype("M8[M]").astype("M8[D]")

    def position(self, times: np.ndarray, start: np.ndarray | np.datetime64 | int) -> np.ndarray:
        """Steps from ``start`` to each stamp, int64; a stamp between two steps is a ``DataError``."""
        k, exact = self.locate(times, start)
        if not np.all(exact):
            bad = int(np.argmin(np.ravel(exact)))
            got, first = (np.ravel(np.broadcast_to(v, exact.shape))[bad] for v in (times, np.asarray(start)))
            raise DataError(
                f"time stamps: expected steps of {self} counted from {stamp(first)!r}, got {stamp(got)!r}"
            )
        return k


def stamp(value: object) -> str:
    """One time stamp as people write it: ``2024-01-05``, ``2024-01-05 13:00:00``, or a whole number."""
    if not isinstance(value, np.datetime64):
        return str(value)
    if value == value.astype("M8[D]"):
        return str(value.astype("M8[D]"))
    text = str(value.astype("M8[ns]")).replace("T", " ")
    return text.rstrip("0").rstrip(".") if not text.endswith("000000000") else text[:19]


def full_stamp(value: object) -> str:
    """A stamp with its time of day, also at midnight: ``2024-01-05 00:00:00``."""
    text = stamp(value)
    return text + " 00:00:00" if isinstance(value, np.datetime64) and len(text) == 10 else text


def _anchors(unit: str) -> tuple[str, ...]:
    return _WEEKDAYS if unit == "W" else _MONTH_NAMES if unit in ("QS", "QE", "YS", "YE") else ()


def _unknown(got: str) -> UsageError:
    units = ", ".join(_UNITS)
    return UsageError(
        f"frequency: expected one of {units}, a multiple or an anchor of it (15min, W-MON), got {got!r}"
    )
