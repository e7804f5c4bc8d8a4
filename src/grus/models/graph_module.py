"""A spec's graph as a torch module, and the way of its weights to and from the model file."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from grus.errors import UnsupportedError, UsageError
from grus.models.ops import MODULES
from grus.spec import Graph, infer, ops, require, weight_shapes

#: What the recurrent nodes remember: their final states, [B, layers * hidden] each, by node.
States = Mapping[str, tuple[Tensor, ...]]


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
        return self._run(inputs, lengths, {}, outputs)[0]

    def run(
        self,
        inputs: Mapping[str, Tensor],
        state: States | None = None,
        outputs: Mapping[str, str] | None = None,
    ) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, ...]]]:
        """Run the next chunk of rows from the states after the one before it, as `grus.runtime.Program.run` does.

        Args:
            inputs: by port name; all rows are full.
            state: what the last call returned; None: the beginning.
            outputs: as in `forward`; then only the layers that were run have states.

        Returns:
            Outputs by name, and the states after the chunk, through which gradients go back unless detached.

        Raises:
            UnsupportedError: a node other than a recurrent layer in one direction, from zeros, remembers.
        """
        for node in self.graph.nodes:
            op = node.op
            carried = isinstance(op, ops.Recurrent) and not op.bidirectional and len(node.inputs) == 1
            if op.time != "pointwise" and not carried:
                raise UnsupportedError(f"node {node.name!r}: {op.name} cannot carry a state in training")
        return self._run(inputs, None, {} if state is None else state, outputs)

    def _run(
        self,
        inputs: Mapping[str, Tensor],
        lengths: Mapping[str, Tensor] | None,
        state: States,
        outputs: Mapping[str, str] | None = None,
    ) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, ...]]]:
        values = dict(inputs)
        after: dict[str, tuple[Tensor, ...]] = {}
        wanted = self.graph.outputs if outputs is None else outputs
        needed = None if outputs is None else self._ancestors(outputs)
        for node in self.graph.nodes:
            if needed is not None and node.name not in needed:
                continue
            given = tuple(values[name] for name in node.inputs)
            arguments = [given + tuple(state.get(node.name, ())), self._lengths(node.inputs, lengths)]
            memory = tuple(name for name in node.inputs if self.shapes[name].kind == "memory")
            if memory:
                arguments.append(self._lengths(memory, lengths))
            made = self.nodes[node.name](*arguments)
            values |= {node.name + suffix: value for suffix, value in made.items()}
            if isinstance(node.op, ops.Recurrent):
                after[node.name] = tuple(made[suffix] for suffix in node.op.states)
        return {name: values[source] for name, source in wanted.items()}, after

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
