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

_CLOCK = (
    r"(?:[T ]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s*(?P<half>[AaPp][Mm])?)?"
)
_ZONE = r"\s*(?P<zone>Z|UTC|(?P<sign>[+-])(?P<zone_hour>\d{2})(?::?(?P<zone_minute>\d{2}))?)?"
_YEAR_FIRST = r"(?P<year>\d{4})([-/.])(?P<month>\d{1,2})(?:\2(?P<day>\d{1,2}))?"
_YEAR_LAST = r"(?P<month>\d{1,2})(?P<slash>[-/.])(?P<day>\d{1,2})(?P=slash)(?P<year>\d{4})"
_DAY_NAME = r"(?:(?P<day>\d{1,2})[- ])?(?P<name>[A-Za-z]{3})[a-z]*\.?[- ]+"
_NAMED_MONTH = _DAY_NAME + r"(?:(?P<late_day>\d{1,2}), ?)?(?P<year>\d{4})"
_PATTERNS = [re.compile(p + _CLOCK + _ZONE, re.ASCII) for p in (_YEAR_FIRST, _YEAR_LAST, _NAMED_MONTH)]
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_SHAPE = str.maketrans("123456789", "000000000")
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
    return bool(shown) and all(_match(v) is not None for v in shown)


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


def _match(text: str) -> re.Match[str] | None:
    for pattern in _PATTERNS:
        match = pattern.fullmatch(text)
        found = match.groupdict() if match else {}
        if match is None or (found.get("day") and found.get("late_day")):
            continue
        if found.get("name", "jan").lower() in _MONTHS:
            return match
    return None


def _parse(
    texts: list[str], row_of: Callable[..., int], name: str, source: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Stamps of distinct spellings; ``row_of`` finds a row that has one, for messages."""
    # Texts that differ in digits only are read together: of a million stamps a few shapes are matched, not each.
    shapes, codes = distinct(np.array([text.translate(_SHAPE) for text in texts], object))
    matches = [_match(str(shape)) for shape in shapes]
    if None in matches:
        bad = int(np.argmax(np.isin(codes, [j for j, match in enumerate(matches) if match is None])))
        raise cell_error(source, row_of(bad), name, "a date such as 2024-01-31", repr(texts[bad]))
    fields = np.zeros((len(texts), 6), np.int64)  # year, month, day, clock, offset of the zone, style
    order = np.argsort(codes, kind="stable")
    for match, rows in zip(matches, np.split(order, np.cumsum(np.bincount(codes))[:-1])):
        if match is not None:
            fields[rows] = _fields(match, np.array([texts[i] for i in rows]))
    zoned = np.array([match is not None and bool(match["zone"]) for match in matches])[codes]
    if 0 < zoned.sum() < len(texts):
        raise DataError(
            f"{source}, column {name!r}: expected every time stamp with a time zone or none, "
            f"got {zoned.sum():,} of {len(texts):,} with one"
        )
    _order_day_and_month(fields, texts, row_of, name, source)
    stamps, valid = _assemble(*fields[:, :3].T)
    bad = first_row(~valid | (fields[:, 3] < 0))
    if bad >= 0:
        raise cell_error(source, row_of(bad), name, "a date and time that exist", repr(texts[bad]))
    stamps = stamps + (fields[:, 3] - fields[:, 4]).astype("m8[ns]")
    note = f"column {name!r}: time stamps carry a time zone and were read as UTC"
    return stamps, ((note,) if zoned.any() else ())


def _fields(match: re.Match[str], texts: np.ndarray) -> np.ndarray:
    """Year, month, day, clock (ns, -1: no such time), zone offset (ns), style (1 a/b/year, 2 a.b.year) [n, 6].

    ``match`` is that of the shape which all of the texts share: the digits stand where it has them.
    """
    digits = texts.view(np.uint32).reshape(len(texts), -1).astype(np.int64) - ord("0")
    found = match.groupdict()

    def number(group: str, default: int = 0) -> np.ndarray:
        if not found.get(group):
            return np.full(len(texts), default)
        first, last = match.span(group)
        return digits[:, first:last] @ 10 ** np.arange(last - first - 1, -1, -1)

    month = number("month")
    if found.get("name"):
        month = month + _MONTHS.index(found["name"].lower()) + 1
    day = number("late_day") if found.get("late_day") else number("day", 1)
    hour, minute, second = number("hour"), number("minute"), number("second")
    valid = (hour <= 23) & (minute <= 59) & (second <= 59)
    if half := found.get("half"):
        valid &= (hour >= 1) & (hour <= 12)
        hour = hour % 12 + (12 if half.lower() == "pm" else 0)
    fraction = number("fraction") * 10 ** (9 - len(found.get("fraction") or ""))
    clock = (hour * 3600 + minute * 60 + second) * 10**9 + fraction
    shift = (number("zone_hour") * 3600 + number("zone_minute") * 60) * 10**9
    shift = -shift if found["sign"] == "-" else shift
    style = np.full(len(texts), {None: 0, ".": 2}.get(found.get("slash"), 1))
    return np.stack((number("year"), month, day, np.where(valid, clock, -1), shift, style), 1)


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
