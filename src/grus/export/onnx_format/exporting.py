"""`grus.export.onnx`: from a model folder, a spec graph or a torch module to an ONNX file that was proved."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from grus.artifact import load_model, write_file
from grus.errors import UnsupportedError, UsageError
from grus.export.features import feature_names
from grus.export.network import Network
from grus.export.onnx_format.extras import need
from grus.export.torch_modules.modules import trace
from grus.export.torch_modules.parts import Traced
from grus.spec import Graph, Model


@dataclass(frozen=True)
class OnnxFile:
    """What was written.

    Attributes:
        path: the file.
        size: in bytes.
        inputs, outputs: names, those of the states apart.
        states: names of the state inputs; the output of each is ``<name>.next``.
        cases: how many random cases were run in ONNX Runtime and compared.
        largest: the greatest difference among them, relative to the largest output.
    """

    path: Path
    size: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    states: tuple[str, ...]
    cases: int
    largest: float


def onnx(source: Any, path: str | os.PathLike[str], *, force: bool = False) -> OnnxFile:
    """Write a model as ONNX, after running it in ONNX Runtime on random lengths, batches and states.

    Args:
        source: a model folder, a `Network` (spec graph and tensors), or a torch module: ``torch.nn.GRU``,
            `grus.nn.GRU`, or one made of these with Linear, Embedding, activations and Dropout, whose ``forward``
            can be traced. It is exported as in evaluation.
        path: the file; it appears whole or not at all.
        force: replace a file that exists.

    Inputs are batch first, float32 [batch, time, size], tokens int64 [batch, time]; ``<clock>.lengths``, int64
    [batch], says how many steps of each row are valid. States are inputs and outputs, and begin as zeros.

    Raises:
        UnsupportedError: the model has an op that cannot be exported.
        UsageError: the path is taken, or the source is none of these.
        MissingExtraError: onnx or onnxruntime is not installed.
        GrusError: ONNX Runtime gives other numbers than the model.
    """
    need("onnx", "onnxruntime")
    from grus.export.onnx_format.graph import to_onnx
    from grus.export.onnx_format.proof import prove, prove_module
    from grus.export.onnx_format.run import Session

    target = Path(path)
    check_target(target, force)
    network, about, traced = _read(source)
    model = to_onnx(network, about)
    session = Session(model)
    proof = prove(session, network)
    if traced is not None:
        proof = prove_module(session, traced, proof)
    data = model.SerializeToString()
    write_file(target, data)
    states = tuple(state["input"] for state in session.states)
    outputs = tuple(port.name for port in model.graph.output if not port.name.endswith(".next"))
    inputs = tuple(name for name in session.inputs if name not in states)
    return OnnxFile(target, len(data), inputs, outputs, states, proof.cases, proof.largest)


def check_target(path: Path, force: bool) -> None:
    """Raise UsageError, before any work is done, if a file cannot be written there."""
    if not path.parent.is_dir():
        raise UsageError(f"{path}: no such folder: {path.parent}", hint="make it first")
    if path.is_dir():
        raise UsageError(f"{path}: must be a file, got a folder")
    if path.exists() and not force:
        raise UsageError(
            f"{path}: already exists, and nothing is overwritten unasked",
            hint="name another file, or replace it with force",
        )


def _read(source: Any) -> tuple[Network, dict[str, Any], Traced | None]:
    """The network, what a reader must know besides, and the torch module if it came from one."""
    if isinstance(source, Network):
        return source, {"inputs": _ports(source)}, None
    if isinstance(source, str | os.PathLike):
        model, tensors = load_model(Path(source))
        network = _main(model, tensors)
        return network, {"inputs": _ports(network, model)} | _about(model, tensors), None
    if isinstance(getattr(source, "graph", None), Graph):  # grus.models.GraphModule
        network = Network(source.graph, source.tensors())
        return network, {"inputs": _ports(network)}, None
    if hasattr(source, "named_parameters") and hasattr(source, "state_dict"):
        traced = trace(source)
        return traced.network, {"inputs": _ports(traced.network)}, traced
    raise UsageError(
        f"export: source must be a model folder, a Network or a torch module, got {type(source).__name__}"
    )


def _main(model: Model, tensors: Mapping[str, np.ndarray]) -> Network:
    if set(model.parts) != {"main"}:
        raise UnsupportedError(
            f"export: a model of parts {', '.join(sorted(model.parts))} cannot be exported to one ONNX file",
            hint="from Python each part can: Network(model.parts[part], model.part_tensors(part, tensors))",
        )
    weights = {k.removeprefix("main."): v for k, v in tensors.items() if k.startswith("main.")}
    return Network(model.parts["main"], weights)


def _ports(network: Network, model: Model | None = None) -> list[dict[str, Any]]:
    names = feature_names(model) if model is not None else {}
    return [
        {"name": p.name, "kind": p.kind, "size": p.size, "clock": p.clock, "features": names.get(p.name)}
        for p in network.graph.inputs
    ]


def _about(model: Model, tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The task, the preprocessing steps, and their fitted numbers, but for those of baselines."""
    fitted = {
        name: array.tolist()
        for name, array in tensors.items()
        if not name.startswith(("main.", "task.baseline_", "task.unigram", "task.bigram"))
    }
    return {
        "task": msgspec.to_builtins(model.task),
        "preprocess": msgspec.to_builtins(model.preprocess),
        "scaling": fitted,
    }
