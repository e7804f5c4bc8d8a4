"""Pictures of a classifier from arrays; same rules as `grus.inspection.plots`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from grus.inspection import palette
from grus.inspection.plots import legend_above, new_axes, plain_name, quiet, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Up to so many labels a cell shows its share too; up to so many, its count.
_SHARES, _COUNTS = 12, 30
#: The deepest colour of a cell: ink on it is readable on a light page (contrast 6 : 1) and on a dark one (4 : 1).
_DEEPEST = 0.62


def plot_confusion(counts: np.ndarray, labels: Sequence[str], *, ax: "Axes | None" = None) -> "Axes":
    """How often rows of each true label were given each label; a row of cells is shaded by its shares.

    Args:
        counts: int [C, C], true label first.
        labels: names [C].
    """
    size = len(labels)
    cell = 0.62 if size <= 6 else 0.52 if size <= _SHARES else 0.4 if size <= _COUNTS else 9.0 / size
    names = [shortened(plain_name(label)) for label in labels]
    margin = 0.35 + 0.085 * max(map(len, names))
    ax = ax or new_axes(size * cell + margin + 0.4, size * cell + 0.75 + 0.05 * max(map(len, names)))[0]
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            _cell(ax, row, column, int(count), float(shares[row, column]), size)
    ax.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), xlabel="predicted", ylabel="true")
    turned = max(map(len, names)) * 0.09 > cell
    ax.set_xticks(range(size), names, rotation=40 if turned else 0, ha="right" if turned else "center",
                  rotation_mode="anchor")  # fmt: skip
    ax.set_yticks(range(size), names)
    quiet(ax)
    ax.spines["bottom"].set_visible(False)
    ax.grid(visible=False)
    for edge in np.arange(size + 1) - 0.5:
        ax.axhline(edge, color=palette.GRID, linewidth=0.6, zorder=0)
        ax.axvline(edge, color=palette.GRID, linewidth=0.6, zorder=0)
    return ax


def _cell(ax: "Axes", row: int, column: int, count: int, share: float, size: int) -> None:
    """One cell: the diagonal in the model's colour, mistakes in grey."""
    from matplotlib.patches import Rectangle

    colour = palette.MODEL if row == column else palette.SOFT
    # The root lifts a few per cent of mistakes above what the eye takes for nothing.
    depth = _DEEPEST * np.sqrt(share)
    box = Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=colour, alpha=depth, linewidth=0)
    ax.add_patch(box)
    if size <= _COUNTS:
        both = size <= _SHARES
        ax.text(column, row - 0.12 * both, f"{count:,}", ha="center", va="center", color=palette.INK,
                fontsize=10.5 if both else 8.5)  # fmt: skip
        if both:
            shown = f"{100 * share:.0f}%" if share >= 0.005 else "<1%"
            ax.text(
                column, row + 0.24, shown, ha="center", va="center", color=palette.INK, alpha=0.75, fontsize=8
            )


def plot_reliability(
    measured: Mapping[str, np.ndarray], *, what: tuple[str, str], ax: "Axes | None" = None
) -> "Axes":
    """How often predictions are right, by how sure the model was; on the diagonal it is as sure as it should be.

    Args:
        measured: name of the rows -> mean confidence, share that is right and number of predictions [B, 3] by bin;
            the first in the model's colour, with bars of one standard error to each side.
        what: what the two axes say: confidence, and how often it was right.
    """
    ax = ax or new_axes(3.6, 3.6)[0]
    ax.plot([0, 100], [0, 100], color=palette.SOFT, linewidth=0.9, linestyle=(0, (2, 2)))
    lows = [100.0]
    for number, (name, bins) in enumerate(measured.items()):
        colour = palette.BASELINE if number else palette.MODEL
        confidence, right = 100 * bins[:, 0], 100 * bins[:, 1]
        # Agresti and Coull 1998: with two hits and two misses added, also a bin without a miss has a margin.
        share = (bins[:, 1] * bins[:, 2] + 2) / (bins[:, 2] + 4)
        error = 100 * np.sqrt(share * (1 - share) / (bins[:, 2] + 4))
        ax.plot(
            confidence, right, color=colour, linewidth=1.2, marker="os^v"[number % 4], markersize=6,
            markerfacecolor=palette.PAPER if number else colour, label=plain_name(name),
            zorder=4 - bool(number),
        )  # fmt: skip
        if not number:
            low, high = np.clip(right - error, 0, 100), np.clip(right + error, 0, 100)
            ax.vlines(confidence, low, high, color=colour, linewidth=1.2, alpha=0.5)
        lows += [float(confidence.min()), float(right.min())]
    least = max(-2.0, min(lows) - 8)
    ax.set(xlim=(least, 102), ylim=(least, 102), xlabel=f"{what[0]} (%)", ylabel=f"{what[1]} (%)")
    legend_above(ax)
    return quiet(ax)


def plot_channels(values: np.ndarray, *, ax: "Axes | None" = None) -> "Axes":
    """A small picture of one series: a line for each channel, gaps left open.

    Args:
        values: [T, C], NaN for a gap, channels on one scale.
    """
    ax = ax or new_axes(3.0, 1.3)[0]
    steps, channels = values.shape
    for channel in range(channels):
        ax.plot(
            np.arange(1, steps + 1), values[:, channel], color=palette.INK, linewidth=1.0,
            alpha=max(0.3, 0.9 / channels**0.25), marker="o" if steps == 1 else None, markersize=3,
        )  # fmt: skip
    ax.set_yticks([])
    whole_numbers(ax, 6)
    ax.margins(x=0.01)
    quiet(ax)
    ax.tick_params(labelsize=8)
    return ax


def shortened(name: str, most: int = 22) -> str:
    """A name that fits beside a picture."""
    return name if len(name) <= most else name[: most - 1] + "…"
