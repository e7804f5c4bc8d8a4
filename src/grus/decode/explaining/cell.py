"""One step of one GRU cell: every quantity of the equations, from the float64 oracle."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from grus.errors import UsageError
from grus.kernels.layout import GRUWeights, fold_biases, negate_update_gate, reorder_weights
from grus.kernels.reference import Options, affine, gate_rows, gru_direction, input_products, normalise, rows

Notation = Literal["pytorch", "chung"]
"""``pytorch``: z keeps, h' = (1 - z) n + z h (also Cho et al. 2014); ``chung``: z replaces, h' = (1 - z) h + z n."""

GATES: tuple[str, ...] = ("r", "z", "n")


@dataclass(frozen=True, eq=False)
class Cell:
    """A GRU cell in the layout of this package, float64.

    Attributes:
        weights: as for h' = (1 - z) n + z h.
        reset_after: where the reset gate acts.
        keep: zoneout weight of the old state, 0 for none.
        name: what it is called.
        notation: of the weights as they were given.
    """

    weights: GRUWeights
    reset_after: bool = True
    keep: float = 0.0
    name: str = "cell"
    notation: Notation = "pytorch"

    def step(self, x: np.ndarray, h: np.ndarray) -> np.ndarray:
        """The state [H] after x [I] from h [H]."""
        options = Options(self.reset_after, keep=self.keep)
        return gru_direction(x[None, None], h[None], self.weights, options).h_n[0]


@dataclass(frozen=True, eq=False)
class Step:
    """What one step computes, each [H] and in the notation that was asked for.

    Attributes:
        x, h: input [I] and state before.
        weights: in that notation.
        a_i, a_h: the input and the recurrent part of each gate's argument, by gate letter.
        r, z, n: the gates.
        v: what the candidate's recurrent matrix sees: h, or r * h.
        new: the state, before zoneout; after: the state after all.
    """

    cell: Cell
    notation: Notation
    weights: GRUWeights
    x: np.ndarray
    h: np.ndarray
    a_i: dict[str, np.ndarray]
    a_h: dict[str, np.ndarray]
    r: np.ndarray
    z: np.ndarray
    n: np.ndarray
    v: np.ndarray
    new: np.ndarray
    after: np.ndarray

    def block(self, array: np.ndarray, gate: str) -> np.ndarray:
        """The rows of one gate."""
        hidden = self.weights.hidden_size
        first = GATES.index(gate) * hidden
        return array[first : first + hidden]


def take_step(cell: Cell, x: np.ndarray, h: np.ndarray, notation: Notation | None = None) -> Step:
    """Compute one step.

    Args:
        cell: whose step.
        x: [I]; h: [H]; float64.
        notation: to show it in (default: the one that the weights were given in).

    Raises:
        UsageError: the sizes do not fit.
    """
    for what, array, size, noun in (
        ("x", x, cell.weights.input_size, "input"),
        ("h", h, cell.weights.hidden_size, "unit"),
    ):
        if array.shape != (size,):
            got = counted(array.size, "number") if array.ndim == 1 else f"shape {list(array.shape)}"
            raise UsageError(
                f"{cell.name}: {what} must have {counted(size, 'number')}, one per {noun}, got {got}"
            )
        if not np.isfinite(array).all():
            raise UsageError(f"{cell.name}: {what} must be finite numbers, got {array.tolist()}")
    notation = notation or cell.notation
    # Negating z's weights gives 1 - z for z; r and n do not depend on it, and the new state is the cell's own.
    shown = cell.weights if notation == "pytorch" else negate_update_gate(cell.weights)
    with np.errstate(over="ignore", invalid="ignore"):
        gates = gru_direction(x[None, None], h[None], shown, Options(cell.reset_after)).gates
        r, z, n = (gate[0, 0] for gate in gates)
        v = h if cell.reset_after else r * h
        a_i, a_h = input_products(x[None], shown)[0], _recurrent(shown, h, v)
        new, after = replace(cell, keep=0.0).step(x, h), cell.step(x, h)
    if not np.isfinite(np.concatenate([a_i, a_h, after])).all():
        raise UsageError(f"{cell.name}: the numbers are too large for float64")
    inputs, recurrent = (dict(zip(GATES, np.split(a, 3))) for a in (a_i, a_h))
    return Step(cell, notation, shown, x, h, inputs, recurrent, r, z, n, v, new, after)


def counted(number: int, noun: str) -> str:
    """``1 unit``, ``1,024 units``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _recurrent(weights: GRUWeights, h: np.ndarray, v: np.ndarray) -> np.ndarray:
    """W_h seen + b_h of all three gates [3H]: r and z see h, n sees v."""
    parts = [
        affine(seen, weights.weight_hh[part], rows(weights.bias_hh, part), rows(weights.gain_hh, part))
        for seen, part in zip((h, v), gate_rows(weights.hidden_size))
    ]
    return np.concatenate(parts)


def normalised(step: Step, side: str, gate: str) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Layer normalisation of one product: the product [H], the same normalised [H], mean, and 1 / deviation."""
    weights = step.weights
    rz, n_rows = gate_rows(weights.hidden_size)
    part = n_rows if gate == "n" else rz
    matrix = weights.weight_ih if side == "i" else weights.weight_hh
    seen = step.x if side == "i" else (step.v if gate == "n" else step.h)
    product = affine(seen, matrix[part], None, None)
    result, inverse = normalise(product)
    own = slice(weights.hidden_size, None) if gate == "z" else slice(0, weights.hidden_size)
    return product[own], result[own], float(product.mean()), float(inverse[0])


def mistakes(step: Step) -> Iterator[tuple[str, np.ndarray]]:
    """The state that each of the usual mistakes of a port would give, where it differs from the right one."""
    cell, weights = step.cell, step.cell.weights
    folded = fold_biases(weights, reset_after=False)
    transposed = replace(
        weights, weight_hh=np.concatenate([block.T for block in np.split(weights.weight_hh, 3)])
    )
    after = cell.reset_after
    wrong = {
        f"reset gate {'before' if after else 'after'} the product": replace(cell, reset_after=not after),
        "update gate the other way round (1 - z for z)": replace(cell, weights=negate_update_gate(weights)),
        "blocks of r and z swapped": replace(cell, weights=reorder_weights(weights, "zrn")),
        "recurrent bias b_h left out": replace(cell, weights=replace(weights, bias_hh=None)),
        "both biases added into one": replace(cell, weights=folded),
        "recurrent matrices transposed": replace(cell, weights=transposed),
    }
    for name, other in wrong.items():
        state = other.step(step.x, step.h)
        if not np.allclose(state, step.after, rtol=0, atol=1e-12):
            yield name, state
