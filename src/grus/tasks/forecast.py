"""The forecasting task: one global GRU over one or many series, with covariates and calibrated intervals."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import msgspec
import numpy as np

from grus.data.frames import like
from grus.data.readers import read_columns
from grus.data.roles import infer_roles, plan_lines
from grus.data.splits import Split, split_panel
from grus.data.windows import window_index
from grus.decode import Evaluation, LiveForecaster
from grus.decode.intervals import LEVELS, check_levels
from grus.errors import UsageError
from grus.inspection.report import write_forecast_report
from grus.models import GraphModule
from grus.preprocess.features import SERIES, Preprocessor, fit_steps, layout
from grus.preprocess.frequency import Frequency
from grus.preprocess.panel import Panel, build_panel
from grus.preprocess.scaling import Method
from grus.spec import AnyStep, Forecast, Model
from grus.tasks.estimator import TrainedEstimator, check_resume
from grus.tasks.forecast_job import (
    MIN_STEPS,
    VALIDATION_WINDOWS,
    ForecastJob,
    Windows,
    calibrate_forecaster,
    series_code,
)
from grus.tasks.forecast_networks import NetworkConfig, build_network, default_lookback, segment_length
from grus.tasks.forecast_parameters import WINDOW_RULES, check_names, check_parameters
from grus.tasks.run_folder import digest
from grus.training.config import Log
from grus.training.progress import Mode


class Forecaster(TrainedEstimator):
    """A GRU forecaster of one or many series, with scikit-learn's habits.

    y_{t+1..t+H} = level + f(y - level, covariates, calendar), where the level is the mean of the last season, f is
    a GRU over segments (``segment``) or over steps (``direct``), and y is scaled per series.

    Args:
        horizon: steps to forecast, H.
        id, time, target: column names; inferred where obvious.
        past: covariates known up to now; future: known for the horizon too; static: one value a series.
        freq: step between rows, e.g. ``"h"``, ``"15min"``, ``"MS"``; inferred if None.
        lookback: steps the network sees (default: about seven seasons, in whole segments).
        model: ``segment`` or ``direct``.
        hidden_size, layers, dropout: of the network.
        segment: steps a segment; anchor: steps averaged into the level (default: one season).
        calendar: calendar features by name; inferred from the frequency if None, none if empty.
        loss: ``mae``, ``mse`` or ``huber``; quantiles: probabilities, which replace it by the pinball loss.
        scaling: ``standard``, ``robust`` or ``none``, per series.
        val_size, test_size: last steps of each series kept for validation (default: about a tenth) and for test.
        epochs, batch_size, learning_rate, weight_decay, patience, ema: of the training; see TrainingConfig.
        windows_per_epoch: at most so many windows an epoch.
        seed, device, log: of the run.
        alias: the name of the forecast's column.

    Attributes:
        model_: the spec. live_: the torch-free forecaster that predicts. history_: of the training.
        panel_, split_, plan_: the data as it was understood. validation_, test_: evaluations (None without rows).

    Example:
        >>> import numpy as np
        >>> hours = np.datetime64("2024-01-01T00", "h") + np.arange(24 * 40)
        >>> data = {"ds": hours.astype("datetime64[ns]"), "y": np.sin(np.arange(24 * 40) * np.pi / 12)}
        >>> model = Forecaster(horizon=24, hidden_size=16, epochs=2).fit(data, progress="quiet")
        >>> sorted(model.predict(level=[80]))
        ['GRU', 'GRU-hi-80', 'GRU-lo-80', 'ds']
    """

    def __init__(
        self,
        horizon: int,
        *,
        id: str | None = None,
        time: str | None = None,
        target: str | None = None,
        past: Sequence[str] = (),
        future: Sequence[str] = (),
        static: Sequence[str] = (),
        freq: str | None = None,
        lookback: int | None = None,
        model: Literal["segment", "direct"] = "segment",
        hidden_size: int = 128,
        layers: int = 1,
        dropout: float = 0.1,
        segment: int | None = None,
        anchor: int | None = None,
        calendar: Sequence[str] | None = None,
        loss: Literal["mae", "mse", "huber"] = "mae",
        quantiles: Sequence[float] = (),
        scaling: Method = "standard",
        val_size: int | None = None,
        test_size: int = 0,
        epochs: int = 8,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        patience: int | None = 4,
        ema: float | None = 0.99,
        windows_per_epoch: int = 50_000,
        seed: int = 0,
        device: str = "auto",
        log: Log = "csv",
        alias: str = "GRU",
    ) -> None:
        self.horizon = horizon
        self.id, self.time, self.target = id, time, target
        self.past, self.future, self.static = past, future, static
        self.freq, self.lookback = freq, lookback
        self.model, self.hidden_size, self.layers, self.dropout = model, hidden_size, layers, dropout
        self.segment, self.anchor, self.calendar = segment, anchor, calendar
        self.loss, self.quantiles = loss, quantiles
        self.scaling: Method = scaling
        self.val_size, self.test_size = val_size, test_size
        self.epochs, self.batch_size, self.learning_rate = epochs, batch_size, learning_rate
        self.weight_decay, self.patience, self.ema = weight_decay, patience, ema
        self.windows_per_epoch, self.seed, self.device = windows_per_epoch, seed, device
        self.log: Log = log
        self.alias = alias

    def fit(
        self,
        data: Any,
        *,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: Mode = "auto",
        report_plan: Callable[[list[str]], None] | None = None,
    ) -> Self:
        """Train on a table; see the class for what is learned.

        Args:
            data: a path to CSV or Parquet, a pandas, polars or pyarrow frame, or columns.
            folder: where checkpoints live while training; a temporary folder if None.
            resume: go on from the checkpoint in ``folder``.
            progress: ``auto``, ``bar``, ``plain`` or ``quiet``; on stderr.
            report_plan: given the plan, as lines, before training starts.

        Raises:
            DataError: for data that does not fit; UsageError: for a parameter that cannot be used.
            TrainingInterrupted: on Ctrl-C; a checkpoint remains.
        """
        run = check_resume(folder, resume)
        # From here on plain Python values; what the user gave stays as it is.
        me = type(self)(**check_parameters(self.get_params()))
        config = me._training_config()
        panel, network, names = me._read(data)
        panel, split, notes = split_panel(panel, network.lookback, me.horizon, me.val_size, me.test_size)
        plan = [*plan_lines(panel, split, names), *panel.notes, *notes]
        if report_plan is not None:
            report_plan(plan)
        training_rows = panel.cut(0, split.train_end)
        calendar = None if me.calendar is None else tuple(me.calendar)
        steps, arrays = fit_steps(training_rows, scaling=me.scaling, calendar=calendar)
        task = me._task(panel, network, bool((training_rows.target[training_rows.observed] >= 0).all()))
        graph = build_network(network, layout((task, steps)))
        module = me._module(graph)
        job, training, validation = me._job(module, task, steps, arrays, panel, split, network)
        if not len(validation):
            config = dataclasses.replace(config, patience=None)
        history = me._run(job, config, _digest(panel), run, resume, progress)
        tensors = arrays | {f"main.{name}": values for name, values in module.tensors().items()}
        model = Model(1, task, steps, {"main": graph})
        self._finish(model, tensors, panel, split, training, validation)
        self.plan_, self.history_, self._example = plan, history, data
        return self

    def predict(self, data: Any = None, future: Any = None, *, level: Sequence[float] = ()) -> Any:
        """Forecast the horizon after the last row of every series.

        Args:
            data: history (default: what ``fit`` was given), also of series that training never saw.
            future: the horizon's covariates that are known in advance.
            level: central intervals in percent.

        Returns:
            A frame of the kind that ``data`` is: id, time, forecast, ``-lo-`` and ``-hi-`` columns.
        """
        self._check_fitted()
        rows = self.panel_ if data is None else read_columns(data)[0]
        ahead = None if future is None else read_columns(future)[0]
        return like(self.live_.predict(rows, ahead, level=level), self._example if data is None else data)

    def evaluate(
        self,
        data: Any = None,
        *,
        step: int | None = None,
        last: int | None = None,
        level: Sequence[float] = (80, 95),
    ) -> Evaluation:
        """Score forecasts from every ``step``-th origin of the last ``last`` rows; see `LiveForecaster.evaluate`."""
        self._check_fitted()
        rows = self.panel_ if data is None else read_columns(data)[0]
        return self.live_.evaluate(rows, step=step, last=last, level=level)

    def cross_validation(
        self,
        data: Any,
        *,
        n_windows: int = 1,
        step_size: int | None = None,
        level: Sequence[float] = (),
        progress: Mode = "auto",
    ) -> Any:
        """Train once on all but the last windows, then forecast each of them.

        Args:
            data: as in ``fit``.
            n_windows: windows a series; the last one ends at its last row.
            step_size: steps from one window to the next (default: the horizon).
            level: central intervals in percent.

        Returns:
            A frame of the kind that ``data`` is: id, time, ``cutoff`` (the last stamp seen), target, forecast.
        """
        check_parameters({"n_windows": n_windows, "step_size": step_size}, WINDOW_RULES)
        check_parameters(self.get_params())
        levels = check_levels(level)
        if levels and self.val_size == 0:
            raise UsageError("level must be empty without validation rows to calibrate it on (val_size=0)")
        step = self.horizon if step_size is None else step_size
        kept, self.test_size = self.test_size, self.horizon + step * (n_windows - 1)
        try:
            self.fit(data, progress=progress)
        finally:
            self.test_size = kept
        panel = self.panel_
        origins = (panel.offsets[1:] - self.horizon)[:, None] - step * np.arange(n_windows)[::-1]
        series = np.repeat(np.arange(panel.n_series), n_windows)
        forecasts = self.live_.forecast(panel, series, origins.ravel(), levels)
        columns = self.live_.columns(panel, forecasts, cutoff=True)
        rows = forecasts.origins[:, None] + np.arange(self.horizon)
        names = list(columns)
        first = names.index("cutoff") + 1
        columns[panel.roles.target] = panel.target[rows].ravel()
        return like({k: columns[k] for k in (*names[:first], panel.roles.target, *names[first:])}, data)

    def _write_report(self, folder: Path, name: str) -> None:
        evaluations = {"test": self.test_, "validation": self.validation_}
        write_forecast_report(
            folder / "report",
            title=f"Forecast of {self.model_.task.target}",
            plan=self.plan_,
            panel=self.panel_,
            split=self.split_,
            history=self.history_,
            evaluations={name: value for name, value in evaluations.items() if value is not None},
            model=self.model_,
            name=name,
        )

    def _read(self, data: Any) -> tuple[Panel, NetworkConfig, list[str]]:
        columns, source = read_columns(data)
        roles = infer_roles(
            columns, id=self.id, time=self.time, target=self.target, past=self.past, future=self.future,
            static=self.static, source=source,
        )  # fmt: skip
        frequency = None if self.freq is None else Frequency.from_string(self.freq)
        panel = build_panel(columns, roles, frequency, source)
        check_names(panel, self.alias, self.calendar)
        return panel, self._network(panel), list(columns)

    def _network(self, panel: Panel) -> NetworkConfig:
        season = panel.frequency.season
        segment = self.segment or (segment_length(self.horizon, season) if self.model == "segment" else 1)
        lookback = self.lookback
        if lookback is None:
            room = (int(panel.lengths.max()) - self.test_size) // 2 - self.horizon
            lookback = default_lookback(self.horizon, season, segment, room)
        return NetworkConfig(
            model=self.model,
            lookback=lookback,
            horizon=self.horizon,
            segment=segment,
            anchor=min(self.anchor or season, lookback),
            hidden_size=self.hidden_size,
            layers=self.layers,
            dropout=self.dropout,
            outputs=max(1, len(self.quantiles)),
        )

    def _task(self, panel: Panel, network: NetworkConfig, non_negative: bool) -> Forecast:
        roles = panel.roles
        return Forecast(
            horizon=self.horizon,
            lookback=network.lookback,
            target=roles.target,
            id=roles.id,
            time=roles.time,
            past=roles.past,
            future=roles.future,
            static=roles.static,
            frequency=str(panel.frequency),
            season=panel.frequency.season,
            quantiles=tuple(self.quantiles),
            non_negative=non_negative,
            alias=self.alias,
        )

    def _job(
        self,
        module: GraphModule,
        task: Forecast,
        steps: tuple[AnyStep, ...],
        arrays: dict[str, np.ndarray],
        panel: Panel,
        split: Split,
        network: NetworkConfig,
    ) -> tuple[ForecastJob, Windows, Windows]:
        preprocessor = Preprocessor(task, steps, arrays)
        ranges = split.ranges()

        def windows(part: str) -> Windows:
            first, last = ranges[part]
            return Windows(
                *window_index(
                    panel.offsets, first, last, task.lookback, task.horizon, observed=panel.observed
                )
            )

        training, validation = windows("train"), windows("val").thinned(VALIDATION_WINDOWS)
        job = ForecastJob(
            module,
            preprocessor,
            preprocessor.features(panel, split.train_end),
            training,
            validation,
            steps_out=network.segment * -(-task.horizon // network.segment),
            loss=self.loss,
            quantiles=task.quantiles,
            batch_size=self.batch_size,
            windows_per_epoch=self.windows_per_epoch,
            seed=self.seed,
            series_code=series_code(preprocessor.layout.static_tokens, SERIES),
            min_steps=MIN_STEPS,
        )
        return job, training.thinned(VALIDATION_WINDOWS), validation

    def _finish(
        self,
        model: Model,
        tensors: dict[str, np.ndarray],
        panel: Panel,
        split: Split,
        training: Windows,
        validation: Windows,
    ) -> None:
        """Calibrate intervals on the validation windows, then evaluate on what validation and test rows there are."""
        if len(validation):
            tensors |= calibrate_forecaster(LiveForecaster(model, tensors), panel, training, validation)
            task = msgspec.structs.replace(model.task, levels_known=len(LEVELS))
            model = Model(1, task, model.preprocess, model.parts)
        live = LiveForecaster(model, tensors)
        self.validation_ = _evaluate_part(live, panel.cut(0, split.val_end), split.val_end - split.train_end)
        self.test_ = _evaluate_part(live, panel, split.test_end - split.val_end)
        self.model_, self.tensors_, self.live_ = model, tensors, live
        self.panel_, self.split_ = panel, split


def _evaluate_part(live: LiveForecaster, panel: Panel, sizes: np.ndarray) -> Evaluation | None:
    last = int(sizes.max(initial=0))
    return None if last < live.task.horizon else live.evaluate(panel, last=last)


def _digest(panel: Panel) -> str:
    covariates = (*panel.past.values(), *panel.future.values(), *panel.static.values())
    names = (panel.ids, str(panel.frequency), panel.starts.tolist())
    return digest(names, panel.offsets, panel.target, *covariates)
