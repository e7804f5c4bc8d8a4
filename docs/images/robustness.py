"""Draws robustness.png from the runs of benchmarks/robustness.py: accuracy as values go missing, and as noise is added.

scripts/bench robustness --table robust.jsonl && python docs/images/robustness.py robust.jsonl
"""

import json
import sys
from pathlib import Path

import numpy as np

from grus.inspection import palette
from grus.inspection.plots import figure_of, new_axes

#: form -> what it is called, colour, marker; grey ones are told apart by form
FORMS = {
    "decay": ("decay (GRU-D)", palette.MODEL, "o"),
    "indicators": ("indicators", palette.INK, "D"),
    "default": ("no form named", palette.INK, "s"),
    "forward": ("forward", palette.SOFT, "^"),
    "mean": ("mean", palette.SOFT, "v"),
}


def draw(ax, results: list[dict], key: str, unit: str, scale: float) -> None:
    """One line a form: the mean over seeds, and a band from the least to the greatest."""
    for form, (name, colour, marker) in FORMS.items():
        own = [r[key] for r in results if r["form"] == form]
        if not own:
            continue
        at = np.array([float(level) for level in own[0]]) * scale
        values = 100 * np.array([list(one.values()) for one in own])
        dashed = "--" if form == "default" else "-"
        ax.plot(
            at, values.mean(0), dashed, marker=marker, markersize=4.5, color=colour, label=name, linewidth=1.6,
            zorder=3 if form == "decay" else 2,
        )  # fmt: skip
        ax.fill_between(at, values.min(0), values.max(0), color=colour, alpha=0.12, edgecolor="none")
    ax.set_xlabel(unit, color=palette.SOFT, fontsize=10.5)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["bottom", "left"]].set_color(palette.GRID)
    ax.grid(color=palette.GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(colors=palette.SOFT, labelsize=10, length=0)


def main() -> None:
    """Draw both panels with one legend above."""
    results = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    left, right = new_axes(9.6, 3.9, [1.0, 1.0])
    draw(left, results, "dropped", "values dropped at random in the test rows (%)", 100)
    draw(right, results, "noise", "noise added (standard deviations of the channel)", 1)
    left.axvline(30, color=palette.GRID, linewidth=1.6, zorder=1)
    left.annotate(
        "in training", (30, 0.02), xycoords=("data", "axes fraction"), xytext=(4, 0), textcoords="offset points",
        color=palette.SOFT, fontsize=9,
    )  # fmt: skip
    left.set_ylabel("test accuracy (%)", color=palette.SOFT, fontsize=10.5)
    figure = figure_of(left)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper left", ncols=5, frameon=False, fontsize=10, labelcolor=palette.INK
    )
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()
