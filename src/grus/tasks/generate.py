"""The generation task: a recurrent language model that says how probable a text is, and goes on with it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from grus.data.text_files import read_source, read_tokens
from grus.decode import Generation, LanguageEvaluation, LiveGenerator
from grus.decode.generator import MAX_NEW_TOKENS, Scored, Unknown
from grus.inspection.language.report import write_language_report
from grus.inspection.wording import percent
from grus.models import GraphModule
from grus.runtime import State
from grus.spec import Model
from grus.tasks.estimator import TRAINING, TrainedEstimator, check_resume
from grus.tasks.generate_data import Prepared, TextOptions, prepare_text
from grus.tasks.generate_job import LanguageJob
from grus.tasks.generate_networks import NetworkConfig, Softmax, build_network, cutoffs, start_tied
from grus.tasks.generate_parameters import check_parameters
from grus.tasks.run_folder import digest
from grus.training import TrainingConfig
from grus.training.config import Log, Precision
from grus.training.progress import Mode


class LanguageModel(TrainedEstimator):
    """A recurrent language model (GRU) of text, with scikit-learn's habits.

    p(token_t | before) = softmax(W h_t + b), h_t = cell(E[token_{t-1}], h_{t-1}), read in chunks with the state carried
    from one to the next, in training as in evaluation.

    Args:
        kind: ``text``.
        tokenizer: ``char`` (every character, line ends too), ``word``, ``space`` (what stands between blanks, for text
            that is cut already) or ``bpe``.
        vocabulary_size: most characters, words or pieces known.
        min_count: how often one must occur to be known. None: once for characters, and for words if the text itself has
            ``<unk>``; else twice.
        lower: put the text in lower case.
        cell: ``gru``, ``lstm`` or ``rnn`` (simple, tanh).
        hidden_size, layers: of the network. embedding_size: of a token; None: 64, or with ``tied`` the layers' size.
        tied: let the output use the embedding's table; None: for all but characters.
        softmax: ``full``, or ``adaptive``: common words first, rare ones in clusters with fewer units (Grave et al.
            2017), which trains a vocabulary of thousands faster. Not tied, not with ``bpe``.
        dropout: on what each layer puts out. input_dropout: on the embedded tokens; None: none for characters, else as
            ``dropout``. variational: one mask for all steps of a chunk.
        val_size, test_size: share or number of characters at the end for validation and, after them, for a test.
        batch_size: streams of text that are read side by side; chunk: tokens of each a step.
        epochs, learning_rate, weight_decay, patience, ema, gradient_clip, max_seconds, precision: of the training; see
            TrainingConfig. A rate of ``auto`` is found by a range test. With ``bf16-mixed`` the logits of a large
            vocabulary cost about half on a processor that multiplies bfloat16 numbers.
        seed, device, log: of the run.

    Attributes:
        model_: the spec. live_: the torch-free model that generates and scores. history_: of the training. plan_: the
        data as it was understood. validation_, test_: evaluations (None without text).

    Example:
        >>> model = LanguageModel(hidden_size=16, epochs=2, val_size=0, test_size=0)
        >>> model = model.fit(["to be, or not to be\\n"] * 50, progress="quiet")
        >>> len(model.generate("to be", max_new_tokens=3, seed=0).text)
        3
    """

    def __init__(
        self,
        *,
        kind: Literal["text"] = "text",
        tokenizer: Literal["char", "word", "space", "bpe"] = "char",
        vocabulary_size: int = 20_000,
        min_count: int | None = None,
        lower: bool = False,
        cell: Literal["gru", "lstm", "rnn"] = "gru",
        hidden_size: int = 256,
        layers: int = 2,
        embedding_size: int | None = None,
        tied: bool | None = None,
        softmax: Softmax = "full",
        dropout: float = 0.3,
        input_dropout: float | None = None,
        variational: bool = False,
        val_size: float = 0.1,
        test_size: float = 0.1,
        batch_size: int = 32,
        chunk: int = 64,
        epochs: int = 20,
        learning_rate: float | Literal["auto"] = 3e-3,
        weight_decay: float = 0.01,
        patience: int | None = None,
        ema: float | None = None,
        gradient_clip: float | None = 1.0,
        max_seconds: float | None = None,
        precision: Precision = "32-true",
        seed: int = 0,
        device: str = "auto",
        log: Log = "csv",
    ) -> None:
        self.kind: Literal["text"] = kind
        self.tokenizer: Literal["char", "word", "space", "bpe"] = tokenizer
        self.vocabulary_size, self.min_count, self.lower = vocabulary_size, min_count, lower
        self.cell: Literal["gru", "lstm", "rnn"] = cell
        self.hidden_size, self.layers, self.embedding_size = hidden_size, layers, embedding_size
        self.tied, self.dropout, self.input_dropout = tied, dropout, input_dropout
        self.softmax: Softmax = softmax
        self.variational = variational
        self.val_size, self.test_size = val_size, test_size
        self.batch_size, self.chunk, self.epochs = batch_size, chunk, epochs
        self.learning_rate: float | Literal["auto"] = learning_rate
        self.weight_decay, self.patience, self.ema = weight_decay, patience, ema
        self.gradient_clip, self.max_seconds = gradient_clip, max_seconds
        self.precision: Precision = precision
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
        """Train on a text; see the class for what is learned.

        Args:
            data: the path of a text file (UTF-8, also ``.gz``) or of a folder of them, a list of such files as Path
                objects, or a list of texts. It may be larger than memory.
            validation, test: text of their own, in the form of ``data``; then no part of ``data`` is taken for them.
            folder: where checkpoints live while training; a temporary folder if None.
            resume: go on from the checkpoint in ``folder``.
            progress: ``auto``, ``bar``, ``plain`` or ``quiet``; on stderr.
            report_plan: given the plan, as lines, before training starts.

        Raises:
            DataError: for text that cannot be read; UsageError: for a parameter that cannot be used.
            TrainingInterrupted: on Ctrl-C; a checkpoint remains.
        """
        run = check_resume(folder, resume)
        me = type(self)(**check_parameters(self.get_params()))
        config = me._training_config()
        options = TextOptions(
            me.tokenizer, me.vocabulary_size, me.min_count, me.lower, me.val_size, me.test_size
        )
        prepared = prepare_text(data, validation, test, options)
        module, job = me._job(prepared)
        if me.softmax == "adaptive":
            prepared.plan.append(_softmax_plan(prepared))
        if report_plan is not None:
            report_plan(prepared.plan)
        if not len(prepared.val):
            config = TrainingConfig(**{**vars(config), "patience": None})
        history = me._run(job, config, _digest(prepared), run, resume, progress)
        self._finish(prepared, module)
        self.history_ = history
        return self

    def generate(
        self,
        prompt: str = "",
        *,
        max_new_tokens: int = MAX_NEW_TOKENS,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        num_beams: int = 1,
        num_return_sequences: int = 1,
        seed: int | None = None,
        stop: str | Sequence[str] = (),
        state: State | None = None,
        unknown: Unknown = "refuse",
    ) -> Generation:
        """Go on with a text; see `LiveGenerator.generate`."""
        self._check_fitted()
        return self.live_.generate(
            prompt, max_new_tokens=max_new_tokens, temperature=temperature, top_k=top_k, top_p=top_p,
            repetition_penalty=repetition_penalty, num_beams=num_beams, num_return_sequences=num_return_sequences,
            seed=seed, stop=stop, state=state, unknown=unknown,
        )  # fmt: skip

    def score(self, texts: Sequence[str], *, unknown: Unknown = "map") -> list[Scored]:
        """Log-probabilities of the tokens of some texts, each by itself; see `LiveGenerator.score`."""
        self._check_fitted()
        return self.live_.score(texts, unknown=unknown)

    def evaluate(self, data: Any) -> LanguageEvaluation:
        """Perplexity and bits per character of a text in the form of ``fit``'s, read with the state carried."""
        self._check_fitted()
        return self.live_.evaluate(read_tokens(read_source(data), self.live_.codec))

    def _training_config(self) -> TrainingConfig:
        names = (*TRAINING, "gradient_clip", "max_seconds", "precision")
        return TrainingConfig(**{name: getattr(self, name) for name in names})

    def _job(self, prepared: Prepared) -> tuple[GraphModule, LanguageJob]:
        assert self.embedding_size is not None
        assert self.input_dropout is not None
        network = NetworkConfig(
            self.cell, self.hidden_size, self.layers, self.embedding_size, bool(self.tied), self.dropout,
            self.input_dropout, self.variational, self.softmax,
        )  # fmt: skip
        module = self._module(build_network(network, prepared.port))
        if self.tied:
            start_tied(module)
        job = LanguageJob(
            module, prepared.train.codes, prepared.val.codes, begin=prepared.task.begin, streams=self.batch_size,
            chunk=self.chunk, seed=self.seed,
        )  # fmt: skip
        return module, job

    def _finish(self, prepared: Prepared, module: GraphModule) -> None:
        """Keep the model, and evaluate it on the parts that it was not trained on."""
        self.model_ = Model(1, prepared.task, prepared.steps, {"main": module.graph})
        weights = {f"main.{name}": values for name, values in module.tensors().items()}
        self.tensors_: dict[str, np.ndarray] = prepared.arrays | weights
        self.live_ = LiveGenerator(self.model_, self.tensors_)
        self.validation_, self.test_ = (
            self.live_.evaluate(part, prepared.pairs) if len(part) else None
            for part in (prepared.val, prepared.test)
        )
        self.plan_ = prepared.plan

    def _write_report(self, folder: Path, name: str) -> None:
        found = {"test": self.test_, "validation": self.validation_}
        write_language_report(
            folder / "report",
            title="Language model",
            plan=self.plan_,
            history=self.history_,
            evaluations={part: value for part, value in found.items() if value is not None},
            live=self.live_,
            name=name,
            seed=self.seed,
        )


def _softmax_plan(prepared: Prepared) -> str:
    """How an adaptive softmax is cut, for people."""
    (first, *more), counts = cutoffs(prepared.port.size), prepared.arrays["task.unigram"]
    share = percent(counts[:first].sum() / counts.sum(), 1)
    ends = [*more, prepared.port.size]
    sizes = " and ".join(f"{end - begin:,}" for begin, end in zip([first, *more], ends, strict=True))
    return (
        f"softmax   adaptive: {first:,} common words ({share} of the tokens of train), then {sizes} rare ones"
    )


def _digest(prepared: Prepared) -> str:
    """A hash of everything that training sees."""
    return digest(prepared.task, prepared.steps, prepared.train.codes, prepared.val.codes)
