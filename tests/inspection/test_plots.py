"""Pictures: the right artists with the right numbers, labels and units; no global state."""

import subprocess
import sys
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from grus.inspection import palette, plots
from grus.inspection.svg import to_svg


def axes():
    figure = Figure()
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def lines(ax):
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def draw(ax):
    """What is wrong with an artist often shows only now."""
    plots.figure_of(ax).canvas.draw()
    return ax


DAYS = np.datetime64("2024-02-27", "ns") + np.arange(6) * np.timedelta64(86_400 * 10**9, "ns")


def test_parts():
    low, middle, high = np.array([1, np.nan, 3, 4, 5, 6.0]), np.arange(6.0), np.arange(6.0) + 1
    ax = plots.plot_parts(DAYS, low, middle, high, parts={"test": (DAYS[4], DAYS[5])}, unit="MWh", ax=axes())
    assert ax.get_ylabel() == "MWh"
    shade = [p for p in ax.patches if p.get_label() == "test"]
    assert len(shade) == 1
    assert matplotlib.colors.to_hex(shade[0].get_facecolor()) == palette.TEST
    draw(ax)


def test_learning():
    epochs = np.array([1, 2, 3])
    curves = {"validation": np.array([3.0, 1.0, 2.0]), "training": np.array([3.0, 2.0, 1.0])}
    ax = plots.plot_learning(epochs, curves, best=(2, "validation"), unit="loss")
    assert lines(ax)["validation"].get_color() == palette.MODEL
    assert lines(ax)["training"].get_color() == palette.BASELINE
    assert [t.get_text() for t in ax.texts] == ["best: 1"]
    assert ax.texts[0].xy == (2, 1.0)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")
    draw(plots.plot_learning(np.array([1]), {"training": np.array([np.nan])}, unit="loss"))


def test_by_step():
    scores = {
        "GRU": np.array([1.0, 2.0]),
        "repeat last": np.array([2.0, 4.0]),
        "naive": np.array([3.0, np.nan]),
    }
    ax = draw(plots.plot_by_step(scores, unit="MAE (MWh)", step="hours ahead", ax=axes()))
    assert list(lines(ax)) == ["GRU", "repeat last", "naive"]
    assert lines(ax)["repeat last"].get_ydata().tolist() == [2, 4]
    assert lines(ax)["repeat last"].get_linestyle() == "--", "grey lines differ by their dashes"
    assert lines(ax)["repeat last"]._unscaled_dash_pattern != lines(ax)["naive"]._unscaled_dash_pattern
    assert ax.get_ylim()[0] == 0
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("hours ahead", "MAE (MWh)")


def test_coverage():
    ax = draw(plots.plot_coverage({"test": {80: 0.7, 95: 0.9}, "validation": {80: 0.8}}))
    assert lines(ax)["test"].get_ydata() == pytest.approx([70, 90])
    assert ax.get_xlim() == ax.get_ylim(), "the diagonal is where promise and measure agree"
    assert ax.get_xlim()[0] < 70


def test_coverage_by_step():
    ax = draw(
        plots.plot_coverage_by_step(
            {80: np.array([0.5, np.nan]), 95: np.array([1.0, 0.9])}, step="days ahead"
        )
    )
    assert list(lines(ax)) == ["80% interval", "95% interval"]
    assert ax.get_xlabel() == "days ahead"
    assert ax.get_ylim()[0] < 50


def test_forecast():
    truth, forecast = np.array([1, 2, 3, 4, 5, np.nan]), np.array([4.5, 5.5])
    lower, upper = {80: forecast - 1, 95: forecast - 2}, {80: forecast + 1, 95: forecast + 2}
    ax = plots.plot_forecast(
        DAYS, truth, forecast, unit="MWh", lower=lower, upper=upper, baseline=("naive", np.array([3.0, 3.0])), name="GRU",
        ax=axes(),
    )  # fmt: skip
    draw(ax)
    assert lines(ax)["GRU"].get_color() == palette.MODEL
    assert lines(ax)["truth"].get_color() == palette.TRUTH
    assert lines(ax)["naive"].get_color() == palette.BASELINE
    assert len(lines(ax)["truth"].get_xdata()) == 6
    assert len(lines(ax)["GRU"].get_xdata()) == 2
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["GRU", "truth", "naive", "80% interval", "95% interval"]
    assert [t.get_text() for t in ax.get_xticklabels()][:4] == ["27 Feb", "28 Feb", "29 Feb", "Mar"]
    assert plots.plot_forecast(DAYS, truth, forecast, unit="", legend=False).get_legend() is None


def test_one_step_is_a_dot_not_nothing():
    ax = draw(plots.plot_forecast(np.arange(3), np.arange(3.0), np.array([2.0]), unit="y"))
    assert lines(ax)["model"].get_marker() == "o"
    ax = draw(plots.plot_by_step({"GRU": np.array([1.0])}, unit="MAE", step="steps"))
    assert lines(ax)["GRU"].get_marker() == "o"


def test_names_are_not_read_as_mathematics():
    name, unit = "_GRU_{$x$", "cost_$ in \\frac $"
    scores = {name: np.array([1.0, 2.0]), "$naive$": np.array([2.0, 1.0])}
    ax = draw(plots.plot_by_step(scores, unit=unit, step="steps"))
    text = to_svg(plots.figure_of(ax), "a", "x")
    words = {
        "".join(t.itertext()).strip() for t in ElementTree.fromstring(text).iter() if t.tag.endswith("text")
    }
    assert {name, unit, "$naive$"} <= words
    draw(plots.plot_against(np.ones(3), np.ones(3), unit=unit, names=(name, name)))
    draw(
        plots.plot_forecast(
            DAYS, np.arange(6.0), np.ones(2), unit=unit, name=name, baseline=(name, np.ones(2))
        )
    )


def test_against():
    near, far = np.array([1.0, np.nan, 2.0]), np.array([2.0, 1.0, 3.0])
    ax = draw(plots.plot_against(near, far, unit="MAE (y)", names=("GRU", "naive")))
    dots = ax.lines[-1]
    assert (dots.get_xdata().tolist(), dots.get_ydata().tolist()) == ([2, 3], [1, 2])
    assert (ax.get_xscale(), ax.get_xlabel(), ax.get_ylabel()) == ("linear", "naive: MAE (y)", "GRU: MAE (y)")
    wide = draw(plots.plot_against(near * [1, 1, 500], far, unit="MAE", names=("a", "b")))
    assert (wide.get_xscale(), wide.get_yscale()) == ("log", "log")
    assert "$" not in "".join(t.get_text() for t in wide.get_xticklabels()), "plain numbers, not powers"
    draw(plots.plot_against(np.array([np.nan]), np.array([np.nan]), unit="MAE", names=("a", "b")))
    draw(plots.plot_against(np.zeros(3), np.ones(3), unit="MAE", names=("a", "b")))


def test_new_axes_stand_side_by_side():
    left, right = plots.new_axes(6, 2, columns=(1, 2))
    assert plots.figure_of(left) is plots.figure_of(right)
    assert plots.figure_of(left).get_size_inches().tolist() == [6, 2]


def test_no_global_state_and_no_pyplot():
    before = dict(matplotlib.rcParams)
    draw(plots.plot_by_step({"GRU": np.array([1.0, 2.0])}, unit="MAE", step="steps"))
    assert dict(matplotlib.rcParams) == before
    source = (
        "import sys, numpy as np\n"
        "from grus.inspection import plots\n"
        "assert 'matplotlib' not in sys.modules, 'matplotlib loads when something is drawn'\n"
        "plots.plot_by_step({'GRU': np.ones(3)}, unit='MAE', step='steps')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
