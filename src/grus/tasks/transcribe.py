"""The transcription task: a GRU that writes down what is said, learned from recordings and their transcripts alone."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from grus.data.audio_files import AudioOptions
from grus.data.examples import audio_of
from grus.data.spoken import Spoken, read_spoken
from grus.decode import LiveTranscriber, Transcript, TranscriptionEvaluation
from grus.decode.fusion import Fusion
from grus.errors import UsageError
from grus.inspection.transcripts.report import write_transcribe_report
from grus.models import GraphModule
from grus.preprocess.log_mel import BANDS, FRAME_MS, HOP_MS
from grus.spec import Model
from grus.tasks.encoders import KERNEL_SIZE
from grus.tasks.estimator import TrainedEstimator, check_resume
from grus.tasks.run_folder import digest
from grus.tasks.sound_augment import augment_for, sound_options
from grus.tasks.transcribe_data import FrameOptions, Prepared, prepare
from grus.tasks.transcribe_job import TranscribeJob
from grus.tasks.transcribe_networks import NetworkConfig, build_network
from grus.tasks.transcribe_parameters import check_parameters
from grus.training.config import Log
from grus.training.progress import Mode


class Transcriber(TrainedEstimator):
    """A recurrent transcriber (GRU) of recordings, with scikit-learn's habits.

    p(y | x) = sum over the paths of y of prod_t softmax(W h_t + b)_t, h = cell(log-mel(x)): connectionist temporal
    classification (Graves et al. 2006), which needs no word on when anything was said.

    Args:
        transcript: the column of transcripts in a table; inferred where obvious.
        units: what is written at a step, ``char`` or ``word``; lower: put transcripts in lower case.
        rate, frame_ms, hop_ms, bands, preemphasis: of recordings: Hz to bring them to (None: that of most of them),
            milliseconds of a frame and from one to the next, log-mel bands. stack: frames side by side that are one
            step; see `grus.spec.LogMel`.
        resample: bring recordings of other rates to it, in place of refusing them. skip_bad: leave out files that are
            no recordings or too short for their transcripts, in place of refusing them.
        gain_db, band_shift, noise: what training does to recordings: the greatest change of level in dB, the most bands
            that a spectrum is moved by, and the share of recordings that get noise. time_mask, band_mask: the widest
            stretch of steps, as a share of all, and of bands that it hides, twice each (SpecAugment).
        bidirectional: read in both directions; False makes a model that can listen live.
        cell: ``gru``, ``lstm``, ``rnn`` (simple, tanh) or ``mingru``.
        hidden_size, layers, dropout: of the network.
        encoder: ``gru`` or ``conv-gru`` (a causal convolution of ``kernel_size`` steps before it).
        val_size, test_size: share or number of recordings set aside for validation and test.
        epochs, batch_size, learning_rate, weight_decay, patience, ema: of the training; see TrainingConfig. A rate
            of ``auto`` is found by a range test.
        seed, device, log: of the run.

    Attributes:
        model_: the spec. live_: the torch-free model that transcribes. history_: of the training. plan_: the data as it
        was understood. validation_, test_: evaluations (None without recordings). parts_: the recordings of each part.

    Example:
        >>> tone = np.sin(np.arange(4000) * 0.5)
        >>> model = Transcriber(rate=8000, hidden_size=8, layers=1, epochs=1, val_size=0)
        >>> model = model.fit([tone, -tone], ["one", "one"], progress="quiet")
        >>> len(model.transcribe([tone]))
        1
    """

    def __init__(
        self,
        *,
        transcript: str | None = None,
        units: Literal["char", "word"] = "char",
        lower: bool = True,
        rate: int | None = None,
        frame_ms: float = FRAME_MS,
        hop_ms: float = HOP_MS,
        bands: int = BANDS,
        preemphasis: float = 0.0,
        stack: int = 3,
        resample: bool = True,
        skip_bad: bool = False,
        gain_db: float = 15.0,
        band_shift: int = 2,
        noise: float = 0.5,
        time_mask: float = 0.05,
        band_mask: float = 0.2,
        bidirectional: bool = False,
        cell: Literal["gru", "lstm", "rnn", "mingru"] = "gru",
        hidden_size: int = 128,
        layers: int = 2,
        dropout: float = 0.2,
        encoder: Literal["gru", "conv-gru"] = "gru",
        kernel_size: int = KERNEL_SIZE,
        val_size: float = 0.1,
        test_size: float = 0,
        epochs: int = 30,
        batch_size: int = 32,
        learning_rate: float | Literal["auto"] = 3e-3,
        weight_decay: float = 1e-4,
        patience: int | None = 8,
        ema: float | None = 0.99,
        seed: int = 0,
        device: str = "auto",
        log: Log = "csv",
    ) -> None:
        self.transcript, self.units, self.lower = transcript, units, lower
        self.rate, self.frame_ms, self.hop_ms, self.bands = rate, frame_ms, hop_ms, bands
        self.preemphasis, self.stack = preemphasis, stack
        self.resample, self.skip_bad = resample, skip_bad
        self.gain_db, self.band_shift, self.noise = gain_db, band_shift, noise
        self.time_mask, self.band_mask = time_mask, band_mask
        self.bidirectional, self.cell = bidirectional, cell
        self.hidden_size, self.layers, self.dropout = hidden_size, layers, dropout
        self.encoder, self.kernel_size = encoder, kernel_size
        self.val_size, self.test_size = val_size, test_size
        self.epochs, self.batch_size = epochs, batch_size
        self.learning_rate: float | Literal["auto"] = learning_rate
        self.weight_decay, self.patience, self.ema = weight_decay, patience, ema
        self.seed, self.device = seed, device
        self.log: Log = log

    def fit(
        self,
        data: Any,
        texts: Sequence[str] | None = None,
        *,
        validation: Any = None,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: Mode = "auto",
        report_plan: Callable[[list[str]], None] | None = None,
    ) -> Self:
        """Train on recordings and what is said in them; see the class for what is learned.

        Args:
            data: a table with a column of paths (``path``, ``file``, ...) and one of transcripts; a folder in which
                transcripts are the names of folders, or begin the names of files; with ``texts`` a list of paths, or
                of samples [N] at ``rate``.
            texts: what is said in each of a list.
            validation: recordings of their own to validate on, in the form of ``data`` (with ``texts``: a pair).
            folder: where checkpoints live while training; a temporary folder if None.
            resume: go on from the checkpoint in ``folder``.
            progress: ``auto``, ``bar``, ``plain`` or ``quiet``; on stderr.
            report_plan: given the plan, as lines, before training starts.

        Raises:
            DataError: for data that does not fit, such as a transcript that needs more steps than its recording has.
            UsageError: for a parameter that cannot be used. TrainingInterrupted: on Ctrl-C; a checkpoint remains.
        """
        run = check_resume(folder, resume)
        me = type(self)(**check_parameters(self.get_params()))
        config = me._training_config()
        prepared = me._prepare(data, texts, validation)
        module = me._module(build_network(me._network(prepared), prepared.log_mel.port()))
        if report_plan is not None:
            report_plan(prepared.plan)
        if not len(prepared.val):
            config = dataclasses.replace(config, patience=None)
        job = me._job(module, prepared)
        history = me._run(job, config, _digest(prepared), run, resume, progress)
        self._finish(prepared, module)
        self.history_ = history
        return self

    def transcribe(
        self, data: Any, *, beam: int | None = None, fusion: Fusion | None = None
    ) -> list[Transcript]:
        """Write down what is said: in a folder or table of recordings, or in a list of paths or samples.

        Args:
            data: as in ``fit``; transcripts are not needed and not read.
            beam, fusion: see `LiveTranscriber.transcribe`.
        """
        self._check_fitted()
        return self.live_.transcribe(self._read(data, None, False).recordings(), beam=beam, fusion=fusion)

    def evaluate(
        self,
        data: Any,
        texts: Sequence[str] | None = None,
        *,
        beam: int | None = None,
        fusion: Fusion | None = None,
    ) -> TranscriptionEvaluation:
        """Word and character error rates on recordings with transcripts, in the form of ``fit``'s."""
        self._check_fitted()
        return self._scores(self._read(data, texts, True), beam, fusion)

    def score(self, data: Any, texts: Sequence[str] | None = None) -> float:
        """Share of words that are right: 1 - word error rate, which may be below 0."""
        return 1 - self.evaluate(data, texts).wer

    def _scores(
        self, spoken: Spoken, beam: int | None = None, fusion: Fusion | None = None
    ) -> TranscriptionEvaluation:
        assert spoken.texts is not None
        return self.live_.evaluate(
            spoken.recordings(), spoken.texts, names=spoken.names, beam=beam, fusion=fusion
        )

    def _read(self, data: Any, texts: Sequence[str] | None, wanted: bool) -> Spoken:
        options = audio_of(self.live_.log_mel)
        return read_spoken(data, texts, options, self.live_.task.transcript if wanted else None, wanted)

    def _prepare(self, data: Any, texts: Sequence[str] | None, validation: Any) -> Prepared:
        frames = FrameOptions(self.frame_ms, self.hop_ms, self.bands, self.preemphasis, self.stack)
        options = AudioOptions(self.rate, self.resample, self.skip_bad, frames.least)
        spoken = read_spoken(data, texts, options, self.transcript)
        unseen = None
        if validation is not None:
            own = dataclasses.replace(options, rate=spoken.rate)
            if texts is not None and (not isinstance(validation, tuple) or len(validation) != 2):
                raise UsageError(
                    f"validation must be a pair (recordings, texts), got {type(validation).__name__}"
                )
            rows, words = validation if texts is not None else (validation, None)
            unseen = read_spoken(rows, words, own, spoken.column or None)
        return prepare(
            spoken, unseen, val_size=self.val_size, test_size=self.test_size, seed=self.seed, units=self.units,
            lower=self.lower, frames=frames, skip_bad=self.skip_bad,
        )  # fmt: skip

    def _network(self, prepared: Prepared) -> NetworkConfig:
        return NetworkConfig(
            prepared.vocabulary.port().size, self.bidirectional, self.cell, self.hidden_size, self.layers,
            self.dropout, self.encoder, self.kernel_size,
        )  # fmt: skip

    def _job(self, module: GraphModule, prepared: Prepared) -> TranscribeJob:
        tokens, glue = prepared.vocabulary.tokens, " " if self.units == "word" else ""

        def words(codes: Sequence[int]) -> list[str]:
            return glue.join(tokens[code - 1] for code in codes).split()

        augment = augment_for(prepared.steps, prepared.arrays, sound_options(self))
        return TranscribeJob(
            module, prepared.train, prepared.val, batch_size=self.batch_size, seed=self.seed, augment=augment,
            words=words,
        )  # fmt: skip

    def _finish(self, prepared: Prepared, module: GraphModule) -> None:
        """Keep the model, and evaluate it on the parts that it was not trained on."""
        self.model_ = Model(1, prepared.task, prepared.steps, {"main": module.graph})
        weights = {f"main.{name}": values for name, values in module.tensors().items()}
        self.tensors_: dict[str, np.ndarray] = prepared.arrays | weights
        self.live_ = LiveTranscriber(self.model_, self.tensors_)
        self.plan_, self.parts_ = prepared.plan, prepared.parts
        self.validation_, self.test_ = (
            self._scores(prepared.parts[name]) if len(prepared.parts[name]) else None
            for name in ("validation", "test")
        )

    def _write_report(self, folder: Path, name: str) -> None:
        found = {"test": self.test_, "validation": self.validation_}
        write_transcribe_report(
            folder / "report",
            title="Transcription",
            plan=self.plan_,
            history=self.history_,
            evaluations={part: value for part, value in found.items() if value is not None},
            live=self.live_,
            name=name,
        )


def _digest(prepared: Prepared) -> str:
    """A hash of everything that training sees."""
    parts: list[Any] = [prepared.task, prepared.steps, *prepared.arrays.values()]
    for rows in (prepared.train, prepared.val):
        parts += [rows.sequences.ports["x"], rows.sequences.offsets, *rows.codes]
    return digest(*parts)
