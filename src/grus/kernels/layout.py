"""The weights of one GRU direction, and conversions between the layouts found in books and libraries.

Grus keeps one layout everywhere, that of PyTorch: gate blocks stacked in the order r, z, n along the first
axis, input and recurrent matrices apart, two biases.  Other layouts exist only inside converters, and this
module is what converters are made of.  Everything is pure NumPy and returns new arrays.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import DTypeLike, NDArray

from grus.errors import UsageError

GATE_ORDER = "rzn"
"""Reset, update, candidate: the order of the gate blocks in every array of this package."""

LSTM_ORDER = "ifgo"
"""Input, forget, cell candidate, output: the order of an LSTM's gate blocks, as in torch.nn.LSTM."""

LSTM_ONNX_ORDER = "iofg"
"""The same blocks as ONNX's LSTM operator has them; its own letters are i, o, f, c."""

_GATE_LETTERS = {"r": "r", "z": "z", "u": "z", "n": "n", "h": "n", "o": "n", "c": "n"}

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class GRUWeights:
    """The weights of one direction of one GRU layer, hidden size H, input size I, gate order r, z, n.

    Args:
        weight_ih: [3H, I], the input matrices W_ir, W_iz, W_in.
        weight_hh: [3H, H], the recurrent matrices W_hr, W_hz, W_hn.
        bias_ih: [3H] or None for zeros.
        bias_hh: [3H] or None for zeros.
        gain_ih: [3H] or None; present means layer normalisation of the input products, with ``bias_ih`` as
            the shift.
        gain_hh: [3H] or None; the same for the recurrent products and ``bias_hh``.  Both gains or neither.

    Raises:
        UsageError: a shape, a dtype or the combination of gains does not fit.
    """

    weight_ih: Array
    weight_hh: Array
    bias_ih: Array | None = None
    bias_hh: Array | None = None
    gain_ih: Array | None = None
    gain_hh: Array | None = None

    def __post_init__(self) -> None:
        """Refuse shapes and dtypes that do not belong together."""
        if self.weight_hh.ndim != 2 or self.weight_hh.shape[0] != 3 * self.weight_hh.shape[1]:
            raise UsageError(f"GRUWeights: weight_hh must have shape (3*H, H), got {self.weight_hh.shape}")
        rows = self.weight_hh.shape[0]
        if self.weight_ih.ndim != 2 or self.weight_ih.shape[0] != rows:
            raise UsageError(f"GRUWeights: weight_ih must have shape ({rows}, I), got {self.weight_ih.shape}")
        for name, array in self.items():
            if name not in ("weight_ih", "weight_hh") and array.shape != (rows,):
                raise UsageError(f"GRUWeights: {name} must have shape ({rows},), got {array.shape}")
            if array.dtype != self.dtype or not np.issubdtype(array.dtype, np.floating):
                raise UsageError(
                    f"GRUWeights: {name} must have the floating dtype of weight_ih ({self.dtype}), "
                    f"got {array.dtype}"
                )
        if (self.gain_ih is None) != (self.gain_hh is None):
            raise UsageError("GRUWeights: gain_ih and gain_hh must both be given or both be None, got one")

    @property
    def input_size(self) -> int:
        """The number of input features, I."""
        return self.weight_ih.shape[1]

    @property
    def hidden_size(self) -> int:
        """The number of hidden units, H."""
        return self.weight_hh.shape[1]

    @property
    def dtype(self) -> np.dtype:
        """The dtype shared by all arrays."""
        return self.weight_ih.dtype

    @property
    def layer_norm(self) -> bool:
        """Whether gains are present, that is, whether the products are layer-normalised."""
        return self.gain_ih is not None

    def items(self) -> list[tuple[str, Array]]:
        """The arrays that are present, with their names, in the order of the fields."""
        pairs = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return [(name, array) for name, array in pairs if array is not None]

    def map(self, function: Callable[[Array], Array]) -> "GRUWeights":
        """The same weights with ``function`` applied to every array that is present."""
        return GRUWeights(**{name: function(array) for name, array in self.items()})

    def astype(self, dtype: DTypeLike) -> "GRUWeights":
        """The same weights, copied to another floating dtype."""
        return self.map(lambda array: array.astype(dtype))


def _canonical_order(order: str) -> str:
    """Spell a gate order with r, z, n; h, o, c mean the candidate and u the update gate."""
    letters = "".join(_GATE_LETTERS.get(letter, "?") for letter in order)
    if sorted(letters) != sorted(GATE_ORDER):
        raise UsageError(
            f"gate order: must name the reset (r), update (z or u) and candidate (n, h, o or c) gate "
            f"once each, got {order!r}"
        )
    return letters


def reorder_gates(array: Array, source: str, target: str = GATE_ORDER) -> Array:
    """Reorder the three gate blocks along the first axis of an array.

    Args:
        array: [3H, ...], a weight matrix, bias or gain with blocks in the order ``source``.
        source: the present order, such as ``"zrh"`` (Keras, ONNX), ``"uro"`` (oneDNN) or ``"rzn"``.
        target: the wanted order; by default that of Grus and PyTorch.

    Returns:
        A new array [3H, ...] with blocks in the order ``target``.

    Raises:
        UsageError: an order does not name each gate once, or the first axis is not three equal blocks.
    """
    source, target = _canonical_order(source), _canonical_order(target)
    if array.ndim == 0 or array.shape[0] % 3:
        raise UsageError(
            f"reorder_gates: array must have a first axis of three equal gate blocks, got shape {array.shape}"
        )
    return reorder_blocks(array, source, target)


def reorder_blocks(array: Array, source: str, target: str) -> Array:
    """Reorder equal blocks along the first axis; an order names every block by a letter, as ``LSTM_ORDER`` does."""
    assert sorted(source) == sorted(target)
    blocks = dict(zip(source, np.split(array, len(source))))
    return np.concatenate([blocks[gate] for gate in target])


def reorder_weights(weights: GRUWeights, source: str, target: str = GATE_ORDER) -> GRUWeights:
    """Apply `reorder_gates` to every array of a set of weights.

    The statistics of layer normalisation are shared by r and z whatever their order, so gains reorder too.
    """
    return weights.map(lambda array: reorder_gates(array, source, target))


def negate_update_gate(weights: GRUWeights) -> GRUWeights:
    """Convert between the two notations of the update gate; the conversion is its own inverse.

    ``h = (1 - z) * n + z * h_prev`` (Cho et al. 2014, PyTorch, and this package) and
    ``h = (1 - z) * h_prev + z * n`` (Chung et al. 2014) are the same function once the pre-activation of z
    changes sign, because sigmoid(-a) = 1 - sigmoid(a).  So W, U and b of z are negated; under layer
    normalisation the gains take the sign instead of the matrices, whose statistics r shares.

    Reference: Chung et al. 2014, "Empirical evaluation of gated recurrent neural networks", arXiv:1412.3555.
    """
    hidden = weights.hidden_size
    matrices = ("weight_ih", "weight_hh")

    def negated(name: str, array: Array) -> Array:
        result = array.copy()
        if not (weights.layer_norm and name in matrices):
            result[hidden : 2 * hidden] *= -1
        return result

    return GRUWeights(**{name: negated(name, array) for name, array in weights.items()})


def join_matrices(weights: GRUWeights, *, state_first: bool = True) -> Array:
    """Join both matrices into the textbook's single one, W [h_{t-1}, x_t].

    Args:
        weights: the split weights.
        state_first: True for columns [h, x], False for [x, h].

    Returns:
        [3H, H + I].  Biases stay apart; `fold_biases` makes one of two where that is possible.
    """
    parts = (weights.weight_hh, weights.weight_ih)
    return np.concatenate(parts if state_first else parts[::-1], axis=1)


def split_matrices(
    weight: Array, bias: Array | None = None, *, state_first: bool = True, source: str = GATE_ORDER
) -> GRUWeights:
    """Split the textbook's single matrix W [h_{t-1}, x_t] into input and recurrent matrices.

    Args:
        weight: [3H, H + I].
        bias: [3H], the single bias, or None; it becomes ``bias_ih``.
        state_first: True if the columns stand as [h, x], False for [x, h].
        source: the gate order of ``weight`` and ``bias``.

    Returns:
        The weights in the order r, z, n.  Texts that write W [r * h, x] for the candidate mean
        ``reset_after=False``.

    Raises:
        UsageError: the shape leaves no room for an input, or the rows are not three equal blocks.
    """
    if weight.ndim != 2 or weight.shape[0] % 3 or weight.shape[1] < weight.shape[0] // 3:
        raise UsageError(f"split_matrices: weight must have shape (3*H, H + I), got {weight.shape}")
    hidden = weight.shape[0] // 3
    cut = hidden if state_first else weight.shape[1] - hidden
    left, right = weight[:, :cut], weight[:, cut:]
    weight_hh, weight_ih = (left, right) if state_first else (right, left)
    split = GRUWeights(weight_ih.copy(), weight_hh.copy(), None if bias is None else bias.copy())
    return reorder_weights(split, source)


def fold_biases(weights: GRUWeights, *, reset_after: bool = True) -> GRUWeights:
    """Move every recurrent bias that can move into ``bias_ih``, leaving zeros behind.

    b_ir + b_hr and b_iz + b_hz only ever occur as sums.  The candidate's b_hn moves only where the reset
    gate acts before the product (``reset_after=False``): after it, r multiplies b_hn and not b_in.

    Args:
        weights: any weights; a missing bias counts as zeros.
        reset_after: the placement of the reset gate that the weights are meant for.

    Returns:
        Weights with both biases present; ``bias_hh`` is zero except, if ``reset_after``, in the n block.
    """
    rows = weights.weight_hh.shape[0]
    zeros = np.zeros(rows, weights.dtype)
    bias_ih = zeros if weights.bias_ih is None else weights.bias_ih
    bias_hh = zeros if weights.bias_hh is None else weights.bias_hh
    movable = np.arange(rows) < 2 * weights.hidden_size if reset_after else np.ones(rows, bool)
    folded = {
        "bias_ih": bias_ih + np.where(movable, bias_hh, zeros),
        "bias_hh": np.where(movable, zeros, bias_hh),
    }
    return GRUWeights(**{**dict(weights.items()), **folded})


def to_onnx_layout(weights: GRUWeights) -> tuple[Array, Array, Array]:
    """The weights as ONNX's GRU operator takes them, in its gate order z, r, h.

    Args:
        weights: without layer normalisation, which the operator does not know.

    Returns:
        W [3H, I], R [3H, H] and B [6H], the input bias before the recurrent one.

    Reference: ONNX operators, GRU, since version 14.
    """
    if weights.layer_norm:
        raise UsageError("to_onnx_layout: weights must have no gains, got layer normalisation")
    ordered = reorder_weights(weights, GATE_ORDER, "zrh")
    zeros = np.zeros(weights.weight_hh.shape[0], weights.dtype)
    bias = [zeros if b is None else b for b in (ordered.bias_ih, ordered.bias_hh)]
    return ordered.weight_ih, ordered.weight_hh, np.concatenate(bias)


def from_onnx_layout(w: Array, r: Array, b: Array | None = None) -> GRUWeights:
    """The inverse of :func:`to_onnx_layout`; a missing B is no bias.

    Raises:
        UsageError: a shape does not fit.
    """
    if b is not None and (r.ndim != 2 or b.shape != (2 * len(r),)):
        raise UsageError(f"from_onnx_layout: B must have shape (6*H,) beside R {r.shape}, got {b.shape}")
    halves = (None, None) if b is None else np.split(b, 2)
    return reorder_weights(GRUWeights(w, r, *halves), "zrh")


def from_keras_layout(
    kernel: Array, recurrent_kernel: Array, bias: Array | None = None, *, source: str = "zrh"
) -> GRUWeights:
    """The weights of a Keras GRU layer, whose matrices stand transposed: x W, with gate blocks along the columns.

    Args:
        kernel: [I, 3H].
        recurrent_kernel: [H, 3H].
        bias: [3H] (one bias, ``reset_after=False``), [2, 3H] or [6H] (input, then recurrent), or None.
        source: the order of the gate blocks; Keras writes z, r, h, the GRU of cuDNN r, z, h.

    Returns:
        The weights in the order r, z, n; a single bias becomes ``bias_ih``.

    Raises:
        UsageError: a shape does not fit.
    """
    rows = recurrent_kernel.shape[-1]
    if bias is not None and bias.shape not in ((rows,), (2, rows), (2 * rows,)):
        raise UsageError(
            f"from_keras_layout: bias must have shape (3*H,), (2, 3*H) or (6*H,), got {bias.shape}"
        )
    if bias is None or bias.shape == (rows,):
        biases = (bias, None)
    else:
        biases = tuple(bias.reshape(2, rows))
    return reorder_weights(GRUWeights(kernel.T.copy(), recurrent_kernel.T.copy(), *biases), source)
