"""A piece of music as a piano roll; same rules as `grus.inspection.plots`.

A voice has a shade and a thickness of its own, so that voices are told apart without hue, and in unison too.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.inspection import palette
from grus.inspection.plots import legend_above, new_axes, plain_name, quiet
from grus.preprocess.music.piece import Piece, bar_lines, pitch_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Fill and edge of the first, second, ... voice; further ones are hatched.
_FILLS = (
    (palette.MODEL, palette.PAPER),
    (palette.PAPER, palette.INK),
    (palette.BASELINE, palette.PAPER),
    (palette.INK, palette.PAPER),
)
_HATCHES = ("", "////", "....", "xxxx")
#: Thickness of the first voice and of the last: a row of one pitch is 1 high.
_THIN, _THICK = 0.5, 0.9
_BLACK_KEYS = (1, 3, 6, 8, 10)
#: Beats in one row of a figure, rows at most, and inches a semitone.
ROW_BEATS, MOST_ROWS = 32, 12
_SEMITONE = 0.07


def plot_roll(
    piece: Piece,
    *,
    given: int = 0,
    beats: tuple[float, float] | None = None,
    pitches: tuple[int, int] | None = None,
    legend: bool = True,
    ax: "Axes | None" = None,
) -> "Axes":
    """Every note as a bar from where it begins to where it ends, at the height of its pitch.

    Args:
        piece: on its grid.
        given: so many steps at the beginning are a prime, and shaded.
        beats: the stretch that is drawn; None: all of it.
        pitches: lowest and highest MIDI number drawn; None: those of the piece.
        legend: name the voices, where there are several.
    """
    unit = piece.steps_per_beat
    first, last = beats or (0.0, max(piece.length, 1) / unit)
    found = [note.pitch for note in piece.notes] or [60]
    low, high = pitches or (min(found), max(found))
    if ax is None:
        width = float(np.clip(1.2 + 0.28 * (last - first), 3.5, 14))
        ax = new_axes(width, 1.1 + _SEMITONE * (high - low + 2))[0]
    _ground(ax, low, high)
    if given:
        ax.axvspan(0, given / unit, facecolor=palette.TEST, edgecolor="none", zorder=0.6)
    for part in reversed(range(len(piece.parts))):
        notes = [n for n in piece.notes if n.part == part and n.end > first * unit and n.start < last * unit]
        starts = np.array([note.start for note in notes]) / unit
        ends = np.array([note.end for note in notes]) / unit
        ax.barh([n.pitch for n in notes], ends - starts, left=starts, **_bars(part, len(piece.parts)))
    ax.set(xlim=(first, last), ylim=(low - 1, high + 1))
    quiet(ax)
    ax.grid(visible=False)
    _time_axis(ax, piece, first, last)
    _pitch_axis(ax, low, high)
    if legend and (len(piece.parts) > 1 or given):
        _legend(ax, piece.parts, bool(given))
    return ax


def draw_roll(piece: Piece, *, given: int = 0) -> "Figure":
    """A whole piece in rows of `ROW_BEATS` beats, as many as `MOST_ROWS`, on one scale.

    Args:
        piece: on its grid.
        given: so many steps at the beginning are a prime.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    beats = max(piece.length, 1) / piece.steps_per_beat
    rows = min(max(int(np.ceil(beats / ROW_BEATS)), 1), MOST_ROWS)
    found = [note.pitch for note in piece.notes] or [60]
    low, high = min(found), max(found)
    width = 10.0 if rows > 1 else float(np.clip(1.2 + 0.28 * beats, 3.5, 10))
    figure = Figure(figsize=(width, rows * (0.75 + _SEMITONE * (high - low + 2)) + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    for row in range(rows):
        last = (row + 1) * ROW_BEATS if rows > 1 else beats
        plot_roll(
            piece, given=given, beats=(row * ROW_BEATS, last), pitches=(low, high), legend=row == 0,
            ax=figure.add_subplot(rows, 1, row + 1),
        )  # fmt: skip
    return figure


def _legend(ax: "Axes", parts: Sequence[str], given: bool) -> None:
    from matplotlib.patches import Patch

    keys = [Patch(label=plain_name(name), **_key(part)) for part, name in enumerate(parts)]
    keys += [Patch(label="given", facecolor=palette.TEST)] if given else []
    legend_above(ax, handles=keys)


def _bars(part: int, parts: int) -> dict[str, Any]:
    height = _THIN + (_THICK - _THIN) * part / max(parts - 1, 1) if parts > 1 else 0.8
    return {"height": height, "zorder": 3 - part / 100, **_key(part)}


def _key(part: int) -> dict[str, Any]:
    fill, edge = _FILLS[part % len(_FILLS)]
    hatch = _HATCHES[part // len(_FILLS) % len(_HATCHES)]
    return {"facecolor": fill, "edgecolor": edge, "linewidth": 0.6, "hatch": hatch}


def _ground(ax: "Axes", low: int, high: int) -> None:
    """Rows of black keys, as on a piano."""
    for pitch in range(low - 1, high + 2):
        if pitch % 12 in _BLACK_KEYS:
            ax.axhspan(pitch - 0.5, pitch + 0.5, facecolor=palette.VALIDATION, edgecolor="none", zorder=0.5)


def _pitch_axis(ax: "Axes", low: int, high: int) -> None:
    """Names of every C and G, or of all white keys where there are few."""
    named = (0, 7) if high - low > 14 else (0, 2, 4, 5, 7, 9, 11)
    ticks = [pitch for pitch in range(low, high + 1) if pitch % 12 in named] or [low]
    ax.set_yticks(ticks, [pitch_name(pitch) for pitch in ticks])
    ax.set_ylabel("pitch", color=palette.SOFT, fontsize=10.5)


def _time_axis(ax: "Axes", piece: Piece, first: float, last: float) -> None:
    """Lines at beats and bars; numbers, from 1, at bars, or at every fourth beat where bars are not known."""
    bars = [start / piece.steps_per_beat for start in bar_lines(piece)]
    if last - first <= 2 * ROW_BEATS:
        for beat in range(int(np.ceil(first)), int(min(last, piece.length / piece.steps_per_beat)) + 1):
            ax.axvline(beat, color=palette.GRID, linewidth=0.5, zorder=0.8)
    marks = bars or [float(beat) for beat in range(0, int(piece.length / piece.steps_per_beat) + 1, 4)]
    seen = [(number, at) for number, at in enumerate(marks) if first <= at < last]
    for _, at in seen:
        ax.axvline(at, color=palette.SOFT, linewidth=0.7, zorder=0.9)
    thinned = seen[:: max(len(seen) // 16, 1)]
    labels = [str(number + 1) if bars else f"{at + 1:g}" for number, at in thinned]
    ax.set_xticks([at for _, at in thinned], labels)
    ax.set_xlabel("bar" if bars else "beat", color=palette.SOFT, fontsize=10.5)
