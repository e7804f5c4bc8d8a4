"""Parts that add up to the answer, gradients by lag against autograd, and networks opened at their embeddings."""

import numpy as np
import pytest
import torch

from example_classifiers import classifier
from grus.errors import UsageError
from grus.inspection.inside.attribution import (
    fresh_layers,
    gradient_by_lag,
    integrated_gradients,
    last_state_gradients,
    open_inputs,
    open_network,
)
from grus.models import GraphModule
from grus.nn import GRU


def test_the_parts_of_a_polynomial_are_exact():
    x, b = torch.tensor([[1.0, 2.0], [3.0, -1.0]]), torch.tensor([[0.5, 0.0], [0.0, 1.0]])
    found = integrated_gradients(
        lambda x: x[:, 0, 0] ** 3 + x[:, 0, 1] * x[:, 1, 0] + 2 * x[:, 1, 1], [x], [b]
    )
    # x1 x2 along a straight line: half of what the product gains each, as both begin at zero
    np.testing.assert_allclose(found.values[0], [[1 - 0.125, 3.0], [3.0, -4.0]], atol=1e-6)
    assert found.answer == pytest.approx(1 + 6 - 2)
    assert found.start == pytest.approx(0.125 + 0 + 2)
    assert abs(found.gap) < 1e-6


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_the_parts_of_a_gru_add_up_also_where_it_is_steep(scale):
    torch.manual_seed(0)
    gru = GRU(3, 16, batch_first=True, bidirectional=True).requires_grad_(False)
    gru.weight_hh_l0.mul_(scale**0.5)
    x = scale * torch.randn(40, 3)
    found = integrated_gradients(lambda x: gru(x)[0].amax(dim=1).sum(dim=1), [x])
    assert abs(found.gap) <= 0.02 * abs(found.answer - found.start)
    assert found.values[0].sum() == pytest.approx(found.answer - found.start + found.gap)


def test_few_points_are_said_to_miss_and_more_miss_less():
    def steep(x):
        return torch.tanh(200 * (x[:, 0, 0] - 0.303))

    x = torch.ones(1, 1)
    few, many = (integrated_gradients(steep, [x], most=most) for most in (4, 512))
    assert abs(few.gap) > 0.1
    assert abs(many.gap) < 0.02


def test_several_inputs_and_one_that_plays_no_part():
    x, y, z = torch.ones(2, 1), torch.full((2, 1), 2.0), torch.ones(2, 1)
    found = integrated_gradients(lambda x, y, z: (x[..., 0] + y[..., 0]).sum(dim=1), [x, y, z])
    assert [v.sum() for v in found.values] == pytest.approx([2.0, 4.0, 0.0])


def test_baselines_of_another_shape_and_too_few_points_are_refused():
    for options in ({"baselines": [torch.ones(3, 1)]}, {"most": 3}):
        with pytest.raises(UsageError, match="integrated_gradients: baselines must be like inputs"):
            integrated_gradients(lambda x: x.sum(dim=(1, 2)), [torch.ones(2, 1)], **options)


def test_gradient_by_lag_counts_from_each_rows_own_end():
    weight = torch.tensor([1.0, 2.0, 4.0, 8.0])[None, :, None]
    x = torch.zeros(2, 4, 3)
    whole = gradient_by_lag(lambda x: (weight * x).sum(dim=(1, 2)), x)
    np.testing.assert_allclose(whole, np.sqrt(3) * np.array([8, 4, 2, 1]))
    ragged = gradient_by_lag(lambda x: (weight * x)[:, :, 0].sum(dim=1), x, [4, 2])
    np.testing.assert_allclose(ragged, np.sqrt([(64 + 4) / 2, (16 + 1) / 2, 4, 1]))


def test_a_simple_rnn_forgets_faster_than_a_gru_that_keeps():
    torch.manual_seed(0)
    gru = GRU(3, 8, batch_first=True)
    with torch.no_grad():
        gru.bias_ih_l0[8:16] = 5.0  # z near 1
    runs = {"keeps": lambda x: gru(x)[0], **fresh_layers(3, 8)}
    found = last_state_gradients(runs, torch.randn(1, 60, 3))
    assert list(found) == ["keeps", "GRU, untrained", "LSTM, untrained", "simple RNN, untrained"]
    left = {name: values[-1] / values[0] for name, values in found.items()}
    assert left["keeps"] > 0.1
    assert left["simple RNN, untrained"] < 1e-6


def test_fresh_layers_leave_the_generator_alone():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    fresh_layers(2, 4)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_opened_network_gives_the_same_answer():
    model, tensors = classifier("word")
    graph = model.parts["main"]
    weights = {k.removeprefix("main."): v for k, v in tensors.items() if k.startswith("main.")}
    tokens = np.array([[1, 4, 2], [0, 3, 3]])
    module = GraphModule(graph)
    module.load_tensors(weights)
    opened = open_network(graph, weights)
    assert [port.kind for port in opened.graph.inputs] == ["seq"]
    inputs = open_inputs(graph, weights, {"tokens": tokens})
    wanted = module.eval()({"tokens": torch.from_numpy(tokens)})["logits"]
    torch.testing.assert_close(opened(inputs)["logits"], wanted.detach(), rtol=0, atol=0)
