"""Torch's LSTM and RNN in a graph, where the law does not look: no steps, padding, and gradients."""

import numpy as np
import pytest
import torch

from example_graphs import GRAPHS, random_inputs
from grus.models import GraphModule

LAYERS = [
    "LSTM",
    "RNN-relu-2-layers",
    "LSTM-bidirectional-no-bias",
    "LSTM-initial-state",
    "RNN-initial-state",
]


def given(name, batch, time):
    inputs = random_inputs(GRAPHS[name], batch, {"src": time})
    return {key: torch.from_numpy(value).requires_grad_() for key, value in inputs.items()}


@pytest.mark.parametrize("name", LAYERS)
def test_a_sequence_of_no_steps_leaves_the_state(name):
    module, inputs = GraphModule(GRAPHS[name]).eval(), given(name, 3, 0)
    for value in module(inputs).values():
        assert len(value) == 3
        assert not value.detach().numpy().any()


@pytest.mark.parametrize("name", LAYERS)
def test_padding_has_no_gradient_and_is_never_read(name):
    torch.manual_seed(0)  # with some weights all units of a relu cell are off at some step
    module = GraphModule(GRAPHS[name]).eval()
    lengths = {"src": torch.tensor([6, 0, 2])}
    inputs = given(name, 3, 6)
    outputs = module(inputs, lengths)
    sum(value.square().sum() for value in outputs.values()).backward()
    gradient = inputs["x"].grad
    assert gradient is not None
    padding = np.arange(6) >= lengths["src"].numpy()[:, None]
    assert not gradient.numpy()[padding].any()
    assert gradient.numpy()[~padding].any(axis=-1).all()
    with torch.no_grad():
        inputs["x"][torch.from_numpy(padding)] = 1e6
    again = module(inputs, lengths)
    for key, value in outputs.items():
        np.testing.assert_array_equal(again[key].detach().numpy(), value.detach().numpy())


def test_dropout_between_layers_acts_in_training_only():
    module, inputs = GraphModule(GRAPHS["LSTM-2-layers-dropout"]), given("LSTM", 3, 6)
    assert not torch.equal(module(inputs)["out"], module(inputs)["out"])
    module.eval()
    assert torch.equal(module(inputs)["out"], module(inputs)["out"])


@pytest.mark.parametrize(
    ("name", "step", "layer"), [("LSTM-encoder-decoder", "d", "a"), ("RNNStep-relu-tied", "b", "a")]
)
def test_tied_steps_share_parameters(name, step, layer):
    module = GraphModule(GRAPHS[name])
    for key, parameter in module.nodes[layer].named_parameters():
        assert module.nodes[step].get_parameter(key) is parameter
