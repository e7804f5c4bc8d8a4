"""The attentive decoder of the runtime: native GRU steps, products and tanh, and sums over the memory in its own order.

A row has the same bits alone, in any batch, in any chunks, and whatever lengths the memories of the other rows have:
sums over a memory run from its first step, one by one, and what is beyond a row's end adds exact zeros at theirs.
"""

import numpy as np

from grus.kernels._native import activation
from grus.kernels.native import PackedLinear
from grus.runtime.chunk import Chunk, Result, Weights
from grus.runtime.layers import pack
from grus.runtime.state import NodeState
from grus.spec import Shape, ops

#: Numbers of the keys that are worked through at once: what is made of them stays in the second cache.
_BLOCK = 1 << 17


class AttentiveGRU:
    """`grus.spec.ops.AttentiveGRU`; remembers the state, and whether a row has begun."""

    def __init__(self, op: ops.AttentiveGRU, weights: Weights, inputs: tuple[Shape, ...]) -> None:
        self._op = op
        self._cells = tuple(
            pack(weights, f"l{number}", layer.reset_after, weights=weights.stored)
            for number, (layer, _) in enumerate(op.cells(inputs[0].size, inputs[1].size))
        )
        self._query = self._vector = None
        if op.score == "additive":
            self._query = PackedLinear(weights["query"], weights=weights.stored)
            self._vector = PackedLinear(weights["vector"][None], weights=weights.stored)

    def __call__(self, chunk: Chunk, state: NodeState | None) -> Result:
        """Run a chunk of steps; the memory is given whole."""
        x, memory, keys, *initial = chunk.inputs
        batch, time = x.shape[:2]
        assert chunk.lengths is not None
        assert chunk.memory is not None
        given = initial[0] if initial else np.zeros((batch, self._op.hidden), np.float32)
        carried, begun = state or (given, np.zeros(batch, np.bool_))
        h = np.where(begun[:, None], carried, given)
        look = _Look(self, memory, keys, chunk.memory)
        out = np.zeros((batch, time, self._op.hidden), np.float32)
        context = np.zeros((batch, time, memory.shape[2]), np.float32)
        attention = np.zeros((batch, time, memory.shape[1]), np.float32)
        for t in range(time):
            new, c, a = self._step(np.ascontiguousarray(x[:, t]), h, look)
            if not chunk.ragged:
                h, out[:, t], context[:, t], attention[:, t] = new, new, c, a
                continue
            live = (t < chunk.lengths)[:, None]
            h = np.where(live, new, h)
            for values, found in ((out, new), (context, c), (attention, a)):
                np.copyto(values[:, t], found, where=live)
        after = () if state is None else (h, begun | (chunk.lengths > 0))
        return {"": out, ".context": context, ".attention": attention, ".h": h}, after

    def _step(self, x: np.ndarray, h: np.ndarray, look: "_Look") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """State, context and attention of one step."""
        if self._op.form == "plain":
            c, a = look(h)
            return self._cells[0].step(np.concatenate([x, c], axis=1), h), c, a
        q = self._cells[0].step(x, h)
        c, a = look(q)
        return self._cells[1].step(c, q), c, a

    def scores(self, q: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """How well each key [B, S, A] answers to q [B, H], float32 [B, S]."""
        if self._query is None or self._vector is None:
            return _sum_over(keys * q[:, None])
        batch, steps, size = keys.shape
        asked, scores = self._query.run(q)[:, None], np.empty((batch * steps, 1), np.float32)
        some = max(_BLOCK // (steps * size), 1)
        for row in range(0, batch, some):
            sums = keys[row : row + some] + asked[row : row + some]
            seen = activation("tanh", sums.reshape(-1)).reshape(-1, size)
            self._vector.run(seen, scores[row * steps : (row + some) * steps])
        return scores.reshape(batch, steps)

    def init_state(self, batch: int) -> NodeState:
        """The state, and whether a row has begun (until then the initial-state input counts)."""
        return (np.zeros((batch, self._op.hidden), np.float32), np.zeros(batch, np.bool_))


class _Look:
    """The memory of one call, and how it is looked at."""

    def __init__(self, cell: AttentiveGRU, memory: np.ndarray, keys: np.ndarray, lengths: np.ndarray) -> None:
        self._cell, self._keys, self._memory = cell, keys, memory
        steps = np.arange(memory.shape[1])[:, None]
        self._valid = steps < lengths
        #: For each step of the memory the rows that have it; None: all of them.
        self._rows = [None if row.all() else row for row in self._valid]

    def __call__(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Context [B, M] and attention [B, S] of queries [B, H]."""
        batch, steps = self._memory.shape[:2]
        c = np.zeros((batch, self._memory.shape[2]), np.float32)
        if not steps:
            return c, np.zeros((batch, 0), np.float32)
        scores = self._cell.scores(q, self._keys).T.astype(np.float64)
        scores = np.where(self._valid, scores, -np.inf)
        most = np.maximum.reduce(scores, axis=0)
        # Of a row without a memory it is -inf, and -inf - (-inf) is NaN.
        weight = np.exp(scores - np.where(np.isneginf(most), 0.0, most))
        total = np.add.accumulate(weight, axis=0)[-1]  # in order, which a sum need not be
        a = (weight / np.where(total == 0, 1.0, total)).astype(np.float32)
        part = np.empty_like(c)
        for row, share, rows in zip(np.swapaxes(self._memory, 0, 1), a, self._rows, strict=True):
            if rows is None:
                np.multiply(row, share[:, None], out=part)
                np.add(c, part, out=c)
            else:
                np.multiply(row, share[:, None], out=part, where=rows[:, None])
                np.add(c, part, out=c, where=rows[:, None])
        return c, np.ascontiguousarray(a.T)


def _sum_over(products: np.ndarray) -> np.ndarray:
    """Sums over the last axis, in order."""
    return np.add.accumulate(products, axis=-1)[..., -1]
