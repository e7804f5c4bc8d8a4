"""Long-memory tasks as problems to compare cells on: how far back a cell can carry what it was told once."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from grus.data.windows import epoch_order
from grus.errors import UsageError
from grus.models import GraphModule
from grus.spec import Graph, Op, Port, chain, ops
from grus.tasks import rules
from grus.tasks.cells import layers_of
from grus.tasks.compare import memory_sequences as made
from grus.tasks.compare import sequence_job as jobs
from grus.tasks.compare.memory_sequences import Sequences
from grus.tasks.compare.options import Options, sort_options
from grus.tasks.compare.problem import Losses, Setting
from grus.tasks.compare.start import chrono_biases, orthogonal_recurrence, seeded_module
from grus.training import Job, TrainingConfig

_TRAINING, _VALIDATION, _TEST = 0, 1, 2  # purposes of a seed


@dataclass(frozen=True)
class _Task:
    """What the tasks differ in.

    Args:
        title: for people, with a place for the length.
        metric: what is reported, with its unit.
        length: where none is given.
        features: of a step; for digits it depends on the steps.
        outputs: of the network.
        cost, error: what is minimised, and what is reported.
        floors: answers that cost nothing, from the test rows and the length.
        draw: makes sequences; None: they are digits, in ``length`` steps.
        every_step: answered at every step, not after the last.
    """

    title: str
    metric: str
    length: int
    features: int
    outputs: int
    cost: jobs.Cost
    error: jobs.Cost
    floors: Callable[[Sequences, int], dict[str, float]]
    draw: Callable[[np.random.Generator, int, int], Sequences] | None
    every_step: bool = False


def _always_one(test: Sequences, length: int) -> dict[str, float]:
    """The mean of a sum of two uniform numbers is 1; the squared error of saying so is 1/6 in expectation."""
    return {"always 1": float(np.mean((test.truth.astype(np.float64) - 1.0) ** 2))}


def _guess_copies(test: Sequences, length: int) -> dict[str, float]:
    """Blank while blanks are wanted, then one of 8 at random."""
    steps = length + 2 * made.COPY_STEPS
    return {"guessing the symbols": made.COPY_STEPS * math.log(made.COPY_SYMBOLS) / steps}


def _guess_recall(test: Sequences, length: int) -> dict[str, float]:
    return {"guessing the symbol": math.log(made.RECALL_SYMBOLS)}


def _one_digit(test: Sequences, length: int) -> dict[str, float]:
    return {"always the same digit": 1.0 - float(np.bincount(test.truth).max()) / len(test)}


_NATS = "cross-entropy (nats)"
_DIGITS = {
    "metric": "error rate", "outputs": made.DIGIT_LABELS, "cost": jobs.cross_entropy, "error": jobs.wrong,
    "floors": _one_digit, "draw": None,
}  # fmt: skip
_TASKS: dict[str, _Task] = {
    "adding": _Task(
        "Adding problem, {} steps", "MSE", 600, 2, 1, jobs.squared_error, jobs.squared_error, _always_one, made.adding
    ),
    "copy": _Task(
        "Copy memory, {} blanks", f"{_NATS} per step", 1000, made.COPY_CODES, made.COPY_CODES, jobs.cross_entropy,
        jobs.cross_entropy, _guess_copies, made.copy_memory, every_step=True,
    ),
    "recall": _Task(
        "Delayed recall, {} distractors", _NATS, 100, made.RECALL_SYMBOLS + 2, made.RECALL_SYMBOLS,
        jobs.cross_entropy, jobs.cross_entropy, _guess_recall, made.delayed_recall,
    ),
    "digits-rows": _Task("Digits by rows, {} steps", length=8, features=8, **_DIGITS),
    "digits-pixels": _Task("Digits by pixels, {} steps", length=64, features=1, **_DIGITS),
}  # fmt: skip
#: What ``task`` may be.
MEMORY_TASKS = tuple(_TASKS)

_RULES = {
    "batch_size": rules.POSITIVE,
    "layers": rules.LAYERS,
    "chrono": rules.FLAG,
    "orthogonal": rules.FLAG,
    "data_seed": rules.COUNT,
}
_GENERATED_RULES = {
    "steps_per_epoch": rules.POSITIVE,
    "validation_size": rules.POSITIVE,
    "test_size": rules.POSITIVE,
}
_DEFAULTS: dict[str, Any] = {
    "batch_size": 32, "layers": 1, "chrono": True, "orthogonal": True, "data_seed": 0, "log": "none", "epochs": 40,
}  # fmt: skip
_GENERATED_DEFAULTS = {"steps_per_epoch": 100, "validation_size": 500, "test_size": 2000}


def memory_problem(task: str, length: int | None = None, **options: Any) -> "MemoryProblem":
    """A long-memory task.

    ``adding``         the sum of the two numbers that are marked among ``length`` (Hochreiter and Schmidhuber 1997)
    ``copy``           ten symbols, repeated after ``length`` blanks (Hochreiter and Schmidhuber 1997)
    ``recall``         the symbol shown first, asked for after ``length`` others
    ``digits-rows``    scikit-learn's handwritten digits, a row of 8 pixels a step
    ``digits-pixels``  the same, a pixel a step

    The first three are made from a seed: training sequences afresh for each step, 500 for validation and 2,000 for the
    test once. Digits are rows of a set, split 3 : 1 : 1 within each digit.

    Args:
        task: one of `MEMORY_TASKS`.
        length: see above; None: 600, 1,000 and 100. Digits have one of their own.
        options: ``batch_size``; ``layers``; ``chrono``, ``orthogonal``: how the weights start (see
            `grus.tasks.compare.start`); ``data_seed``; for sequences that are made ``steps_per_epoch``,
            ``validation_size`` and ``test_size``; and what `grus.training.TrainingConfig` takes but for the learning
            rate and the seed.

    Raises:
        UsageError: a task, length or option that cannot be used; MissingExtraError: digits without scikit-learn.
    """
    rule = rules.choice(MEMORY_TASKS)
    if not rule.holds(task):
        raise UsageError(f"memory_problem: task must be {rule.text}, got {task!r}")
    return MemoryProblem(task, length, options)


class MemoryProblem:
    """See `grus.tasks.compare.problem.Problem`, and `memory_problem` for the arguments."""

    def __init__(self, task: str, length: int | None, options: Mapping[str, Any]) -> None:
        self.name, self._task = task, _TASKS[task]
        made_up = self._task.draw is not None
        defaults = _DEFAULTS | _GENERATED_DEFAULTS if made_up else _DEFAULTS
        own = _RULES | _GENERATED_RULES if made_up else _RULES
        self._options: Options = sort_options("memory_problem", options, defaults, own)
        self._length = self._task.length if length is None else length
        self._length = self._steps(length)
        self.title = self._task.title.format(f"{self._length:,}")
        self.metric = self._task.metric
        self._fixed = lru_cache(maxsize=4)(self._make_fixed)
        self.plan = self._plan()

    def graph(self, cell: str, hidden: int, length: int | None = None) -> Graph:
        """Recurrent layers, and a linear readout of the last step, or of every step where every step is answered."""
        self._steps(length)
        layers: list[Op] = [layers_of(cell, hidden, self._options.own["layers"])]
        if not self._task.every_step:
            layers.append(ops.Last())
        return chain(
            Port(jobs.INPUT, "seq", self._task.features, "src"), [*layers, ops.Linear(self._task.outputs)]
        )

    def job(self, setting: Setting) -> Job:
        """Training on fresh sequences, or on the rows of the digits."""
        length = self._steps(setting.length)
        model = seeded_module(
            self.graph(setting.cell, setting.hidden, length), setting.seed, lambda m: self._start(m, length)
        )
        steps, batches = self._fresh(setting, length) if self._task.draw else self._rows(setting)
        validation = self._fixed(length, _VALIDATION)
        return jobs.SequenceJob(model, steps, batches, validation, self._task.cost, self._task.error)

    def config(self, setting: Setting) -> TrainingConfig:
        """The run's rate and seed, and the options of the problem."""
        return TrainingConfig(
            learning_rate=setting.learning_rate, seed=setting.seed, **self._options.training
        )

    def losses(self, model: GraphModule, setting: Setting) -> Losses:
        """The error of every test sequence; all weigh the same."""
        test = self._fixed(self._steps(setting.length), _TEST)
        return Losses(jobs.row_errors(model, test, self._task.error), np.ones(len(test)))

    def floors(self, length: int | None = None) -> dict[str, float]:
        """The metric of the best answer that remembers nothing."""
        steps = self._steps(length)
        return self._task.floors(self._fixed(steps, _TEST), steps)

    # -- the sequences ---------------------------------------------------------------------------------

    def _fresh(self, setting: Setting, length: int) -> tuple[int, jobs.Batches]:
        """Steps an epoch, and batches that are made when they are asked for."""
        if setting.share != 1.0:
            raise UsageError(
                f"{self.name}: share must be 1, got {setting.share:g}",
                "its training sequences are made as they are needed, so that there is no whole to take a share of",
            )
        draw, own = self._task.draw, self._options.own
        assert draw is not None

        def batch(epoch: int, step: int) -> Sequences:
            random = np.random.default_rng([own["data_seed"], _TRAINING, setting.seed, epoch, step])
            return draw(random, own["batch_size"], length)

        return own["steps_per_epoch"], batch

    def _rows(self, setting: Setting) -> tuple[int, jobs.Batches]:
        """Steps an epoch, and batches of the share of the training rows; larger shares hold the smaller ones."""
        train, own = self._fixed(self._length, _TRAINING), self._options.own
        count = max(1, round(setting.share * len(train)))
        train = train.rows(np.sort(epoch_order(len(train), own["data_seed"], 0, count)))
        return jobs.rows_of(train, own["batch_size"], setting.seed)

    def _make_fixed(self, length: int, purpose: int) -> Sequences:
        """The rows of a purpose, the same for every run."""
        own = self._options.own
        if self._task.draw is None:
            return made.digits(length)[purpose]
        random = np.random.default_rng([own["data_seed"], purpose])
        rows = own["validation_size"] if purpose == _VALIDATION else own["test_size"]
        return self._task.draw(random, rows, length)

    # -- small things ----------------------------------------------------------------------------------

    def _start(self, module: GraphModule, length: int) -> None:
        if self._options.own["orthogonal"]:
            orthogonal_recurrence(module)
        if self._options.own["chrono"]:
            chrono_biases(module, length)

    def _steps(self, length: int | None) -> int:
        """The length of a run, checked."""
        if length is None:
            return self._length
        if self._task.draw is None and length != self._task.length:
            raise UsageError(f"{self.name}: length must be {self._task.length}, got {length!r}")
        least = 2 if self.name == "adding" else 1
        if not rules.whole(least)(length):
            raise UsageError(
                f"{self.name}: length must be a whole number of at least {least}, got {length!r}"
            )
        return int(length)

    def _plan(self) -> list[str]:
        own, start = self._options.own, []
        if self._task.draw is None:
            rows = [len(self._fixed(self._length, purpose)) for purpose in (_TRAINING, _VALIDATION, _TEST)]
            data = "{:,} images train, {:,} validate, {:,} test, of every digit alike".format(*rows)
        else:
            data = (
                f"training sequences are made afresh for every step, {own['batch_size']} of them; "
                f"{own['validation_size']:,} validate and {own['test_size']:,} test, the same for every run"
            )
        if own["orthogonal"]:
            start.append("orthogonal recurrent matrices")
        if own["chrono"]:
            start.append("gate biases spread over the length (chrono initialisation)")
        return [data, f"every cell starts from {' and '.join(start) or 'its usual weights'}"]
