"""bfloat16 as torch rounds it, and whole numbers with a scale: the oracles of weights stored in 16 and 8 bits."""

from collections.abc import Callable, Mapping

import numpy as np
import torch

from grus.spec import Graph, Node, node_weights, ops


def to_bf16(a: np.ndarray) -> np.ndarray:
    """The float32 array with every number rounded to the nearest bfloat16."""
    return torch.from_numpy(np.ascontiguousarray(a, np.float32)).bfloat16().float().numpy()


def whole(a: np.ndarray, largest: int) -> tuple[np.ndarray, np.ndarray]:
    """Each row of a float32 array as whole numbers up to ``largest``, and its scale; zeros for a row below 1e-30."""
    a = np.asarray(a, np.float32)
    top = np.abs(a).max(axis=-1, keepdims=True, initial=0)
    counts = top >= np.float32(1e-30)
    inverse = np.where(counts, np.float32(largest) / np.where(counts, top, 1), 0).astype(np.float32)
    scale = np.where(counts, top / np.float32(largest), 0).astype(np.float32)
    return np.rint(a * inverse).astype(np.int64), scale


def to_int8(a: np.ndarray) -> np.ndarray:
    """The float32 matrix [outputs, inputs] with every weight as it is stored in 8 bits."""
    numbers, scale = whole(np.atleast_2d(a), 127)
    return (numbers.astype(np.float32) * scale).reshape(a.shape)


def int8_product(x: np.ndarray, w: np.ndarray, start: np.ndarray) -> np.ndarray:
    """``start + x w^T`` as kernels with 8-bit weights compute it, to the bit: x [B, K], w [N, K], float32."""
    (x_whole, x_scale), (w_whole, w_scale) = whole(x, 32767), whole(w, 127)
    total = np.broadcast_to(start, (len(x), len(w))).astype(np.float32)
    for k in range(0, x.shape[1], 512):
        exact = x_whole[:, k : k + 512] @ w_whole[:, k : k + 512].T
        total = total + (exact.astype(np.float32) * w_scale[:, 0]) * x_scale
    return total


def untied(graph: Graph, tensors: Mapping[str, np.ndarray]) -> tuple[Graph, dict[str, np.ndarray]]:
    """The same with weights of its own for every node: of a table that is shared only the product is rounded."""
    nodes = tuple(Node(node.name, node.op, node.inputs) for node in graph.nodes)
    own = {
        f"{node.name}.{key}": value
        for node in graph.nodes
        for key, value in node_weights(tensors, node).items()
    }
    return Graph(graph.inputs, nodes, graph.outputs), own


def round_matrices(
    graph: Graph, tensors: Mapping[str, np.ndarray], to: Callable[[np.ndarray], np.ndarray] = to_bf16
) -> dict[str, np.ndarray]:
    """The tensors of a graph, with the matrices that its recurrent, dense and attention layers multiply by rounded."""
    layers = {
        node.weights or node.name
        for node in graph.nodes
        if isinstance(
            node.op,
            ops.Recurrent
            | ops.RecurrentStep
            | ops.Linear
            | ops.AttentionPool
            | ops.Convolution
            | ops.SelfAttention
            | ops.AttentiveGRU
            | ops.GRUD
            | ops.AdaptiveSoftmax,
        )
    }

    # The attentive decoder's vector multiplies in the attention itself, in full.
    full = {node.weights or node.name for node in graph.nodes if isinstance(node.op, ops.AttentiveGRU)}

    def rounds(name: str) -> bool:
        layer, weight = name.rsplit(".", 1)
        return (
            layer in layers
            and not (weight == "vector" and layer in full)
            and weight.startswith(
                (
                    "weight",
                    "query",
                    "vector",
                    "in_proj_weight",
                    "out_proj_weight",
                    "state_decay_weight",
                    "projection",
                )
            )
        )

    return {name: _rounded(a, to) if rounds(name) else a for name, a in tensors.items()}


def _rounded(a: np.ndarray, to: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A matrix, or the weights of a convolution [outputs, inputs, steps], whose every output has one scale."""
    return to(a) if a.ndim < 3 else to(a.reshape(len(a), -1)).reshape(a.shape)
