"""``MinGRU``: the gated recurrent unit whose gates see the input only, for very long sequences."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter, init
from torch.nn import functional as F  # noqa: N812  (the name everyone uses)

from grus.nn import _checks, _mingru_composite, _native_path
from grus.nn._forward import check
from grus.nn._native_layer import FIELDS, How, Options


class MinGRU(torch.nn.Module):
    r"""A layer, or a stack, of minimal gated recurrent units, in the manner of `grus.nn.GRU`.

    For every layer and step, with gate order z, n in all weights:

        z_t = sigmoid(W_z x_t + b_z)                update gate
        n_t = W_n x_t + b_n                         candidate
        h_t = (1 - z_t) * n_t + z_t * h_{t-1}

    The gates do not see the state: they are computed for all steps at once, and only the last line goes from step
    to step. A layer has 2 (I + 1) H numbers, where a GRU has 3 (I + H + 2) H. It is computed in linear space, so
    the state may be of either sign and any state may be carried in. What a layer cannot do is decide by what it
    remembers; layers on top of each other can, since the second one's input holds the first one's state.

    z keeps the old state, as in `grus.nn.GRU`. The paper writes h_t = (1 - z_t) * h_{t-1} + z_t * n_t; weights of
    that form become these when W_z and b_z are negated. A positive b_z makes a layer begin with a long memory: at
    b_z = 4 half of a state is left after 38 steps, at 0 after one.

    Where it runs and which bits it gives is as for `grus.nn.GRU`; training keeps nothing of a layer but its input
    and output.

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

    The parameters are ``weight_ih_l{k}[_reverse]`` [2H, I] ([2H, D * H] above the first layer) and
    ``bias_ih_l{k}[_reverse]`` [2H], drawn as those of torch.nn.Linear.

    Raises:
        ValueError, TypeError: an argument has an impossible value or type.

    Reference:
        Feng et al. 2024, "Were RNNs All We Needed?", arXiv:2410.01201.

    Example:
        >>> import torch
        >>> from grus.nn import MinGRU
        >>> layer = MinGRU(10, 20, batch_first=True)
        >>> x = torch.randn(3, 500, 10)
        >>> whole, h_n = layer(x)
        >>> first, state = layer(x[:, :200])
        >>> second, state = layer(x[:, 200:], state)
        >>> bool(torch.allclose(torch.cat([first, second], 1), whole, atol=1e-5))
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
    ) -> None:
        """Make the parameters; see the class for the arguments."""
        name = type(self).__name__
        _checks.sizes(name, input_size=input_size, hidden_size=hidden_size)
        _checks.layers(name, num_layers)
        _checks.flags(name, bias=bias, batch_first=batch_first, bidirectional=bidirectional)
        _checks.probabilities(name, dropout=dropout)
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, int(num_layers)
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional = bidirectional
        directions = 2 if bidirectional else 1
        self._suffixes = [
            f"_l{k}{way}" for k in range(self.num_layers) for way in ("", "_reverse")[:directions]
        ]
        for i, suffix in enumerate(self._suffixes):
            inputs = input_size if i < directions else directions * hidden_size
            shapes = {"weight_ih": (2 * hidden_size, inputs)} | (
                {"bias_ih": (2 * hidden_size,)} if bias else {}
            )
            for kind, shape in shapes.items():
                self.register_parameter(
                    kind + suffix, Parameter(torch.empty(shape, device=device, dtype=dtype))
                )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights and biases from U(-1/sqrt(I), 1/sqrt(I)), I being the size of the layer's input."""
        for suffix in self._suffixes:
            weight = getattr(self, f"weight_ih{suffix}")
            bound = weight.shape[1] ** -0.5
            init.uniform_(weight, -bound, bound)
            if self.bias:
                init.uniform_(getattr(self, f"bias_ih{suffix}"), -bound, bound)

    def extra_repr(self) -> str:
        """The sizes, and the arguments that differ from their defaults."""
        shown = f"{self.input_size}, {self.hidden_size}"
        defaults = {
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        for name, default in defaults.items():
            if getattr(self, name) != default:
                shown += f", {name}={getattr(self, name)}"
        return shown

    def forward(
        self, input: Tensor, hx: Tensor | None = None, *, lengths: Any = None, resets: Any = None
    ) -> tuple[Tensor, Tensor]:
        """Run over a batch of sequences; arguments, results and errors are those of `grus.nn.GRU`.

        Args:
            input: [T, B, I], [B, T, I] if ``batch_first``, or [T, I] unbatched; not packed.
            hx: h_0, [L * D, B, H] or [L * D, H] unbatched; zeros if None.
            lengths: the valid steps of each row, B integers in 0..T in any order (one integer if unbatched).
            resets: bool [B, T] whatever ``batch_first`` is ([T] unbatched), True where a new sequence begins.

        Returns:
            output [T, B, D * H] in the layout of ``input``, and h_n [L * D, B, H] or [L * D, H].

        Raises:
            ValueError: rank or dtype of ``input``, ``lengths`` or ``resets``.
            RuntimeError: feature size, no time step, shape or dtype of ``hx``, devices.
            TypeError: not a tensor.
        """
        weights = [
            [getattr(self, f"weight_ih{s}"), None, getattr(self, f"bias_ih{s}", None), None, None, None]
            for s in self._suffixes
        ]
        first = weights[0][0]
        sizes = len(weights), self.hidden_size
        x, h_0, rows, cuts = check(
            type(self).__name__, input, hx, first, sizes, self.batch_first, lengths, resets
        )
        rows = None if rows is None else torch.as_tensor(rows, dtype=torch.int64)
        output, h_n = self._run(x, h_0, weights, Options(rows, cuts))
        if input.dim() == 2:
            return output.squeeze(0 if self.batch_first else 1), h_n.squeeze(1)
        return output, h_n

    def _run(
        self, x: Tensor, h_0: Tensor, weights: list[list[Tensor | None]], options: Options
    ) -> tuple[Tensor, Tensor]:
        """All layers."""
        directions = 2 if self.bidirectional else 1
        how = How(self.batch_first, directions=directions, minimal=True)
        native = _native_path.can_run(x, h_0, weights, ())
        run = _native_path.run_layer if native else _mingru_composite.run_layer
        states: list[Tensor] = []
        for begin in range(0, len(weights), directions):
            if begin and self.training and self.dropout:
                x = F.dropout(x, self.dropout)
            held = [w for direction in weights[begin : begin + directions] for w in direction]
            assert len(held) == FIELDS * directions
            x, h_n = run(x, h_0[begin : begin + directions], held, how, options)
            states.append(h_n)
        return x, states[0] if len(states) == 1 else torch.cat(states)
