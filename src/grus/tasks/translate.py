"""The translation task: a GRU that reads a sentence, and one that writes another while it looks at the first."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch

from grus.data.pairs import Pairs, drop_empty, read_pairs
from grus.decode.translation_scores import TranslationEvaluation, bleu
from grus.decode.translator import LiveTranslator, Translation
from grus.errors import DataError, UsageError
from grus.inspection.translations.report import write_translate_report
from grus.models import EncoderDecoder
from grus.preprocess.translate import VocabularyOptions
from grus.spec import Graph, Model
from grus.tasks.estimator import TrainedEstimator, check_resume
from grus.tasks.run_folder import digest
from grus.tasks.translate_data import Prepared, prepare
from grus.tasks.translate_job import TranslateJob
from grus.tasks.translate_networks import NetworkConfig, build_network, start_small
from grus.tasks.translate_parameters import check_parameters
from grus.training.config import Log
from grus.training.progress import Mode


class Translator(TrainedEstimator):
    """A recurrent translator with attention, with scikit-learn's habits; ``predict`` is called ``translate`` here.

    p(y_t | y_<t, x) = softmax(E tanh(V [s_t, c_t, E y_{t-1}] + d)), where s_t is the state of a GRU, and c_t what it
    attends to among the states of a bidirectional GRU that has read x; see `grus.spec.ops.AttentiveGRU`.

    Args:
        source, target: columns of a table, or what the languages are called.
        tokenizer: ``bpe`` (pieces of words), ``word`` or ``char``; vocabulary_size: most tokens known; joint: one
            vocabulary for both sides; lower: put texts in lower case, so that translations are too.
        hidden_size: units of the decoder and of each direction of the encoder; layers: of the encoder.
        embedding_size: of a token. tied: let the output layer be the target's embeddings (with ``joint`` the source's).
        attention: ``additive`` or ``multiplicative``. decoder: ``conditional`` or ``plain``.
        dropout, state_dropout, output_dropout: of embeddings, of the encoder's states, before the output layer.
        bpe_dropout: probability that a merge is left out, so that every epoch sees other pieces; of ``bpe`` alone.
        label_smoothing: share of the truth that is spread evenly over all tokens in training.
        max_length: tokens read of a sentence (default: 100). length_penalty: of beam search.
        monitor: which validation score chooses the epoch: ``bleu`` (of greedy translations) or ``loss``.
        val_size, test_size: share or number of pairs set aside for validation and test.
        epochs, batch_size, learning_rate, weight_decay, patience, ema: of the training; see TrainingConfig.
        seed, device, log: of the run.

    Attributes:
        model_: the spec. live_: the torch-free translator that translates. history_: of the training. plan_: the data
            as it was understood. validation_, test_: evaluations by greedy search (None without pairs).

    Example:
        >>> source = ["eins zwei", "zwei drei", "drei eins", "zwei eins"] * 10
        >>> target = ["one two", "two three", "three one", "two one"] * 10
        >>> model = Translator(tokenizer="word", hidden_size=16, epochs=2, val_size=0)
        >>> model.fit(source, target, progress="quiet").translate(["eins zwei", ""])[1]
        ''
    """

    def __init__(
        self,
        *,
        source: str | None = None,
        target: str | None = None,
        tokenizer: Literal["bpe", "word", "char"] = "bpe",
        vocabulary_size: int = 8_000,
        joint: bool = True,
        lower: bool = False,
        hidden_size: int = 256,
        layers: int = 1,
        embedding_size: int = 128,
        tied: bool = True,
        attention: Literal["additive", "multiplicative"] = "additive",
        decoder: Literal["conditional", "plain"] = "conditional",
        dropout: float = 0.3,
        state_dropout: float = 0.5,
        output_dropout: float = 0.5,
        bpe_dropout: float = 0.0,
        label_smoothing: float = 0.1,
        max_length: int | None = None,
        length_penalty: float = 1.0,
        monitor: Literal["bleu", "loss"] = "bleu",
        val_size: float = 0.05,
        test_size: float = 0,
        epochs: int = 30,
        batch_size: int = 64,
        learning_rate: float | Literal["auto"] = 1e-3,
        weight_decay: float = 1e-5,
        patience: int | None = 5,
        ema: float | None = 0.999,
        seed: int = 0,
        device: str = "auto",
        log: Log = "csv",
    ) -> None:
        self.source, self.target = source, target
        self.tokenizer: Literal["bpe", "word", "char"] = tokenizer
        self.vocabulary_size, self.joint, self.lower = vocabulary_size, joint, lower
        self.hidden_size, self.layers, self.embedding_size, self.tied = (
            hidden_size,
            layers,
            embedding_size,
            tied,
        )
        self.attention: Literal["additive", "multiplicative"] = attention
        self.decoder: Literal["conditional", "plain"] = decoder
        self.dropout, self.state_dropout, self.output_dropout = dropout, state_dropout, output_dropout
        self.bpe_dropout, self.label_smoothing = bpe_dropout, label_smoothing
        self.max_length, self.length_penalty = max_length, length_penalty
        self.monitor: Literal["bleu", "loss"] = monitor
        self.val_size, self.test_size = val_size, test_size
        self.epochs, self.batch_size = epochs, batch_size
        self.learning_rate: float | Literal["auto"] = learning_rate
        self.weight_decay, self.patience, self.ema = weight_decay, patience, ema
        self.seed, self.device = seed, device
        self.log: Log = log

    def fit(
        self,
        data: Any,
        target: Any = None,
        *,
        validation: Any = None,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: Mode = "auto",
        report_plan: Callable[[list[str]], None] | None = None,
    ) -> Self:
        """Train on sentences and their translations.

        Args:
            data: with ``target``, a text file with a sentence a line (also .gz), or a list of texts; without, a table
                with a column a language (CSV, TSV, JSON lines, Parquet, a frame, columns).
            target: the other file, or list.
            validation: pairs to validate on, in the form of ``data`` (with ``target``: a pair of files or lists); then
                none of ``data`` are set aside for it.
            folder: where checkpoints live while training; a temporary folder if None.
            resume: go on from the checkpoint in ``folder``.
            progress: ``auto``, ``bar``, ``plain`` or ``quiet``; on stderr.
            report_plan: given the plan, as lines, before training starts.

        Raises:
            DataError: for data that does not fit; UsageError: for a parameter that cannot be used.
            MissingExtraError: tokenizers (for bpe) or sacrebleu (to validate) is not installed.
            TrainingInterrupted: on Ctrl-C; a checkpoint remains.
        """
        run = check_resume(folder, resume)
        me = type(self)(**check_parameters(self.get_params()))
        config = me._training_config()
        prepared = me._prepare(data, target, validation)
        parts, ties = build_network(me._network(prepared))
        model = Model(1, prepared.task, prepared.steps, parts, ties)
        job = me._job(model, prepared)
        if report_plan is not None:
            report_plan(prepared.plan)
        if not len(prepared.val):
            config = dataclasses.replace(config, patience=None)
        history = me._run(job, config, _digest(prepared), run, resume, progress)
        self.model_, self.tensors_ = model, job.model.tensors()
        self.live_ = LiveTranslator(model, self.tensors_)
        self.plan_, self.history_, self.parts_ = prepared.plan, history, prepared.parts
        self.validation_, self.test_ = (
            self.live_.evaluate(pairs.source, pairs.target) if len(pairs) else None
            for pairs in (prepared.parts["validation"], prepared.parts["test"])
        )  # fmt: skip
        return self

    def translate(self, sentences: Sequence[str], **options: Any) -> list[str] | list[list[Translation]]:
        """Translate sentences; see `LiveTranslator.translate` for the options."""
        self._check_fitted()
        return self.live_.translate(sentences, **options)

    def score(self, sources: Sequence[str], targets: Sequence[Any]) -> np.ndarray:
        """log p(target | source) of given translations, float64 [R]; see `LiveTranslator.score`."""
        self._check_fitted()
        return self.live_.score(sources, targets)

    def evaluate(self, data: Any, target: Any = None, **options: Any) -> TranslationEvaluation:
        """Translate the sources of some pairs, and score the translations by the targets; see `fit` for the data.

        Args:
            data, target: as in ``fit``; pairs with an empty side are left out.
            options: of the search, see `LiveTranslator.translate`.
        """
        self._check_fitted()
        pairs = self._read(data, target, (self.live_.task.source, self.live_.task.target))
        return self.live_.evaluate(pairs.source, pairs.target, **options)

    def _read(self, data: Any, target: Any, names: tuple[str | None, str | None]) -> Pairs:
        pairs, _ = drop_empty(read_pairs(data, target, names if target is None else (None, None)))
        if not len(pairs):
            raise DataError(f"{pairs.origin}: expected pairs of sentences, got none with two full sides")
        return pairs

    def _prepare(self, data: Any, target: Any, validation: Any) -> Prepared:
        pairs = read_pairs(data, target, (self.source, self.target))
        unseen = None
        if validation is not None and target is not None:
            if not isinstance(validation, tuple | list) or len(validation) != 2:
                raise UsageError(
                    f"validation must be a pair (sources, targets) like the data, got {type(validation).__name__}"
                )
            unseen = read_pairs(*validation)
        elif validation is not None:
            unseen = read_pairs(validation, None, pairs.names)
        options = VocabularyOptions(self.tokenizer, self.vocabulary_size, self.joint, self.lower)
        return prepare(
            pairs, unseen, val_size=self.val_size, test_size=self.test_size, seed=self.seed, options=options,
            max_length=self.max_length, length_penalty=self.length_penalty, bpe_dropout=self.bpe_dropout,
        )  # fmt: skip

    def _network(self, prepared: Prepared) -> NetworkConfig:
        names = (
            "hidden_size", "layers", "embedding_size", "attention", "decoder", "tied", "joint", "dropout",
            "state_dropout", "output_dropout",
        )  # fmt: skip
        sizes = {name: getattr(self, name) for name in names}
        return NetworkConfig(*prepared.task.sizes(prepared.steps), **sizes)

    def _job(self, model: Model, prepared: Prepared) -> TranslateJob:
        module = self._modules(model.parts, model.ties)
        start_small(module)
        held = prepared.parts["validation"]

        def greedy(tensors: Mapping[str, np.ndarray]) -> float:
            found = LiveTranslator(model, tensors).translate(held.source, beam=1)
            return bleu(found, held.target, self.lower)

        return TranslateJob(
            module,
            prepared.train,
            prepared.val,
            end=prepared.task.sizes(prepared.steps)[1] - 1,
            batch_size=self.batch_size,
            seed=self.seed,
            smoothing=self.label_smoothing,
            bleu=greedy,
            monitor=self.monitor,
            redraw=prepared.redraw,
        )

    def _modules(self, parts: Mapping[str, Graph], ties: Mapping[str, str]) -> EncoderDecoder:
        """Both parts, their weights drawn from the seed; the caller's generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)
            return EncoderDecoder(parts, ties)

    def _write_report(self, folder: Path, name: str) -> None:
        found = {"test": self.test_, "validation": self.validation_}
        write_translate_report(
            folder / "report",
            title="Translation",
            plan=self.plan_,
            parts=self.parts_,
            history=self.history_,
            evaluations={part: value for part, value in found.items() if value is not None},
            live=self.live_,
            name=name,
        )


def _digest(prepared: Prepared) -> str:
    """A hash of everything that training sees."""
    parts: list[Any] = [prepared.task, prepared.steps]
    for rows in (prepared.train, prepared.val):
        for side in (rows.source, rows.target):
            parts += [side.offsets, side.ports["tokens"]]
    return digest(*parts, prepared.parts["validation"].target)
