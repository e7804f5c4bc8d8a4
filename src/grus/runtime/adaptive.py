"""The adaptive softmax in the runtime, on native products.

A row has the same bits alone and in any batch: the products are those of `PackedLinear`, and every sum of NumPy's is
over the outputs of one row.
"""

import numpy as np

from grus.kernels.native import PackedLinear
from grus.runtime.chunk import Chunk, Result, Weights
from grus.runtime.state import NodeState
from grus.spec import Shape, ops

#: Where an input is infinite, NaN is the answer and no news.
_QUIET = np.errstate(invalid="ignore", over="ignore")


class AdaptiveSoftmax:
    """`grus.spec.ops.AdaptiveSoftmax`: log-probabilities of all outputs."""

    def __init__(self, op: ops.AdaptiveSoftmax, weights: Weights, inputs: tuple[Shape, ...]) -> None:
        self.op = op
        self._head = PackedLinear(weights["weight"], weights.get("bias"), weights=weights.stored)
        self._clusters = [
            (
                PackedLinear(weights[f"projection_{k}"], weights=weights.stored),
                PackedLinear(weights[f"weight_{k}"], weights.get(f"bias_{k}"), weights=weights.stored),
            )
            for k in range(len(op.cutoffs))
        ]

    @_QUIET
    def __call__(self, chunk: Chunk, state: NodeState | None) -> Result:
        """Step by step."""
        x, first = chunk.x, self.op.cutoffs[0]
        head = _log_softmax(self._head(x))
        y = np.empty((*x.shape[:-1], self.op.size), np.float32)
        y[..., :first] = head[..., :first]
        for k, ((begin, end), (narrow, product)) in enumerate(
            zip(self.op.clusters, self._clusters, strict=True)
        ):
            rest = _log_softmax(product(narrow(x)))
            np.add(rest, head[..., first + k : first + k + 1], out=y[..., begin:end])
        return {"": y}, ()

    def init_state(self, batch: int) -> NodeState:
        """Nothing to remember."""
        return ()


def _log_softmax(y: np.ndarray) -> np.ndarray:
    """y - log sum exp(y) of every row, in place."""
    y -= y.max(axis=-1, keepdims=True)
    y -= np.log(np.exp(y).sum(axis=-1, keepdims=True))
    return y
