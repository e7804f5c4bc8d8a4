"""A model of two parts as one torch module: the parts' graphs, with the weights that they share."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from grus.models.graph_module import GraphModule
from grus.spec import Graph, weight_shapes

Lengths = Mapping[str, Tensor] | None


class EncoderDecoder(nn.Module):
    """The parts ``encode`` and ``decode`` of a model, trained together.

    Args:
        parts: their graphs.
        ties: ``"<part>.<node>"`` by ``"<part>.<node>"``, as `grus.spec.Model` has them: those nodes share Parameters.
    """

    def __init__(self, parts: Mapping[str, Graph], ties: Mapping[str, str]) -> None:
        super().__init__()
        self.ties = dict(ties)
        self.encode, self.decode = GraphModule(parts["encode"]), GraphModule(parts["decode"])
        for node, owner in ties.items():
            parameters = dict(self._module(owner).named_parameters())
            part, _, name = node.partition(".")
            graph = parts[part]
            for tied in [name, *(other.name for other in graph.nodes if other.weights == name)]:
                for weight, parameter in parameters.items():
                    setattr(self._module(f"{part}.{tied}"), weight, parameter)

    def _module(self, node: str) -> nn.Module:
        part, _, name = node.partition(".")
        return self.part(part).nodes[name]

    def part(self, name: str) -> GraphModule:
        """One of the parts."""
        return self.encode if name == "encode" else self.decode

    def forward(
        self, source: Tensor, target: Tensor, lengths: Lengths, outputs: Mapping[str, str] | None = None
    ) -> dict[str, Tensor]:
        """What decode says to the target's tokens, each known (teacher forcing).

        Args:
            source: int [B, S]. target: int [B, T].
            lengths: by clock, int64 [B]; missing clocks are full.
            outputs: of decode, as in `GraphModule`.
        """
        made = self.encode({"source": source}, lengths)
        return self.decode({"target": target, **made}, lengths, outputs)

    def tensors(self) -> dict[str, np.ndarray]:
        """Float32 copies of the weights by the names of the model file."""
        found: dict[str, np.ndarray] = {}
        for part in ("encode", "decode"):
            module = self.part(part)
            for name in weight_shapes(module.graph):
                if f"{part}.{name.rpartition('.')[0]}" not in self.ties:
                    parameter = module.get_parameter(f"nodes.{name}").detach()
                    found[f"{part}.{name}"] = parameter.to("cpu", torch.float32).numpy().copy()
        return found
