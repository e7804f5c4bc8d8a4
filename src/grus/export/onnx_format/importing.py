"""GRU nodes of ONNX files as networks; see `grus.export.from_onnx`."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from onnx import NodeProto

from grus.errors import DataError, UnsupportedError, UsageError
from grus.export.network import Network, gru_network
from grus.export.onnx_format.read import (
    Scope,
    array_of,
    attribute,
    input_of,
    is_gru,
    node_name,
    read_onnx,
    scopes,
    text,
)
from grus.export.weights import named_weights
from grus.kernels.layout import GRUWeights, from_onnx_layout
from grus.spec import ops

#: What may stand between the layers of one GRU: they move axes, or do nothing when the model is run.
_BETWEEN = frozenset({"Squeeze", "Transpose", "Reshape", "Identity", "Dropout"})
_USUAL = [b"sigmoid", b"tanh"]


@dataclass(frozen=True)
class _Layer:
    directions: tuple[GRUWeights, ...]
    reset_after: bool
    has_bias: bool

    @property
    def sizes(self) -> tuple[int, int, bool, bool]:
        return self.directions[0].hidden_size, len(self.directions), self.reset_after, self.has_bias


def read_gru(source: Any, node: str) -> Network:
    """See `grus.export.from_onnx`."""
    model = read_onnx(source)
    found = [(scope, n) for scope in scopes(model) for n in filter(is_gru, scope.nodes)]
    if node:
        found = [(scope, n) for scope, n in found if node_name(n) == node]
    names = ", ".join(repr(node_name(n)) for _, n in found[:8])
    if not found:
        raise UsageError(f"from_onnx: the file must have a GRU node{f' {node!r}' if node else ''}, got none")
    if any(not _stands_on(upper, lower) for lower, upper in pairwise(found)):
        raise UsageError(f"from_onnx: node must be named, because the file has several: {names}")
    layers = [_layer(scope, n) for scope, n in found]
    if any(layer.sizes != layers[0].sizes for layer in layers):
        raise UsageError(f"from_onnx: node must be named, because the layers are not of one kind: {names}")
    return _network(layers)


def _network(layers: list[_Layer]) -> Network:
    hidden, directions, reset_after, has_bias = layers[0].sizes
    if len(layers) > 64:
        raise DataError(f"from_onnx: a GRU must have at most 64 layers, got {len(layers)}")
    for number, layer in enumerate(layers[1:], 1):
        if layer.directions[0].input_size != directions * hidden:
            raise DataError(
                f"from_onnx: layer {number} must read the {directions * hidden} units of the layer before it, "
                f"got {layer.directions[0].input_size}"
            )
    op = ops.GRU(hidden, len(layers), directions == 2, has_bias, reset_after)
    weights: dict[str, np.ndarray] = {}
    for number, layer in enumerate(layers):
        for suffix, part in zip((f"l{number}", f"l{number}_reverse"), layer.directions):
            weights |= named_weights(part, suffix)
    return gru_network(op, layers[0].directions[0].input_size, weights)


def _stands_on(upper: tuple[Scope, NodeProto], lower: tuple[Scope, NodeProto]) -> bool:
    """Whether a GRU reads nothing but the outputs of another."""
    (scope, node), (below, wanted) = upper, lower
    if scope is not below:
        return False
    name, seen = input_of(node, 0), set[str]()
    while name not in seen and name in scope.producers:
        seen.add(name)
        producer, number = scope.producers[name]
        if producer is wanted or list(producer.output) == list(wanted.output):
            return number == 0
        if producer.op_type not in _BETWEEN:
            return False
        name = input_of(producer, 0)
    return False


def _layer(scope: Scope, node: NodeProto) -> _Layer:
    where = f"GRU node {node_name(node)!r}"
    direction = attribute(node, "direction", "s", b"forward")
    if direction not in (b"forward", b"bidirectional"):
        raise UnsupportedError(f"{where}: direction must be forward or bidirectional, got {text(direction)}")
    activations = [name.lower() for name in attribute(node, "activations", "strings", ())]
    if activations not in ([], _USUAL, _USUAL * 2):
        raise UnsupportedError(
            f"{where}: activations must be Sigmoid and Tanh, got {', '.join(map(text, activations))}"
        )
    if attribute(node, "clip", "f") is not None:
        raise UnsupportedError(f"{where}: clip must not be set, got {attribute(node, 'clip', 'f')}")
    w, r = (_constant(scope, input_of(node, number), where) for number in (1, 2))
    b = _constant(scope, input_of(node, 3), where) if input_of(node, 3) else None
    count = 2 if direction == b"bidirectional" else 1
    if (
        w.ndim != 3
        or r.ndim != 3
        or len(w) != count
        or len(r) != count
        or (b is not None and b.shape[:1] != (count,))
    ):
        raise DataError(
            f"{where}: W, R and B must have {count} directions, got W {list(w.shape)} and R {list(r.shape)}"
        )
    try:
        parts = tuple(from_onnx_layout(w[i], r[i], None if b is None else b[i]) for i in range(count))
    except UsageError as error:
        raise DataError(f"{where}: its weights must fit together: {error}") from error
    return _Layer(parts, bool(attribute(node, "linear_before_reset", "i", 0)), b is not None)


def _constant(scope: Scope, name: str, where: str) -> np.ndarray:
    if name not in scope.constants:
        raise UnsupportedError(
            f"{where}: its weights must be constants of the file, got {name!r}, which is computed"
        )
    array = array_of(scope.constants[name])
    if array.dtype.kind != "f":
        raise DataError(f"{where}: its weights must be floats, got {array.dtype}")
    return array.astype(np.float32)
