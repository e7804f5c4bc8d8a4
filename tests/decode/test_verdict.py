"""What is picked, and why."""

import math

import numpy as np
import pytest

from comparing_cases import a_cell, a_point
from grus.decode.comparing.records import CellResult, Cost, Run
from grus.decode.comparing.verdict import judge

LEVEL = 0.95


def test_of_cells_that_are_alike_the_cheapest_to_train_is_taken():
    found = judge(a_point(a_cell("gru", 1.0), a_cell("lstm", 1.0)), LEVEL)
    assert found.pick.cell == "gru"
    assert [result.cell for result in found.alike] == ["gru", "lstm"]
    assert not found.differences["lstm"].is_clear
    assert found.floor is None


def test_a_clearly_better_cell_is_taken_whatever_it_costs():
    found = judge(a_point(a_cell("gru", 1.5), a_cell("lstm", 1.0), a_cell("rnn", 3.0)), LEVEL)
    assert (found.pick.cell, found.best.cell) == ("lstm", "lstm")
    assert all(difference.is_clear and difference.value > 0 for difference in found.differences.values())


def test_a_large_difference_that_is_lost_in_noise_is_not_taken_for_none():
    noisy = a_point(a_cell("gru", 1.3, spread=0.5), a_cell("lstm", 1.0, spread=0.5))
    means = {result.cell: result.mean for result in noisy.cells}
    assert means["gru"] > 1.05 * means["lstm"], "the case is as it is meant"
    found = judge(noisy, LEVEL)
    assert found.pick.cell == "lstm"
    assert [result.cell for result in found.alike] == ["lstm"]
    assert not found.differences["gru"].is_clear


def test_with_times_alike_the_fewest_weights_decide():
    cells = a_cell("gru", 1.0, seconds=1.0), a_cell("lstm", 1.0, seconds=0.97)
    assert judge(a_point(*cells), LEVEL).pick.cell == "gru"
    cells = a_cell("gru", 1.0, seconds=1.0), a_cell("lstm", 1.0, seconds=0.85)
    assert judge(a_point(*cells), LEVEL).pick.cell == "lstm"
    cells = a_cell("gru", 1.01, seconds=1.0), a_cell("lstm", 1.0, seconds=1.02, parameters=7600)
    assert judge(a_point(*cells), LEVEL).pick.cell == min(cells, key=lambda cell: cell.mean).cell, (
        "as many weights"
    )


def test_a_floor_that_beats_the_pick_is_told():
    cells = a_cell("gru", 1.0), a_cell("lstm", 1.0)
    assert judge(a_point(*cells, floors={"a": 2.0, "b": 0.5}), LEVEL).floor == ("b", 0.5)
    assert judge(a_point(*cells, floors={"a": 2.0, "b": math.nan}), LEVEL).floor is None
    assert judge(a_point(*cells, floors={}), LEVEL).floor is None


def test_cells_that_diverged_stand_aside():
    lost = a_cell("lstm", 1.0, state="diverged")
    assert judge(a_point(a_cell("gru", 1.0), lost), LEVEL).differences == {}
    assert judge(a_point(lost), LEVEL) is None


def pure_noise(rng, runs=3, units=40):
    """Four cells that differ in nothing but chance, with one cost."""
    hard, cells = rng.normal(0, 1, units), []
    for cell in ("gru", "lstm", "rnn", "mingru"):
        losses = 5 + hard + rng.normal(0, 0.3, units) + rng.normal(0, 0.1, (runs, 1))
        losses = losses + rng.normal(0, 0.2, (runs, units))
        cost = Cost(cell, 8, 100, 1, 1.0, 1.0, 1.0, 1.0, 1.0, 1, True, 1)
        made = [
            Run(cell, 8, 1e-3, seed, 1.0, None, losses=row.tolist(), weights=[1.0] * units, validation=[1.0])
            for seed, row in enumerate(losses)
        ]
        cells.append(CellResult(cell, 8, made[:1], made, cost))
    return a_point(*cells)


def test_choosing_among_many_does_not_make_noise_a_difference():
    rng, trials = np.random.default_rng(0), 100
    bold = 0
    for _ in range(trials):
        found = judge(pure_noise(rng), LEVEL)
        bold += any(difference.is_clear for difference in found.differences.values())
    assert bold / trials <= 1 - LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / trials)


def test_no_cell_that_is_clearly_worse_than_the_best_beats_the_pick():
    """A cheap noisy cell 4% above the best must not be taken where another is clearly worse by only 2%."""
    cells = (
        a_cell("lstm", 1.0, spread=1e-4),
        a_cell("gru", 1.02, spread=1e-4),
        a_cell("rnn", 1.04, spread=0.08),
    )
    found = judge(a_point(*cells), LEVEL)
    assert found.differences["gru"].is_clear
    assert found.pick.mean <= cells[1].mean
    assert found.pick.cell == "lstm"


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_are_judged_too(seeds):
    found = judge(a_point(a_cell("gru", 1.0, seeds=seeds), a_cell("lstm", 2.0, seeds=seeds)), LEVEL)
    assert found.pick.cell == "gru"
    assert math.isnan(found.pick.spread) == (seeds == 1)
