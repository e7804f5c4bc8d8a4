"""The translation network as a spec: a bidirectional GRU makes a memory, an attentive GRU decodes from it."""

from dataclasses import dataclass
from typing import Literal

import torch

from grus.models import EncoderDecoder
from grus.spec import Graph, Node, Op, Port, ops

SCORES = ("additive", "multiplicative")
CELLS = ("conditional", "plain")


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of a translation network.

    Attributes:
        source, target: number of codes.
        hidden_size: units of the decoder, and of each direction of the encoder.
        layers: of the encoder.
        embedding_size: of a token.
        attention: how the state is compared with the memory, ``additive`` or ``multiplicative``.
        decoder: ``conditional`` (two GRUs, between which it looks) or ``plain`` (one).
        tied: whether the output layer is the table of target embeddings.
        joint: whether both sides have one vocabulary; then, if tied, the source's table is the same too.
        dropout: of embeddings; state_dropout: of the encoder's states; output_dropout: before the output layer.
    """

    source: int
    target: int
    hidden_size: int = 256
    layers: int = 1
    embedding_size: int = 128
    attention: Literal["additive", "multiplicative"] = "additive"
    decoder: Literal["conditional", "plain"] = "conditional"
    tied: bool = True
    joint: bool = True
    dropout: float = 0.3
    state_dropout: float = 0.5
    output_dropout: float = 0.5


class _Nodes:
    """Nodes as they are added; a dropout of 0 is none."""

    def __init__(self) -> None:
        self.all: list[Node] = []

    def add(self, name: str, op: Op, *inputs: str, weights: str = "") -> str:
        self.all.append(Node(name, op, inputs, weights))  # type: ignore[arg-type]
        return name

    def dropped(self, name: str, rate: float, source: str) -> str:
        return self.add(name, ops.Dropout(rate), source) if rate else source


def build_network(config: NetworkConfig) -> tuple[dict[str, Graph], dict[str, str]]:
    """The parts of a translator, and the weights that they share.

    encode: m = GRU in both directions over embedded tokens; k = U m; s_0 = tanh(W mean(m) + b)
    decode: s, c = AttentiveGRU(E[y], m, k, s_0); logits = E tanh(V [s, c, E[y]] + d)

    The readout sees state, context and previous token, as in Bahdanau et al. 2015; with ``tied`` E is one table (Press
    and Wolf 2017).
    """
    ties = {"decode.embedding": "encode.embedding"} if config.tied and config.joint else {}
    return {"encode": _encoder(config), "decode": _decoder(config)}, ties


def _encoder(config: NetworkConfig) -> Graph:
    n, hidden = _Nodes(), config.hidden_size
    port = Port("source", "tokens", config.source, "src")
    x = n.add("embedding", ops.Embedding(config.source, config.embedding_size), "source")
    x = n.dropped("input_dropout", config.dropout, x)
    between = config.state_dropout if config.layers > 1 else 0.0
    states = n.add("encoder", ops.GRU(hidden, config.layers, bidirectional=True, dropout=between), x)
    memory = n.dropped("memory", config.state_dropout, states)
    keys = n.add("memory_keys", ops.Linear(hidden, bias=config.attention == "additive"), memory)
    mean = n.add("mean", ops.Pool("mean"), memory)
    state = n.add("state", ops.Activation("tanh"), n.add("bridge", ops.Linear(hidden), mean))
    return Graph((port,), tuple(n.all), {"memory": memory, "keys": keys, "state": state})


def _decoder(config: NetworkConfig) -> Graph:
    n, hidden, width = _Nodes(), config.hidden_size, config.embedding_size
    ports = (
        Port("target", "tokens", config.target, "tgt"),
        Port("memory", "memory", 2 * hidden, "src"),
        Port("keys", "memory", hidden, "src"),
        Port("state", "vec", hidden),
    )
    x = n.add("embedding", ops.Embedding(config.target, width), "target")
    x = n.dropped("input_dropout", config.dropout, x)
    cell = ops.AttentiveGRU(hidden, config.attention, config.decoder)
    s = n.add("decoder", cell, x, "memory", "keys", "state")
    seen = n.add("features", ops.Concat(), s, f"{s}.context", x)
    narrow = n.add("narrow", ops.Linear(width), seen)
    readout = n.dropped("readout", config.output_dropout, n.add("activation", ops.Activation("tanh"), narrow))
    logits = n.add(
        "logits", ops.Linear(config.target, bias=False), readout, weights="embedding" * config.tied
    )
    return Graph(ports, tuple(n.all), {"logits": logits, "attention": f"{s}.attention"})


def readout_of(decode: Graph) -> str:
    """The value that the output layer multiplies."""
    return next(node.inputs[0] for node in decode.nodes if node.name == "logits")


def start_small(module: EncoderDecoder) -> None:
    """Scale new embeddings down to a length of about one, so that as an output layer they begin with small logits."""
    seen: set[int] = set()
    for part in (module.encode, module.decode):
        for node in part.graph.nodes:
            if isinstance(node.op, ops.Embedding):
                table = part.get_parameter(f"nodes.{node.name}.weight")
                if id(table) not in seen:
                    seen.add(id(table))
                    with torch.no_grad():
                        table.mul_(node.op.size**-0.5)
