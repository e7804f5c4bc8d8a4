"""`grus.export.check_onnx`: what is probably wrong with the GRU nodes of an ONNX file, whoever wrote it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto

from grus.errors import DataError
from grus.export.onnx_format.findings import Finding, Kind, OnnxCheck
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

#: Those that write Keras layers: with one bias, which is all that Keras has without reset_after, they leave Rb zero.
_KERAS = ("tf2onnx", "keras2onnx", "keras")
#: Elementwise functions and others that leave every axis but the last as it is.
_SAME_AXES = frozenset({
    "Identity", "Cast", "Dropout", "Relu", "LeakyRelu", "Elu", "Selu", "Gelu", "Tanh", "Sigmoid", "Softplus", "Clip",
    "Erf", "Sqrt", "Exp", "Log", "Abs", "LayerNormalization", "MatMul", "Add", "Sub", "Mul", "Div", "Pow",
    "Neg", "Where",
})  # fmt: skip
_RECURRENT = ("GRU", "LSTM", "RNN")
_HINTS: dict[Kind, str] = {
    "reset": "compare outputs with the original; if they differ, set the attribute linear_before_reset to 1, or export "
    "again with grus.export.onnx",
    "batch": "export again with a dynamic batch axis, and with the initial state as an input",
    "time": "export again with a dynamic time axis",
    "state": "export again with the initial state as an input and the final state as an output; as it is, only whole "
    "sequences give right answers",
}


def check(source: Any) -> OnnxCheck:
    """Look at every GRU node of an ONNX file, those inside loops and functions too; see `grus.export.check_onnx`."""
    model = read_onnx(source)
    nodes, findings = 0, []
    for scope in scopes(model):
        for node in filter(is_gru, scope.nodes):
            nodes += 1
            findings += _look(model, scope, node)
    producer = f"{text(model.producer_name)} {text(model.producer_version)}".strip()
    return OnnxCheck(producer, nodes, tuple(findings))


def _look(model: ModelProto, scope: Scope, node: NodeProto) -> Iterator[Finding]:
    name, batch_first = node_name(node), attribute(node, "layout", "i", 0) == 1
    wrong = _reset(model, scope, node)
    if wrong:
        yield Finding(name, "reset", wrong, _HINTS["reset"])
    batch, time = (0, 1) if batch_first else (1, 0)
    frozen = _frozen(scope, input_of(node, 0), batch) or _constant_rows(scope, input_of(node, 5), batch)
    if frozen:
        yield Finding(name, "batch", f"the batch axis is frozen: {frozen}", _HINTS["batch"])
    frozen = _frozen(scope, input_of(node, 0), time)
    if frozen:
        yield Finding(name, "time", f"the time axis is frozen: {frozen}", _HINTS["time"])
    forward = attribute(node, "direction", "s", b"forward") in (b"forward", b"")
    if forward and not _is_given(scope, input_of(node, 5)):
        yield Finding(
            name, "state", "the initial state is no input, so no sequence can be continued", _HINTS["state"]
        )


def _reset(model: ModelProto, scope: Scope, node: NodeProto) -> str:
    """Why linear_before_reset=0 is probably wrong, or nothing."""
    producer = text(model.producer_name).lower()
    if attribute(node, "linear_before_reset", "i", 0) or producer == "grus":
        return ""
    if producer.startswith("pytorch"):
        return (
            "linear_before_reset is 0, but PyTorch's GRU applies the reset gate after the product, which is 1"
        )
    biases = _candidate_biases(scope, input_of(node, 3))
    if biases is None or not biases[1].any():
        return ""
    if producer in _KERAS:
        return "linear_before_reset is 0, but there is a recurrent bias, which Keras has only with reset_after, so 1"
    if biases[0].any():
        return (
            "linear_before_reset is 0, but the candidate has two biases, which act apart only where it is 1"
        )
    return ""


def _candidate_biases(scope: Scope, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """The input and the recurrent bias of the candidate, [D, H] each, where they are constants of the file."""
    if name not in scope.constants:
        return None
    try:
        b = array_of(scope.constants[name])
    except DataError:  # also where the data lie in another file
        return None
    if b.ndim != 2 or b.shape[1] % 6:
        return None
    hidden = b.shape[1] // 6
    return b[:, 2 * hidden : 3 * hidden], b[:, 5 * hidden :]


def _constant_rows(scope: Scope, name: str, axis: int) -> str:
    tensor = scope.constants.get(name)
    rows = tensor.dims[axis] if tensor is not None and len(tensor.dims) == 3 else 0
    return f"the initial state is a constant for {rows} rows" if rows > 0 else ""


def _frozen(scope: Scope, name: str, axis: int) -> str:
    """Where an axis of a value got its fixed size, followed back towards the inputs, or nothing."""
    seen: set[str] = set()
    while name not in seen:
        seen.add(name)
        size = scope.dim(name, axis)
        if name in scope.inputs or name not in scope.producers:
            return f"input {name!r} has a fixed size of {size}" if size and name in scope.inputs else ""
        node, _ = scope.producers[name]
        if node.op_type == "Reshape":
            wanted = _whole_numbers(scope, input_of(node, 1))
            fixed = wanted[axis] if wanted is not None and 0 <= axis < len(wanted) else -1
            if fixed > 0:
                return f"Reshape {node_name(node)!r} gives it a fixed size of {fixed}"
            name = input_of(node, 0) if fixed == 0 else ""
            continue
        before, before_axis = _step_back(scope, node, name, axis)
        if not before:
            return f"value {name!r} has a fixed size of {size}" if size else ""
        name, axis = before, before_axis
    return ""


def _step_back(scope: Scope, node: NodeProto, name: str, axis: int) -> tuple[str, int]:
    """The value and axis that an axis of a node's output comes from; an empty name if that is not known."""
    first = input_of(node, 0)
    if node.op_type in _SAME_AXES:
        others = [other for other in node.input if other not in scope.constants]
        return (others[0] if others else ""), axis
    if node.op_type == "Transpose":
        order = list(attribute(node, "perm", "ints", ()))
        return (first, order[axis]) if 0 <= axis < len(order) else ("", 0)
    if node.op_type == "Gather" and first in scope.constants and not attribute(node, "axis", "i", 0):
        return input_of(node, 1), axis
    if node.op_type in ("Squeeze", "Unsqueeze"):
        return _past_axes(scope, node, axis)
    if (
        node.op_type in _RECURRENT
        and name == next(iter(node.output), "")
        and attribute(node, "layout", "i", 0) == 0
    ):
        return (first, {0: 0, 2: 1}[axis]) if axis in (0, 2) else ("", 0)
    return "", 0


def _past_axes(scope: Scope, node: NodeProto, axis: int) -> tuple[str, int]:
    """Through Squeeze and Unsqueeze, whose axes are an input, or in old files an attribute."""
    axes = _whole_numbers(scope, input_of(node, 1))
    axes = list(attribute(node, "axes", "ints", ())) if axes is None else axes
    if not axes or min(axes) < 0 or len(axes) > 8:
        return "", 0
    if node.op_type == "Unsqueeze":
        return ("", 0) if axis in axes else (input_of(node, 0), axis - sum(a < axis for a in axes))
    for dropped in sorted(axes):
        axis += dropped <= axis
    return input_of(node, 0), axis


def _whole_numbers(scope: Scope, name: str) -> list[int] | None:
    tensor = scope.constants.get(name)
    if tensor is None or len(tensor.dims) > 1:
        return None
    try:
        values = array_of(tensor)
    except DataError:
        return None
    return [int(v) for v in values.ravel()] if values.dtype.kind == "i" else None


def _is_given(scope: Scope, name: str) -> bool:
    """Whether a value depends on an input by more than its shape; in bodies and functions, also what is not known."""
    pending, seen = [name], set()
    while pending:
        current = pending.pop()
        if not current or current in seen or current in scope.constants:
            continue
        seen.add(current)
        if current in scope.inputs or current not in scope.producers:
            return True
        node, _ = scope.producers[current]
        if node.op_type not in ("Shape", "Size"):
            pending += node.input
    return False
