"""What every report has: pictures with captions, learning curves, and how training went."""

from dataclasses import dataclass

import numpy as np

from grus.inspection import plots
from grus.inspection.svg import to_svg
from grus.inspection.tuning import plots as tuning_plots
from grus.inspection.wording import count, duration
from grus.spec import Model, ops
from grus.training import History
from grus.training.history import RateTest


@dataclass(frozen=True)
class Picture:
    """An SVG element with what is said beside it; ``share`` is its part of a row of several, ``width`` its own."""

    svg: str
    title: str = ""
    caption: str = ""
    share: int = 1
    width: str = ""


def recurrent_of(model: Model) -> ops.Recurrent:
    """The first recurrent layers of the network; of a GRU-D the GRU within."""
    nodes = model.parts["main"].nodes
    op = next(node.op for node in nodes if isinstance(node.op, ops.Recurrent | ops.GRUD))
    return op.layer if isinstance(op, ops.GRUD) else op


def around_recurrent(model: Model) -> tuple[str, str]:
    """What stands before and after the recurrent layers, as parts of a sentence that names them; mostly nothing."""
    found = {type(node.op): node.op for node in model.parts["main"].nodes}
    convolution: ops.Convolution | None = found.get(ops.Convolution)  # type: ignore[assignment]
    attention: ops.SelfAttention | None = found.get(ops.SelfAttention)  # type: ignore[assignment]
    before = "" if convolution is None else f"convolution of {count(convolution.kernel, 'step')} and a "
    decays = " with decay (GRU-D)" if ops.GRUD in found else ""
    return before, decays + (
        "" if attention is None else f" with self-attention in {count(attention.heads, 'head')}"
    )


def count_weights(model: Model) -> int:
    """How many numbers the network has learned."""
    shapes = (shape for name, (_, shape) in model.tensors().items() if name.startswith("main."))
    return sum(int(np.prod(shape)) for shape in shapes)


def learning_curves(history: History, unit: str) -> list[Picture]:
    """Loss of training and validation by epoch, in ``unit``, and every other score in a picture of its own."""
    if not history.epochs:
        return []
    epochs = np.array([record.epoch for record in history.epochs])
    names = list(history.epochs[0].validation)
    best = (history.best_epoch, "validation") if history.monitored else None
    curves = {"training": np.array([record.train_loss for record in history.epochs])}
    losses = [name for name in names if name.endswith("loss")][:1]
    for name in losses:
        curves = {"validation": _scores(history, name), **curves}
    kept = best if history.monitored in losses else None
    ax = plots.plot_learning(epochs, curves, best=kept, unit=unit)
    pictures = [Picture(to_svg(plots.figure_of(ax), "learning", "Loss by epoch of training"))]
    for name in names:
        if name not in losses:
            shown = {"validation": _scores(history, name)}
            ax = plots.plot_learning(
                epochs, shown, best=best if history.monitored == name else None, unit=name
            )
            svg = to_svg(plots.figure_of(ax), f"learning-{name}", f"{name} on validation by epoch")
            pictures.append(Picture(svg))
    if history.rate_test is not None:
        pictures.append(_rate_picture(history.rate_test, unit))
    return pictures


def _rate_picture(test: RateTest, unit: str) -> Picture:
    """The range test that found the learning rate."""
    rates, losses = np.array(test.rates), np.array(test.losses)
    ax = tuning_plots.plot_rate_test(rates, losses, test.rate, unit=unit)
    return Picture(to_svg(plots.figure_of(ax), "rate", "Loss while the learning rate rises"))


def _scores(history: History, name: str) -> np.ndarray:
    return np.array([record.validation.get(name, np.nan) for record in history.epochs])


def describe_training(history: History, noun: str) -> str:
    """How long, how many ``noun`` a second, why it ended, what was kept."""
    if not history.epochs:
        return "No epoch was finished."
    why = {
        "epochs": "all that were planned",
        "patience": "stopped early, because validation no longer improved",
        "max_seconds": "stopped when its time was up",
    }[history.stopped]
    rate = np.median([record.samples_per_second for record in history.epochs])
    kept = f"; the weights of epoch {history.best_epoch} were kept" if history.monitored else ""
    return (
        f"{count(len(history.epochs), 'epoch')} ({why}) in {duration(history.seconds)}, "
        f"{rate:,.0f} {noun} a second{kept}.{_found(history)}"
    )


def _found(history: History) -> str:
    """How the learning rate was found, where it was not given."""
    test = history.rate_test
    if test is None:
        return ""
    return (
        f" The learning rate of {test.rate:g} was found by a range test of {count(len(test.rates), 'step')}."
    )
