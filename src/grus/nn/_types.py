"""The values that travel between the layers, the functional form and the paths that compute them.

Tuples: a frozen dataclass takes 2.5 us to make, and a short sequence on one row takes 50 us in all.
"""

from typing import NamedTuple

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence


class CellWeights(NamedTuple):
    """The weights of one direction of one layer, gate order r, z, n; the torch twin of ``GRUWeights``.

    Shapes: weight_ih [3H, I], weight_hh [3H, H]; biases and gains [3H] or None.  Gains switch layer
    normalisation on.
    """

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None = None
    bias_hh: Tensor | None = None
    gain_ih: Tensor | None = None
    gain_hh: Tensor | None = None


class Gates(NamedTuple):
    """Gate activations r (reset), z (update) and n (candidate), after their nonlinearities.

    For a whole GRU each is [num_layers * num_directions, T, B, H], with the first axis ordered as that of
    h_n, B before T if ``batch_first``, no B if unbatched, and zero at padding.  For a cell each has the
    shape of its output.
    """

    r: Tensor
    z: Tensor
    n: Tensor


class GRUResult(NamedTuple):
    """What a GRU returns: output, h_n, and the gates if they were asked for."""

    output: Tensor | PackedSequence
    h_n: Tensor
    gates: Gates | None = None


class GRUSettings(NamedTuple):
    """How a stack of GRU layers computes, apart from its weights.

    Args:
        bidirectional: every layer runs in both directions and concatenates their outputs.
        batch_first: input, output and gates have the batch before time.
        training: dropout, recurrent dropout and zoneout draw their masks.
        dropout: probability of zeroing an element of the output of every layer but the last.
        reset_after: True: n = tanh(.. + r * (W_hn h + b_hn)), PyTorch; False: W_hn (r * h), Cho et al. 2014.
        recurrent_dropout: probability of zeroing a unit of h_{t-1} where it enters W_hh, one mask a sequence.
        zoneout: probability that a unit keeps its state at a step; in evaluation its expectation.
    """

    bidirectional: bool = False
    batch_first: bool = False
    training: bool = False
    dropout: float = 0.0
    reset_after: bool = True
    recurrent_dropout: float = 0.0
    zoneout: float = 0.0

    @property
    def num_directions(self) -> int:
        """2 if bidirectional, otherwise 1."""
        return 2 if self.bidirectional else 1


class Noise(NamedTuple):
    """Every random mask of one forward pass, so that what follows is a pure function.

    With L layers, D directions, and entry l * D + d for direction d of layer l:

    Args:
        dropout: [L - 1, T, B, D * H], multiplied into the outputs of all layers but the last, or None.
        recurrent: [L * D, B, H], multiplied into h_{t-1} where it enters W_hh, or None.
        zoneout: bool [L * D, T, B, H], True where a unit keeps its state; or a probability, whose expectation
            is taken (evaluation); 0.0 is none.
    """

    dropout: Tensor | None = None
    recurrent: Tensor | None = None
    zoneout: Tensor | float = 0.0


class Call(NamedTuple):
    """One checked call on a batch: what every path takes.

    Shapes: input [T, B, I] ([B, T, I] if ``settings.batch_first``), hx [L * D, B, H], lengths B integers
    (a tensor only under the compiler), resets bool [B, T].
    """

    input: Tensor
    hx: Tensor
    weights: tuple[CellWeights, ...]
    settings: GRUSettings
    lengths: list[int] | Tensor | None = None
    resets: Tensor | None = None
    noise: Noise | None = None
    return_gates: bool = False

    @property
    def num_layers(self) -> int:
        """The number of layers, L."""
        return len(self.weights) // self.settings.num_directions


class CellCall(NamedTuple):
    """One checked step of a cell on a batch.

    Shapes: input [B, I], hx [B, H], recurrent_mask [B, H]; zoneout a probability or bool [B, H].
    """

    input: Tensor
    hx: Tensor
    weights: CellWeights
    reset_after: bool = True
    zoneout: Tensor | float = 0.0
    recurrent_mask: Tensor | None = None
    return_gates: bool = False
