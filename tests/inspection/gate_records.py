"""GRUs whose gates are known, recorded."""

import numpy as np

from grus.inspection.inside.gates import Cell, Record, run_cells
from grus.kernels.native import PackedGRU


def constant_gate(z: np.ndarray, steps: int = 60, rows: int = 2, seed: int = 0) -> Record:
    """A GRU whose unit u keeps exactly z[u] at every step, and whose candidate sees the input alone."""
    hidden = len(z)
    rng = np.random.default_rng(seed)
    weight_ih = np.zeros((3 * hidden, 2))
    weight_ih[2 * hidden :] = rng.normal(size=(hidden, 2))
    bias = np.zeros(3 * hidden)
    bias[hidden : 2 * hidden] = np.log(z) - np.log1p(-z)
    packed = PackedGRU(weight_ih, np.zeros((3 * hidden, hidden)), bias, None)
    x = rng.normal(size=(rows, steps, 2))
    return run_cells("gru", [Cell(packed)], x, np.zeros((1, 1, rows, hidden)))
