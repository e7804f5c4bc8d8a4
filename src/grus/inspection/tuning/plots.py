"""Pictures of a search for settings from arrays; same rules as `grus.inspection.plots`."""

from typing import TYPE_CHECKING

import numpy as np

from grus.inspection import palette
from grus.inspection.plots import legend_above, new_axes, plain_name, quiet
from grus.inspection.wording import figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Opacity of the model's colour at the best loss and at the palest; the page's own colours shine through in between.
_DEEP, _PALE = 1.0, 0.22


def plot_surface(
    learning_rate: np.ndarray,
    batch_size: np.ndarray,
    loss: np.ndarray,
    pruned: np.ndarray,
    *,
    unit: str,
    ax: "Axes | None" = None,
) -> "Axes":
    """One dot a trial, by learning rate and batch size, the deeper the smaller its validation loss.

    Args:
        learning_rate, batch_size: of each trial [N].
        loss: the best of each trial [N], NaN where it diverged; one at least is finite and not pruned.
        pruned: bool [N], whether it was given up before its end.
        unit: what a batch is made of.
        ax: where to draw; on axes of its own a strip beside them says what the colours mean.
    """
    known = np.isfinite(loss)
    best, palest = _scale(loss[known])
    if ax is None:
        ax, *strip = new_axes(6.4, 3.6, columns=(1, 0.035) if palest > best else (1,))
        if strip:
            _draw_strip(strip[0], best, palest, clipped=loss[known].max() > palest)
    for shown, size, name in ((known & ~pruned, 120, "finished"), (known & pruned, 36, "pruned")):
        if shown.any():
            dots = ax.scatter(
                learning_rate[shown], batch_size[shown], s=size, color=palette.MODEL, linewidths=0, zorder=3
            )
            dots.set_alpha(_depth(loss[shown], best, palest).tolist())
            # In the legend a mark stands for a kind, not for a loss.
            ax.scatter([], [], s=size, color=palette.MODEL, linewidths=0, label=name)
    if not known.all():
        ax.scatter(
            learning_rate[~known], batch_size[~known], marker="x", color=palette.SOFT, label="diverged"
        )
    _mark_best(ax, learning_rate, batch_size, np.where(known & ~pruned, loss, np.inf))
    _rates(ax, learning_rate)
    ax.set(yscale="log", ylabel=plain_name(f"batch size ({unit})"))
    sizes = np.unique(batch_size)
    ax.set_yticks(sizes, [f"{size:,}" for size in sizes])
    ax.set_yticks([], minor=True)
    ax.margins(y=0.16)
    legend_above(ax)
    return quiet(ax)


def plot_rate_test(
    rates: np.ndarray, losses: np.ndarray, chosen: float, *, unit: str, ax: "Axes | None" = None
) -> "Axes":
    """The loss while the learning rate rises, and the rate that was chosen.

    Args:
        rates, losses: of each step [N].
        chosen: the rate.
        unit: of the losses.
    """
    ax = ax or new_axes(4.9)[0]
    finite = np.isfinite(losses)
    ax.plot(rates[finite], losses[finite], color=palette.MODEL, linewidth=2.2)
    ax.set(xscale="log", xlabel="learning rate", ylabel=plain_name(unit))
    ax.axvline(chosen, color=palette.INK, linewidth=1.0, linestyle=(0, (2, 2)))
    right = chosen < np.sqrt(rates[0] * rates[-1])
    low, high = float(losses[finite].min()), float(losses[0])
    # What lies above the first loss is how it diverged, which would press the rest flat.
    ax.set_ylim(low - 0.08 * (high - low or 1), high + 0.25 * (high - low or 1))
    ax.annotate(
        f"chosen: {chosen:g}", (chosen, ax.get_ylim()[1]), xytext=(6 if right else -6, -4), textcoords="offset points",
        ha="left" if right else "right", va="top", color=palette.INK, fontsize=10,
    )  # fmt: skip
    return quiet(ax)


def _scale(loss: np.ndarray) -> tuple[float, float]:
    """The losses with the deepest and the palest colour: the best, and the worst or twice the best."""
    best, worst = float(loss.min()), float(loss.max())
    return best, min(worst, 2 * best) if best > 0 else worst


def _depth(loss: np.ndarray, best: float, palest: float) -> np.ndarray:
    """Opacity by the loss."""
    place = (np.minimum(loss, palest) - best) / (palest - best or 1)
    return _DEEP + (_PALE - _DEEP) * place


def _mark_best(ax: "Axes", learning_rate: np.ndarray, batch_size: np.ndarray, loss: np.ndarray) -> None:
    """A ring around the best trial, and its loss."""
    i = int(np.argmin(loss))
    place = (learning_rate[i], batch_size[i])
    ax.scatter(*place, s=260, facecolors="none", edgecolors=palette.INK, linewidths=1.2, zorder=4)
    right = learning_rate[i] <= np.sqrt(learning_rate.min() * learning_rate.max())
    ax.annotate(
        f"best: {figure(loss[i])}", place, xytext=(11 if right else -11, 9), textcoords="offset points",
        ha="left" if right else "right", color=palette.INK, fontsize=10, zorder=5,
    )  # fmt: skip


def _rates(ax: "Axes", rates: np.ndarray) -> None:
    """A logarithmic axis of learning rates, wide enough for a tick, with as many as there is room for."""
    from matplotlib.ticker import LogLocator

    low, high = float(rates.min()), float(rates.max())
    room = max(1.6, (high / low) ** 0.08)
    ax.set(xscale="log", xlim=(low / room, high * room), xlabel="learning rate")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 50 * low else (1,)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xticks([], minor=True)


def _draw_strip(ax: "Axes", best: float, palest: float, clipped: bool) -> None:
    """What the colours mean, from the best, below, to the palest."""
    from matplotlib.patches import Rectangle

    edges = np.linspace(best, palest, 33)
    depths = _depth((edges[1:] + edges[:-1]) / 2, best, palest)
    below = 0.0
    # One over the other, each down to the bottom: side by side they would show their seams.
    for top, depth in zip(edges[:0:-1], depths[::-1]):
        alpha = (depth - below) / (1 - below)
        ax.add_patch(Rectangle((0, best), 1, top - best, color=palette.MODEL, alpha=alpha, linewidth=0))
        below = depth
    ticks = np.linspace(best, palest, 4)
    names = [figure(float(tick), 3) for tick in ticks]
    names[-1] = f"≥ {names[-1]}" if clipped else names[-1]
    ax.set(xlim=(0, 1), ylim=(best, palest), xticks=[], ylabel="validation loss")
    ax.set_yticks(ticks, names)
    ax.yaxis.tick_right()
    ax.yaxis.set_label_position("right")
    quiet(ax)
    ax.grid(visible=False)
    ax.spines["bottom"].set_visible(False)
