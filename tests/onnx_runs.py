"""ONNX files run in ONNX Runtime: whole, and in chunks with the states carried by their names in the metadata."""

import json
from typing import Any

import numpy as np
import onnxruntime

_DTYPES = {"tensor(float)": "f4", "tensor(double)": "f8", "tensor(int64)": "i8", "tensor(bool)": "?"}


def session_of(model: Any) -> onnxruntime.InferenceSession:
    """A session of a path, or of a model that lies in memory."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    source = model.SerializeToString() if hasattr(model, "SerializeToString") else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def metadata(session) -> dict[str, Any]:
    return {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}


def first_states(session, batch: int) -> dict[str, np.ndarray]:
    """Zeros for every state, as the documents say."""
    return {
        state["input"]: np.zeros([batch, *state["shape"][1:]], state["dtype"])
        for state in metadata(session)["grus.states"]
    }


def run(session, inputs, states=None, lengths=None):
    """Outputs by name, and the states after; missing lengths are those of the arrays, missing states zeros."""
    batch = len(next(iter(inputs.values())))
    feeds = {**inputs, **(first_states(session, batch) if states is None else states)}
    for port in session.get_inputs():
        if port.name.endswith(".lengths"):
            clock = port.name.removesuffix(".lengths")
            time = next(inputs[p.name].shape[1] for p in session.get_inputs() if p.shape[1:2] == [clock])
            feeds[port.name] = np.full(batch, time) if lengths is None else lengths[clock]
    names = [port.name for port in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, feeds), strict=True))
    after = {s["input"]: outputs.pop(s["output"]) for s in metadata(session)["grus.states"]}
    return outputs, after
