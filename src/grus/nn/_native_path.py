"""The GRU by the native kernels: whole stacks and single steps, with every option, on the CPU."""

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter

from grus.nn import _composite, _native_cache, _native_layer, _native_op
from grus.nn._native_function import GRULayer
from grus.nn._native_layer import How, Options
from grus.nn._types import Call, CellCall, CellWeights, Gates, Noise

DTYPES = (torch.float32, torch.float64)


Weights = Sequence[Sequence[Tensor | None]]


def can_run(x: Tensor, hx: Tensor, weights: Weights, masks: tuple[Tensor | None, ...]) -> bool:
    """Whether the kernels take these tensors, here and now; ``masks`` are constants to them.

    Not under autocast (which wants other dtypes), nor where someone else looks at every operation: transforms of
    torch.func, forward-mode derivatives, dispatch modes, TorchScript tracing, subclasses of Tensor, ONNX export.
    """
    dtype = x.dtype
    if dtype not in DTYPES or hx.shape[-1] == 0 or torch.is_autocast_enabled("cpu"):
        return False
    if x.layout is not torch.strided or hx.layout is not torch.strided:
        return False
    compiling = torch.compiler.is_compiling()
    for t in (x, hx, *chain.from_iterable(weights)):
        if t is None:
            continue
        kind = type(t)
        if t.dtype is not dtype or not t.is_cpu or not (kind is Parameter or kind is Tensor or compiling):
            return False
    if any(m is not None and m.requires_grad for m in masks):
        return False
    return not (torch.onnx.is_in_onnx_export() if compiling else _watched())


def transformed() -> bool:
    """Whether torch.func or forward-mode differentiation is at work: then torch's own kernel does not do either."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def _watched() -> bool:
    """Whether a transform, a tracer or a mode must see torch operations."""
    return (
        transformed() or torch._C._get_tracing_state() is not None or torch._C._len_torch_dispatch_stack() > 0
    )


def records(x: Tensor, hx: Tensor, weights: Weights) -> bool:
    """Whether autograd records this call."""
    return torch.is_grad_enabled() and any(
        t is not None and t.requires_grad for t in (x, hx, *chain.from_iterable(weights))
    )


def _run_layer(
    x: Tensor, h_0: Tensor, cells: tuple[CellWeights, ...], how: How, options: Options, want_gates: bool
) -> tuple[Tensor, Tensor, Gates | None]:
    """Output, h_n [D, B, H] and, if asked for, gates [D, T, B, H] of a layer."""
    weights = [w for cell in cells for w in cell]
    tracked = torch.compiler.is_compiling() or records(x, h_0, cells)
    if want_gates and not tracked:
        output, h_n, saved, _ = _native_layer.forward(x, h_0, weights, how, options, save=True)
        return output, h_n, _saved_gates(saved, h_0.shape[2], options.lengths)
    output, h_n = run_layer(x, h_0, weights, how, options)
    return output, h_n, _gates(x, h_0, output, cells, how, options) if want_gates else None


def run_layer(
    x: Tensor, h_0: Tensor, weights: list[Tensor | None], how: How, options: Options
) -> tuple[Tensor, Tensor]:
    """Output and h_n [D, B, H] of a layer, ``FIELDS`` weights a direction."""
    if torch.compiler.is_compiling():
        return _native_op.run(x, h_0, weights, how, options)[:2]
    if records(x, h_0, (weights,)):
        return GRULayer.apply(x, h_0, how, *options, *weights)  # pyright: ignore[reportReturnType]
    return _native_cache.infer(x, h_0, weights, how, options)


def run(call: Call) -> tuple[Tensor, Tensor, Gates | None]:
    """A whole stack: output, h_n and, if asked for, gates, in the layout of the call."""
    settings, x = call.settings, call.input
    steps, batch = (x.shape[1], x.shape[0]) if settings.batch_first else (x.shape[0], x.shape[1])
    directions = settings.num_directions
    noise = call.noise or _composite.draw_noise(settings, len(call.weights), steps, batch, call.hx)
    kept = noise.zoneout if isinstance(noise.zoneout, Tensor) else None
    keep = 0.0 if isinstance(noise.zoneout, Tensor) else float(noise.zoneout)
    how = How(settings.batch_first, settings.reset_after, directions, keep)
    lengths = None if call.lengths is None else torch.as_tensor(call.lengths, dtype=torch.int64)
    states: list[Tensor] = []
    gates: list[Gates] = []
    for layer in range(call.num_layers):
        part = slice(layer * directions, (layer + 1) * directions)
        if layer > 0 and noise.dropout is not None:
            mask = noise.dropout[layer - 1]
            x = x * (mask.transpose(0, 1) if settings.batch_first else mask)
        options = Options(
            lengths,
            call.resets,
            None if noise.recurrent is None else noise.recurrent[part].to(x.dtype),
            None if kept is None else kept[part],
        )
        h_0 = call.hx if call.num_layers == 1 else call.hx[part]
        x, h_n, layer_gates = _run_layer(x, h_0, call.weights[part], how, options, call.return_gates)
        states.append(h_n)
        gates += [] if layer_gates is None else [layer_gates]
    h_n = states[0] if len(states) == 1 else torch.cat(states)
    return x, h_n, _stack_gates(gates, settings.batch_first) if gates else None


def _stack_gates(layers: list[Gates], batch_first: bool) -> Gates:
    stacked = [values[0] if len(layers) == 1 else torch.cat(values) for values in zip(*layers)]
    return Gates(*(gate.transpose(1, 2) if batch_first else gate for gate in stacked))


def _saved_gates(saved: Tensor | None, hidden: int, lengths: Tensor | None) -> Gates:
    """r, z and n from the block that the kernels save, zero at padding."""
    assert saved is not None
    gates = [saved[..., i * hidden : (i + 1) * hidden] for i in range(3)]
    if lengths is None:
        return Gates(*(gate.contiguous() for gate in gates))
    valid = (torch.arange(saved.shape[1])[:, None] < lengths)[:, :, None]
    return Gates(*(torch.where(valid, gate, 0) for gate in gates))


def _gates(
    x: Tensor, h_0: Tensor, output: Tensor, cells: tuple[CellWeights, ...], how: How, options: Options
) -> Gates:
    """Gates with a gradient: computed again from the states, all steps at once."""
    if how.batch_first:
        x, output = x.transpose(0, 1), output.transpose(0, 1)
    valid = None
    if options.lengths is not None:
        valid = (torch.arange(len(x))[:, None] < options.lengths)[:, :, None]
        x = torch.where(valid, x, 0)
    hidden = h_0.shape[2]
    found: list[Gates] = []
    for d, cell in enumerate(cells):
        h = _previous(output[:, :, d * hidden : (d + 1) * hidden], h_0[d], d == 1, options)
        mask = None if options.mask is None else options.mask[d].expand(h.shape).flatten(0, 1)
        a_i = _composite.input_products(x, cell).flatten(0, 1)
        gates = _composite.cell_step(a_i, h.flatten(0, 1), cell, how.reset_after, mask)[1]
        shaped = [gate.reshape(h.shape) for gate in gates]
        found.append(Gates(*(shaped if valid is None else [torch.where(valid, g, 0) for g in shaped])))
    return Gates(*(torch.stack(values) for values in zip(*found)))


def _previous(output: Tensor, h_0: Tensor, reverse: bool, options: Options) -> Tensor:
    """The state before every step [T, B, H], from the states after them in time order."""
    resets = None if options.resets is None else options.resets.transpose(0, 1)[:, :, None]
    if not reverse:
        h = torch.cat([h_0[None], output[:-1]])
        return h if resets is None else torch.where(resets, 0, h)
    h = torch.cat([output[1:], h_0[None]])
    drop = None if resets is None else torch.cat([resets[1:], torch.zeros_like(resets[:1])])
    if options.lengths is not None:
        last = (torch.arange(len(output))[:, None] == options.lengths - 1)[:, :, None]
        h = torch.where(last, h_0, h)
        drop = None if drop is None else drop & ~last
    return h if drop is None else torch.where(drop, 0, h)


def run_cell(call: CellCall) -> tuple[Tensor, Gates | None]:
    """One step: the new state [B, H] and the gates if asked for."""
    kept = call.zoneout if isinstance(call.zoneout, Tensor) else None
    how = How(reset_after=call.reset_after, keep=0.0 if isinstance(call.zoneout, Tensor) else call.zoneout)
    mask, weights = call.recurrent_mask, call.weights
    simple = mask is None and kept is None and not call.return_gates and not torch.compiler.is_compiling()
    if simple and not records(call.input, call.hx, (weights,)):
        h_new = _native_cache.infer_step(call.input, call.hx, weights, how)
        if h_new is not None:
            return h_new, None
    options = Options(
        mask=None if mask is None else mask.to(call.hx.dtype)[None],
        zoneout=None if kept is None else kept[None, None],
    )
    x, h_0 = call.input[None], call.hx[None]
    _, h_n, gates = _run_layer(x, h_0, (weights,), how, options, call.return_gates)
    return h_n[0], None if gates is None else Gates(*(gate[0, 0] for gate in gates))


def masks_of(noise: Noise | None) -> tuple[Tensor | None, ...]:
    """The masks that the kernels take as constants."""
    return () if noise is None else (noise.recurrent,)
