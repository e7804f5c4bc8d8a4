"""The GRU by PyTorch's own kernels, where they compute the same function; the bits are torch.nn.GRU's."""

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from grus.nn._types import Call, CellCall, CellWeights, GRUSettings


def can_run(weights: tuple[CellWeights, ...], settings: GRUSettings) -> bool:
    """Whether PyTorch's kernels know these settings: plain cells, reset after, no noise in the recurrence."""
    if not settings.reset_after or settings.zoneout > 0:
        return False
    if settings.training and settings.recurrent_dropout > 0:
        return False
    bias = weights[0].bias_ih is not None
    return all(
        w.gain_ih is None and (w.bias_ih is not None) == bias and (w.bias_hh is not None) == bias
        for w in weights
    )


def can_run_cell(call: CellCall) -> bool:
    """The same for one step, without masks and gates."""
    zoned = isinstance(call.zoneout, Tensor) or call.zoneout > 0
    w = call.weights
    return call.reset_after and not zoned and w.gain_ih is None and (w.bias_ih is None) == (w.bias_hh is None)


def _flat(weights: tuple[CellWeights, ...]) -> list[Tensor]:
    return [tensor for cell in weights for tensor in cell[:4] if tensor is not None]


def run_dense(call: Call) -> tuple[Tensor, Tensor]:
    """A batch of sequences of equal length: output and h_n."""
    s = call.settings
    return torch.gru(
        call.input,
        call.hx,
        _flat(call.weights),
        call.weights[0].bias_ih is not None,
        call.num_layers,
        float(s.dropout),
        s.training,
        s.bidirectional,
        s.batch_first,
    )


def run_packed(
    packed: PackedSequence, hx: Tensor, weights: tuple[CellWeights, ...], settings: GRUSettings
) -> tuple[PackedSequence, Tensor]:
    """A packed sequence, with hx and h_n in the order of the batch before packing."""
    if packed.sorted_indices is not None:
        hx = hx.index_select(1, packed.sorted_indices)
    data, h_n = torch.gru(
        packed.data,
        packed.batch_sizes,
        hx,
        _flat(weights),
        weights[0].bias_ih is not None,
        len(weights) // settings.num_directions,
        float(settings.dropout),
        settings.training,
        settings.bidirectional,
    )
    if packed.unsorted_indices is not None:
        h_n = h_n.index_select(1, packed.unsorted_indices)
    return PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices), h_n


def run_ragged(call: Call, lengths: list[int]) -> tuple[Tensor, Tensor]:
    """A batch with lengths, by packing the rows that have any; at least one must."""
    s = call.settings
    batch_dim, time_dim = (0, 1) if s.batch_first else (1, 0)
    filled = torch.tensor([b for b, length in enumerate(lengths) if length], device=call.input.device)
    every = len(filled) == len(lengths)
    x = call.input if every else call.input.index_select(batch_dim, filled)
    hx = call.hx if every else call.hx.index_select(1, filled)
    packed = pack_padded_sequence(x, [n for n in lengths if n], s.batch_first, enforce_sorted=False)
    result, h_n = run_packed(packed, hx, call.weights, s)
    output, _ = pad_packed_sequence(result, s.batch_first, total_length=call.input.shape[time_dim])
    if every:
        return output, h_n
    size = list(output.shape)
    size[batch_dim] = len(lengths)
    return output.new_zeros(size).index_copy(batch_dim, filled, output), call.hx.index_copy(1, filled, h_n)


def run_cell(call: CellCall) -> Tensor:
    """One step: the new state [B, H]."""
    w = call.weights
    return torch.gru_cell(call.input, call.hx, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh)
