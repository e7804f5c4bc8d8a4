"""Checks of arguments, each raising the exception type of torch.nn with one sentence of ours.

Types follow torch: a wrong rank or dtype of the input is a ValueError, a wrong size, state or device a
RuntimeError, a wrong Python type a TypeError.  For options that torch lacks it is ``UsageError``.
"""

import numbers
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from grus.errors import UsageError


def probabilities(name: str, **options: Any) -> None:
    """Refuse anything but numbers in [0, 1]; types as torch raises them for ``dropout``."""
    for option, value in options.items():
        if value is None:
            raise TypeError(f"{name}: {option} must be a number in [0, 1], got None")
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= float(value) <= 1:
            raise UsageError(f"{name}: {option} must be a number in [0, 1], got {value!r}")


def flags(name: str, **options: Any) -> None:
    """Refuse anything but True and False."""
    for option, value in options.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name}: {option} must be True or False, got {value!r}")


def sizes(name: str, **options: Any) -> None:
    """Refuse anything but positive ints."""
    for option, value in options.items():
        if not isinstance(value, int):
            raise TypeError(f"{name}: {option} must be an int, got {value!r}")
        if value <= 0:
            raise UsageError(f"{name}: {option} must be greater than zero, got {value}")


def cell_sizes(name: str, **options: Any) -> None:
    """Refuse negative sizes and what is no integer; zero is allowed, as in torch.nn.GRUCell."""
    for option, value in options.items():
        try:
            number = operator.index(value)
        except TypeError:
            raise TypeError(f"{name}: {option} must be an int, got {value!r}") from None
        if number < 0:
            raise RuntimeError(f"{name}: {option} must not be negative, got {number}")


def layers(name: str, value: Any) -> None:
    """Refuse a number of layers that is not a positive integer; NumPy's are welcome, as in torch."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: num_layers must be an int, got {value!r}") from None
    if number <= 0:
        raise UsageError(f"{name}: num_layers must be greater than zero, got {number}")


def _named(shape: Sequence[int], batch_first: bool) -> str:
    """A shape with the names of its axes: (T=20, B=3, 7)."""
    axes = {2: ("T=", ""), 3: ("B=", "T=", "") if batch_first else ("T=", "B=", "")}.get(len(shape))
    if axes is None:
        return str(tuple(shape))
    return "(" + ", ".join(f"{axis}{length}" for axis, length in zip(axes, shape)) + ")"


def _named_cell(shape: Sequence[int]) -> str:
    return f"(B={shape[0]}, {shape[1]})" if len(shape) == 2 else str(tuple(shape))


def tensor(name: str, argument: str, value: Any) -> None:
    """Refuse what is not a tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: {argument} must be a torch.Tensor, got {type(value).__name__}")


def _autocast(x: Tensor) -> bool:
    """Whether autocast reconciles dtypes on the device of ``x``, as it does for torch.nn.GRU."""
    return x.device.type != "meta" and torch.is_autocast_enabled(x.device.type)


def sequence_input(name: str, x: Tensor, weight_ih: Tensor, batch_first: bool) -> None:
    """Check rank, dtype, features, steps and device of a padded input [T, B, I], [B, T, I] or [T, I]."""
    tensor(name, "input", x)
    if x.dim() not in (2, 3):
        raise UsageError(
            f"{name}: input must have 3 dimensions, or 2 if unbatched, got {x.dim()} "
            f"(input shape {tuple(x.shape)})"
        )
    _features(name, x, weight_ih, lambda shape: _named(shape, batch_first))
    steps = x.shape[1] if batch_first and x.dim() == 3 else x.shape[0]
    if steps == 0:
        raise RuntimeError(
            f"{name}: input must have at least one time step, got none "
            f"(input shape {_named(x.shape, batch_first)})"
        )


def packed_input(name: str, data: Tensor, weight_ih: Tensor) -> None:
    """Check rank, dtype, features and device of the data [sum of lengths, I] of a packed sequence."""
    if data.dim() != 2:
        raise RuntimeError(
            f"{name}: the data of a packed input must have 2 dimensions, got {data.dim()} "
            f"(data shape {tuple(data.shape)})"
        )
    _features(name, data, weight_ih, lambda shape: f"(packed steps={shape[0]}, {shape[1]})")


def cell_input(name: str, x: Tensor, weight_ih: Tensor) -> None:
    """Check rank, dtype, features and device of a cell's input [B, I] or [I]."""
    tensor(name, "input", x)
    if x.dim() not in (1, 2):
        raise UsageError(
            f"{name}: input must have 2 dimensions, or 1 if unbatched, got {x.dim()} "
            f"(input shape {tuple(x.shape)})"
        )
    _features(name, x, weight_ih, _named_cell, dtype_error=RuntimeError)


def _features(
    name: str,
    x: Tensor,
    weight_ih: Tensor,
    show: Callable[[torch.Size], str],
    dtype_error: type[Exception] = UsageError,
) -> None:
    if x.dtype != weight_ih.dtype and not _autocast(x):
        raise dtype_error(
            f"{name}: input has dtype {x.dtype}, but the weights have {weight_ih.dtype}; convert one with "
            f"input.to({weight_ih.dtype}) or module.to({x.dtype})"
        )
    if x.shape[-1] != weight_ih.shape[1]:
        raise RuntimeError(
            f"{name}: input has feature size {x.shape[-1]}, but input_size={weight_ih.shape[1]} "
            f"(input shape {show(x.shape)})"
        )
    if x.device != weight_ih.device:
        raise RuntimeError(f"{name}: input is on {x.device}, but the weights are on {weight_ih.device}")


def state(name: str, hx: Tensor, expected: dict[str, int], x: Tensor) -> None:
    """Check the initial state against its named axes, and against the input's dtype and device."""
    if tuple(hx.shape) != tuple(expected.values()):
        axes = ", ".join(f"{axis}={length}" for axis, length in expected.items())
        raise RuntimeError(f"{name}: hx must have shape ({axes}), got {tuple(hx.shape)}")
    if hx.dtype != x.dtype and not _autocast(x):
        raise RuntimeError(f"{name}: hx has dtype {hx.dtype}, but the input has {x.dtype}")
    if hx.device != x.device:
        raise RuntimeError(f"{name}: hx is on {hx.device}, but the input is on {x.device}")


def cell_state(name: str, hx: Tensor, expected: dict[str, int], x: Tensor) -> None:
    """Check a cell's state; its rank is a ValueError, as in torch.nn.GRUCell."""
    tensor(name, "hx", hx)
    if hx.dim() not in (1, 2):
        raise UsageError(
            f"{name}: hx must have 2 dimensions, or 1 if unbatched, got {hx.dim()} "
            f"(hx shape {tuple(hx.shape)})"
        )
    state(name, hx, expected, x)


def mask(name: str, argument: str, value: Tensor, hx: Tensor, dtype: torch.dtype | None = None) -> None:
    """Check a mask that must have the shape of the state and, if given, a dtype."""
    if tuple(value.shape) != tuple(hx.shape) or value.dtype != (dtype or value.dtype):
        raise UsageError(
            f"{name}: {argument} must be {dtype or 'a tensor'} of shape {tuple(hx.shape)}, "
            f"got {value.dtype} of shape {tuple(value.shape)}"
        )


def lengths(name: str, values: Any, batch: int, steps: int) -> list[int] | Tensor:
    """The valid steps of each row as a list of ints, from integers, an integer tensor or an integer array.

    The compiler cannot look at the values of a tensor, so there it stays one, and the kernels check its values.
    """
    if torch.compiler.is_compiling() and isinstance(values, Tensor):
        return _length_tensor(name, values, batch)
    values = values.tolist() if hasattr(values, "tolist") else values
    rows = values if isinstance(values, list | tuple) else [values]
    if len(rows) != batch:
        raise UsageError(f"{name}: lengths must have one integer for each of {batch} rows, got {len(rows)}")
    checked: list[int] = []
    for b, value in enumerate(rows):
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise UsageError(f"{name}: lengths[{b}] must be an integer, got {value!r}")
        length = operator.index(value)
        if not 0 <= length <= steps:
            raise UsageError(
                f"{name}: lengths[{b}] must be in 0..{steps} (the input's time steps), got {length}"
            )
        checked.append(length)
    return checked


def _length_tensor(name: str, values: Tensor, batch: int) -> Tensor:
    values = values.reshape(1) if values.dim() == 0 else values
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise UsageError(f"{name}: lengths must be integers, got {values.dtype}")
    if values.dim() != 1 or len(values) != batch:
        raise UsageError(
            f"{name}: lengths must have one integer for each of {batch} rows, got shape {tuple(values.shape)}"
        )
    return values.to("cpu", torch.int64)


def resets(name: str, values: Any, expected: dict[str, int], device: torch.device) -> Tensor:
    """Where new sequences begin, as a bool tensor with the given named axes on a device."""
    try:
        given = torch.as_tensor(values, device=device)
    except (TypeError, ValueError, RuntimeError):
        raise UsageError(f"{name}: resets must be a bool tensor, got {values!r}") from None
    if given.dtype != torch.bool or tuple(given.shape) != tuple(expected.values()):
        axes = ", ".join(f"{axis}={length}" for axis, length in expected.items())
        raise UsageError(
            f"{name}: resets must be bool of shape ({axes}), got {given.dtype} of shape {tuple(given.shape)}"
        )
    return given
