"""The network of a language model as a spec: tokens in, recurrent layers, a logit for every token at every step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from grus.errors import UsageError
from grus.models import GraphModule
from grus.spec import Graph, Node, Op, Port, ops
from grus.tasks.cells import layers_of

#: The one output of the graph.
LOGITS = "logits"

Softmax = Literal["full", "adaptive"]
#: Tokens that an adaptive softmax is for at least.
MIN_ADAPTIVE = 1_000


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of a language model's network.

    Attributes:
        cell: of the recurrent layers, one of `grus.tasks.cells.CELLS`.
        hidden_size, layers: of these layers.
        embedding_size: of a token.
        tied: whether the output uses the embedding's table.
        dropout: on what each layer puts out; input_dropout: on the embedded tokens.
        variational: whether a row keeps its mask for all steps of a chunk.
        softmax: ``full``, or ``adaptive`` where codes are in the order of how common they are.
    """

    cell: str = "gru"
    hidden_size: int = 256
    layers: int = 2
    embedding_size: int = 64
    tied: bool = False
    dropout: float = 0.0
    input_dropout: float = 0.0
    variational: bool = False
    softmax: Softmax = "full"


def build_network(config: NetworkConfig, port: Port) -> Graph:
    """The graph of a language model that reads ``port`` and puts out ``logits``.

    x_t = E[token_t]; h_t = cell(x_t, h_{t-1}), layer by layer; logits_t = W h_t + b, with dropout on x and on every
    layer's h. Tied (Press and Wolf 2017): logits_t = E h_t + b, with h_t brought to the size of x by a matrix if it has
    another. Adaptive (Grave et al. 2017): logits_t are log-probabilities, by `grus.spec.ops.AdaptiveSoftmax`.

    Raises:
        UsageError: an adaptive softmax over few tokens.
    """
    nodes: list[Node] = []

    def add(name: str, op: Op, *inputs: str, weights: str = "") -> str:
        nodes.append(Node(name, op, inputs, weights))  # type: ignore[arg-type]
        return name

    def dropped(name: str, rate: float, x: str) -> str:
        return add(name, ops.Dropout(rate, config.variational), x) if rate else x

    x = add("embedding", ops.Embedding(port.size, config.embedding_size), port.name)
    x = dropped("input_dropout", config.input_dropout, x)
    x = _layers(config, x, add, dropped)
    if config.softmax == "adaptive":
        add(LOGITS, ops.AdaptiveSoftmax(port.size, cutoffs(port.size)), x)
        return Graph((port,), tuple(nodes), {LOGITS: LOGITS})
    if config.tied and config.hidden_size != config.embedding_size:
        x = add("projection", ops.Linear(config.embedding_size, bias=False), x)
    add(LOGITS, ops.Linear(port.size), x, weights="embedding" if config.tied else "")
    return Graph((port,), tuple(nodes), {LOGITS: LOGITS})


def cutoffs(size: int) -> tuple[int, ...]:
    """Where an adaptive softmax over ``size`` tokens is cut; see "The adaptive softmax is cut" in docs/decisions.md.

    After a fifth of them, but 20,000 at most; of more than 50,000 tokens also after the half.
    """
    if size < MIN_ADAPTIVE:
        raise UsageError(
            f"softmax: adaptive must have at least {MIN_ADAPTIVE:,} tokens to choose from, got {size:,}",
            hint="use --softmax full (softmax='full')",
        )
    first = min(size // 5, 20_000)
    return (first, size // 2) if size > 50_000 else (first,)


def start_tied(module: GraphModule) -> None:
    """Scale a new table of embeddings that the output shares to a deviation of 1 / sqrt(its size).

    As drawn, with a deviation of 1, the first logits would be as large as the root of the size.
    """
    with torch.no_grad():
        table = module.get_parameter("nodes.embedding.weight")
        table.mul_(table.shape[1] ** -0.5)


def _layers(config: NetworkConfig, x: str, add: Callable[..., str], dropped: Callable[..., str]) -> str:
    """The recurrent layers. Between those of one node dropout is drawn step by step, so a mask for all needs nodes."""
    if not (config.variational and config.dropout):
        layers = layers_of(config.cell, config.hidden_size, config.layers, dropout=config.dropout)
        return dropped("output_dropout", config.dropout, add("layers", layers, x))
    for number in range(config.layers):
        x = add(f"layer_{number}", layers_of(config.cell, config.hidden_size), x)
        x = dropped(f"dropout_{number}", config.dropout, x)
    return x
