"""One layer at one size: the same numbers for every competitor, and what they must compute."""

from typing import Literal

import numpy as np
import torch

from grus.benchmark.report import SGEMM_SIZE, Kind
from grus.benchmark.shapes import Size

Cell = Literal["gru", "lstm", "sgemm"]
Arrays = tuple[np.ndarray, ...]


class Problem:
    """Weights, data and gradient from a fixed seed, float32; answers by torch in float64, on demand.

    Attributes:
        x: [T, B, I]; h_0: [B, H], for single steps (sequences begin at zero); d_output: [T, B, H].
        weights: by cell, ``gru`` or ``lstm`` (G = 3 or 4 gates in torch's order): weight_ih [GH, I],
            weight_hh [GH, H], bias_ih [GH], bias_hh [GH].
        square: [1024, 1024], which sgemm multiplies with itself.
    """

    def __init__(self, size: Size) -> None:
        self.size = size
        rng = np.random.default_rng(0)

        def normal(*shape: int) -> np.ndarray:
            return rng.standard_normal(shape, np.float32)

        bound = size.H**-0.5
        self.x, self.h_0 = normal(size.T, size.B, size.I), normal(size.B, size.H)
        self.d_output = normal(size.T, size.B, size.H)
        self.square = normal(SGEMM_SIZE, SGEMM_SIZE)
        self.weights: dict[str, Arrays] = {}
        for cell, gates in (("gru", 3), ("lstm", 4)):
            rows = gates * size.H
            shapes = ((rows, size.I), (rows, size.H), (rows,), (rows,))
            self.weights[cell] = tuple(rng.uniform(-bound, bound, s).astype(np.float32) for s in shapes)
        self._answers: dict[tuple[Cell, Kind], Arrays] = {}

    def answer(self, cell: Cell, kind: Kind) -> Arrays:
        """What a call must return, in float64.

        forward: (output [T, B, H],). training: (output, d_x, and the gradients of the weights in their order).
        step: (h_1 [B, H],), from x[0] and h_0; an LSTM's c_0 is zero. sgemm: (the product,) whatever the kind.
        """
        key: tuple[Cell, Kind] = (cell, "forward" if cell == "sgemm" else kind)
        if key not in self._answers:
            self._answers[key] = self._compute(*key)
        return self._answers[key]

    def _compute(self, cell: Cell, kind: Kind) -> Arrays:
        if cell == "sgemm":
            wide = self.square.astype(np.float64)
            return (wide @ wide,)
        layer = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell]
        module = load(layer(self.size.I, self.size.H, dtype=torch.float64), self.weights[cell])
        x = torch.from_numpy(self.x).double()
        if kind == "step":
            h_0 = torch.from_numpy(self.h_0).double()[None]
            state = h_0 if cell == "gru" else (h_0, torch.zeros_like(h_0))
            with torch.no_grad():
                return (module(x[:1], state)[0][0].numpy(),)
        if kind == "forward":
            with torch.no_grad():
                return (module(x)[0].numpy(),)
        x.requires_grad_()
        output = module(x)[0]
        output.backward(torch.from_numpy(self.d_output).double())
        leaves = (x, *module.parameters())
        return (output.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves if leaf.grad is not None))


def load(module: torch.nn.Module, weights: Arrays) -> torch.nn.Module:
    """Copy weights into a recurrent layer or cell of torch, and return it."""
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(value))
    return module
