"""The attention of one translation as a picture; same rules as `grus.inspection.plots`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from grus.inspection import palette
from grus.inspection.classes.plots import shortened
from grus.inspection.plots import new_axes, plain_name, quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: At most so many tokens of each side are drawn.
MOST = 60
#: Up to so many, a cell shows its share in percent.
_NUMBERED = 26
#: The deepest colour of a cell: ink on it is readable on a light page (contrast 6 : 1) and on a dark one (4 : 1).
_DEEPEST = 0.62


def plot_attention(
    attention: np.ndarray, source: Sequence[str], target: Sequence[str], *, ax: "Axes | None" = None
) -> "Axes":
    """What each token of a translation looked at: one hue, the deeper the larger the share of a row of cells.

    Args:
        attention: [T, S], rows add up to 1.
        source: tokens [S], across; target: tokens [T], down.
    """
    attention, source, target = attention[:MOST, :MOST], source[:MOST], target[:MOST]
    numbered = max(len(source), len(target)) <= _NUMBERED
    cell = 0.42 if numbered else 0.24
    names = [[shortened(plain_name(token), 16) or "␣" for token in side] for side in (source, target)]
    wide, high = (0.3 + 0.09 * max(map(len, side), default=1) for side in (names[1], names[0]))
    ax = ax or new_axes(len(source) * cell + wide + 0.4, len(target) * cell + high + 0.4)[0]
    for (row, column), share in np.ndenumerate(attention):
        if share >= 0.005:
            _cell(ax, row, column, float(share), numbered)
    ax.set(xlim=(-0.5, len(source) - 0.5), ylim=(len(target) - 0.5, -0.5))
    ax.set_xticks(range(len(source)), names[0], rotation=50, ha="left", rotation_mode="anchor")
    ax.set_yticks(range(len(target)), names[1])
    ax.xaxis.tick_top()
    quiet(ax)
    ax.tick_params(labelsize=9.5)
    for label in (*ax.get_xticklabels(), *ax.get_yticklabels()):
        label.set_color(palette.INK)
    ax.spines["bottom"].set_visible(False)
    ax.grid(visible=False)
    for edge in np.arange(len(target) + 1) - 0.5:
        ax.axhline(edge, color=palette.GRID, linewidth=0.6, zorder=0)
    for edge in np.arange(len(source) + 1) - 0.5:
        ax.axvline(edge, color=palette.GRID, linewidth=0.6, zorder=0)
    return ax


def _cell(ax: "Axes", row: int, column: int, share: float, numbered: bool) -> None:
    from matplotlib.patches import Rectangle

    box = Rectangle(
        (column - 0.5, row - 0.5), 1, 1, facecolor=palette.MODEL, alpha=_DEEPEST * np.sqrt(share), linewidth=0
    )
    ax.add_patch(box)
    if numbered and share >= 0.095:
        ax.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=palette.INK, fontsize=8.5)
