"""Weights that a comparison starts from: orthogonal gate by gate, and gates that keep for about as long as they should."""

import numpy as np
import pytest
import torch

from grus.spec import Port, chain
from grus.tasks.cells import layers_of
from grus.tasks.compare.start import chrono_biases, orthogonal_recurrence, seeded_module

HIDDEN = 24


def module_of(cell, layers=1):
    graph = chain(Port("x", "seq", 3, "src"), [layers_of(cell, HIDDEN, layers)])
    return seeded_module(graph, 0)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("cell", "gates"), [("gru", 3), ("lstm", 4), ("rnn", 1)])
def test_every_gate_has_an_orthogonal_matrix(cell, gates, layers):
    module = module_of(cell, layers)
    before = module.tensors()
    orthogonal_recurrence(module)
    for name, values in module.tensors().items():
        if "weight_hh" not in name:
            np.testing.assert_array_equal(values, before[name])
            continue
        blocks = values.reshape(gates, HIDDEN, HIDDEN)
        for block in blocks:
            np.testing.assert_allclose(block @ block.T, np.eye(HIDDEN), atol=1e-5)
        assert len({block.tobytes() for block in blocks}) == gates


def silent(module):
    """The module without any weight but the biases of its layers."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "weight" in name:
                parameter.zero_()
    return module


@pytest.mark.parametrize("length", [50, 1000])
def test_a_gru_keeps_its_state_for_up_to_the_length(length):
    module = module_of("gru")
    chrono_biases(module, length)
    layer = silent(module).nodes["gru_0"]
    with torch.no_grad():  # no candidate either: what is left of a state of ones after a step is z
        for side in ("ih", "hh"):
            getattr(layer, f"bias_{side}_l0")[2 * HIDDEN :] = 0
        _, kept = layer((torch.zeros(1, 1, 3), torch.ones(1, HIDDEN)), None).values()
    steps = 1 / (1 - kept.numpy().ravel().astype(np.float64))  # of forgetting, 1 + u
    assert (steps > 1.99).all()
    assert (steps < length + 1).all()
    assert steps.min() < length / 4
    assert steps.max() > length / 2


def test_an_lstm_forgets_and_lets_in_by_opposite_gates():
    module = module_of("lstm", layers=2)
    before = module.tensors()
    chrono_biases(module, 200)
    for layer in ("l0", "l1"):
        total = sum(module.tensors()[f"lstm_0.bias_{side}_{layer}"] for side in ("ih", "hh"))
        lets_in, forgets = total[:HIDDEN], total[HIDDEN : 2 * HIDDEN]
        np.testing.assert_array_equal(lets_in, -forgets)
        assert 0 <= forgets.min() < forgets.max() <= np.log(199)
        old = sum(before[f"lstm_0.bias_{side}_{layer}"] for side in ("ih", "hh"))
        np.testing.assert_array_equal(total[2 * HIDDEN :], old[2 * HIDDEN :])


def test_what_has_no_gate_is_left_as_it_is():
    module = module_of("rnn")
    before = module.tensors()
    chrono_biases(module, 200)
    for name, values in module.tensors().items():
        np.testing.assert_array_equal(values, before[name])


def test_the_shortest_length_has_finite_biases():
    module = module_of("gru")
    chrono_biases(module, 1)
    assert all(np.isfinite(values).all() for values in module.tensors().values())


def test_the_start_is_part_of_what_the_seed_settles():
    graph = chain(Port("x", "seq", 3, "src"), [layers_of("gru", HIDDEN)])
    one, same, other = (seeded_module(graph, seed, orthogonal_recurrence).tensors() for seed in (0, 0, 1))
    for name, values in one.items():
        np.testing.assert_array_equal(same[name], values)
        assert not np.array_equal(other[name], values)
