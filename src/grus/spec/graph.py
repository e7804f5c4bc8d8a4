"""Straight-line graphs: ports, nodes in topological order, outputs; and the one `infer` that checks them."""

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from grus.errors import SpecError
from grus.spec.ops import AnyOp, Op, Weights
from grus.spec.shapes import Kind, Shape, check_size

_Tensor = TypeVar("_Tensor")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
MAX_NODES = 4096


class Port(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An input of a graph. ``size`` is the feature count, or for tokens the number of codes."""

    name: str
    kind: Kind
    size: int
    clock: str = ""


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One op applied to earlier names. ``weights`` names an earlier node whose weights this one uses (tied).

    What the other node does not have is its own: a Linear tied to an Embedding shares the table and has its own bias.
    """

    name: str
    op: AnyOp
    inputs: tuple[str, ...]
    weights: str = ""


class Graph(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ports, nodes and named outputs. Each name is assigned once, before it is used; there is no control flow.

    Raises:
        SpecError: on construction or `check`, if names, shapes or ties do not fit.
    """

    inputs: tuple[Port, ...]
    nodes: tuple[Node, ...]
    outputs: dict[str, str]

    def __post_init__(self) -> None:
        infer(self)


def infer(graph: Graph) -> dict[str, Shape]:
    """Return the shape of every name in the graph, or raise SpecError with a sentence that names the node."""
    shapes: dict[str, Shape] = {}
    if len(graph.nodes) > MAX_NODES or len(graph.inputs) > MAX_NODES:
        raise SpecError(f"graph: must have at most {MAX_NODES} nodes, got {len(graph.nodes)}")
    for port in graph.inputs:
        _new_name(port.name, shapes)
        check_size(f"input {port.name!r}: size", port.size)
        if (port.kind == "seq" and not port.clock) or (port.kind == "vec" and port.clock):
            raise SpecError(
                f"input {port.name!r}: a seq needs a clock and a vec has none, got {port.kind} {port.clock!r}"
            )
        shapes[port.name] = Shape(port.kind, port.size, port.clock)
    weights: dict[str, Weights] = {}
    for node in graph.nodes:
        _new_name(node.name, shapes)
        inputs = _inputs(node, shapes)
        try:
            outputs = node.op.infer(inputs)
            weights[node.name] = node.op.weights(inputs)
        except SpecError as error:
            raise SpecError(f"node {node.name!r}: {error}") from None
        _check_tie(node, graph, weights)
        for suffix, shape in outputs.items():
            shapes[node.name + suffix] = shape
    for name, source in graph.outputs.items():
        if source not in shapes:
            raise SpecError(f"output {name!r}: no node {source!r} in the graph")
    return shapes


def weight_shapes(graph: Graph) -> Weights:
    """Shapes of all tensors a graph needs, by ``"<node>.<weight>"``; of tied nodes what they do not share."""
    shapes = infer(graph)
    of_node: dict[str, Weights] = {"": {}}
    found: Weights = {}
    for node in graph.nodes:
        of_node[node.name] = node.op.weights(tuple(shapes[i] for i in node.inputs))
        shared = of_node[node.weights]
        found |= {f"{node.name}.{n}": shape for n, shape in of_node[node.name].items() if n not in shared}
    return found


def node_weights(tensors: Mapping[str, _Tensor], node: Node) -> dict[str, _Tensor]:
    """Pick a node's tensors, by their own names, from the flat mapping that `weight_shapes` describes."""
    found: dict[str, _Tensor] = {}
    for prefix in (f"{node.name}.", f"{node.weights}.")[: 2 if node.weights else 1]:
        found |= {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    return found


def chain(port: Port, ops: Sequence[Op]) -> Graph:
    """Build a graph in which every op reads the one before it; the output is called ``"out"``.

    >>> from grus.spec.ops import GRU, Last, Linear
    >>> graph = chain(Port("x", "seq", 3, "src"), [GRU(8), Last(), Linear(2)])
    >>> [node.name for node in graph.nodes], infer(graph)["linear_2"].size
    (['gru_0', 'last_1', 'linear_2'], 2)
    """
    nodes: list[Node] = []
    for number, op in enumerate(ops):
        source = nodes[-1].name if nodes else port.name
        nodes.append(Node(f"{type(op).__struct_config__.tag}_{number}", op, (source,)))  # type: ignore[arg-type]
    return Graph((port,), tuple(nodes), {"out": nodes[-1].name if nodes else port.name})


def _new_name(name: str, shapes: Mapping[str, Shape]) -> None:
    if not _NAME.fullmatch(name):
        raise SpecError(f"graph: a name must be lower-case letters, digits and _, at most 64, got {name!r}")
    if name in shapes:
        raise SpecError(f"graph: each name may be assigned once, got {name!r} twice")


def _inputs(node: Node, shapes: Mapping[str, Shape]) -> tuple[Shape, ...]:
    low, high = node.op.arity
    if not low <= len(node.inputs) <= high:
        raise SpecError(
            f"node {node.name!r}: {node.op.name} takes {low} to {high} inputs, got {len(node.inputs)}"
        )
    missing = [name for name in node.inputs if name not in shapes]
    if missing:
        raise SpecError(f"node {node.name!r}: input {missing[0]!r} is not assigned before it")
    return tuple(shapes[name] for name in node.inputs)


def _check_tie(node: Node, graph: Graph, weights: Mapping[str, Weights]) -> None:
    if not node.weights:
        return
    owner = next((n for n in graph.nodes if n.name == node.weights), None)
    if owner is None or owner.name not in weights or owner.name == node.name or owner.weights:
        raise SpecError(
            f"node {node.name!r}: weights must name an earlier node that owns its own, got {node.weights!r}"
        )
    if not weights[owner.name] or not weights[owner.name].items() <= weights[node.name].items():
        raise SpecError(
            f"node {node.name!r}: cannot share the weights of {owner.name!r}, their shapes differ"
        )
