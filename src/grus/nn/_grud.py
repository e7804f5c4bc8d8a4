"""``GRUD``: a GRU over values of which some are missing, at uneven times; what was seen last fades."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter, init

from grus.errors import UsageError
from grus.nn import _checks
from grus.nn._fading import fading_gru
from grus.nn._look_back import Given, How, look_back, state_decay
from grus.nn._types import CellWeights

#: The greatest weight of a decay before training.
START = 0.1

_GRU = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


class GRUDStates(NamedTuple):
    """What a GRU-D carries: the state h [B, H], and of each variable the last value and how long ago, [B, D]."""

    h: Tensor
    last: Tensor
    since: Tensor


class GRUD(torch.nn.Module):
    r"""GRU-D (Che et al. 2018): one GRU layer over D variables that are not always observed.

    With m_t [D], which variables were observed at step t, and gap_t, the time since step t - 1:

        s_t = gap_t + since_{t-1}                       how long ago each variable was observed, [D]
        xhat_t = m_t ? x_t : gx_t * last_{t-1}          gx_t = exp(-max(0, w * s_t + b)), [D]
        h_t = GRU([xhat_t, m_t], gh_t * h_{t-1})        gh_t = exp(-max(0, W s_t + c)), [H]
        last_t = m_t ? x_t : last_{t-1};  since_t = m_t ? 0 : s_t

    The GRU is that of `grus.nn.GRU` (the paper's resets the state before the product). A missing value decays from
    the last one observed to 0, which is the mean that the paper has there: standardise the inputs. The gap may be in
    any unit; one in which usual gaps are around 1 suits the initial values.

    On the CPU in float32 and float64 the kernels of `grus.nn.GRU` run it, elsewhere PyTorch's operations; there is
    no promise of the same bits in any batch, which the runtime gives.

    Args:
        input_size: D, the number of variables.
        hidden_size: H, the number of hidden units.
        batch_first: inputs and output are [B, T, ...] rather than [T, B, ...].
        device: where the parameters live.
        dtype: their dtype.

    The parameters are ``weight_ih_l0`` [3H, 2D], ``weight_hh_l0`` [3H, H] and ``bias_ih_l0``, ``bias_hh_l0`` [3H],
    drawn as those of torch.nn.GRU, and ``input_decay_weight`` w, ``input_decay_bias`` b [D], ``state_decay_weight`` W
    [H, D], ``state_decay_bias`` c [H]. Biases of decays begin at 0, w in U(0, 0.1) and W in U(0, 0.1 / D): a decay
    below 0 is cut off and learns nothing, and as no s is negative, positive weights keep all of them alive; they are
    small so that at first a gap of 1 leaves at least nine tenths of everything.

    Raises:
        ValueError, TypeError: an argument has an impossible value or type.

    Reference:
        Che et al. 2018, "Recurrent Neural Networks for Multivariate Time Series with Missing Values", Scientific
        Reports 8:6085, arXiv:1606.01865.

    Example:
        >>> import torch
        >>> from grus.nn import GRUD
        >>> layer = GRUD(5, 20, batch_first=True)
        >>> x, mask = torch.randn(3, 10, 5), (torch.rand(3, 10, 5) < 0.3).float()
        >>> gap = torch.rand(3, 10, 1)
        >>> whole, states = layer(x, mask, gap)
        >>> first, before = layer(x[:, :4], mask[:, :4], gap[:, :4])
        >>> second, after = layer(x[:, 4:], mask[:, 4:], gap[:, 4:], before)
        >>> bool(torch.allclose(torch.cat([first, second], 1), whole, atol=1e-5)), after.last.shape
        (True, torch.Size([3, 5]))
    """

    input_decay_weight: Parameter
    input_decay_bias: Parameter
    state_decay_weight: Parameter
    state_decay_bias: Parameter

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        batch_first: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Make the parameters; see the class for the arguments."""
        name = type(self).__name__
        _checks.sizes(name, input_size=input_size, hidden_size=hidden_size)
        _checks.flags(name, batch_first=batch_first)
        super().__init__()
        self.input_size, self.hidden_size, self.batch_first = input_size, hidden_size, batch_first
        rows = 3 * hidden_size
        shapes = {
            "weight_ih_l0": (rows, 2 * input_size),
            "weight_hh_l0": (rows, hidden_size),
            "bias_ih_l0": (rows,),
            "bias_hh_l0": (rows,),
            "input_decay_weight": (input_size,),
            "input_decay_bias": (input_size,),
            "state_decay_weight": (hidden_size, input_size),
            "state_decay_bias": (hidden_size,),
        }
        for parameter, shape in shapes.items():
            empty = torch.empty(shape, device=device, dtype=dtype)
            self.register_parameter(parameter, Parameter(empty))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights, see the class."""
        bound = self.hidden_size**-0.5
        for name in _GRU:
            init.uniform_(getattr(self, name), -bound, bound)
        init.uniform_(self.input_decay_weight, 0.0, START)
        init.uniform_(self.state_decay_weight, 0.0, START / self.input_size)
        init.zeros_(self.input_decay_bias)
        init.zeros_(self.state_decay_bias)

    def extra_repr(self) -> str:
        """The sizes, and the layout if it is not torch's."""
        return f"{self.input_size}, {self.hidden_size}" + (", batch_first=True" if self.batch_first else "")

    def forward(
        self, input: Tensor, mask: Tensor, gap: Tensor, hx: Any = None, *, lengths: Any = None,
        presence: Tensor | None = None,
    ) -> tuple[Tensor, GRUDStates]:  # fmt: skip
        """Run over a batch of sequences.

        Args:
            input: x [T, B, D] ([B, T, D] if ``batch_first``); never read where it was not observed, not even NaN.
            mask: [T, B, D] of any dtype: above 1/2, or True, is observed.
            gap: [T, B, 1], finite and at least 0, in the dtype of ``input``.
            hx: h [B, H], last [B, D] and since [B, D], as an earlier call returned them; zeros if None.
            lengths: the valid steps of each row, B integers in 0..T in any order. Padding is never read, not even
                NaN; outputs there are zero, and the states are those after the last valid step.
            presence: what the GRU reads as m_t, of the shape and dtype of ``input`` (default: the mask, as 0 and 1).
                Unlike the mask it has a gradient, and need not be 0 or 1: a path from nothing measured to what was.

        Returns:
            output [T, B, H] in the layout of ``input``, and the states h, last and since after the last step.

        Raises:
            ValueError: rank or dtype of ``input``, shape of ``mask``, ``gap`` or ``presence``, ``lengths``.
            RuntimeError: feature size, no time step, shape or dtype of ``hx``, devices.
            TypeError: not a tensor.
        """
        name = type(self).__name__
        states, rows = self._check(name, input, mask, gap, hx, lengths)
        if presence is not None and (presence.shape != input.shape or presence.dtype != input.dtype):
            raise UsageError(
                f"{name}: presence must be {input.dtype} of shape {tuple(input.shape)} like the input, "
                f"got {presence.dtype} {tuple(presence.shape)}"
            )
        mask = mask.detach().to(input.dtype)
        given = Given(input, gap, states.last, states.since, self.input_decay_weight, self.input_decay_bias)
        seen = look_back(given, How(mask, self.batch_first, rows))
        decay = state_decay(seen.elapsed, self.state_decay_weight, self.state_decay_bias)
        cell = CellWeights(*(getattr(self, name) for name in _GRU))
        inputs, size = seen.inputs, self.input_size  # the mask's columns need no gradient
        if presence is not None:
            inputs, size = torch.cat((inputs[..., :size], presence), dim=-1), 2 * size
        output, h = fading_gru(inputs, states.h, decay, cell, self.batch_first, rows, size)
        return output, GRUDStates(h, seen.last, seen.since)

    def _check(
        self, name: str, input: Tensor, mask: Tensor, gap: Tensor, hx: Any, lengths: Any
    ) -> tuple[GRUDStates, Tensor | None]:
        """The states before the first step and the lengths as a tensor, once all arguments fit."""
        _checks.tensor(name, "input", input)
        if input.dim() != 3:
            raise UsageError(f"{name}: input must have 3 dimensions, got {input.dim()}")
        _checks.sequence_input(name, input, self.input_decay_weight[None], self.batch_first)
        for what, given, shape in (("mask", mask, input.shape), ("gap", gap, (*input.shape[:2], 1))):
            _checks.tensor(name, what, given)
            if given.shape != shape:
                raise UsageError(f"{name}: {what} must have shape {tuple(shape)}, got {tuple(given.shape)}")
            if given.device != input.device:
                raise RuntimeError(f"{name}: {what} is on {given.device}, but the input is on {input.device}")
        if gap.dtype != input.dtype:
            raise UsageError(f"{name}: gap has dtype {gap.dtype}, but the input has {input.dtype}")
        batch = input.shape[0 if self.batch_first else 1]
        rows = None
        if lengths is not None:
            checked = _checks.lengths(name, lengths, batch, input.shape[1 if self.batch_first else 0])
            rows = torch.as_tensor(checked, dtype=torch.int64)
        return self._states(name, input, hx, batch), rows

    def _states(self, name: str, input: Tensor, hx: Any, batch: int) -> GRUDStates:
        widths = {"h": self.hidden_size, "last": self.input_size, "since": self.input_size}
        if hx is None:
            return GRUDStates(*(input.new_zeros(batch, width) for width in widths.values()))
        if not isinstance(hx, tuple | list) or len(hx) != len(widths):
            raise UsageError(
                f"{name}: hx must be the three states h, last and since, got {type(hx).__name__}"
            )
        for state, (what, width) in zip(hx, widths.items(), strict=True):
            _checks.tensor(name, f"hx ({what})", state)
            _checks.state(name, state, {"B": batch, what: width}, input)
        return GRUDStates(*hx)
