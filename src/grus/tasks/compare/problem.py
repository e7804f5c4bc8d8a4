"""What a comparison of cells needs of a task: a graph, a training job, and the errors on test rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np

from grus.models import GraphModule
from grus.spec import Graph
from grus.training import Job, TrainingConfig


@dataclass(frozen=True)
class Setting:
    """One training run of a comparison.

    Attributes:
        cell: one of `grus.tasks.cells.CELLS`.
        hidden: units of its layers.
        learning_rate: of this run.
        seed: of the weights and of the order of rows.
        share: part of the training rows that is used, in (0, 1].
        length: steps of a sequence, for problems that can be had at several; None: the problem's own.
    """

    cell: str
    hidden: int
    learning_rate: float
    seed: int = 0
    share: float = 1.0
    length: int | None = None


class Losses(NamedTuple):
    """Test errors of one trained model, by unit: an example, a window, a piece of music.

    The metric is sum(values * weights) / sum(weights). Units are the same for every cell, in the same order, so that
    two cells are compared unit by unit.

    Args:
        values: mean error of each unit, float64 [U]; smaller is better.
        weights: what each unit counts, float64 [U], e.g. its steps.
        also: other scores of the same model, by name with their unit; they are shown and decide nothing.
    """

    values: np.ndarray
    weights: np.ndarray
    also: Mapping[str, float] = MappingProxyType({})

    @property
    def mean(self) -> float:
        """The metric."""
        return float(np.average(self.values, weights=self.weights))


class Problem(Protocol):
    """Data with a task, on which any cell can be trained.

    Attributes:
        name: a short word for file names and commands, e.g. ``forecast`` or ``adding``.
        title: for people, e.g. ``Adding problem, 600 steps``.
        metric: what `losses` measures, with its unit, e.g. ``MSE`` or ``NLL (nats per step)``.
        plan: the data as it was understood, in lines.
    """

    name: str
    title: str
    metric: str
    plan: list[str]

    def graph(self, cell: str, hidden: int, length: int | None = None) -> Graph:
        """The network with that cell and that many units; all else is the same for every cell."""
        ...

    def job(self, setting: Setting) -> Job:
        """What is to be trained: ``job.model`` is the `GraphModule` of `graph`, its weights drawn from the seed."""
        ...

    def config(self, setting: Setting) -> TrainingConfig:
        """How it is trained: the same budget for every cell."""
        ...

    def losses(self, model: GraphModule, setting: Setting) -> Losses:
        """Errors of a trained model on the test rows (whose number does not depend on ``share``)."""
        ...

    def floors(self, length: int | None = None) -> Mapping[str, float]:
        """The metric of answers that cost nothing, by name, e.g. repeating the last value."""
        ...
