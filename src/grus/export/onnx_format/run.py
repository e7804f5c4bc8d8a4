"""ONNX models in ONNX Runtime, and the arrays that one of ours takes."""

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto

from grus.errors import GrusError

Arrays = dict[str, np.ndarray]

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}
#: What ONNX Runtime raises; these have no base of their own.
_REFUSALS = tuple(
    kind
    for kind in vars(import_module("onnxruntime.capi.onnxruntime_pybind11_state")).values()
    if isinstance(kind, type) and issubclass(kind, Exception)
)
#: Errors are raised; what ONNX Runtime would also print about them is for its own developers.
_FATAL_ONLY = 4


class Session:
    """One of our own models in ONNX Runtime, on one thread of the CPU.

    Raises:
        GrusError: ONNX Runtime refuses the model.
    """

    def __init__(self, model: ModelProto) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = _FATAL_ONLY
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except _REFUSALS as error:
            raise GrusError(
                f"export: ONNX Runtime must load the model, but says: {_first_line(error)}"
            ) from error
        self.inputs = {port.name: _DTYPES[port.type] for port in self._session.get_inputs()}
        props = {entry.key: entry.value for entry in model.metadata_props}
        self.states: list[dict[str, Any]] = json.loads(props["grus.states"])

    def first_states(self, batch: int) -> Arrays:
        """Every state as it begins: zeros."""
        return {s["input"]: np.zeros([batch, *s["shape"][1:]], s["dtype"]) for s in self.states}

    def run(self, feeds: Mapping[str, np.ndarray]) -> tuple[Arrays, Arrays]:
        """Outputs by name, and the states after by the names of their inputs; feeds that it does not know are left out.

        Raises:
            GrusError: ONNX Runtime cannot run the model on them.
        """
        known = {name: np.asarray(feeds[name], dtype) for name, dtype in self.inputs.items()}
        names = [port.name for port in self._session.get_outputs()]
        try:
            found: Any = self._session.run(None, known)
        except _REFUSALS as error:
            raise GrusError(
                f"export: ONNX Runtime must run the model, but says: {_first_line(error)}"
            ) from error
        outputs: Arrays = dict(zip(names, found, strict=True))
        after = {state["input"]: outputs.pop(state["output"]) for state in self.states}
        return outputs, after


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
