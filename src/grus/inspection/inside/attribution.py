"""What an answer rests on, step by step, and how far back a loss sends its gradient; on torch."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from grus.errors import UsageError
from grus.models import GraphModule
from grus.spec import Graph, Node, Port, infer, ops
from grus.spec.graph import node_weights

Function = Callable[..., Tensor]

#: Gauss and Legendre's points and weights on [0, 1].
_PLACES, _WEIGHTS = (
    0.5 * (1 + x) if i == 0 else 0.5 * x for i, x in enumerate(np.polynomial.legendre.leggauss(4))
)
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
    tolerance: float = 0.01,
    most: int = 2048,
) -> Attribution:
    """Divide an answer among its inputs.

        a_i = (x_i - b_i) * integral over s from 0 to 1 of df/dx_i at b + s (x - b)

    The a_i of all inputs add up to f(x) - f(b) (completeness) but for the error of the integral. That is taken by Gauss
    and Legendre's rule over intervals, which are halved where the parts do not add up to what the function gains.

    Args:
        function: from the inputs, each with any number of rows first, to a number for each row [S].
        inputs: one row of each, without the axis of rows.
        baselines: of the same shapes; zeros if None.
        tolerance: what all parts together may miss, as a share of |f(x) - f(b)|.
        most: points at which a gradient is taken at most; then what is missed is larger.

    Raises:
        UsageError: baselines that do not fit, or too few points.

    Reference: Sundararajan et al. 2017, arXiv:1703.01365, equation 1.
    """
    starts = [torch.zeros_like(x) for x in inputs] if baselines is None else list(baselines)
    if most < len(_PLACES) or [b.shape for b in starts] != [x.shape for x in inputs]:
        raise UsageError(
            f"integrated_gradients: baselines must be like inputs and most at least {len(_PLACES)}, got most={most}"
        )
    path = _Path(function, list(inputs), starts)
    start, answer = (float(v) for v in path.values(np.array([0.0, 1.0])))
    sums = [np.zeros(x.shape) for x in inputs]
    edges = np.linspace(0.0, 1.0, max(1, min(8, most // len(_PLACES))) + 1)
    low, high, spent = edges[:-1], edges[1:], 0
    while len(low):
        spent += len(low) * len(_PLACES)
        parts = path.parts(low, high)
        gains = path.values(high) - path.values(low)
        missed = np.abs(sum(p.reshape(len(low), -1).sum(axis=1) for p in parts) - gains)
        split = missed > tolerance * max(abs(answer - start), 1e-9) * np.maximum(high - low, 0.02)
        if spent + 2 * split.sum() * len(_PLACES) > most:
            split[:] = False
        for total, part in zip(sums, parts):
            total += part[~split].sum(axis=0)
        middle = (low + high)[split] / 2
        low, high = np.concatenate([low[split], middle]), np.concatenate([middle, high[split]])
    gap = float(sum(total.sum() for total in sums)) - (answer - start)
    return Attribution(sums, answer, start, gap)


class _Path:
    """The straight way from the baselines to the inputs, s from 0 to 1."""

    def __init__(self, function: Function, inputs: list[Tensor], starts: list[Tensor]) -> None:
        self._function, self._inputs, self._starts = function, inputs, starts
        self._at_once = max(1, _STEPS // max(1, max(len(x) for x in inputs)))

    def _points(self, s: np.ndarray) -> list[Tensor]:
        return [
            b + torch.tensor(s).to(x).reshape(-1, *[1] * x.dim()) * (x - b)
            for b, x in zip(self._starts, self._inputs)
        ]

    def values(self, s: np.ndarray) -> np.ndarray:
        """The function at some points, float64 [S]."""
        with torch.no_grad():
            pieces = [self._points(s[i : i + self._at_once]) for i in range(0, len(s), self._at_once)]
            return np.concatenate([self._function(*points).double().cpu().numpy() for points in pieces])

    def parts(self, low: np.ndarray, high: np.ndarray) -> list[np.ndarray]:
        """What each input adds between some pairs of points, float64 [S, ...]."""
        width = high - low
        s = (low[:, None] + width[:, None] * _PLACES).ravel()
        weights = (width[:, None] * _WEIGHTS).ravel()
        sums = [np.zeros((len(low), *x.shape)) for x in self._inputs]
        for first in range(0, len(s), self._at_once):
            points = [x.requires_grad_() for x in self._points(s[first : first + self._at_once])]
            found = torch.autograd.grad(self._function(*points).sum(), points, allow_unused=True)
            owner = np.arange(first, first + len(points[0])) // len(_PLACES)
            for total, gradient, x, b in zip(sums, found, self._inputs, self._starts):
                if gradient is not None:
                    weight = weights[first : first + len(owner)].reshape(-1, *[1] * x.dim())
                    np.add.at(total, owner, weight * (gradient * (x - b)).double().cpu().numpy())
        return sums


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
    nodes = tuple(
        Node(node.name, node.op, node.inputs) if node.weights in found else node
        for node in graph.nodes
        if node.name not in found
    )
    untied = [node for node in graph.nodes if node.weights in found and node.name not in found]
    own = {f"{node.name}.{key}": w for node in untied for key, w in node_weights(tensors, node).items()}
    used = {name for node in nodes for name in node.inputs}
    ports = [port for port in graph.inputs if port.name in used]
    ports += [Port(name, "seq", shape.size, shape.clock) for name, shape in found.items()]
    module = GraphModule(Graph(tuple(ports), nodes, graph.outputs))
    module.load_tensors({**tensors, **own})
    return module.eval().requires_grad_(False)


def open_inputs(
    graph: Graph, tensors: Mapping[str, np.ndarray], inputs: Mapping[str, np.ndarray]
) -> dict[str, Tensor]:
    """The inputs of `open_network` by port, from those of the graph."""
    found = {name: torch.from_numpy(np.array(array)) for name, array in inputs.items()}
    for node in graph.nodes:
        if isinstance(node.op, ops.Embedding) and found[node.inputs[0]].dim() == 2:
            table = torch.from_numpy(np.array(tensors[f"{node.weights or node.name}.weight"]))
            found[node.name] = table[found.pop(node.inputs[0]).long()]
    return found
