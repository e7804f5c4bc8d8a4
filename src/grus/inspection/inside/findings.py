"""Everything that is found out about one row and the units that read it, as arrays and as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from grus.decode import LiveClassifier, LiveForecaster
from grus.inspection.inside import memory
from grus.inspection.inside.case import Case
from grus.inspection.inside.gates import Record, program_records
from grus.runtime import Program
from grus.spec import Graph, ops

if TYPE_CHECKING:
    from grus.inspection.irregular.parts import Measurements

#: How many moments are pointed out, and how many steps the untrained layers are compared over.
MOMENTS, COMPARED = 6, 400
#: Steps, over all points of the integral, that attribution may take: 10,000 steps leave 20 points.
_STEPS, _POINTS = 200_000, 2048


class Reader(NamedTuple):
    """A network that answers once, after the last step, as a classifier's does."""

    program: Program

    @staticmethod
    def of(graph: Graph, tensors: Mapping[str, np.ndarray]) -> "Reader":
        """The reader of a graph, with its weights out of those of the model file."""
        return Reader(Program(graph, _weights(tensors)))


@dataclass(frozen=True, eq=False)
class Findings:
    """What `inspect_case` found.

    Attributes:
        case: what was looked at.
        records: of every GRU and GRU-D by name, the row in question first.
        units, horizons: of the same.
        written: share of the memory that each step of the row overwrites, by GRU [L, D, T].
        moved: how far it moved the state, see `memory.moved`, by GRU [L, D, T].
        attribution: what each step of the input adds to the answer [T], in the case's unit.
        base: the answer without any step's part; gap: by how much all parts together miss the answer.
        gradients: norm of the loss's gradient by steps back, as a share of the largest [K].
        last_state: the same of the last state with respect to the layer's input, by layer: the trained one, then
            untrained ones of its size; empty for a GRU-D, which no other layer could stand in for.
        faded: share of the memory that the time before each step of the row took, by GRU-D [T].
        input_decays: weight and bias of the decay of each column's last value, by GRU-D, each [C].
        measured: of irregular series, what each measurement adds.
    """

    case: Case
    records: dict[str, Record]
    units: dict[str, memory.Units]
    horizons: dict[str, memory.Horizon]
    written: dict[str, np.ndarray]
    moved: dict[str, np.ndarray]
    attribution: np.ndarray
    base: float
    gap: float
    gradients: np.ndarray
    last_state: dict[str, np.ndarray]
    faded: dict[str, np.ndarray]
    input_decays: dict[str, tuple[np.ndarray, np.ndarray]]
    measured: "Measurements | None" = None

    @property
    def main(self) -> str:
        """The GRU that reads the row."""
        return next(iter(self.records))

    def size(self, name: str) -> int:
        """How many steps of the row one step of a GRU reads; 1 for one that runs on another clock."""
        return max(1, self.case.padded_steps // max(1, self.records[name].h.shape[3]))

    def places(self) -> list[tuple[int, int]]:
        """Layer and direction of every part of the main GRU."""
        layers, directions, _ = self.written[self.main].shape
        return [(layer, d) for layer in range(layers) for d in range(directions)]

    def last_rows(self) -> np.ndarray:
        """The last step of the input that each step of the main GRU reads."""
        steps = self.written[self.main].shape[-1]
        return np.minimum((np.arange(steps) + 1) * self.size(self.main) - 1, self.case.steps - 1)

    def moments(self) -> np.ndarray:
        """Steps of the GRU at which its state moved most, the most first; of neighbours only one counts.

        Not the first that a direction reads: that fills a memory, and overwrites none.
        """
        moved = self.moved[self.main].mean(axis=(0, 1))
        if len(moved) > 2:
            moved[[0, -1] if self.moved[self.main].shape[1] > 1 else 0] = -1
        apart = len(moved) // 40
        found: list[int] = []
        for step in np.argsort(-moved, kind="stable").tolist():
            if moved[step] >= 0 and all(abs(step - other) > apart for other in found):
                found.append(step)
            if len(found) == min(MOMENTS, max(1, len(moved) // 3)):
                break
        return np.array(found, np.int64)


def inspect_case(
    live: LiveClassifier | LiveForecaster | Reader, tensors: Mapping[str, np.ndarray], case: Case
) -> Findings:
    """Record the gates of a case, and find out what its answer rests on.

    Args:
        live: the model, with its weights in float32; tensors: its numbers by the names of the model file.
        case: of that model.

    Raises:
        UnsupportedError: the model has no recurrent layer.
    """
    clock = {"src": case.lengths}
    records = program_records(live.program, case.inputs, clock)
    graph = live.program.graph
    weights = _weights(tensors)
    measured = None
    if case.readings is None:
        parts, base, gap = _attribution(graph, weights, case)
    else:
        from grus.inspection.irregular.parts import measured as measure

        assert isinstance(live, LiveClassifier)
        measured = measure(live.model, tensors, case)
        parts, base, gap = (
            measured.parts.steps[case.readings.first :],
            measured.parts.base,
            measured.parts.gap,
        )
    main = next(iter(records.values()))
    return Findings(
        case=case,
        records=records,
        units={name: memory.units(found) for name, found in records.items()},
        horizons={name: memory.measured_horizon(found) for name, found in records.items()},
        written={
            name: memory.written(found)[:, :, 0, : int(found.lengths[0])] for name, found in records.items()
        },
        moved={
            name: memory.moved(found)[:, :, 0, : int(found.lengths[0])] for name, found in records.items()
        },
        attribution=parts,
        base=base,
        gap=gap,
        gradients=_gradients(graph, weights, case),
        last_state=_last_state(graph, weights, main),
        faded={
            name: share[0, 0, 0, : int(found.lengths[0])]
            for name, found in records.items()
            if (share := memory.faded(found)) is not None
        },
        input_decays={
            name: (weights[f"{name}.input_decay_weight"], weights[f"{name}.input_decay_bias"])
            for name, found in records.items()
            if found.input_decay is not None
        },
        measured=measured,
    )


def _weights(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {k.removeprefix("main."): v for k, v in tensors.items() if k.startswith("main.")}


def _attribution(
    graph: Graph, weights: Mapping[str, np.ndarray], case: Case
) -> tuple[np.ndarray, float, float]:
    """What each step of the row adds to the answer, the answer without them, and what is missed."""
    from grus.inspection.inside.attribution import integrated_gradients, open_inputs, open_network

    network = open_network(graph, weights)
    given = open_inputs(graph, weights, {name: values[:1] for name, values in case.inputs.items()})
    source = [port.name for port in network.graph.inputs if port.clock == "src"]
    steps = case.steps
    rows = [given[name][0, :steps] for name in source]
    fixed = {port.name: given[port.name] for port in network.graph.inputs if port.name not in source}

    def answer(*inputs: Any) -> Any:
        n = len(inputs[0])
        others = {name: value.expand(n, *value.shape[1:]) for name, value in fixed.items()}
        return case.score(network({**dict(zip(source, inputs)), **others}))

    starts = [x.mean(dim=0, keepdim=True).expand_as(x) if case.mean_baseline else x * 0 for x in rows]
    found = integrated_gradients(answer, rows, starts, most=max(16, min(_POINTS, _STEPS // steps)))
    parts = sum(values.reshape(steps, -1).sum(axis=1) for values in found.values)
    return np.asarray(parts), found.start, found.gap


def _gradients(graph: Graph, weights: Mapping[str, np.ndarray], case: Case) -> np.ndarray:
    """The gradient of the answer with respect to the inputs, by steps back from the row's end, over some rows.

    That of the loss has the same course: for one row it is this, times a number.
    """
    import torch

    from grus.inspection.inside.attribution import gradient_by_lag, open_inputs, open_network

    network = open_network(graph, weights)
    rows = slice(0, max(1, min(16, 40_000 // max(1, int(case.lengths.max())))))
    given = open_inputs(graph, weights, {name: values[rows] for name, values in case.inputs.items()})
    lengths = torch.from_numpy(case.lengths[rows])
    name = next(port.name for port in network.graph.inputs if port.clock == "src")

    def answer(x: Any) -> Any:
        inputs = {port.name: given[port.name] for port in network.graph.inputs}
        return case.score(network({**inputs, name: x}, {"src": lengths}))

    found = gradient_by_lag(answer, given[name], case.lengths[rows])
    return found / (found.max(initial=0.0) or 1.0)


def _last_state(graph: Graph, weights: Mapping[str, np.ndarray], record: Record) -> dict[str, np.ndarray]:
    """The trained layers beside untrained ones of their size, on the last steps of what they are given."""
    if isinstance(next(node for node in graph.nodes if node.name == record.name).op, ops.GRUD):
        return {}
    import torch

    from grus.inspection.inside.attribution import fresh_layers, last_state_gradients
    from grus.models import GraphModule

    network = GraphModule(graph)
    network.load_tensors(weights)
    trained: Any = network.eval().requires_grad_(False).nodes[record.name]
    hidden = record.h.shape[-1]
    length = int(record.lengths[0])
    x = torch.from_numpy(np.ascontiguousarray(record.x[:1, max(0, length - COMPARED) : length]))
    runs = {
        "this model": lambda given: trained((given,), None)[""][..., :hidden],
        **fresh_layers(x.shape[2], hidden),
    }
    found = last_state_gradients(runs, x)
    return {name: values / (values[0] or 1.0) for name, values in found.items()}


def findings_dict(found: Findings) -> dict[str, Any]:
    """The numbers as plain data: every unit's, every step's of the row."""
    case = found.case
    steps: dict[str, Any] = {"attribution": found.attribution.tolist()}
    if case.times is not None:
        steps["time"] = [str(value) for value in case.times]
    if case.names:
        steps["name"] = list(case.names)
    if case.surprise is not None:
        steps["surprise"] = case.surprise.tolist()
    more = {}
    if found.measured is not None:
        from grus.inspection.irregular.wording import measurements_dict

        more = {"measurements": measurements_dict(found.measured)}
    return {
        "row": case.title,
        "answer": case.answer,
        "unit": case.unit,
        "base": found.base,
        "gap": found.gap,
        "steps": steps,
        "gradient_by_lag": found.gradients.tolist(),
        "last_state_gradient_by_lag": {name: values.tolist() for name, values in found.last_state.items()},
        "cells": [_cell_dict(found, name) for name in found.records],
        **more,
    }


def _cell_dict(found: Findings, name: str) -> dict[str, Any]:
    units, horizon = found.units[name], found.horizons[name]
    layers, directions, hidden = units.keep.shape
    rows = []
    for layer in range(layers):
        for direction in range(directions):
            for unit in range(hidden):
                at = (layer, direction, unit)
                values = {key: getattr(units, key)[at].item() for key in units._fields}
                place = {"layer": layer, "direction": ("forward", "backward")[direction], "unit": unit}
                measured = {"measured": float(horizon.steps[at]), "measured_open": bool(horizon.open[at])}
                rows.append({**place, **values, **measured})
    return {
        "name": name,
        "step_size": found.size(name),
        "written": found.written[name].tolist(),
        "moved": found.moved[name].tolist(),
        **({"faded": found.faded[name].tolist()} if name in found.faded else {}),
        "units": rows,
    }
