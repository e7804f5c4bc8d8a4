"""ONNX files as hostile input: read, walked and looked up without trusting a name, a size or a shape in them."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from grus.errors import DataError
from grus.export.onnx_format.wire import check_wire

#: Protobuf, the container of ONNX, holds no message of 2 GiB.
MAX_BYTES = (1 << 31) - 1
#: In older files every constant is listed among the inputs too; since then, one that is may be overridden.
_IR_WITH_DEFAULTS = 4
_MAX_AXES = 8
_DTYPES: dict[int, np.dtype] = {
    TensorProto.FLOAT: np.dtype("<f4"),
    TensorProto.DOUBLE: np.dtype("<f8"),
    TensorProto.FLOAT16: np.dtype("<f2"),
    TensorProto.INT64: np.dtype("<i8"),
    TensorProto.INT32: np.dtype("<i4"),
}
_FIELDS: dict[int, str] = {
    TensorProto.FLOAT: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.INT64: "int64_data",
    TensorProto.INT32: "int32_data",
}


def read_onnx(source: Any) -> ModelProto:
    """Parse an ONNX file; weights that lie in other files are not looked for.

    Args:
        source: a path, the bytes of a file, or a ModelProto, which is returned as it is.

    Raises:
        DataError: it cannot be read, is too large, or is no ONNX model.
    """
    if isinstance(source, ModelProto):
        return source
    name, data = (
        ("model", source) if isinstance(source, bytes) else (os.fspath(source), _content(Path(source)))
    )
    model = ModelProto()
    try:
        check_wire(data, name)
        model.ParseFromString(data)
    except (DecodeError, RecursionError) as error:
        raise DataError(f"{name}: must be an ONNX file, got something else or a damaged one") from error
    if not model.graph.node:
        raise DataError(f"{name}: must be an ONNX file with a graph, got none in it")
    return model


def _content(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise DataError(f"{path}: an ONNX file must be at most {MAX_BYTES} bytes, got {size}")
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"{path}: cannot be read as an ONNX file: {reason}") from error


def array_of(tensor: TensorProto) -> np.ndarray:
    """A constant as an array.

    Raises:
        DataError: its data lie in another file, are of no type that weights have, or are not as many as its shape says.
    """
    where = f"tensor {tensor.name!r}"
    if tensor.data_location == TensorProto.EXTERNAL:
        raise DataError(f"{where}: must lie in the file itself, got one whose data lie in another file")
    dtype, shape = _DTYPES.get(tensor.data_type), tuple(tensor.dims)
    if dtype is None:
        raise DataError(f"{where}: must be of numbers, got data type {tensor.data_type}")
    if tensor.raw_data or tensor.data_type not in _FIELDS:
        count, odd = divmod(len(tensor.raw_data), dtype.itemsize)
        values: Any = np.frombuffer(tensor.raw_data[: count * dtype.itemsize], dtype)
    else:
        field_values = getattr(tensor, _FIELDS[tensor.data_type])
        count, odd, values = len(field_values), 0, np.array(field_values, dtype)
    if odd or not _fits(shape, count):
        raise DataError(
            f"{where}: shape {list(shape[:_MAX_AXES])} must be that of its data, got {count} numbers"
        )
    return values.reshape(shape)


def _fits(shape: tuple[int, ...], count: int) -> bool:
    """Whether so many numbers have that shape, and no axis beside an empty one is beyond all bounds."""
    room = math.prod(max(size, 1) for size in shape)
    return (
        len(shape) <= _MAX_AXES
        and min(shape, default=0) >= 0
        and room <= MAX_BYTES
        and math.prod(shape) == count
    )


@dataclass
class Scope:
    """The names of a graph, of the body of a Loop, If or Scan, or of a function.

    Attributes:
        inputs: names that are given from outside, with their types where they have one.
        constants: names of stored or constant tensors.
        producers: by name, the node and the number of its output.
        shapes: types of values in between, as the file states them.
        nodes: in the order of the file.
        is_whole: for the model's own graph, whose inputs are the user's.
    """

    inputs: dict[str, ValueInfoProto | None] = field(default_factory=dict)
    constants: dict[str, TensorProto] = field(default_factory=dict)
    producers: dict[str, tuple[NodeProto, int]] = field(default_factory=dict)
    shapes: dict[str, ValueInfoProto] = field(default_factory=dict)
    nodes: list[NodeProto] = field(default_factory=list)
    is_whole: bool = False

    def dim(self, name: str, axis: int) -> int:
        """The fixed size of an axis of an input, or of a value whose type the file states; 0 if open or unknown."""
        info = self.inputs.get(name) or self.shapes.get(name)
        dims = info.type.tensor_type.shape.dim if info is not None else ()
        return max(dims[axis].dim_value, 0) if 0 <= axis < len(dims) else 0


def scopes(model: ModelProto) -> Iterator[Scope]:
    """The graph, then every body inside it and every function."""
    pending: list[tuple[Any, bool]] = [(model.graph, True), *((f, False) for f in model.functions)]
    while pending:
        graph, whole = pending.pop(0)
        yield _scope(graph, whole, model.ir_version)
        for node in graph.node:
            for attribute in node.attribute:
                pending += [(body, False) for body in (attribute.g, *attribute.graphs) if body.node]


def _scope(graph: Any, whole: bool, ir_version: int) -> Scope:
    scope = Scope(nodes=list(graph.node), is_whole=whole)
    stored = {tensor.name: tensor for tensor in getattr(graph, "initializer", ())}
    for value in graph.input:
        name, info = (value, None) if isinstance(value, str) else (value.name, value)
        if name not in stored or ir_version >= _IR_WITH_DEFAULTS:
            scope.inputs[name] = info
    scope.constants = {name: tensor for name, tensor in stored.items() if name not in scope.inputs}
    scope.shapes = {value.name: value for value in graph.value_info}
    for node in graph.node:
        for number, name in enumerate(node.output):
            scope.producers[name] = node, number
        tensor = attribute(node, "value", "t")
        if node.op_type == "Constant" and tensor is not None:
            scope.constants.update((name, tensor) for name in node.output[:1])
    return scope


_KINDS = {
    "i": AttributeProto.INT, "f": AttributeProto.FLOAT, "s": AttributeProto.STRING, "t": AttributeProto.TENSOR,
    "ints": AttributeProto.INTS, "strings": AttributeProto.STRINGS,
}  # fmt: skip


def attribute(node: NodeProto, name: str, kind: str, default: Any = None) -> Any:
    """The value of an attribute; one of another kind than ``kind``, the name of its field, is none."""
    for found in node.attribute:
        if found.name == name and found.type == _KINDS[kind]:
            return getattr(found, kind)
    return default


def input_of(node: NodeProto, number: int) -> str:
    """The name of an input, empty if it is left out."""
    return node.input[number] if number < len(node.input) else ""


def node_name(node: NodeProto) -> str:
    """What a node is called; one without a name is called by its first output."""
    return text(node.name or next((name for name in node.output if name), "") or node.op_type)


def text(value: Any) -> str:
    """A name to show on one line; what is no UTF-8 comes out of protobuf as bytes."""
    decoded = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in decoded)


def is_gru(node: NodeProto) -> bool:
    """Whether it is the GRU of ONNX's own operators."""
    return node.op_type == "GRU" and node.domain in ("", "ai.onnx")
