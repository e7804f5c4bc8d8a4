"""bfloat16 as torch rounds it: the oracle of weights that the kernels store in 16 bits."""

from collections.abc import Mapping

import numpy as np
import torch

from grus.spec import Graph, ops


def to_bf16(a: np.ndarray) -> np.ndarray:
    """The float32 array with every number rounded to the nearest bfloat16."""
    return torch.from_numpy(np.ascontiguousarray(a, np.float32)).bfloat16().float().numpy()


def round_matrices(graph: Graph, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors of a graph, with the matrices that its recurrent, dense and attention layers multiply by rounded."""
    layers = {
        node.weights or node.name
        for node in graph.nodes
        if isinstance(node.op, ops.Recurrent | ops.RecurrentStep | ops.Linear | ops.AttentionPool)
    }

    def rounds(name: str) -> bool:
        layer, weight = name.rsplit(".", 1)
        return layer in layers and weight.startswith(("weight", "vector"))

    return {name: to_bf16(a) if rounds(name) else a for name, a in tensors.items()}
