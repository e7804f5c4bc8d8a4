"""Pictures of a recording and of what was written of it, from arrays; same rules as `grus.inspection.plots`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from grus.inspection import palette
from grus.inspection.inside.gate_plots import COLUMNS, SHADES, binned
from grus.inspection.plots import new_axes, plain_name, quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Units that have a line of their own, and the height of one in inches.
LINES, LINE = 30, 0.2
#: Up to so many units are written above the alignment.
_NAMED = 40
#: Loudness that is drawn, in deviations of the band over its mean.
_QUIET, _LOUD = -1.5, 2.5


def visible(unit: str) -> str:
    """A unit that can be seen: a blank is an open box."""
    return "␣" if unit == " " else unit


def seconds(ax: "Axes") -> None:
    """About ten ticks along the bottom, in seconds."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(10))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xlabel("time (s)")


def plot_spectrogram(
    bands: np.ndarray, *, end: float, low: float, high: float, begin: float = 0.0, marks: Sequence[float] = (),
    ax: "Axes | None" = None,
) -> "Axes":  # fmt: skip
    """Mel bands over time, the louder the darker.

    Args:
        bands: log energies over their mean in training, in deviations [bands, frames], from the lowest up.
        begin, end: of all frames, in seconds; low, high: Hz of the lowest and highest band.
        marks: times to point out, as thin lines.
    """
    from matplotlib.colors import LinearSegmentedColormap

    ax = ax or new_axes(height=2.0)[0]
    shown, _ = binned(bands, 2 * COLUMNS)
    ax.imshow(
        shown, aspect="auto", origin="lower", interpolation="nearest", vmin=_QUIET, vmax=_LOUD,
        cmap=LinearSegmentedColormap.from_list("loud", SHADES), extent=(begin, end, 0, len(bands)),
    )  # fmt: skip
    for mark in marks:
        ax.axvline(mark, color=palette.INK, linewidth=0.8, alpha=0.7)
    ax.set_yticks([0, len(bands)], [f"{low:,.0f} Hz", f"{high:,.0f} Hz"])
    ax.set_ylabel("mel bands")
    seconds(ax)
    quiet(ax)
    ax.grid(visible=False)
    return ax


def plot_alignment(
    probabilities: np.ndarray,
    names: Sequence[str],
    *,
    times: np.ndarray,
    marks: Sequence[tuple[float, str]] = (),
    ax: "Axes | None" = None,
) -> "Axes":
    """How probable each unit was at each step, a line a unit, the darker the more.

    Args:
        probabilities: [units, T]; names: of the units, from the top down.
        times: the middle of each step in seconds [T], evenly apart.
        marks: time and name of the units that were written.
    """
    from matplotlib.colors import LinearSegmentedColormap

    ax = ax or new_axes(height=0.6 + LINE * len(names))[0]
    step = float(times[1] - times[0]) if len(times) > 1 else 2 * float(times[0])
    # Of very many steps the most probable of each group is drawn: a unit is written in one or two.
    shown, _ = binned(probabilities, 2 * COLUMNS, "max")
    ax.imshow(
        shown, aspect="auto", interpolation="nearest", vmin=0, vmax=1,
        cmap=LinearSegmentedColormap.from_list("probable", SHADES),
        extent=(times[0] - step / 2, times[-1] + step / 2, len(names) - 0.5, -0.5),
    )  # fmt: skip
    for time, name in marks:
        ax.axvline(time, color=palette.SOFT, linewidth=0.6, alpha=0.7)
        if len(marks) <= _NAMED:
            ax.annotate(plain_name(name), (time, 1), xycoords=("data", "axes fraction"), xytext=(0, 2),
                        textcoords="offset points", ha="center", color=palette.INK, fontsize=9)  # fmt: skip
    ax.set_yticks(range(len(names)), [plain_name(name) for name in names])
    seconds(ax)
    quiet(ax)
    ax.grid(visible=False)
    return ax


def plot_overwritten(times: np.ndarray, share: np.ndarray, *, ax: "Axes | None" = None) -> "Axes":
    """The share of the memory that each step overwrote, in percent.

    Args:
        times: in seconds [T]; share: from 0 to 1 [T].
    """
    ax = ax or new_axes(height=1.5)[0]
    marker = "o" if len(times) == 1 else None
    ax.plot(times, 100 * share, color=palette.MODEL, linewidth=1.5, marker=marker)
    ax.set_ylabel("overwritten (%)")
    ax.margins(y=0.1)
    seconds(ax)
    return quiet(ax)
