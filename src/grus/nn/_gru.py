"""``GRU``: torch.nn.GRU with more options, the same numbers, and error messages that help."""

from typing import Any, Literal, overload

import torch
from torch import Tensor
from torch.nn import Parameter, init
from torch.nn.utils.rnn import PackedSequence

from grus.errors import UsageError
from grus.nn import _checks
from grus.nn._forward import run_gru
from grus.nn._types import CellWeights, Gates, GRUSettings

GAINS = ("gain_ih", "gain_hh")


class GRU(torch.nn.GRU):
    r"""A drop-in for `torch.nn.GRU`: same constructor, parameters, initial values, shapes and results.

    For every layer and step, with gate order r, z, n in all weights:

        r_t = sigmoid(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)          reset gate
        z_t = sigmoid(W_iz x_t + b_iz + W_hz h_{t-1} + b_hz)          update gate
        n_t = tanh(W_in x_t + b_in + r_t * (W_hn h_{t-1} + b_hn))     candidate, reset_after=True
        n_t = tanh(W_in x_t + b_in + W_hn (r_t * h_{t-1}) + b_hn)     candidate, reset_after=False
        h_t = (1 - z_t) * n_t + z_t * h_{t-1}

    It is a subclass, so ``isinstance(m, torch.nn.GRU)`` holds and ``state_dict`` goes both ways. Code that
    reads the weights of a torch.nn.GRU and computes by itself must check ``reset_after`` and ``layer_norm``:
    weights trained with ``reset_after=False`` load into torch.nn.GRU and mean something else there.
    TorchScript is not supported.

    On the CPU in float32 and float64 our own kernels compute it, with every option, and torch.compile and
    torch.export see them as one op; elsewhere PyTorch's do (cuDNN on a GPU) where they know the function. Results
    are torch's to rounding, not bit for bit. **Without gradients** (torch.no_grad, inference_mode, nothing that
    requires a gradient) on the CPU, within one instruction set and version, a row has the same bits alone, in any
    batch, in any chunks with the state carried, and at any number of threads. **With gradients** the bits are the
    same from run to run at a fixed number of threads. The kernels use as many threads as ``torch.set_num_threads``
    says, unless ``GRUS_NUM_THREADS`` is set.

    Args:
        input_size: I, the number of input features.
        hidden_size: H, the number of hidden units.
        num_layers: L, the number of stacked layers.
        bias: whether the layers have biases.
        batch_first: input and output are [B, T, ...] rather than [T, B, ...].
        dropout: probability of zeroing an element of the output of every layer but the last, in training.
        bidirectional: run every layer in both directions, D = 2.
        device: where the parameters live.
        dtype: their dtype.
        reset_after: where the reset gate acts; False is the form of Cho et al. 2014.
        layer_norm: normalise every product W v before its bias is added, to
            gain * (W v - mean) / sqrt(var + 1e-5), with mean and variance over the rows of r and z together
            and over those of n alone, input and recurrent products apart (Ba et al. 2016). Adds the
            parameters ``gain_ih_l{k}[_reverse]`` and ``gain_hh_l{k}[_reverse]``, [3H] each, initially one;
            the biases are the shifts.
        recurrent_dropout: probability of zeroing a unit of h_{t-1} where it enters W_hh, in training; one
            mask for a row's whole sequence, all steps and all gates (Gal and Ghahramani 2016).
        zoneout: probability that a unit keeps its state at a step, in training; in evaluation
            h_t = zoneout * h_{t-1} + (1 - zoneout) * h_t (Krueger et al. 2017).

    Raises:
        ValueError, TypeError: an argument has an impossible value or type.

    Reference:
        Cho et al. 2014, arXiv:1406.1078; Ba et al. 2016, arXiv:1607.06450; Gal and Ghahramani 2016,
        arXiv:1512.05287; Krueger et al. 2017, arXiv:1606.01305.

    Example:
        >>> import torch
        >>> from grus.nn import GRU
        >>> gru = GRU(10, 20, num_layers=2, batch_first=True)
        >>> x = torch.randn(3, 5, 10)
        >>> output, h_n = gru(x, lengths=[5, 0, 2])
        >>> output.shape, h_n.shape
        (torch.Size([3, 5, 20]), torch.Size([2, 3, 20]))
        >>> bool((output[2, 2:] == 0).all())
        True
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        reset_after: bool = True,
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        proj_size: None = None,
    ) -> None:
        """Make the parameters; see the class for the arguments (``proj_size`` is only there to be refused)."""
        name = type(self).__name__
        if proj_size is not None:
            raise UsageError(f"{name}: proj_size exists only in an LSTM, got proj_size={proj_size!r}")
        _checks.sizes(name, input_size=input_size, hidden_size=hidden_size)
        _checks.layers(name, num_layers)
        _checks.flags(
            name, bias=bias, batch_first=batch_first, reset_after=reset_after, layer_norm=layer_norm
        )
        _checks.probabilities(name, dropout=dropout, recurrent_dropout=recurrent_dropout, zoneout=zoneout)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )
        self.reset_after = reset_after
        self.layer_norm = layer_norm
        self.recurrent_dropout = float(recurrent_dropout)
        self.zoneout = float(zoneout)
        if layer_norm:
            self._add_gains(device, dtype)

    def _add_gains(self, device: Any, dtype: torch.dtype | None) -> None:
        """Add the gains of layer normalisation behind the parameters that torch.nn.GRU has."""
        for names in self._all_weights:
            suffix = names[0].removeprefix("weight_ih")
            for gain in GAINS:
                parameter = Parameter(torch.ones(3 * self.hidden_size, device=device, dtype=dtype))
                setattr(self, gain + suffix, parameter)
                names.append(gain + suffix)

    def reset_parameters(self) -> None:
        """Draw weights and biases from U(-1/sqrt(H), 1/sqrt(H)), in torch's order; set gains to one."""
        bound = self.hidden_size**-0.5
        for name, parameter in self.named_parameters():
            if name.startswith(GAINS):
                init.ones_(parameter)
            else:
                init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults, torch's first."""
        shown = super().extra_repr()
        defaults = {"reset_after": True, "layer_norm": False, "recurrent_dropout": 0.0, "zoneout": 0.0}
        for name, default in defaults.items():
            if getattr(self, name) != default:
                shown += f", {name}={getattr(self, name)}"
        return shown

    def _cell_weights(self) -> list[CellWeights]:
        """The weights of every direction, as a functional call or a parametrisation has set them.

        Not by torch's ``_flat_weights``: that list is out of date then, and assigning it is no thing to export.
        """
        held = self._parameters
        cells = []
        for names in self._all_weights:
            weights = [held[name] if name in held else getattr(self, name) for name in names]
            if not self.bias:
                weights[2:2] = [None, None]
            cells.append(CellWeights(*weights))  # pyright: ignore[reportArgumentType]
        return cells

    @overload
    def forward(
        self,
        input: Tensor,
        hx: Tensor | None = None,
        *,
        lengths: Any = None,
        resets: Any = None,
        return_gates: Literal[False] = False,
    ) -> tuple[Tensor, Tensor]: ...

    @overload
    def forward(
        self,
        input: PackedSequence,
        hx: Tensor | None = None,
        *,
        lengths: None = None,
        resets: Any = None,
        return_gates: Literal[False] = False,
    ) -> tuple[PackedSequence, Tensor]: ...

    @overload
    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | None = None,
        *,
        lengths: Any = None,
        resets: Any = None,
        return_gates: Literal[True],
    ) -> tuple[Any, Tensor, Gates]: ...

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | None = None,
        *,
        lengths: Any = None,
        resets: Any = None,
        return_gates: bool = False,
    ) -> Any:
        """Run over a batch of sequences.

        Args:
            input: [T, B, I], [B, T, I] if ``batch_first``, [T, I] unbatched, or a packed sequence.
            hx: h_0, [L * D, B, H] or [L * D, H] unbatched; zeros if None.
            lengths: the valid steps of each row, B integers in 0..T in any order (one integer if unbatched).
                Padding is never read, not even NaN, and gets no gradient; outputs at padding are zero; h_n is
                the state after the last valid step, h_0 for a row of length 0.
            resets: bool [B, T] whatever ``batch_first`` is ([T] unbatched), True where a new sequence begins:
                no state crosses from step t - 1 to t, in either direction.
            return_gates: also return the gates.

        Returns:
            output: [T, B, D * H] in the layout of ``input``; h_n: [L * D, B, H] or [L * D, H]; and, if asked
            for, `Gates` with r, z, n of every layer and direction, [L * D, T, B, H] ([L * D, B, T, H]
            if ``batch_first``, [L * D, T, H] unbatched; for packed input padded, in the order before packing).

        Raises:
            ValueError: rank or dtype of ``input``, ``lengths`` or ``resets``.
            RuntimeError: feature size, no time step, shape or dtype of ``hx``, devices.
            TypeError: not a tensor.
        """
        settings = GRUSettings(
            bidirectional=bool(self.bidirectional),
            batch_first=self.batch_first,
            training=self.training,
            dropout=self.dropout,
            reset_after=self.reset_after,
            recurrent_dropout=self.recurrent_dropout,
            zoneout=self.zoneout,
        )
        result = run_gru(
            type(self).__name__,
            input,
            hx,
            self._cell_weights(),
            settings,
            lengths=lengths,
            resets=resets,
            return_gates=return_gates,
        )
        return result if return_gates else result[:2]
