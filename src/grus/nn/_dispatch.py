"""The one place that decides which path computes a GRU.

``native``     our kernels, on the CPU in float32 and float64, with every option;
``torch``      PyTorch's own kernels, wherever they compute the same function: cuDNN, bfloat16, autocast, and where
               something must see torch operations (torch.func, forward-mode derivatives, modes, tracers);
``composite``  PyTorch operations, for every option and any number of derivatives.
"""

from typing import Literal

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from grus.nn import _composite, _native_path, _torch_path
from grus.nn._types import Call, CellCall, CellWeights, Gates, GRUSettings

Path = Literal["native", "torch", "composite"]


def choose(call: Call) -> Path:
    """The path for a call on a batch."""
    if _native_path.can_run(call.input, call.hx, call.weights, _native_path.masks_of(call.noise)):
        return "native"
    plain = call.resets is None and call.noise is None and not call.return_gates
    known = call.lengths is None or (isinstance(call.lengths, list) and any(call.lengths))
    return "torch" if plain and known and _torch_path.can_run(call.weights, call.settings) else "composite"


def run(call: Call) -> tuple[Tensor, Tensor, Gates | None]:
    """Output, h_n and gates (None unless asked for) of a call on a batch."""
    path = choose(call)
    if path == "native":
        return _native_path.run(call)
    if path == "composite":
        return _composite.run(call)
    steps = call.input.shape[1 if call.settings.batch_first else 0]
    lengths = call.lengths
    if not isinstance(lengths, list) or all(length == steps for length in lengths):
        return *_torch_path.run_dense(call), None
    return *_torch_path.run_ragged(call, lengths), None


def takes_packed(
    packed: PackedSequence, hx: Tensor, weights: tuple[CellWeights, ...], settings: GRUSettings, plain: bool
) -> bool:
    """Whether a packed sequence is computed as it is; ``plain`` means no resets, noise or gates.

    The native kernels take padded batches with lengths: padding is laid out, but never computed.
    """
    return (
        plain
        and not _native_path.can_run(packed.data, hx, weights, ())
        and _torch_path.can_run(weights, settings)
    )


def run_packed(
    packed: PackedSequence, hx: Tensor, weights: tuple[CellWeights, ...], settings: GRUSettings
) -> tuple[PackedSequence, Tensor]:
    """Output and h_n of a packed sequence that ``takes_packed`` accepts."""
    return _torch_path.run_packed(packed, hx, weights, settings)


def run_cell(call: CellCall) -> tuple[Tensor, Gates | None]:
    """The new state [B, H] and the gates (None unless asked for) of one step."""
    if _native_path.can_run(call.input, call.hx, (call.weights,), (call.recurrent_mask,)):
        return _native_path.run_cell(call)
    plain = call.recurrent_mask is None and not call.return_gates
    if plain and not isinstance(call.zoneout, Tensor):
        settings = GRUSettings(reset_after=call.reset_after, zoneout=call.zoneout)
        if _torch_path.can_run((call.weights,), settings):
            return _torch_path.run_cell(call), None
    return _composite.run_cell(call)
