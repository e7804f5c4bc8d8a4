"""Hidden sizes for equal numbers of weights: the closest there is, counted from the spec."""

import numpy as np
import pytest
from compare_cases import SumProblem

from grus.errors import UsageError
from grus.models import GraphModule
from grus.tasks.cells import CELLS
from grus.tasks.compare.sizes import count_parameters, hidden_sizes, width_for

GRAPH = SumProblem().graph


@pytest.mark.parametrize("cell", CELLS)
def test_weights_are_counted_as_torch_has_them(cell):
    module = GraphModule(GRAPH(cell, 7))
    assert count_parameters(GRAPH(cell, 7)) == sum(p.numel() for p in module.parameters())


def test_an_lstm_has_four_thirds_of_the_layer_of_a_gru():
    layer = {cell: count_parameters(GRAPH(cell, 32)) - 33 for cell in ("gru", "lstm", "rnn")}
    assert layer["gru"] / layer["lstm"] == 3 / 4
    assert layer["rnn"] / layer["gru"] == 1 / 3


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("budget", [60, 61, 500, 12_345, 70_000])
def test_no_other_width_is_closer(cell, budget):
    width = width_for(budget, lambda hidden: GRAPH(cell, hidden), cell)
    off = {w: abs(count_parameters(GRAPH(cell, w)) - budget) for w in range(max(1, width - 3), width + 4)}
    assert off[width] == min(off.values())
    assert not any(off[w] == off[width] for w in off if w < width), "the narrower of two as close"


def test_the_gru_keeps_its_own_width_and_the_others_get_its_weights():
    found = hidden_sizes(CELLS, GRAPH, equal="parameters", hidden=64, parameters=None)
    assert found["gru"] == 64
    assert found["lstm"] < 64 < found["rnn"]
    weights = np.array([count_parameters(GRAPH(cell, width)) for cell, width in found.items()])
    assert np.abs(weights / weights[0] - 1).max() < 0.03


def test_a_budget_and_equal_width():
    assert set(hidden_sizes(CELLS, GRAPH, equal="width", hidden=9, parameters=None).values()) == {9}
    found = hidden_sizes(("lstm",), GRAPH, equal="parameters", hidden=9, parameters=1000)
    assert count_parameters(GRAPH("lstm", found["lstm"])) == pytest.approx(1000, abs=60)


def test_a_budget_that_no_cell_fits_is_refused():
    with pytest.raises(
        UsageError,
        match=r"^parameters must be at least 22, those of a network with one unit of lstm, got 21$",
    ):
        hidden_sizes(("lstm",), GRAPH, equal="parameters", hidden=9, parameters=21)
