"""From rows of sensors to a detector's input: fitted on training rows only, saved with the model, NumPy only.

The same code prepares the rows of training and of a live stream, so they cannot differ.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from grus.errors import SpecError
from grus.preprocess.calendar import calendar_features, feature_names
from grus.preprocess.channels import Channels, filled, scaled
from grus.preprocess.frequency import DAY
from grus.preprocess.records import Records
from grus.preprocess.scaling import Method, fit_scaler, fit_series_scaler
from grus.spec import AnyStep, Calendar, CovariateScale, Detect, Port, SeriesScale

Arrays = dict[str, np.ndarray]

#: What the network sees of a scaled value: beyond it a state that saturates could not follow anyway.
MOST_SEEN = 6.0
#: A cycle of the calendar is kept where training saw it at least twice, in at least so many steps each.
_CYCLES, _STEPS = 2, 4
_WEEK = 7 * DAY


def fit_detect_steps(
    records: Records,
    columns: tuple[str, ...],
    *,
    scaling: Method = "standard",
    calendar: tuple[str, ...] | None = None,
    grouped: bool = False,
) -> tuple[tuple[AnyStep, ...], Arrays]:
    """Fit the preprocessing of a detector on training rows.

    Every column of every series has a scale of its own; what series have in common scales those never seen.

    Args:
        records: the rows.
        columns: their names.
        scaling: standard, robust or none.
        calendar: features by name; by the stamps if None.
        grouped: whether the series have names that will be met again.

    Returns:
        The steps, and their float64 arrays by the names of the model file.

    Raises:
        DataError: a column without any value.
    """
    center, scale = fit_scaler(records.values, scaling, columns)
    masked = tuple(name for i, name in enumerate(columns) if np.isnan(records.values[:, i]).any())
    names: list[str] = []
    own: list[np.ndarray] = []
    if grouped:
        each = []
        for c in range(len(columns)):
            rows = records.values[:, c]
            there = np.maximum.reduceat(~np.isnan(rows), records.offsets[:-1])
            # A series that never had a value is scaled like the others together.
            known = np.where(np.repeat(there, records.lengths), rows, center[c])
            each.append(fit_series_scaler(known, records.offsets, scaling))
            for part, common in zip(each[-1], (center, scale)):
                part[~there] = common[c]
        names = [f"{name}: {column}" for name in records.names for column in columns]
        own = [np.stack([pair[k] for pair in each], 1).ravel() for k in (0, 1)]
    features = detect_calendar(records) if calendar is None else calendar
    steps: tuple[AnyStep, ...] = (
        CovariateScale(columns, masked),
        SeriesScale(scaling, tuple(names)),
        Calendar(features),
    )
    return steps, {
        "preprocess.covariate_scale.center": center,
        "preprocess.covariate_scale.scale": scale,
        "preprocess.series_scale.center": own[0] if own else np.zeros(0),
        "preprocess.series_scale.scale": own[1] if own else np.ones(0),
    }


def detect_calendar(records: Records) -> tuple[str, ...]:
    """The cycles of the day and the week that some series shows at least twice, four steps each or more."""
    if not records.dates:
        return ()
    heads = np.append(True, np.isin(np.arange(1, len(records)), records.offsets))
    gaps = np.diff(records.stamps)[~heads[1:]]
    if not len(gaps):
        return ()
    some = np.flatnonzero(records.lengths)
    last, first = records.stamps[records.offsets[1:][some] - 1], records.stamps[records.offsets[:-1][some]]
    span, step = int((last - first).max()), float(np.median(gaps))
    cycles = (("hour_of_day",), DAY), (("day_of_week", "weekend"), _WEEK)
    return tuple(
        name
        for names, length in cycles
        if span >= _CYCLES * length and step * _STEPS <= length
        for name in names
    )


class DetectPreprocessor:
    """Turns rows into the network's input, as it was trained to see them.

    Args:
        task: says the columns.
        steps: fitted by `fit_detect_steps`.
        arrays: their numbers, by the names of the model file.

    Raises:
        SpecError: steps that are not the task's, or a scale that is not above zero.
    """

    def __init__(self, task: Detect, steps: tuple[AnyStep, ...], arrays: Mapping[str, np.ndarray]) -> None:
        found = {type(step): step for step in steps}
        if set(found) != {CovariateScale, SeriesScale, Calendar} or len(steps) != 3:
            raise SpecError(
                f"detect: the steps must be CovariateScale, SeriesScale, Calendar, got {[step.key for step in steps]}"
            )
        columns: CovariateScale = found[CovariateScale]  # type: ignore[assignment]
        series: SeriesScale = found[SeriesScale]  # type: ignore[assignment]
        calendar: Calendar = found[Calendar]  # type: ignore[assignment]
        if columns.columns != task.columns or not set(columns.masked) <= set(columns.columns):
            raise SpecError("detect: the columns that are scaled must be those of the task")
        if len(series.ids) % len(task.columns):
            raise SpecError(f"detect: each of {len(task.columns)} columns of a series must have a scale")
        if calendar.features and task.time is None:
            raise SpecError("detect: calendar features need a time column")
        self._channels, self._features = Channels(columns), calendar.features
        self._clock = len(feature_names(calendar.features))
        #: Whether stamps must be dates.
        self.has_calendar = self._clock > 0
        width = len(task.columns)
        self._known = {name: i // width for i, name in enumerate(series.ids) if i % width == 0}
        self._first = task.columns[0]
        parts = []
        for part in ("center", "scale"):
            own = arrays[f"preprocess.series_scale.{part}"].reshape(-1, width)
            parts.append(np.concatenate((own, arrays[f"preprocess.covariate_scale.{part}"][None])))
        #: Of each series and column, and in the last place what a series never seen has: float64 [N + 1, C].
        self.center, self.scale = parts
        if not (self.scale > 0).all():
            raise SpecError("model: preprocess scales must be above zero")

    def port(self) -> Port:
        """The graph's input: of each column the value before and its mask, then the calendar of the step."""
        return Port("x", "seq", self._channels.size + self._clock, "src")

    def series(self, names: Sequence[str]) -> np.ndarray:
        """The place of some series among the scales, int64; that of the strangers for one never seen."""
        stranger = len(self.scale) - 1
        return np.array([self._known.get(f"{name}: {self._first}", stranger) for name in names], np.int64)

    def scaled(self, values: np.ndarray, series: np.ndarray) -> np.ndarray:
        """Values [B, T, C] of some series, scaled."""
        return scaled(values, self.center[series][:, None], self.scale[series][:, None])

    def series_inputs(self, records: Records, i: int) -> tuple[np.ndarray, np.ndarray]:
        """What the network sees of one whole series, float32 [T, features], and its values scaled, float64 [T, C]."""
        rows, width = records.rows(i), len(self.scale[0])
        values = self.scaled(records.values[rows][None], self.series(records.names[i : i + 1]))
        held, seen = np.full((1, width), np.nan), np.zeros((1, width), np.bool_)
        return self.inputs(values, records.stamps[rows][None], held, seen)[0][0], values[0]

    def inputs(
        self, values: np.ndarray, stamps: np.ndarray, held: np.ndarray, seen: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What the network sees of some steps: the values before each, and its calendar.

        Args:
            values: scaled [B, T, C], NaN where missing; T at least 1.
            stamps: int64 [B, T].
            held: the last known values before the chunk, NaN where there is none [B, C].
            seen: whether the row before the chunk had them, bool [B, C].

        Returns:
            float32 [B, T, features], and the last known values after the chunk [B, C].
        """
        found, after = filled(values, held)
        before = np.concatenate((held[:, None], found[:, :-1]), 1)
        known = np.concatenate((seen[:, None], ~np.isnan(values[:, :-1])), 1)
        out = np.empty((*values.shape[:2], self._channels.size + self._clock), np.float32)
        self._channels.put(before, known, out[..., : self._channels.size], MOST_SEEN)
        if self._clock:
            flat = np.ascontiguousarray(stamps).reshape(-1).view("M8[ns]")
            out[..., self._channels.size :] = calendar_features(flat, self._features).reshape(
                *stamps.shape, self._clock
            )
        return out, after
