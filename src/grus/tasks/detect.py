"""The detection task: a GRU that expects the next row of one or many sensors, and says which rows it did not expect."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from grus.artifact import load_model
from grus.data.frames import like
from grus.decode import DetectEvaluation, LiveDetector
from grus.decode.likelihood import to_score
from grus.errors import UsageError
from grus.inspection.detection.report import write_detect_report
from grus.preprocess.records import Records
from grus.preprocess.scaling import Method
from grus.spec import IrregularForm, Model
from grus.tasks.detect_fit import (
    calibrated,
    job_of,
    make_ready,
    read_table,
    records_digest,
    train_end,
)
from grus.tasks.detect_parameters import check_parameters, parameters_of
from grus.tasks.estimator import TrainedEstimator, check_resume
from grus.training.config import Log
from grus.training.progress import Mode

#: Of the constructor's learning rate, what an update takes, as for the forecaster.
_UPDATE_RATE = 0.1


class AnomalyDetector(TrainedEstimator):
    """A recurrent detector of anomalies in one or many series of one or many columns, with the habits of PyOD.

    x_t is expected from the rows before it by a cell; the severity of a row is how unlikely the short mean of its error
    is beside the long history of that mean (see `grus.decode.likelihood.Likelihood`), -log10 of a probability, and its
    score severity / (severity + 5). Every row is scored from the rows before it alone.

    Args:
        id, time, label: column names; inferred where obvious. Rows with the label 1 are not learned from.
        columns: what is watched (default: all other numeric columns).
        cell: ``gru``, ``lstm`` or ``rnn`` (simple, tanh).
        hidden_size, layers, dropout: of the network.
        irregular: what to do with missing values and uneven times, as for `grus.Classifier`: ``mean``, ``forward``,
            ``indicators`` or ``decay``, a GRU-D (default: the last value known, with masks; times are not read).
        calendar: calendar features by name; inferred from the stamps if None, none if empty.
        scaling: ``standard``, ``robust`` or ``none``, of each column of each series.
        short: rows of the short mean of the errors: fewer find spikes, more find shifts.
        memory: rows of its long history, which a drift becomes part of; 0: the rows of training are what is normal,
            for ever.
        outside: the share of the range of all values so far by which a value must leave it to be as severe as an error
            of 8 digits; 0: the range does not count.
        quiet: rows below the threshold before an alarm may follow another (default: a fifth of the rows, at most 150).
        level: judge a column's value beside its error, as if nothing but its mean had been expected: for columns that
            keep their level while all is well.
        joint: judge a row by all columns together, not by its worst.
        false_alarm_rate: share of normal rows above the threshold.
        contamination: share of the training rows above the threshold, in its place.
        window: rows of a training window.
        val_size: share of each series, its last rows, that validates.
        epochs, batch_size, learning_rate, weight_decay, patience, ema: of the training; see TrainingConfig.
        windows_per_epoch: at most so many windows an epoch.
        seed, device, log: of the run.

    Attributes:
        threshold_: rows of a higher score are anomalous. decision_scores_, labels_: the scores of the rows of ``fit``,
            and which of them are above the threshold (0 or 1), in the order of the table.
        model_: the spec. live_: the torch-free detector that scores. history_: of the training.
        plan_: the data as it was understood. evaluation_: of the rows of ``fit`` (None without labels).

    Example:
        >>> x = np.sin(np.arange(600) / 5)
        >>> model = AnomalyDetector(hidden_size=8, epochs=2).fit({"x": x}, progress="quiet")
        >>> x[300:310] += 3
        >>> bool(model.predict({"x": x})[300:310].any())
        True
    """

    def __init__(
        self,
        *,
        id: str | None = None,
        time: str | None = None,
        columns: Sequence[str] = (),
        label: str | None = None,
        cell: Literal["gru", "lstm", "rnn"] = "gru",
        hidden_size: int = 32,
        layers: int = 1,
        dropout: float = 0.0,
        irregular: IrregularForm | None = None,
        calendar: Sequence[str] | None = None,
        scaling: Method = "standard",
        short: int = 5,
        memory: int = 8000,
        outside: float = 0.05,
        quiet: int | None = None,
        level: bool = False,
        joint: bool = False,
        false_alarm_rate: float = 1e-4,
        contamination: float | None = None,
        window: int = 64,
        val_size: float = 0.1,
        epochs: int = 6,
        batch_size: int = 16,
        learning_rate: float | Literal["auto"] = 3e-3,
        weight_decay: float = 1e-3,
        patience: int | None = 3,
        ema: float | None = 0.9,
        windows_per_epoch: int = 20_000,
        seed: int = 0,
        device: str = "auto",
        log: Log = "csv",
    ) -> None:
        self.id, self.time, self.columns, self.label = id, time, columns, label
        self.cell, self.hidden_size, self.layers, self.dropout = cell, hidden_size, layers, dropout
        self.irregular: IrregularForm | None = irregular
        self.calendar = calendar
        self.scaling: Method = scaling
        self.short, self.memory, self.outside, self.quiet = short, memory, outside, quiet
        self.level, self.joint = level, joint
        self.false_alarm_rate, self.contamination = false_alarm_rate, contamination
        self.window, self.val_size = window, val_size
        self.epochs, self.batch_size = epochs, batch_size
        self.learning_rate: float | Literal["auto"] = learning_rate
        self.weight_decay, self.patience, self.ema = weight_decay, patience, ema
        self.windows_per_epoch, self.seed, self.device = windows_per_epoch, seed, device
        self.log: Log = log

    def fit(
        self,
        data: Any,
        y: Any = None,
        *,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: Mode = "auto",
        report_plan: Callable[[list[str]], None] | None = None,
    ) -> Self:
        """Train on rows that are mostly normal; see the class for what is learned.

        Args:
            data: a path to CSV or Parquet, a pandas, polars or pyarrow frame, columns, or an array [T, C], one series.
            y: not read; there for scikit-learn's pipelines.
            folder: where checkpoints live while training; a temporary folder if None.
            resume: go on from the checkpoint in ``folder``.
            progress: ``auto``, ``bar``, ``plain`` or ``quiet``; on stderr.
            report_plan: given the plan, as lines, before training starts.

        Raises:
            DataError: for data that does not fit; UsageError: for a parameter that cannot be used.
            TrainingInterrupted: on Ctrl-C; a checkpoint remains.
        """
        run = check_resume(folder, resume)
        me = type(self)(**check_parameters(self.get_params()))
        config = me._training_config()
        ready = make_ready(me, data)
        if report_plan is not None:
            report_plan(ready.plan)
        if not ready.job.can_validate:
            config = dataclasses.replace(config, patience=None)
        history = me._run(ready.job, config, records_digest(ready.records), run, resume, progress)
        tensors = calibrated(me, ready.model, ready.arrays, ready.module, ready.records)
        self._keep(ready.model, tensors, ready.records)
        self.plan_, self.history_, self._example = ready.plan, history, data
        return self

    def update(
        self,
        data: Any,
        *,
        learning_rate: float | None = None,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: Mode = "auto",
    ) -> Self:
        """Go on training on new rows, from the weights as they are; scores and threshold are set by the new rows.

        The network, the scales and the calendar stay as they are; a series that is new is scaled as strangers are.

        Args:
            data: a table like that of ``fit``.
            learning_rate: the peak (default: a tenth of the constructor's).
            folder, resume, progress: as in ``fit``.

        Raises:
            DataError: for data that does not fit the model; UsageError: for a parameter that cannot be used.
        """
        self._check_fitted()
        run, model, live = check_resume(folder, resume), self.model_, self.live_
        rate = learning_rate
        if rate is None:
            rate = 3e-3 * _UPDATE_RATE if self.learning_rate == "auto" else self.learning_rate * _UPDATE_RATE
        me = type(self)(**check_parameters(self.get_params() | {"learning_rate": rate}))
        config = me._training_config()
        columns, source = read_table(data)
        labelled = live.task.label is not None and live.task.label in columns
        records = live.records(columns, source, labelled=labelled)
        module = me._module(model.parts["main"])
        module.load_tensors(
            {k.removeprefix("main."): v for k, v in self.tensors_.items() if k.startswith("main.")}
        )
        job = job_of(me, module, records, live.preprocessor, train_end(records, me.val_size))
        if not job.can_validate:
            config = dataclasses.replace(config, patience=None)
        self.history_ = me._run(job, config, records_digest(records), run, resume, progress)
        arrays = {k: v for k, v in self.tensors_.items() if k.startswith("preprocess.")}
        self._keep(model, calibrated(me, model, arrays, module, records), records)
        self.plan_, self._example = [f"updated   {len(records):,} rows"], data
        return self

    @classmethod
    def load(cls, folder: str | Path, **training: Any) -> Self:
        """A fitted detector from its model folder, ready to score and to `update`.

        Args:
            folder: what ``save`` or ``grus fit detect`` wrote.
            training: constructor arguments that the folder does not hold: those of the training run.

        Raises:
            ModelFolderError: if the folder cannot be read; UsageError: for an argument that the folder settles.
        """
        model, tensors = load_model(folder)
        live, found = LiveDetector(model, tensors), parameters_of(model)
        for name in training:
            if name in found:
                raise UsageError(f"{name} must not be given: {folder} says it ({found[name]!r})")
        detector = cls(**found, **training)
        detector.model_, detector.tensors_, detector.live_ = model, dict(tensors), live
        detector.threshold_ = live.threshold
        return detector

    def decision_function(self, data: Any) -> np.ndarray:
        """The score of every row, float64 [R] in [0, 1), in the order of the table; higher is less likely."""
        return self.detect_columns(data)["score"]

    def predict(self, data: Any) -> np.ndarray:
        """1 in every row whose score is above ``threshold_``, else 0, int64 [R]."""
        return (self.decision_function(data) > self.threshold_).astype(np.int64)

    def fit_predict(self, data: Any, y: Any = None, **options: Any) -> np.ndarray:
        """``fit``, then ``labels_``."""
        return self.fit(data, y, **options).labels_

    def detect(self, data: Any, *, detail: bool = False) -> Any:
        """Scores, alarms and the worst column of every row, as a frame of the kind that ``data`` is.

        See `LiveDetector.predict`.
        """
        return like(self.detect_columns(data, detail=detail), data)

    def events(self, data: Any) -> Any:
        """The events in some rows, as a frame of the kind that ``data`` is; see `LiveDetector.events`."""
        self._check_fitted()
        return like(self.live_.events(self.live_.records(*read_table(data))), data)

    def evaluate(self, data: Any) -> DetectEvaluation:
        """Compare the scores of labelled rows with their labels; see `LiveDetector.evaluate`."""
        self._check_fitted()
        columns, source = read_table(data)
        return self.live_.evaluate(self.live_.records(columns, source, labelled=True))

    def detect_columns(self, data: Any, *, detail: bool = False) -> dict[str, np.ndarray]:
        """`detect` as columns."""
        self._check_fitted()
        return self.live_.predict(self.live_.records(*read_table(data)), detail=detail)

    def _write_report(self, folder: Path, name: str) -> None:
        write_detect_report(
            folder / "report",
            plan=self.plan_,
            records=self._records,
            history=self.history_,
            evaluation=self.evaluation_,
            live=self.live_,
            name=name,
        )

    def _keep(self, model: Model, tensors: dict[str, np.ndarray], records: Records) -> None:
        """Keep what was learned, and score the rows that it was learned from."""
        live = LiveDetector(model, tensors)
        severity = live.score(records).severity
        self.model_, self.tensors_, self.live_ = model, tensors, live
        self.threshold_ = live.threshold
        scores = np.empty(len(records))
        scores[records.order] = to_score(severity.max(1))
        self.decision_scores_, self.labels_ = scores, (scores > self.threshold_).astype(np.int64)
        self.evaluation_ = None if records.anomalous is None else live.evaluate(records)
        self._records = records
