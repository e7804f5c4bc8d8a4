"""Models as typed data: ops, graphs, tasks, preprocessing steps, and the table of what runs where."""

from grus.spec.capability import BACKENDS, CAPABILITIES, STREAMS, Backend, require, require_streaming
from grus.spec.graph import Graph, Node, Port, chain, infer, node_weights, weight_shapes
from grus.spec.model import (
    SCHEMA,
    AnyStep,
    AnyTask,
    Calendar,
    Categories,
    CovariateScale,
    Forecast,
    Model,
    SeriesScale,
    Step,
)
from grus.spec.ops import OPS, AnyOp, Op
from grus.spec.shapes import Shape

__all__ = [
    "BACKENDS",
    "CAPABILITIES",
    "OPS",
    "SCHEMA",
    "STREAMS",
    "AnyOp",
    "AnyStep",
    "AnyTask",
    "Backend",
    "Calendar",
    "Categories",
    "CovariateScale",
    "Forecast",
    "Graph",
    "Model",
    "Node",
    "Op",
    "Port",
    "SeriesScale",
    "Shape",
    "Step",
    "chain",
    "infer",
    "node_weights",
    "require",
    "require_streaming",
    "weight_shapes",
]
