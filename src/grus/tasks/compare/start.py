"""The weights a comparison starts from: the same care for every cell, as far as a cell has what it applies to."""

from collections.abc import Callable

import torch
from torch.nn import Parameter, init

from grus.models import GraphModule
from grus.spec import Graph, ops

#: Rows of the gates, counted in blocks of ``hidden``: what keeps the state, and what lets new values in. In the
#: equations of `grus.kernels.reference` a GRU keeps z of its state; the rest, 1 - z, follows without a gate of its own.
_KEEPS: dict[type[ops.Recurrent], int] = {ops.GRU: 1, ops.MinGRU: 0, ops.LSTM: 1}
_LETS_IN: dict[type[ops.Recurrent], int] = {ops.LSTM: 0}


def seeded_module(graph: Graph, seed: int, start: Callable[[GraphModule], None] | None = None) -> GraphModule:
    """The graph's module, its weights drawn from the seed; the caller's generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        module = GraphModule(graph)
        if start is not None:
            start(module)
        return module


@torch.no_grad()
def orthogonal_recurrence(module: GraphModule) -> None:
    """Draw every recurrent matrix, gate by gate, as a random orthogonal one: no direction of the state fades at once.

    Reference:
        Saxe et al. 2014, arXiv:1312.6120; for recurrent matrices Henaff et al. 2016, arXiv:1602.06662.
    """
    parameters = dict(module.named_parameters())
    for op, name in _layers(module):
        for suffix in op.suffixes:
            weight = parameters.get(f"nodes.{name}.weight_hh_{suffix}")
            if weight is None:  # a MinGRU has no recurrent matrix
                continue
            for gate in range(op.gates):
                init.orthogonal_(_block(weight, gate, op.hidden))


@torch.no_grad()
def chrono_biases(module: GraphModule, longest: int) -> None:
    r"""Draw the biases of the keeping gates so that the half-lives of the units spread over the sequence.

        b_keep = log u,    b_let_in = -log u,    u ~ U(1, T - 1)

    for the update gate of a GRU and a MinGRU, and the forget and the input gate of an LSTM: sigmoid(log u) =
    u / (1 + u), so that a unit forgets within about u steps. A simple RNN has no gate, and is left as it is.

    Args:
        module: whose layers are GRUs, LSTMs or others.
        longest: T, the steps to be bridged.

    Reference:
        Tallec and Ollivier 2018, "Can recurrent neural networks warp time?", arXiv:1804.11188, section 3.
    """
    parameters = dict(module.named_parameters())
    for op, name in _layers(module):
        if type(op) not in _KEEPS or not op.bias:
            continue
        for suffix in op.suffixes:
            given, recurrent = (parameters.get(f"nodes.{name}.bias_{side}_{suffix}") for side in ("ih", "hh"))
            span = torch.empty(op.hidden).uniform_(1.0, max(2.0, longest - 1.0)).log()
            _set_gate(given, recurrent, _KEEPS[type(op)], op.hidden, span)
            if type(op) in _LETS_IN:
                _set_gate(given, recurrent, _LETS_IN[type(op)], op.hidden, -span)


def _layers(module: GraphModule) -> list[tuple[ops.Recurrent, str]]:
    """The recurrent layers that own their weights, with the names of their nodes."""
    return [(n.op, n.name) for n in module.graph.nodes if isinstance(n.op, ops.Recurrent) and not n.weights]


def _block(parameter: Parameter, gate: int, hidden: int) -> torch.Tensor:
    return parameter[gate * hidden : (gate + 1) * hidden]


def _set_gate(
    given: Parameter | None, recurrent: Parameter | None, gate: int, hidden: int, value: torch.Tensor
) -> None:
    """Let the biases of a gate add up to a value; a MinGRU has one, the others two."""
    if given is not None:
        _block(given, gate, hidden).copy_(value)
    if recurrent is not None:
        _block(recurrent, gate, hidden).zero_()
