"""GRUCell and gru_cell with their options, against one step of a whole GRU."""

from typing import Any

import pytest
import torch

import grus.nn
from grus.errors import UsageError
from grus.nn import functional
from grus.nn.functional import CellWeights, Noise
from numerics import assert_bitwise_equal

OPTIONS = [
    {"reset_after": after, "layer_norm": norm, "zoneout": zoneout, "bias": bias}
    for after in (True, False)
    for norm in (False, True)
    for zoneout in (0.0, 0.3)
    for bias in (True, False)
]


def twins(**options: Any) -> tuple[grus.nn.GRUCell, grus.nn.GRU]:
    """A cell and a one-layer GRU with the same weights, in double precision."""
    torch.manual_seed(0)
    cell = grus.nn.GRUCell(3, 4, dtype=torch.float64, **options)
    gru = grus.nn.GRU(3, 4, dtype=torch.float64, **options)
    gru.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    return cell.eval(), gru.eval()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_stepping_a_cell_is_running_a_gru(options: dict) -> None:
    cell, gru = twins(**options)
    x, h_0 = torch.randn(5, 2, 3, dtype=torch.float64), torch.randn(1, 2, 4, dtype=torch.float64)
    resets = torch.rand(2, 5) < 0.3
    output, _, gates = gru(x, h_0, resets=resets, return_gates=True)
    h = h_0[0]
    for t in range(5):
        h, step = cell(x[t], h, resets=resets[:, t], return_gates=True)
        torch.testing.assert_close(h, output[t], rtol=0, atol=1e-14)
        for a, b in zip(step, gates):
            torch.testing.assert_close(a, b[0, t], rtol=0, atol=1e-14)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_unbatched_and_default_state(options: dict) -> None:
    cell, _ = twins(**options)
    x, h = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    torch.testing.assert_close(cell(x[0], h[0]), cell(x, h)[0], rtol=0, atol=1e-15)
    torch.testing.assert_close(cell(x), cell(x, torch.zeros_like(h)), rtol=0, atol=0)
    alone, gates = cell(x[1], h[1], resets=torch.tensor(True), return_gates=True)
    assert gates.r.shape == alone.shape == (4,)
    torch.testing.assert_close(alone, cell(x[1]), rtol=0, atol=1e-15)


@pytest.mark.parametrize("reset_after", [True, False])
def test_masks_act_as_in_the_gru(reset_after: bool) -> None:
    cell, gru = twins(reset_after=reset_after)
    x, h_0 = torch.randn(1, 2, 3, dtype=torch.float64), torch.randn(1, 2, 4, dtype=torch.float64)
    mask = (torch.rand(1, 2, 4) < 0.5) * 2.0
    keep = torch.rand(1, 1, 2, 4) < 0.5
    weights = CellWeights(*gru._flat_weights)
    settings = functional.GRUSettings(reset_after=reset_after)
    whole = functional.gru(x, h_0, [weights], settings, noise=Noise(None, mask.double(), keep))
    step, _ = functional.gru_cell(
        x[0], h_0[0], weights, reset_after=reset_after, zoneout=keep[0, 0], recurrent_mask=mask[0].double()
    )
    assert_bitwise_equal(step, whole.h_n[0])
    assert (step[keep[0, 0]] == h_0[0][keep[0, 0]]).all()
    by_module = cell(x[0], h_0[0], recurrent_mask=mask[0].double())
    torch.testing.assert_close(torch.where(keep[0, 0], h_0[0], by_module), step, rtol=0, atol=1e-15)


def test_zoneout_keeps_units_in_training_and_averages_in_evaluation() -> None:
    torch.manual_seed(0)
    cell = grus.nn.GRUCell(3, 2000, zoneout=0.25)
    x, h = torch.randn(1, 3), torch.randn(1, 2000)
    kept = (cell.train()(x, h) == h).float().mean().item()
    assert abs(kept - 0.25) < 5 * (0.25 * 0.75 / 2000) ** 0.5
    new = functional.gru_cell(x, h, CellWeights(cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh))[
        0
    ]
    torch.testing.assert_close(cell.eval()(x, h), 0.25 * h + 0.75 * new)


@pytest.mark.parametrize("options", OPTIONS[::3], ids=str)
def test_first_and_second_derivatives(options: dict) -> None:
    cell, _ = twins(**options)
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    h = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    inputs = (x, h, *cell.parameters())
    names = [name for name, _ in cell.named_parameters()]

    def function(x: torch.Tensor, h: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(cell, dict(zip(names, parameters)), (x, h))

    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


def test_layer_norm_cell_has_gains_and_the_plain_cell_has_torchs_names() -> None:
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    assert list(grus.nn.GRUCell(3, 4).state_dict()) == names
    assert list(grus.nn.GRUCell(3, 4, layer_norm=True).state_dict()) == [*names, "gain_ih", "gain_hh"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"resets": torch.zeros(3, dtype=torch.bool)}, r"GRUCell: resets must be bool of shape \(B=2\), got"),
        ({"resets": torch.zeros(2)}, "GRUCell: resets must be bool of shape"),
        (
            {"recurrent_mask": torch.ones(2, 3)},
            r"GRUCell: recurrent_mask must be a tensor of shape \(2, 4\), got",
        ),
    ],
)
def test_what_does_not_fit_is_refused(given: dict, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        grus.nn.GRUCell(3, 4)(torch.zeros(2, 3), **given)


def test_functional_refuses_wrong_masks_and_weights() -> None:
    weights = CellWeights(torch.zeros(12, 3), torch.zeros(12, 4))
    with pytest.raises(
        UsageError, match=r"gru_cell: zoneout must be torch.bool of shape \(2, 4\), got torch.float32"
    ):
        functional.gru_cell(torch.zeros(2, 3), None, weights, zoneout=torch.zeros(2, 4))
    with pytest.raises(
        UsageError, match=r"gru_cell: weights.weight_ih must have shape \(12, 3\), got \(9, 3\)"
    ):
        functional.gru_cell(torch.zeros(2, 3), None, weights._replace(weight_ih=torch.zeros(9, 3)))
