"""The detecting network as a spec: recurrent layers over the rows before, and what they lead to expect of the next."""

from dataclasses import dataclass

import torch

from grus.models import GraphModule
from grus.spec import Graph, Node, Port, ops
from grus.tasks.cells import layers_of

#: The one output of a detector's graph: the expected value of each column, scaled.
MEAN = "mean"
_FROM_STATE = "from_state"


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of a detecting network.

    Attributes:
        columns: how many are watched.
        cell: of the recurrent layers, one of `grus.tasks.cells.CELLS`.
        hidden_size, layers, dropout: of these layers.
    """

    columns: int
    cell: str = "gru"
    hidden_size: int = 32
    layers: int = 1
    dropout: float = 0.0


def build_network(config: NetworkConfig, port: Port) -> Graph:
    """The graph of a detector that reads ``port`` and puts out ``mean``.

    h_t = cell(x_t, h_{t-1}); mean_t = W_h h_t + W_x x_t + b, where x_t are the values of row t - 1 and the calendar of
    row t. The way past the cell is a linear model of one step, which the cell corrects.
    """
    layers = layers_of(config.cell, config.hidden_size, config.layers, dropout=config.dropout)
    nodes = (
        Node("encoder", layers, (port.name,)),  # type: ignore[arg-type]
        Node(_FROM_STATE, ops.Linear(config.columns), ("encoder",)),
        Node("from_input", ops.Linear(config.columns, bias=False), (port.name,)),
        Node(MEAN, ops.Add(), (_FROM_STATE, "from_input")),
    )
    return Graph((port,), nodes, {MEAN: MEAN})


def start_linear(module: GraphModule) -> None:
    """Begin as the linear model alone: what the cell adds is learned from nothing."""
    with torch.no_grad():
        module.get_parameter(f"nodes.{_FROM_STATE}.weight").zero_()
