"""``grus.explain``: one step of one GRU cell on paper."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from grus.artifact import load_model
from grus.decode.explaining.cell import Notation, counted, take_step
from grus.decode.explaining.given import Given, given_cell, random_cell, vector
from grus.decode.explaining.lines import Explanation, check_units
from grus.decode.explaining.model import model_cell, read_row
from grus.errors import UsageError
from grus.spec import Model

#: Units written out unless some are named.
_SHOWN = 4


def explain(
    cell: str | Path | Mapping[str, Any] | None = None,
    data: Any = None,
    *,
    x: Any = None,
    h: Any = None,
    layer: int = 0,
    reverse: bool = False,
    unit: int | Sequence[int] | None = None,
    row: int = 0,
    step: int = -1,
    future: Any = None,
    notation: Notation | None = None,
    reset_after: bool | None = None,
    input_size: int = 2,
    hidden_size: int = 2,
    seed: int = 0,
) -> Explanation:
    """Write out one step of one GRU cell, every line of the equations with the numbers in it; needs no torch.

    >>> print(explain({"weight_ih": [[1], [0], [2]], "weight_hh": [[0], [0], [1]]}, x=[0.5], h=[0.8]))
    cell: 1 input, 1 unit
    z keeps the old state, h' = (1 - z) n + z h (PyTorch, Cho et al. 2014)
    reset gate after the recurrent product, r (W_hn h + b_hn) (PyTorch, cuDNN)
    x = [0.5], the input
    h = [0.8], the state before
    h' = [0.8524], the state after
    <BLANKLINE>
    unit 0
      reset gate: how much of the old state the candidate sees
        a_ir = W_ir x = 1 * 0.5 = 0.5
        a_hr = W_hr h = 0 * 0.8 = 0
        r    = sigmoid(a_ir + a_hr) = sigmoid(0.5 + 0) = sigmoid(0.5) = 0.6225
      update gate: how much of the old state is kept
        a_iz = W_iz x = 0 * 0.5 = 0
        a_hz = W_hz h = 0 * 0.8 = 0
        z    = sigmoid(a_iz + a_hz) = sigmoid(0 + 0) = sigmoid(0) = 0.5
      candidate: what the input and the state propose
        a_in = W_in x = 2 * 0.5 = 1
        a_hn = W_hn h = 1 * 0.8 = 0.8
        n    = tanh(a_in + r * a_hn) = tanh(1 + 0.6225 * 0.8) = tanh(1.498) = 0.9048
      new state
        h'   = (1 - z) * n + z * h = (1 - 0.5) * 0.9048 + 0.5 * 0.8 = 0.8524
    <BLANKLINE>

    Args:
        cell: a model folder; or a cell's weights by name (of torch.nn.GRUCell, a state_dict of torch.nn.GRU, Keras or
            ONNX: see `grus.decode.explaining.given.given_cell`); or None, a random cell whose numbers have one decimal.
        data: with a folder: what its ``predict`` takes; the layer's input and state are then those of the runtime.
        x, h: input [I] and state [H] given by hand (default of h: zeros).
        layer, reverse: of a model, counted through all its GRU layers; or of a state_dict.
        unit: numbers of the units to write out (default: all, or the first of more than 4).
        row, step: which example or series of the data, and which step of it; negative steps count from the end.
        future: rows of the horizon, if the model needs them.
        notation: ``"pytorch"`` (z keeps the old state) or ``"chung"`` (z replaces it); both have the same h'.
        reset_after: where the reset gate of a cell given by hand acts (default: as the cell says).
        input_size, hidden_size, seed: of the random cell.

    Returns:
        An object with ``text()``, ``latex()``, ``to_dict()``, ``state`` and ``mistakes()``.

    Raises:
        UsageError: no such layer, unit, row or step; sizes that do not fit.
        DataError, ModelFolderError: the data or the folder cannot be read.
    """
    if isinstance(cell, str | Path):
        model, tensors = load_model(cell)
        if reset_after is not None:
            raise UsageError(
                f"{cell}: a model says itself where its reset gate acts", "leave reset_after out"
            )
        given = _of_model(model, tensors, data, row, future, (x, h), (layer, reverse, step, str(cell)))
    elif data is not None:
        raise UsageError("explain: data is for a model folder, but none was given")
    elif cell is None:
        given = random_cell(input_size, hidden_size, seed)
    else:
        given = given_cell(cell, layer, reverse)
    return explain_given(given, x, h, unit, notation, reset_after)


def explain_given(
    given: Given,
    x: Any = None,
    h: Any = None,
    unit: int | Sequence[int] | None = None,
    notation: Notation | None = None,
    reset_after: bool | None = None,
) -> Explanation:
    """The explanation of a cell at hand; arguments as of `explain`."""
    cell = given.cell if reset_after is None else replace(given.cell, reset_after=reset_after)
    x, h = (given.x if x is None else x), (given.h if h is None else h)
    if x is None:
        raise UsageError(
            f"{cell.name}: expected the input x, {counted(cell.weights.input_size, 'number')}, got none"
        )
    hidden = cell.weights.hidden_size
    state = np.zeros(hidden) if h is None else vector(h, "h")
    if notation not in (None, "pytorch", "chung"):
        raise UsageError(f"explain: notation must be pytorch or chung, got {notation!r}")
    units = (unit,) if isinstance(unit, int) else unit
    if units is None:
        units = range(hidden) if hidden <= _SHOWN else (0,)
    return Explanation(
        take_step(cell, vector(x, "x"), state, notation), check_units(units, hidden, cell.name)
    )


def _of_model(
    model: Model,
    tensors: Mapping[str, np.ndarray],
    data: Any,
    row: int,
    future: Any,
    by_hand: tuple[Any, Any],
    place: tuple[int, bool, int, str],
) -> Given:
    """The cell of a model's layer; ``place`` is layer, direction, step and the model's name."""
    layer, reverse, step, name = place
    if data is not None and any(values is not None for values in by_hand):
        raise UsageError("explain: expected data, or x and h by hand, got both")
    model_cell(
        model, tensors, None, layer=layer, reverse=reverse, name=name
    )  # its faults come before the data's
    found = None if data is None else read_row(model, tensors, data, row, future)
    return model_cell(model, tensors, found, layer=layer, reverse=reverse, step=step, name=name)
