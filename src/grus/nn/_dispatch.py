"""The one place that decides which path computes a GRU.

``torch``      PyTorch's own kernels, wherever they compute the same function;
``composite``  PyTorch operations, for every option and any number of derivatives.
"""

from typing import Literal

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from grus.nn import _composite, _torch_path
from grus.nn._types import Call, CellCall, CellWeights, Gates, GRUSettings

Path = Literal["torch", "composite"]


def choose(call: Call) -> Path:
    """The path for a call on a batch."""
    plain = call.resets is None and call.noise is None and not call.return_gates
    some_step = call.lengths is None or any(call.lengths)
    return (
        "torch" if plain and some_step and _torch_path.can_run(call.weights, call.settings) else "composite"
    )


def run(call: Call) -> tuple[Tensor, Tensor, Gates | None]:
    """Output, h_n and gates (None unless asked for) of a call on a batch."""
    if choose(call) == "composite":
        return _composite.run(call)
    steps = call.input.shape[1 if call.settings.batch_first else 0]
    if call.lengths is None or all(length == steps for length in call.lengths):
        return *_torch_path.run_dense(call), None
    return *_torch_path.run_ragged(call, call.lengths), None


def takes_packed(weights: tuple[CellWeights, ...], settings: GRUSettings, plain: bool) -> bool:
    """Whether a packed sequence can be computed as it is; ``plain`` means no resets, noise or gates."""
    return plain and _torch_path.can_run(weights, settings)


def run_packed(
    packed: PackedSequence, hx: Tensor, weights: tuple[CellWeights, ...], settings: GRUSettings
) -> tuple[PackedSequence, Tensor]:
    """Output and h_n of a packed sequence that ``takes_packed`` accepts."""
    return _torch_path.run_packed(packed, hx, weights, settings)


def run_cell(call: CellCall) -> tuple[Tensor, Gates | None]:
    """The new state [B, H] and the gates (None unless asked for) of one step."""
    plain = call.recurrent_mask is None and not call.return_gates
    if plain and not isinstance(call.zoneout, Tensor):
        settings = GRUSettings(reset_after=call.reset_after, zoneout=call.zoneout)
        if _torch_path.can_run((call.weights,), settings):
            return _torch_path.run_cell(call), None
    return _composite.run_cell(call)
