"""Rows with missing values at uneven times, as a network sees them: a chunk of many streams at a time."""

from collections.abc import Collection, Mapping

import numpy as np

from grus.errors import DataError, SpecError
from grus.preprocess.build_examples import DAY
from grus.preprocess.channels import MOST, filled, scaled
from grus.preprocess.examples import Examples
from grus.preprocess.scaling import fit_scaler
from grus.preprocess.storage import chunks
from grus.spec import Irregular, IrregularForm
from grus.spec.steps import RowClock

#: Values are held between these quantiles of training: one value in five hundred lies outside, as a slip of a decimal
#: point does (a pH of 735 in PhysioNet 2012), and would else be most of the deviation that the rest is divided by.
QUANTILES = (0.001, 0.999)


def fit_irregular(examples: Examples, form: IrregularForm) -> tuple[Irregular, dict[str, np.ndarray]]:
    """The step that reads such series, and its arrays: bounds, mean and deviation of what was measured, unit of time.

    The unit is the mean time since a channel was last known: so GRU-D begins with decays that leave most of a state,
    however many channels there are that are hardly ever measured.

    Raises:
        DataError: a channel without any value.
    """
    assert examples.series is not None
    _check_known(examples.columns, examples.series)
    low, high = np.nanquantile(examples.series, QUANTILES, axis=0)
    center, scale = fit_scaler(np.clip(examples.series, low, high), "standard", examples.columns)
    return _timed(examples, form, {"center": center, "scale": scale, "low": low, "high": high})


def fit_scaled(
    columns: tuple[str, ...],
    values: np.ndarray,
    offsets: np.ndarray,
    times: np.ndarray | None,
    form: IrregularForm,
    free: Collection[str] = (),
) -> tuple[Irregular, dict[str, np.ndarray]]:
    """As `fit_irregular`, for values that other steps have scaled already: center 0, scale 1.

    Args:
        columns: names of the channels.
        values: scaled, [N, C], NaN where missing.
        offsets: int64 [R + 1], rows of series r are ``offsets[r]:offsets[r + 1]``.
        times: of the rows, datetime64[ns] or int64 [N]; None: rows are steps.
        form: what is made of them.
        free: channels without bounds, as those are that may drift.

    Raises:
        DataError: a channel without any value.
    """
    series = np.asarray(values, np.float64)
    _check_known(columns, series)
    examples = Examples("series", len(offsets) - 1, columns, offsets=offsets, series=series, times=times)
    low, high = np.nanquantile(series, QUANTILES, axis=0)
    loose = np.array([name in free for name in columns])
    arrays = {"low": np.where(loose, -MOST, low), "high": np.where(loose, MOST, high)}
    identity = {"center": np.zeros(len(columns)), "scale": np.ones(len(columns))}
    return _timed(examples, form, identity | arrays)


def _timed(
    examples: Examples, form: IrregularForm, arrays: dict[str, np.ndarray]
) -> tuple[Irregular, dict[str, np.ndarray]]:
    """The step, and its arrays with the unit of time."""
    step = Irregular(examples.columns, form, "steps" if form in ("mean", "forward") else clock_of(examples))
    unit = _unit(examples, arrays) if step.reads_times else 1.0
    return step, arrays | {"gap_scale": np.array([unit])}


def _check_known(columns: tuple[str, ...], series: np.ndarray) -> None:
    """Raise DataError for a channel without any value."""
    for column, name in enumerate(columns):
        if np.isnan(series[:, column]).all():
            raise DataError(
                f"column {name!r}: expected at least one value to learn from, got only missing ones",
                "leave it out of the columns",
            )


def clock_of(examples: Examples) -> RowClock:
    """What tells the rows of series apart in time."""
    if examples.times is None:
        return "steps"
    return "dates" if examples.times.dtype.kind == "M" else "numbers"


def unmeasured(examples: Examples) -> int:
    """How many series hold no value at all: no rows, or rows in which everything is missing."""
    assert examples.series is not None
    assert examples.offsets is not None
    known = np.concatenate(([0], np.cumsum((~np.isnan(examples.series)).any(1))))
    return int((known[examples.offsets[1:]] == known[examples.offsets[:-1]]).sum())


def _unit(examples: Examples, arrays: dict[str, np.ndarray]) -> float:
    """The mean time since a channel was last known, in days for dates; 1 where no time passes."""
    step = Irregular(examples.columns, "indicators", clock_of(examples))
    since = IrregularRows(step, arrays | {"gap_scale": np.ones(1)}).series(examples, None)[
        :, -len(step.columns) :
    ]
    return float(np.expm1(since, dtype=np.float64).mean()) or 1.0


Held = tuple[np.ndarray, ...]
"""What streams remember from chunk to chunk: nothing, or the last known scaled value of each channel, NaN where there
is none, float64 [B, C]; and with indicators when it was last known, or the first row was, int64 [B, C]."""


class IrregularRows:
    """Makes the network's input of raw rows, in training, in prediction and live; see `grus.spec.Irregular`.

    Args:
        step: the columns and the form.
        arrays: fitted by `fit_irregular`, by their own names.

    Raises:
        SpecError: scales or a unit that are not above zero.
    """

    def __init__(self, step: Irregular, arrays: Mapping[str, np.ndarray]) -> None:
        for name in ("scale", "gap_scale"):
            if not (arrays[name] > 0).all():
                raise SpecError(f"model: preprocess.{step.key}.{name} must be above zero")
        self.step, self.size = step, step.port().size
        self._carries = step.form in ("forward", "indicators")
        self._center, self._scale = arrays["center"], arrays["scale"]
        self._low, self._high = arrays["low"], arrays["high"]
        self._unit = float(arrays["gap_scale"][0]) * (DAY if step.clock == "dates" else 1)

    def begin(self, streams: int) -> Held:
        """Before the first row."""
        shape = (streams, len(self.step.columns))
        held: Held = (np.full(shape, np.nan),) if self._carries else ()
        return (*held, np.zeros(shape, np.int64)) if self.step.form == "indicators" else held

    def chunk(
        self, values: np.ndarray, stamps: np.ndarray, before: tuple[np.ndarray, np.ndarray], held: Held
    ) -> tuple[np.ndarray, Held]:
        """The features of some rows, and what is remembered after them.

        Args:
            values: raw float64 [B, T, C], NaN where missing.
            stamps: when the rows were, int64 [B, T], rising; nanoseconds where the clock is dates. Padding stands at
                the end, and all of it is NaN; what is made of it is not meant to be read.
            before: whether there was a row before them, bool [B], and when, int64 [B].
            held: from `begin`, or the call before.

        Returns:
            float32 [B, T, size], and what is held.
        """
        z = self._scaled(values)
        known, count, form = ~np.isnan(z), z.shape[2], self.step.form
        out = np.zeros((*z.shape[:2], self.size), np.float32)
        if self._carries:
            z, last = filled(z, held[0])
            held = (last, *held[1:])
        out[..., :count] = np.where(np.isnan(z), 0.0, z)
        if self.step.reads_times:
            out[..., count : 2 * count] = known
            if form == "decay":
                out[..., 2 * count] = self.gaps(stamps, before)
            else:
                first = np.where(before[0], before[1], stamps[:, 0]) if stamps.shape[1] else before[1]
                since = np.where(before[0][:, None], held[1], first[:, None])
                at = _seen_at(known, stamps, since)
                out[..., 2 * count :] = np.log1p(self._time(stamps[..., None] - at[:, :-1]))
                held = (held[0], at[:, -1])
        return out, held

    def gaps(self, stamps: np.ndarray, before: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """The time from the row before to each, in the unit of training, 0 at the first of all; as for `chunk`."""
        first = np.where(before[0], before[1], stamps[:, 0]) if stamps.shape[1] else before[1]
        return self._time(np.diff(stamps, axis=1, prepend=first[:, None]))

    def windows(self, values: np.ndarray, stamps: np.ndarray) -> np.ndarray:
        """The features of stretches [B, T, C] at ``stamps`` [B, T], each by itself, float32 [B, T, size].

        Where gaps are filled, what is missing before the first known value of a stretch is filled with that.
        """
        held = self.begin(len(values))
        if self._carries:
            held = (first_known(self._scaled(values)), *held[1:])
        new = np.zeros(len(values), np.bool_), np.zeros(len(values), np.int64)
        return self.chunk(values, stamps, new, held)[0]

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        """Values held to their bounds and scaled; NaN stays NaN."""
        return scaled(np.minimum(np.maximum(values, self._low), self._high), self._center, self._scale)

    def _time(self, apart: np.ndarray) -> np.ndarray:
        """In the unit of training; no state, whatever stamps it was made to hold, gives a time below 0."""
        return np.maximum(apart, 0) / self._unit

    def series(self, examples: Examples, time: str | None, steps: int = 1 << 20) -> np.ndarray:
        """The features of all rows of whole series, float32 [N, size].

        Args:
            examples: series.
            time: the column of times, for messages.
            steps: padded rows that are worked on at once.

        Raises:
            DataError: the times are not what they were in training.
        """
        assert examples.series is not None
        assert examples.offsets is not None
        stamps = self._stamps(examples, time)
        lengths, starts = np.diff(examples.offsets), examples.offsets[:-1]
        out = np.empty((len(examples.series), self.size), np.float32)
        order = np.argsort(lengths, kind="stable")
        most = max(int(lengths.max(initial=1)), 1)
        for piece in chunks(len(order), max(steps // (most * max(len(self.step.columns), 1)), 1)):
            rows = order[piece]
            longest = int(lengths[rows].max(initial=0))
            if not longest:
                continue
            real = np.arange(longest) < lengths[rows][:, None]
            last = np.maximum(lengths[rows] - 1, 0)[:, None]
            place = np.minimum(starts[rows][:, None] + np.minimum(np.arange(longest), last), len(out) - 1)
            values = np.where(real[..., None], examples.series[place], np.nan)
            new = np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.int64)
            found, _ = self.chunk(values, stamps[place], new, self.begin(len(rows)))
            out[place[real]] = found[real]
        return out

    def check_clock(self, got: RowClock, time: str | None) -> None:
        """Raise DataError unless the times of rows, in the column ``time``, are what they were in training."""
        words = {"dates": "dates", "numbers": "whole numbers", "steps": "rows without times"}
        if self.step.clock not in ("steps", got):
            where = "examples" if time is None else f"column {time!r}"
            raise DataError(f"{where}: expected {words[self.step.clock]} as in training, got {words[got]}")

    def _stamps(self, examples: Examples, time: str | None) -> np.ndarray:
        """When each row was, int64 [N]."""
        assert examples.offsets is not None
        if self.step.clock == "steps":
            return np.arange(examples.offsets[-1]) - np.repeat(
                examples.offsets[:-1], np.diff(examples.offsets)
            )
        self.check_clock(clock_of(examples), time)
        assert examples.times is not None
        return examples.times.astype(np.int64)


def first_known(values: np.ndarray) -> np.ndarray:
    """The first value of each channel of stretches [B, T, C], NaN where there is none, [B, C]."""
    first = np.argmax(~np.isnan(values), axis=1)
    return np.take_along_axis(values, first[:, None], 1)[:, 0]


def _seen_at(known: np.ndarray, stamps: np.ndarray, since: np.ndarray) -> np.ndarray:
    """When each channel was last known before each row, and after the last one, int64 [B, T + 1, C].

    Args:
        known: bool [B, T, C].
        stamps: of the rows [B, T].
        since: when each was last known before them [B, C].
    """
    streams, steps, channels = known.shape
    at = np.empty((streams, steps + 1, channels), np.int64)
    at[:, 0] = since
    if steps:
        newest = np.maximum.accumulate(np.where(known, np.arange(steps)[:, None], -1), axis=1)
        times = np.take_along_axis(stamps[..., None], np.maximum(newest, 0), 1)
        at[:, 1:] = np.where(newest >= 0, times, since[:, None])
    return at
