"""What every implementation of an op takes and gives: a chunk of input, and the state around it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from grus.runtime.state import NodeState

Outputs = dict[str, np.ndarray]
Result = tuple[Outputs, NodeState]


class Weights(dict[str, np.ndarray]):
    """The arrays of one node by name; ``stored`` is what the kernels keep its matrices as (None: as they are)."""

    def __init__(self, arrays: Mapping[str, np.ndarray], stored: str | None = None) -> None:
        super().__init__(arrays)
        self.stored = stored


@dataclass(slots=True)  # frozen, making one takes 1 us, three times a step of a small model
class Chunk:
    """The inputs of one node and the valid length of each row on their clock, and of its memory.

    ``lengths`` are None without a clock, and for ops whose steps do not see each other. ``full``: it is known that all
    rows are as long as the time axis, and need not be looked for (3 us of a step).
    """

    inputs: tuple[np.ndarray, ...]
    lengths: np.ndarray | None
    full: bool = False
    memory: np.ndarray | None = None

    @property
    def x(self) -> np.ndarray:
        """The first input."""
        return self.inputs[0]

    @property
    def ragged(self) -> bool:
        """Whether some row is shorter than the time axis."""
        if self.full or self.lengths is None or self.x.ndim < 2:
            return False
        return bool((self.lengths != self.x.shape[1]).any())


class Implementation(Protocol):
    """What every row of the table builds."""

    def __call__(self, chunk: Chunk, state: NodeState | None) -> Result:
        """Run a chunk; with ``state`` None it is a whole sequence, and nothing is remembered."""
        ...

    def init_state(self, batch: int) -> NodeState:
        """What there is to remember before the first step; empty for ops that remember nothing."""
        ...
