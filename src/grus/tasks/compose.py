"""The generation task on music: a recurrent model of MIDI files that goes on with a tune."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from grus.decode import Composition, LiveComposer, MusicEvaluation
from grus.decode.music.composer import MAX_BEATS
from grus.inspection.music.report import write_music_report
from grus.models import GraphModule
from grus.preprocess.music.codes import codes_of
from grus.preprocess.music.piece import Piece
from grus.spec import Model
from grus.tasks.compose_data import MusicOptions, PreparedMusic, all_pieces, pieces_of, prepare_music
from grus.tasks.compose_job import MusicJob
from grus.tasks.compose_parameters import check_parameters
from grus.tasks.estimator import TRAINING, TrainedEstimator, check_resume
from grus.tasks.generate_networks import NetworkConfig, build_network
from grus.tasks.run_folder import digest
from grus.training import TrainingConfig
from grus.training.config import Log
from grus.training.progress import Mode


class MusicModel(TrainedEstimator):
    """A recurrent model (GRU) of polyphonic music, with scikit-learn's habits.

    A piece is a sequence of tokens on a grid of steps (docs/music.md says which), and
    p(token_t | before) = softmax(W h_t + b), h_t = cell(E[token_{t-1}], h_{t-1}), shared out among the tokens that may
    stand there. Every piece is read from the beginning, in training too.

    Args:
        layout: ``voices`` (a fixed number of parts with one note at a time), ``polyphony`` (any number of notes in one
            part), or ``auto``: voices where all pieces have them.
        steps_per_beat: of the grid; a beat is a quarter note, 4 steps are sixteenths, 12 hold triplets too.
        transpose: train on every piece in another key each epoch, as far as no part leaves its range.
        cell: ``gru``, ``lstm`` or ``rnn`` (simple, tanh).
        hidden_size, layers, embedding_size: of the network. dropout: on what each layer puts out.
        val_size, test_size: share or number of pieces for validation and for a test, drawn from the seed.
        batch_size: pieces that are read side by side; chunk: tokens of each a step.
        epochs, learning_rate, weight_decay, patience, ema, gradient_clip, max_seconds: of the training; see
            TrainingConfig. A rate of ``auto`` is found by a range test.
        seed, device, log: of the run.

    Attributes:
        model_: the spec. live_: the torch-free model that generates and scores. history_: of the training. plan_: the
        data as it was understood. validation_, test_: evaluations (None without pieces).
    """

    def __init__(
        self,
        *,
        layout: Literal["auto", "voices", "polyphony"] = "auto",
        steps_per_beat: int = 4,
        transpose: bool = True,
        cell: Literal["gru", "lstm", "rnn"] = "gru",
        hidden_size: int = 256,
        layers: int = 1,
        embedding_size: int = 64,
        dropout: float = 0.3,
        val_size: float = 0.1,
        test_size: float = 0.1,
        batch_size: int = 8,
        chunk: int = 128,
        epochs: int = 20,
        learning_rate: float | Literal["auto"] = 6e-3,
        weight_decay: float = 0.01,
        patience: int | None = None,
        ema: float | None = None,
        gradient_clip: float | None = 1.0,
        max_seconds: float | None = None,
        seed: int = 0,
        device: str = "auto",
        log: Log = "csv",
    ) -> None:
        self.layout: Literal["auto", "voices", "polyphony"] = layout
        self.steps_per_beat, self.transpose = steps_per_beat, transpose
        self.cell: Literal["gru", "lstm", "rnn"] = cell
        self.hidden_size, self.layers, self.embedding_size = hidden_size, layers, embedding_size
        self.dropout = dropout
        self.val_size, self.test_size = val_size, test_size
        self.batch_size, self.chunk, self.epochs = batch_size, chunk, epochs
        self.learning_rate: float | Literal["auto"] = learning_rate
        self.weight_decay, self.patience, self.ema = weight_decay, patience, ema
        self.gradient_clip, self.max_seconds = gradient_clip, max_seconds
        self.seed, self.device = seed, device
        self.log: Log = log

    def fit(
        self,
        data: Any,
        *,
        validation: Any = None,
        test: Any = None,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: Mode = "auto",
        report_plan: Callable[[list[str]], None] | None = None,
    ) -> Self:
        """Train on pieces; see the class for what is learned.

        Args:
            data: the path of a MIDI file, of a folder of them, or of an archive of voices; or a list of paths, or of
                pieces.
            validation, test: pieces of their own, in the form of ``data``; then none of ``data`` are taken for them.
            folder: where checkpoints live while training; a temporary folder if None.
            resume: go on from the checkpoint in ``folder``.
            progress: ``auto``, ``bar``, ``plain`` or ``quiet``; on stderr.
            report_plan: given the plan, as lines, before training starts.

        Raises:
            DataError: for music that cannot be read; UsageError: for a parameter that cannot be used.
            TrainingInterrupted: on Ctrl-C; a checkpoint remains.
        """
        run = check_resume(folder, resume)
        me = type(self)(**check_parameters(self.get_params()))
        config = me._training_config()
        options = MusicOptions(me.layout, me.steps_per_beat, me.transpose, me.val_size, me.test_size, me.seed)
        prepared = prepare_music(data, validation, test, options)
        module, job = me._job(prepared)
        if report_plan is not None:
            report_plan(prepared.plan)
        if not prepared.val:
            config = TrainingConfig(**{**vars(config), "patience": None})
        history = me._run(job, config, _digest(prepared), run, resume, progress)
        self._finish(prepared, module)
        self.history_ = history
        return self

    def generate(
        self,
        prime: Piece | str | Path | None = None,
        *,
        prime_beats: float | None = None,
        min_beats: int = 0,
        max_beats: int = MAX_BEATS,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        tempo: int | None = None,
        seed: int | None = None,
        num_return_sequences: int = 1,
    ) -> list[Composition]:
        """Go on from a prime, or begin from nothing; see `LiveComposer.generate`."""
        self._check_fitted()
        return self.live_.generate(
            prime, prime_beats=prime_beats, min_beats=min_beats, max_beats=max_beats, temperature=temperature,
            top_k=top_k, top_p=top_p, tempo=tempo, seed=seed, num_return_sequences=num_return_sequences,
        )  # fmt: skip

    def evaluate(self, data: Any) -> MusicEvaluation:
        """How probable pieces are, given in the form of ``fit``'s; of an archive those for a test.

        See `LiveComposer.evaluate`.
        """
        self._check_fitted()
        named = all_pieces(pieces_of(data, self.live_.step.steps_per_beat))
        return self.live_.evaluate([one.piece for one in named], [one.source for one in named])

    def _training_config(self) -> TrainingConfig:
        names = (*TRAINING, "gradient_clip", "max_seconds")
        return TrainingConfig(**{name: getattr(self, name) for name in names})

    def _job(self, prepared: PreparedMusic) -> tuple[GraphModule, MusicJob]:
        network = NetworkConfig(
            self.cell, self.hidden_size, self.layers, self.embedding_size, dropout=self.dropout
        )
        module = self._module(build_network(network, prepared.port))
        job = MusicJob(
            module, prepared.train, prepared.val, shifts=prepared.shifts, codes=codes_of(prepared.step),
            batch_size=self.batch_size, chunk=self.chunk, seed=self.seed,
        )  # fmt: skip
        return module, job

    def _finish(self, prepared: PreparedMusic, module: GraphModule) -> None:
        """Keep the model, and evaluate it on the pieces that it was not trained on."""
        self.model_ = Model(1, prepared.task, (prepared.step,), {"main": module.graph})
        weights = {f"main.{name}": values for name, values in module.tensors().items()}
        self.tensors_: dict[str, np.ndarray] = prepared.arrays | weights
        self.live_ = LiveComposer(self.model_, self.tensors_)
        self.validation_, self.test_ = (
            self.live_.evaluate_tokens(part) if part else None for part in (prepared.val, prepared.test)
        )
        self.plan_ = prepared.plan

    def _write_report(self, folder: Path, name: str) -> None:
        found = {"test": self.test_, "validation": self.validation_}
        write_music_report(
            folder / "report",
            title="Music model",
            plan=self.plan_,
            history=self.history_,
            evaluations={part: value for part, value in found.items() if value is not None},
            live=self.live_,
            name=name,
            seed=self.seed,
        )


def _digest(prepared: PreparedMusic) -> str:
    """A hash of everything that training sees."""
    parts = (*prepared.train, *prepared.val)
    lengths = [len(tokens) for tokens in parts]
    return digest(prepared.task, prepared.step, prepared.shifts, lengths, np.concatenate(parts))
