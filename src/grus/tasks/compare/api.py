"""`grus.compare`: from a task's name and data to a comparison of cells."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from grus.errors import UnsupportedError, UsageError
from grus.tasks.compare.comparison import Comparison
from grus.tasks.compare.problem import Problem
from grus.tasks.compare.progress import WholeProgress
from grus.tasks.compare.run import run_comparison
from grus.tasks.compare.settings import Settings
from grus.tasks.compare.sizes import count_parameters, hidden_sizes
from grus.tasks.compare.store import clear
from grus.tasks.run_folder import claim_run, digest
from grus.training.progress import Mode

Task = Literal["forecast", "classify", "memory", "music"]
TASKS: tuple[str, ...] = ("forecast", "classify", "memory", "music")
#: Where the search begins for made-up tasks and music.
_RATE = 1e-3


@dataclass(frozen=True)
class Made:
    """A problem with what a comparison of it begins with.

    Attributes:
        problem: what is trained.
        identity: what it was made of, as JSON knows it; digest: of its data.
        hidden_size, learning_rate, seed: of the task, where the comparison is told none.
    """

    problem: Problem
    identity: dict[str, Any]
    digest: str
    hidden_size: int
    learning_rate: float
    seed: int


def compare(
    task: Task,
    data: Any = None,
    y: Any = None,
    *,
    cells: Sequence[str] | None = None,
    equal: Literal["parameters", "width"] = "parameters",
    hidden_size: int | None = None,
    parameters: int | None = None,
    rates: Sequence[float] | None = None,
    seeds: int = 3,
    sizes: Sequence[float] = (1.0,),
    lengths: Sequence[int] | None = None,
    level: float = 0.95,
    folder: str | Path | None = None,
    resume: bool = False,
    progress: Mode = "auto",
    report_plan: Callable[[list[str]], None] | None = None,
    **options: Any,
) -> Comparison:
    """Train GRU, LSTM, simple RNN and their like on the same rows, and say which to pick.

    Every cell has its own search for a learning rate, judged by the validation score, and then ``seeds`` training runs
    with the same budget of epochs and the same patience. Errors on test rows are compared unit by unit, with an
    interval over units and runs; see `grus.decode.comparing.paired`.

    Args:
        task: ``forecast``, ``classify``, ``memory`` (made-up tasks that need a long memory) or ``music``.
        data, y: as for `grus.Forecaster.fit` or `grus.Classifier.fit`; for ``music`` the file; none for ``memory``.
        cells: which; all by default.
        equal: ``parameters``: every cell is as wide as gives it the weights of a GRU of ``hidden_size``; ``width``.
        hidden_size: units (default: the task's own); parameters: a number of weights in place of the GRU's.
        rates: learning rates to try (default: around the task's own, or the ``learning_rate`` given, by threes).
        seeds: training runs a cell; sizes: shares of the training rows; lengths: of sequences (lookbacks, max_length).
        level: of the intervals.
        folder: where finished runs are kept, so that ``resume`` can go on; a temporary folder if None.
        resume: go on with what is in ``folder``; more cells, seeds, sizes, lengths and rates may be asked for.
        progress: ``auto``, ``bar``, ``plain`` or ``quiet``; on stderr.
        report_plan: given the plan, as lines, before training starts.
        options: of the task: the constructor arguments of `grus.Forecaster` or `grus.Classifier`, and for
            ``classify`` also ``validation`` and ``test``, labelled data of their own. ``test_size`` is a tenth of the
            rows (``forecast``) or a fifth (``classify``) by default.

    Raises:
        UsageError: for what cannot be used; DataError: for data that does not fit.
        TrainingInterrupted: on Ctrl-C; finished runs remain in ``folder``.

    Example:
        >>> import numpy as np
        >>> y = np.sin(np.arange(400) * np.pi / 12) + np.random.default_rng(0).normal(0, 0.3, 400)
        >>> found = compare("forecast", {"y": y}, horizon=6, lookback=12, cells=["gru", "rnn"], hidden_size=4,
        ...                 epochs=1, rates=[0.01], seeds=2, progress="quiet")
        >>> found.table["cell"].tolist()[:2], found.pick in ("gru", "rnn")
        (['gru', 'rnn'], True)
    """
    if resume and folder is None:
        raise UsageError(
            "compare: resume must have the folder of the comparison to go on with, got folder=None"
        )
    if torch.distributed.is_torchelastic_launched():
        raise UnsupportedError("compare: must run in one process, got a run of several (torchrun)")
    make = _maker(task)
    checked = {
        "cells": cells, "equal": equal, "parameters": parameters, "rates": rates, "seeds": seeds, "sizes": sizes,
        "lengths": lengths, "level": level,
    }  # fmt: skip
    # Before data is read: what cannot be used should not take a minute to be refused.
    Settings.of(**checked, hidden_size=hidden_size or 1, learning_rate=1e-3, seed=0)
    made = make(data, y, lengths=tuple(lengths or ()), options=options)
    settings = Settings.of(
        **checked,
        hidden_size=made.hidden_size if hidden_size is None else hidden_size,
        learning_rate=made.learning_rate,
        seed=made.seed,
    )
    plan = [*made.problem.plan, *_plan(made.problem, settings)]
    if report_plan is not None:
        report_plan(plan)
    with _folder(folder) as place:
        if not resume:
            clear(place)
        claim_run(place, {"task": task, **made.identity}, made.digest, resume)
        outcome = run_comparison(made.problem, settings, place, WholeProgress(progress), plan)
    return Comparison(outcome)


@contextmanager
def _folder(folder: str | Path | None) -> Iterator[Path]:
    if folder is not None:
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory(prefix="grus-") as temporary:
        yield Path(temporary)


def _plan(problem: Problem, settings: Settings) -> list[str]:
    """The comparison in lines: cells with their widths and weights, rates, runs."""
    s, length = settings, settings.lengths[-1] if settings.lengths else None
    widths = hidden_sizes(
        s.cells, lambda cell, hidden: problem.graph(cell, hidden, length), equal=s.equal, hidden=s.hidden_size,
        parameters=s.parameters,
    )  # fmt: skip
    said = [
        f"{cell} {width} ({count_parameters(problem.graph(cell, width, length)):,} weights)"
        for cell, width in widths.items()
    ]
    rates = ", ".join(f"{rate:g}" for rate in s.first_rates())
    points = len(list(s.points()))
    lines = [
        f"cells     {', '.join(said)}: equal {s.equal}",
        f"search    learning rates {rates}" + ("" if s.rates else ", and on where the best is at an end"),
        f"runs      {points * len(s.cells) * s.most_runs():,} or more: {s.seeds} seeds a cell at its best rate",
    ]
    if points > 1:
        lengths = f", lengths {', '.join(map(str, s.lengths))}" if s.lengths else ""
        lines.append(f"points    shares {', '.join(f'{share:g}' for share in s.sizes)}{lengths}")
    return lines


def _maker(task: str) -> Callable[..., Made]:
    makers: Mapping[str, Callable[..., Made]] = {
        "forecast": _forecast, "classify": _classify, "memory": _memory, "music": _music,
    }  # fmt: skip
    if task not in makers:
        raise UsageError(f"compare: task must be {', '.join(TASKS[:-1])} or {TASKS[-1]}, got {task!r}")
    return makers[task]


def _estimator(kind: type, options: Mapping[str, Any], *own: str) -> Any:
    """An estimator with the options that are its arguments; raises UsageError for others, and for what is compared."""
    names = [name for name in kind._parameter_names() if name not in ("cell", "hidden_size", "log", "alias")]
    for name in options:
        if name not in (*names, *own):
            raise UsageError(
                f"compare: no option {name!r}; the options of the task are {', '.join((*names, *own))}"
            )
    given = {name: value for name, value in options.items() if name not in own}
    if given.get("learning_rate") == "auto":
        raise UsageError("compare: learning_rate must be a number, around which rates are tried, got 'auto'")
    return kind(**given, log="none")


def _forecast(data: Any, y: Any, lengths: tuple[int, ...], options: dict[str, Any]) -> Made:
    from grus.tasks.compare.forecast import ForecastProblem
    from grus.tasks.forecast import Forecaster

    if y is not None:
        raise UsageError("compare: y must be None for 'forecast', whose target is a column")
    if "horizon" not in options:
        raise UsageError("compare: horizon must be given for 'forecast'")
    estimator = _estimator(Forecaster, options)
    problem = ForecastProblem(data, estimator, options.get("test_size"), lengths)
    return _made(problem, problem.digest, estimator, problem.parameters)


def _classify(data: Any, y: Any, lengths: tuple[int, ...], options: dict[str, Any]) -> Made:
    from grus.tasks.classify import Classifier
    from grus.tasks.compare.classify import ClassifyProblem

    own = ("validation", "test")
    estimator = _estimator(Classifier, options, *own)
    if "test_size" not in options and options.get("test") is None:
        estimator.test_size = 0.2
    problem = ClassifyProblem(data, y, estimator, **{name: options.get(name) for name in own})
    return _made(problem, problem.digest, estimator, estimator.get_params())


def _memory(data: Any, y: Any, lengths: tuple[int, ...], options: dict[str, Any]) -> Made:
    from grus.tasks.compare.memory import memory_problem

    if y is not None:
        raise UsageError("compare: y must be None for 'memory', which makes its own sequences")
    rest = dict(options)
    rate, seed = rest.pop("learning_rate", _RATE), rest.pop("seed", 0)
    length = rest.pop("length", max(lengths, default=None))
    problem = memory_problem("adding" if data is None else data, length, **rest)
    return Made(problem, {"memory": problem.name} | options, digest(problem.plan), 128, rate, seed)


def _music(data: Any, y: Any, lengths: tuple[int, ...], options: dict[str, Any]) -> Made:
    from grus.tasks.compare.music import music_problem

    if data is None or y is not None:
        raise UsageError("compare: data must be the file of piano-rolls for 'music', and y None")
    rest = dict(options)
    rate, seed = rest.pop("learning_rate", _RATE), rest.pop("seed", 0)
    problem = music_problem(data, **rest)
    return Made(problem, dict(options), digest(Path(data).read_bytes()), 46, rate, seed)


def _made(problem: Any, digest: str, estimator: Any, parameters: dict[str, Any]) -> Made:
    """A problem of an estimator; the width and the rate are the comparison's own business."""
    identity = {
        k: v for k, v in parameters.items() if k not in ("cell", "hidden_size", "learning_rate", "log")
    }
    return Made(problem, identity, digest, estimator.hidden_size, estimator.learning_rate, estimator.seed)
