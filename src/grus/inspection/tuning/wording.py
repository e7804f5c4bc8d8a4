"""A search for settings in words, the same in reports and on the terminal."""

from grus.inspection.wording import count, figure
from grus.training.progress import format_seconds
from grus.training.search import Parameters, Space, Study


def search_line(space: Space, trials: int) -> str:
    """A line of the plan: how many trials, of what."""
    return f"{'tune':<9} {count(trials, 'trial')} over " + "; ".join(
        f"{name} {values}" for name, values in space.items()
    )


def winner_line(study: Study) -> str:
    """A line of the plan: what was chosen, and among how many."""
    best = study.best
    assert best is not None
    return f"{'tuned':<9} {settings(best.parameters)} ({trials_sentence(study)})"


def trials_sentence(study: Study) -> str:
    """``trial 4 of 12, of which 5 were pruned``."""
    assert study.best is not None
    said = [f"trial {study.best.number} of {len(study.ended)}"]
    for state in ("pruned", "diverged"):
        if study.count(state):
            said.append(f"{study.count(state)} {state}")
    return ", ".join(said)


def settings(parameters: Parameters) -> str:
    """``learning_rate 0.0021, layers 1``."""
    return ", ".join(f"{name} {spelled(value)}" for name, value in parameters.items())


def spelled(value: object) -> str:
    """A parameter's value, numbers as short as they are exact."""
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def trial_line(study: Study, total: int) -> str:
    """What became of the last trial, and how long the others will take at the mean of those so far."""
    trial = study.ended[-1]
    said = [f"trial {trial.number}/{total}"]
    if trial.state == "diverged":
        said.append("diverged")
    else:
        best = study.best is not None and study.best.number == trial.number
        said.append(f"validation loss {figure(trial.score)}" + (" (best)" if best else ""))
    if trial.state == "pruned":
        said.append(f"pruned after {count(len(trial.scores), 'epoch')}")
    said += [settings(trial.parameters), f"{trial.seconds:.1f} s"]
    mean = sum(t.seconds for t in study.ended) / len(study.ended)
    return "  ".join([*said, f"{format_seconds(mean * (total - trial.number))} left"])
