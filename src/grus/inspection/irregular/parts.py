"""What each measurement adds to the answer, by integrated gradients; on torch.

The way from a row of which nothing is known to the row as it is has two legs, whose parts all add up:

    nothing measured, no time passing -> measured when it was, every value at its mean -> as it was measured

On the first the masks (as numbers that the network reads) and the times go from 0 to what they are; on the second the
values go from 0, their mean in training once they are scaled. A value that is carried on, by the preprocessing or in a
GRU-D, is a part of its measurement.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from grus.decode import LiveClassifier
from grus.errors import UnsupportedError, UsageError
from grus.inspection.inside.attribution import Attribution, integrated_gradients, open_network
from grus.inspection.irregular.readings import Readings
from grus.models.cells import GRUD
from grus.nn import GRUD as GRUDLayer  # noqa: N811  (the layer, beside the node that makes it one of a graph)
from grus.spec import Classify, Irregular, Model, ops

if TYPE_CHECKING:
    from grus.inspection.inside.case import Case

#: Points of an integral at most, and steps over all of them: 10,000 steps leave 20 points.
_POINTS, _STEPS = 2048, 200_000


@dataclass(frozen=True, eq=False)
class Parts:
    """What the log-odds of a label are made of, for a row of T steps and C columns.

    Attributes:
        values: what each measured value adds, over that column at its mean [T, C]; 0 where nothing was measured.
        presence: what it adds that something was measured there at all [T, C]; 0 for a form without masks.
        time: what the time adds that had passed at each step [T]; 0 for a form that does not read times.
        steps: the sum of all at the steps at which the network reads them, a carried value at each [T].
        base: log-odds with nothing measured and no time passing. at_mean: with every measured value at its mean.
        answer: of the row as it is.
        gap: by how much all parts miss ``answer - base``.
    """

    values: np.ndarray
    presence: np.ndarray
    time: np.ndarray
    steps: np.ndarray
    base: float
    at_mean: float
    answer: float
    gap: float


@dataclass(frozen=True, eq=False)
class Measurements:
    """What `measurements` found: the readings, what each adds to the log-odds of a label, and the label.

    Attributes:
        label: whose log-odds; number: of the label, in the order of the model.
        readings: what was measured, when, and what the model said as it came.
        parts: of the log-odds.
    """

    label: str
    number: int
    readings: Readings
    parts: Parts

    @property
    def probabilities(self) -> np.ndarray:
        """Of the label, after each of ``readings.answers``, float64 [A]."""
        return self.readings.probabilities[:, self.number]

    def strongest(self) -> list[tuple[int, int]]:
        """Step and column of every measurement, by how much value and presence add or take, the most first."""
        steps, columns = np.nonzero(self.readings.known)
        size = np.abs(self.added[steps, columns])
        order = np.argsort(-size, kind="stable")
        return list(zip(steps[order].tolist(), columns[order].tolist()))

    def describe(self) -> list[str]:
        """Two sentences: which measurements moved the probability most, and how the parts come to the answer."""
        from grus.inspection.irregular.wording import strongest_sentence, sum_sentence

        return [strongest_sentence(self), sum_sentence(self)]

    @property
    def added(self) -> np.ndarray:
        """What each measurement adds, by its value and by having been taken [T, C]."""
        return self.parts.values + self.parts.presence


def measurements(model: Any, data: Any, *, row: int = 1, label: Any = None) -> Measurements:
    """Say which measurement raised and which lowered the probability of a label, for one row of irregular series.

        log-odds = base + sum of presence + sum of time + sum of values

    Args:
        model: a fitted `grus.Classifier` with ``irregular``, or the folder of one.
        data: as for ``predict``.
        row: number of the example, the first is 1.
        label: whose log-odds are divided (default: the one that the model says).

    Raises:
        UnsupportedError: the model does not read irregular series.
        UsageError: there is no such row or label. DataError: the data does not fit, or the row has no step.

    Reference: Sundararajan et al. 2017, arXiv:1703.01365; a path of two straight legs is one of its path methods
    (section 4), for which completeness holds too.
    """
    from grus.artifact import load_model
    from grus.inspection.inside.case import classify_case

    if isinstance(model, str | Path):
        spec, tensors = load_model(model)
    elif hasattr(model, "tensors_"):
        spec, tensors = model.model_, model.tensors_
    else:
        raise UsageError(
            f"measurements: model must be a fitted Classifier or a model folder, got {type(model).__name__}"
        )
    if not isinstance(spec.task, Classify) or spec.step(Irregular) is None:
        raise UnsupportedError(
            "measurements: the model must be a classifier that reads irregular series",
            hint="fit it with irregular=, or use grus.inspection.record",
        )
    live = LiveClassifier(spec, tensors)
    case = classify_case(live, live.examples(data), row, label=None if label is None else str(label))
    return measured(spec, tensors, case)


def measured(model: Model, tensors: Mapping[str, np.ndarray], case: "Case") -> Measurements:
    """The parts of a case of irregular series."""
    assert case.readings is not None
    weights = {k.removeprefix("main."): v for k, v in tensors.items() if k.startswith("main.")}
    found = divide(model, weights, case, case.readings)
    number = model.task_as(Classify).labels.index(case.label)
    return Measurements(case.label, number, case.readings, found)


def divide(model: Model, weights: Mapping[str, np.ndarray], case: "Case", readings: Readings) -> Parts:
    """Divide the case's score among what was read.

    Args:
        model: the spec; weights: of its network, by ``"<node>.<weight>"``.
        case: whose first row is the one in question.
        readings: of that row.
    """
    first, columns = readings.first, len(readings.columns)
    known = readings.known
    network = open_network(model.parts["main"], weights)
    for node in network.graph.nodes:
        if isinstance(node.op, ops.GRUD):
            layer: Any = network.nodes[node.name]
            network.nodes[node.name] = _Seen(layer, torch.from_numpy(known[first:]))
    (port,) = network.graph.inputs
    x = torch.from_numpy(np.array(case.inputs[port.name][0, : case.steps]))
    most = max(16, min(_POINTS, _STEPS // len(x)))

    def answer(given: Tensor) -> Tensor:
        return case.score(network({port.name: given}))

    middle = x.clone()
    middle[:, :columns] = 0
    pattern = integrated_gradients(answer, [middle], most=most)
    values = integrated_gradients(answer, [x], [middle], most=most)
    return _sorted(pattern, values, readings)


class _Seen(nn.Module):
    """A GRU-D that is told which values were observed, and reads as the mask whatever number it is given."""

    def __init__(self, layer: GRUD, observed: Tensor) -> None:
        super().__init__()
        self.layer, self.observed = layer, observed

    def forward(self, inputs: tuple[Tensor, ...], lengths: Tensor | None) -> dict[str, Tensor]:
        """Run whole sequences, as `grus.models.cells.GRUD` does."""
        x, presence, gap = inputs
        mask = self.observed.expand(x.shape)
        y, states = GRUDLayer.forward(self.layer, x, mask, gap, lengths=lengths, presence=presence)
        return {"": y} | dict(zip(self.layer.op.states, states, strict=True))


def _sorted(pattern: Attribution, values: Attribution, readings: Readings) -> Parts:
    """The parts of both legs by what they belong to: a value, its presence, or the time."""
    first, count = readings.first, len(readings.columns)
    known, steps = readings.known, readings.steps
    by_value, presence = np.zeros(known.shape), np.zeros(known.shape)
    time, at_steps = np.zeros(steps), np.zeros(steps)
    found = pattern.values[0]
    presence[first:] = found[:, count : 2 * count] if found.shape[1] > count else 0.0
    time[first:] = found[:, 2 * count :].sum(axis=1)
    at_steps[first:] = found.sum(axis=1) + values.values[0].sum(axis=1)
    newest = np.maximum.accumulate(np.where(known, np.arange(steps)[:, None], 0), axis=0)[first:]
    np.add.at(by_value, (newest, np.arange(count)[None, :]), values.values[0][:, :count])
    return Parts(
        np.where(known, by_value, 0.0), presence, time, at_steps, pattern.start, values.start, values.answer,
        pattern.gap + values.gap,
    )  # fmt: skip
