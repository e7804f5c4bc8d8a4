"""Draws kernels.png from a run: how many times as long as Grus the others take, at every shape.

grus bench --shapes all --json > run.json && python docs/images/kernels.py run.json
"""

import sys
from pathlib import Path

from grus.benchmark import LABELS, Measurement, read_report
from grus.benchmark.tables import groups, rivals
from grus.inspection import palette
from grus.inspection.plots import figure_of, new_axes

TITLES = {"forward": "forward", "training": "training step", "step": "single step"}
#: who -> marker and fill; grey, told apart by form
MARKS = {
    "torch_gru": ("o", palette.INK),
    "torch_lstm": ("o", palette.PAPER),
    "jax": ("s", palette.BASELINE),
    "onnxruntime": ("D", palette.BASELINE),
    "openvino": ("^", palette.BASELINE),
}
TICKS = (0.5, 1, 2, 4, 8, 16, 32, 64)


def draw(ax, results: list[Measurement]) -> None:
    """One dot a competitor and shape on a logarithmic axis; Grus is the line at 1."""
    places = range(len(results))
    for name in [n for n in rivals(results) if n in MARKS]:
        marker, fill = MARKS[name]
        points = [(r.speedup(name), place) for r, place in zip(results, places) if name in r.times]
        ax.plot(
            *zip(*points), linestyle="none", marker=marker, markersize=6.5, markerfacecolor=fill,
            markeredgecolor=palette.SOFT if fill == palette.BASELINE else palette.INK, label=LABELS[name],
        )  # fmt: skip
    ax.axvline(1, color=palette.MODEL, linewidth=2.2, label="Grus")
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ax.set_xticks([t for t in TICKS if low <= t <= high], [f"{t:g}x" for t in TICKS if low <= t <= high])
    ax.set_xticks([], minor=True)
    ax.set_yticks(list(places), [f"{r.size.B} {r.size.T} {r.size.I} {r.size.H}" for r in results])
    ax.invert_yaxis()
    ax.set_title(TITLES[results[0].kind], loc="left", fontsize=11, color=palette.INK)
    ax.set_xlabel("time over that of Grus", color=palette.SOFT, fontsize=10.5)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(palette.GRID)
    ax.grid(color=palette.GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(colors=palette.SOFT, labelsize=10, length=0)


def main() -> None:
    """Draw the runs with most threads side by side: forward, training step, single step."""
    report = read_report(Path(sys.argv[1]))
    found = groups(report)
    threads = max(count for _, count in found)
    panels = [results for (_, count), results in found.items() if count == threads]
    tallest = max(map(len, panels))
    axes = new_axes(4.2 * len(panels), 1.6 + 0.28 * tallest, [1.0] * len(panels))
    for ax, results in zip(axes, panels):
        draw(ax, results)
    axes[0].set_ylabel("B T I H", color=palette.SOFT, fontsize=10.5)
    figure = figure_of(axes[0])
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles[-1:] + handles[:-1], labels[-1:] + labels[:-1], loc="outside upper left", ncols=6, frameon=False,
        fontsize=10, labelcolor=palette.INK,
    )  # fmt: skip
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()
