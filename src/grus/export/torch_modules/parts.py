"""The leaves of torch modules as ops of the spec, read by duck typing, and a module as a network that grows."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from grus.errors import UnsupportedError
from grus.export.network import Network
from grus.spec import Graph, Node, Op, Port, ops

Arrays = Mapping[str, np.ndarray]
CLOCK = "src"


class State(NamedTuple):
    """The final states of a GRU node as torch has them: [layers * directions, B, H]."""

    node: str
    op: ops.GRU


class Pair(NamedTuple):
    """What a torch GRU returns: output and final states."""

    output: str
    state: State


@dataclass
class Traced:
    """A torch module as a network, and how to run the module itself.

    Attributes:
        module: the module.
        nodes, ports, tensors: of the network.
        arguments: of ``forward`` in order: a port, or the name of the GRU node whose initial state it is.
        outputs: in order, by name in the network: a value, or a GRU's final states.
        batch_first: False for a lone torch GRU that takes time first.
    """

    module: Any
    ports: list[Port] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    arguments: list[Port | State] = field(default_factory=list)
    outputs: dict[str, str | State] = field(default_factory=dict)
    batch_first: bool = True

    @property
    def network(self) -> Network:
        """Graph and tensors."""
        outputs = {k: f"{v.node}.h" if isinstance(v, State) else v for k, v in self.outputs.items()}
        return Network(Graph(tuple(self.ports), tuple(self.nodes), outputs), self.tensors)

    def add(self, name: str, op: Op, *inputs: str, module: Any = None) -> str:
        """Add a node with the parameters of a module, if there is one."""
        name = plain(name)
        self.nodes.append(Node(name, op, inputs))  # type: ignore[arg-type]
        for key, value in module.state_dict().items() if module is not None else ():
            self.tensors[f"{name}.{key}"] = _array(value)
        return name

    def add_port(self, name: str, kind: Any, size: int) -> str:
        """Add an input that ticks on the one clock."""
        port = Port(plain(name), kind, size, CLOCK)
        self.ports.append(port)
        self.arguments.append(port)
        return port.name

    def run(self, inputs: Arrays, states: Arrays) -> dict[str, np.ndarray]:
        """Run the module in evaluation on arrays laid out as in the network.

        Args:
            inputs: by port.
            states: initial states [B, L * D * H] by GRU node, for those that ``forward`` takes.
        """
        like = next(iter(self.module.parameters()))
        arguments = [
            _tensor(
                like,
                _to_torch(states[a.node], a.op) if isinstance(a, State) else self._turned(inputs[a.name]),
            )
            for a in self.arguments
        ]
        with _evaluating(self.module):
            result = self.module(*arguments)
        flat = [_array(value) for value in _flat(result)]
        return {
            name: _from_torch(value) if isinstance(source, State) else self._turned(value)
            for (name, source), value in zip(self.outputs.items(), flat, strict=True)
        }

    def _turned(self, array: np.ndarray) -> np.ndarray:
        return array if self.batch_first or array.ndim < 2 else np.ascontiguousarray(array.swapaxes(0, 1))


def leaf(module: Any) -> tuple[Op, Any, int]:
    """The op that a leaf is, and the kind and size of its input.

    Raises:
        UnsupportedError: there is no such op.
    """
    name = _class_name(module)
    if name == "GRU":
        options = {key: getattr(module, key, 0.0) for key in ("dropout", "recurrent_dropout", "zoneout")}
        op = ops.GRU(
            module.hidden_size, module.num_layers, module.bidirectional, module.bias,
            getattr(module, "reset_after", True), getattr(module, "layer_norm", False), **options,
        )  # fmt: skip
        return op, "seq", module.input_size
    if name == "Linear":
        return ops.Linear(module.out_features, module.bias is not None), "seq", module.in_features
    if name == "Embedding" and module.max_norm is None:
        return ops.Embedding(module.num_embeddings, module.embedding_dim), "tokens", module.num_embeddings
    raise unsupported(f"module {type(module).__name__}")


def unsupported(what: str) -> UnsupportedError:
    """The error for a part of a module that the spec has no op for."""
    return UnsupportedError(
        f"export: {what} cannot be exported",
        hint="what can: GRU (batch_first=True inside another module), Linear, Embedding, ReLU, Tanh, Sigmoid, Dropout, "
        "Identity, torch.cat of features, +, -, *, y[:, -1], h[-1], y.mean(1), y.amax(1)",
    )


def without_weights(module: Any) -> str:
    """``relu``, ``tanh``, ``sigmoid``, ``dropout`` or ``identity`` for such a leaf, else nothing."""
    name = _class_name(module).lower()
    return name if name in ("relu", "tanh", "sigmoid", "dropout", "identity") else ""


def is_leaf(module: Any) -> bool:
    """A layer of torch.nn or grus.nn itself; a subclass elsewhere may compute something else."""
    home = type(module).__module__
    return home.startswith(("torch.nn.modules.", "grus.nn")) and _class_name(module) != "Sequential"


def _class_name(module: Any) -> str:
    """The name of the class of torch.nn that a module is."""
    return next(
        (c.__name__ for c in type(module).__mro__ if c.__module__.startswith("torch.nn.modules.")), ""
    )


def plain(name: str) -> str:
    """A name as a spec may have it."""
    name = re.sub(r"[^a-z0-9_]", "_", name.lower())
    return (name if name[:1].isalpha() else f"step{name}")[:64]


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """Dropout off inside; every part as it was afterwards."""
    before = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in before:
            part.training = training


def _array(tensor: Any) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().cpu().float().numpy())


def _tensor(like: Any, array: np.ndarray) -> Any:
    tensor = like.new_tensor(array)
    return tensor.long() if array.dtype.kind in "iu" else tensor


def _to_torch(state: np.ndarray, op: ops.GRU) -> np.ndarray:
    """[B, L * D * H] as [L * D, B, H]."""
    return np.ascontiguousarray(state.reshape(len(state), -1, op.hidden).swapaxes(0, 1))


def _from_torch(state: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(state.swapaxes(0, 1)).reshape(state.shape[1], -1)


def _flat(result: Any) -> list[Any]:
    if isinstance(result, Mapping):
        return [part for value in result.values() for part in _flat(value)]
    return (
        [part for value in result for part in _flat(value)] if isinstance(result, tuple | list) else [result]
    )
