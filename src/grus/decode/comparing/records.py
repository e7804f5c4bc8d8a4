"""What a comparison of cells leaves: runs with their errors, what cells cost, and both at every point of a grid."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from grus.decode.comparing.paired import Interval, difference_interval, error_interval


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        cell, hidden, learning_rate, seed, share, length: as in `grus.tasks.compare.problem.Setting`.
        state: ``finished``, or ``diverged``: a loss was not finite.
        validation: the monitored score after each epoch, smaller is better.
        best_epoch: the epoch, counted from 1, whose weights were kept.
        seconds: of the whole run, by the clock.
        losses: errors on the test units [U]; weights: what each unit counts [U].
        also: other scores on the test units, by name.
        gradient: of the loss with respect to the input of the first recurrent layer, by steps before its end;
            last_state: the same of that layer's last state, along one direction. Only of the first seed.
    """

    cell: str
    hidden: int
    learning_rate: float
    seed: int
    share: float
    length: int | None
    state: Literal["finished", "diverged"] = "finished"
    validation: list[float] = field(default_factory=list)
    best_epoch: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    also: dict[str, float] = field(default_factory=dict)
    gradient: list[float] = field(default_factory=list)
    last_state: list[float] = field(default_factory=list)

    @property
    def score(self) -> float:
        """The best validation score; infinite if there is none."""
        return min(self.validation) if self.state == "finished" else math.inf

    @property
    def error(self) -> float:
        """The metric on the test units."""
        return float(np.average(self.losses, weights=self.weights))


@dataclass(frozen=True)
class Cost:
    """What a cell costs, apart from its errors.

    Attributes:
        cell, hidden: what was measured.
        parameters: weights of the whole network; in float32 four bytes each.
        steps: optimiser steps of an epoch.
        epoch_seconds: of the training steps of an epoch, by the clock: the median of some rounds in which the cells
            took turns; low, high: quartiles; cpu_seconds: the median of what all threads of the process worked.
        latency_us: of the runtime for one row, in microseconds, the median: one step with the state carried where
            ``streams``, else the whole sequence; latency_steps: steps of that.
        memory: bytes that a training step holds at its fullest, without what all cells need alike: the tensors
            kept for the backward pass, the weights, their gradients and the optimiser's two moments.
    """

    cell: str
    hidden: int
    parameters: int
    steps: int
    epoch_seconds: float
    low: float
    high: float
    cpu_seconds: float
    latency_us: float
    latency_steps: int
    streams: bool
    memory: int

    @property
    def bytes(self) -> int:
        """Of the weights in a model file."""
        return 4 * self.parameters


#: Before it is measured.
NO_COST = Cost("", 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, False, 0)


@dataclass(frozen=True)
class CellResult:
    """One cell at one point.

    Attributes:
        cell, hidden: which.
        tried: the runs of the search for a learning rate, by rising rate.
        runs: at the chosen rate, one a seed; empty where every rate diverged.
        cost: of training and running it.
        diverged: seeds that are missing from ``runs``, because their training diverged.
    """

    cell: str
    hidden: int
    tried: list[Run]
    runs: list[Run]
    cost: Cost = NO_COST
    diverged: int = 0

    @property
    def rate(self) -> float:
        """The learning rate that was chosen; NaN where every one diverged."""
        return self.runs[0].learning_rate if self.runs else math.nan

    @cached_property
    def losses(self) -> np.ndarray:
        """Errors by run and unit, float64 [S, U]."""
        return np.array([run.losses for run in self.runs])

    @cached_property
    def weights(self) -> np.ndarray:
        """What each unit counts [U]."""
        return np.array(self.runs[0].weights)

    @property
    def mean(self) -> float:
        """Mean error over the runs; infinite without any."""
        return float(np.mean([run.error for run in self.runs])) if self.runs else math.inf

    def interval(self, level: float) -> Interval:
        """The mean error with its interval."""
        return error_interval(self.losses, self.weights, level)

    def minus(self, other: "CellResult", level: float) -> Interval:
        """By how much its error is larger than that of another."""
        return difference_interval(self.losses, other.losses, self.weights, level)

    @property
    def spread(self) -> float:
        """Standard deviation of the error over the runs; NaN for one run."""
        return float(np.std([run.error for run in self.runs], ddof=1)) if len(self.runs) > 1 else math.nan

    @property
    def validation(self) -> float:
        """Mean of the best validation scores."""
        return float(np.mean([run.score for run in self.runs])) if self.runs else math.nan

    @property
    def best_epoch(self) -> float:
        """Mean number of epochs to the best validation score."""
        return float(np.mean([run.best_epoch for run in self.runs])) if self.runs else math.nan

    @property
    def seconds_to_best(self) -> float:
        """Training time to the best validation score: so many epochs at the pace that was measured in turns."""
        return self.best_epoch * self.cost.epoch_seconds


@dataclass(frozen=True)
class Point:
    """All cells on one share of the training rows and at one length of sequence.

    Attributes:
        share: of the training rows; length: steps, or None for the problem's own.
        floors: the metric of answers that cost nothing, by name.
        cells: the results.
    """

    share: float
    length: int | None
    floors: dict[str, float]
    cells: list[CellResult]

    @property
    def trained(self) -> list[CellResult]:
        """The cells that came to an end with some rate."""
        return [result for result in self.cells if result.runs]

    @property
    def best_floor(self) -> tuple[str, float] | None:
        """The least of the floors by name, if there are any."""
        found = {name: value for name, value in self.floors.items() if math.isfinite(value)}
        name = min(found, key=found.__getitem__, default=None)
        return None if name is None else (name, found[name])


@dataclass(frozen=True)
class Outcome:
    """A whole comparison.

    Attributes:
        task: a short word; title: for people.
        metric: what the errors are, with their unit.
        plan: the data and the comparison as they were understood, in lines.
        equal: ``parameters`` or ``width``.
        seeds: how many runs a cell at the chosen rate.
        level: of the intervals, a share.
        machine: where the times were taken, in words.
        points: in the order of lengths, then shares.
    """

    task: str
    title: str
    metric: str
    plan: list[str]
    equal: str
    seeds: int
    level: float
    machine: str
    points: list[Point]

    @property
    def main(self) -> Point:
        """The point that the verdict is about: the largest share of the rows, at the longest length."""
        return max(self.points, key=lambda point: (point.share, point.length or 0))
