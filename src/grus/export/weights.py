"""Trained GRU weights of other libraries and books as networks; the conversions stand in `grus.kernels.layout`."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from grus.errors import SpecError, UnsupportedError, UsageError
from grus.export.network import Network, gru_network
from grus.kernels.layout import GRUWeights, from_keras_layout, negate_update_gate, split_matrices
from grus.spec import Shape, ops

_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "gain_ih", "gain_hh")


def from_torch(source: Any, *, prefix: str = "", reset_after: bool = True) -> Network:
    """Take the weights of a ``torch.nn.GRU`` or `grus.nn.GRU`, of any number of layers and directions.

    Args:
        source: the module, or a state_dict of tensors or arrays.
        prefix: what stands before ``weight_ih_l0`` in the state_dict of a larger model, such as ``"encoder."``.
        reset_after: where the reset gate acts, for a state_dict; a module says it itself.

    Returns:
        A network with the input ``x`` and the outputs ``out`` and ``state``, batch first.

    Raises:
        UsageError: there is no GRU there, or its tensors do not fit together.
    """
    state = source
    if hasattr(source, "state_dict"):
        state, reset_after = source.state_dict(), getattr(source, "reset_after", reset_after)
    if not isinstance(state, Mapping):
        raise UsageError(f"from_torch: source must be a module or a state_dict, got {type(source).__name__}")
    arrays = {
        key.removeprefix(prefix): _floats(key, value)
        for key, value in state.items()
        if key.startswith(prefix)
    }
    found = {key: value for key, value in arrays.items() if key.rpartition("_l")[0] in _NAMES}
    if "weight_hh_l0" not in found or found["weight_hh_l0"].ndim != 2:
        known = sorted(key.removesuffix("weight_hh_l0") for key in state if str(key).endswith("weight_hh_l0"))
        raise UsageError(
            f"from_torch: there must be a tensor {prefix + 'weight_hh_l0'!r}, got none",
            hint=f"prefix may be one of {known}" if known else "",
        )
    op = ops.GRU(
        found["weight_hh_l0"].shape[1],
        sum(key.startswith("weight_hh_l") and not key.endswith("_reverse") for key in found),
        "weight_hh_l0_reverse" in found,
        "bias_ih_l0" in found,
        reset_after,
        "gain_ih_l0" in found,
        zoneout=getattr(source, "zoneout", 0.0),
    )
    return _checked("from_torch", op, found)


def from_keras(source: Any, *, reset_after: bool | None = None, gate_order: str = "zrh") -> Network:
    """Take the weights of a Keras GRU layer.

    Args:
        source: the layer, or what its ``get_weights()`` returns: kernel [I, 3H], recurrent kernel [H, 3H] and, with a
            bias, [3H] (``reset_after=False``), [2, 3H] (``reset_after=True``) or [6H] (the layer for cuDNN).
        reset_after: where the reset gate acts; None: the layer says it, or the bias does by its shape.
        gate_order: of the blocks: Keras writes ``"zrh"``; weights that were stored for cuDNN stand as ``"rzh"``.

    Returns:
        A network with the input ``x`` and the outputs ``out`` and ``state``.

    Raises:
        UsageError: the arrays do not fit together, or nothing says where the reset gate acts.
        UnsupportedError: the layer has other activations, or reads backwards.
    """
    arrays = source
    if hasattr(source, "get_weights"):
        config = source.get_config()
        _check_keras(config)
        arrays, reset_after = source.get_weights(), config.get("reset_after", True)
    if not isinstance(arrays, Sequence) or not 2 <= len(arrays) <= 3:
        raise UsageError(
            "from_keras: source must be a layer or its two or three arrays, got "
            + (f"{len(arrays)}" if isinstance(arrays, Sequence) else type(source).__name__)
        )
    kernel, recurrent, *rest = (_floats(f"array {number}", array) for number, array in enumerate(arrays))
    if kernel.ndim != 2 or recurrent.ndim != 2:
        raise UsageError(f"from_keras: kernels must have two axes, got {kernel.shape} and {recurrent.shape}")
    if reset_after is None and not rest:
        raise UsageError("from_keras: reset_after must be given for weights without a bias, got None")
    if reset_after is None:
        reset_after = rest[0].shape != recurrent.shape[1:]
    weights = from_keras_layout(kernel, recurrent, *rest, source=gate_order)
    return _single(weights, reset_after)


def from_concatenated(
    weight: Any,
    bias: Any = None,
    *,
    update: Literal["keeps", "replaces"],
    gate_order: str = "zrh",
    state_first: bool = True,
    reset_after: bool = False,
) -> Network:
    """Take the weights of a GRU as textbooks write it, with one matrix W [h_{t-1}, x_t] a gate.

    Args:
        weight: [3H, H + I], or three matrices [H, H + I], one a gate.
        bias: [3H], or three vectors [H], or None.
        update: what z does: ``"keeps"``: h_t = z * h_{t-1} + (1 - z) * n (Cho et al. 2014, equation 7); ``"replaces"``:
            h_t = (1 - z) * h_{t-1} + z * n (Chung et al. 2014, equation 9).
        gate_order: of the gates in ``weight`` and ``bias``; h, n, o and c mean the candidate, u the update gate.
        state_first: the columns are [h, x]; False: [x, h].
        reset_after: False for W [r * h, x], as textbooks have it.

    Returns:
        A network with the input ``x`` and the outputs ``out`` and ``state``.

    Raises:
        UsageError: an array, an order or ``update`` is none of these.
    """
    if update not in ("keeps", "replaces"):
        raise UsageError(f"from_concatenated: update must be keeps or replaces, got {update!r}")
    joined = _joined("weight", weight, 2)
    single = None if bias is None else _joined("bias", bias, 1)
    weights = split_matrices(joined, single, state_first=state_first, source=gate_order)
    return _single(weights if update == "keeps" else negate_update_gate(weights), reset_after)


def named_weights(weights: GRUWeights, suffix: str) -> dict[str, np.ndarray]:
    """The arrays of one direction as a spec's GRU names them; a bias that is missing beside another is zeros."""
    arrays = dict(weights.items())
    if weights.bias_ih is not None or weights.bias_hh is not None:
        zeros = np.zeros(len(weights.weight_hh), weights.dtype)
        arrays = {"bias_ih": zeros, "bias_hh": zeros} | arrays
    return {f"{name}_{suffix}": array for name, array in arrays.items()}


def _single(weights: GRUWeights, reset_after: bool) -> Network:
    """One layer in one direction."""
    named = named_weights(weights, "l0")
    op = ops.GRU(weights.hidden_size, bias="bias_ih_l0" in named, reset_after=reset_after)
    return gru_network(op, weights.input_size, named)


def _checked(where: str, op: ops.GRU, found: Mapping[str, np.ndarray]) -> Network:
    """The network, if the tensors are those of the op."""
    first = found.get("weight_ih_l0")
    size = first.shape[1] if first is not None and first.ndim == 2 else 0
    try:
        op.infer((Shape("seq", size, "src"),))
    except SpecError as error:
        raise UsageError(f"{where}: {error}") from error
    wanted = op.weights((Shape("seq", size, "src"),))
    for name in {**wanted, **found}:
        got = found[name].shape if name in found else "nothing"
        if got != wanted.get(name, "nothing"):
            raise UsageError(f"{where}: tensor {name!r} must be {wanted.get(name, 'left out')}, got {got}")
    return gru_network(op, size, found)


def _check_keras(config: Mapping[str, Any]) -> None:
    wanted = {"activation": "tanh", "recurrent_activation": "sigmoid", "go_backwards": False}
    for key, value in wanted.items():
        if config.get(key, value) != value:
            raise UnsupportedError(f"from_keras: the layer's {key} must be {value!r}, got {config[key]!r}")


def _joined(what: str, value: Any, axes: int) -> np.ndarray:
    """One array, or those of three gates on top of each other."""
    parts = (
        [_floats(what, part) for part in value] if isinstance(value, list | tuple) else [_floats(what, value)]
    )
    if any(part.ndim != axes or part.shape != parts[0].shape for part in parts):
        shapes = ", ".join(str(part.shape) for part in parts)
        raise UsageError(f"from_concatenated: {what} must have {axes} axes, every gate alike, got {shapes}")
    return np.concatenate(parts)


def _floats(what: str, value: Any) -> np.ndarray:
    """A float32 copy of an array or of a torch tensor."""
    array = value.detach().cpu().float().numpy() if hasattr(value, "detach") else np.asarray(value)
    if array.dtype.kind != "f":
        raise UsageError(f"{what}: must be an array of floats, got {array.dtype}")
    return np.array(array, np.float32)
