"""What the pictures show: the numbers they were given, in groups where there are many, on the axes they were given."""

import numpy as np
import pytest

from grus.inspection import palette
from grus.inspection.inside import gate_plots
from grus.inspection.plots import figure_of, new_axes

RNG = np.random.default_rng(0)


def drawn(ax):
    """Render, so that a warning or an error of matplotlib shows."""
    figure_of(ax).canvas.draw()
    return ax


def test_groups_have_the_mean_the_sum_or_the_largest():
    values = np.arange(10.0)
    for how, wanted in (("mean", [1.5, 5.5, 8.5]), ("sum", [6, 22, 17]), ("max", [3, 7, 9])):
        found, size = gate_plots.binned(values, 3, how)
        assert found.tolist() == wanted
        assert size == 4
    assert gate_plots.binned(values, 10)[1] == 1


def test_a_heat_map_shows_the_gate_and_says_what_its_ends_mean():
    gate = RNG.random((5, 30))
    ax = drawn(gate_plots.plot_gate(gate, axis="word"))
    image = ax.images[0]
    np.testing.assert_array_equal(image.get_array(), gate)
    assert image.get_clim() == (0, 1)
    assert image.get_extent() == [0.5, 30.5, 5.5, 0.5]
    assert ax.get_xlabel() == "word"
    bar = figure_of(ax).axes[1]
    assert [t.get_text() for t in bar.get_yticklabels()] == ["0 overwrites", "1 keeps"]


def test_the_shades_of_a_gate_fall_in_lightness_all_the_way():
    ax = gate_plots.plot_gate(RNG.random((2, 3)))
    rgb = ax.images[0].get_cmap()(np.linspace(0, 1, 50))[:, :3]
    light = (rgb**2.2) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > 0).all()


def test_a_long_gate_is_drawn_in_groups_and_dates_are_dates():
    times = np.datetime64("2024-01-01", "ns") + np.arange(10_000) * np.timedelta64(3600 * 10**9, "ns")
    gate = RNG.random((4, 10_000))
    ax = drawn(gate_plots.plot_gate(gate, times=times))
    assert ax.images[0].get_array().shape[1] <= gate_plots.COLUMNS
    assert any("20" in t.get_text() or t.get_text() for t in ax.get_xticklabels())


def test_few_steps_are_named():
    ax = drawn(gate_plots.plot_gate(RNG.random((2, 3)), ticks=("a", "$b", "_c")))
    assert len(ax.get_xticklabels()) == 3


def test_every_picture_draws_on_the_axes_it_is_given():
    values = RNG.random(20)
    for draw in (
        lambda ax: gate_plots.plot_gate(RNG.random((3, 20)), ax=ax),
        lambda ax: gate_plots.plot_horizon(values, values, ax=ax),
        lambda ax: gate_plots.plot_lags({"a": values, "b": values}, unit="u", ax=ax),
        lambda ax: gate_plots.plot_attribution(values - 0.5, unit="u", ax=ax),
        lambda ax: gate_plots.plot_course({"a": values, "b": values}, unit="u", marks=[3, 7], ax=ax),
        lambda ax: gate_plots.plot_series(RNG.random((20, 2)), ("a", "b"), unit="u", marks=[3], ax=ax),
    ):
        ax = new_axes()[0]
        assert draw(ax) is ax


def test_bars_of_the_horizon_rise_and_dots_stand_over_their_own_bar():
    lives, measured = np.array([3.0, 1.0, 2.0]), np.array([30.0, 10.0, np.nan])
    ax = drawn(gate_plots.plot_horizon(lives, measured, unit="steps"))
    assert [bar.get_height() for bar in ax.patches] == [1.0, 2.0, 3.0]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [10.0, np.nan, 30.0])
    assert ax.get_ylabel() == "steps"


def test_a_unit_that_never_forgets_stands_above_all():
    ax = drawn(gate_plots.plot_horizon(np.array([np.inf, 2.0])))
    assert [bar.get_height() for bar in ax.patches] == [2.0, 4.0]


def test_attribution_up_and_down_differ_by_place_and_colour():
    ax = drawn(gate_plots.plot_attribution(np.array([1.0, -2.0]), unit="log-odds"))
    heights = [bar.get_height() for bar in ax.patches]
    assert heights == [1.0, -2.0]
    from matplotlib.colors import to_hex

    assert [to_hex(bar.get_facecolor()) for bar in ax.patches] == [palette.MODEL, palette.BASELINE]


def test_very_many_bars_are_summed_so_that_nothing_is_lost():
    values = RNG.normal(size=9_999)
    ax = drawn(gate_plots.plot_attribution(values, unit="u"))
    assert len(ax.patches) <= 240
    assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(values.sum())


def test_lags_are_logarithmic_and_nothing_is_left_out_of_the_picture():
    ax = drawn(
        gate_plots.plot_lags({"model": np.array([1.0, 0.1, 0.0]), "other": np.array([1.0, 1e-30])}, unit="u")
    )
    assert ax.get_yscale() == "log"
    assert ax.get_ylim()[0] == pytest.approx(1e-8)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [1.0, 0.1, np.nan])
    assert drawn(gate_plots.plot_lags({"nothing": np.zeros(3)}, unit="u")) is not None


def test_blocks_reach_from_edge_to_edge():
    ax = drawn(gate_plots.plot_course({"a": np.array([1.0, 2.0, 3.0])}, unit="u", blocks=True))
    assert ax.patches[0].get_data().edges.tolist() == [0.5, 1.5, 2.5, 3.5]


def test_one_step_and_one_unit_can_be_drawn():
    one = np.array([0.5])
    drawn(gate_plots.plot_gate(one[:, None]))
    drawn(gate_plots.plot_horizon(one, one))
    drawn(gate_plots.plot_lags({"a": one}, unit="u"))
    drawn(gate_plots.plot_attribution(one, unit="u"))
    drawn(gate_plots.plot_course({"a": one}, unit="u"))
    drawn(gate_plots.plot_series(one[:, None], ("a",), unit="u"))


def test_a_long_line_is_thinned_and_keeps_its_peaks():
    values = RNG.normal(size=9_997)
    values[[17, 5_000]] = [50.0, -50.0]
    values[6_000:6_020] = np.nan
    places = gate_plots.thinned(values)
    assert len(places) <= 2_000
    assert {17, 5_000} <= set(places.tolist())
    assert (np.diff(places) > 0).all()
    assert gate_plots.thinned(values[:1_500]).tolist() == list(range(1_500))
    gap = places[(places >= 6_000) & (places < 6_020)]
    assert np.isnan(values[gap]).any()
