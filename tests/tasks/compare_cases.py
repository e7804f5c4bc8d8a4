"""A problem that trains in a tenth of a second, and settings to compare on it."""

from pathlib import Path

import numpy as np
import torch

from grus.models import GraphModule
from grus.spec import Port, chain, ops
from grus.tasks.cells import layers_of
from grus.tasks.compare.problem import Losses, Setting
from grus.tasks.compare.progress import WholeProgress
from grus.tasks.compare.run import run_comparison
from grus.tasks.compare.settings import Settings
from grus.tasks.run_folder import claim_run
from grus.training import TrainingConfig

STEPS, ROWS, TEST = 4, 16, 30


class SumJob:
    """The sum of a sequence of numbers."""

    def __init__(self, model, setting, length):
        self.model, self._setting, self._length = model, setting, length

    def steps(self, epoch):
        return max(1, round(STEPS * self._setting.share))

    def batch(self, epoch, step):
        return sums(ROWS, self._length, (self._setting.seed, epoch, step))

    def loss(self, batch, carry):
        return (self.model({"x": batch["x"]})["out"] - batch["y"]).square().mean(), carry

    def validate(self):
        batch = {name: torch.from_numpy(values) for name, values in sums(64, self._length, (7, 7)).items()}
        return {"validation_loss": float(self.loss(batch, None)[0])}


class SumProblem:
    """See `grus.tasks.compare.problem.Problem`."""

    name, title, metric, plan = "sum", "Sum of numbers", "squared error", ["rows      made up"]

    def __init__(self, epochs=3, length=6):
        self._epochs, self._length = epochs, length

    def graph(self, cell, hidden, length=None):
        return chain(Port("x", "seq", 2, "src"), [layers_of(cell, hidden), ops.Last(), ops.Linear(1)])

    def job(self, setting):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(setting.seed)
            model = GraphModule(self.graph(setting.cell, setting.hidden))
        return SumJob(model, setting, setting.length or self._length)

    def config(self, setting):
        return TrainingConfig(
            epochs=self._epochs, learning_rate=setting.learning_rate, seed=setting.seed, device="cpu", log="none",
            patience=2,
        )  # fmt: skip

    def losses(self, model, setting):
        data = sums(TEST, setting.length or self._length, (9, 9))
        found = model({"x": torch.from_numpy(data["x"])})["out"].numpy()
        return Losses(((found - data["y"]) ** 2).ravel().astype(np.float64), np.ones(TEST), {"worst": 1.0})

    def floors(self, length=None):
        return {"always 0": float(np.mean(sums(TEST, length or self._length, (9, 9))["y"] ** 2))}


def sums(rows, length, key):
    """Numbers and noise [R, T, 2], and their sums [R, 1]."""
    x = np.random.default_rng(key).normal(size=(rows, length, 2)).astype(np.float32)
    return {"x": x, "y": x[:, :, 0].sum(1, keepdims=True)}


def settings(**changed):
    """Settings of a small comparison."""
    given = {
        "cells": ("gru", "lstm", "rnn"), "equal": "parameters", "hidden_size": 6, "parameters": None,
        "rates": (0.01, 0.03), "learning_rate": 1e-2, "seeds": 2, "sizes": (1.0,), "lengths": None, "level": 0.95,
        "seed": 0,
    }  # fmt: skip
    return Settings.of(**(given | changed))


def run(folder, problem=None, **changed):
    """A comparison in a folder, which goes on with what is there."""
    problem = SumProblem() if problem is None else problem
    claim_run(Path(folder), {"sum": True}, "", False)
    return run_comparison(problem, settings(**changed), Path(folder), WholeProgress("quiet"), problem.plan)


def figures(outcome):
    """All but what takes time."""
    return [
        (point.share, point.length, point.floors, result.cell, result.hidden, result.rate, result.losses.tolist(),
         [run.validation for run in result.runs], [run.score for run in result.tried],
         [run.gradient for run in result.runs], result.cost.parameters, result.cost.memory)
        for point in outcome.points for result in point.cells
    ]  # fmt: skip


def a_setting(**changed):
    """One setting."""
    return Setting(**({"cell": "gru", "hidden": 6, "learning_rate": 0.01} | changed))
