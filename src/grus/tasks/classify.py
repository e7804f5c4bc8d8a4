"""The classification task: a GRU that names what a text, a series, an image, a history or a recording is."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from grus.data.audio_files import AudioOptions
from grus.data.examples import Reading, is_table, own_like, own_of, read_examples, read_like
from grus.data.frames import like
from grus.decode import ClassEvaluation, LiveClassifier
from grus.decode.class_scores import fit_temperature
from grus.errors import UsageError
from grus.inspection.classes.report import write_classify_report
from grus.models import GraphModule
from grus.preprocess.classify import StepOptions
from grus.preprocess.examples import Examples
from grus.preprocess.log_mel import BANDS, FRAME_MS, HOP_MS
from grus.spec import ClassifyKind, Graph, IrregularForm, Model
from grus.tasks.classify_baselines import fit_baselines
from grus.tasks.classify_data import (
    TITLES,
    Prepared,
    digest_of,
    divide,
    given_classes,
    label_source,
    label_weights,
    pair,
    prepare,
)
from grus.tasks.classify_job import ClassifyJob
from grus.tasks.classify_networks import build_network, config_of, start_small
from grus.tasks.classify_parameters import RULES, check_parameters
from grus.tasks.encoders import KERNEL_SIZE, Encoder
from grus.tasks.estimator import TrainedEstimator, check_resume
from grus.tasks.sound_augment import augment_for, sound_options
from grus.tasks.tune import RunOptions, Tuning
from grus.tasks.tune_space import CLASSIFY, SpaceLike, check_trials, choose_space
from grus.training import History
from grus.training.config import Log
from grus.training.progress import Mode


class Classifier(TrainedEstimator):
    """A recurrent classifier (GRU) of texts, numeric series, images or event histories, with scikit-learn's habits.

    p = softmax(W pool(cell(x)) / T), where x are embedded tokens, scaled channels, rows of pixels, the codes of a
    visit, or log-mel frames; T is fitted on the validation rows, so that probabilities mean what they say.

    Args:
        kind: ``text``, ``series``, ``images``, ``events`` or ``audio``; inferred from the data if None.
        text, label, id, time, columns, code: column names; inferred where obvious. ``columns`` are the channels of
            series, ``code`` is the column of event codes.
        variable, value: columns of series in long form, where a row is one measurement of what ``variable`` names;
            ``columns`` are then the variables that are read (default: all).
        tokenizer: ``word``, ``char`` or ``bpe``; vocabulary_size: most tokens known; lower: put texts in lower case.
        bidirectional: read in both directions; None: where the network can; False: a model that can run live.
        pool: ``mean``, ``max``, ``attention`` or ``last``.
        cell: ``gru``, ``lstm``, ``rnn`` (simple, tanh) or ``mingru``.
        hidden_size, layers, dropout, embedding_size: of the network.
        irregular: what to do with missing values and uneven times of series: ``mean`` of training, ``forward`` (the
            last value known), ``indicators`` (that, with masks and the time since each channel was seen), ``decay``
            (GRU-D, which forgets by the time that passed; reads in one direction). None: as ``forward``, with masks of
            the channels that had gaps in training; times are not read.
        rate, frame_ms, hop_ms, bands, preemphasis: of recordings: Hz to bring them to (None: that of most of them),
            milliseconds of a frame and from one to the next, log-mel bands; see `grus.spec.LogMel`.
        resample: bring recordings of other rates to it, in place of refusing them. skip_bad: leave out files that are
            no recordings, in place of refusing them.
        gain_db, band_shift, noise: what training does to recordings alone: the greatest change of level in dB, the most
            bands that a spectrum is moved by, and the share of recordings that get noise. time_mask, band_mask: the
            widest stretch of steps, as a share of all, and of bands that it hides, twice each (SpecAugment).
        encoder: ``gru`` (the cell alone), ``conv-gru`` (a causal convolution of ``kernel_size`` steps before it) or
            ``gru-attention`` (self-attention over its states; such a model reads whole examples only).
        token_dropout: share of a text's tokens that are hidden in training, as words never seen will be; with ``decay``
            the share of measured values that are.
        label_smoothing: share of the truth that is spread evenly over all labels in training.
        class_weight: None, ``balanced`` (rows of rare labels count for more) or a weight by label.
        multi: whether a row may have several labels; inferred if None.
        max_length: steps kept of a row, the first of a text, the last of others (default: the longest, bounded).
        val_size, test_size: share or number of rows set aside for validation and test, label by label.
        epochs, batch_size, learning_rate, weight_decay, patience, ema: of the training; see TrainingConfig. A rate
            of ``auto`` is found by a range test.
        seed, device, log: of the run.

    Attributes:
        model_: the spec. live_: the torch-free classifier that predicts. classes_: the labels, in the order of
            ``predict_proba``. history_: of the training. plan_: the data as it was understood.
        validation_, test_: evaluations (None without rows). parts_: the examples of each part.

    Example:
        >>> texts = ["good film", "bad film", "so good", "so bad"] * 10
        >>> model = Classifier(hidden_size=8, epochs=3, val_size=0).fit(texts, [1, 0] * 20, progress="quiet")
        >>> model.predict_proba(["good", "bad"]).shape
        (2, 2)
    """

    def __init__(
        self,
        *,
        kind: ClassifyKind | None = None,
        text: str | None = None,
        label: str | None = None,
        id: str | None = None,
        time: str | None = None,
        columns: Sequence[str] = (),
        code: str | None = None,
        variable: str | None = None,
        value: str | None = None,
        tokenizer: Literal["word", "char", "bpe"] = "word",
        vocabulary_size: int = 20_000,
        lower: bool = True,
        bidirectional: bool | None = None,
        pool: Literal["mean", "max", "attention", "last"] = "max",
        cell: Literal["gru", "lstm", "rnn", "mingru"] = "gru",
        hidden_size: int = 64,
        layers: int = 1,
        dropout: float = 0.5,
        encoder: Encoder = "gru",
        kernel_size: int = KERNEL_SIZE,
        irregular: IrregularForm | None = None,
        embedding_size: int = 64,
        token_dropout: float = 0.1,
        label_smoothing: float = 0.0,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        multi: bool | None = None,
        rate: int | None = None,
        frame_ms: float = FRAME_MS,
        hop_ms: float = HOP_MS,
        bands: int = BANDS,
        preemphasis: float = 0.0,
        resample: bool = True,
        skip_bad: bool = False,
        gain_db: float = 15.0,
        band_shift: int = 2,
        noise: float = 0.5,
        time_mask: float = 0.2,
        band_mask: float = 0.2,
        max_length: int | None = None,
        val_size: float = 0.1,
        test_size: float = 0,
        epochs: int = 20,
        batch_size: int = 32,
        learning_rate: float | Literal["auto"] = 1e-3,
        weight_decay: float = 1e-4,
        patience: int | None = 5,
        ema: float | None = 0.99,
        seed: int = 0,
        device: str = "auto",
        log: Log = "csv",
    ) -> None:
        self.kind: ClassifyKind | None = kind
        self.text, self.label, self.id, self.time = text, label, id, time
        self.columns, self.code = columns, code
        self.variable, self.value = variable, value
        self.tokenizer: Literal["word", "char", "bpe"] = tokenizer
        self.vocabulary_size, self.lower = vocabulary_size, lower
        self.bidirectional, self.pool, self.cell = bidirectional, pool, cell
        self.encoder: Encoder = encoder
        self.kernel_size = kernel_size
        self.irregular: IrregularForm | None = irregular
        self.hidden_size, self.layers, self.dropout = hidden_size, layers, dropout
        self.embedding_size, self.token_dropout = embedding_size, token_dropout
        self.label_smoothing = label_smoothing
        self.class_weight, self.multi, self.max_length = class_weight, multi, max_length
        self.rate, self.frame_ms, self.hop_ms, self.bands = rate, frame_ms, hop_ms, bands
        self.preemphasis, self.resample, self.skip_bad = preemphasis, resample, skip_bad
        self.gain_db, self.band_shift, self.noise = gain_db, band_shift, noise
        self.time_mask, self.band_mask = time_mask, band_mask
        self.val_size, self.test_size = val_size, test_size
        self.epochs, self.batch_size = epochs, batch_size
        self.learning_rate: float | Literal["auto"] = learning_rate
        self.weight_decay, self.patience, self.ema = weight_decay, patience, ema
        self.seed, self.device = seed, device
        self.log: Log = log

    def fit(
        self,
        data: Any,
        y: Any = None,
        *,
        validation: Any = None,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: Mode = "auto",
        report_plan: Callable[[list[str]], None] | None = None,
    ) -> Self:
        """Train on labelled examples; see the class for what is learned.

        Args:
            data: a path (CSV, TSV, Parquet, JSON lines, a folder of images or recordings), a frame, columns, or with
                ``y`` a list of texts, a list of arrays [T, C], or an array of images [R, H, W] or [R, H, W, C]; with
                ``kind="audio"`` a list of paths, or of samples at ``rate``.
            y: labels, where they are not a column of ``data``.
            validation: labelled data to validate on, in the form of ``data`` (with ``y``: a pair of data and labels);
                then no rows of ``data`` are set aside for it.
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
        prepared, reading = me._prepare(data, y, validation)
        ready = me._make_ready(prepared, reading)
        if report_plan is not None:
            report_plan(ready.plan)
        if not ready.can_validate:
            config = dataclasses.replace(config, patience=None)
        history = me._run(ready.job, config, digest_of(prepared), run, resume, progress)
        self._finish(ready, history, reading, data, y)
        return self

    def tune(
        self,
        data: Any,
        y: Any = None,
        *,
        trials: int = 20,
        space: SpaceLike = None,
        validation: Any = None,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: Mode = "auto",
        report_plan: Callable[[list[str]], None] | None = None,
    ) -> Self:
        """Search for settings with a small validation loss, take them over, and keep the best trial's model.

        Args:
            data, y, validation, folder, resume, progress, report_plan: as in ``fit``.
            trials: how many sets of parameters are tried; the first is the constructor's, if the space has it.
            space: what is searched: a list of names among ``learning_rate``, ``batch_size``, ``hidden_size``,
                ``layers``, ``dropout`` and ``pool`` (default: all), or a dict by such names of (low, high) for the
                rate and dropout, and of lists of values for the others.

        Returns:
            Itself, with the parameters of the best trial; ``tuning_`` is the study. Test rows play no part.

        Raises:
            DataError, UsageError, TrainingInterrupted: as in ``fit``; MissingExtraError: Optuna is not installed.
        """
        options = RunOptions(check_resume(folder, resume), resume, progress, report_plan)
        me = type(self)(**check_parameters(self.get_params()))
        me._training_config()
        count, chosen = check_trials(trials), choose_space(me, space, CLASSIFY, RULES)
        prepared, reading = me._prepare(data, y, validation)
        tuning = Tuning(
            me, chosen, count, lambda one: one._make_ready(prepared, reading), digest_of(prepared), options
        )
        found = tuning.run(me._make_ready(prepared, reading))
        self.set_params(**found.parameters)
        self._finish(found.ready, found.history, reading, data, y)
        self.plan_, self.tuning_ = found.plan, found.study
        return self

    def predict(self, data: Any) -> Any:
        """Name the label of every row.

        Args:
            data: as in ``fit``; labels are not needed and not read.

        Returns:
            For a list or an array: the labels, as they were given to ``fit`` (with ``multi`` a list of tuples). For a
            table: a frame of its kind with id (if any), label and probability; see `LiveClassifier.predict`.
        """
        self._check_fitted()
        examples = self._read_like(data)
        if is_table(data):
            return like(self.live_.predict(examples), data)
        chosen = self.live_.choose(self.live_.predict_proba(examples))
        if self.live_.task.multi:
            return [tuple(self.classes_[row].tolist()) for row in chosen]
        return self.classes_[chosen]

    def predict_proba(self, data: Any) -> np.ndarray:
        """Calibrated probabilities, float64 [R, C], in the order of ``classes_``."""
        self._check_fitted()
        return self.live_.predict_proba(self._read_like(data))

    def score(self, data: Any, y: Any = None) -> float:
        """Share of rows whose label is right, with ``multi`` of those whose every label is."""
        return self.evaluate(data, y).accuracy

    def evaluate(self, data: Any, y: Any = None) -> ClassEvaluation:
        """Score labelled data, beside the baselines; rows of labels that training did not know count as wrong."""
        self._check_fitted()
        return self.live_.evaluate(self._read_like(data, y, labelled=True))

    def _write_report(self, folder: Path, name: str) -> None:
        found = {"test": self.test_, "validation": self.validation_}
        evaluations = {part: value for part, value in found.items() if value is not None}
        parts = {"train": self.parts_.train, "validation": self.parts_.val, "test": self.parts_.test}
        write_classify_report(
            folder / "report",
            title=TITLES[self.live_.task.kind],
            plan=self.plan_,
            parts={part: examples for part, examples in parts.items() if examples.rows},
            history=self.history_,
            evaluations=evaluations,
            model=self.model_,
            name=name,
            tuning=getattr(self, "tuning_", None),
        )

    def _read_like(self, data: Any, y: Any = None, labelled: bool = False) -> Examples:
        return read_like(data, self.live_.roles, y, labelled=labelled, own=own_of(self.model_))

    def _prepare(self, data: Any, y: Any, validation: Any) -> tuple[Prepared, Reading]:
        columns = (self.code,) if self.code is not None else self.columns
        reading = read_examples(
            data, y, kind=self.kind, text=self.text, label=self.label, id=self.id, time=self.time, columns=columns,
            multi=self.multi, audio=AudioOptions(self.rate, self.resample, self.skip_bad, self.frame_ms / 1000),
            long=None if self.variable is None or self.value is None else (self.variable, self.value),
        )  # fmt: skip
        unseen = None
        if validation is not None:
            rows, labels = pair(validation) if y is not None else (validation, None)
            own = own_like(reading.examples, self.frame_ms / 1000)
            unseen = read_like(rows, reading.roles, labels, labelled=True, own=own)
        if self.irregular is not None and reading.roles.kind != "series":
            raise UsageError(
                f"irregular must not be given for kind={reading.roles.kind!r}, got {self.irregular!r}"
            )
        parts = divide(
            reading.examples, unseen, self.val_size, self.test_size, self.seed, label_source(reading.roles)
        )
        options = StepOptions(
            self.tokenizer, self.vocabulary_size, lower=self.lower, irregular=self.irregular, frame_ms=self.frame_ms,
            hop_ms=self.hop_ms, bands=self.bands, preemphasis=self.preemphasis,
        )  # fmt: skip
        return prepare(parts, reading.roles, options, self.max_length), reading

    def _job(self, module: GraphModule, prepared: Prepared) -> ClassifyJob:
        return ClassifyJob(
            module,
            prepared.train,
            prepared.val,
            batch_size=self.batch_size,
            seed=self.seed,
            weight=label_weights(self.class_weight, prepared.train.truth, prepared.task.labels),
            token_dropout=self.token_dropout,
            masks=prepared.masks,
            smoothing=self.label_smoothing,
            augment=augment_for(prepared.steps, prepared.arrays, sound_options(self)),
        )

    def _make_ready(self, prepared: Prepared, reading: Reading) -> "Ready":
        graph = build_network(config_of(self.get_params(), prepared.task), prepared.port)
        module = self._module(graph)
        start_small(module)
        plan = [*reading.plan, *prepared.plan]
        return Ready(prepared, graph, module, self._job(module, prepared), plan)

    def _finish(self, ready: "Ready", history: History, reading: Reading, data: Any, y: Any) -> None:
        """Fit temperature and baselines, evaluate on what validation and test rows there are, and keep it all."""
        prepared, graph, module = ready.prepared, ready.graph, ready.module
        task, arrays = fit_baselines(prepared)
        model = Model(1, task, prepared.steps, {"main": graph})
        tensors = (
            prepared.arrays | arrays | {f"main.{name}": values for name, values in module.tensors().items()}
        )
        tensors["task.temperature"] = np.ones(1)
        if len(prepared.val):
            live = LiveClassifier(model, tensors)
            found = fit_temperature(live.logits(prepared.val.sequences), prepared.val.truth, task.multi)
            tensors["task.temperature"] = np.array([found])
        self.model_, self.tensors_, self.live_ = model, tensors, LiveClassifier(model, tensors)
        self.parts_ = prepared.parts
        self.validation_, self.test_ = (
            self.live_.evaluate(part) if part.rows else None for part in (self.parts_.val, self.parts_.test)
        )
        self.classes_ = given_classes(prepared.task.labels, reading.examples.labels, y)
        self.plan_, self.history_, self._example = ready.plan, history, data
        vars(self).pop("tuning_", None)  # of an earlier call of tune


@dataclasses.dataclass(frozen=True)
class Ready:
    """Prepared data, and a network that waits to be trained on it; ``plan`` says so in words."""

    prepared: Prepared
    graph: Graph
    module: GraphModule
    job: ClassifyJob
    plan: list[str]

    @property
    def can_validate(self) -> bool:
        """Whether there are rows to validate on."""
        return len(self.prepared.val) > 0
