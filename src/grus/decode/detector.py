"""A trained detector without torch: rows in, scores, alarms and events out."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.decode.detect_spec import check_detect, check_fitted
from grus.decode.events import find_events
from grus.decode.likelihood import Likelihood, to_score
from grus.decode.rows import to_columns
from grus.decode.streaming.detector import DetectStream, Found, stamps_of
from grus.decode.streaming.live import LiveModel
from grus.errors import DataError
from grus.preprocess.columns import Columns
from grus.preprocess.detect import DetectPreprocessor
from grus.preprocess.records import DetectRoles, Records, build_records
from grus.runtime import Program, State
from grus.spec import Detect, Model

if TYPE_CHECKING:
    from grus.decode.detect_scores import DetectEvaluation

#: A piece of a series as `DetectStream.chunk` takes it.
Chunk = tuple[State, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
#: Rows whose inputs and outputs are made at once: bounds the memory of a long series.
_ROWS = 1 << 16


class LiveDetector(LiveModel):
    """What ``grus.load`` returns for a detecting model; also what the estimator itself scores with.

    Args:
        model: the spec.
        tensors: its numbers, by the names of the model file.
        precision: what the network's matrices are kept as, ``"float32"``, ``"bf16"`` or ``"int8"``: see
            `grus.runtime.Program`.

    Raises:
        SpecError: parts that do not belong together, or numbers that cannot be.
    """

    def __init__(self, model: Model, tensors: Mapping[str, np.ndarray], precision: str = "float32") -> None:
        self.model = model
        self.task = model.task_as(Detect)
        self.preprocessor = DetectPreprocessor(self.task, model.preprocess, tensors)
        check_detect(model, self.preprocessor)
        fitted = {name: tensors[f"task.{name}"] for name in self.task.arrays()}
        check_fitted(fitted)
        weights = {k.removeprefix("main."): v for k, v in tensors.items() if k.startswith("main.")}
        self.program = Program(model.parts["main"], weights, precision)
        #: Rows of a higher score are anomalous.
        self.threshold = float(fitted.pop("threshold")[0])
        self.likelihood = Likelihood(self.task, **fitted)
        self.roles = DetectRoles(self.task.columns, self.task.id, self.task.time, self.task.label)

    def predict(self, rows: Any, *, detail: bool = False) -> Columns:
        """Score every row, each by the rows of its series before it alone.

        Args:
            rows: columns, records or a frame with the columns of training, those of each series in the order of time.
            detail: add the score and the expected value of every column.

        Returns:
            Columns, a row each as they came: the id and the time (if any); ``score``, from 0 to below 1; ``alarm``, 1
            in a row above the threshold if none of the ``quiet`` rows before it was; ``column``, the one of the largest
            severity ("" where nothing is unusual); with ``detail``, ``score_<column>`` and ``expected_<column>``.

        Raises:
            DataError: if the rows do not fit the model.
        """
        records = self.records(rows)
        found = self.score(records)
        columns: Columns = {}
        if records.ids is not None:
            columns[self.task.id or "id"] = np.repeat(records.ids, records.lengths)
        if self.task.time is not None:
            columns[self.task.time if "+" not in self.task.time else "ds"] = records.shown_stamps()
        columns |= self.answer(found, detail)
        back = np.argsort(records.order, kind="stable")
        return {name: values[back] for name, values in columns.items()}

    def events(self, rows: Any) -> Columns:
        """The events in some rows, a row each: the id (if any), start, end, severity, score and columns.

        An event goes from a row above the threshold to the last one before ``quiet`` rows that are not.
        Severities are digits: 5 is an error that comes once in 10^5 steps.

        Raises:
            DataError: if the rows do not fit the model.
        """
        records = self.records(rows)
        return find_events(self.task, self.threshold, records, self.score(records).severity)

    def evaluate(self, rows: Any) -> "DetectEvaluation":
        """Compare scores with labels, beside what costs nothing; see `DetectEvaluation`.

        Args:
            rows: as for `predict`, with the column of labels: 1 in a row that is anomalous, else 0.

        Raises:
            DataError: the model has no column of labels, or the rows do not fit.
        """
        from grus.decode.detect_scores import evaluate_detector

        records = self.records(rows, labelled=True)
        return evaluate_detector(self, records, self.score(records))

    def records(self, rows: Any, source: str = "rows", *, labelled: bool = False) -> Records:
        """Rows (columns, records, a frame, or `Records`) series by series; labels are read only where asked for."""
        found = rows
        if not isinstance(rows, Records):
            found = build_records(to_columns(rows, source), self.roles, source, labelled=labelled)
        needs = self.preprocessor.needs_dates
        if needs is not None and needs != found.dates:
            want, got = ("dates", "whole numbers") if needs else ("whole numbers", "dates")
            raise DataError(f"{source}, column {self.task.time!r}: expected {want} as in training, got {got}")
        if labelled and found.anomalous is None:
            raise DataError(
                f"{source}: expected labels to compare with, but the model knows no column of them",
                "name it with label",
            )
        return found

    def score(self, records: Records) -> Found:
        """What the rows of every series are, in the order of `Records`."""
        parts = [self._stream.chunk(*chunk) for chunk in self.chunks(records)]
        return Found(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in Found.__dataclass_fields__)
        )

    def errors(self, records: Records) -> tuple[np.ndarray, np.ndarray]:
        """The values scaled and what was expected of them, float64 [R, C] each."""
        parts = [self._stream.expect(*chunk) for chunk in self.chunks(records)]
        return tuple(np.concatenate([part[k][0] for part in parts]) for k in (0, 1))  # type: ignore[return-value]

    def chunks(self, records: Records) -> Iterator[Chunk]:
        """Every series in pieces, with the state that goes from one to the next."""
        series, slot = self.preprocessor.series(records.names), np.zeros(1, np.int64)
        for i in range(records.n_series):
            state, rows = self._stream.begin(1), records.rows(i)
            for first in range(rows.start, rows.stop, _ROWS):
                some = slice(first, min(first + _ROWS, rows.stop))
                yield state, slot, records.values[some][None], records.stamps[some][None], series[i : i + 1]

    def answer(self, found: Found, detail: bool) -> Columns:
        """What rows were found to be as the columns of `predict`."""
        severity, task = found.severity, self.task
        worst = severity.max(1, initial=0.0)
        names = np.empty(len(worst), object)
        names[:] = [
            task.columns[c] if w > 0 else "" for c, w in zip(severity.argmax(1).tolist(), worst.tolist())
        ]
        columns: Columns = {
            "score": to_score(worst),
            "alarm": ((to_score(worst) > self.threshold) & (to_score(found.before) <= self.threshold)).astype(
                np.int64
            ),
            "column": names,
        }
        if detail:
            columns |= {f"score_{name}": to_score(severity[:, c]) for c, name in enumerate(task.columns)}
            columns |= {f"expected_{name}": found.expected[:, c] for c, name in enumerate(task.columns)}
        return columns

    # -- live --------------------------------------------------------------------------------------------------

    @cached_property
    def _stream(self) -> DetectStream:
        return DetectStream(self)

    def step(self, x: Any, state: State, *, detail: bool = False) -> tuple[Columns, State]:
        """Take in one raw row of every stream, and score it.

        Args:
            x: a record, such as ``{"ds": "2024-01-01 13:00", "y": 4.2}``, of one stream; or a list of records, columns
                or a frame with a row for each, in the order of the state.
            state: before the row.
            detail: as for `predict`.

        Returns:
            What `predict` gives for that row after all rows that the stream has seen, to the bit; and the state after.

        Raises:
            DataError: a row does not fit, such as one that is not later than the last. The state is as it was.
        """
        batch, found, after = self._stream.step(x, state)
        return stamps_of(self._stream, batch) | self.answer(found, detail), after

    def run(self, x: Any, state: State | None = None, *, detail: bool = False) -> tuple[Columns, State]:
        """Take in any number of raw rows of every stream, and score each.

        Args:
            x: rows as for `predict`. The series that is named first is the first of the state, and so on.
            state: before the rows; None: the beginning.
            detail: as for `predict`.

        Returns:
            The columns of `predict`, a row for each, and the state after them.

        Raises:
            DataError: as `step`.
        """
        batch, found, after = self._stream.run(x, state)
        return stamps_of(self._stream, batch) | self.answer(found, detail), after
