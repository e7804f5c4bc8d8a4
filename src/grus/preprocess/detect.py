"""From rows of sensors to a detector's input: fitted on training rows only, saved with the model, NumPy only.

The same code prepares the rows of training and of a live stream, so they cannot differ.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from grus.errors import SpecError
from grus.preprocess.calendar import calendar_features, feature_names
from grus.preprocess.channels import Channels, filled, scaled
from grus.preprocess.frequency import DAY
from grus.preprocess.irregular import IrregularRows, fit_scaled
from grus.preprocess.records import Records
from grus.preprocess.scaling import Method, fit_scaler, fit_series_scaler
from grus.spec import AnyStep, Calendar, CovariateScale, Detect, Irregular, IrregularForm, Port, SeriesScale

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
    irregular: IrregularForm | None = None,
    timed: bool = False,
) -> tuple[tuple[AnyStep, ...], Arrays]:
    """Fit the preprocessing of a detector on training rows.

    Every column of every series has a scale of its own; what series have in common scales those never seen.

    Args:
        records: the rows.
        columns: their names.
        scaling: standard, robust or none.
        calendar: features by name; by the stamps if None.
        grouped: whether the series have names that will be met again.
        irregular: what is made of missing values and uneven times; None: the last value known, with masks.
        timed: whether there is a time column.

    Returns:
        The steps, and their float64 arrays by the names of the model file.

    Raises:
        DataError: a column without any value.
    """
    center, scale = fit_scaler(records.values, scaling, columns)
    gaps = (
        [] if irregular is not None else [np.isnan(records.values[:, i]).any() for i in range(len(columns))]
    )
    masked = tuple(name for name, has_gaps in zip(columns, gaps) if has_gaps)
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
    arrays = {
        "preprocess.covariate_scale.center": center,
        "preprocess.covariate_scale.scale": scale,
        "preprocess.series_scale.center": own[0] if own else np.zeros(0),
        "preprocess.series_scale.scale": own[1] if own else np.ones(0),
    }
    if irregular is None:
        return steps, arrays
    fitted = [np.repeat(part.reshape(-1, len(columns)), records.lengths, 0) for part in own] or [
        center,
        scale,
    ]
    times = None
    if timed:
        times = records.stamps.view("M8[ns]") if records.dates else records.stamps
    values = scaled(records.values, *fitted)
    step, more = fit_scaled(columns, values, records.offsets, times, irregular)
    return (*steps, step), arrays | {f"preprocess.{step.key}.{name}": part for name, part in more.items()}


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
        if set(found) - {Irregular} != {CovariateScale, SeriesScale, Calendar} or len(steps) != len(found):
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
        self.rows = _rows_of(task, found.get(Irregular), arrays)  # type: ignore[arg-type]
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
        """The graph's input: of each column the value before and its mask, then the calendar of the step.

        Of an irregular model what `irregular_names` says.
        """
        size = self._channels.size if self.rows is None else len(irregular_names(self.rows.step))
        return Port("x", "seq", size + self._clock, "src")

    @property
    def needs_dates(self) -> bool | None:
        """Whether stamps must be dates (True) or whole numbers (False); None: both are well."""
        clock = "steps" if self.rows is None else self.rows.step.clock
        return True if self.has_calendar else None if clock == "steps" else clock == "dates"

    def begin(self, n: int) -> tuple[np.ndarray, ...]:
        """What is remembered of ``n`` streams before their first row.

        Of each column the last known value and whether the newest row had it; of irregular ones also when the newest
        row was, whether there was one, what was made of it, and what `IrregularRows` remembers.
        """
        width = len(self.scale[0])
        held = (np.full((n, width), np.nan), np.zeros((n, width), np.bool_))
        if self.rows is None:
            return held
        newest = (np.zeros(n, np.int64), np.zeros(n, np.bool_), np.zeros((n, self.rows.size), np.float32))
        return (*held, *newest, *self.rows.begin(n))

    def series(self, names: Sequence[str]) -> np.ndarray:
        """The place of some series among the scales, int64; that of the strangers for one never seen."""
        stranger = len(self.scale) - 1
        return np.array([self._known.get(f"{name}: {self._first}", stranger) for name in names], np.int64)

    def scaled(self, values: np.ndarray, series: np.ndarray) -> np.ndarray:
        """Values [B, T, C] of some series, scaled."""
        return scaled(values, self.center[series][:, None], self.scale[series][:, None])

    def series_inputs(self, records: Records, i: int) -> tuple[np.ndarray, np.ndarray]:
        """What the network sees of one whole series, float32 [T, features], and its values scaled, float64 [T, C]."""
        rows = records.rows(i)
        values = self.scaled(records.values[rows][None], self.series(records.names[i : i + 1]))
        return self.inputs(values, records.stamps[rows][None], self.begin(1))[0][0], values[0]

    def inputs(
        self, values: np.ndarray, stamps: np.ndarray, held: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """What the network sees of some steps: the values before each, and its calendar.

        Args:
            values: scaled [B, T, C], NaN where missing; T at least 1.
            stamps: int64 [B, T].
            held: as `begin` made it.

        Returns:
            float32 [B, T, features], and what is remembered after the chunk.
        """
        last, seen, *more = held
        found, after = filled(values, last)
        there = ~np.isnan(values)
        before = np.concatenate((last[:, None], found[:, :-1]), 1)
        size = self.port().size
        out, width = np.empty((*values.shape[:2], size), np.float32), size - self._clock
        own = out[..., :width]
        if self.rows is None:
            known = np.concatenate((seen[:, None], there[:, :-1]), 1)
            self._channels.put(before, known, own, MOST_SEEN)
        else:
            more = self._put_irregular(values, stamps, before, more, own, self.rows)
        if self._clock:
            flat = np.ascontiguousarray(stamps).reshape(-1).view("M8[ns]")
            clock = calendar_features(flat, self._features)
            out[..., width:] = clock.reshape(*stamps.shape, self._clock)
        return out, (after, there[:, -1], *more)

    def _put_irregular(
        self,
        values: np.ndarray,
        stamps: np.ndarray,
        before: np.ndarray,
        held: list[np.ndarray],
        out: np.ndarray,
        rows: IrregularRows,
    ) -> list[np.ndarray]:
        """Write what `irregular_names` says of the rows before those of a chunk; what is remembered after it.

        Args:
            before: the last known values before each row [B, T, C].
            held: from the third on, as `begin` made it.
        """
        newest, begun, made, *own = held
        step, count = rows.step, len(rows.step.columns)
        if step.clock == "steps":
            stamps = newest[:, None] + 1 + np.arange(stamps.shape[1])
        found, after = rows.chunk(values, stamps, (begun, newest), tuple(own))
        earlier = np.concatenate((made[:, None], found[:, :-1]), 1)
        if step.form == "decay":
            out[..., :count] = np.clip(np.nan_to_num(before), -MOST_SEEN, MOST_SEEN)
            out[..., count] = 1.0
            out[:, 0, count] = begun
            out[..., count + 1 : 3 * count + 1] = np.clip(earlier[..., :-1], -MOST_SEEN, MOST_SEEN)
            out[..., 3 * count + 1] = earlier[..., -1]
        else:
            out[..., : rows.size] = np.clip(earlier, -MOST_SEEN, MOST_SEEN)
        if step.reads_times:
            out[..., -1] = np.minimum(np.log1p(rows.gaps(stamps, (begun, newest))), MOST_SEEN)
        return [stamps[:, -1], np.ones_like(begun), found[:, -1], *after]


def irregular_names(step: Irregular) -> tuple[str, ...]:
    """Names of what a detector sees of irregular rows, before the calendar.

    What the step makes of the row before; where times are read, ``ahead``, log(1 + the time since that row over the
    unit). Before a GRU-D's come the last known values, which a linear model of the next ones begins from, and ``row``,
    1 if there was a row before.
    """
    made = tuple(f"{name} before" for name in step.features())
    if step.form == "decay":
        made = (*(f"{name} last" for name in step.columns), "row", *made)
    return (*made, "ahead") if step.reads_times else made


def _rows_of(task: Detect, step: Irregular | None, arrays: Mapping[str, np.ndarray]) -> IrregularRows | None:
    """What reads the rows of an irregular model; raises SpecError for a step that is not the task's."""
    if step is None:
        return None
    if step.columns != task.columns:
        raise SpecError("detect: the irregular columns must be those of the task")
    if (step.clock == "steps") == (task.time is not None and step.reads_times):
        raise SpecError(
            "detect: the irregular clock must be of dates or numbers where a time column is read, else of steps"
        )
    fitted = {name: arrays[f"preprocess.{step.key}.{name}"] for name in step.arrays()}
    return IrregularRows(step, fitted)
