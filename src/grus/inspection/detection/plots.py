"""Pictures of a detector from arrays: a series with its events, and the score below it."""

from typing import TYPE_CHECKING, Any

import numpy as np

from grus.inspection import palette
from grus.inspection.plots import dates, legend_above, new_axes, plain_name, quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT = 1.5


def plot_column(
    times: np.ndarray,
    values: np.ndarray,
    *,
    events: list[tuple[Any, Any]],
    labelled: list[tuple[Any, Any]],
    unit: str,
    ax: "Axes | None" = None,
) -> "Axes":
    """A column as its range and mean, with what the model sees and what is labelled.

    Args:
        times: of each bin [B], dates or numbers.
        values: smallest, mean and largest of each bin, float64 [3, B].
        events, labelled: first and last stamp of each.
        unit: the column's name.
    """
    ax = ax or new_axes(height=_HEIGHT)[0]
    for number, (first, last) in enumerate(labelled):
        name = "labelled" if not number else None
        ax.axvspan(first, last, facecolor=palette.GRID, edgecolor=palette.GRID, label=name, zorder=0)
    for number, (first, last) in enumerate(events):
        name = "event" if not number else None
        ax.axvspan(
            first, last, facecolor=palette.MODEL, edgecolor=palette.MODEL, alpha=0.3, label=name, zorder=1
        )
    ax.fill_between(times, values[0], values[2], facecolor=palette.TRUTH, alpha=0.22, edgecolor="none")
    ax.plot(times, values[1], color=palette.TRUTH, linewidth=0.9)
    ax.set_ylabel(plain_name(unit))
    dates(ax, times)
    ax.margins(x=0)
    if events or labelled:
        legend_above(ax)
    return quiet(ax)


def plot_score(
    times: np.ndarray,
    score: np.ndarray,
    threshold: float,
    *,
    missed: list[tuple[np.generic, np.generic]],
    false: list[tuple[np.generic, np.generic]],
    ax: "Axes | None" = None,
) -> "Axes":
    """The score of every bin below its threshold or above it, and where the labels say otherwise.

    Args:
        times, score: of each bin [B].
        threshold: of the score.
        missed, false: first and last stamp of labelled events that were not found, and of events that are no anomalies.
    """
    ax = ax or new_axes(height=_HEIGHT)[0]
    ax.plot(times, score, color=palette.MODEL, linewidth=1.0)
    ax.axhline(threshold, color=palette.SOFT, linewidth=1.0, linestyle=(0, (5, 2)), label="threshold")
    top = 1.08
    for name, spans, marker in (("missed", missed, "x"), ("false alarm", false, "v")):
        if spans:
            ax.plot(
                [first for first, _ in spans], np.full(len(spans), top), marker, color=palette.INK, markersize=6,
                label=name, clip_on=False,
            )  # fmt: skip
    ax.set_ylim(0, 1.15)
    ax.set_yticks([0, 0.5, 1])
    ax.set_ylabel("score")
    dates(ax, times)
    ax.margins(x=0)
    legend_above(ax)
    return quiet(ax)
