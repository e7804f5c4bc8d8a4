"""A GRU layer of a saved model at one step of one row, with the input and the state that the runtime brings to it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
import numpy as np

from grus.decode.classifier import LiveClassifier
from grus.decode.detector import LiveDetector
from grus.decode.explaining.cell import Cell
from grus.decode.explaining.given import Given
from grus.decode.forecaster import LiveForecaster
from grus.errors import DataError, UnsupportedError, UsageError
from grus.kernels.layout import GRUWeights
from grus.kernels.reference import StackOptions, gru_stack
from grus.preprocess.features import Features
from grus.runtime import Program
from grus.spec import Classify, Detect, Graph, Model, Node, Transcribe, Vocabulary, node_weights, ops

Tensors = Mapping[str, np.ndarray]


class _Layer(NamedTuple):
    """One layer of one node."""

    node: Node
    op: ops.GRU | ops.GRUStep
    layer: int


class Row(NamedTuple):
    """The network's inputs for one row, by port, each [1, ...], and the words of a text."""

    inputs: Tensors
    words: tuple[str, ...] = ()


def model_cell(
    model: Model,
    tensors: Tensors,
    row: Row | None,
    *,
    layer: int = 0,
    reverse: bool = False,
    step: int = -1,
    name: str = "model",
) -> Given:
    """A layer of a model as a cell; with a row, also what it sees at a step.

    Args:
        model, tensors: as the model folder holds them.
        row: None: the weights alone.
        layer: counted through all GRU layers of the model, from 0.
        reverse: the layer's backward direction.
        step: of the layer's own clock, from 0; negative ones count from the end.
        name: for messages.

    Raises:
        UsageError: the model has no such layer, direction or step.
    """
    part, graph = next((part, graph) for part, graph in model.parts.items() if part in ("main", "encode"))
    layers = _layers(graph)
    if not layers:
        kinds = sorted({node.op.name for node in graph.nodes})
        raise UsageError(f"{name}: has no GRU layer to explain, only {', '.join(kinds) or 'no node at all'}")
    if not 0 <= layer < len(layers):
        raise UsageError(f"{name}: layer must be from 0 to {len(layers) - 1}, got {layer}")
    found = layers[layer]
    if reverse and not (isinstance(found.op, ops.GRU) and found.op.bidirectional):
        raise UsageError(f"{name}: layer {layer} has no reverse direction")
    weights = {k.removeprefix(f"{part}."): v for k, v in tensors.items() if k.startswith(f"{part}.")}
    stack = _stack(found, node_weights(weights, found.node))
    directions = found.op.directions if isinstance(found.op, ops.GRU) else 1
    index = found.layer * directions + reverse
    title = f"{name}, layer {layer} of {len(layers)} (node {found.node.name!r}{', reverse' * reverse})"
    keep = found.op.zoneout if isinstance(found.op, ops.GRU) else 0.0
    cell = Cell(stack[index], found.op.reset_after, keep, title)
    if row is None:
        return Given(cell)
    x, h = _seen(graph, weights, row.inputs, found.node)
    steps = x.shape[1]
    if not -steps <= step < steps:
        raise UsageError(f"{name}: step must be from {-steps} to {steps - 1} in this row, got {step}")
    word = f", {row.words[step]!r}" if len(row.words) == steps else ""
    cell = replace(cell, name=f"{title}, step {step % steps} of {steps}{word}")
    if isinstance(found.op, ops.GRUStep):
        assert h is not None
        return Given(cell, x[0, step], h[0])
    return Given(cell, *_carried(found.op, stack, index, x, h, step % steps))


def _layers(graph: Graph) -> list[_Layer]:
    found: list[_Layer] = []
    for node in graph.nodes:
        op = node.op
        if isinstance(op, ops.GRU):
            found += [_Layer(node, op, layer) for layer in range(op.layers)]
        elif isinstance(op, ops.GRUStep):
            found.append(_Layer(node, op, 0))
    return found


def _stack(found: _Layer, tensors: Tensors) -> list[GRUWeights]:
    """The weights of every layer and direction of the node, float64."""
    op = found.op
    layers, directions = (op.layers, op.directions) if isinstance(op, ops.GRU) else (1, 1)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "gain_ih", "gain_hh")
    endings = [f"_l{k}{'_reverse' * d}" for k in range(layers) for d in range(directions)]
    return [
        GRUWeights(**{n: tensors[n + ending].astype(np.float64) for n in names if n + ending in tensors})
        for ending in endings
    ]


def _seen(
    graph: Graph, weights: Tensors, inputs: Tensors, node: Node
) -> tuple[np.ndarray, np.ndarray | None]:
    """What the runtime gives to a node: its input [1, T, I], and its initial state [1, S] if it has one; float64."""
    wanted = dict(zip(("x", "h"), node.inputs))
    found = Program(msgspec.structs.replace(graph, outputs=wanted), weights)(inputs)
    h = found["h"].astype(np.float64) if "h" in found else None
    return found["x"].astype(np.float64), h


def _carried(
    op: ops.GRU, stack: list[GRUWeights], index: int, x: np.ndarray, h: np.ndarray | None, step: int
) -> tuple[np.ndarray, np.ndarray]:
    """Input and state of one layer and direction before a step, from the oracle's run over the whole row."""
    h_0 = np.zeros(len(stack) * op.hidden) if h is None else h[0]
    options = StackOptions(op.bidirectional, op.reset_after, keep=op.zoneout)
    result = gru_stack(x.transpose(1, 0, 2), h_0.reshape(len(stack), 1, op.hidden), stack, options)
    trace = result.traces[index]
    at = int(trace.order[step, 0])
    return trace.x[at, 0], trace.h_prev[at, 0]


def read_row(model: Model, tensors: Tensors, data: Any, row: int, future: Any = None) -> Row:
    """One row of data as the network sees it, as ``predict`` makes it.

    Args:
        model, tensors: as the model folder holds them.
        data: what the live model's ``predict`` takes.
        row: number of the example (classifier) or of the series (forecaster, detector), from 0.
        future: of a forecaster: rows of the horizon.

    Raises:
        DataError: the data does not fit. UsageError: no such row.
    """
    if isinstance(model.task, Classify):
        live = LiveClassifier(model, tensors)
        sequences = live.sequences(live.examples(data))
        _check_row(row, len(sequences), "an example")
        if not sequences.lengths[row]:
            raise DataError(f"data: row {row} must have at least one step, got none")
        inputs = sequences.batch(np.array([row]))[0]
        known: Vocabulary | None = model.step(Vocabulary)
        if known is None:
            return Row(inputs)
        codes = inputs["tokens"][0].tolist()
        return Row(inputs, tuple(known.tokens[code - 1] if code else "(unknown)" for code in codes))
    if isinstance(model.task, Transcribe):
        raise UnsupportedError(
            "explain: a recording of a transcriber cannot be explained step by step yet",
            hint="--x gives the layer an input",
        )
    if isinstance(model.task, Detect):
        detector = LiveDetector(model, tensors)
        records = detector.records(data)
        _check_row(row, records.n_series, "a series")
        return Row({"x": detector.preprocessor.series_inputs(records, row)[0][None]})
    seen = _Seen(model, tensors)
    panel = seen.panel(data)
    _check_row(row, panel.n_series, "a series")
    seen.predict(panel, future)
    first = seen.parts[0]
    return Row({name: np.concatenate([part[name] for part in seen.parts])[[row]] for name in first})


class _Seen(LiveForecaster):
    """A forecaster that keeps what its network was given."""

    def __init__(self, model: Model, tensors: Tensors) -> None:
        super().__init__(model, tensors)
        self.parts: list[dict[str, np.ndarray]] = []

    def inputs(self, features: Features, series: np.ndarray, origins: np.ndarray) -> dict[str, np.ndarray]:
        """The network's inputs; see `LiveForecaster.inputs`."""
        self.parts.append(super().inputs(features, series, origins))
        return self.parts[-1]


def _check_row(row: int, rows: int, noun: str) -> None:
    if not 0 <= row < rows:
        raise UsageError(f"data: row must be from 0 to {rows - 1}, the number of {noun}, got {row}")
