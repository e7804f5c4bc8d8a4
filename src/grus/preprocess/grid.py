"""From rows in any order to places on a regular grid, piece by piece, without sorting."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from grus.errors import DataError, UsageError
from grus.preprocess.axis import Alike, Axis, check_repeats, label, off_grid
from grus.preprocess.columns import as_column, as_source, cell_error, first_row, is_missing_text, is_text
from grus.preprocess.frequency import DAY, Frequency, stamp
from grus.preprocess.storage import chunks, distinct, empty, full, on_disk
from grus.preprocess.times import as_times

SPARSEST = 1000
"""A grid may have this many times the rows of its table, before a stray stamp is suspected instead."""
SAMPLE = 1 << 22
"""Rows that are sorted to find the frequency of a table whose rows are in no order."""


@dataclass(frozen=True)
class Grid:
    """Where every row of a table goes.

    Attributes:
        codes: series number of each row of the table, int32.
        place: row of the grid that each row of the table goes to, int64.
        filled: how many rows of the grid the table has no row for.
        ids, id_values, starts, frequency, offsets, notes: as in ``Panel``.
    """

    ids: tuple[str, ...]
    id_values: np.ndarray
    starts: np.ndarray
    frequency: Frequency
    offsets: np.ndarray
    codes: np.ndarray
    place: np.ndarray
    filled: int
    notes: tuple[str, ...]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Numbers or text of the table's rows onto the grid; NaN or None ("" in ``U``) where there is no row."""
        if not is_text(values):
            out = full(int(self.offsets[-1]), np.nan, np.float64, on_disk(self.place))
        else:
            out = full(
                int(self.offsets[-1]),
                "" if values.dtype.kind == "U" else None,
                values.dtype,
                on_disk(self.place),
            )
        for piece in chunks(len(values)):
            out[self.place[piece]] = values[piece]
        return out


def infer_frequency(times: np.ndarray, name: str = "time", source: str = "data") -> Frequency:
    """The step between the stamps of one series, in any order, with gaps: their commonest difference.

    Months, quarters and years are told by their first or last days, business days by weekends never seen.

    Raises:
        DataError: a stamp lies off that step (two rows are named), comes twice, or there is only one.
    """
    return lay_out(None, as_column(times, name, source), None, name, None, len(times), source).frequency


def lay_out(
    id_column: np.ndarray | None,
    time_column: np.ndarray | None,
    id_name: str | None,
    time_name: str | None,
    frequency: Frequency | None,
    n_rows: int,
    source: str,
    alike: Alike | None = None,
) -> Grid:
    """Number the series, find their first and last stamps and the frequency, and place every row.

    Without a time column the rows of each series are whole-number steps in the order they come. Of rows for one stamp
    that ``alike`` finds to hold the same, one is kept.
    """
    codes, id_values = group(id_column, n_rows, id_name or "", source)
    if time_column is None:
        if frequency is not None and not frequency.is_integer:
            raise UsageError(f"frequency: {frequency} needs a time column, got none")
        times, said, frequency = rank_within(codes, len(id_values)), (), frequency or Frequency("step")
        times = times if frequency.multiple == 1 else times * frequency.multiple
    else:
        times, said = as_times(time_column, time_name or "", source)
    axis = Axis(times, codes, tuple(label(v) for v in id_values), time_name, id_name, source)
    survey = _survey(axis)
    notes = list(said)
    if survey.late >= 0:
        row = as_source(source).row(survey.late)
        notes.append(f"rows were not in the order of time (first at {row}) and have been sorted")
    if frequency is None:
        found, share = _guess(axis, survey)
    else:
        found, share = axis.check(frequency), 1.0
        notes += _sparser(survey, found)
    return _place(axis, survey, found, share, id_values, notes, alike)


def group(values: np.ndarray | None, n_rows: int, name: str, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Number the series in the order they first appear.

    Returns:
        codes int32 [R], and the distinct ids as they came [N].
    """
    if values is None:
        return np.zeros(n_rows, np.int32), np.array(["series"], object)
    if is_text(values):
        words, codes = distinct(values)
        missing = [i for i, word in enumerate(words) if is_missing_text(word)]
        lost = first_row(np.isin(codes, missing)) if missing else -1
        found = np.array(words, object)
    else:
        lost = first_row(np.isnan(values)) if values.dtype.kind in "fM" else -1
        codes, found = _group_numbers(values) if lost < 0 else (values, values)
    if lost >= 0:
        raise cell_error(source, lost, name, "the name of a series", "an empty cell")
    return codes, found


def _group_numbers(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Neighbours are mostly of the same series: only the rows where the id changes need sorting.
    codes = empty(len(values), np.int32, on_disk(values))
    numbers: dict[object, int] = {}
    for piece in chunks(len(values)):
        part = np.asarray(values[piece])
        change = np.flatnonzero(np.append(True, part[1:] != part[:-1]))
        heads, first, inverse = np.unique(part[change], return_index=True, return_inverse=True)
        keys = heads.astype(np.int64).tolist() if heads.dtype.kind == "M" else heads.tolist()
        for i in np.argsort(first):
            numbers.setdefault(keys[i], len(numbers))
        ranks = np.array([numbers[key] for key in keys], np.int32)
        codes[piece] = np.repeat(ranks[inverse], np.diff(np.append(change, len(part))))
    return codes, np.array(list(numbers)).astype(values.dtype)


def rank_within(codes: np.ndarray, n_series: int) -> np.ndarray:
    """How many earlier rows carry the same code, int64 [R]: 0, 1, 2 ... inside each series."""
    ranks = empty(len(codes), np.int64, on_disk(codes))
    seen = np.zeros(n_series, np.int64)
    for piece in chunks(len(codes)):
        part = codes[piece]
        order = np.argsort(part, kind="stable")
        counts = np.bincount(part, minlength=n_series)
        inner = np.arange(len(part)) - np.repeat(np.cumsum(counts) - counts, counts)
        here = np.empty(len(part), np.int64)
        here[order] = inner + seen[part[order]]
        ranks[piece] = here
        seen += counts
    return ranks


@dataclass
class _Survey:
    """What one pass over the stamps shows: first and last of each series, steps between neighbours."""

    first: np.ndarray
    last: np.ndarray
    gaps: Counter[int]
    late: int = -1


def _survey(axis: Axis) -> _Survey:
    n = len(axis.ids)
    bounds = np.iinfo(np.int64)
    survey = _Survey(np.full(n, bounds.max), np.full(n, bounds.min), Counter())
    before = np.full(n, bounds.min)
    for piece in chunks(len(axis.codes)):
        codes, ticks = axis.codes[piece], np.asarray(axis.times[piece]).astype(np.int64)
        order = None
        if n > 1 and np.any(codes[1:] < codes[:-1]):
            order = np.argsort(codes, kind="stable")
            codes, ticks = codes[order], ticks[order]
        head = np.append(True, codes[1:] != codes[:-1])
        previous = np.append(0, ticks[:-1])
        previous[head] = before[codes[head]]
        gaps = ticks - previous
        known = ~head | (previous != bounds.min)
        if survey.late < 0 and (known & (ticks < previous)).any():
            late = np.flatnonzero(known & (ticks < previous))
            survey.late = piece.start + int((late if order is None else order[late]).min())
        _count(survey.gaps, gaps[known])
        np.minimum.at(survey.first, codes, ticks)
        np.maximum.at(survey.last, codes, ticks)
        tail = np.append(head[1:], True)
        before[codes[tail]] = ticks[tail]
    return survey


def _count(counter: Counter[int], gaps: np.ndarray) -> None:
    """Add the commonest steps; without sorting where all are alike."""
    if not len(gaps):
        return
    same = gaps == gaps[0]
    values, counts = np.unique(gaps[~same], return_counts=True)
    top = np.argsort(counts)[-1000:]
    counter.update(dict(zip(values[top].tolist(), counts[top].tolist())))
    counter[int(gaps[0])] += int(np.count_nonzero(same))


def _sparser(survey: _Survey, given: Frequency) -> list[str]:
    """A note if most rows are further apart than the step that a user or a model named."""
    step = given.multiple if given.is_integer else given.nanoseconds
    counts = {gap: count for gap, count in survey.gaps.items() if gap > 0}
    gap = max(counts, key=lambda g: counts[g], default=0)
    if step is None or survey.late >= 0 or gap <= step or 2 * counts[gap] < sum(counts.values()):
        return []
    apart = Frequency("step", gap) if given.is_integer else Frequency.from_gap(gap, np.datetime64(0, "ns"))
    return [f"rows come every {apart.words}, not every {given.words}: what lies between counts as missing"]


def _guess(axis: Axis, survey: _Survey) -> tuple[Frequency, float]:
    """The commonest step of all series together, named by the calendar where it follows it, and its share."""
    gaps = survey.gaps
    if survey.late >= 0:
        rows = np.bincount(axis.codes, minlength=len(axis.ids)).cumsum()
        some = np.flatnonzero(axis.codes <= int(np.searchsorted(rows, SAMPLE)))
        codes, ticks = axis.codes[some], np.asarray(axis.times[some]).astype(np.int64)
        order = np.lexsort((ticks, codes))
        steps = np.diff(ticks[order])[np.diff(codes[order]) == 0]
        _count(gaps := Counter(), steps)
    counts = {gap: count for gap, count in gaps.items() if gap > 0}
    if not counts:
        if len(axis.codes) > len(axis.ids):
            check_repeats(axis, axis.codes, len(axis.ids), None)
        hint = f"name the frequency; or is {axis.id_name!r} not what names the series?"
        raise DataError(
            f"{axis.where}: expected two time stamps or more in some series, got one each",
            hint if axis.id_name else "name the frequency",
        )
    gap = min(counts, key=lambda g: (-counts[g], g))
    share = counts[gap] / sum(counts.values())
    if axis.times.dtype.kind != "M":
        return Frequency("step", gap), share
    found = _guess_calendar(axis.times, survey, gap, counts)
    return found, share if found.nanoseconds else 1.0


def _guess_calendar(times: np.ndarray, survey: _Survey, gap: int, counts: dict[int, int]) -> Frequency:
    first = survey.first[:1].astype("M8[ns]")[0]
    if gap >= 28 * DAY:
        for edge in ("S", "E"):
            if all(_at_edge(times[piece], edge) for piece in chunks(len(times))):
                # Whole months differ from this average by two days at most, however many they are.
                return Frequency.from_months(round(gap / (30.436875 * DAY)), first, edge)
    weekends = (not np.is_busday(times[piece].astype("M8[D]")).all() for piece in chunks(len(times)))
    if gap == DAY and 3 * DAY in counts and not any(weekends):
        return Frequency("B")
    return Frequency.from_gap(gap, first)


def _at_edge(times: np.ndarray, edge: str) -> bool:
    days = times.astype("M8[D]") + (1 if edge == "E" else 0)
    return bool(np.all(days == days.astype("M8[M]").astype("M8[D]")))


def _place(
    axis: Axis,
    survey: _Survey,
    frequency: Frequency,
    share: float,
    id_values: np.ndarray,
    notes: list[str],
    alike: Alike | None,
) -> Grid:
    kind = axis.times.dtype
    starts, ends = survey.first.astype(kind), survey.last.astype(kind)
    lengths = frequency.locate(ends, starts)[0] + 1
    n_rows, n_grid = len(axis.codes), int(lengths.sum())
    if n_grid > SPARSEST * n_rows + 10**6:
        i = int(np.argmax(lengths))
        raise DataError(
            f"{axis.where}: expected rows in steps of {frequency} with few gaps, got {n_rows:,} rows for {n_grid:,} "
            f"steps (series {axis.ids[i]!r} goes from {stamp(starts[i])!r} to {stamp(ends[i])!r})",
            "look for a stray time stamp, or name the frequency",
        )
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    disk = on_disk(axis.times, axis.codes)
    place = empty(n_rows, np.int64, disk)
    taken = full(n_grid, False, np.bool_, disk)
    for piece in chunks(n_rows):
        codes = axis.codes[piece]
        k, exact = frequency.locate(axis.times[piece], starts[codes])
        if not exact.all():
            raise off_grid(axis, frequency, piece.start + int(np.argmin(exact)), share)
        place[piece] = offsets[codes] + k
        taken[place[piece]] = True
    present = sum(int(np.count_nonzero(taken[piece])) for piece in chunks(n_grid))
    if present < n_rows:
        notes.append(check_repeats(axis, place, n_grid, alike))
    if n_grid > present:
        notes.append(_filled(frequency, offsets, taken))
    filled = n_grid - present
    return Grid(axis.ids, id_values, starts, frequency, offsets, axis.codes, place, filled, tuple(notes))


def _filled(frequency: Frequency, offsets: np.ndarray, taken: np.ndarray) -> str:
    """``165 missing hours filled and masked``, and in how many series."""
    rows = np.zeros(len(offsets) - 1, np.int64)
    for piece in chunks(len(taken)):
        free = piece.start + np.flatnonzero(~taken[piece])
        rows += np.bincount(np.searchsorted(offsets, free, side="right") - 1, minlength=len(rows))
    series = f" in {np.count_nonzero(rows):,} series" if len(rows) > 1 else ""
    return f"{missing_steps(frequency, int(rows.sum()))} filled and masked{series}"


def missing_steps(frequency: Frequency, n: int) -> str:
    """``165 missing hours``, ``1 missing step of 15 minutes``."""
    number, rest = frequency.count(n).split(" ", 1)
    return f"{number} missing {rest}"
