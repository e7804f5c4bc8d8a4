"""A graph with its numbers: what importers make and exporters take."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from grus.spec import Graph, Port, chain, ops

Tensors = Mapping[str, np.ndarray]


class Network(NamedTuple):
    """A spec graph and its float32 tensors by ``"<node>.<weight>"``, as `grus.spec.weight_shapes` lists them.

    It runs in the runtime, ``Program(network.graph, network.tensors)``, and can be exported.
    """

    graph: Graph
    tensors: Tensors


def gru_network(op: ops.GRU, input_size: int, weights: Tensors) -> Network:
    """One GRU as a network: input ``x``, outputs ``out`` (every step) and ``state`` (after the last)."""
    graph = chain(Port("x", "seq", input_size, "src"), [op])
    name = graph.nodes[0].name
    graph = Graph(graph.inputs, graph.nodes, {"out": name, "state": f"{name}.h"})
    tensors = {f"{name}.{key}": np.ascontiguousarray(value, np.float32) for key, value in weights.items()}
    return Network(graph, tensors)
