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
        decays: whether the rows are read by a GRU-D.
    """

    columns: int
    cell: str = "gru"
    hidden_size: int = 32
    layers: int = 1
    dropout: float = 0.0
    decays: bool = False


def build_network(config: NetworkConfig, port: Port) -> Graph:
    """The graph of a detector that reads ``port`` and puts out ``mean``.

    h_t = cell(x_t, h_{t-1}); mean_t = W_h h_t + W_x x_t + b, where x_t are the values of row t - 1 and the calendar of
    row t. The way past the cell is a linear model of one step, which the cell corrects.
    """
    nodes = (
        *(_decaying(config, port) if config.decays else _recurrent(config, port)),
        Node(_FROM_STATE, ops.Linear(config.columns), ("encoder",)),
        Node("from_input", ops.Linear(config.columns, bias=False), (port.name,)),
        Node(MEAN, ops.Add(), (_FROM_STATE, "from_input")),
    )
    return Graph((port,), nodes, {MEAN: MEAN})


def _recurrent(config: NetworkConfig, port: Port) -> tuple[Node, ...]:
    """The layers, over all that there is."""
    layers = layers_of(config.cell, config.hidden_size, config.layers, dropout=config.dropout)
    return (Node("encoder", layers, (port.name,)),)  # type: ignore[arg-type]


def _decaying(config: NetworkConfig, port: Port) -> tuple[Node, ...]:
    """A GRU-D over what `grus.preprocess.detect.irregular_names` names, and the calendar.

    The time ahead and the calendar are values that are there if there was a row before.
    """
    count, x = config.columns, port.name
    values, masks, gap = count + 1, 2 * count + 1, 3 * count + 1
    return (
        Node("row", ops.Columns(count, values), (x,)),
        Node("measured", ops.Columns(values, masks), (x,)),
        Node("observed", ops.Columns(masks, gap), (x,)),
        Node("gap", ops.Columns(gap, gap + 1), (x,)),
        Node("ahead", ops.Columns(gap + 1, port.size), (x,)),
        Node("history", ops.Concat(), ("measured", "ahead")),
        Node("masks", ops.Concat(), ("observed", *["row"] * (port.size - gap - 1))),
        Node("encoder", ops.GRUD(config.hidden_size), ("history", "masks", "gap")),
    )


def start_linear(module: GraphModule) -> None:
    """Begin as the linear model alone: what the cell adds is learned from nothing."""
    with torch.no_grad():
        module.get_parameter(f"nodes.{_FROM_STATE}.weight").zero_()
