"""What live models of every task have in common: a state as a value, which this class makes, checks and resets."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Protocol

from grus.runtime import State
from grus.runtime.state import Rows, digest_of
from grus.spec import Model


class Stream(Protocol):
    """The part of a task's stream that states are made and checked by."""

    def begin(self, n: int) -> State:
        """The state of ``n`` streams before their first row; UnsupportedError if the model cannot stream."""
        ...

    def check(self, state: State) -> None:
        """Raise UsageError unless ``state`` could be one of this model."""
        ...


class LiveModel(ABC):
    """The base of `grus.LiveForecaster`, `grus.LiveClassifier` and `grus.LiveDetector`."""

    model: Model

    @cached_property
    @abstractmethod
    def _stream(self) -> Stream:
        """Made when it is first asked for: a model that only predicts does not import it."""

    @cached_property
    def digest(self) -> str:
        """Tells the model's spec from every other, as hexadecimal text; the weights do not count."""
        return digest_of(self.model)

    def init_state(self, n: int = 1) -> State:
        """The state of ``n`` streams before their first row; raises UnsupportedError if the model cannot stream."""
        return self._stream.begin(n)

    def check_state(self, state: State) -> None:
        """Raise UsageError unless ``state`` could be one of this model."""
        self._stream.check(state)

    def reset(self, state: State, rows: Rows) -> State:
        """``state`` with some streams as they were before their first row."""
        return state.assign(rows, self.init_state(1))
