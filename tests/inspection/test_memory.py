"""Half-lives of gates that are known, and what a changed input leaves behind, against a plain run of the oracle."""

import numpy as np
import pytest
import torch
from gate_records import constant_gate

from grus.errors import UsageError
from grus.inspection import record
from grus.inspection.inside.memory import half_life, measured_horizon, moved, units, written
from grus.nn import GRU

Z = np.array([0.5, 0.9, 0.99, 0.05])


def test_half_life_of_a_constant_gate():
    found = constant_gate(Z)
    np.testing.assert_allclose(half_life(found)[0, 0], np.log(0.5) / np.log(Z), rtol=1e-9)
    np.testing.assert_allclose(half_life(found)[0, 0, 0], 1.0)


def test_half_life_is_of_the_geometric_mean_and_counts_zoneout():
    found = constant_gate(np.array([0.5]))
    mixed = found.z.copy()
    mixed[..., ::2, :] = 0.9
    changed = type(found)(**{**vars(found), "z": mixed})
    np.testing.assert_allclose(half_life(changed), np.log(0.5) / np.log(np.sqrt(0.45)), rtol=1e-6)
    kept = type(found)(**{**vars(found), "cells": (found.cells[0]._replace(keep=0.5),)})
    np.testing.assert_allclose(half_life(kept), np.log(0.5) / np.log(0.75), rtol=1e-9)


def test_half_life_at_the_ends_of_a_gate():
    found = constant_gate(np.array([0.5, 0.5]))
    z = found.z.copy()
    z[..., 0], z[..., 1] = 0.0, 1.0
    np.testing.assert_array_equal(half_life(type(found)(**{**vars(found), "z": z}))[0, 0], [0.0, np.inf])


def test_measured_horizon_of_a_constant_gate_is_that_of_its_powers():
    found = measured_horizon(constant_gate(Z, steps=400))
    for unit, z in enumerate(Z):
        left = found.change[0, 0, :50, unit] / found.change[0, 0, 0, unit]
        np.testing.assert_allclose(left, z ** np.arange(50), rtol=1e-6, atol=1e-12)
    # z^k >= 0.5 for the last time at floor(half-life)
    np.testing.assert_array_equal(found.steps[0, 0], [1, 6, 68, 0])
    assert not found.open.any()


def test_a_longer_memory_than_the_row_is_said_to_be_open():
    found = measured_horizon(constant_gate(np.array([0.999]), steps=40))
    assert found.open.all()
    assert found.steps[0, 0, 0] == found.change.shape[2] - 1


def test_a_smaller_share_reaches_further():
    found = constant_gate(Z, steps=400)
    assert (measured_horizon(found, share=0.05).steps > measured_horizon(found).steps).all()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_change_is_that_of_running_the_layer_again(bidirectional):
    torch.manual_seed(0)
    gru = GRU(3, 5, 2, bidirectional=bidirectional, batch_first=True, dtype=torch.float64)
    x = torch.randn(1, 12, 3, dtype=torch.float64)
    found = record(gru, x)
    horizon = measured_horizon(found, changes=1)
    for layer in range(2):
        given = torch.from_numpy(found.input_of(layer).copy())
        place = -1 if bidirectional else 0
        given[0, place] = given[0].mean(dim=0)
        alone = GRU(given.shape[2], 5, bidirectional=bidirectional, batch_first=True, dtype=torch.float64)
        names = {k: v for k, v in gru.state_dict().items() if f"_l{layer}" in k}
        alone.load_state_dict({k.replace(f"_l{layer}", "_l0"): v for k, v in names.items()})
        with torch.no_grad():
            y = alone(given)[0].numpy()[0]
        if bidirectional:  # backwards the first input is the last
            wanted = np.abs(y[::-1, 5:] - found.h[layer, 1, 0, ::-1])
            np.testing.assert_allclose(horizon.change[layer, 1], wanted, atol=1e-12)
        else:
            np.testing.assert_allclose(horizon.change[layer, 0], np.abs(y - found.h[layer, 0, 0]), atol=1e-12)


def test_resets_stop_what_is_remembered():
    torch.manual_seed(0)
    gru = GRU(3, 5, bidirectional=True, batch_first=True, dtype=torch.float64)
    resets = torch.zeros(1, 20, dtype=torch.bool)
    resets[0, 6] = True
    found = measured_horizon(
        record(gru, torch.randn(1, 20, 3, dtype=torch.float64), resets=resets), changes=1
    )
    assert (found.change[0, 0, :6] > 0).all()
    assert (found.change[0, 0, 6:] == 0).all()
    assert (found.change[0, 1, :14] > 0).all()
    assert (found.change[0, 1, 14:] == 0).all()


def test_a_constant_input_changes_nothing():
    gru = torch.nn.GRU(2, 3, batch_first=True)
    found = measured_horizon(record(gru, torch.ones(1, 10, 2)))
    assert np.isnan(found.steps).all()
    assert not found.open.any()


def test_saturated_and_dead_units():
    found = units(constant_gate(np.array([0.95, 0.05, 0.5])))
    np.testing.assert_array_equal(found.keep_high[0, 0], [1, 0, 0])
    np.testing.assert_array_equal(found.keep_low[0, 0], [0, 1, 0])
    np.testing.assert_allclose(found.keep[0, 0], [0.95, 0.05, 0.5])
    np.testing.assert_allclose(found.reset, 0.5)
    assert not found.dead.any()
    gru = torch.nn.GRU(2, 3)
    with torch.no_grad():
        for weight in gru.parameters():
            weight[[2, 5, 8]] = 0
    assert units(record(gru, torch.randn(30, 2, 2))).dead[0, 0].tolist() == [False, False, True]


def test_written_and_moved_are_read_off_gates_and_states():
    torch.manual_seed(0)
    found = record(GRU(3, 5, bidirectional=True), torch.randn(9, 2, 3), lengths=[9, 4])
    assert written(found)[0, 0, 1, 4:].tolist() == [0] * 5
    np.testing.assert_allclose(written(found)[0, 1, 0], (1 - found.z[0, 1, 0]).mean(axis=-1), rtol=1e-6)
    step = moved(found)
    assert (step[:, :, 1, 4:] == 0).all()
    # forwards from zero, and backwards from zero at each row's own end
    np.testing.assert_allclose(step[0, 0, 1, 0], np.abs(found.h[0, 0, 1, 0]).mean(), rtol=1e-6)
    np.testing.assert_allclose(step[0, 1, 1, 3], np.abs(found.h[0, 1, 1, 3]).mean(), rtol=1e-6)
    n, z = found.n[0, 0, 0, 5], found.z[0, 0, 0, 5]
    change = ((1 - z) * np.abs(n - found.h[0, 0, 0, 4])).mean()
    np.testing.assert_allclose(step[0, 0, 0, 5], change, rtol=1e-5)


def test_what_cannot_be_measured_says_so():
    found = constant_gate(Z, steps=5)
    for options in ({"share": 0.0}, {"share": 1.5}, {"changes": 0}):
        with pytest.raises(UsageError, match="measured_horizon: share must be"):
            measured_horizon(found, **options)
    empty = record(GRU(3, 5), torch.randn(4, 2, 3), lengths=[0, 0])
    for ask in (units, measured_horizon):
        with pytest.raises(UsageError, match="must have at least one step, got none"):
            ask(empty)
