"""From a user's call to a checked batch and back: padded, unbatched and packed inputs of a whole GRU."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from grus.errors import UsageError
from grus.nn import _checks, _dispatch
from grus.nn._composite import draw_noise
from grus.nn._types import Call, CellCall, CellWeights, Gates, GRUResult, GRUSettings, Noise


def run_gru(
    name: str,
    input: Tensor | PackedSequence,
    hx: Tensor | None,
    weights: Sequence[CellWeights],
    settings: GRUSettings,
    *,
    lengths: Any = None,
    resets: Any = None,
    noise: Noise | None = None,
    return_gates: bool = False,
) -> GRUResult:
    """Check, compute and lay out a whole GRU; ``name`` is what error messages call it."""
    weights = tuple(weights)
    if isinstance(input, PackedSequence):
        if lengths is not None:
            raise UsageError(
                f"{name}: lengths must be None for a packed input, which has its own, got lengths"
            )
        return _run_packed(name, input, hx, weights, settings, resets, noise, return_gates)
    sizes = len(weights), weights[0].weight_hh.shape[1]
    given = check(name, input, hx, weights[0].weight_ih, sizes, settings.batch_first, lengths, resets)
    call = Call(given.x, given.h_0, weights, settings, given.lengths, given.resets, noise, return_gates)
    output, h_n, gates = _dispatch.run(call)
    if input.dim() == 2:
        batch_dim = 0 if settings.batch_first else 1
        output, h_n = output.squeeze(batch_dim), h_n.squeeze(1)
        gates = None if gates is None else Gates(*(gate.squeeze(1 + batch_dim) for gate in gates))
    return GRUResult(output, h_n, gates)


class Given(NamedTuple):
    """The arguments of a call, checked, on a batch: x in the caller's layout, h_0 [L * D, B, H], resets [B, T]."""

    x: Tensor
    h_0: Tensor
    lengths: list[int] | Tensor | None
    resets: Tensor | None


def check(
    name: str,
    input: Tensor,
    hx: Tensor | None,
    weight_ih: Tensor,
    sizes: tuple[int, int],
    batch_first: bool,
    lengths: Any,
    resets: Any,
) -> Given:
    """Check a padded or unbatched input and what comes with it; ``sizes`` are L * D and H."""
    _checks.sequence_input(name, input, weight_ih, batch_first)
    batched = input.dim() == 3
    batch_dim = 0 if batch_first else 1
    x = input if batched else input.unsqueeze(batch_dim)
    batch, steps = x.shape[batch_dim], x.shape[1 - batch_dim]
    state = _initial_state(name, hx, x, sizes, batch if batched else None)
    if lengths is not None:
        lengths = _checks.lengths(name, lengths, batch, steps)
    if resets is not None:
        axes = {"B": batch, "T": steps} if batched else {"T": steps}
        resets = _checks.resets(name, resets, axes, x.device).reshape(batch, steps)
    return Given(x, state, lengths, resets)


def _initial_state(
    name: str, hx: Tensor | None, x: Tensor, sizes: tuple[int, int], batch: int | None
) -> Tensor:
    """h_0 as [L * D, B, H]: zeros, or the user's, checked; ``batch`` is None for an unbatched input."""
    cells, hidden = sizes
    if hx is None:
        return torch.zeros(cells, 1 if batch is None else batch, hidden, dtype=x.dtype, device=x.device)
    _checks.tensor(name, "hx", hx)
    axes = {"num_layers*num_directions": cells, "hidden_size": hidden}
    if batch is not None:
        axes = {"num_layers*num_directions": cells, "B": batch, "hidden_size": hidden}
    _checks.state(name, hx, axes, x)
    return hx.unsqueeze(1) if batch is None else hx


def _run_packed(
    name: str,
    packed: PackedSequence,
    hx: Tensor | None,
    weights: tuple[CellWeights, ...],
    settings: GRUSettings,
    resets: Any,
    noise: Noise | None,
    return_gates: bool,
) -> GRUResult:
    """A packed sequence: as it is where the path can, otherwise unpacked, computed and packed again.

    hx, h_n, resets and gates are in the order of the batch before packing, as in torch.nn.GRU.
    """
    _checks.packed_input(name, packed.data, weights[0].weight_ih)
    sizes = len(weights), weights[0].weight_hh.shape[1]
    state = _initial_state(name, hx, packed.data, sizes, int(packed.batch_sizes[0]))
    plain = resets is None and noise is None and not return_gates
    if _dispatch.takes_packed(packed, state, weights, settings, plain):
        output, h_n = _dispatch.run_packed(packed, state, weights, settings)
        return GRUResult(output, h_n)
    if (
        noise is None
        and settings.training
        and settings.dropout > 0
        and len(weights) > settings.num_directions
    ):
        noise = _packed_noise(packed, state, settings)
    x, lengths = pad_packed_sequence(packed, settings.batch_first)
    result = run_gru(
        name,
        x,
        state,
        weights,
        settings,
        lengths=lengths,
        resets=resets,
        noise=noise,
        return_gates=return_gates,
    )
    assert isinstance(result.output, Tensor)
    order = packed.sorted_indices
    batch_dim = 0 if settings.batch_first else 1
    output = result.output if order is None else result.output.index_select(batch_dim, order)
    lengths = lengths if order is None else lengths[order.cpu()]
    data, batch_sizes, _, _ = pack_padded_sequence(output, lengths, settings.batch_first)
    return GRUResult(
        PackedSequence(data, batch_sizes, order, packed.unsorted_indices), result.h_n, result.gates
    )


def _packed_noise(packed: PackedSequence, state: Tensor, settings: GRUSettings) -> Noise:
    """The masks of one pass, dropout drawn over the packed steps, as torch.nn.GRU draws it from the same seed."""
    width, batch = settings.num_directions * state.shape[2], state.shape[1]
    ones = state.new_ones(len(packed.data), width)
    layers = len(state) // settings.num_directions
    masks = [
        pad_packed_sequence(packed._replace(data=dropout(ones, settings.dropout)))[0]
        for _ in range(layers - 1)
    ]
    rest = draw_noise(settings._replace(dropout=0.0), len(state), len(packed.batch_sizes), batch, state)
    return rest._replace(dropout=torch.stack(masks))


def run_cell(
    name: str,
    input: Tensor,
    hx: Tensor | None,
    weights: CellWeights,
    *,
    reset_after: bool = True,
    zoneout: Tensor | float = 0.0,
    training: bool = False,
    recurrent_mask: Tensor | None = None,
    resets: Any = None,
    return_gates: bool = False,
) -> tuple[Tensor, Gates | None]:
    """Check, compute and lay out one step of a cell; ``training`` draws a mask for a zoneout probability."""
    _checks.cell_input(name, input, weights.weight_ih)
    batched = input.dim() == 2
    hidden = weights.weight_hh.shape[1]
    axes = {"B": len(input), "hidden_size": hidden} if batched else {"hidden_size": hidden}
    if hx is None:
        hx = torch.zeros(*axes.values(), dtype=input.dtype, device=input.device)
    _checks.cell_state(name, hx, axes, input)
    if recurrent_mask is not None:
        _checks.mask(name, "recurrent_mask", recurrent_mask, hx)
    if isinstance(zoneout, Tensor):
        _checks.mask(name, "zoneout", zoneout, hx, torch.bool)
    elif training and zoneout > 0:
        zoneout = torch.rand(hx.shape, device=hx.device) < zoneout
    if resets is not None:
        drop = _checks.resets(name, resets, {"B": len(input)} if batched else {}, input.device)
        hx = torch.where(drop.unsqueeze(-1), 0, hx)
    if not batched:
        input, hx = input.unsqueeze(0), hx.unsqueeze(0)
    call = CellCall(input, hx, weights, reset_after, zoneout, recurrent_mask, return_gates)
    h_new, gates = _dispatch.run_cell(call)
    if not batched:
        h_new, gates = (
            h_new.squeeze(0),
            None if gates is None else Gates(*(gate.squeeze(0) for gate in gates)),
        )
    return h_new, gates
