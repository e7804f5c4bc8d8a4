"""The transcription network as a spec: log-mel steps in, recurrent layers, a logit for each unit and the blank out."""

from dataclasses import dataclass

from grus.spec import Graph, Node, Op, Port, ops
from grus.tasks.cells import layers_of
from grus.tasks.encoders import KERNEL_SIZE, convolved

#: What stands around the recurrent layers; self-attention would not read on as it listens.
ENCODERS = ("gru", "conv-gru")
LOGITS = "logits"


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of a transcription network.

    Attributes:
        units: how many outputs, the blank among them.
        bidirectional: read in both directions; False makes a network that can listen live.
        cell, hidden_size, layers, dropout: of the recurrent layers; dropout also acts on their outputs.
        encoder: ``conv-gru`` puts a causal convolution of ``kernel_size`` steps before them.
    """

    units: int
    bidirectional: bool = False
    cell: str = "gru"
    hidden_size: int = 128
    layers: int = 2
    dropout: float = 0.2
    encoder: str = "gru"
    kernel_size: int = KERNEL_SIZE


def build_network(config: NetworkConfig, port: Port) -> Graph:
    """The graph: h = cell(x), or cell(relu(convolution(x))); y_t = W h_t + b."""
    nodes: list[Node] = []

    def add(name: str, op: Op, *inputs: str) -> str:
        nodes.append(Node(name, op, inputs))  # type: ignore[arg-type]
        return name

    x = port.name
    if config.encoder == "conv-gru":
        x = convolved(add, x, config.hidden_size, config.kernel_size)
    layers = layers_of(config.cell, config.hidden_size, config.layers, config.bidirectional, config.dropout)
    h = add("encoder", layers, x)
    if config.dropout:
        h = add("output_dropout", ops.Dropout(config.dropout), h)
    add(LOGITS, ops.Linear(config.units), h)
    return Graph((port,), tuple(nodes), {LOGITS: LOGITS})
