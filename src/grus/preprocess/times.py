"""Time stamps written as text, and a column turned into a time axis."""

import re

import numpy as np

from grus.errors import DataError
from grus.preprocess.columns import MISSING_TEXT, as_source, is_text, is_time

_CLOCK = r"(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*([AaPp][Mm])?)?"
_ZONE = r"\s*(Z|UTC|[+-]\d{2}(?::?\d{2})?)?"
_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})(?:\2(\d{1,2}))?" + _CLOCK + _ZONE)
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})" + _CLOCK + _ZONE)
_MONTHS = {
    name: i + 1
    for i, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
    )
}
_NAMED_MONTH = re.compile(
    r"(?:(\d{1,2})[- ])?([A-Za-z]{3})[a-z]*[- .]+(?:(\d{1,2}), ?)?(\d{4})" + _CLOCK + _ZONE
)
_COMPACT = re.compile(r"((?:19|20)\d{2})(\d{2})(\d{2})")


def looks_like_times(values: np.ndarray, sample: int = 20) -> bool:
    """Whether the first values present of a text column are all spelled like dates."""
    if is_time(values):
        return True
    if not is_text(values):
        return False
    shown = [v for v in values[: 50 * sample].tolist() if v is not None and v not in MISSING_TEXT][:sample]
    patterns = (_YEAR_FIRST, _YEAR_LAST, _NAMED_MONTH)
    return bool(shown) and all(any(p.fullmatch(v.strip()) for p in patterns) for v in shown)


def as_times(values: np.ndarray, name: str, source: str = "data") -> tuple[np.ndarray, tuple[str, ...]]:
    """A column as a time axis: datetime64[ns], or int64 where it holds whole numbers.

    Text may be ISO (``2024-01``, ``2024-01-31``, with a time, with a zone: converted to UTC),
    ``2024/1/31 0:00``, ``31.12.2024``, ``31 Jan 2024``, or ``1/31/2024`` where the column shows which number
    is the month.

    Returns:
        the stamps [R] and sentences on what was taken for granted.
    Raises:
        DataError: a value is missing, is no date, or day and month cannot be told apart.
    """
    origin = as_source(source)
    if is_text(values):
        times, notes = _parse(values, name, origin)
    elif values.dtype.kind == "f":
        times, notes = _whole(values, name, origin), ()
    elif values.dtype.kind == "b":
        raise DataError(f"{source}, column {name!r}: expected dates or whole numbers, got true and false")
    else:
        times, notes = values, ()
    if times.dtype.kind == "i":
        return _compact_days(times, name, notes)
    lost = np.isnat(times)
    if lost.any():
        raise _missing_time(int(np.argmax(lost)), name, origin)
    return times, notes


def _missing_time(index: int, name: str, source: str) -> DataError:
    where = as_source(source).row(index)
    return DataError(f"{source}, {where}, column {name!r}: expected a time stamp, got an empty cell")


def _whole(values: np.ndarray, name: str, source: str) -> np.ndarray:
    lost = np.isnan(values)
    if lost.any():
        raise _missing_time(int(np.argmax(lost)), name, source)
    broken = (np.floor(values) != values) | (np.abs(values) > 2**53)
    if broken.any():
        index = int(np.argmax(broken))
        raise DataError(
            f"{source}, {as_source(source).row(index)}, column {name!r}: "
            f"expected a date or a whole number, got {values[index]:g}"
        )
    return values.astype(np.int64)


def _compact_days(
    numbers: np.ndarray, name: str, notes: tuple[str, ...]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """20240131 as a date, if every whole number of the column can be one."""
    if not len(numbers) or numbers.min() < 19_000_101 or numbers.max() > 21_001_231:
        return numbers, notes
    year, rest = np.divmod(numbers, 10_000)
    month, day = np.divmod(rest, 100)
    if np.any((month < 1) | (month > 12) | (day < 1) | (day > 31)):
        return numbers, notes
    times, valid = _assemble(year, month, day)
    if not valid.all():
        return numbers, notes
    return times, (*notes, f"column {name!r}: whole numbers such as {numbers[0]} were read as dates")


def _parse(values: np.ndarray, name: str, source: str) -> tuple[np.ndarray, tuple[str, ...]]:
    cells = values.tolist()
    table = dict.fromkeys(cells)
    lost = next((v for v in table if v is None or v.strip() in MISSING_TEXT), "")
    if lost != "" or "" in table:
        missing = {v for v in table if v is None or v.strip() in MISSING_TEXT}
        raise _missing_time(next(i for i, v in enumerate(cells) if v in missing), name, source)
    if all(v.lstrip("-").isdecimal() and len(v) < 18 for v in table):
        return np.fromiter(map(int, cells), np.int64, len(cells)), ()
    texts = list(table)
    stamps, notes = parse_stamps(texts, name, source, cells)
    lookup = dict(zip(texts, range(len(texts))))
    order = np.fromiter(map(lookup.__getitem__, cells), np.int64, len(cells))
    return stamps[order], notes


def parse_stamps(
    texts: list[str], name: str, source: str, cells: list[str] | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Parse distinct spellings of dates; ``cells`` (default: texts) serves to number rows in messages."""
    cells = texts if cells is None else cells
    fields = np.zeros(
        (len(texts), 7), np.int64
    )  # year, month, day, nanoseconds in the day, zone, style, first
    zoned = 0
    for i, text in enumerate(texts):
        found = _fields(text.strip())
        if found is None:
            raise _no_date(text, cells, name, source)
        zoned += found[7]
        fields[i] = found[:7]
    if 0 < zoned < len(texts):
        raise DataError(
            f"{source}, column {name!r}: expected every time stamp with a time zone or none, "
            f"got {zoned:,} of {len(texts):,} with one"
        )
    fields = _day_or_month_first(fields, texts, cells, name, source)
    stamps, valid = _assemble(fields[:, 0], fields[:, 1], fields[:, 2])
    valid &= (fields[:, 3] >= 0) & (fields[:, 3] < 86_400 * 10**9)
    if not valid.all():
        raise _no_date(texts[int(np.argmin(valid))], cells, name, source)
    stamps = stamps + (fields[:, 3] - fields[:, 4]).astype("m8[ns]")
    return stamps, (
        (f"column {name!r}: time stamps carry a time zone and were read as UTC",) if zoned else ()
    )


def _fields(text: str) -> tuple[int, ...] | None:
    """Year, month, day, clock and zone offset in ns, style (1: a/b/year), the first number, whether zoned."""
    if match := _YEAR_FIRST.fullmatch(text):
        year, _, month, day, *rest = match.groups()
        return int(year), int(month), int(day or 1), *_clock(rest), 0, 0, bool(rest[5])
    if match := _YEAR_LAST.fullmatch(text):
        first, sign, second, year, *rest = match.groups()
        style = 2 if sign == "." else 1
        return int(year), int(first), int(second), *_clock(rest), style, 0, bool(rest[5])
    if (match := _NAMED_MONTH.fullmatch(text)) and match[2].lower() in _MONTHS:
        before, month, after, year, *rest = match.groups()
        if before and after:
            return None
        day = int(before or after or 1)
        return int(year), _MONTHS[month.lower()], day, *_clock(rest), 0, 0, bool(rest[5])
    if match := _COMPACT.fullmatch(text):
        return int(match[1]), int(match[2]), int(match[3]), 0, 0, 0, 0, False
    return None


def _clock(parts: list[str | None]) -> tuple[int, int]:
    """Nanoseconds into the day (-1: no such time) and of the zone's offset."""
    hour, minute, second, fraction, half, zone = parts
    h, m, s = int(hour or 0), int(minute or 0), int(second or 0)
    if half:
        h = h % 12 + (12 if half.lower() == "pm" else 0) if 1 <= h <= 12 else 99
    shift = 0
    if zone and zone[0] in "+-":
        shift = (int(zone[1:3]) * 60 + int(zone[3:].lstrip(":") or 0)) * (60 if zone[0] == "+" else -60)
    if h > 23 or m > 59 or s > 59:
        return -1, 0
    return (h * 3600 + m * 60 + s) * 10**9 + int((fraction or "0").ljust(9, "0")), shift * 10**9


def _day_or_month_first(
    fields: np.ndarray, texts: list[str], cells: list[str], name: str, source: str
) -> np.ndarray:
    """Decide for the whole column whether 3/4/2024 is in March or in April; say so if nothing decides."""
    slashed = fields[:, 5] == 1
    dotted = fields[:, 5] == 2
    fields[dotted, 1], fields[dotted, 2] = fields[dotted, 2], fields[dotted, 1].copy()
    if not slashed.any():
        return fields
    day_first = slashed & (fields[:, 1] > 12)
    month_first = slashed & (fields[:, 2] > 12)
    if day_first.any() and month_first.any():
        a, b = (texts[int(np.argmax(mask))] for mask in (day_first, month_first))
        raise DataError(
            f"{source}, column {name!r}: expected one order of day and month, "
            f"got {a!r} ({as_source(source).row(cells.index(a))}) and {b!r} ({as_source(source).row(cells.index(b))})",
            "write dates as YYYY-MM-DD",
        )
    if not day_first.any() and not month_first.any():
        raise DataError(
            f"{source}, column {name!r}: expected dates whose day and month can be told apart, "
            f"got only days up to 12, such as {texts[int(np.argmax(slashed))]!r}",
            "write dates as YYYY-MM-DD",
        )
    if day_first.any():
        fields[slashed, 1], fields[slashed, 2] = fields[slashed, 2], fields[slashed, 1].copy()
    return fields


def _assemble(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Midnights as datetime64[ns], and which of them exist (a 31st of April does not)."""
    valid = (year > 1677) & (year < 2262) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    months = np.where(valid, (year - 1970) * 12 + month - 1, 0).astype("M8[M]")
    days = months.astype("M8[D]") + np.where(valid, day - 1, 0)
    return days.astype("M8[ns]"), valid & (days.astype("M8[M]") == months)


def _no_date(text: str, cells: list[str], name: str, source: str) -> DataError:
    where = as_source(source).row(cells.index(text))
    return DataError(f"{source}, {where}, column {name!r}: expected a date such as 2024-01-31, got {text!r}")
