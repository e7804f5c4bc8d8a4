"""Random MinGRU cases for comparisons with the oracle: one direction, the same numbers in any precision."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from grus.kernels.reference import Options
from grus.kernels.reference_mingru import MinGRUWeights, mingru_direction, mingru_direction_backward


@dataclass(frozen=True)
class Shape:
    """Sizes and options of a case; ``memory`` is added to the biases of z."""

    T: int = 5
    B: int = 3
    I: int = 4  # noqa: E741  (the symbol of the input size)
    H: int = 9
    bias: bool = True
    lengths: bool = False
    resets: bool = False
    reverse: bool = False
    memory: float = 0.0


@dataclass(frozen=True, eq=False)
class MinCase:
    """One case: inputs, weights, options and the gradients that arrive at the outputs."""

    x: np.ndarray
    h_0: np.ndarray
    weights: MinGRUWeights
    options: Options
    d_output: np.ndarray
    d_h_n: np.ndarray

    def astype(self, dtype: Any) -> "MinCase":
        """The same case in another floating dtype."""
        arrays = {name: getattr(self, name).astype(dtype) for name in ("x", "h_0", "d_output", "d_h_n")}
        return replace(self, **arrays, weights=self.weights.astype(dtype))

    def results(self, dtype: Any) -> dict[str, np.ndarray]:
        """What the oracle gives in a dtype: output, h_n, and the gradient of everything that has one."""
        c = self.astype(dtype)
        forward = mingru_direction(c.x, c.h_0, c.weights, c.options)
        grads = mingru_direction_backward(c.d_output, c.d_h_n, forward.trace)
        found = {"output": forward.output, "h_n": forward.h_n, "d_x": grads.x, "d_h_0": grads.h_0}
        found |= {"d_weight_ih": grads.weights.weight_ih, "d_bias_ih": grads.weights.bias_ih}
        return {name: value for name, value in found.items() if value is not None}


def make_minimal(shape: Shape | None = None, seed: int = 0) -> MinCase:
    """A float64 case whose numbers are all float32 numbers, from a random state."""
    s = shape or Shape()
    rng = np.random.default_rng(seed)
    bias = rng.standard_normal(2 * s.H) if s.bias else None
    if bias is not None:
        bias[: s.H] += s.memory
    ends = np.resize([s.T, 0, 1, max(s.T - 1, 0), s.T // 2, s.T], s.B) if s.lengths else None
    case = MinCase(
        x=rng.standard_normal((s.T, s.B, s.I)),
        h_0=rng.standard_normal((s.B, s.H)),
        weights=MinGRUWeights(rng.standard_normal((2 * s.H, s.I)) / np.sqrt(max(s.I, 1)), bias),
        options=Options(
            lengths=None if ends is None else np.minimum(ends, s.T),
            resets=rng.random((s.B, s.T)) < 0.2 if s.resets else None,
            reverse=s.reverse,
        ),
        d_output=rng.standard_normal((s.T, s.B, s.H)),
        d_h_n=rng.standard_normal((s.B, s.H)),
    )
    return case.astype(np.float32).astype(np.float64)


VARIANTS = [
    Shape(T=t, B=b, I=i, H=h, bias=bias, lengths=lengths, resets=resets, reverse=reverse)
    for t, b, i, h in [(5, 16, 4, 9), (3, 9, 33, 50), (40, 2, 7, 36)]
    for bias, lengths, resets, reverse in [
        (True, False, False, False),
        (False, True, False, False),
        (True, False, True, False),
        (True, False, False, True),
        (True, True, True, True),
    ]
]
"""Every option alone and all at once, at sizes where tiles, blocks of units and rows do not come out even."""

EDGES = [
    Shape(T=1, B=1, I=1, H=1),
    Shape(T=0, B=3),
    Shape(B=0),
    Shape(T=2, B=70, I=3, H=17, lengths=True),
    Shape(T=700, B=1, I=16, H=64, memory=4.0),
    Shape(T=300, B=3, I=20, H=37, resets=True, reverse=True),
    Shape(T=90, B=24, I=32, H=64, lengths=True),
]
"""The smallest, single steps, and work enough to be cut into parts: by units, by rows, and by both."""
