"""Whether the parts of a detecting model's spec belong together: a folder is hostile input."""

import numpy as np

from grus.errors import SpecError
from grus.preprocess.detect import DetectPreprocessor
from grus.spec import STREAMS, Detect, Model, infer


def check_detect(model: Model, preprocessor: DetectPreprocessor) -> None:
    """Raise SpecError unless the graph reads what the steps make, row by row, and expects every column."""
    task, port = model.task_as(Detect), preprocessor.port()
    if set(model.parts) != {"main"} or model.parts["main"].inputs != (port,):
        raise SpecError(f"detect: the graph must have one input, {port.name!r} of size {port.size}")
    graph = model.parts["main"]
    if set(graph.outputs) != {"mean"}:
        raise SpecError(f"detect: the graph must have one output, 'mean', got {sorted(graph.outputs)}")
    shape = infer(graph)[graph.outputs["mean"]]
    if (shape.kind, shape.size, shape.clock) != ("seq", len(task.columns), "src"):
        raise SpecError(f"detect: the output must be seq[{len(task.columns)}] on clock 'src', got {shape}")
    for node in graph.nodes:
        if node.op.time not in STREAMS:
            raise SpecError(f"detect: node {node.name!r} must read in one direction, got {node.op.name}")


def check_fitted(fitted: dict[str, np.ndarray]) -> None:
    """Raise SpecError unless the numbers that scores begin with can be such."""
    if not (fitted["spread"] >= 0).all() or not (fitted["rows"] >= 0).all():
        raise SpecError("model: task.spread and task.rows must be at least 0")
    if not 0.0 <= fitted["threshold"][0] < 1.0:
        raise SpecError(f"model: task.threshold must be from 0 to below 1, got {fitted['threshold'][0]}")
