"""Models as typed data: ops, graphs, tasks, preprocessing steps, and the table of what runs where."""

from grus.spec.capability import BACKENDS, CAPABILITIES, STREAMS, Backend, require, require_streaming
from grus.spec.detect import Detect
from grus.spec.generate import Generate, GenerateKind
from grus.spec.graph import Graph, Node, Port, chain, infer, node_weights, weight_shapes
from grus.spec.model import SCHEMA, AnyTask, Classify, ClassifyKind, Forecast, Model
from grus.spec.ops import OPS, AnyOp, Op
from grus.spec.shapes import Shape
from grus.spec.steps import (
    AnyStep,
    Calendar,
    Categories,
    Codes,
    CovariateScale,
    Images,
    Irregular,
    IrregularForm,
    LogMel,
    Music,
    Part,
    SeriesScale,
    Step,
    Subwords,
    Vocabulary,
)
from grus.spec.transcribe import Transcribe
from grus.spec.translate import Translate

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
    "Classify",
    "ClassifyKind",
    "Codes",
    "CovariateScale",
    "Detect",
    "Forecast",
    "Generate",
    "GenerateKind",
    "Graph",
    "Images",
    "Irregular",
    "IrregularForm",
    "LogMel",
    "Model",
    "Music",
    "Node",
    "Op",
    "Part",
    "Port",
    "SeriesScale",
    "Shape",
    "Step",
    "Subwords",
    "Transcribe",
    "Translate",
    "Vocabulary",
    "chain",
    "infer",
    "node_weights",
    "require",
    "require_streaming",
    "weight_shapes",
]
