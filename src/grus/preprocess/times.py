"""Time stamps written as text or spread over several columns, turned into a time axis."""

import re
from collections.abc import Callable

import numpy as np

from grus.errors import DataError
from grus.preprocess.columns import (
    Columns,
    as_column,
    as_source,
    cell_error,
    first_row,
    is_missing_text,
    is_text,
    is_time,
    missing_column,
)
from grus.preprocess.storage import chunks, distinct, take

_CLOCK = r"(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*([AaPp][Mm])?)?"
_ZONE = r"\s*(Z|UTC|[+-]\d{2}(?::?\d{2})?)?"
_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})(?:\2(\d{1,2}))?" + _CLOCK + _ZONE)
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})" + _CLOCK + _ZONE)
_NAMED_MONTH = re.compile(
    r"(?:(\d{1,2})[- ])?([A-Za-z]{3})[a-z]*\.?[- ]+(?:(\d{1,2}), ?)?(\d{4})" + _CLOCK + _ZONE
)
_COMPACT = re.compile(r"((?:19|20)\d{2})(\d{2})(\d{2})")
_MONTHS = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6,
    "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
}  # fmt: skip
_PARTS = {
    "year": "year", "yr": "year", "month": "month", "mnth": "month", "mon": "month", "day": "day",
    "hour": "hour", "hr": "hour", "minute": "minute", "min": "minute", "second": "second", "sec": "second",
}  # fmt: skip
_RANGES = {"month": (1, 12), "day": (1, 31), "hour": (0, 23), "minute": (0, 59), "second": (0, 59)}


def looks_like_times(values: np.ndarray, sample: int = 20) -> bool:
    """Whether a column holds dates, or text whose first values present are all spelled like dates."""
    if not is_text(values):
        return is_time(values)
    shown = [v.strip() for v in values[: 50 * sample].tolist() if not is_missing_text(v)][:sample]
    patterns = (_YEAR_FIRST, _YEAR_LAST, _NAMED_MONTH)
    return bool(shown) and all(any(p.fullmatch(v) for p in patterns) for v in shown)


def as_times(values: np.ndarray, name: str, source: str = "data") -> tuple[np.ndarray, tuple[str, ...]]:
    """A column as a time axis: datetime64[ns], or int64 where it holds whole numbers.

    Text may be ISO (``2024-01``, ``2024-01-31``, with a time, with a zone: converted to UTC),
    ``2024/1/31 0:00``, ``31.12.2024``, ``31 Jan 2024``, or ``1/31/2024`` where the column shows which number
    is the month. Whole numbers such as 20240131 are taken for dates if all of them can be.

    Returns:
        the stamps [R] and sentences on what was taken for granted.
    Raises:
        DataError: a value is missing, is no date, or day and month cannot be told apart.
    """
    times, notes = values, ()
    if is_text(values):
        times, notes = _from_text(values, name, source)
    elif values.dtype.kind == "f":
        times = _whole(values, name, source)
    elif values.dtype.kind == "b":
        raise DataError(f"{source}, column {name!r}: expected dates or whole numbers, got true and false")
    if times.dtype.kind == "i":
        return _compact_days(times, name, notes)
    for piece in chunks(len(times)):
        lost = first_row(np.isnat(times[piece]))
        if lost >= 0:
            raise cell_error(source, piece.start + lost, name, "a time stamp", "an empty cell")
    return times, notes


def time_parts(name: str, columns: Columns) -> tuple[str, ...]:
    """The columns that a time axis is made of: ``date+hour`` names two, unless a column is called that."""
    return (name,) if name in columns or "+" not in name else tuple(part.strip() for part in name.split("+"))


def time_column(columns: Columns, name: str, source: str = "data") -> np.ndarray:
    """The column of time stamps; ``date+hour`` or ``year+month+day`` joins several columns into one.

    Columns named year, month, day, hour, minute or second hold whole numbers; any other holds dates.
    """
    parts = time_parts(name, columns)
    for part in parts:
        if part not in columns:
            raise missing_column(part, columns, source)
    if len(parts) == 1:
        return as_column(columns[name], name, source)
    fields: dict[str, np.ndarray] = {}
    base = None
    for part in parts:
        kind = _PARTS.get(part.lower())
        values, _ = as_times(as_column(columns[part], part, source), part, source)
        if is_time(values) and base is None:
            base = values
        elif kind and not is_time(values) and kind not in fields:
            fields[kind] = _in_range(values, kind, part, source)
        else:
            raise DataError(
                f"{source}, column {part!r}: expected dates, or whole numbers in a column named year, month, day, "
                f"hour, minute or second, to join in {name!r}"
            )
    return _join(base, fields, name, source)


def _in_range(values: np.ndarray, kind: str, name: str, source: str) -> np.ndarray:
    low, high = _RANGES.get(kind, (1678, 2261))
    bad = first_row((values < low) | (values > high))
    if bad >= 0:
        raise cell_error(
            source,
            bad,
            name,
            f"{'an' if kind == 'hour' else 'a'} {kind} from {low} to {high}",
            str(values[bad]),
        )
    return values


def _join(base: np.ndarray | None, fields: dict[str, np.ndarray], name: str, source: str) -> np.ndarray:
    if base is None:
        if "year" not in fields:
            raise DataError(
                f"{source}: expected a column of dates or of years to join in {name!r}, got neither"
            )
        year, one = fields["year"], np.ones_like(fields["year"])
        base, valid = _assemble(year, fields.get("month", one), fields.get("day", one))
        bad = first_row(~valid)
        if bad >= 0:
            got = "-".join(str(fields[k][bad]) for k in ("year", "month", "day") if k in fields)
            raise cell_error(source, bad, name, "a date that exists", got)
    seconds = sum(fields.get(k, 0) * n for k, n in (("hour", 3600), ("minute", 60), ("second", 1)))
    return base + (np.asarray(seconds) * 10**9).astype("m8[ns]")


def _whole(values: np.ndarray, name: str, source: str) -> np.ndarray:
    lost = first_row(np.isnan(values))
    if lost >= 0:
        raise cell_error(source, lost, name, "a time stamp", "an empty cell")
    broken = first_row((np.floor(values) != values) | (np.abs(values) > 2**53))
    if broken >= 0:
        raise cell_error(source, broken, name, "a date or a whole number", f"{values[broken]:g}")
    return values.astype(np.int64)


def _compact_days(
    numbers: np.ndarray, name: str, notes: tuple[str, ...]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """20240131 as a date, if every whole number of the column can be one."""
    if not len(numbers) or numbers.min() < 19_000_101 or numbers.max() > 21_001_231:
        return numbers, notes
    year, rest = np.divmod(numbers, 10_000)
    month, day = np.divmod(rest, 100)
    times, valid = _assemble(year, month, day)
    if not valid.all():
        return numbers, notes
    return times, (*notes, f"column {name!r}: whole numbers such as {numbers[0]} were read as dates")


def _from_text(values: np.ndarray, name: str, source: str) -> tuple[np.ndarray, tuple[str, ...]]:
    words, codes = distinct(values)

    def row_of(*which: int) -> int:
        return int(np.argmax(np.isin(codes, which)))

    missing = [i for i, word in enumerate(words) if is_missing_text(word)]
    if missing:
        raise cell_error(source, row_of(*missing), name, "a time stamp", "an empty cell")
    texts = [str(word).strip() for word in words]
    if all(len(text) < 18 and text.lstrip("-").isdecimal() for text in texts):
        return take(np.array([int(text) for text in texts], np.int64), codes), ()
    stamps, notes = _parse(texts, row_of, name, source)
    return take(stamps, codes), notes


def _parse(
    texts: list[str], row_of: Callable[..., int], name: str, source: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Stamps of distinct spellings; ``row_of`` finds a row that has one, for messages."""
    fields = np.zeros((len(texts), 6), np.int64)  # year, month, day, clock, offset of the zone, style
    zoned = 0
    for i, text in enumerate(texts):
        found = _fields(text)
        if found is None:
            raise cell_error(source, row_of(i), name, "a date such as 2024-01-31", repr(text))
        zoned += found[6]
        fields[i] = found[:6]
    if 0 < zoned < len(texts):
        raise DataError(
            f"{source}, column {name!r}: expected every time stamp with a time zone or none, "
            f"got {zoned:,} of {len(texts):,} with one"
        )
    _order_day_and_month(fields, texts, row_of, name, source)
    stamps, valid = _assemble(*fields[:, :3].T)
    bad = first_row(~valid | (fields[:, 3] < 0))
    if bad >= 0:
        raise cell_error(source, row_of(bad), name, "a date and time that exist", repr(texts[bad]))
    stamps = stamps + (fields[:, 3] - fields[:, 4]).astype("m8[ns]")
    note = f"column {name!r}: time stamps carry a time zone and were read as UTC"
    return stamps, ((note,) if zoned else ())


def _fields(text: str) -> tuple[int, ...] | None:
    """Year, month, day, clock and zone offset in ns, style (1 a/b/year, 2 a.b.year), whether zoned."""
    if match := _YEAR_FIRST.fullmatch(text):
        year, _, month, day, *rest = match.groups()
        return int(year), int(month), int(day or 1), *_clock(rest), 0, bool(rest[5])
    if match := _YEAR_LAST.fullmatch(text):
        first, sign, second, year, *rest = match.groups()
        return int(year), int(first), int(second), *_clock(rest), 2 if sign == "." else 1, bool(rest[5])
    if (match := _NAMED_MONTH.fullmatch(text)) and match[2].lower() in _MONTHS:
        before, month, after, year, *rest = match.groups()
        if before and after:
            return None
        return int(year), _MONTHS[month.lower()], int(before or after or 1), *_clock(rest), 0, bool(rest[5])
    if match := _COMPACT.fullmatch(text):
        return int(match[1]), int(match[2]), int(match[3]), 0, 0, 0, False
    return None


def _clock(parts: list[str | None]) -> tuple[int, int]:
    """Nanoseconds into the day (-1: no such time) and of the zone's offset."""
    hour, minute, second, fraction, half, zone = parts
    h, m, s = int(hour or 0), int(minute or 0), int(second or 0)
    if half:
        h = h % 12 + (12 if half.lower() == "pm" else 0) if 1 <= h <= 12 else 99
    shift = 0
    if zone and zone[0] in "+-":
        shift = int(zone[1:3]) * 3600 + int(zone[3:].lstrip(":") or 0) * 60
        shift = shift if zone[0] == "+" else -shift
    if h > 23 or m > 59 or s > 59:
        return -1, 0
    return (h * 3600 + m * 60 + s) * 10**9 + int((fraction or "0").ljust(9, "0")), shift * 10**9


def _order_day_and_month(
    fields: np.ndarray, texts: list[str], row_of: Callable[..., int], name: str, source: str
) -> None:
    """Decide for the whole column whether 3/4/2024 is in March or in April; say so if nothing decides."""
    slashed, dotted = fields[:, 5] == 1, fields[:, 5] == 2
    day_first, month_first = (first_row(slashed & (fields[:, column] > 12)) for column in (1, 2))
    if slashed.any() and (day_first < 0) == (month_first < 0):
        hint = "write dates as YYYY-MM-DD"
        where = f"{source}, column {name!r}"
        if day_first < 0:
            got = texts[first_row(slashed)]
            raise DataError(
                f"{where}: expected a date that tells day and month apart, got only days up to 12, as in {got!r}",
                hint,
            )
        got = " and ".join(
            f"{texts[i]!r} ({as_source(source).row(row_of(i))})" for i in (day_first, month_first)
        )
        raise DataError(f"{where}: expected one order of day and month, got {got}", hint)
    swapped = dotted | (slashed & (day_first >= 0))
    fields[swapped, 1:3] = fields[swapped, 2:0:-1]


def _assemble(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Midnights as datetime64[ns], and which of them exist (a 31st of April does not)."""
    valid = (year > 1677) & (year < 2262) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    months = np.where(valid, (year - 1970) * 12 + month - 1, 0).astype("M8[M]")
    days = months.astype("M8[D]") + np.where(valid, day - 1, 0)
    return days.astype("M8[ns]"), valid & (days.astype("M8[M]") == months)
