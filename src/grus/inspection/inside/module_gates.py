"""The gates of every GRU inside a torch module, whatever it is called with."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from grus.inspection.inside.gates import Cell, Record, no_gru, program_records, run_cells
from grus.kernels.native import PackedGRU
from grus.models import GraphModule
from grus.runtime import Program


def module_records(
    module: nn.Module, arguments: tuple[Any, ...], options: Mapping[str, Any]
) -> dict[str, Record]:
    """The record of every GRU of a module by its name in there; of the k-th call of one, from the second, ``name#k``.

    Args:
        module: run once, in evaluation mode and without gradients; its mode is put back.
        arguments, options: of the call; arrays become tensors.

    Raises:
        UnsupportedError: no ``torch.nn.GRU`` ran.
    """
    if isinstance(module, GraphModule):
        return program_records(Program(module.graph, module.tensors()), *arguments, **options)
    found: dict[str, Record] = {}
    hooks = []
    modes = {part: part.training for part in module.modules()}
    for name, part in module.named_modules():
        if isinstance(part, nn.GRU):
            see = _watcher(name or "gru", found)
            hooks.append(part.register_forward_hook(see, with_kwargs=True))
    try:
        module.eval()
        with torch.no_grad():
            module(*map(_tensor, arguments), **{name: _tensor(value) for name, value in options.items()})
    finally:
        for hook in hooks:
            hook.remove()
        for part, mode in modes.items():
            part.training = mode
    if not found:
        raise no_gru("the module", [type(part).__name__ for part in module.modules()])
    return found


def _watcher(name: str, found: dict[str, Record]) -> Any:
    calls = 0

    def see(gru: nn.GRU, arguments: tuple[Any, ...], options: dict[str, Any], output: Any) -> None:
        nonlocal calls
        calls += 1
        key = name if calls == 1 else f"{name}#{calls}"
        found[key] = _run(key, gru, *arguments, **options)

    return see


def _tensor(value: Any) -> Any:
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


def _run(
    name: str,
    gru: nn.GRU,
    input: Tensor | PackedSequence,
    hx: Tensor | None = None,
    *,
    lengths: Any = None,
    resets: Any = None,
    return_gates: bool = False,
) -> Record:
    """One call of a torch.nn.GRU, or of ours with its further arguments, as a record."""
    if isinstance(input, PackedSequence):
        x, lengths = pad_packed_sequence(input, batch_first=True)
    elif input.dim() == 2:
        x, hx = input[None], None if hx is None else hx[:, None]
    else:
        x = input if gru.batch_first else input.transpose(0, 1)
    cells = _cells(gru)
    dtype = cells[0].packed.dtype
    directions = 2 if gru.bidirectional else 1
    shape = (gru.num_layers, directions, len(x), gru.hidden_size)
    h_0 = np.zeros(shape, dtype) if hx is None else _array(hx).astype(dtype).reshape(shape)
    given = np.ascontiguousarray(_array(x), dtype)
    counts = None if lengths is None else np.asarray(torch.as_tensor(lengths).cpu(), np.int64)
    marks = (
        None if resets is None else np.asarray(torch.as_tensor(resets).cpu(), bool).reshape(given.shape[:2])
    )
    return run_cells(name, cells, given, h_0, counts, marks)


def _cells(gru: nn.GRU) -> tuple[Cell, ...]:
    """The weights of a GRU, packed: those of float64 as they are, others in float32."""
    dtype = "float64" if next(gru.parameters()).dtype == torch.float64 else "float32"
    found = []
    for layer in range(gru.num_layers):
        for suffix in (f"_l{layer}", f"_l{layer}_reverse")[: 2 if gru.bidirectional else 1]:
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "gain_ih", "gain_hh")
            arrays = [_array(p).astype(dtype) if (p := getattr(gru, n + suffix, None)) is not None else None
                      for n in names]  # fmt: skip
            norm = None if arrays[4] is None else (arrays[4], arrays[5])
            keep = float(getattr(gru, "zoneout", 0.0))
            after = getattr(gru, "reset_after", True)
            packed = PackedGRU(*arrays[:4], reset_after=after, norm=norm, zoneout=keep)  # type: ignore[arg-type]
            found.append(Cell(packed, norm is not None, keep))
    return tuple(found)


def _array(tensor: Tensor) -> np.ndarray:
    held = tensor.detach().cpu()
    return (held if held.dtype == torch.float64 else held.float()).numpy()
