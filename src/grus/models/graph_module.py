"""A spec's graph as a torch module, and the way of its weights to and from the model file."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from grus.errors import UsageError
from grus.models.ops import MODULES
from grus.spec import Graph, infer, require, weight_shapes


class GraphModule(nn.Module):
    """Runs a graph on tensors: the training side of what `grus.runtime.Program` runs on arrays.

    Args:
        graph: the spec; tied nodes share Parameter objects.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        require(graph, "torch")
        self.graph = graph
        self.shapes = infer(graph)
        self.nodes = nn.ModuleDict()
        for node in graph.nodes:
            module = MODULES[type(node.op)](node.op, tuple(self.shapes[name] for name in node.inputs))
            if node.weights:
                for name, parameter in self.nodes[node.weights].named_parameters():
                    setattr(module, name, parameter)
            self.nodes[node.name] = module

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        lengths: Mapping[str, Tensor] | None = None,
        outputs: Mapping[str, str] | None = None,
    ) -> dict[str, Tensor]:
        """Run whole sequences.

        Args:
            inputs: by port name; seq [B, T, size], vec [B, size], tokens [B, T] or [B].
            lengths: valid steps per row by clock, int64 [B]; missing clocks are full.
            outputs: in place of the graph's, nodes by the name of an output; only what they need is run.

        Returns:
            Outputs by name.
        """
        values = dict(inputs)
        wanted = self.graph.outputs if outputs is None else outputs
        needed = None if outputs is None else self._ancestors(outputs)
        for node in self.graph.nodes:
            if needed is not None and node.name not in needed:
                continue
            arguments = [tuple(values[name] for name in node.inputs), self._lengths(node.inputs, lengths)]
            memory = tuple(name for name in node.inputs if self.shapes[name].kind == "memory")
            if memory:
                arguments.append(self._lengths(memory, lengths))
            for suffix, value in self.nodes[node.name](*arguments).items():
                values[node.name + suffix] = value
        return {name: values[source] for name, source in wanted.items()}

    def _ancestors(self, outputs: Mapping[str, str]) -> set[str]:
        """The nodes that some values are made of, their own included."""
        needed = {source.partition(".")[0] for source in outputs.values()}
        for node in reversed(self.graph.nodes):
            if node.name in needed:
                needed.update(name.partition(".")[0] for name in node.inputs)
        return needed

    def _lengths(self, inputs: tuple[str, ...], lengths: Mapping[str, Tensor] | None) -> Tensor | None:
        clock = next((self.shapes[name].clock for name in inputs if self.shapes[name].clock), "")
        base, *cuts = clock.split("/")
        if not lengths or base not in lengths:
            return None
        steps = lengths[base]
        for cut in cuts:
            steps = steps // int(cut)
        return steps

    def tensors(self) -> dict[str, np.ndarray]:
        """Float32 copies of the weights by ``"<node>.<weight>"``, as `grus.spec.weight_shapes` lists them."""
        return {
            name: self.get_parameter(f"nodes.{name}").detach().to("cpu", torch.float32).numpy().copy()
            for name in weight_shapes(self.graph)
        }

    def load_tensors(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Copy weights in; raises UsageError where one is missing or has another shape."""
        for name, shape in weight_shapes(self.graph).items():
            if name not in tensors or tuple(tensors[name].shape) != shape:
                raise UsageError(f"GraphModule: tensor {name!r} must be given with shape {list(shape)}")
            with torch.no_grad():
                self.get_parameter(f"nodes.{name}").copy_(torch.from_numpy(np.array(tensors[name])))
