"""A layer's native kernels as registered ops, for torch.compile, torch.export and everything else that traces.

Weights travel as one list of those that are there: weight_ih, weight_hh, both biases if ``bias``, both gains if
``norm``, a direction; of a MinGRU (``minimal``) weight_ih and bias_ih.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from grus.nn import _native_layer
from grus.nn._native_function import composite_backward
from grus.nn._native_layer import FIELDS, How, Options


class _Flags(NamedTuple):
    """What an op takes behind its tensors, in order."""

    batch_first: bool
    reset_after: bool
    directions: int
    keep: float
    minimal: bool
    bias: bool
    norm: bool

    @property
    def how(self) -> How:
        return How(*self[:5])

    @property
    def here(self) -> list[bool]:
        """Which of the ``FIELDS`` of a direction are there."""
        recurrent = not self.minimal
        return [True, recurrent, self.bias, self.bias and recurrent, self.norm, self.norm]


def _spread(weights: Sequence[Tensor], flags: _Flags) -> list[Tensor | None]:
    """From the weights that are there to ``FIELDS`` a direction."""
    here = flags.here
    remaining = iter(weights)
    spread: list[Tensor | None] = []
    for _ in range(len(weights) // sum(here)):
        spread += [next(remaining) if present else None for present in here]
    return spread


@torch.library.custom_op("grus::gru_layer", mutates_args=(), device_types="cpu")
def _forward(
    x: Tensor,
    h_0: Tensor,
    weights: Sequence[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    mask: Tensor | None,
    zoneout: Tensor | None,
    batch_first: bool,
    reset_after: bool,
    directions: int,
    keep: float,
    minimal: bool,
    bias: bool,
    norm: bool,
    save: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    options = Options(_whole(lengths), resets, _rows(mask), _rows(zoneout))
    flags = _Flags(batch_first, reset_after, directions, keep, minimal, bias, norm)
    spread = _spread(weights, flags)
    output, h_n, saved, _ = _native_layer.forward(x, h_0, spread, flags.how, options, save, clean=True)
    return output, h_n, x.new_empty(0) if saved is None else saved


def _whole(t: Tensor | None) -> Tensor | None:
    return None if t is None else t.contiguous()


def _rows(t: Tensor | None) -> Tensor | None:
    return None if t is None else _native_layer.rows(t)


@_forward.register_fake
def _forward_fake(x: Tensor, h_0: Tensor, weights: Any, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    flags, save = _Flags(*rest[4:11]), rest[11]
    steps, batch = _native_layer.sizes(x, flags.how)
    output = x.new_empty((*x.shape[:2], flags.directions * h_0.shape[2]))
    size = (flags.directions, steps, batch, _native_layer.saved_size(h_0, flags.how, flags.norm))
    return output, x.new_empty(h_0.shape), x.new_empty(size if save and size[-1] else 0)


@torch.library.custom_op("grus::gru_layer_backward", mutates_args=(), device_types="cpu")
def _backward(
    x: Tensor,
    h_0: Tensor,
    output: Tensor,
    saved: Tensor,
    weights: Sequence[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    mask: Tensor | None,
    zoneout: Tensor | None,
    d_output: Tensor | None,
    d_h_n: Tensor | None,
    batch_first: bool,
    reset_after: bool,
    directions: int,
    keep: float,
    minimal: bool,
    bias: bool,
    norm: bool,
    wanted: Sequence[bool],
) -> list[Tensor]:
    options = Options(_whole(lengths), resets, _rows(mask), _rows(zoneout))
    flags = _Flags(batch_first, reset_after, directions, keep, minimal, bias, norm)
    spread = _spread(weights, flags)
    remaining = iter(wanted[2:])
    each = [*wanted[:2], *(w is not None and next(remaining) for w in spread)]
    grads = _native_layer.backward(
        x,
        h_0,
        _native_layer.rows(output),
        None if minimal else saved.contiguous(),
        spread,
        flags.how,
        options,
        d_output,
        d_h_n,
        each,
    )
    present = [*grads[:2], *(g for g, w in zip(grads[2:], spread) if w is not None)]
    return [x.new_empty(0) if g is None else g for g in present]


@_backward.register_fake
def _backward_fake(
    x: Tensor, h_0: Tensor, output: Tensor, saved: Tensor, weights: Any, *rest: Any
) -> list[Tensor]:
    given = [x, h_0, *weights]
    return [x.new_empty(t.shape if want else 0) for t, want in zip(given, rest[-1])]


def _setup_context(ctx: Any, inputs: tuple, output: tuple) -> None:
    x, h_0, weights, lengths, resets, mask, zoneout, *flags, save = inputs
    if not save:
        raise RuntimeError("grus::gru_layer: save must be True where a gradient is wanted, got False")
    y, _, saved = output
    ctx.flags = _Flags(*flags)
    ctx.count = len(weights)
    ctx.save_for_backward(x, h_0, y, saved, lengths, resets, mask, zoneout, *weights)
    ctx.set_materialize_grads(False)


def _gradient(ctx: Any, d_output: Tensor | None, d_h_n: Tensor | None, _: Any) -> tuple[Any, ...]:
    flags: _Flags = ctx.flags
    x, h_0, output, saved, *rest = ctx.saved_tensors
    options, weights = rest[:4], rest[4:]
    needs = ctx.needs_input_grad
    nothing = (None,) * (len(options) + len(flags) + 1)
    wanted = [needs[0], needs[1], *_each(needs[2], ctx.count)]
    if torch.is_grad_enabled():
        spread = _spread(weights, flags)
        flags_wanted = iter(wanted[2:])
        each = [*wanted[:2], *(w is not None and next(flags_wanted) for w in spread)]
        found = composite_backward(x, h_0, spread, flags.how, Options(*options), d_output, d_h_n, each)
        grads = [*found[:2], *(g for g, w in zip(found[2:], spread) if w is not None)]
    else:
        got = _backward(x, h_0, output, saved, weights, *options, d_output, d_h_n, *flags, wanted)
        grads = [g if want else None for g, want in zip(got, wanted)]
    return grads[0], grads[1], list(grads[2:]), *nothing


def _each(needs: Any, count: int) -> list[bool]:
    """needs_input_grad of a list of tensors: a list, or one answer for all."""
    return [bool(n) for n in needs] if isinstance(needs, list | tuple) else [bool(needs)] * count


torch.library.register_autograd(_forward._qualname, _gradient, setup_context=_setup_context)


def run(
    x: Tensor, h_0: Tensor, weights: Sequence[Tensor | None], how: How, options: Options
) -> tuple[Tensor, Tensor, Tensor]:
    """Output, h_n and the saved block (empty unless a gradient is wanted) of a layer."""
    bias = any(w is not None for i, w in enumerate(weights) if i % FIELDS in (2, 3))
    norm = weights[4] is not None
    held: list[Tensor] = []
    for i, w in enumerate(weights):
        if w is not None:
            held.append(w)
        elif bias and not how.minimal and i % FIELDS in (2, 3):
            held.append(x.new_zeros(3 * h_0.shape[2]))
    save = torch.is_grad_enabled() and any(t.requires_grad for t in (x, h_0, *held))
    return _forward(x, h_0, held, *options, *how, bias, norm, save)
