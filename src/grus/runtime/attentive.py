"""The attentive decoder of the runtime: native GRU steps, products and attention.

A row has the same bits alone, in any batch, in any chunks, and whatever lengths the memories of the other rows have:
nothing beyond a row's own memory is taken in.
"""

import numpy as np

from grus.kernels.native import PackedLinear
from grus.kernels.search import attend
from grus.runtime.chunk import Chunk, Result, Weights
from grus.runtime.layers import pack
from grus.runtime.state import NodeState
from grus.spec import Shape, ops

_Look = tuple[np.ndarray, np.ndarray, np.ndarray]


class AttentiveGRU:
    """`grus.spec.ops.AttentiveGRU`; remembers the state, and whether a row has begun.

    There may be fewer memories than rows, see `grus.kernels.search.attend`.
    """

    def __init__(self, op: ops.AttentiveGRU, weights: Weights, inputs: tuple[Shape, ...]) -> None:
        self._op = op
        self._cells = tuple(
            pack(weights, f"l{number}", layer.reset_after, weights=weights.stored)
            for number, (layer, _) in enumerate(op.cells(inputs[0].size, inputs[1].size))
        )
        self._query = self._vector = None
        if op.score == "additive":
            self._query = PackedLinear(weights["query"], weights=weights.stored)
            self._vector = np.array(weights["vector"])

    def __call__(self, chunk: Chunk, state: NodeState | None) -> Result:
        """Run a chunk of steps; the memory is given whole."""
        x, memory, keys, *initial = chunk.inputs
        batch, time = x.shape[:2]
        assert chunk.lengths is not None
        assert chunk.memory is not None
        given = initial[0] if initial else np.zeros((batch, self._op.hidden), np.float32)
        carried, begun = state or (given, np.zeros(batch, np.bool_))
        h = np.where(begun[:, None], carried, given)
        look = (keys, memory, chunk.memory)
        made: list[tuple[np.ndarray, ...]] = []
        for t in range(time):
            found = self._step(np.ascontiguousarray(x[:, t]), h, look)
            if chunk.ragged:
                live = (t < chunk.lengths)[:, None]
                h = np.where(live, found[0], h)
                found = tuple([np.where(live, values, np.float32(0)) for values in found])
            else:
                h = found[0]
            made.append(found)
        sizes = (self._op.hidden, memory.shape[2], memory.shape[1])
        out, context, attention = (_steps(made, n, (batch, time, size)) for n, size in enumerate(sizes))
        after = () if state is None else (h, begun | (chunk.lengths > 0))
        return {"": out, ".context": context, ".attention": attention, ".h": h}, after

    def _step(self, x: np.ndarray, h: np.ndarray, look: _Look) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """State, context and attention of one step."""
        if self._op.form == "plain":
            c, a = self._attend(h, look)
            return self._cells[0].step(np.concatenate([x, c], axis=1), h), c, a
        q = self._cells[0].step(x, h)
        c, a = self._attend(q, look)
        return self._cells[1].step(c, q), c, a

    def _attend(self, q: np.ndarray, look: _Look) -> tuple[np.ndarray, np.ndarray]:
        """Context [B, M] and attention [B, S] of queries [B, H]."""
        return attend(q if self._query is None else self._query.run(q), self._vector, *look)

    def init_state(self, batch: int) -> NodeState:
        """The state, and whether a row has begun (until then the initial-state input counts)."""
        return (np.zeros((batch, self._op.hidden), np.float32), np.zeros(batch, np.bool_))


def _steps(made: list[tuple[np.ndarray, ...]], which: int, shape: tuple[int, ...]) -> np.ndarray:
    """One of the results of all steps, [B, T, size]."""
    if len(made) == 1:
        return made[0][which][:, None]
    out = np.empty(shape, np.float32)
    for t, found in enumerate(made):
        out[:, t] = found[which]
    return out
