"""Random GRU cases for comparisons with the oracle: the same numbers in any precision."""

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from grus.kernels.layout import GRUWeights
from grus.kernels.reference import StackOptions, StackResult, gru_stack
from grus.kernels.reference_backward import StackGrads, gru_stack_backward


@dataclass(frozen=True)
class Shape:
    """Sizes and options of a case; T, B, I, H, L as everywhere else, D follows from ``bidirectional``."""

    T: int = 5
    B: int = 3
    I: int = 4  # noqa: E741  (the symbol of the input size)
    H: int = 3
    L: int = 1
    bidirectional: bool = False
    bias: bool = True
    layer_norm: bool = False
    reset_after: bool = True
    lengths: tuple[int, ...] | None = None
    resets: bool = False
    recurrent_dropout: bool = False
    zoneout: str = ""  # "", "expectation" or "mask"
    dropout: bool = False
    decay: bool = False

    @property
    def D(self) -> int:  # noqa: N802
        return 2 if self.bidirectional else 1

    def __str__(self) -> str:
        given = [(f.name, getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) != f.default]
        return ",".join(f"{name}={value}" for name, value in given) or "plain"


@dataclass(frozen=True)
class Case:
    """One case: inputs, weights, options and the gradients that arrive at the outputs."""

    x: np.ndarray
    h_0: np.ndarray
    weights: tuple[GRUWeights, ...]
    options: StackOptions
    d_output: np.ndarray
    d_h_n: np.ndarray

    def astype(self, dtype: Any) -> "Case":
        """The same case with every floating array in another dtype."""
        return _astype(self, np.dtype(dtype))

    def forward(self) -> StackResult:
        return gru_stack(self.x, self.h_0, self.weights, self.options)

    def backward(self) -> tuple[StackResult, StackGrads]:
        result = self.forward()
        return result, gru_stack_backward(self.d_output, self.d_h_n, result, self.options)


def _astype(value: Any, dtype: np.dtype) -> Any:
    if isinstance(value, GRUWeights):
        return value.astype(dtype)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _astype(getattr(value, f.name), dtype) for f in fields(value)})
    if isinstance(value, tuple):
        return tuple(_astype(item, dtype) for item in value)
    if isinstance(value, np.ndarray) and np.issubdtype(value.dtype, np.floating):
        return value.astype(dtype)
    return value


def random_weights(rng: np.random.Generator, inputs: int, shape: Shape, scale: float = 0.6) -> GRUWeights:
    """Weights of one direction; gains in 0.2..0.8, since gains around 1 let layer norm amplify rounding."""
    rows = 3 * shape.H

    def draw(*size: int) -> np.ndarray:
        return rng.uniform(-scale, scale, size)

    return GRUWeights(
        draw(rows, inputs),
        draw(rows, shape.H),
        draw(rows) if shape.bias else None,
        draw(rows) if shape.bias else None,
        0.5 + draw(rows) / 2 if shape.layer_norm else None,
        0.5 + draw(rows) / 2 if shape.layer_norm else None,
    )


def make_case(shape: Shape | None = None, seed: int = 0) -> Case:
    """A float64 case whose numbers are all float32 numbers, so that both precisions see the same case."""
    s = shape or Shape()
    rng = np.random.default_rng(seed)
    cells = s.L * s.D
    weights = [random_weights(rng, s.I if i < s.D else s.D * s.H, s) for i in range(cells)]
    resets = rng.random((s.B, s.T)) < 0.3 if s.resets else None
    keep: Any = {"": 0.0, "expectation": 0.25, "mask": (rng.random((cells, s.T, s.B, s.H)) < 0.4) * 1.0}
    options = StackOptions(
        bidirectional=s.bidirectional,
        reset_after=s.reset_after,
        lengths=None if s.lengths is None else np.array(s.lengths),
        resets=resets,
        recurrent_masks=(rng.random((cells, s.B, s.H)) < 0.5) * 2.0 if s.recurrent_dropout else None,
        keep=keep[s.zoneout],
        dropout_masks=(rng.random((s.L - 1, s.T, s.B, s.D * s.H)) < 0.5) * 2.0 if s.dropout else None,
        decays=rng.random((cells, s.T, s.B, s.H)) if s.decay else None,
    )
    case = Case(
        x=rng.standard_normal((s.T, s.B, s.I)),
        h_0=rng.standard_normal((cells, s.B, s.H)),
        weights=tuple(weights),
        options=options,
        d_output=rng.standard_normal((s.T, s.B, s.D * s.H)),
        d_h_n=rng.standard_normal((cells, s.B, s.H)),
    )
    return case.astype(np.float32).astype(np.float64)


VARIANTS = [
    Shape(),
    Shape(reset_after=False),
    Shape(bias=False),
    Shape(bias=False, reset_after=False),
    Shape(layer_norm=True),
    Shape(layer_norm=True, reset_after=False),
    Shape(layer_norm=True, bias=False),
    Shape(lengths=(2, 5, 0)),
    Shape(lengths=(2, 5, 0), reset_after=False),
    Shape(resets=True),
    Shape(resets=True, lengths=(4, 0, 5), bidirectional=True),
    Shape(recurrent_dropout=True),
    Shape(recurrent_dropout=True, reset_after=False),
    Shape(zoneout="expectation"),
    Shape(zoneout="mask", reset_after=False),
    Shape(zoneout="mask", lengths=(5, 0, 1), bidirectional=True),
    Shape(bidirectional=True),
    Shape(bidirectional=True, lengths=(3, 0, 5), L=2),
    Shape(L=3),
    Shape(L=3, dropout=True, bidirectional=True),
    Shape(T=1, B=1, I=1, H=1),
    Shape(B=0),
    Shape(
        T=4,
        L=2,
        bidirectional=True,
        layer_norm=True,
        reset_after=False,
        lengths=(4, 0, 3),
        resets=True,
        recurrent_dropout=True,
        zoneout="mask",
        dropout=True,
    ),
    Shape(
        T=4,
        L=2,
        bidirectional=True,
        layer_norm=True,
        lengths=(0, 4, 2),
        resets=True,
        recurrent_dropout=True,
        zoneout="expectation",
    ),
]
"""Every option alone, in the pairs where they meet, and all of them at once."""

DECAYS = [
    Shape(decay=True),
    Shape(decay=True, lengths=(2, 5, 0), bias=False),
    Shape(decay=True, resets=True, lengths=(4, 0, 5), bidirectional=True),
    Shape(decay=True, recurrent_dropout=True, zoneout="mask"),
    Shape(decay=True, layer_norm=True, zoneout="expectation"),
]
"""The state fading before every step (see ``reference_grud``), alone and with what it meets in the kernels."""
