"""Pictures of gates, memory and attribution from arrays; same rules as `grus.inspection.plots`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.inspection import palette
from grus.inspection.classes.plots import shortened
from grus.inspection.plots import dates, legend_above, new_axes, plain_name, quiet, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: A heat map has at most so many columns: more could not be told apart, and would make the page heavy.
COLUMNS = 600
#: A line has at most so many points, and bars are drawn one by one up to so many; then they are summed in groups.
_POINTS, _BARS = 1000, 240
#: Up to so many steps are named along the bottom.
NAMED = 60
#: Channels of a series that are drawn.
CHANNELS = 5
#: What is smaller than this share is below the picture: nothing.
_FLOOR = 1e-8
#: From the page's white over the model's blue to near black: lightness falls all the way, so it holds up in grey.
SHADES = (palette.PAPER, "#a9d0e8", palette.MODEL, "#06263d")


def stacked_axes(heights: Sequence[float], width: float = 10.0) -> list["Axes"]:
    """Axes one above the other on one horizontal scale, in a new figure; sizes in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(heights), 1, sharex=True, gridspec_kw={"height_ratios": list(heights)})
    return list(np.atleast_1d(axes))


def binned(values: np.ndarray, most: int, how: str = "mean") -> tuple[np.ndarray, int]:
    """The last axis in at most ``most`` groups, their mean, sum or max, and how many each has (the last, fewer)."""
    steps = values.shape[-1]
    size = max(1, -(-steps // most))
    if size == 1:
        return values, 1
    starts = np.arange(0, steps, size)
    if how == "max":
        return np.maximum.reduceat(values, starts, axis=-1), size
    sums = np.add.reduceat(values, starts, axis=-1)
    return (sums if how == "sum" else sums / np.diff(np.append(starts, steps))), size


def thinned(values: np.ndarray) -> np.ndarray:
    """Numbers of the steps to draw of a long line: the least and the largest of each group, so that no peak is lost."""
    steps = len(values)
    size = -(-steps // _POINTS)
    if size <= 2:
        return np.arange(steps)
    starts = np.arange(0, steps, size)
    pairs = []
    for fill, find in ((np.inf, np.argmin), (-np.inf, np.argmax)):
        table = np.full(len(starts) * size, fill)
        table[:steps] = np.where(np.isfinite(values), values, fill)
        pairs.append(starts + find(table.reshape(-1, size), axis=1))
    return np.unique(np.minimum(np.concatenate(pairs), steps - 1))


def plot_gate(
    gate: np.ndarray,
    *,
    times: np.ndarray | None = None,
    axis: str = "step",
    label: str = "update gate z",
    ends: tuple[str, str] = ("0 overwrites", "1 keeps"),
    ticks: Sequence[str] = (),
    ax: "Axes | None" = None,
) -> "Axes":
    """A gate over time as a heat map, dark where it is shut.

    Args:
        gate: [H, T], from 0 to 1, units from the top down in the order given.
        times: stamps or numbers of the steps [T]; counted from 1 if None.
        axis: what a step is.
        label: of the colours; ends: what 0 and 1 mean.
        ticks: names of the steps [T], for a few of them.
    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.ticker import MaxNLocator

    ax = ax or new_axes(height=2.4)[0]
    units, steps = gate.shape
    shown, _ = binned(gate, COLUMNS)
    where = np.arange(1, steps + 1) if times is None else times
    first, last = _edges(ax, where)
    shades = LinearSegmentedColormap.from_list("gate", SHADES[::-1])
    image = ax.imshow(
        shown,
        aspect="auto",
        interpolation="nearest",
        cmap=shades,
        vmin=0,
        vmax=1,
        extent=(first, last, units + 0.5, 0.5),
    )
    _along(ax, where, axis, ticks)
    ax.set_ylabel("unit")
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    quiet(ax)
    ax.grid(visible=False)
    bar = ax.figure.colorbar(image, ax=ax, pad=0.01, fraction=0.03, ticks=[0, 1])
    bar.ax.set_yticklabels(ends)
    bar.ax.tick_params(colors=palette.SOFT, labelsize=9, length=0)
    bar.outline.set_visible(False)
    bar.set_label(label, color=palette.SOFT, fontsize=9.5, labelpad=-24 if max(map(len, ends)) > 4 else 4)
    return ax


def _edges(ax: "Axes", where: np.ndarray) -> tuple[float, float]:
    """Half a step before the first and after the last, as the axis counts."""
    if where.dtype.kind != "M":
        step = float(where[1] - where[0]) if len(where) > 1 else 1.0
        return float(where[0]) - step / 2, float(where[-1]) + step / 2
    from matplotlib.dates import date2num

    ax.xaxis_date()
    ends: Any = date2num(where[[0, -1]])
    step = (ends[1] - ends[0]) / max(1, len(where) - 1) or 1.0
    return float(ends[0] - step / 2), float(ends[1] + step / 2)


def _along(ax: "Axes", where: np.ndarray, axis: str, ticks: Sequence[str] = ()) -> None:
    """Dates, names or whole numbers along the bottom."""
    if ticks and len(ticks) <= NAMED:
        ax.set_xticks(
            where, [shortened(plain_name(t)) for t in ticks], rotation=60, ha="right", rotation_mode="anchor"
        )
        return
    if where.dtype.kind == "M":
        dates(ax, where)
    else:
        whole_numbers(ax)
        ax.set_xlabel(axis)


def plot_horizon(
    half_life: np.ndarray,
    measured: np.ndarray | None = None,
    *,
    unit: str = "steps",
    ax: "Axes | None" = None,
) -> "Axes":
    """Units by how long they remember: bars by their update gates, dots as measured.

    Args:
        half_life: [H], infinite for a unit that never forgets, which is drawn at the top.
        measured: steps after which a change has halved [H]; NaN where there was none.
        unit: what they count.
    """
    ax = ax or new_axes(4.9, 2.6)[0]
    order = np.argsort(half_life, kind="stable")
    place = np.arange(1, len(order) + 1)
    values = half_life[order]
    known = values[np.isfinite(values)]
    dots = None if measured is None else measured[order]
    seen = known if dots is None else np.append(known, dots[np.isfinite(dots)])
    top = float(seen.max(initial=1.0))
    ax.bar(place, np.where(np.isfinite(values), values, 2 * top), width=0.85, color=palette.MODEL, alpha=0.75,
           label="half-life by the gates", linewidth=0)  # fmt: skip
    if dots is not None:
        ax.plot(
            place, dots, "o", color=palette.INK, markersize=4, markerfacecolor=palette.PAPER, label="measured"
        )
    if len(known) and top > 8 * max(float(np.median(known)), 1e-3):
        ax.set_yscale("symlog", linthresh=1)
        digits = (1, 2, 5) if top < 100 else (1,)
        ax.set_yticks([0, *(d * 10**k for k in range(5) for d in digits if d * 10**k <= top)], minor=False)
        ax.yaxis.set_major_formatter("{x:,g}")
    ax.set(xlabel="unit, from the shortest to the longest memory", ylabel=unit, xlim=(0.3, len(order) + 0.7))
    ax.set_ylim(bottom=0)
    whole_numbers(ax)
    legend_above(ax)
    return quiet(ax)


def plot_lags(
    curves: Mapping[str, np.ndarray],
    *,
    unit: str,
    axis: str = "steps back",
    first: int = 0,
    ax: "Axes | None" = None,
) -> "Axes":
    """What is left by distance in time, on a logarithmic scale: the first curve in the model's colour, others grey.

    Args:
        curves: name -> values by lag [K], from lag ``first`` on; zeros are left out, very many drawn in groups (rms).
        unit: of the values; axis: of the lags.
    """
    from matplotlib.ticker import LogLocator

    ax = ax or new_axes(4.9, 2.6)[0]
    lowest = np.inf
    for number, (name, values) in enumerate(curves.items()):
        squares, size = binned(values**2, COLUMNS)
        lags = first + np.arange(len(squares)) * size
        shown = np.where(squares > 0, np.sqrt(squares), np.nan)
        style = {"color": palette.MODEL, "linewidth": 2.2} if not number else {
            "color": palette.BASELINE, "linewidth": 1.6, "linestyle": palette.DASHES[(number - 1) % len(palette.DASHES)]
        }  # fmt: skip
        ax.plot(
            lags,
            shown,
            label=plain_name(name),
            marker="o" if len(values) == 1 else None,
            zorder=3 - bool(number),
            **style,
        )
        if np.isfinite(shown).any():
            lowest = min(lowest, float(np.nanmin(shown)))
    ax.set_yscale("log")
    ax.set_ylim(bottom=max(lowest / 2, _FLOOR) if np.isfinite(lowest) else _FLOOR)
    decades = np.diff(np.log10(ax.get_ylim()))[0]
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2 else (1.0,)))
    ax.yaxis.set_major_formatter("{x:,g}")
    ax.yaxis.set_minor_formatter("")
    ax.set(xlabel=axis, ylabel=unit)
    ax.margins(x=0.01)
    whole_numbers(ax, 8)
    if len(curves) > 1:
        legend_above(ax, columns=2)
    return quiet(ax)


def plot_attribution(
    values: np.ndarray,
    *,
    times: np.ndarray | None = None,
    axis: str = "step",
    unit: str,
    ticks: Sequence[str] = (),
    ax: "Axes | None" = None,
) -> "Axes":
    """What each step adds to the answer: up in the model's colour, down in grey; very many steps in groups.

    Args:
        values: [T]; times, axis, ticks: as in `plot_gate`.
        unit: of the values.
    """
    ax = ax or new_axes(height=1.8)[0]
    where = np.arange(1, len(values) + 1) if times is None else times
    shown, size = binned(values, _BARS, "sum")
    places = where[np.minimum(np.arange(len(shown)) * size + size // 2, len(where) - 1)]
    first, last = _edges(ax, where)
    width = (last - first) / len(shown) * 0.9
    colours = [palette.MODEL if v >= 0 else palette.BASELINE for v in shown]
    ax.bar(places, shown, width=width, color=colours, linewidth=0)
    ax.axhline(0, color=palette.SOFT, linewidth=0.8)
    ax.set_xlim(first, last)
    _along(ax, where, axis, ticks)
    ax.set_ylabel(plain_name(unit))
    return quiet(ax)


def plot_course(
    lines: Mapping[str, np.ndarray],
    *,
    unit: str,
    times: np.ndarray | None = None,
    axis: str = "step",
    marks: Sequence[int] = (),
    blocks: bool = False,
    how: str = "mean",
    ax: "Axes | None" = None,
) -> "Axes":
    """One number a step, such as the share of the memory that is overwritten: the first line in the model's colour.

    Args:
        lines: name -> values [T].
        unit: of the values.
        times, axis: as in `plot_gate`.
        marks: steps to point out, the first of all as 1.
        blocks: draw a step as long as it lasts, not as a point on a line.
        how: of very many steps the ``mean`` or the ``max`` of each group is drawn.
    """
    ax = ax or new_axes(height=1.8)[0]
    styles: list[Any] = ["solid", *palette.DASHES]
    top = next(iter(lines.values()))
    where = np.arange(1, 1 + len(top)) if times is None else times
    first, last = _edges(ax, where)
    for number, (name, values) in enumerate(lines.items()):
        style = {"color": palette.BASELINE if number else palette.MODEL, "linewidth": 1.5, "label": plain_name(name),
                 "linestyle": styles[number % len(styles)], "zorder": 3 - bool(number)}  # fmt: skip
        if blocks:
            ax.stairs(values, np.linspace(first, last, len(values) + 1), baseline=None, **style)
            continue
        shown, size = binned(values, _POINTS, how)
        places = where[np.minimum(np.arange(len(shown)) * size + size // 2, len(where) - 1)]
        ax.plot(places, shown, marker="o" if len(shown) == 1 else None, **style)
    for number, mark in enumerate(marks, start=1):
        ax.annotate(str(number), (where[mark], top[mark]), xytext=(0, 4), textcoords="offset points",
                    ha="center", color=palette.INK, fontsize=9)  # fmt: skip
    ax.set_xlim(first, last)
    ax.margins(y=0.3 if marks else 0.1)
    _along(ax, where, axis)
    ax.set_ylabel(plain_name(unit))
    if len(lines) > 1:
        legend_above(ax)
    return quiet(ax)


def plot_series(
    values: np.ndarray,
    names: Sequence[str],
    *,
    times: np.ndarray | None = None,
    axis: str = "step",
    unit: str,
    marks: Sequence[int] = (),
    ax: "Axes | None" = None,
) -> "Axes":
    """The series itself, its first channel in ink and at most four more in grey; the marked steps as thin lines.

    Args:
        values: [T, C], NaN for a gap; names: of the channels [C].
        times, axis: as in `plot_gate`; unit: of the values; marks: as in `plot_written`.
    """
    ax = ax or new_axes(height=1.8)[0]
    where = np.arange(1, len(values) + 1) if times is None else times
    for number, name in enumerate(names[:CHANNELS]):
        places = thinned(values[:, number])
        ax.plot(where[places], values[places, number], color=palette.BASELINE if number else palette.TRUTH,
                linewidth=1.0, linestyle="solid" if not number else palette.DASHES[(number - 1) % 4],
                marker="o" if len(values) == 1 else None, label=plain_name(name))  # fmt: skip
    for mark in marks:
        ax.axvline(where[mark], color=palette.MODEL, linewidth=0.8, alpha=0.7, zorder=0)
    ax.set_xlim(*_edges(ax, where))
    _along(ax, where, axis)
    ax.set_ylabel(plain_name(unit))
    if len(names) > 1:
        legend_above(ax)
    return quiet(ax)
