"""A classifier of texts, live: every row is a whole text, so there is nothing to remember."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.decode.streaming.cells import Cells, Faults, column
from grus.errors import UsageError
from grus.preprocess.categories import spell
from grus.runtime.state import State, check_like

if TYPE_CHECKING:
    from grus.decode.classifier import LiveClassifier
    from grus.decode.streaming.keyed import Wanted


@dataclass(frozen=True)
class TextBatch:
    """Texts that were read."""

    names: list[str]
    texts: list[str]
    faults: Faults


class TextStream:
    """Answers each text by itself.

    Raises:
        UsageError: a key was named.
    """

    key: str | None = None

    def __init__(self, live: "LiveClassifier", key: str | None = None) -> None:
        self.live = live
        if key is not None:
            raise UsageError("key: a classifier of texts answers each row by itself, so rows have no key")

    def needs(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """The column of texts."""
        return self.live.task.inputs

    def begin(self, n: int) -> State:
        """Nothing."""
        return State({}, self.live.digest)

    def check(self, state: State) -> None:
        """Raise UsageError unless the state is empty."""
        check_like(state, self.begin(0), "model")

    def read(self, cells: Cells, source: str) -> TextBatch:
        """Read texts; what is missing is an empty one."""
        given = column(cells, self.live.task.inputs[0], source)
        texts = [text if isinstance(text, str) else spell(text) or "" for text in given]
        return TextBatch([""] * len(texts), texts, Faults(source))

    def answers(self, wanted: "Wanted") -> tuple[str, ...]:
        """The columns of an answer; raises UsageError if not every row is to be answered."""
        if wanted.every != 1:
            raise UsageError("every: a classifier of texts answers each row by itself")
        return tuple(self.live.answer(np.zeros((0, len(self.live.task.labels))), None, wanted.proba))

    def feed(
        self, state: State, slots: np.ndarray, batch: TextBatch, rows: np.ndarray, wanted: "Wanted"
    ) -> dict[int, dict[str, Any]]:
        """Answer texts, by row number."""
        columns = self.live.predict([batch.texts[row] for row in rows.tolist()], proba=wanted.proba)
        plain = {name: values.tolist() for name, values in columns.items()}
        return {row: {name: plain[name][i] for name in plain} for i, row in enumerate(rows.tolist())}
