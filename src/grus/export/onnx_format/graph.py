"""From a spec graph and its tensors to an ONNX model: inputs, outputs, states, and what a reader must know of them."""

import json
from collections.abc import Mapping
from typing import Any

from onnx import ModelProto, ValueInfoProto, helper

from grus.errors import UnsupportedError, UsageError
from grus.export.network import Network
from grus.export.onnx_format.build import IR_VERSION, OPSET, Builder, value_info
from grus.export.onnx_format.lowering import Call, Lowering, StatePort, Value
from grus.export.onnx_format.ops import LOWERINGS
from grus.spec import Graph, Shape, infer, node_weights, ops, require, require_streaming, weight_shapes

#: Protobuf, the container of ONNX, holds no message of 2 GiB.
MAX_BYTES = (1 << 31) - (1 << 20)
PRODUCER = "grus"
SCHEMA = 1


def can_stream(graph: Graph) -> bool:
    """Whether the graph can run in chunks with its states carried."""
    try:
        require_streaming(graph)
    except UnsupportedError:
        return False
    return True


def lengths_name(clock: str) -> str:
    """The input that says how many steps of each row are valid on a clock."""
    return f"{clock}.lengths"


def to_onnx(network: Network, metadata: Mapping[str, Any] | None = None) -> ModelProto:
    """Lower a network to ONNX.

    Args:
        network: graph and tensors.
        metadata: more for the file's metadata, written as JSON under ``grus.<key>``.

    Raises:
        UnsupportedError: an op has no lowering, or the weights do not fit into one file.
        UsageError: a tensor is missing or has another shape.
    """
    graph = network.graph
    require(graph, "onnx")
    _check_tensors(network)
    to = _begin(graph)
    shapes, values = _lower(to, network)
    for name, source in graph.outputs.items():
        to.b.name(values[source].name, output_name(graph, name))
    outputs = [_output(graph, name, shapes[source]) for name, source in graph.outputs.items()]
    body = to.b.graph("grus", _inputs(graph) + to.inputs(), outputs + to.outputs())
    model = helper.make_model(
        body, producer_name=PRODUCER, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    about = {"schema": SCHEMA, "states": [_about(state) for state in to.states], **(metadata or {})}
    helper.set_model_props(model, {f"grus.{key}": json.dumps(value) for key, value in about.items()})
    return model


def output_name(graph: Graph, name: str) -> str:
    """What an output is called in the file: its own name, unless an input has it."""
    return f"{name}.out" if any(port.name == name for port in graph.inputs) else name


def _check_tensors(network: Network) -> None:
    total = 0
    for name, shape in weight_shapes(network.graph).items():
        got = network.tensors.get(name)
        if got is None or got.shape != shape:
            found = "nothing" if got is None else f"{list(got.shape)}"
            raise UsageError(f"export: tensor {name!r} must have shape {list(shape)}, got {found}")
        total += got.nbytes
    if total > MAX_BYTES:
        raise UnsupportedError(
            f"export: the weights of an ONNX file must be below {MAX_BYTES} bytes, got {total}"
        )


def _begin(graph: Graph) -> Lowering:
    if not graph.inputs:
        raise UsageError("export: the graph must have an input, got none")
    b = Builder()
    full: dict[str, tuple[str, str]] = {}
    for port in graph.inputs:
        if port.clock and port.clock not in full:
            full[port.clock] = (b.dim(port.name, 1), lengths_name(port.clock))
    return Lowering(b, can_stream(graph), b.dim(graph.inputs[0].name, 0), full)


def _lower(to: Lowering, network: Network) -> tuple[dict[str, Shape], dict[str, Value]]:
    graph, shapes = network.graph, infer(network.graph)
    values = {
        port.name: Value(port.name, port.size, lengths_name(port.clock) if port.clock else "")
        for port in graph.inputs
    }
    for node in graph.nodes:
        out = shapes[node.name]
        inputs = tuple(values[name] for name in node.inputs)
        call = Call(node.name, node.op, node_weights(network.tensors, node), inputs, out.size, out.clock)
        for suffix, value in LOWERINGS[type(node.op)](to, call).items():
            values[node.name + suffix] = value
    return shapes, values


def _inputs(graph: Graph) -> list[ValueInfoProto]:
    """Ports, then the lengths of each clock; every size but the features' is left open."""
    ports = []
    for port in graph.inputs:
        dims = ["batch", *([port.clock] if port.clock else [])]
        is_codes = port.kind == "tokens"
        ports.append(
            value_info(
                port.name, "int64" if is_codes else "float32", dims if is_codes else [*dims, port.size]
            )
        )
    clocks = dict.fromkeys(port.clock for port in graph.inputs if port.clock)
    return ports + [value_info(lengths_name(clock), "int64", ["batch"]) for clock in clocks]


def _output(graph: Graph, name: str, shape: Shape) -> ValueInfoProto:
    """An output; where segments are, a chunk gives other numbers of steps than it takes, so they have another name."""
    if any(isinstance(node.op, ops.Segment | ops.Unsegment) for node in graph.nodes):
        steps = f"{name}.steps"
    else:
        steps = shape.clock
    width = f"{name}.steps" if shape.kind == "alignment" else shape.size
    dims = ["batch", *([steps] if shape.clock else []), width]
    is_codes = shape.kind == "tokens"
    return value_info(
        output_name(graph, name), "int64" if is_codes else "float32", dims[:-1] if is_codes else dims
    )


def _about(state: StatePort) -> dict[str, Any]:
    """A state for the metadata; it begins as zeros, and an axis that grows begins with none."""
    shape = ["batch", *(dim if isinstance(dim, int) else 0 for dim in state.dims[1:])]
    return {"input": state.input, "output": state.output, "dtype": state.dtype, "shape": shape}
