"""Which back end can run which op, and in which form: the table that the law's test reads."""

from dataclasses import dataclass
from typing import Literal

from grus.errors import UnsupportedError
from grus.spec.graph import Graph, infer
from grus.spec.ops import OPS, Op, Time

Backend = Literal["torch", "runtime", "onnx", "c"]
BACKENDS: tuple[Backend, ...] = ("torch", "runtime", "onnx", "c")

#: Time behaviours that can be run in chunks with the state carried.
STREAMS: frozenset[Time] = frozenset({"pointwise", "causal", "pool", "window"})


@dataclass(frozen=True)
class Row:
    """One op's line in the table: the back ends that implement it (time behaviour is the op's own)."""

    op: type[Op]
    backends: frozenset[Backend]


_EVERYWHERE: frozenset[Backend] = frozenset({"torch", "runtime"})

#: What each exporter can lower; asking for another op is an UnsupportedError that names it.
_EXPORTS: dict[Backend, frozenset[type[Op]]] = {"onnx": frozenset(OPS), "c": frozenset(OPS)}


def _row(op: type[Op]) -> Row:
    return Row(op, _EVERYWHERE.union(to for to, able in _EXPORTS.items() if op in able))


CAPABILITIES: dict[type[Op], Row] = {op: _row(op) for op in OPS}


def require(graph: Graph, backend: Backend) -> None:
    """Raise UnsupportedError, naming the node, unless ``backend`` implements every op of ``graph``."""
    for node in graph.nodes:
        if backend not in CAPABILITIES[type(node.op)].backends:
            raise UnsupportedError(
                f"node {node.name!r}: {node.op.name} cannot run on back end {backend!r}",
                hint=f"it runs on {', '.join(sorted(CAPABILITIES[type(node.op)].backends))}",
            )


def require_streaming(graph: Graph) -> None:
    """Raise UnsupportedError, naming the node, unless the graph can run in chunks with a carried state.

    Two things stand in the way: an op that needs the whole sequence, and a summary of a clock (a pooled value or a
    final state) that is fed back to steps of the same clock, which it can only be once the last step is known.
    """
    shapes = infer(graph)
    summarises: dict[str, frozenset[str]] = {port.name: frozenset() for port in graph.inputs}
    for node in graph.nodes:
        if node.op.time not in STREAMS:
            raise UnsupportedError(
                f"node {node.name!r}: {node.op.name} needs the whole sequence, so it cannot run in chunks",
                hint="use a model whose layers run in one direction, or run whole sequences",
            )
        clocks = frozenset(shapes[name].clock.split("/")[0] for name in node.inputs if shapes[name].clock)
        known = frozenset[str]().union(*(summarises[name] for name in node.inputs))
        if clocks & known:
            raise UnsupportedError(
                f"node {node.name!r}: {node.op.name} uses a summary of clock {min(clocks & known)!r} at its own steps, "
                "so it cannot run in chunks",
                hint="run whole windows; a windowed model streams through a buffer of its last rows",
            )
        for suffix in node.op.infer(tuple(shapes[name] for name in node.inputs)):
            pooled = shapes[node.name + suffix].kind == "vec" and clocks
            summarises[node.name + suffix] = known | (clocks if pooled else frozenset())
