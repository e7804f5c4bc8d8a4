"""Pictures of a comparison from arrays; same rules as `grus.inspection.plots`.

A cell has a colour, a dash and a mark, the same in every picture; each of the three tells the cells apart by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.inspection import palette
from grus.inspection.plots import legend_above, new_axes, plain_name, quiet, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Of the first, second, ... cell: colour, dash, mark.
STYLES: tuple[tuple[str, Any, str], ...] = (
    (palette.MODEL, "solid", "o"),
    (palette.INK, palette.DASHES[0], "s"),
    (palette.BASELINE, palette.DASHES[1], "^"),
    (palette.SOFT, palette.DASHES[2], "D"),
)
#: What is below this share of the newest gradient is nothing.
_FLOOR = 1e-8


@dataclass(frozen=True)
class Estimates:
    """Values with the half widths of their intervals, float64 [N] each; NaN where there is none."""

    values: np.ndarray
    halves: np.ndarray


def _line(number: int, width: float = 1.8) -> dict[str, Any]:
    colour, dash, mark = STYLES[number % len(STYLES)]
    return {
        "color": colour,
        "linestyle": dash,
        "marker": mark,
        "linewidth": width if number else 1.25 * width,
    }


def plot_errors(
    errors: Mapping[str, tuple[float, float, Sequence[float]]],
    *,
    unit: str,
    floor: tuple[str, float] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """The error of each cell with its interval, a small mark for each run, and a line for what costs nothing.

    Args:
        errors: name -> mean, half width of its interval, and the error of each run.
        unit: of the errors.
        floor: name and error of the best answer that costs nothing; only drawn where it does not press the rest flat.
    """
    ax = ax or new_axes(6.4, 0.9 + 0.5 * len(errors))[0]
    names = list(errors)
    for place, (mean, half, runs) in enumerate(errors.values()):
        colour, _, mark = STYLES[place % len(STYLES)]
        ax.plot(runs, np.full(len(runs), place + 0.24), "|", color=colour, markersize=8, alpha=0.9)
        ax.errorbar(
            mean,
            place,
            xerr=np.nan_to_num(half),
            color=colour,
            marker=mark,
            markersize=8,
            linewidth=2.0,
            capsize=4,
        )
    low = min(mean - np.nan_to_num(half) for mean, half, _ in errors.values())
    high = max(mean + np.nan_to_num(half) for mean, half, _ in errors.values())
    shown = floor is not None and low - 1.5 * (high - low) <= floor[1] <= high + 1.5 * (high - low)
    if floor is not None and shown:
        ax.axvline(floor[1], color=palette.SOFT, linewidth=1.2, linestyle=(0, (2, 2)))
        left = floor[1] > (low + high) / 2
        ax.annotate(
            plain_name(floor[0]), (floor[1], -0.75), xytext=(-4 if left else 4, 0), textcoords="offset points",
            ha="right" if left else "left", va="center", color=palette.SOFT, fontsize=10,
        )  # fmt: skip
    ax.set(xlabel=plain_name(unit), ylim=(len(names) - 0.5, -1.0 if shown else -0.6))
    ax.set_yticks(range(len(names)), [plain_name(name) for name in names])
    ax.margins(x=0.08)
    quiet(ax)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x", color=palette.GRID, linewidth=0.8)
    for label in ax.get_yticklabels():
        label.set_color(palette.INK)
    return ax


def plot_seconds(
    curves: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]], *, unit: str, ax: "Axes | None" = None
) -> "Axes":
    """Validation score against training time: the best so far of every run, the first of each cell in full strength.

    Args:
        curves: name -> for each run the seconds [E] and scores [E] after each epoch.
        unit: of the scores.
    """
    ax = ax or new_axes(4.9, 3.2)[0]
    for number, (name, runs) in enumerate(curves.items()):
        for place, (seconds, scores) in enumerate(runs):
            style = _line(number)
            ax.plot(
                seconds, scores, label=None if place else plain_name(name), markersize=4,
                alpha=0.4 if place else 1.0, zorder=2 + (not place), **style,
            )  # fmt: skip
    ax.set(xlabel="seconds of training", ylabel=plain_name(unit))
    best = [np.minimum.accumulate(scores) for runs in curves.values() for _, scores in runs]
    lowest, highest = min(b[-1] for b in best), max(float(b[0]) for b in best)
    worst_end = max(b[-1] for b in best)
    # A first epoch far above the rest would press the part that tells the cells apart flat.
    if highest - lowest > 8 * (worst_end - lowest) > 0:
        ax.set_ylim(lowest - 0.6 * (worst_end - lowest), lowest + 8 * (worst_end - lowest))
    ax.margins(x=0.02)
    legend_above(ax, columns=2)
    return quiet(ax)


def plot_rates(
    tried: Mapping[str, tuple[np.ndarray, np.ndarray]], *, unit: str, ax: "Axes | None" = None
) -> "Axes":
    """Best validation score by learning rate, the chosen rate of each cell in a ring; diverged rates have no mark.

    Args:
        tried: name -> rates [R], rising, and scores [R], infinite where training diverged.
        unit: of the scores.
    """
    ax = ax or new_axes(4.9, 3.2)[0]
    for number, (name, (rates, scores)) in enumerate(tried.items()):
        shown = np.where(np.isfinite(scores), scores, np.nan)
        ax.plot(rates, shown, label=plain_name(name), markersize=5, **_line(number))
        if np.isfinite(scores).any():
            best = int(np.argmin(scores))
            ax.plot(rates[best], scores[best], "o", markersize=12, markerfacecolor="none",
                    markeredgecolor=STYLES[number % len(STYLES)][0])  # fmt: skip
    rates = np.unique(np.concatenate([rates for rates, _ in tried.values()]))
    ax.set(xscale="log", xlabel="learning rate", ylabel=plain_name(unit))
    ax.set_xticks(rates, [f"{rate:g}" for rate in rates])
    ax.set_xticks([], minor=True)
    ax.margins(x=0.08, y=0.12)
    legend_above(ax, columns=2)
    return quiet(ax)


def plot_reach(norms: Mapping[str, np.ndarray], *, unit: str, axis: str, ax: "Axes | None" = None) -> "Axes":
    """How much of a gradient is left k steps back, as a share of the newest step's, on a logarithmic scale.

    Args:
        norms: name -> norm by lag [K], newest first.
        unit: of the values; axis: of the lags.
    """
    from matplotlib.ticker import LogLocator

    ax = ax or new_axes(4.9, 3.2)[0]
    lowest = 1.0
    for number, (name, values) in enumerate(norms.items()):
        first = values[0] if len(values) and values[0] > 0 else 1.0
        share = np.where(values / first > _FLOOR, values / first, np.nan)
        every = max(1, len(share) // 8)
        ax.plot(
            np.arange(len(share)),
            share,
            label=plain_name(name),
            markersize=5,
            markevery=every,
            **_line(number),
        )
        if np.isfinite(share).any():
            lowest = min(lowest, float(np.nanmin(share)))
    ax.set(yscale="log", xlabel=axis, ylabel=unit)
    ax.set_ylim(bottom=max(lowest / 2, _FLOOR))
    decades = np.diff(np.log10(ax.get_ylim()))[0]
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2 else (1.0,)))
    ax.yaxis.set_major_formatter("{x:,g}")
    ax.yaxis.set_minor_formatter("")
    whole_numbers(ax, 8)
    ax.margins(x=0.02)
    legend_above(ax, columns=2)
    return quiet(ax)


def plot_curve(
    places: np.ndarray,
    errors: Mapping[str, Estimates],
    *,
    unit: str,
    axis: str,
    names: Sequence[str],
    floors: Mapping[str, np.ndarray] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Error with its interval by share of the rows or by length, a line a cell.

    Args:
        places: where along the bottom [N], above 0; names: what they are called.
        errors: name -> estimates [N].
        unit: of the errors; axis: what is along the bottom.
        floors: name -> error [N] of what costs nothing; drawn where it does not press the rest flat.
    """
    ax = ax or new_axes(4.9, 3.2)[0]
    wide = np.log(places.max() / places.min()) if len(places) > 1 else 0.0
    for number, (name, found) in enumerate(errors.items()):
        # Side by side, so that intervals at one place can be told apart.
        moved = places * np.exp((number - (len(errors) - 1) / 2) * 0.012 * wide)
        ax.errorbar(
            moved, found.values, yerr=np.nan_to_num(found.halves), label=plain_name(name), markersize=6, capsize=3,
            **_line(number),
        )  # fmt: skip
    ends = np.concatenate(
        [[f.values - np.nan_to_num(f.halves), f.values + np.nan_to_num(f.halves)] for f in errors.values()]
    )
    low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
    for values in (floors or {}).values():
        if low - 0.5 * (high - low) <= np.nanmin(values) and np.nanmax(values) <= high + 0.5 * (high - low):
            # As error bars without bars, so that it comes last in the legend.
            ax.errorbar(
                places,
                values,
                label="best baseline",
                color=palette.SOFT,
                linewidth=1.2,
                linestyle=(0, (2, 2)),
            )
    ax.set(xscale="log", xlabel=axis, ylabel=plain_name(unit))
    ax.set_xticks(places, list(names))
    ax.set_xticks([], minor=True)
    ax.margins(x=0.08)
    legend_above(ax, columns=2)
    return quiet(ax)
