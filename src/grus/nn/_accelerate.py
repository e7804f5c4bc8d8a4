"""``accelerate``: every torch.nn.GRU and torch.nn.GRUCell inside a module becomes ours, in place, and back."""

from typing import Any

from torch import nn
from torch.nn.utils import parametrize

from grus.errors import UsageError
from grus.nn._cell import GRUCell
from grus.nn._gru import GRU

_OURS: dict[type[nn.Module], type[nn.Module]] = {nn.GRU: GRU, nn.GRUCell: GRUCell}
_THEIRS = {ours: theirs for theirs, ours in _OURS.items()}
_OPTIONS: dict[type[nn.Module], dict[str, Any]] = {
    GRU: {"reset_after": True, "layer_norm": False, "recurrent_dropout": 0.0, "zoneout": 0.0},
    GRUCell: {"reset_after": True, "layer_norm": False, "zoneout": 0.0},
}
_GAINS = ("gain_ih", "gain_hh")
_MARK = "_grus_accelerated"


def accelerate(module: nn.Module) -> list[str]:
    """Turn every torch.nn.GRU and torch.nn.GRUCell inside ``module`` into ours, in place; the same numbers, faster.

    The modules stay the very same objects (their class changes), so parameters, optimizers that hold them, hooks,
    training mode, device, names, sharing, ``state_dict`` keys and parametrizations are untouched.  Numbers agree
    with torch's to rounding, not bit for bit.  Left alone: modules that are ours already; subclasses of torch's,
    which may compute something else; and modules whose ``forward`` was replaced on the instance.

    Args:
        module: any module; if it is itself a torch.nn.GRU or GRUCell it becomes ours, under the name ``""``.

    Returns:
        The dotted names of what was swapped, in the order of ``named_modules``; a module that stands in
        several places is named once.

    Raises:
        TypeError: not a module.

    Example:
        >>> import torch, grus
        >>> model = torch.nn.ModuleDict({"encoder": torch.nn.GRU(3, 4), "head": torch.nn.Linear(4, 1)})
        >>> grus.accelerate(model)
        ['encoder']
        >>> type(model["encoder"]).__module__.startswith("grus")
        True
        >>> grus.decelerate(model)
        ['encoder']
    """
    _check("accelerate", module)
    found = [
        (name, m) for name, m in module.named_modules() if _original(m) in _OURS and "forward" not in vars(m)
    ]
    for _, m in found:
        ours = _OURS[_original(m)]
        _change_class(m, ours)
        vars(m).update(_OPTIONS[ours])
        vars(m)[_MARK] = True
        if ours is GRUCell:
            for gain in _GAINS:
                m.register_parameter(gain, None)
    return [name for name, _ in found]


def decelerate(module: nn.Module) -> list[str]:
    """Undo `accelerate` exactly; modules that were made as ours stay ours.

    Args:
        module: the module that was accelerated, or any that contains it.

    Returns:
        The dotted names of what was turned back.

    Raises:
        UsageError: an option that torch's module does not have was switched on since; then nothing is changed.
        TypeError: not a module.
    """
    _check("decelerate", module)
    found = [(name, m) for name, m in module.named_modules() if _original(m) in _THEIRS and _MARK in vars(m)]
    for name, m in found:
        for option, value in _OPTIONS[_original(m)].items():
            if getattr(m, option) != value:
                raise UsageError(
                    f"decelerate: {name or 'the module'} must have {option}={value}, as torch's module does, "
                    f"got {getattr(m, option)!r}"
                )
    for _, m in found:
        ours = _original(m)
        for attribute in (*_OPTIONS[ours], _MARK):
            vars(m).pop(attribute, None)
        if ours is GRUCell:
            for gain in _GAINS:
                del m._parameters[gain]
        _change_class(m, _THEIRS[ours])
    return [name for name, _ in found]


def _check(name: str, module: Any) -> None:
    if not isinstance(module, nn.Module):
        raise TypeError(f"{name}: module must be a torch.nn.Module, got {type(module).__name__}")


def _original(module: nn.Module) -> type[nn.Module]:
    """The class of a module, or the one that it had before torch's parametrizations gave it one of its own."""
    return parametrize.type_before_parametrizations(module)


def _change_class(module: nn.Module, wanted: type[nn.Module]) -> None:
    """Give a module another class; torch's class of a parametrized module is made anew over it."""
    if parametrize.is_parametrized(module):
        old = type(module)
        members = {
            name: value for name, value in vars(old).items() if name not in ("__dict__", "__weakref__")
        }
        wanted = type(f"Parametrized{wanted.__name__}", (wanted,), members)
    module.__class__ = wanted
