"""What a competitor is, and the ones that come with torch."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch

import grus.nn
from grus.benchmark.problem import Arrays, Cell, Problem, load
from grus.benchmark.report import SGEMM, Kind
from grus.kernels import native


class Competitor(ABC):
    """One way to compute a layer, built for one problem and one number of threads.

    A method named after a kind of call (forward, training, step) is what is timed; `arrays` makes what it returned
    comparable with `Problem.answer`.
    """

    #: in JSON; for people; whose answers it must give; what it can do; which packages it needs beside torch
    name: ClassVar[str]
    label: ClassVar[str]
    cell: ClassVar[Cell] = "gru"
    kinds: ClassVar[tuple[Kind, ...]] = ("forward", "training", "step")
    packages: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __init__(self, problem: Problem, threads: int) -> None:
        """Load the weights and whatever the library prepares once."""

    def arrays(self, returned: Any) -> Arrays:
        """What a call returned, one array or a tuple of them, as NumPy arrays."""
        values = returned if isinstance(returned, tuple) else (returned,)
        return tuple(np.asarray(v.detach() if isinstance(v, torch.Tensor) else v) for v in values)


class _Torch(Competitor):
    """A layer and a cell of torch's making, or in torch's manner."""

    layer: ClassVar[Any]
    cell_layer: ClassVar[Any]

    def __init__(self, problem: Problem, threads: int) -> None:
        size, weights = problem.size, problem.weights[self.cell]
        self._module = load(self.layer(size.I, size.H), weights)
        self._cell = load(self.cell_layer(size.I, size.H), weights)
        self._x = torch.from_numpy(problem.x).clone().requires_grad_()
        self._x_0, self._h_0 = torch.from_numpy(problem.x[0]), torch.from_numpy(problem.h_0)
        self._d_output = torch.from_numpy(problem.d_output)
        self._leaves = (self._x, *self._module.parameters())

    def forward(self) -> Any:
        """Whole sequences, without gradients."""
        with torch.no_grad():
            return self._module(self._x)[0]

    def training(self) -> Any:
        """Forward and backward, with the gradients of the input and of every weight."""
        for leaf in self._leaves:
            leaf.grad = None
        output = self._module(self._x)[0]
        output.backward(self._d_output)
        return (output, *(leaf.grad for leaf in self._leaves))

    def step(self) -> Any:
        """One step of the cell, without gradients."""
        with torch.inference_mode():
            return self._cell(self._x_0, self._h_0)


class TorchGRU(_Torch):
    """torch.nn.GRU and GRUCell."""

    name, label = "torch_gru", "torch GRU"
    layer, cell_layer = torch.nn.GRU, torch.nn.GRUCell


class TorchLSTM(_Torch):
    """torch.nn.LSTM and LSTMCell: 4/3 of a GRU's arithmetic, by oneDNN."""

    name, label, cell = "torch_lstm", "torch LSTM", "lstm"
    layer, cell_layer = torch.nn.LSTM, torch.nn.LSTMCell

    def __init__(self, problem: Problem, threads: int) -> None:
        super().__init__(problem, threads)
        self._state = (self._h_0, torch.zeros_like(self._h_0))

    def step(self) -> Any:
        """One step of the cell, without gradients."""
        with torch.inference_mode():
            return self._cell(self._x_0, self._state)[0]


class Grus(_Torch):
    """grus.nn.GRU and GRUCell."""

    name, label = "grus", "grus.nn"
    layer, cell_layer = grus.nn.GRU, grus.nn.GRUCell


class GrusRuntime(Competitor):
    """The kernels as the runtime calls them: on NumPy arrays and without torch."""

    name, label, kinds = "grus_runtime", "grus runtime", ("forward", "step")

    def __init__(self, problem: Problem, threads: int) -> None:
        self._packed = native.PackedGRU(*problem.weights["gru"])
        self._x = problem.x.transpose(1, 0, 2)
        self._step = (problem.x[0], problem.h_0, problem.h_0.copy())

    def forward(self) -> Any:
        """Whole sequences."""
        return self._packed.run(self._x)[0].transpose(1, 0, 2)

    def step(self) -> Any:
        """One step, into an array that is there already."""
        return self._packed.step(*self._step)


class Sgemm(Competitor):
    """A 1024^3 product by torch: how fast the machine is."""

    name, label, cell = SGEMM, "sgemm 1024", "sgemm"

    def __init__(self, problem: Problem, threads: int) -> None:
        self._square = torch.from_numpy(problem.square)

    def _product(self) -> Any:
        return self._square @ self._square

    forward = training = step = _product
