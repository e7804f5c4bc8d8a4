"""A trained classifier without torch: examples in, labels with calibrated probabilities out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.decode.class_baselines import baseline_logits
from grus.decode.class_scores import ClassEvaluation, choose, class_probabilities, evaluate_classes
from grus.decode.rows import to_columns
from grus.decode.streaming.live import LiveModel
from grus.errors import DataError, SpecError, UsageError
from grus.preprocess.build_examples import ExampleRoles, build_examples
from grus.preprocess.classify import ClassifyPreprocessor
from grus.preprocess.columns import Columns
from grus.preprocess.examples import Examples
from grus.preprocess.given_examples import (
    examples_of_arrays,
    examples_of_images,
    examples_of_recordings,
    examples_of_texts,
)
from grus.preprocess.labels import labels_of
from grus.preprocess.ragged import Ragged
from grus.runtime import Program, State
from grus.spec import Classify, LogMel, Model

if TYPE_CHECKING:
    from grus.decode.streaming.classifier import ClassStream
    from grus.decode.streaming.sound import SoundClassStream

#: Rows run at once, and numbers in their padded input: bounds the memory, and keeps a batch in cache.
_BATCH, _VALUES = 512, 1 << 22


class LiveClassifier(LiveModel):
    """What ``grus.load`` returns for a classifier; also what the estimator itself predicts with.

    Wherever it takes data, that is `Examples`; a list of texts; a list of arrays [T, C] or one [R, T, C]; images
    [R, H, W] or [R, H, W, C]; a list of recordings, samples [N] each at the rate of training; or a table (columns,
    records or a frame) with the columns of training.

    Args:
        model: the spec.
        tensors: its numbers, by the names of the model file.
        precision: what the network's matrices are kept as, ``"float32"``, ``"bf16"`` or ``"int8"``: see
            `grus.runtime.Program`.

    Raises:
        SpecError: numbers that cannot be, such as a temperature of zero.
    """

    def __init__(self, model: Model, tensors: Mapping[str, np.ndarray], precision: str = "float32") -> None:
        self.model = model
        self.task = model.task_as(Classify)
        self._preprocessor = ClassifyPreprocessor(self.task, model.preprocess, tensors)
        weights = {k.removeprefix("main."): v for k, v in tensors.items() if k.startswith("main.")}
        self.program = Program(model.parts["main"], weights, precision)
        #: Fitted arrays of the preprocessing, by the names of the model file.
        self.fitted = {k: v for k, v in tensors.items() if k.startswith("preprocess.")}
        self._baselines = {k: v for k, v in tensors.items() if k.startswith("task.")}
        self.temperature = float(tensors["task.temperature"][0])
        if not self.temperature > 0:
            raise SpecError(f"model: task.temperature must be above zero, got {self.temperature}")
        task = self.task
        self.roles = ExampleRoles(
            task.kind, task.inputs, task.label, task.id, task.time, task.multi, task.variable, task.value
        )

    def predict(self, data: Any, *, proba: bool = False) -> Columns:
        """Name the label of every example.

        Args:
            data: see the class; labels are not read.
            proba: add the probability of every label.

        Returns:
            Columns: the id (if any), the label under its name in training and its ``probability``, with ``proba``
            ``p_<label>`` for every label. A model of several labels a row joins them by ``|``, and has no
            ``probability``, which each has by itself.

        Raises:
            DataError: if the data does not fit the model.
        """
        examples = self.examples(data)
        probabilities = self.predict_proba(examples)
        return self.answer(probabilities, examples.ids, proba)

    def answer(self, probabilities: np.ndarray, ids: np.ndarray | None, proba: bool) -> Columns:
        """Probabilities [R, labels] as the columns of `predict`."""
        columns: Columns = {}
        if ids is not None:
            columns[self.task.id or "id"] = ids
        columns[self.task.label or "label"] = self._named(self.choose(probabilities))
        if not self.task.multi:
            columns["probability"] = probabilities.max(axis=1, initial=0.0)
        if proba:
            columns |= {f"p_{label}": probabilities[:, i] for i, label in enumerate(self.task.labels)}
        return columns

    def predict_proba(self, data: Any) -> np.ndarray:
        """Calibrated probabilities, float64 [R, C], in the order of ``task.labels``."""
        logits = self.logits(self.sequences(self.examples(data)))
        return class_probabilities(logits, self.temperature, self.task.multi)

    # -- live --------------------------------------------------------------------------------------------------

    @cached_property
    def _stream(self) -> "ClassStream | SoundClassStream":
        if self.task.kind == "audio":
            from grus.decode.streaming.sound import SoundClassStream

            return SoundClassStream(self)
        from grus.decode.streaming.classifier import ClassStream

        return ClassStream(self)

    def step(self, x: Any, state: State, *, proba: bool = False) -> tuple[Columns, State]:
        """Take in one raw step of every stream, and name the label of all steps so far.

        Args:
            x: of recordings a chunk of samples [N, T] (or [T]), float or int16; else raw values [N, C] (or [C] of one
                stream), NaN for a gap; or rows: a record of one stream, a list of records, columns or a frame with a
                row for each, in the order of the state. Of events only rows, each of them one code; another one of the
                same time belongs to the same visit.
            state: before the step.
            proba: as for `predict`.

        Returns:
            What `predict` gives for all steps that the streams have seen, to the bit, up to ``task.max_length`` of
            them (`predict` leaves older ones out, a stream remembers them); and the state after the step.

        Raises:
            UnsupportedError: a bidirectional model, or one of texts or images, which reads whole examples.
            DataError: a row does not fit. The state is as it was.
        """
        return self._answer(*self._stream.step(x, state), proba)

    def run(
        self, x: Any, state: State | None = None, lengths: Any = None, *, proba: bool = False
    ) -> tuple[Columns, State]:
        """Take in any number of raw steps of every stream, and name the label of all steps so far.

        Args:
            x: of recordings samples [N, T]; else raw values [N, T, C], NaN for a gap; or rows, told apart by their id,
                those of each in order.
            state: before the steps; None: the beginning.
            lengths: of the streams' chunks in an array, int [N]; padding is never read.
            proba: as for `predict`.

        Returns:
            As `step`.
        """
        return self._answer(*self._stream.run(x, state, lengths), proba)

    def _answer(
        self, probabilities: np.ndarray, ids: list[Any], state: State, proba: bool
    ) -> tuple[Columns, State]:
        named = np.array(ids) if ids and self.task.id is not None else None
        return self.answer(probabilities, named, proba), state

    def evaluate(self, data: Any, y: Any = None) -> ClassEvaluation:
        """Score labelled examples, beside the baselines that the model carries.

        Args:
            data: see the class, with labels.
            y: the labels, where they are not in the data.

        Raises:
            DataError: no rows, or no labels; a label that training did not know is no error, but counts as wrong.
        """
        examples = self.examples(data, y, labelled=True)
        assert examples.labels is not None
        sequences, multi = self.sequences(examples), self.task.multi
        step, size = self.model.preprocess[0], self._preprocessor.port().size
        baselines = baseline_logits(step, sequences, size, self._baselines, multi)
        return evaluate_classes(
            self.task,
            class_probabilities(self.logits(sequences), self.temperature, multi),
            examples.labels,
            {name: class_probabilities(logits, 1.0, multi) for name, logits in baselines.items()},
        )

    def choose(self, probabilities: np.ndarray) -> np.ndarray:
        """The most probable label's number int64 [R]; with several labels a row, which are named, bool [R, C]."""
        return choose(probabilities, self.task.multi)

    def examples(self, data: Any, y: Any = None, *, labelled: bool = False) -> Examples:
        """The data as examples; labels are read only where they are asked for."""
        found = data if isinstance(data, Examples) else self._examples(data, labelled and y is None)
        if y is not None:
            found = replace(found, labels=labels_of(y, len(found), self.task.multi)[0])
        if labelled and found.labels is None:
            raise DataError("data: expected labels to compare with, got none", hint="give them as y")
        return found

    def sequences(self, examples: Examples) -> Ragged:
        """The examples as the network sees them."""
        return self._preprocessor.sequences(examples)

    def logits(self, sequences: Ragged) -> np.ndarray:
        """The network's outputs, float32 [R, C]; rows of like length run together."""
        out = np.empty((len(sequences), len(self.task.labels)), np.float32)
        for rows in self._batches(sequences.lengths):
            out[rows] = self.batch_logits(sequences, rows)
        return out

    def batch_logits(self, sequences: Ragged, rows: np.ndarray) -> np.ndarray:
        """The network's outputs of some of the sequences as one batch, float32 [B, C]."""
        inputs, lengths = sequences.batch(rows)
        return self.program(inputs, {"src": lengths})["logits"]

    def _batches(self, lengths: np.ndarray) -> list[np.ndarray]:
        """Row numbers by length, so many at once that the longest of them fill no more than `_VALUES`."""
        widest = max(shape.size for name, shape in self.program.shapes.items() if shape.kind == "seq")
        order = np.argsort(lengths, kind="stable")
        batches: list[np.ndarray] = []
        while len(order):
            # From the longest down: the first row says how many fit.
            fit = max(_VALUES // (max(int(lengths[order[-1]]), 1) * widest), 1)
            batches.append(order[-min(fit, _BATCH) :])
            order = order[: -len(batches[-1])]
        return batches

    def _examples(self, data: Any, labelled: bool) -> Examples:
        if isinstance(data, str | bytes):
            raise UsageError(f"data: must be several examples or a table, got one {type(data).__name__}")
        if self.task.kind == "images":
            return examples_of_images(data)
        if self.task.kind == "audio":
            step: LogMel = self.model.step(LogMel)
            return examples_of_recordings(list(data), step.rate)
        if hasattr(data, "__array__") and not hasattr(data, "columns") and not hasattr(data, "column_names"):
            data = list(np.asarray(data))
        if isinstance(data, Sequence) and not (data and isinstance(data[0], Mapping)):
            if self.task.kind == "text":
                return examples_of_texts(data)
            if self.task.kind == "series":
                return examples_of_arrays(data, columns=self.task.inputs)
        columns = to_columns(data, "data")
        roles = self.roles if labelled else replace(self.roles, label=None)
        if roles.kind == "text" and roles.id not in columns:
            roles = replace(roles, id=None)
        return build_examples(columns, roles, "data")

    def _named(self, chosen: np.ndarray) -> np.ndarray:
        labels = np.array(self.task.labels, object)
        if not self.task.multi:
            return labels[chosen]
        out = np.empty(len(chosen), object)
        out[:] = ["|".join(labels[row]) for row in chosen]
        return out
