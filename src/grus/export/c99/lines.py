"""What the lowering of an op sees of its node: a place for lines of C, the node's weights, room for values."""

from collections.abc import Mapping

import numpy as np

from grus.export.c99.builder import Body, Value
from grus.spec import Node, node_weights

Outputs = dict[str, Value]
Weights = Mapping[str, np.ndarray]


class Lines:
    """One node's lines; calling it adds some.

    Args:
        body: of the function they stand in.
        node: whose they are.
        tensors: by ``"<node>.<weight>"``.
        steps: of its clock in one call.
    """

    def __init__(self, body: Body, node: Node, tensors: Weights, steps: int) -> None:
        self.body, self.weights, self.steps = body, node_weights(tensors, node), steps
        self._node, self._tensors = node, tensors

    def __call__(self, text: str) -> None:
        """Add lines."""
        self.body.line(text)

    def new(self, size: int) -> Value:
        """Room for a value of that many numbers a step."""
        return self.body.value(size, self.steps)

    def floats(self, name: str) -> str:
        """Where a vector of the weights stands; NULL for one that is absent."""
        return self.body.unit.floats(self._key(name), self.weights.get(name))

    def matrix(self, name: str, values: np.ndarray | None = None) -> str:
        """Where a matrix of the weights stands, or of ``values`` in its place, in the unit's precision."""
        values = self.weights[name] if values is None else values
        return self.body.unit.matrix(self._key(name), values)

    def _key(self, name: str) -> str:
        """The tensor's name in the model; what is shared bears that of the node that owns it."""
        shared = f"{self._node.weights}.{name}"
        return shared if shared in self._tensors else f"{self._node.name}.{name}"

    @property
    def rounded(self) -> str:
        """Room for a product's 16-bit input."""
        return "s->rounded" if self.body.unit.precision == "int8" else "NULL"

    def multiplies(self, count: int, steps: int) -> None:
        """Count the multiplications of a step."""
        self.body.multiplies += count * max(steps, 1)

    def late(self) -> None:
        """What follows is only read, not remembered."""
        self.body.phase = 1 if self.body.carried else 0
