"""What an answer rests on, step by step, and how far back a loss sends its gradient; on torch."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from grus.errors import UsageError
from grus.models import GraphModule
from grus.spec import Graph, Port, infer, ops

Function = Callable[..., Tensor]

#: Steps that are run forward and back at once: bounds the memory.
_STEPS = 40_000


class Attribution(NamedTuple):
    """What each input adds to an answer.

    Args:
        values: for each input, an array of its shape.
        answer: of the inputs; start: of the baselines.
        gap: (sum of all values) - (answer - start), by how much the sum misses what it should be.
    """

    values: list[np.ndarray]
    answer: float
    start: float
    gap: float


def integrated_gradients(
    function: Function,
    inputs: Sequence[Tensor],
    baselines: Sequence[Tensor] | None = None,
    *,
    nodes: int = 32,
) -> Attribution:
    """Divide an answer among its inputs.

        a_i = (x_i - b_i) * integral over s from 0 to 1 of df/dx_i at b + s (x - b)

    The a_i of all inputs add up to f(x) - f(b) (completeness) but for the error of the integral, which is taken at
    ``nodes`` points by Gauss and Legendre's rule.

    Args:
        function: from the inputs, each with any number of rows first, to a number for each row [S].
        inputs: one row of each, without the axis of rows.
        baselines: of the same shapes; zeros if None.
        nodes: points along the way.

    Raises:
        UsageError: no node, or baselines that do not fit.

    Reference: Sundararajan et al. 2017, arXiv:1703.01365, equation 1.
    """
    starts = [torch.zeros_like(x) for x in inputs] if baselines is None else list(baselines)
    if nodes < 1 or [b.shape for b in starts] != [x.shape for x in inputs]:
        raise UsageError(
            f"integrated_gradients: nodes must be at least 1 and baselines like inputs, got {nodes} nodes"
        )
    places, weights = np.polynomial.legendre.leggauss(nodes)
    places, weights = (places + 1) / 2, weights / 2
    sums = [torch.zeros(x.shape, dtype=torch.float64) for x in inputs]
    at_once = max(1, _STEPS // max(1, max(len(x) for x in inputs)))
    for first in range(0, nodes, at_once):
        share = torch.tensor(places[first : first + at_once])
        points = [_between(b, x, share).requires_grad_() for b, x in zip(starts, inputs)]
        found = torch.autograd.grad(function(*points).sum(), points, allow_unused=True)
        weight = torch.tensor(weights[first : first + at_once])
        for total, gradient in zip(sums, found):
            if gradient is not None:
                total += torch.tensordot(weight, gradient.double().cpu(), dims=1)
    values = [(s * (x - b).double().cpu()).numpy() for s, x, b in zip(sums, inputs, starts)]
    with torch.no_grad():
        answer, start = (float(function(*(x[None] for x in point))[0]) for point in (inputs, starts))
    return Attribution(values, answer, start, float(sum(v.sum() for v in values)) - (answer - start))


def _between(b: Tensor, x: Tensor, share: Tensor) -> Tensor:
    """b + s (x - b) for every s [S, ...]."""
    return b + share.to(x).reshape(-1, *[1] * x.dim()) * (x - b)


def gradient_by_lag(
    function: Function, x: Tensor, lengths: Sequence[int] | np.ndarray | None = None
) -> np.ndarray:
    """How strongly a loss still pulls at an input k steps before the row's end, float64 [T].

        g_k = sqrt(mean over rows of |d loss / d x_{T - k}|^2)

    Args:
        function: from x [B, T, I] to a number for each row [B].
        x: the input; lengths: steps of each row, all if None. Rows that are too short for a lag do not count for it.
    """
    leaf = x.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(leaf).sum(), leaf)
    norms = gradient.double().norm(dim=-1).cpu().numpy()
    counts = np.full(len(x), x.shape[1]) if lengths is None else np.asarray(lengths)
    place = counts[:, None] - 1 - np.arange(x.shape[1])
    real = place >= 0
    squares = np.take_along_axis(norms, np.maximum(place, 0), axis=1) ** 2
    total = np.where(real, squares, 0.0).sum(axis=0)
    return np.sqrt(total[: counts.max()] / real.sum(axis=0)[: counts.max()])


def last_state_gradients(
    runs: Mapping[str, Function], x: Tensor, lengths: Sequence[int] | np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """`gradient_by_lag` of the last state, along one random direction, of several recurrent layers on one input.

    Args:
        runs: by name, from x to the states after each step [B, T, H].
        x: [B, T, I]; lengths: as there.
    """
    counts = torch.full((len(x),), x.shape[1]) if lengths is None else torch.as_tensor(lengths)
    found = {}
    for name, run in runs.items():

        def last(given: Tensor, run: Function = run) -> Tensor:
            states = run(given)[torch.arange(len(given)), (counts - 1).clamp(min=0)]
            draw = torch.Generator().manual_seed(0)
            return states @ (torch.randint(0, 2, (states.shape[1],), generator=draw) * 2.0 - 1).to(states)

        found[name] = gradient_by_lag(last, x, lengths)
    return found


def fresh_layers(inputs: int, hidden: int, seed: int = 0) -> dict[str, Function]:
    """Untrained recurrent layers of one size, with torch's initial weights, to compare a trained one with."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = {
            "GRU, untrained": nn.GRU(inputs, hidden, batch_first=True),
            "LSTM, untrained": nn.LSTM(inputs, hidden, batch_first=True),
            "simple RNN, untrained": nn.RNN(inputs, hidden, batch_first=True),
        }
    return {name: lambda x, layer=layer: layer(x)[0] for name, layer in layers.items()}


def open_network(graph: Graph, tensors: Mapping[str, np.ndarray]) -> GraphModule:
    """A network that takes the embeddings of its sequences of tokens as inputs, since codes have no gradient.

    Args:
        graph: the spec; each embedding of tokens on a clock becomes a port of its node's name.
        tensors: the weights by ``"<node>.<weight>"``.
    """
    shapes = infer(graph)
    found = {
        n.name: shapes[n.name]
        for n in graph.nodes
        if isinstance(n.op, ops.Embedding) and shapes[n.name].clock
    }
    nodes = tuple(node for node in graph.nodes if node.name not in found)
    used = {name for node in nodes for name in node.inputs}
    ports = [port for port in graph.inputs if port.name in used]
    ports += [Port(name, "seq", shape.size, shape.clock) for name, shape in found.items()]
    module = GraphModule(Graph(tuple(ports), nodes, graph.outputs))
    module.load_tensors(tensors)
    return module.eval().requires_grad_(False)


def open_inputs(
    graph: Graph, tensors: Mapping[str, np.ndarray], inputs: Mapping[str, np.ndarray]
) -> dict[str, Tensor]:
    """The inputs of `open_network` by port, from those of the graph."""
    found = {name: torch.from_numpy(np.array(array)) for name, array in inputs.items()}
    for node in graph.nodes:
        if isinstance(node.op, ops.Embedding) and found[node.inputs[0]].dim() == 2:
            table = torch.from_numpy(np.ascontiguousarray(tensors[f"{node.weights or node.name}.weight"]))
            found[node.name] = table[found.pop(node.inputs[0]).long()]
    return found
