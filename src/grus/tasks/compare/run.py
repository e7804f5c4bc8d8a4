"""The runner: for every point a search for each cell's learning rate, then its seeds, then what the cells cost."""

import dataclasses
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from grus.decode.comparing.records import CellResult, Cost, Outcome, Point, Run
from grus.errors import DivergenceError, TrainingInterrupted, UsageError
from grus.models import GraphModule
from grus.tasks.compare.gradients import NOWHERE, gradient_reach
from grus.tasks.compare.measure import measure, unmeasured
from grus.tasks.compare.problem import Problem, Setting
from grus.tasks.compare.progress import WholeProgress
from grus.tasks.compare.settings import Settings
from grus.tasks.compare.sizes import hidden_sizes
from grus.tasks.compare.store import Store
from grus.training import History, train
from grus.training.checkpoint import checkpoint_path


def run_comparison(
    problem: Problem, settings: Settings, folder: Path, progress: WholeProgress, plan: list[str]
) -> Outcome:
    """Train all cells of a problem at every point, and measure what they cost.

    A point is a length and a share of the training rows. There each cell tries its learning rates with the first
    seed, judged by the best validation score, then trains with the other seeds at the best of them; the budget of
    epochs and the patience are the problem's, the same for all. What is in ``folder`` already is not made again.

    Raises:
        TrainingInterrupted: Ctrl-C; all finished runs and the checkpoint of the running one remain.
        DivergenceError: no cell came to an end at some point.
    """
    runner = _Runner(problem, settings, Store(folder), progress)
    try:
        points = [runner.point(length, share) for length, share in settings.points()]
    finally:
        progress.finish()
    return Outcome(
        task=problem.name,
        title=problem.title,
        metric=problem.metric,
        plan=plan,
        equal=settings.equal,
        seeds=settings.seeds,
        level=settings.level,
        machine=machine(),
        points=points,
    )


def machine() -> str:
    """Where times are taken, in words."""
    threads = torch.get_num_threads()
    return (
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"{threads} thread{'' if threads == 1 else 's'}, torch {torch.__version__}"
    )


@dataclass
class _Runner:
    """Makes the runs that the store does not have."""

    problem: Problem
    settings: Settings
    store: Store
    progress: WholeProgress

    def __post_init__(self) -> None:
        s = self.settings
        points = len(list(s.points()))
        self._planned, self._done = points * len(s.cells) * s.most_runs(), 0
        self._known: dict[int | None, dict[str, float]] = {}

    def point(self, length: int | None, share: float) -> Point:
        """Everything at one length and share."""
        s = self.settings
        widths = hidden_sizes(
            s.cells,
            lambda cell, hidden: self.problem.graph(cell, hidden, length),
            equal=s.equal,
            hidden=s.hidden_size,
            parameters=s.parameters,
        )
        made = {
            cell: self._cell(Setting(cell, width, s.learning_rate, s.seed, share, length))
            for cell, width in widths.items()
        }
        if not any(result.runs for result in made.values()):
            raise DivergenceError(
                "compare: one cell must come to the end of its training, got losses that are not finite in all",
                "try lower learning rates, or look for infinite and huge values in the data",
            )
        costs = self._costs(made, length, share)
        return Point(
            share=share,
            length=length,
            floors=self._floors(length),
            cells=[dataclasses.replace(result, cost=costs[cell]) for cell, result in made.items()],
        )

    def _floors(self, length: int | None) -> dict[str, float]:
        """What costs nothing, once a length: a linear model on many texts takes its time."""
        if length not in self._known:
            self._known[length] = {k: float(value) for k, value in self.problem.floors(length).items()}
        return self._known[length]

    def _cell(self, setting: Setting) -> CellResult:
        """The runs of the search by rising rate, and those of all seeds at the best one; the cost comes later."""
        tried: dict[float, Run] = {}
        waiting = self.settings.first_rates()
        while waiting:
            for rate in waiting:
                tried[rate] = self._run(dataclasses.replace(setting, learning_rate=rate))
            further = self.settings.next_rate({rate: run.score for rate, run in tried.items()})
            waiting = [] if further is None else [further]
            self._planned += len(waiting)
        search = [tried[rate] for rate in sorted(tried)]
        best = min(search, key=lambda run: run.score)
        if best.state == "diverged":
            self._planned -= self.settings.seeds - 1
            return CellResult(setting.cell, setting.hidden, search, [])
        seeds = range(setting.seed + 1, setting.seed + self.settings.seeds)
        rest = [
            self._run(dataclasses.replace(setting, learning_rate=best.learning_rate, seed=seed))
            for seed in seeds
        ]
        runs = [best, *(run for run in rest if run.state == "finished")]
        return CellResult(setting.cell, setting.hidden, search, runs, diverged=1 + len(rest) - len(runs))

    def _run(self, setting: Setting) -> Run:
        """A run from the store, or trained now."""
        found = self.store.run(setting)
        if found is None:
            config = self.problem.config(setting)
            title = f"{setting.cell} {setting.hidden} lr {setting.learning_rate:g}"
            title += f" share {setting.share:g}" if len(self.settings.sizes) > 1 else ""
            title += f" length {setting.length}" if setting.length is not None else ""
            self.progress.run(title, self._done, self._planned, config.epochs)
            found = self._train(setting)
            self.progress.ended(found)
        self._done += 1
        return found

    def _train(self, setting: Setting) -> Run:
        job, config, folder = (
            self.problem.job(setting),
            self.problem.config(setting),
            self.store.running(setting),
        )
        model = job.model
        assert isinstance(model, GraphModule)
        resume, begin = checkpoint_path(folder).is_file(), time.monotonic()
        try:
            history = train(job, config, folder, self.progress, resume)
        except DivergenceError:
            run = _record(setting, time.monotonic() - begin)
            self.store.keep_run(setting, run)
            return run
        except TrainingInterrupted:
            raise TrainingInterrupted(
                f"comparison stopped by Ctrl-C in run {self._done + 1} of {self._planned}; its runs so far are in "
                f"{folder.parent.parent}, from which resume=True (on the command line: the same command with --resume) "
                "goes on"
            ) from None
        if history.monitored is None:
            raise UsageError("compare: val_size must leave rows to compare learning rates on, got none")
        with torch.no_grad():
            losses = self.problem.losses(model, setting)
        reach = gradient_reach(job) if setting.seed == self.settings.seed else NOWHERE
        run = dataclasses.replace(
            _record(setting, history.seconds, history),
            losses=losses.values.tolist(),
            weights=losses.weights.tolist(),
            also={name: float(value) for name, value in losses.also.items() if value == value},
            gradient=reach.loss,
            last_state=reach.last_state,
        )
        self.store.keep_run(setting, run)
        return run

    def _costs(self, made: dict[str, CellResult], length: int | None, share: float) -> dict[str, Cost]:
        """What the cells cost here, from the store if it was measured with the same widths."""
        name = f"share{share:g}" + ("" if length is None else f"-length{length}")
        widths, own = [(cell, result.hidden) for cell, result in made.items()], self.settings.learning_rate
        costs = self.store.costs(name)
        if costs is None or [(cost.cell, cost.hidden) for cost in costs] != widths:
            self.progress.say("measuring what the cells cost, in turns")
            settings = {
                cell: Setting(
                    cell,
                    result.hidden,
                    result.rate if result.runs else own,
                    self.settings.seed,
                    share,
                    length,
                )
                for cell, result in made.items()
            }
            # What diverges at every rate cannot be timed in the loop, which refuses to go on with it.
            timed = {cell: setting for cell, setting in settings.items() if made[cell].runs}
            measured = {cost.cell: cost for cost in measure(self.problem, timed)}
            costs = [measured.get(cell) or unmeasured(self.problem, settings[cell]) for cell in made]
            self.store.keep_costs(name, costs)
        return {cost.cell: cost for cost in costs}


def _record(setting: Setting, seconds: float, history: History | None = None) -> Run:
    """A run without its errors; without a history it diverged."""
    return Run(
        **dataclasses.asdict(setting),
        state="diverged" if history is None else "finished",
        validation=[] if history is None else [next(iter(e.validation.values())) for e in history.epochs],
        best_epoch=0 if history is None else history.best_epoch,
        seconds=seconds,
    )
