"""What stands around the recurrent layers of a network: nothing, a convolution before them, or self-attention after."""

from collections.abc import Callable
from typing import Any, Literal, get_args

from grus.spec import Graph, ops

#: What ``encoder`` may be. ``gru`` is the recurrent layers alone, whatever their cell.
Encoder = Literal["gru", "conv-gru", "gru-attention"]
ENCODERS: tuple[str, ...] = get_args(Encoder)
#: Steps that a convolution sees, where nothing is said.
KERNEL_SIZE = 3
#: Heads of the self-attention at most.
HEADS = 4

#: Adds a node to a network under construction, ``add(name, op, *inputs)``, and returns its name.
Add = Callable[..., str]


def convolved(add: Add, x: str, size: int, kernel_size: int) -> str:
    """Add relu(convolution(x)) of ``size`` features."""
    return add("convolved", ops.Activation("relu"), add("convolution", ops.Convolution(size, kernel_size), x))


def attended(add: Add, h: str, size: int) -> str:
    """Add h + attention(h) of states of ``size`` features, in as many heads up to four as divide it."""
    heads = next(n for n in range(HEADS, 0, -1) if size % n == 0)
    return add("attended", ops.Add(), h, add("attention", ops.SelfAttention(heads), h))


def encoder_of(graph: Graph) -> dict[str, Any]:
    """The arguments of an estimator that say which encoder a graph has; of what it has not, the default."""
    found = {type(node.op): node.op for node in graph.nodes}
    convolution: ops.Convolution | None = found.get(ops.Convolution)  # type: ignore[assignment]
    if convolution is not None:
        return {"encoder": "conv-gru", "kernel_size": convolution.kernel}
    return {"encoder": "gru-attention" if ops.SelfAttention in found else "gru", "kernel_size": KERNEL_SIZE}
