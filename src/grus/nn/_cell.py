"""``GRUCell``: torch.nn.GRUCell with more options, the same numbers, and error messages that help."""

from typing import Any, Literal, overload

import torch
from torch import Tensor
from torch.nn import Parameter, init

from grus.nn import _checks
from grus.nn._forward import run_cell
from grus.nn._types import CellWeights, Gates


class GRUCell(torch.nn.GRUCell):
    r"""A drop-in for `torch.nn.GRUCell`: one step of a GRU; equations as in `grus.nn.GRU`.

    Args:
        input_size: I, the number of input features.
        hidden_size: H, the number of hidden units.
        bias: whether the cell has biases.
        device: where the parameters live.
        dtype: their dtype.
        reset_after: where the reset gate acts; False is the form of Cho et al. 2014.
        layer_norm: layer normalisation of every product (Ba et al. 2016); adds the parameters ``gain_ih`` and
            ``gain_hh``, [3H] each, initially one.
        zoneout: probability that a unit keeps its state, in training; in evaluation its expectation
            (Krueger et al. 2017).

    Without gradients, on the CPU, a row has the same bits alone and in any batch, and those of `GRU`.

    A cell does not know where a sequence begins, so recurrent dropout (one mask a sequence) is the caller's:
    pass the same ``recurrent_mask`` at every step.

    Raises:
        RuntimeError, TypeError, ValueError: an argument has an impossible value or type.

    Example:
        >>> import torch
        >>> from grus.nn import GRUCell
        >>> cell = GRUCell(10, 20)
        >>> h = cell(torch.randn(3, 10))
        >>> h.shape
        torch.Size([3, 20])
    """

    gain_ih: Parameter | None
    gain_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        reset_after: bool = True,
        layer_norm: bool = False,
        zoneout: float = 0.0,
    ) -> None:
        """Make the parameters; see the class for the arguments."""
        name = type(self).__name__
        _checks.cell_sizes(name, input_size=input_size, hidden_size=hidden_size)
        _checks.flags(name, reset_after=reset_after, layer_norm=layer_norm)
        _checks.probabilities(name, zoneout=zoneout)
        super().__init__(input_size, hidden_size, bias, device=device, dtype=dtype)
        self.reset_after = reset_after
        self.layer_norm = layer_norm
        self.zoneout = float(zoneout)
        for gain in ("gain_ih", "gain_hh"):
            ones = Parameter(torch.ones(3 * hidden_size, device=device, dtype=dtype)) if layer_norm else None
            self.register_parameter(gain, ones)

    def reset_parameters(self) -> None:
        """Draw weights and biases from U(-1/sqrt(H), 1/sqrt(H)), in torch's order; set gains to one."""
        bound = self.hidden_size**-0.5 if self.hidden_size else 0.0
        for name, parameter in self.named_parameters():
            if name.startswith("gain"):
                init.ones_(parameter)
            else:
                init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults, torch's first."""
        shown = super().extra_repr()
        for name, default in {"reset_after": True, "layer_norm": False, "zoneout": 0.0}.items():
            if getattr(self, name) != default:
                shown += f", {name}={getattr(self, name)}"
        return shown

    @overload
    def forward(
        self,
        input: Tensor,
        hx: Tensor | None = None,
        *,
        resets: Any = None,
        recurrent_mask: Tensor | None = None,
        return_gates: Literal[False] = False,
    ) -> Tensor: ...

    @overload
    def forward(
        self,
        input: Tensor,
        hx: Tensor | None = None,
        *,
        resets: Any = None,
        recurrent_mask: Tensor | None = None,
        return_gates: Literal[True],
    ) -> tuple[Tensor, Gates]: ...

    def forward(
        self,
        input: Tensor,
        hx: Tensor | None = None,
        *,
        resets: Any = None,
        recurrent_mask: Tensor | None = None,
        return_gates: bool = False,
    ) -> Any:
        """Take one step.

        Args:
            input: [B, I], or [I] unbatched.
            hx: h_{t-1}, [B, H] or [H]; zeros if None.
            resets: bool [B] ([] unbatched), True where the state is zeroed before the step.
            recurrent_mask: [B, H] or [H], multiplied into h_{t-1} where it enters W_hh (0 or 1 / (1 - p) for
                recurrent dropout); the leak z * h_{t-1} is not masked.
            return_gates: also return the gates.

        Returns:
            h_t, [B, H] or [H], and `Gates` of the same shape if asked for.

        Raises:
            ValueError: rank of ``input`` or ``hx``; ``resets`` or ``recurrent_mask``.
            RuntimeError: a size, dtype or device does not fit.
            TypeError: not a tensor.
        """
        # The dictionary first: six attributes of a module cost as much as the arithmetic of a small step.
        held = self._parameters
        try:
            weights = CellWeights(*[held[name] for name in CellWeights._fields])  # pyright: ignore[reportArgumentType]
        except KeyError:  # a parametrisation took it out
            weights = CellWeights(*[getattr(self, name) for name in CellWeights._fields])
        h_new, gates = run_cell(
            type(self).__name__,
            input,
            hx,
            weights,
            reset_after=self.reset_after,
            zoneout=self.zoneout,
            training=self.training,
            recurrent_mask=recurrent_mask,
            resets=resets,
            return_gates=return_gates,
        )
        return (h_new, gates) if return_gates else h_new
