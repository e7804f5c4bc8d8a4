"""Pictures from arrays, and nothing but: no task, no file, no global state, no pyplot.

Every function draws on the ``ax`` it is given, or on a figure of its own, and returns the axes. Colours are those of
`grus.inspection.palette`; every axis carries its unit.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.inspection import palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SMALL, _WIDE, _TALL = 4.9, 10.0, 2.6


def new_axes(width: float = _WIDE, height: float = _TALL, columns: Sequence[float] = (1.0,)) -> list["Axes"]:
    """Axes side by side in a new figure, sizes in inches; ``columns`` are relative widths."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(1, len(columns), width_ratios=list(columns))
    return [figure.add_subplot(grid[0, i]) for i in range(len(columns))]


def figure_of(ax: "Axes") -> "Figure":
    """The figure that axes stand in."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def plot_parts(
    times: np.ndarray,
    low: np.ndarray,
    middle: np.ndarray,
    high: np.ndarray,
    *,
    parts: Mapping[str, tuple[Any, Any]],
    unit: str,
    ax: "Axes | None" = None,
) -> "Axes":
    """A long series as its range and mean, the stretches held back from training shaded.

    Args:
        times: of each bin [B], dates or numbers.
        low, middle, high: smallest, mean and largest value in each bin [B]; NaN leaves a gap.
        parts: ``validation`` and ``test`` -> first stamp and end.
        unit: of the values.
    """
    ax = ax or new_axes(height=1.7)[0]
    for name, (first, end) in parts.items():
        colour = palette.TEST if name == "test" else palette.VALIDATION
        ax.axvspan(first, end, facecolor=colour, edgecolor="none", label=plain_name(name), zorder=0)
    ax.fill_between(times, low, high, facecolor=palette.TRUTH, alpha=0.22, edgecolor="none")
    ax.plot(times, middle, color=palette.TRUTH, linewidth=0.9)
    ax.set_ylabel(plain_name(unit))
    dates(ax, times)
    ax.margins(x=0)
    return quiet(ax)


def plot_learning(
    epochs: np.ndarray,
    curves: Mapping[str, np.ndarray],
    *,
    best: tuple[int, str] | None = None,
    unit: str,
    ax: "Axes | None" = None,
) -> "Axes":
    """Scores by epoch: the first curve in the model's colour, the others grey.

    Args:
        epochs: counted from 1 [E].
        curves: name -> score after each epoch [E].
        best: the epoch that was kept, and the curve that chose it.
        unit: of the scores.
    """
    ax = ax or new_axes(_SMALL)[0]
    for number, (name, values) in enumerate(curves.items()):
        ax.plot(epochs, values, label=plain_name(name), marker="o", markersize=3, **_line(number))
    if best is not None:
        epoch, name = best
        value = float(curves[name][np.flatnonzero(epochs == epoch)[0]])
        ax.plot([epoch], [value], "o", markersize=9, markerfacecolor="none", markeredgecolor=palette.MODEL)
        late = epoch > epochs.mean()
        ax.annotate(
            f"best: {value:.4g}", (epoch, value), xytext=(6 if late else -6, 10), textcoords="offset points",
            ha="right" if late else "left", color=palette.INK, fontsize=10,
        )  # fmt: skip
    ax.set_xlabel("epoch")
    ax.set_ylabel(plain_name(unit))
    whole_numbers(ax)
    ax.margins(x=0.06, y=0.18)
    legend_above(ax)
    return quiet(ax)


def plot_by_step(
    scores: Mapping[str, np.ndarray], *, unit: str, step: str, ax: "Axes | None" = None
) -> "Axes":
    """Error of each step of the horizon; the model comes first.

    Args:
        scores: name -> error by step [H].
        unit: of the errors; step: what one step is.
    """
    ax = ax or new_axes()[0]
    for number, (name, values) in enumerate(scores.items()):
        steps = np.arange(1, len(values) + 1)
        marker = "o" if len(values) == 1 else None
        ax.plot(
            steps,
            values,
            label=plain_name(name),
            marker=marker,
            zorder=3 if not number else 2,
            **_line(number),
        )
    ax.set_xlabel(step)
    ax.set_ylabel(plain_name(unit))
    ax.set_ylim(bottom=0)
    ax.margins(x=0.01)
    whole_numbers(ax)
    legend_above(ax)
    return quiet(ax)


def plot_coverage(measured: Mapping[str, Mapping[float, float]], *, ax: "Axes | None" = None) -> "Axes":
    """Share of true values inside intervals of several levels; on the diagonal, the intervals are honest.

    Args:
        measured: name of the rows -> level in percent -> share from 0 to 1; the first in the model's colour.
    """
    ax = ax or new_axes(3.2, 3.2)[0]
    for number, (name, shares) in enumerate(measured.items()):
        style = _line(number)
        ax.plot(
            list(shares), [100 * s for s in shares.values()], linestyle="none", color=style["color"],
            marker="os^v"[number % 4], markersize=7, markerfacecolor=palette.PAPER if number else style["color"],
            label=plain_name(name), zorder=4 - bool(number),
        )  # fmt: skip
    ax.plot([0, 100], [0, 100], color=palette.SOFT, linewidth=0.9, linestyle=(0, (2, 2)))
    levels = [level for shares in measured.values() for level in shares]
    low = max(0, min([*levels, *(100 * s for shares in measured.values() for s in shares.values())]) - 12)
    ax.set(xlim=(low, 101.5), ylim=(low, 101.5), xlabel="interval (%)", ylabel="true values inside (%)")
    legend_above(ax)
    return quiet(ax)


def plot_coverage_by_step(
    by_level: Mapping[float, np.ndarray], *, step: str, ax: "Axes | None" = None
) -> "Axes":
    """Share of true values inside the interval at each step of the horizon, beside what was promised.

    Args:
        by_level: level in percent -> share from 0 to 1 by step [H].
        step: what one step is.
    """
    ax = ax or new_axes(6.4, 3.2)[0]
    dashes = ["solid", (0, (5, 2)), (0, (1.5, 1.5))]
    for number, (level, shares) in enumerate(by_level.items()):
        steps = np.arange(1, len(shares) + 1)
        ax.axhline(level, color=palette.SOFT, linewidth=0.9, linestyle=(0, (2, 2)))
        ax.plot(
            steps, 100 * shares, color=palette.MODEL, linewidth=1.6, linestyle=dashes[number % 3],
            marker="o" if len(shares) == 1 else None, label=f"{level:g}% interval",
        )  # fmt: skip
    ax.set(xlabel=step, ylabel="true values inside (%)")
    low = min([*by_level, *(100 * float(np.nanmin(s)) for s in by_level.values())])
    ax.set_ylim(max(0, low - 8), 101.5)
    ax.margins(x=0.01)
    whole_numbers(ax)
    legend_above(ax)
    return quiet(ax)


def plot_forecast(
    times: np.ndarray,
    truth: np.ndarray,
    forecast: np.ndarray,
    *,
    unit: str,
    lower: Mapping[float, np.ndarray] | None = None,
    upper: Mapping[float, np.ndarray] | None = None,
    baseline: tuple[str, np.ndarray] | None = None,
    name: str = "model",
    legend: bool = True,
    ax: "Axes | None" = None,
) -> "Axes":
    """One window: what was known, what came, what was forecast, and how sure the model was.

    Args:
        times: of the history and the horizon [T + H].
        truth: [T + H], NaN where missing.
        forecast: [H].
        unit: of the values.
        lower, upper: ends of the interval by level in percent, each [H].
        baseline: name and values [H] of a forecast to compare with.
        name: of the model.
    """
    ax = ax or new_axes()[0]
    horizon = len(forecast)
    ahead = times[-horizon:]
    marker = "o" if horizon == 1 else None
    ax.plot(
        ahead, forecast, color=palette.MODEL, linewidth=2.2, label=plain_name(name), marker=marker, zorder=4
    )
    ax.plot(times, truth, color=palette.TRUTH, linewidth=1.5, label="truth", zorder=3)
    if baseline is not None:
        ax.plot(ahead, baseline[1], label=plain_name(baseline[0]), marker=marker, zorder=2.5, **_line(1))
    for number, level in enumerate(sorted(lower or {})):
        assert lower is not None
        assert upper is not None
        ax.fill_between(
            ahead, lower[level], upper[level], facecolor=palette.MODEL, alpha=(0.3, 0.16)[min(number, 1)],
            edgecolor="none", label=f"{level:g}% interval", zorder=2,
        )  # fmt: skip
    ax.axvline(ahead[0], color=palette.SOFT, linewidth=0.8)
    ax.set_ylabel(plain_name(unit))
    ax.margins(x=0.005)
    dates(ax, times)
    if legend:
        legend_above(ax)
    return quiet(ax)


def plot_against(
    model: np.ndarray, baseline: np.ndarray, *, unit: str, names: tuple[str, str], ax: "Axes | None" = None
) -> "Axes":
    """One dot a series: the model's error against a baseline's; under the diagonal the model is better.

    Args:
        model, baseline: errors by series [N], same unit, NaN where there is none.
        unit: of the errors; names: of the model and the baseline.
    """
    ax = ax or new_axes(_SMALL, 4.2)[0]
    known = np.isfinite(model) & np.isfinite(baseline)
    model, baseline = model[known], baseline[known]
    both = np.concatenate((model, baseline))
    logarithmic = bool(len(both)) and both.min() > 0 and both.max() > 20 * both.min()
    low, high = (
        (both.min() * 0.8, both.max() * 1.25) if logarithmic else (0, float(both.max(initial=1)) * 1.08)
    )
    if logarithmic:
        ax.set(xscale="log", yscale="log")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter("{x:,g}")
            axis.set_minor_formatter("")
    ax.plot([low, high], [low, high], color=palette.SOFT, linewidth=0.9, linestyle=(0, (2, 2)))
    ax.plot(baseline, model, "o", markersize=5, color=palette.MODEL, alpha=0.7, markeredgewidth=0)
    ax.set(
        xlim=(low, high), ylim=(low, high),
        xlabel=plain_name(f"{names[1]}: {unit}"), ylabel=plain_name(f"{names[0]}: {unit}"),
    )  # fmt: skip
    return quiet(ax)


def plain_name(text: str) -> str:
    """A user's name as it is: not as mathematics between dollars, nor left out of the legend for its underscore."""
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def _line(number: int) -> dict[str, Any]:
    """The model's line (number 0), or a baseline's."""
    if number == 0:
        return {"color": palette.MODEL, "linewidth": 2.2}
    dashes = palette.DASHES[(number - 1) % len(palette.DASHES)]
    return {"color": palette.BASELINE, "linewidth": 1.6, "linestyle": dashes}


def quiet(ax: "Axes") -> "Axes":
    """Take away what says nothing: the frame, tick marks, heavy grid lines."""
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(palette.GRID)
    ax.grid(axis="y", color=palette.GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(colors=palette.SOFT, labelsize=10, length=0, which="both")
    ax.xaxis.get_offset_text().set(color=palette.SOFT, fontsize=10)
    ax.yaxis.get_offset_text().set(color=palette.SOFT, fontsize=10)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set(color=palette.SOFT, fontsize=10.5)
    return ax


def legend_above(ax: "Axes", columns: int = 5, **keys: Any) -> None:
    """Above the picture, where it hides nothing; ``handles`` in place of what was drawn."""
    ax.legend(
        loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=columns, frameon=False, fontsize=10,
        labelcolor=palette.INK, handlelength=2.2, columnspacing=1.6, borderaxespad=0.2, **keys,
    )  # fmt: skip


def dates(ax: "Axes", times: np.ndarray) -> None:
    """Dates as short as they can be without being ambiguous; numbers stay numbers."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    if times.dtype.kind == "M":
        locator = AutoDateLocator(minticks=4, maxticks=10)
        fine, midnight = ["%H:%M", "%H:%M", "%H:%M:%S"], ["%d %b", "%H:%M", "%H:%M"]
        formatter = ConciseDateFormatter(
            locator,
            formats=["%Y", "%b", "%d %b", *fine],
            zero_formats=["", "%Y", "%b", *midnight],
            show_offset=False,
        )
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(formatter)


def whole_numbers(ax: "Axes", most: int = 12) -> None:
    """Ticks along the bottom at whole numbers, about ``most`` of them."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(nbins=most, integer=True, min_n_ticks=1))
