"""Random GRU-D cases for comparisons with the oracle: the same numbers in any precision."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from grus.kernels.layout import GRUWeights
from grus.kernels.reference_grud import GRUDWeights, Result, States, grud, grud_backward

GRU = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
DECAYS = ("input_decay_weight", "input_decay_bias", "state_decay_weight", "state_decay_bias")


@dataclass(frozen=True)
class Shape:
    """Sizes of a case; ``observed`` is the share of the values that are there, the others are NaN."""

    T: int = 6
    B: int = 5
    D: int = 4
    H: int = 7
    lengths: bool = False
    observed: float = 0.4


@dataclass(frozen=True, eq=False)
class GRUDCase:
    """One case: inputs [T, B, ...], states, weights and the gradients that arrive."""

    x: np.ndarray
    mask: np.ndarray
    gap: np.ndarray
    states: States
    weights: GRUDWeights
    lengths: np.ndarray | None
    d_output: np.ndarray
    d_states: States

    def astype(self, dtype: Any) -> "GRUDCase":
        """The same case in another floating dtype."""
        arrays = {name: getattr(self, name).astype(dtype) for name in ("x", "mask", "gap", "d_output")}
        states, d_states = (States(*(a.astype(dtype) for a in s)) for s in (self.states, self.d_states))
        return replace(self, **arrays, states=states, d_states=d_states, weights=self.weights.astype(dtype))

    def forward(self) -> Result:
        return grud(self.x, self.mask, self.gap, self.states, self.weights, self.lengths)

    def results(self, dtype: Any) -> dict[str, np.ndarray]:
        """What the oracle gives in a dtype: output, final states, and the gradient of everything that has one."""
        c = self.astype(dtype)
        forward = c.forward()
        grads = grud_backward(c.d_output, c.d_states, forward.trace)
        found = {"output": forward.output, "d_x": grads.x, "d_gap": grads.gap}
        found |= {f"{name}_n": value for name, value in forward.states._asdict().items()}
        found |= {f"d_{name}": value for name, value in grads.states._asdict().items()}
        found |= {f"d_{name}": getattr(grads.weights.gru, name) for name in GRU}
        return found | {f"d_{name}": getattr(grads.weights, name) for name in DECAYS}


def make_grud(shape: Shape | None = None, seed: int = 0) -> GRUDCase:
    """A float64 case whose numbers are all float32 numbers, from random states, with decays cut off and not."""
    s = shape or Shape()
    rng = np.random.default_rng(seed)

    def draw(*size: int, scale: float = 0.6) -> np.ndarray:
        return rng.uniform(-scale, scale, size)

    mask = (rng.random((s.T, s.B, s.D)) < s.observed) * 1.0
    weights = GRUDWeights(
        GRUWeights(draw(3 * s.H, 2 * s.D), draw(3 * s.H, s.H), draw(3 * s.H), draw(3 * s.H)),
        draw(s.D),
        draw(s.D, scale=0.2),
        draw(s.H, s.D),
        draw(s.H, scale=0.2),
    )
    ends = np.resize([s.T, 0, 1, max(s.T - 1, 0), s.T // 2], s.B) if s.lengths else None
    case = GRUDCase(
        x=np.where(mask > 0, rng.standard_normal(mask.shape), np.nan),
        mask=mask,
        gap=rng.uniform(0, 1.5, (s.T, s.B, 1)),
        states=States(draw(s.B, s.H), draw(s.B, s.D), rng.uniform(0, 2, (s.B, s.D))),
        weights=weights,
        lengths=None if ends is None else np.minimum(ends, s.T),
        d_output=rng.standard_normal((s.T, s.B, s.H)),
        d_states=States(*(rng.standard_normal((s.B, n)) for n in (s.H, s.D, s.D))),
    )
    return case.astype(np.float32).astype(np.float64)


VARIANTS = [
    Shape(),
    Shape(lengths=True),
    Shape(T=9, B=11, D=19, H=33, lengths=True),
    Shape(T=12, B=2, D=33, H=20),
    Shape(observed=0.0),
    Shape(observed=1.0),
    Shape(T=1, B=1, D=1, H=1),
    Shape(T=0),
    Shape(B=0),
]
"""What is asked of every path: nothing and everything observed, rows that end, sizes that leave tails."""
