"""The random options: what training draws, that evaluation draws nothing, and that modules pass them on."""

from typing import Any

import pytest
import torch

import grus.nn
from grus.nn import _composite, functional
from grus.nn.functional import CellWeights, GRUSettings, Noise
from numerics import assert_bitwise_equal

RANDOM = {"recurrent_dropout": 0.2, "zoneout": 0.1}


def drawn(settings: GRUSettings, cells: int = 4) -> Noise:
    torch.manual_seed(0)
    return functional.draw_noise(settings, cells, 50, 40, torch.zeros(cells, 40, 30))


def test_masks_have_the_shapes_values_and_rates_they_promise() -> None:
    noise = drawn(GRUSettings(bidirectional=True, training=True, dropout=0.5, **RANDOM))
    assert noise.dropout is not None
    assert noise.recurrent is not None
    assert isinstance(noise.zoneout, torch.Tensor)
    assert noise.dropout.shape == (1, 50, 40, 60)
    assert set(noise.dropout.unique().tolist()) == {0.0, 2.0}
    assert noise.recurrent.shape == (4, 40, 30)
    assert set(noise.recurrent.unique().tolist()) == {0.0, 1.25}
    assert noise.zoneout.shape == (4, 50, 40, 30)
    assert noise.zoneout.dtype == torch.bool
    rates = [(noise.dropout == 0, 0.5), (noise.recurrent == 0, 0.2), (noise.zoneout, 0.1)]
    for zeroed, p in rates:  # five standard deviations of a binomial
        assert abs(zeroed.float().mean().item() - p) < 5 * (p * (1 - p) / zeroed.numel()) ** 0.5


@pytest.mark.parametrize("training", [False, True])
def test_what_is_off_is_not_drawn(training: bool) -> None:
    noise = drawn(GRUSettings(training=training, dropout=0.0 if training else 0.5))
    assert (noise.dropout, noise.recurrent, noise.zoneout) == (None, None, 0.0)
    assert drawn(GRUSettings(dropout=0.5, **RANDOM)).zoneout == 0.1
    assert drawn(GRUSettings(training=True, dropout=0.5), cells=1).dropout is None


def test_evaluation_leaves_the_generator_alone_and_training_does_not() -> None:
    modules = [
        grus.nn.GRU(4, 3, 2, dropout=0.5, reset_after=False, **RANDOM),
        grus.nn.GRUCell(4, 3, zoneout=0.5),
    ]
    for module, x in zip(modules, (torch.zeros(5, 2, 4), torch.zeros(2, 4))):
        before = torch.random.get_rng_state()
        module.eval()(x)
        assert torch.equal(before, torch.random.get_rng_state())
        module.train()(x)
        assert not torch.equal(before, torch.random.get_rng_state())


def test_given_noise_is_what_the_same_seed_would_draw() -> None:
    torch.manual_seed(0)
    weights = [CellWeights(torch.randn(9, n), torch.randn(9, 3)) for n in (4, 3)]
    x, settings = torch.randn(5, 2, 4), GRUSettings(training=True, dropout=0.5, **RANDOM)
    torch.manual_seed(1)
    drawn_inside = functional.gru(x, None, weights, settings)
    torch.manual_seed(1)
    noise = functional.draw_noise(settings, 2, 5, 2, torch.zeros(2, 2, 3))
    given = functional.gru(x, None, weights, settings, noise=noise)
    assert_bitwise_equal(given.output, drawn_inside.output)
    other = functional.gru(x, None, weights, settings)
    assert not torch.equal(torch.as_tensor(other.h_n), torch.as_tensor(given.h_n))


@pytest.mark.parametrize("training", [True, False])
def test_the_module_passes_on_all_its_settings(training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[GRUSettings] = []
    original = _composite.draw_noise

    def spy(settings: GRUSettings, *args: Any) -> Noise:
        seen.append(settings)
        return original(settings, *args)

    monkeypatch.setattr(_composite, "draw_noise", spy)
    module = grus.nn.GRU(4, 3, 2, True, True, 0.3, True, reset_after=False, **RANDOM).train(training)
    module(torch.zeros(5, 2, 4))
    assert seen == [GRUSettings(True, True, training, 0.3, False, 0.2, 0.1)]


def test_zoneout_in_evaluation_is_the_expectation_of_training() -> None:
    """One step, where the state is linear in the mask: the mean over many masks is the evaluation's value."""
    torch.manual_seed(0)
    module = grus.nn.GRU(4, 3, zoneout=0.3)
    x, h_0 = torch.randn(1, 1, 4), torch.randn(1, 1, 3)
    mean = module(x.expand(1, 20000, 4), h_0.expand(1, 20000, 3).contiguous())[1].mean(dim=1)
    torch.testing.assert_close(mean, module.eval()(x, h_0)[1][0], rtol=0, atol=0.03)


def test_recurrent_dropout_masks_are_kept_over_time() -> None:
    """With weights that copy h_{t-1} into n, a dropped unit stays invisible at every step."""
    hidden = 40
    module = grus.nn.GRU(1, hidden, bias=False, recurrent_dropout=0.5)
    with torch.no_grad():
        module.weight_ih_l0.zero_()
        module.weight_hh_l0.zero_()
        module.weight_hh_l0[2 * hidden :] = torch.eye(hidden)
    torch.manual_seed(0)
    _, _, gates = module(torch.zeros(6, 2, 1), torch.ones(1, 2, hidden), return_gates=True)
    visible = gates.n[0] != 0
    assert (visible == visible[0]).all()
    assert 0 < visible[0, 0].sum() < hidden
    assert not torch.equal(visible[0, 0], visible[0, 1])


def test_a_probability_of_one_is_finite() -> None:
    module = grus.nn.GRU(4, 3, recurrent_dropout=1.0, zoneout=1.0)
    h_0 = torch.randn(1, 2, 3)
    output, h_n = module(torch.randn(5, 2, 4), h_0)
    assert_bitwise_equal(h_n, h_0)
    assert torch.isfinite(output).all()
