"""A trained forecaster without torch: rows in, forecasts with intervals out."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.decode.forecast_spec import check_forecast
from grus.decode.intervals import (
    check_levels,
    drawn_mean,
    earlier_origins,
    mean_size,
    nested_intervals,
    point,
    season_phases,
)
from grus.decode.rows import to_columns
from grus.decode.streaming.live import LiveModel
from grus.decode.windows import Forecasts
from grus.errors import DataError, UnsupportedError, UsageError
from grus.preprocess.columns import Columns
from grus.preprocess.features import Features, Preprocessor
from grus.preprocess.frequency import Frequency
from grus.preprocess.panel import Panel, extend
from grus.preprocess.roles import Roles
from grus.preprocess.stacked import NAME, lay_out_table, repeat_future
from grus.preprocess.uneven import STEP
from grus.runtime import Program, State
from grus.spec import Forecast, Model, ops

if TYPE_CHECKING:
    from grus.decode.scores import Evaluation
    from grus.decode.streaming.forecaster import ForecastStream

#: Windows run at once: bounds the memory of an evaluation, and keeps a batch in cache.
_BATCH = 512


class LiveForecaster(LiveModel):
    """What ``grus.load`` returns for a forecasting model; also what the estimator itself predicts with.

    Args:
        model: the spec.
        tensors: its numbers, by the names of the model file.
        precision: what the network's matrices are kept as, ``"float32"``, ``"bf16"`` or ``"int8"``: see
            `grus.runtime.Program`.
    """

    def __init__(self, model: Model, tensors: Mapping[str, np.ndarray], precision: str = "float32") -> None:
        self.model = model
        self.task = model.task_as(Forecast)
        check_forecast(model)
        self._preprocessor = Preprocessor(self.task, model.preprocess, tensors)
        weights = {k.removeprefix("main."): v for k, v in tensors.items() if k.startswith("main.")}
        self.program = Program(model.parts["main"], weights, precision)
        self._margins = tensors.get("task.conformal")
        self._spread = tensors.get("task.spread", np.ones(self.task.season))
        self._typical = float(tensors.get("task.recent", np.ones(1))[0])
        self.frequency = Frequency.from_string(self.task.frequency)
        self.roles = Roles(
            self.task.target, self.task.id, self.task.time, self.task.past, self.task.future, self.task.static
        )

    @property
    def steps(self) -> int:
        """Steps that the network puts out: the horizon, rounded up to whole segments."""
        return output_steps(self.model)

    @cached_property
    def memory(self) -> int:
        """How many of a series' newest rows an answer depends on: the lookback, and that of the last forecasts."""
        task = self.task
        if not task.recent or self._margins is None:
            return task.lookback
        newest = np.array([1 << 40])
        oldest = earlier_origins(newest, newest * 0, task.horizon, task.season, task.recent).min()
        return task.lookback + int(newest[0] - oldest)

    def predict(self, rows: Any, future: Any = None, *, level: Sequence[float] = ()) -> Columns:
        """Forecast the horizon after the last row of every series.

        Args:
            rows: history, at least one row a series. Only the newest ``memory`` of them are read: what lies before
                the lookback serves the intervals (the errors of the last forecasts that could have been made say how
                wide they are now) and the scale of a series that training never saw.
            future: the horizon's rows of the covariates that are known in advance; needed if the model has any.
            level: central intervals in percent, e.g. ``[80, 95]``.

        Returns:
            Columns: the id (if any), ``target`` (if there are several), the time stamp (of rows at uneven times the
            last one, and ``step``, how many rows after it), the forecast under the model's alias, and for each level
            ``<alias>-lo-<level>`` and ``<alias>-hi-<level>``.

        Raises:
            DataError: if rows or future do not fit the model; UsageError: for a level outside [1, 99].
        """
        panel = self.panel(rows).last(self.memory)
        horizon = self.task.horizon
        ahead = None if future is None else to_columns(future, "future")
        if ahead is not None and self.task.targets:
            ahead = repeat_future(ahead, self.roles, self.task.targets)
        extended = extend(panel, horizon, ahead)
        if (panel.lengths == 0).any():
            raise DataError(
                f"rows: series {panel.ids[int(np.argmin(panel.lengths))]!r} has no rows to forecast from"
            )
        series = np.arange(panel.n_series)
        origins = extended.offsets[1:] - horizon
        forecasts = self.forecast(extended, series, origins, level, history=panel.lengths)
        return self.columns(extended, forecasts)

    # -- live --------------------------------------------------------------------------------------------------

    @cached_property
    def _stream(self) -> "ForecastStream":
        from grus.decode.streaming.forecaster import ForecastStream

        return ForecastStream(self)

    def step(
        self, x: Any, state: State, *, level: Sequence[float] = (), future: Any = None
    ) -> tuple[Columns, State]:
        """Take in one raw row of every stream, and forecast the horizon after it.

        Args:
            x: a record, such as ``{"ds": "2024-01-01 13:00", "y": 4.2}``, of one stream; or a list of records,
                columns or a frame with a row for each, in the order of the state.
            state: before the row.
            level, future: as for `predict`.

        Returns:
            What `predict` gives for all rows that the streams have seen, to the bit (NaN for a stream without any
            value to scale by, which `predict` refuses); and the state after the row.

        Raises:
            DataError: a row does not fit, such as one that is not later than the last. The state is as it was.
        """
        return self._stream.step(x, state, level, None if future is None else to_columns(future, "future"))

    def run(
        self, x: Any, state: State | None = None, *, level: Sequence[float] = (), future: Any = None
    ) -> tuple[Columns, State]:
        """Take in any number of raw rows of every stream, and forecast the horizon after the last.

        Args:
            x: rows as for `predict`, those of each series in the order of time. The series that is named first is
                the first of the state, and so on.
            state: before the rows; None: the beginning.
            level, future: as for `predict`.

        Returns:
            As `step`.
        """
        return self._stream.run(x, state, level, None if future is None else to_columns(future, "future"))

    # -- windows -----------------------------------------------------------------------------------------------

    def panel(self, rows: Any, source: str = "rows") -> Panel:
        """Rows (columns, records, a frame, or a panel) on the model's own regular grid."""
        if isinstance(rows, Panel):
            return rows
        table, task = to_columns(rows, source), self.task
        return lay_out_table(table, self.roles, task.targets, self.frequency, source, task.uneven)

    def forecast(
        self,
        panel: Panel,
        series: np.ndarray,
        origins: np.ndarray,
        level: Sequence[float] = (),
        *,
        history: np.ndarray | None = None,
        features: Features | None = None,
    ) -> Forecasts:
        """Forecast any windows of a panel; see `Forecasts`.

        Args:
            panel: history and, where the model uses them, future covariates.
            series, origins: of each window, int [W].
            level: central intervals in percent.
            history: rows of each series of which the newest may be used to scale a series never seen.
            features: of the panel, if they are at hand.
        """
        levels = self.check_levels(level)
        if features is None:
            features = self._preprocessor.features(panel, history, self.memory)
        outputs = self.outputs(features, series, origins).astype(np.float64)
        center, scale = features.center[series][:, None], features.scale[series][:, None]
        quantiles = self.task.quantiles

        def unscale(values: np.ndarray) -> np.ndarray:
            values = values * scale + center
            return np.maximum(values, 0.0) if self.task.non_negative else values

        ends: dict[float, tuple[np.ndarray, np.ndarray]] = {}
        if levels:
            assert self._margins is not None
            phases = season_phases(panel, series, origins, self.task.horizon, self.task.season)
            spread = self._spread[phases]
            if self.task.recent:
                last = self.recent_error(panel, features, series, origins, self._spread, self._typical)
                spread = spread * last[:, None]
            found = nested_intervals(outputs / spread[..., None], quantiles, self._margins, levels)
            ends = {wanted: (low * spread, high * spread) for wanted, (low, high) in found.items()}
        lower = {wanted: unscale(low) for wanted, (low, _) in ends.items()}
        upper = {wanted: unscale(high) for wanted, (_, high) in ends.items()}
        return Forecasts(series, origins, unscale(point(outputs, quantiles)), lower, upper)

    def recent_error(
        self,
        panel: Panel,
        features: Features,
        series: np.ndarray,
        origins: np.ndarray,
        spread: np.ndarray,
        typical: float,
    ) -> np.ndarray:
        """How large the errors of the last forecasts before each window were, relative to a typical one, float64 [W].

        Args:
            spread: of the error at each place in the season, by which each is divided.
            typical: of all forecasts; counts as one more of them, and stands where the history holds none.
        """
        task = self.task
        first = panel.offsets[series] + task.lookback
        earlier = earlier_origins(origins, first, task.horizon, task.season, task.recent)
        rows, place = np.unique(earlier[earlier >= 0], return_inverse=True)
        sizes = np.full(earlier.shape, np.nan)
        if len(rows):
            owner = np.searchsorted(panel.offsets, rows, side="right") - 1
            outputs = self.outputs(features, owner, rows).astype(np.float64)
            error = features.target[rows[:, None] + np.arange(task.horizon)] - point(outputs, task.quantiles)
            phases = season_phases(panel, owner, rows, task.horizon, task.season)
            sizes[earlier >= 0] = mean_size(error / spread[phases])[place]
        return drawn_mean(sizes, typical) / typical

    def outputs(self, features: Features, series: np.ndarray, origins: np.ndarray) -> np.ndarray:
        """The network's scaled outputs for windows, float32 [W, H, Q], quantiles in increasing order."""
        parts = [
            self.program(self.inputs(features, series[i : i + _BATCH], origins[i : i + _BATCH]))["forecast"]
            for i in range(0, len(series), _BATCH)
        ]
        outputs = np.concatenate(parts)[:, : self.task.horizon]
        return np.sort(outputs, axis=-1) if self.task.quantiles else outputs

    def inputs(self, features: Features, series: np.ndarray, origins: np.ndarray) -> dict[str, np.ndarray]:
        """The network's inputs for windows, by port."""
        return self._preprocessor.windows(features, series, origins, self.steps)

    def features(self, panel: Panel) -> Features:
        """The panel as the network sees it."""
        return self._preprocessor.features(panel)

    def evaluate(
        self,
        rows: Any,
        *,
        step: int | None = None,
        last: int | None = None,
        level: Sequence[float] = (80, 95),
    ) -> "Evaluation":
        """Forecast every ``step``-th origin of the last ``last`` rows of each series and score it beside the baselines.

        A series that training never saw is scaled by its newest rows before the first origin, as it would be live.

        Args:
            rows: history and truth.
            step: distance between origins (default: the horizon).
            last: rows of each series that origins may lie in (default: all after the first lookback).
            level: intervals whose coverage is measured.

        Raises:
            DataError: if no series is long enough for one window.
            UsageError: if step, last or a level cannot be used.
        """
        from grus.decode.scores import evaluate

        panel = self.panel(rows)
        series, origins = self.windows(panel, self.task.horizon if step is None else step, last)
        history = panel.lengths.copy()
        np.minimum.at(history, series, origins - panel.offsets[series])
        calibrated = level if self._margins is not None else ()
        forecasts = self.forecast(panel, series, origins, calibrated, history=history)
        return evaluate(panel, forecasts, self.task.alias, self.frequency.seasons, self.task.season)

    def windows(self, panel: Panel, step: int, last: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Series and origins of all windows whose lookback and horizon lie inside the series."""
        horizon, lookback = self.task.horizon, self.task.lookback
        if not isinstance(step, Integral) or step < 1:
            raise UsageError(f"evaluate: step must be a whole number of at least 1, got {step!r}")
        if last is not None and (not isinstance(last, Integral) or last < horizon):
            raise UsageError(
                f"evaluate: last must be a whole number of at least the horizon of {horizon}, got {last!r}"
            )
        series: list[np.ndarray] = []
        origins: list[np.ndarray] = []
        for i in range(panel.n_series):
            begin, end = int(panel.offsets[i]), int(panel.offsets[i + 1])
            first = begin + lookback if last is None else max(begin + 1, end - last)
            found = np.arange(first, end - horizon + 1, step)
            origins.append(found)
            series.append(np.full(len(found), i))
        if not sum(map(len, origins)):
            need = f"lookback {lookback} + horizon {horizon} need {lookback + horizon}"
            if last is not None:
                need = f"horizon {horizon} and one before it need {horizon + 1}"
            longest = panel.frequency.count(int(panel.lengths.max()))
            raise DataError(f"rows: the longest series has {longest}, but {need}")
        return np.concatenate(series), np.concatenate(origins)

    def columns(self, panel: Panel, forecasts: Forecasts, *, cutoff: bool = False) -> Columns:
        """Forecasts as columns in the user's own names, one row a step; ``cutoff`` adds the last stamp before each."""
        task, horizon = self.task, forecasts.point.shape[1]
        steps = np.arange(horizon)
        times = panel.frequency.at(
            np.repeat(panel.starts[forecasts.series], horizon),
            ((forecasts.origins - panel.offsets[forecasts.series])[:, None] + steps).ravel(),
        )
        columns: Columns = {}
        if task.id is not None:
            columns[task.id] = np.repeat(_ids(panel, bool(task.targets))[forecasts.series], horizon)
        if task.targets:
            names = np.array([name for _, name in panel.id_values], object)
            columns[NAME] = np.repeat(names[forecasts.series], horizon)
        # A stamp that was joined from several columns ("day+hour") comes back as one.
        stamp = task.time if task.time and "+" not in task.time else "ds"
        before = panel.when(forecasts.series, forecasts.origins - panel.offsets[forecasts.series] - 1)
        if panel.stamps is not None:  # no one knows when the next rows come: how many after which
            columns |= {stamp: np.repeat(before, horizon), STEP: np.tile(steps + 1, len(before))}
        else:
            columns[stamp] = times
        if cutoff:
            columns["cutoff"] = np.repeat(before, horizon)
        columns[task.alias] = forecasts.point.ravel()
        for wanted in forecasts.lower:
            columns[f"{task.alias}-lo-{wanted}"] = forecasts.lower[wanted].ravel()
            columns[f"{task.alias}-hi-{wanted}"] = forecasts.upper[wanted].ravel()
        return columns

    def check_levels(self, level: Sequence[float]) -> list[float]:
        """Levels as they are named in answers; raises UnsupportedError if the model has no calibrated intervals."""
        levels = check_levels(level)
        if levels and self._margins is None:
            raise UnsupportedError(
                "this model has no calibrated intervals",
                hint="it was trained without validation windows; train it with more history",
            )
        return levels


def _ids(panel: Panel, stacked: bool) -> np.ndarray:
    """The ids of the user's own table, dtype kept [N]; those of a stacked panel stand in pairs with the target."""
    return np.array([value for value, _ in panel.id_values]) if stacked else panel.id_values


def output_steps(model: Model) -> int:
    """Steps that a model's network puts out: the horizon, rounded up to whole segments."""
    lengths = [node.op.length for node in model.parts["main"].nodes if isinstance(node.op, ops.Unsegment)]
    length = lengths[0] if lengths else 1
    return length * -(-model.task_as(Forecast).horizon // length)
