"""The forecasting task: one global GRU over one or many series, with covariates and calibrated intervals."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from grus.artifact import load_model
from grus.data.frames import like
from grus.data.readers import read_columns
from grus.data.roles import plan_lines
from grus.data.splits import Split, split_panel
from grus.decode import Evaluation, LiveForecaster
from grus.decode.intervals import check_levels
from grus.errors import UsageError
from grus.inspection.report import write_forecast_report
from grus.preprocess.panel import Panel
from grus.preprocess.scaling import Method
from grus.spec import IrregularForm, Model
from grus.tasks.encoders import KERNEL_SIZE, Encoder
from grus.tasks.estimator import TrainedEstimator, check_resume
from grus.tasks.forecast_fit import (
    Ready,
    calibrated,
    cross_columns,
    evaluate_part,
    learning,
    make_ready,
    panel_digest,
    read_panel,
    weights_of,
    with_weights,
)
from grus.tasks.forecast_parameters import RULES, WINDOW_RULES, check_parameters, parameters_of
from grus.tasks.forecast_tune import settled
from grus.tasks.forecast_update import kept_line, outcome, update_rate, validation_loss
from grus.tasks.run_folder import digest
from grus.tasks.tune import RunOptions, Tuning
from grus.tasks.tune_space import FORECAST, SpaceLike, check_trials, choose_space
from grus.training import History
from grus.training.config import Log
from grus.training.progress import Mode


class Forecaster(TrainedEstimator):
    """A recurrent forecaster (GRU) of one or many series, with scikit-learn's habits.

    y_{t+1..t+H} = level + f(y - level, covariates, calendar), where the level is the mean of the last season, f is
    a GRU, LSTM, simple RNN or MinGRU over segments (``segment``) or steps (``direct``), and y is scaled per series.

    Args:
        horizon: steps to forecast, H.
        id, time, target: column names; inferred where obvious. Several targets are forecast as a series each.
        past: covariates known up to now; future: known for the horizon too; static: one value a series.
        freq: step between rows, e.g. ``"15min"``, or with ``irregular`` ``"rows"``, as they come; inferred if None.
        lookback: steps the network sees (default: about seven seasons, in whole segments).
        model: ``segment`` or ``direct``; cell: ``gru``, ``lstm``, ``rnn`` (simple, tanh) or ``mingru``.
        hidden_size, layers, dropout: of the network.
        encoder: ``gru`` (the cell alone), ``conv-gru`` (``kernel_size`` wide convolution first), ``gru-attention``.
        irregular: what to do with missing values and uneven times, as for `grus.Classifier`: ``mean``, ``forward``,
            ``indicators`` or ``decay``, a GRU-D (default: the last value known, with masks).
        segment: steps a segment; anchor: steps averaged into the level (default: one season).
        calendar: calendar features by name; inferred from the frequency if None, none if empty.
        loss: ``mae``, ``mse`` or ``huber``; quantiles: probabilities, which replace it by the pinball loss.
        scaling: ``standard``, ``robust`` or ``none``, per series.
        val_size, test_size: last steps of each series kept for validation (default: about a tenth) and for test.
        epochs, batch_size, learning_rate, weight_decay, patience, ema: of the training; see TrainingConfig. A rate
            of ``auto`` is found by a range test.
        windows_per_epoch: at most so many windows an epoch; seed, device, log: of the run.
        alias: the name of the forecast's column (default: that of the cell).

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
        target: str | Sequence[str] | None = None,
        past: Sequence[str] = (),
        future: Sequence[str] = (),
        static: Sequence[str] = (),
        freq: str | None = None,
        lookback: int | None = None,
        model: Literal["segment", "direct"] = "segment",
        cell: Literal["gru", "lstm", "rnn", "mingru"] = "gru",
        hidden_size: int = 128,
        layers: int = 1,
        dropout: float = 0.1,
        encoder: Encoder = "gru",
        kernel_size: int = KERNEL_SIZE,
        irregular: IrregularForm | None = None,
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
        learning_rate: float | Literal["auto"] = 1e-3,
        weight_decay: float = 1e-4,
        patience: int | None = 4,
        ema: float | None = 0.99,
        windows_per_epoch: int = 50_000,
        seed: int = 0,
        device: str = "auto",
        log: Log = "csv",
        alias: str | None = None,
    ) -> None:
        self.horizon, self.id, self.time, self.target = horizon, id, time, target
        self.past, self.future, self.static = past, future, static
        self.freq, self.lookback, self.segment, self.anchor = freq, lookback, segment, anchor
        self.model, self.cell, self.encoder, self.kernel_size = model, cell, encoder, kernel_size
        self.irregular: IrregularForm | None = irregular
        self.hidden_size, self.layers, self.dropout, self.calendar = hidden_size, layers, dropout, calendar
        self.loss, self.quantiles = loss, quantiles
        self.scaling: Method = scaling
        self.val_size, self.test_size, self.epochs, self.batch_size = val_size, test_size, epochs, batch_size
        self.learning_rate: float | Literal["auto"] = learning_rate
        self.weight_decay, self.patience, self.ema = weight_decay, patience, ema
        self.windows_per_epoch, self.seed, self.device, self.alias = windows_per_epoch, seed, device, alias
        self.log: Log = log

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
        ready = make_ready(me, *read_panel(me, data))
        if report_plan is not None:
            report_plan(ready.plan)
        if not ready.can_validate:
            config = dataclasses.replace(config, patience=None)
        history = me._run(ready.job, config, panel_digest(ready.panel), run, resume, progress)
        self._finish(ready, history, data)
        return self

    def tune(
        self,
        data: Any,
        *,
        trials: int = 20,
        space: SpaceLike = None,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: Mode = "auto",
        report_plan: Callable[[list[str]], None] | None = None,
    ) -> Self:
        """Search for settings with a small validation loss, take them over, and keep the best trial's model.

        Args:
            data, folder, resume, progress, report_plan: as in ``fit``.
            trials: how many sets of parameters are tried; the first is the constructor's, if the space has it.
            space: what is searched: a list of names among ``learning_rate``, ``batch_size``, ``hidden_size``,
                ``layers``, ``dropout`` and ``lookback`` (default: all), or a dict by such names of (low, high) for
                the rate and dropout, and of lists of values for the others.

        Returns:
            Itself, with the parameters of the best trial; ``tuning_`` is the study. Test rows play no part.

        Raises:
            DataError, UsageError, TrainingInterrupted: as in ``fit``; MissingExtraError: Optuna is not installed.
        """
        options = RunOptions(check_resume(folder, resume), resume, progress, report_plan)
        me = type(self)(**check_parameters(self.get_params()))
        me._training_config()
        count, chosen = check_trials(trials), choose_space(me, space, FORECAST, RULES)
        panel, names = read_panel(me, data)
        first = make_ready(me, panel, names)
        me, chosen = settled(me, first, chosen)
        data_digest = panel_digest(first.panel)
        tuning = Tuning(
            me, chosen, count, lambda one: make_ready(one, first.panel, names), data_digest, options
        )
        found = tuning.run(first)
        self.set_params(**found.parameters)
        self._finish(found.ready, found.history, data)
        self.plan_, self.tuning_ = found.plan, found.study
        return self

    def update(
        self,
        data: Any,
        *,
        learning_rate: float | None = None,
        val_size: int | None = None,
        test_size: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: Mode = "auto",
        report_plan: Callable[[list[str]], None] | None = None,
    ) -> Self:
        """Go on training on new rows, from the weights as they are.

        The network, the scale of every known series, the covariates' scales and the categories stay as they are; a
        series that is new is scaled by its own history. Intervals are calibrated anew on the last of the new rows.
        Where the validation loss does not fall, the weights are left alone.

        Args:
            data: a table like that of ``fit``; the lookback before the first new row belongs to it.
            learning_rate: the peak (default: a tenth of the constructor's).
            val_size, test_size: last steps of each series, as in the constructor.
            folder, resume, progress, report_plan: as in ``fit``.

        Returns:
            Itself; ``before_`` is the evaluation of the validation rows as they were forecast before.

        Raises:
            DataError: for data that does not fit the model; UsageError: for a parameter that cannot be used.
        """
        self._check_fitted()
        run, model, live = check_resume(folder, resume), self.model_, self.live_
        rate = update_rate(self) if learning_rate is None else learning_rate
        changed = {"learning_rate": rate, "val_size": val_size, "test_size": test_size}
        me = type(self)(**check_parameters(self.get_params() | changed))
        config = me._training_config()
        columns, source = read_columns(data)
        panel, names = live.panel(columns, source), [n for n in columns if n not in live.task.targets]
        panel, split, notes = split_panel(panel, live.task.lookback, live.task.horizon, val_size, test_size)
        plan = [*plan_lines(panel, split, names), *panel.notes, *notes, kept_line(model, panel)]
        if report_plan is not None:
            report_plan(plan)
        module = me._module(model.parts["main"])
        module.load_tensors(weights_of(self.tensors_))
        learned = learning(me, model, self.tensors_, module, panel, split)
        if not len(learned.validation):
            config = dataclasses.replace(config, patience=None)
        before = validation_loss(learned.job)
        started_from = digest(panel_digest(panel), *self.tensors_.values())
        history = me._run(learned.job, config, started_from, run, resume, progress)
        better, sentence = outcome(before, history.best_score)
        tensors = self.tensors_ | (with_weights({}, module) if better else {})
        if live.task.levels_known:
            _, tensors = calibrated(model, tensors, panel, learned)
        self.before_ = evaluate_part(live, panel.cut(0, split.val_end), split.val_end - split.train_end)
        self._keep(model, tensors, panel, split)
        self.plan_, self.history_, self._example = [*plan, sentence], history, data
        vars(self).pop("tuning_", None)
        return self

    @classmethod
    def load(cls, folder: str | Path, **training: Any) -> Self:
        """A fitted forecaster from its model folder, ready to predict and to `update`.

        Args:
            folder: what ``save`` or ``grus fit forecast`` wrote.
            training: constructor arguments that the folder does not hold: those of the training run.

        Raises:
            ModelFolderError: if the folder cannot be read; UsageError: for an argument that the folder settles.
        """
        model, tensors = load_model(folder)
        live, found = LiveForecaster(model, tensors), parameters_of(model)
        for name in training:
            if name in found:
                raise UsageError(f"{name} must not be given: {folder} says it ({found[name]!r})")
        forecaster = cls(**found, **training)
        forecaster.model_, forecaster.tensors_, forecaster.live_ = model, dict(tensors), live
        return forecaster

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
        rows = self._own_rows() if data is None else self.live_.panel(*read_columns(data))
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
        rows = self._own_rows() if data is None else self.live_.panel(*read_columns(data))
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
        return like(cross_columns(self.live_, self.panel_, step, n_windows, levels), data)

    def _write_report(self, folder: Path, name: str) -> None:
        evaluations, task = {"test": self.test_, "validation": self.validation_}, self.live_.task
        write_forecast_report(
            folder / "report",
            title=f"Forecast of {', '.join(task.targets) or task.target}",
            plan=self.plan_,
            panel=self.panel_,
            split=self.split_,
            history=self.history_,
            evaluations={name: value for name, value in evaluations.items() if value is not None},
            model=self.model_,
            name=name,
            tuning=getattr(self, "tuning_", None),
        )

    def _own_rows(self) -> Panel:
        """The rows that ``fit`` or ``update`` was given; raises UsageError where neither was called yet."""
        if not hasattr(self, "panel_"):
            raise UsageError("data must be given, because this forecaster was loaded and has none of its own")
        return self.panel_

    def _finish(self, ready: Ready, history: History, data: Any) -> None:
        """Calibrate and keep what was trained from scratch."""
        tensors = with_weights(ready.arrays, ready.module)
        self._keep(*calibrated(ready.model, tensors, ready.panel, ready.learned), ready.panel, ready.split)
        self.plan_, self.history_, self._example = ready.plan, history, data
        vars(self).pop("tuning_", None)  # of an earlier call of tune

    def _keep(self, model: Model, tensors: dict[str, np.ndarray], panel: Panel, split: Split) -> None:
        """Evaluate on what validation and test rows there are, and keep what was learned."""
        live = LiveForecaster(model, tensors)
        self.validation_ = evaluate_part(live, panel.cut(0, split.val_end), split.val_end - split.train_end)
        self.test_ = evaluate_part(live, panel, split.test_end - split.val_end)
        self.model_, self.tensors_, self.live_ = model, tensors, live
        self.panel_, self.split_ = panel, split
