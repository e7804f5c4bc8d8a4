"""How well a model wakes up to a word: in words, as plain data, and as one self-contained HTML page."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.artifact import write_file
from grus.inspection import palette, plots
from grus.inspection.render import render
from grus.inspection.svg import to_svg
from grus.inspection.wording import count, duration, figure, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from grus.data.wake_sets import WakeSet
    from grus.decode.wake import WakePoint


def wake_dict(word: str, found: "WakeSet", points: Sequence["WakePoint"]) -> dict[str, Any]:
    """All of it as plain data."""
    return {
        "word": word,
        "recordings": len(found.spoken),
        "seconds": found.spoken.seconds,
        "words": found.words,
        "words_placed": sum(map(len, found.places)),
        "curve": [asdict(point) for point in points],
    }


def wake_cells(points: Sequence["WakePoint"]) -> list[tuple[str, ...]]:
    """A header, and a row of figures for each threshold."""
    rows = [
        (
            f"{point.threshold:g}",
            percent(point.missed),
            figure(point.false_accepts_per_hour, 3),
            f"{1000 * point.latency:,.0f}" if math.isfinite(point.latency) else "-",
        )
        for point in points
    ]
    return [("threshold", "missed", "false accepts an hour", "delay (ms)"), *rows]


def wake_sentences(plain: dict[str, Any]) -> list[str]:
    """What it was measured on, and what that cannot say."""
    word, words, seconds = plain["word"], plain["words"], plain["seconds"]
    found = [
        f"{word!r} is said {count(words, 'time')} in {count(plain['recordings'], 'recording')}, {duration(seconds)}; "
        f"one false accept in all of it is {figure(3600 / seconds, 3)} an hour"
    ]
    if not words:
        found.append("nothing can be said of what is missed: give recordings with the word too")
    elif not plain["words_placed"]:
        found.append("nothing can be said of the delay: --times COLUMN says where the word is")
    return found


def plot_wake(points: Sequence["WakePoint"], axes: "Sequence[Axes] | None" = None) -> "list[Axes]":
    """Two pictures: the share missed against false accepts an hour, threshold by threshold; the delay by threshold."""
    one, other = axes or plots.new_axes(height=3.4, columns=(1.0, 1.0))
    style: dict[str, Any] = {"color": palette.MODEL, "linewidth": 2.2, "marker": "o", "markersize": 4}
    false = np.array([point.false_accepts_per_hour for point in points])
    missed = 100 * np.array([point.missed for point in points])
    one.plot(false, missed, **style)
    for place in range(0, len(points) if np.isfinite(missed).all() else 0, max(len(points) // 4, 1)):
        one.annotate(
            f"{points[place].threshold:g}", (false[place], missed[place]), xytext=(5, 5),
            textcoords="offset points", color=palette.INK, fontsize=10,
        )  # fmt: skip
    one.set(xlabel="false accepts an hour (numbers: thresholds)", ylabel="missed (%)")
    one.margins(x=0.08, y=0.12)
    delays = 1000 * np.array([point.latency for point in points])
    other.plot([point.threshold for point in points], delays, **style)
    other.set(xlabel="threshold", ylabel="median delay after the word's end (ms)", xlim=(0, 1))
    return [plots.quiet(one), plots.quiet(other)]


def write_wake_page(
    page: Path, plain: dict[str, Any], points: Sequence["WakePoint"], *, title: str, command: str
) -> Path:
    """Write the curve as a page; return its path.

    Args:
        page: where.
        plain: of `wake_dict`.
        points: of the curve.
        title: the page's headline.
        command: that made it.
    """
    header, *rows = wake_cells(points)
    told = f"{plain['word']}: share missed against false accepts an hour, and the delay by threshold"
    picture = to_svg(plots.figure_of(plot_wake(points)[0]), "wake", told)
    text = render(
        "wake.html.j2", title=title, header=header, rows=rows, sentences=wake_sentences(plain), picture=picture,
        command=command,
    )  # fmt: skip
    write_file(page, text.encode())
    return page
