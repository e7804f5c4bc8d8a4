"""The MinGRU in PyTorch operations: differentiable any number of times, on any device.

The states come from a scan by doubling: after k rounds a step holds what 2^k steps make of the state before them,
so T steps take log2(T) rounds over whole tensors and no loop over time. Only products and sums: in linear space no
number is divided by one that may be zero, whatever the sign of candidates and states.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the name everyone uses)

from grus.nn._composite import course
from grus.nn._native_layer import FIELDS, How, Options


def run_layer(
    x: Tensor, h_0: Tensor, weights: Sequence[Tensor | None], how: How, options: Options
) -> tuple[Tensor, Tensor]:
    """Output and h_n [D, B, H] of a layer; arguments as ``_native_layer.forward`` takes them."""
    x = x.transpose(0, 1) if how.batch_first else x
    lengths = options.lengths if options.lengths is None else options.lengths.to(x.device)
    valid = None
    if lengths is not None:
        valid = torch.arange(len(x), device=x.device)[:, None] < lengths
        x = torch.where(valid[:, :, None], x, 0)  # so that not even NaN in padding can meet a gradient
    resets = None if options.resets is None else options.resets.transpose(0, 1)
    outputs: list[Tensor] = []
    states: list[Tensor] = []
    for d in range(how.directions):
        weight, bias = weights[d * FIELDS], weights[d * FIELDS + 2]
        assert weight is not None
        way = course(valid, lengths, resets, reverse=d == 1)
        a_z, n = F.linear(way.reorder(x), weight, bias).chunk(2, dim=2)
        z = torch.sigmoid(a_z)
        kept, new = z, (1 - z) * n
        if way.drop is not None:
            kept = torch.where(way.drop, 0, kept)
        if way.valid is not None:
            kept, new = torch.where(way.valid, kept, 1), torch.where(way.valid, new, 0)
        h = scan(kept, new, h_0[d])
        states.append(h[-1])
        outputs.append(way.reorder(h if way.valid is None else torch.where(way.valid, h, 0)))
    output = torch.cat(outputs, dim=2)
    return output.transpose(0, 1) if how.batch_first else output, torch.stack(states)


def scan(kept: Tensor, new: Tensor, h_0: Tensor) -> Tensor:
    """h_t = kept_t * h_{t-1} + new_t of all steps [T, B, H], from h_0 [B, H]."""
    new = torch.cat([new[:1] + kept[:1] * h_0, new[1:]])
    reach, steps = 1, len(new)
    while reach < steps:
        new = torch.cat([new[:reach], new[reach:] + kept[reach:] * new[:-reach]])
        kept = torch.cat([kept[:reach], kept[reach:] * kept[:-reach]])
        reach *= 2
    return new
