"""The one place that decides which path computes a GRU.

``native``     our kernels, on the CPU in float32 and float64, with every option;
``torch``      PyTorch's own kernels, wherever they compute the same function: cuDNN, bfloat16, autocast, and where
               something must see torch operations (dispatch modes, tracers);
``composite``  PyTorch operations, for every option and any number of derivatives: torch.func, forward-mode
               derivatives, and what the other two cannot.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from grus.nn import _composite, _native_path, _torch_path
from grus.nn._types import Call, CellCall, CellWeights, Gates, GRUSettings

# Where native training loses to torch, measured (AVX-512, two threads, I = H, forward and backward, torch's time over
# ours at B = 1 and 32): the kernels pack the weights at every call, for the forward and for the backward, and few steps
# do not pay for that.
#   H=16: 1.5 at T=1, 2.5 at T=2     H=64: 1.4, 1.2 at T=1, 2.0, 1.7 at T=2     H=128: 1.2, 1.1 and 1.6, 1.4
#   H=256: 1.1, 0.9 at T=1, 1.9, 1.1 at T=2     H=512: 0.4-0.8, 0.6-1.0 and 1.1-1.8, 0.9-1.3, at T=4 1.1-2.2, 0.9-1.3
# So with gradients a plain call of few steps goes to torch: T * 256 < I + H.  Without gradients every call is
# native, for the promise of the same bits in any batch and any chunks; weights stay packed (see _native_cache).
# There one step (GRUCell) takes torch's time over ours of 1.1-1.8 at B=32 and 256, but at B=1 1.0, 0.9, 0.8, 0.8, 0.5
# at H=16, 64, 128, 256, 512: comparing the weights with their copy reads more memory than the step itself.
MIN_STEPS_PER_WIDTH = 1 / 256

Path = Literal["native", "torch", "composite"]


def choose(call: Call) -> Path:
    """The path for a call on a batch."""
    native = _native_path.can_run(call.input, call.hx, call.weights, _native_path.masks_of(call.noise))
    if native and not _too_short(call):
        return "native"
    plain = call.resets is None and call.noise is None and not call.return_gates
    known = call.lengths is None or (isinstance(call.lengths, list) and any(call.lengths))
    if plain and known and not _transformed() and _torch_path.can_run(call.weights, call.settings):
        return "torch"
    return "native" if native else "composite"


def _transformed() -> bool:
    """Whether torch.func is at work: torch.gru fails under vmap where only some of its inputs are batched."""
    return not torch.compiler.is_compiling() and _native_path.transformed()


def _too_short(call: Call) -> bool:
    """Whether torch trains faster, because there are too few steps to pay for packing the weights."""
    steps = call.input.shape[1 if call.settings.batch_first else 0]
    width = call.input.shape[-1] + call.hx.shape[-1]
    return steps < MIN_STEPS_PER_WIDTH * width and _native_path.records(call.input, call.hx, call.weights)


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
        and not _transformed()
        and _torch_path.can_run(weights, settings)
    )


def run_packed(
    packed: PackedSequence, hx: Tensor, weights: tuple[CellWeights, ...], settings: GRUSettings
) -> tuple[PackedSequence, Tensor]:
    """Output and h_n of a packed sequence that ``takes_packed`` accepts."""
    return _torch_path.run_packed(packed, hx, weights, settings)


def run_cell(call: CellCall) -> tuple[Tensor, Gates | None]:
    """The new state [B, H] and the gates (None unless asked for) of one step."""
    plain = call.recurrent_mask is None and not call.return_gates and not isinstance(call.zoneout, Tensor)
    torch_can = plain and not _transformed() and _torch_path.can_run_cell(call)
    native = _native_path.can_run(call.input, call.hx, (call.weights,), (call.recurrent_mask,))
    # One step with gradients: torch's cell is as fast or faster at every size but B=256, H=16 (0.1 to 1.1 times).
    if native and not (torch_can and _native_path.records(call.input, call.hx, (call.weights,))):
        return _native_path.run_cell(call)
    return (_torch_path.run_cell(call), None) if torch_can else _composite.run_cell(call)
