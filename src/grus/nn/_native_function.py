"""A layer's native kernels under autograd: an ``autograd.Function`` in eager, a registered op under the compiler.

Measured at T=4, B=1, H=8: forward 34 us by the Function, 150 by the op; with backward 145 and 379 (loaded machine).
Derivatives of the gradient, and gradients of a batch of directions at once, go through the composite path.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from grus.kernels.native import Problem
from grus.nn import _composite, _mingru_composite, _native_layer
from grus.nn._native_layer import FIELDS, How, Options
from grus.nn._types import Call, CellWeights, GRUSettings, Noise


class GRULayer(torch.autograd.Function):
    """Takes x, h_0, ``How``, the four of ``Options`` and the weights; gives output and h_n.

    The output is needed again in backward, but users may change it in place, as they may that of torch.nn.GRU
    (``relu_`` on it is common): then it is computed once more.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, h_0: Tensor, how: How, *rest: Tensor | None) -> tuple[Tensor, Tensor]:
        options, weights = Options(*rest[:4]), rest[4:]
        output, h_n, saved, problems = _native_layer.forward(x, h_0, weights, how, options, save=True)
        ctx.how = how
        ctx.output, ctx.version = output.detach(), output._version
        ctx.problems, ctx.addresses = problems, _addresses(x, h_0, saved, rest)
        ctx.save_for_backward(x, h_0, saved, *rest)
        ctx.set_materialize_grads(False)
        return output, h_n

    @staticmethod
    def backward(ctx: Any, d_output: Tensor | None, d_h_n: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        how: How = ctx.how
        x, h_0, saved, *rest = ctx.saved_tensors
        options, weights = Options(*rest[:4]), rest[4:]
        needs = ctx.needs_input_grad
        wanted = [*needs[:2], *needs[7:]]
        # A batch of gradients (is_grads_batched, a vectorised jacobian) comes in tensors without memory of their own.
        batched = not all(d is None or torch._C._has_storage(d) for d in (d_output, d_h_n))
        if torch.is_grad_enabled() or batched:
            grads = composite_backward(x, h_0, weights, how, options, d_output, d_h_n, wanted)
        else:
            output, problems = ctx.output, ctx.problems
            if output._version != ctx.version:
                output = _native_layer.forward(x, h_0, weights, how, options, save=False).output
                problems = ()
            elif not _still_there(problems, ctx.addresses, _addresses(x, h_0, saved, rest)):
                problems = ()
            grads = _native_layer.backward(
                x, h_0, output, saved, weights, how, options, d_output, d_h_n, wanted, problems
            )
        return grads[0], grads[1], None, None, None, None, None, *grads[2:]


def _addresses(x: Tensor, h_0: Tensor, saved: Tensor | None, rest: Sequence[Tensor | None]) -> list[int]:
    return [*map(_native_layer.address, (x, h_0, saved, *rest))]


def _still_there(problems: Sequence[Problem], before: list[int], now: list[int]) -> bool:
    """Whether forward read the tensors in place and all lie where they lay: no copy, no saved-tensor hook."""
    first = problems[0]
    in_place = first.x[0] == before[0] and first.h_0 is not None and first.h_0[0] == before[1]
    weights = [a for problem in problems for a in problem.weights]
    return in_place and before == now and weights == before[3 + len(Options._fields) :]


def composite_backward(
    x: Tensor,
    h_0: Tensor,
    weights: Sequence[Tensor | None],
    how: How,
    options: Options,
    d_output: Tensor | None,
    d_h_n: Tensor | None,
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    """What ``_native_layer.backward`` gives, differentiable once more."""
    create_graph = torch.is_grad_enabled()
    given = [x, h_0, *weights]
    with torch.enable_grad():
        # Through views, so that h_0 (or a weight) made from x does not add to the gradient of x here.
        views = [None if t is None else t.view_as(t) for t in given]
        x, h_0, *held = views  # pyright: ignore[reportAssignmentType]
        output, h_n = composite(x, h_0, held, how, options)
    pairs = [(o, d) for o, d in ((output, d_output), (h_n, d_h_n)) if d is not None]
    targets = [v for v, want in zip(views, wanted) if want and v is not None]
    if not pairs or not targets:
        return [None] * len(views)
    found = iter(
        torch.autograd.grad(
            [o for o, _ in pairs],
            targets,
            [d for _, d in pairs],
            create_graph=create_graph,
            allow_unused=True,
        )
    )
    return [next(found) if want and v is not None else None for v, want in zip(views, wanted)]


def composite(
    x: Tensor, h_0: Tensor, weights: Sequence[Tensor | None], how: How, options: Options
) -> tuple[Tensor, Tensor]:
    """Output and h_n of the layer in PyTorch operations."""
    if how.minimal:
        return _mingru_composite.run_layer(x, h_0, weights, how, options)
    return _composite.run(call_of(x, h_0, weights, how, options))[:2]


def call_of(x: Tensor, h_0: Tensor, weights: Sequence[Tensor | None], how: How, options: Options) -> Call:
    """A GRU's layer as a call on the composite path."""
    cells = tuple(
        CellWeights(*weights[i : i + FIELDS])  # pyright: ignore[reportArgumentType]
        for i in range(0, len(weights), FIELDS)
    )
    settings = GRUSettings(how.directions == 2, how.batch_first, reset_after=how.reset_after)
    keep = how.keep if options.zoneout is None else options.zoneout
    return Call(x, h_0, cells, settings, options.lengths, options.resets, Noise(None, options.mask, keep))
