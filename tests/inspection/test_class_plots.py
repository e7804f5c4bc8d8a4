"""Pictures of a classifier: the right artists with the right numbers and words."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from grus.inspection import palette, plots
from grus.inspection.classes.plots import plot_channels, plot_confusion, plot_reliability, shortened


def draw(ax):
    plots.figure_of(ax).canvas.draw()
    return ax


def test_confusion():
    counts = np.array([[8, 2, 0], [0, 0, 0], [1000, 0, 1]])
    ax = draw(plot_confusion(counts, ["a", "_b", "c$x$"]))
    assert [t.get_text() for t in ax.texts] == ["8", "80%", "2", "20%", "1,000", "100%", "1", "<1%"]
    assert [(t.get_position()[0], round(t.get_position()[1])) for t in ax.texts[::2]] == [(0, 0), (1, 0), (0, 2), (2, 2)]  # fmt: skip
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", " _b", r"c\$x\$"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")
    assert ax.get_ylim() == (2.5, -0.5), "the first label on top"
    colours = [to_hex(p.get_facecolor()) for p in ax.patches]
    assert colours == [palette.MODEL, palette.SOFT, palette.SOFT, palette.MODEL]
    depths = [p.get_alpha() for p in ax.patches]
    assert depths == pytest.approx(0.62 * np.sqrt([0.8, 0.2, 1000 / 1001, 1 / 1001]))


@pytest.mark.parametrize(("size", "texts"), [(2, 4), (12, 24), (13, 13), (30, 30), (31, 0)])
def test_confusion_of_many_labels(size, texts):
    ax = draw(
        plot_confusion(np.eye(size, dtype=int) * 3, [f"a rather long name of label {i}" for i in range(size)])
    )
    assert len(ax.texts) == texts
    assert len(ax.patches) == size
    assert all(t.get_rotation() == 40 for t in ax.get_xticklabels())
    width, height = plots.figure_of(ax).get_size_inches()
    assert max(width, height) < 15


def test_reliability():
    bins = np.array([[0.5, 0.4, 10], [0.9, 1.0, 30]])
    other = np.array([[0.2, 0.1, 1]])
    ax = draw(plot_reliability({"test": bins, "validation": other}, what=("confidence", "right")))
    lines = {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}
    assert list(lines) == ["test", "validation"]
    np.testing.assert_allclose(lines["test"].get_xydata(), [[50, 40], [90, 100]])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("confidence (%)", "right (%)")
    assert ax.get_xlim() == ax.get_ylim() == (2, 102)
    bars = ax.collections[0].get_segments()
    error = 100 * np.sqrt(6 / 14 * 8 / 14 / 14)
    np.testing.assert_allclose(bars[0], [[50, 40 - error], [50, 40 + error]])
    assert bars[1][1][1] == 100, "no share is above all"
    assert bars[1][0][1] < 100, "nor is one of 30 rows known for sure"


def test_channels():
    ax = draw(plot_channels(np.array([[1, 2.0], [np.nan, 3], [4, 5]])))
    assert [line.get_ydata().tolist()[2] for line in ax.lines] == [4, 5]
    assert ax.lines[0].get_xdata().tolist() == [1, 2, 3]
    assert all(float(t.get_text()).is_integer() for t in ax.get_xticklabels() if t.get_text())
    assert draw(plot_channels(np.ones((1, 1)))).lines[0].get_marker() == "o"
    draw(plot_channels(np.empty((0, 2))))
    draw(plot_channels(np.ones((5, 40))))


def test_names_that_are_too_long():
    assert shortened("a" * 22) == "a" * 22
    assert shortened("a" * 23) == "a" * 21 + "…"
