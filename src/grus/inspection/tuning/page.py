"""What stands on the page of a model whose settings were searched for: a sentence, the best trials, the picture."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from grus.inspection import plots
from grus.inspection.page import Picture
from grus.inspection.svg import to_svg
from grus.inspection.tuning import plots as tuning_plots
from grus.inspection.tuning.wording import spelled
from grus.inspection.wording import count, duration, figure, percent
from grus.training.search import Study, Trial

#: The most trials in the table.
_ROWS = 10


@dataclass(frozen=True)
class TuningSection:
    """Everything the template needs, ready to print; see `tuning_section`."""

    sentence: str
    names: list[str]
    rows: list[list[str]]
    caption: str
    surface: Picture | None


def tuning_section(study: Study | None, noun: str) -> TuningSection | None:
    """Gather the section of a study; ``noun`` is what a batch is made of."""
    if study is None:
        return None
    ranked = sorted(study.ended, key=lambda trial: (trial.state != "finished", trial.score))
    notes = [f"The best {_ROWS} of {count(len(ranked), 'trial')}."] if len(ranked) > _ROWS else []
    if study.count("pruned"):
        notes.append("Pruned: given up for being worse than the median of the finished trials at that epoch.")
    return TuningSection(
        sentence=describe_search(study),
        names=[name.replace("_", " ") for name in study.space],
        rows=[_row(trial, study) for trial in ranked[:_ROWS]],
        caption=" ".join(notes),
        surface=_surface(study, noun),
    )


def describe_search(study: Study) -> str:
    """How many trials, what became of them, and what was gained over the settings as given."""
    best, first, trials = study.best, study.trials[0], study.ended
    assert best is not None
    fates = ", ".join(f"{study.count(s)} {s}" for s in ("pruned", "diverged") if study.count(s))
    made = count(len(trials), "trial") + (f" ({fates})" if fates else "")
    took = duration(sum(trial.seconds for trial in trials))
    found = f"{made} in {took}. Trial {best.number}, the model of this page, has a validation loss of "
    found += figure(best.score)
    if len(trials) == 1:
        return f"{found}."
    gained = ", the smallest"
    if first is best:
        gained += ": nothing was better than the settings of the first"
    elif first.state == "finished" and first.score > 0:
        gained += f", {percent(1 - best.score / first.score)} under that of the first"
    return f"{found}{gained}. The smallest of many losses on the same rows flatters a little: only test rows tell."


def study_dict(study: Study | None) -> dict[str, Any]:
    """The study for metrics.json: nothing, or ``tuning``."""
    return {} if study is None else {"tuning": asdict(study)}


def _row(trial: Trial, study: Study) -> list[str]:
    epochs = count(len(trial.scores), "epoch")
    outcome = {"finished": epochs, "pruned": f"pruned after {epochs}"}.get(trial.state, trial.state)
    values = [spelled(trial.parameters[name]) for name in study.space]
    return [f"{trial.number}", figure(trial.score), *values, outcome, duration(trial.seconds)]


def _surface(study: Study, noun: str) -> Picture | None:
    """Learning rate against batch size, where both were searched and there is something to compare."""
    trials = study.ended
    if len(trials) < 2 or not {"learning_rate", "batch_size"} <= study.space.keys():
        return None
    rates, sizes = (
        np.array([t.parameters[name] for t in trials]) for name in ("learning_rate", "batch_size")
    )
    loss = np.array([trial.score if trial.scores else np.nan for trial in trials])
    pruned = np.array([trial.state == "pruned" for trial in trials])
    ax = tuning_plots.plot_surface(rates, sizes, loss, pruned, unit=noun)
    svg = to_svg(
        plots.figure_of(ax), "surface", "Validation loss of each trial by learning rate and batch size"
    )
    return Picture(svg, caption="A dot is a trial; the other settings differ too.")
