"""Pictures of a search: a dot a trial with the right place, depth and words, also where there is little to draw."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from grus.inspection import palette, plots
from grus.inspection.tuning.plots import plot_rate_test, plot_surface

NAN = np.nan


def draw(ax):
    """What is wrong with an artist often shows only now."""
    plots.figure_of(ax).canvas.draw()
    return ax


def surface(rates, sizes, loss, pruned=None, **more):
    cut = np.zeros(len(rates), bool) if pruned is None else np.array(pruned, bool)
    return draw(plot_surface(np.array(rates), np.array(sizes), np.array(loss), cut, unit="windows", **more))


def dots(ax):
    """Place and opacity of every trial, by kind."""
    found = {}
    for marks in ax.collections:
        crosses = len(marks.get_paths()[0].vertices) == 4
        kind = "diverged" if crosses else {120: "finished", 36: "pruned"}.get(marks.get_sizes()[0])
        if kind and len(marks.get_offsets()):
            found[kind] = (marks.get_offsets().tolist(), marks.get_alpha())
    return found


def ticks(ax):
    """What can be read along the bottom."""
    low, high = ax.get_xlim()
    return [t.get_text() for t in ax.get_xticklabels() if low <= t.get_position()[0] <= high]


def names(ax):
    legend = ax.get_legend()
    return [text.get_text() for text in legend.get_texts()]


def strip(ax):
    """Ticks of the axes that say what the colours mean; none if there are none."""
    others = [other for other in plots.figure_of(ax).axes if other is not ax]
    return [text.get_text() for other in others for text in other.get_yticklabels()]


def test_a_dot_for_each_trial():
    ax = surface(
        [1e-3, 5e-3, 1e-2, 2e-3, 1e-4], [64, 16, 64, 64, 1024], [0.8, 1.0, NAN, 0.6, 0.9], [0, 1, 0, 0, 0]
    )
    found = dots(ax)
    assert found["finished"][0] == [[1e-3, 64], [2e-3, 64], [1e-4, 1024]]
    assert found["finished"][1] == pytest.approx([0.61, 1.0, 0.415])
    assert found["pruned"][0] == [[5e-3, 16]]
    assert found["pruned"][1] == pytest.approx([0.22])
    assert found["diverged"][0] == [[1e-2, 64]]
    assert names(ax) == ["finished", "pruned", "diverged"]
    assert [t.get_text() for t in ax.texts] == ["best: 0.6000"]
    assert ax.texts[0].xy == (2e-3, 64)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("learning rate", "batch size (windows)")
    assert [t.get_text() for t in ax.get_yticklabels()] == ["16", "64", "1,024"]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    low, high = ax.get_xlim()
    assert low < 1e-4 < 1e-2 < high
    assert strip(ax) == ["0.600", "0.733", "0.867", "1.00"]


def test_every_colour_is_of_the_palette():
    ax = surface([1e-3, 5e-3, 1e-2], [64, 16, 64], [0.8, 1.0, NAN], [False, True, False])
    for marks in ax.collections:
        for colour in (*marks.get_facecolors(), *marks.get_edgecolors()):
            assert to_hex(colour) in {palette.MODEL, palette.INK, palette.SOFT}
    legend = ax.get_legend()
    assert all(mark.get_alpha() is None for mark in legend.legend_handles), "there a mark stands for a kind"


def test_losses_more_than_twice_the_best_are_all_the_palest():
    ax = surface([1e-3, 2e-3, 3e-3], [64, 64, 64], [1.0, 2.5, 1e9])
    assert dots(ax)["finished"][1] == pytest.approx([1, 0.22, 0.22])
    assert strip(ax)[-1] == "≥ 2.00"


@pytest.mark.parametrize(("loss", "depths"), [([0, 1, 2], [1, 0.61, 0.22]), ([-4, -1, -2], [1, 0.22, 0.48])])
def test_losses_that_are_zero_or_negative(loss, depths):
    ax = surface([1e-3, 2e-3, 3e-3], [64, 64, 64], loss)
    assert dots(ax)["finished"][1] == pytest.approx(depths, abs=1e-3)
    assert not any("≥" in text for text in strip(ax))


def test_one_trial():
    ax = surface([1e-3], [64], [0.5])
    assert dots(ax)["finished"][1] == pytest.approx([1.0])
    assert strip(ax) == [], "there is nothing to tell apart"
    assert names(ax) == ["finished"]
    assert ticks(ax) == ["0.001"]


def test_equal_losses_and_equal_sizes():
    ax = surface([1e-3, 2e-3], [64, 64], [0.5, 0.5])
    assert dots(ax)["finished"][1] == pytest.approx([1.0, 1.0])
    assert strip(ax) == []
    assert ax.texts[0].xy == (1e-3, 64), "the earlier of equals"
    assert [t.get_text() for t in ax.get_yticklabels()] == ["64"]


def test_a_pruned_trial_is_never_the_best():
    ax = surface([1e-3, 2e-3], [64, 64], [0.5, 0.4], [False, True])
    assert ax.texts[0].xy == (1e-3, 64)


@pytest.mark.parametrize(
    ("rates", "read"),
    [
        ([1e-4, 1e-2], ["0.0001", "0.001", "0.01"]),
        ([1e-3, 4e-3], ["0.001", "0.002", "0.005"]),
        ([0.0031, 0.0033], ["0.002", "0.005"]),
    ],
)
def test_ticks_of_rates_are_few_and_readable(rates, read):
    ax = surface(rates, [64, 64], [1, 2])
    assert ticks(ax) == read
    assert not [t for t in ax.get_xticklabels(minor=True) if t.get_text()]


def test_ticks_of_rates_of_any_size():
    assert 2 <= len(ticks(surface([1e-8, 0.5], [64, 64], [1, 2]))) <= 10


def test_on_axes_that_are_given():
    figure = Figure()
    FigureCanvasAgg(figure)
    mine = figure.add_subplot()
    assert surface([1e-3, 2e-3], [64, 32], [1, 2], ax=mine) is mine
    assert figure.axes == [mine], "no strip is put into a figure of somebody else's"


# -- the range test ------------------------------------------------------------------------------------

RATES = 10 ** np.linspace(-6, -1, 51)


def test_rate_test():
    losses = 1 - 0.3 * np.exp(-((np.log10(RATES) + 2) ** 2))
    losses[-1] = np.inf
    ax = draw(plot_rate_test(RATES, losses, 1e-3, unit="loss (scaled values)"))
    curve, line = ax.lines
    np.testing.assert_array_equal(curve.get_xydata(), np.stack((RATES, losses), 1)[:-1])
    assert line.get_xdata() == [1e-3, 1e-3]
    assert [t.get_text() for t in ax.texts] == ["chosen: 0.001"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("learning rate", "loss (scaled values)")
    assert ax.get_xscale() == "log"


def test_how_it_diverged_does_not_press_the_rest_flat():
    losses = np.append(np.linspace(1, 0.5, 50), 4000)
    low, high = draw(plot_rate_test(RATES, losses, 1e-3, unit="loss")).get_ylim()
    assert low < 0.5
    assert 1 < high < 1.5


@pytest.mark.parametrize(("chosen", "side"), [(1e-7, "left"), (1e-5, "left"), (1e-2, "right")])
def test_the_name_of_the_rate_stands_inside(chosen, side):
    ax = draw(plot_rate_test(RATES, np.linspace(1, 0.5, 51), chosen, unit="loss"))
    assert ax.texts[0].get_ha() == side
    box, inside = ax.texts[0].get_window_extent(), ax.get_window_extent()
    assert inside.x0 <= box.x0
    assert box.x1 <= inside.x1


def test_a_single_step_and_a_flat_loss():
    draw(plot_rate_test(RATES[:1], np.array([1.0]), 1e-7, unit="loss"))
    draw(plot_rate_test(RATES, np.zeros(51), 1e-7, unit="loss"))
