"""Pictures of measurements and what they add, from arrays; same rules as `grus.inspection.plots`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.inspection import palette
from grus.inspection.classes.plots import shortened
from grus.inspection.plots import dates, legend_above, new_axes, plain_name, quiet, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Cells along a row of the map: narrower ones could not be told apart.
CELLS = 90
#: The faintest and the strongest cell.
_FAINT, _STRONG = 0.1, 0.95
#: Height of a line of the map, in inches.
LINE = 0.24


def measurement_axes(
    lines: int, heights: Sequence[float], width: float = 10.0
) -> tuple[list["Axes"], "Axes"]:
    """Axes one above the other on one time axis, the second a map of some lines with axes for sums at its right.

    Args:
        lines: of the map; heights: of the others, in inches, the first of them above the map.

    Returns:
        The axes from the top down, and those at the right of the map.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tall = [heights[0], LINE * lines + 0.25, *heights[1:]]
    figure = Figure(figsize=(width, sum(tall)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(len(tall), 2, height_ratios=tall, width_ratios=[6, 1])
    axes = [figure.add_subplot(grid[0, 0])]
    for row in range(1, len(tall)):
        axes.append(figure.add_subplot(grid[row, 0], sharex=axes[0]))
    return axes, figure.add_subplot(grid[1, 1])


def places(times: np.ndarray) -> np.ndarray:
    """Times as the numbers that an axis counts."""
    if times.dtype.kind != "M":
        return times.astype(np.float64)
    from matplotlib.dates import date2num

    return np.asarray(date2num(times), np.float64)


def along(ax: "Axes", times: np.ndarray, axis: str) -> None:
    """Name the time axis, a little room at both ends."""
    where = places(times)
    room = 0.015 * (where[-1] - where[0]) or 0.5
    ax.set_xlim(where[0] - room, where[-1] + room)
    if times.dtype.kind == "M":
        ax.xaxis_date()
        dates(ax, times)
        return
    whole_numbers(ax)
    ax.xaxis.set_major_formatter("{x:,g}")
    ax.set_xlabel(plain_name(axis))


def in_cells(
    times: np.ndarray, values: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums in cells of even width: edges [K + 1], sums [K, C], and whether anything was known [K, C].

    Args:
        times: rising [T]; values: [T, C]; known: bool [T, C].
    """
    where = places(times)
    span = float(where[-1] - where[0])
    edges = np.linspace(where[0], where[-1], CELLS) if span else where[[0]]
    step = span / (CELLS - 1) if span else 1.0
    cell = np.minimum(((where - where[0]) / step + 0.5).astype(np.int64), len(edges) - 1)
    sums, seen = np.zeros((len(edges), values.shape[1])), np.zeros((len(edges), values.shape[1]), np.int64)
    np.add.at(sums, cell, np.where(known, values, 0.0))
    np.add.at(seen, cell, known)
    return np.append(edges - step / 2, edges[-1] + step / 2), sums, seen > 0


def plot_measurements(
    times: np.ndarray,
    added: np.ndarray,
    known: np.ndarray,
    names: Sequence[str],
    *,
    axis: str,
    marks: Sequence[tuple[int, int]] = (),
    ax: "Axes | None" = None,
) -> "Axes":
    """Which measurement added what: a line a column, a cell a time. In the upper half of its line and in the model's
    colour a cell raised the answer, in the lower half and in grey it lowered it, the darker the more.

    Args:
        times: of the steps [T]; added: by each measurement [T, C]; known: where there was one, bool [T, C].
        names: of the columns, from the top down [C].
        axis: what the times count.
        marks: step and column of measurements to number, the first of all as 1; one that would cover another is not.
    """
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgba

    ax = ax or new_axes(height=LINE * len(names) + 0.5)[0]
    edges, sums, seen = in_cells(times, added, known)
    most = float(np.abs(sums).max(initial=0.0)) or 1.0
    corners, colours = [], []
    for cell, line in np.argwhere(seen).tolist():
        value = float(sums[cell, line])
        top, colour = (line - 0.46, palette.MODEL) if value >= 0 else (line + 0.02, palette.INK)
        left, right = edges[cell], edges[cell + 1]
        corners.append([(left, top), (right, top), (right, top + 0.44), (left, top + 0.44)])
        # The root lifts what is small above what the eye takes for nothing.
        colours.append(to_rgba(colour, _FAINT + (_STRONG - _FAINT) * np.sqrt(abs(value) / most)))
    ax.add_collection(PolyCollection(corners, facecolors=colours, linewidths=0))
    for line in range(len(names)):
        ax.axhline(line, color=palette.GRID, linewidth=0.7, zorder=0)
    where, taken = places(times), set()
    for number, (step, line) in enumerate(marks, start=1):
        room = 3 * (edges[1] - edges[0])  # the width of a number and its cell
        if any(line == other and abs(where[step] - at) < room for at, other in taken):
            continue
        taken.add((where[step], line))
        ax.annotate(str(number), (where[step], line), xytext=(5, 0), textcoords="offset points", va="center",
                    color=palette.INK, fontsize=8.5, fontweight="bold")  # fmt: skip
    along(ax, times, axis)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_yticks(range(len(names)), [shortened(plain_name(name)) for name in names])
    quiet(ax)
    ax.grid(visible=False)
    return ax


def plot_sums(values: np.ndarray, *, unit: str, ax: "Axes | None" = None) -> "Axes":
    """What each line of a map adds in all: bars from zero, to the right in the model's colour, to the left in grey.

    Args:
        values: [C], from the top down; unit: of them.
    """
    ax = ax or new_axes(2.0, LINE * len(values) + 0.5)[0]
    colours = [palette.MODEL if value >= 0 else palette.BASELINE for value in values]
    ax.barh(range(len(values)), values, height=0.6, color=colours, linewidth=0)
    ax.axvline(0, color=palette.SOFT, linewidth=0.8)
    ax.set_ylim(len(values) - 0.4, -0.6)
    ax.set_yticks([])
    most = float(np.abs(values).max(initial=0.0)) or 1.0
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    ax.set_xlim(1.15 * min(low, -0.1 * most), 1.15 * max(high, 0.1 * most))
    ax.set_xlabel(plain_name(unit))
    ax.locator_params(axis="x", nbins=3)
    ax.xaxis.set_major_formatter("{x:g}")
    quiet(ax)
    ax.grid(visible=False)
    return ax


def plot_unfolding(
    times: np.ndarray,
    probability: np.ndarray,
    *,
    unit: str,
    axis: str,
    start: float | None = None,
    marks: Sequence[tuple[Any, float]] = (),
    ax: "Axes | None" = None,
) -> "Axes":
    """The probability as the row unfolds: it stays what it was until the next step.

    Args:
        times: [A] of the steps after which the row so far was answered; probability: from 0 to 1 [A].
        unit: of the axis, in percent.
        axis: what the times count.
        start: a probability to compare with, dashed.
        marks: time and probability of points to number, the first as 1.
    """
    ax = ax or new_axes(height=1.8)[0]
    where, percent = places(times), 100 * probability
    if start is not None:
        ax.axhline(100 * start, color=palette.BASELINE, linewidth=1.2, linestyle=palette.DASHES[0], zorder=1)
    ax.plot(where, percent, color=palette.MODEL, linewidth=1.8, drawstyle="steps-post", zorder=3)
    dense = len(where) > 120
    ax.plot(where, percent, "o", color=palette.MODEL, markersize=2.2 if dense else 3.5, zorder=4)
    for number, (when, p) in enumerate(marks, start=1):
        ax.annotate(str(number), (when, 100 * p), xytext=(0, 5), textcoords="offset points", ha="center",
                    color=palette.INK, fontsize=8.5, fontweight="bold")  # fmt: skip
    along(ax, times, axis)
    top = float(percent.max(initial=0.0))
    ax.set_ylim(0, 100 if top > 60 else max(5.0, 1.35 * max(top, 100 * (start or 0.0))))
    ax.set_ylabel(plain_name(unit))
    return quiet(ax)


def plot_kept(
    times: np.ndarray, lines: Mapping[str, np.ndarray], *, axis: str, ax: "Axes | None" = None
) -> "Axes":
    """Shares of the memory at every step, in percent: the first in the model's colour, the others grey.

    Args:
        times: of the steps [T]; lines: name -> shares from 0 to 1 [T].
        axis: what the times count.
    """
    ax = ax or new_axes(height=1.6)[0]
    where = places(times)
    marker = "o" if len(where) <= 120 else None
    for number, (name, share) in enumerate(lines.items()):
        style: Any = "solid" if not number else palette.DASHES[number - 1]
        ax.plot(where, 100 * share, color=palette.BASELINE if number else palette.MODEL, linewidth=1.4,
                linestyle=style, marker=marker, markersize=2.5, label=plain_name(name),
                zorder=3 - bool(number))  # fmt: skip
    along(ax, times, axis)
    least = min((float(share.min(initial=1.0)) for share in lines.values()), default=0.0)
    ax.set_ylim(0 if least < 0.6 else max(0.0, 100 * least - 8), 103)
    ax.set_ylabel("of the memory (%)")
    legend_above(ax)
    return quiet(ax)
