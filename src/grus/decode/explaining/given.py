"""Cells given by hand: a mapping of weights in the layout of PyTorch, Keras or ONNX, or random ones for teaching."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from grus.decode.explaining.cell import Cell
from grus.errors import GrusError, UsageError
from grus.kernels.layout import GRUWeights, from_keras_layout, from_onnx_layout, negate_update_gate

_TORCH = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "gain_ih", "gain_hh")
_KERAS = ("kernel", "recurrent_kernel", "bias")
_ONNX = ("W", "R", "B")
_OPTIONS = ("reset_after", "linear_before_reset", "notation", "x", "h")
#: A cell on paper is small; more would only fill the memory.
_MOST = 4096


class Given(NamedTuple):
    """A cell, and the input and state that came with it."""

    cell: Cell
    x: Any = None
    h: Any = None


def given_cell(values: Mapping[str, Any], layer: int = 0, reverse: bool = False, name: str = "cell") -> Given:
    """Build a cell from arrays or nested lists by name.

    Args:
        values: ``weight_ih``, ``weight_hh`` and optionally ``bias_ih``, ``bias_hh``, ``gain_ih``, ``gain_hh`` as in
            torch.nn.GRUCell, or with the endings ``_l0``, ``_l0_reverse``, ... of a torch.nn.GRU's state_dict; or
            Keras' ``kernel``, ``recurrent_kernel``, ``bias``; or ONNX' ``W``, ``R``, ``B`` of one direction. Also
            ``reset_after`` (default true, of ONNX false) or ``linear_before_reset``, ``notation`` (``pytorch`` or
            ``chung``: what z of these weights means), ``x`` and ``h``.
        layer, reverse: which of a state_dict's layers.
        name: for messages.

    Raises:
        UsageError: names, shapes or values that do not make a cell.
    """
    ending = f"_l{layer}{'_reverse' * reverse}"
    stacked = any(str(key).startswith("weight_ih_l") for key in values)
    known = {key: key + ending * stacked for key in _TORCH}
    layouts = (_TORCH, _KERAS, _ONNX)
    layout = next((names for names in layouts if known.get(names[0], names[0]) in values), None)
    if layout is None:
        layers = sorted(
            {"l" + str(key).partition("_l")[2] for key in values if str(key).startswith("weight_ih_l")}
        )
        if layers:
            raise UsageError(f"{name}: no layer {ending[1:]!r}, the layers are {', '.join(layers)}")
        raise UsageError(
            f"{name}: expected weight_ih and weight_hh (or Keras' kernel and recurrent_kernel, or ONNX' W and R), "
            f"got {', '.join(map(str, values)) or 'nothing'}"
        )
    if not stacked:
        _refuse_strangers(values, layout, name)
        if layer or reverse:
            raise UsageError(f"{name}: is one cell, without layers or directions to choose from")
    arrays = {key: _array(values, known.get(key, key), name) for key in layout}
    missing = [key for key in layout[:2] if arrays[key] is None]
    if missing:
        raise UsageError(f"{name}: {missing[0]} is missing")
    weights, after = _weights(arrays, layout, name), _placement(values, layout is _ONNX, name)
    if not (weights.input_size and weights.hidden_size):
        raise UsageError(
            f"{name}: must have at least one input and one unit, got {weights.input_size} and {weights.hidden_size}"
        )
    notation = values.get("notation", "pytorch")
    if notation not in ("pytorch", "chung"):
        raise UsageError(f"{name}: notation must be pytorch or chung, got {notation!r}")
    if notation == "chung":
        weights = negate_update_gate(weights)
    return Given(Cell(weights, after, name=name, notation=notation), values.get("x"), values.get("h"))


def random_cell(input_size: int, hidden_size: int, seed: int, reset_after: bool = True) -> Given:
    """A cell, an input and a state of one decimal each and no zero, for paper; the same for the same seed.

    Raises:
        UsageError: a size or the seed cannot be.
    """
    for what, value, low, high in (
        ("input_size", input_size, 1, _MOST), ("hidden_size", hidden_size, 1, _MOST), ("seed", seed, 0, 2**63 - 1),
    ):  # fmt: skip
        if not low <= value <= high:
            raise UsageError(f"{what}: must be from {low} to {high}, got {value}")
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return rng.choice([-1, 1], shape) * rng.integers(1, 10, shape) / 10

    rows = 3 * hidden_size
    weights = GRUWeights(draw(rows, input_size), draw(rows, hidden_size), draw(rows), draw(rows))
    cell = Cell(weights, reset_after, name=f"random cell, seed {seed}")
    return Given(cell, draw(input_size), draw(hidden_size))


def vector(values: Any, what: str) -> np.ndarray:
    """Numbers from a sequence, an array, or text such as ``0.5,-1``, float64.

    Raises:
        UsageError: what is not numbers.
    """
    if isinstance(values, str):
        values = values.replace(",", " ").split()
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"{what}: must be numbers such as 0.5,-1, got {_short(values)}") from None
    return array


def _refuse_strangers(values: Mapping[str, Any], layout: tuple[str, ...], name: str) -> None:
    for key in values:
        if key not in (*layout, *_OPTIONS):
            raise UsageError(
                f"{name}: no such entry {key!r}, beside {layout[0]} and {layout[1]} there may be "
                f"{', '.join((*layout[2:], *_OPTIONS))}"
            )


def _array(values: Mapping[str, Any], key: str, name: str) -> np.ndarray | None:
    if values.get(key) is None:
        return None
    array = vector(values[key], f"{name}: {key}")
    if not np.isfinite(array).all():
        raise UsageError(f"{name}: {key} must be finite numbers, got {array[~np.isfinite(array)][0]}")
    return array


def _weights(arrays: dict[str, np.ndarray | None], layout: tuple[str, ...], name: str) -> GRUWeights:
    first, second, *others = (arrays[key] for key in layout)
    assert first is not None
    assert second is not None
    try:
        if layout is _KERAS:
            if first.ndim != 2 or second.ndim != 2:
                raise UsageError(f"kernels must be matrices, got shapes {first.shape} and {second.shape}")
            return from_keras_layout(first, second, *others)
        return (
            from_onnx_layout(first, second, *others)
            if layout is _ONNX
            else GRUWeights(first, second, *others)
        )
    except GrusError as error:
        raise UsageError(f"{name}: {error}") from None


def _placement(values: Mapping[str, Any], is_onnx: bool, name: str) -> bool:
    key = "linear_before_reset" if "linear_before_reset" in values else "reset_after"
    found = values.get(key, not is_onnx)
    if found not in (True, False):
        raise UsageError(f"{name}: {key} must be true or false, got {found!r}")
    return bool(found)


def _short(values: Any) -> str:
    text = (
        " ".join(values)
        if isinstance(values, list) and all(isinstance(v, str) for v in values)
        else str(values)
    )
    return repr(text if len(text) <= 40 else f"{text[:40]}...")
