"""accelerate and decelerate: what is swapped, what is kept, what is left alone, and that it is undone exactly."""

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import grus
from grus.errors import UsageError
from numerics import assert_bitwise_equal


class Mine(nn.GRU):
    """A subclass of torch's, which may compute something else."""


class Tagger(nn.Module):
    """GRUs at several depths, one of them used twice, beside modules of other kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.GRU(3, 4, 2, dropout=0.3, bidirectional=True, batch_first=True)
        self.blocks = nn.ModuleList(
            [nn.ModuleDict({"rnn": nn.GRU(8, 8)}), nn.ModuleDict({"rnn": nn.LSTM(8, 8)})]
        )
        self.tied = self.blocks[0]["rnn"]
        self.cell = nn.GRUCell(8, 4, bias=False)
        self.mine, self.ours = Mine(3, 4), grus.nn.GRU(3, 4, reset_after=False)
        self.head = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.tied(self.encoder(x)[0])[0]
        return self.head(self.cell(x.flatten(0, 1)))


SWAPPED = ["encoder", "blocks.0.rnn", "cell"]


def make() -> Tagger:
    torch.manual_seed(0)
    return Tagger().double()


def state_of(model: nn.Module) -> dict[str, Any]:
    """Everything that a module holds, by identity where it is an object."""
    return {
        name: (
            type(m),
            {key: id(value) for key, value in vars(m).items()},
            {k: id(p) for k, p in m._parameters.items()},
        )
        for name, m in model.named_modules(remove_duplicate=False)
    }


def test_names_types_and_everything_else_of_the_modules() -> None:
    model = make()
    before, parameters = dict(model.named_modules()), dict(model.named_parameters())
    keys, optimizer = list(model.state_dict()), torch.optim.SGD(model.parameters(), 0.1)
    assert grus.accelerate(model) == SWAPPED
    assert {name for name, m in model.named_modules() if type(m) in (grus.nn.GRU, grus.nn.GRUCell)} == {
        *SWAPPED,
        "ours",
    }
    assert type(model.mine) is Mine
    assert dict(model.named_modules()) == before
    assert model.tied is model.blocks[0]["rnn"]
    assert list(model.state_dict()) == keys
    for name, p in model.named_parameters():
        assert p is parameters[name]
    assert optimizer.param_groups[0]["params"] == list(model.parameters())
    assert grus.accelerate(model) == []


def test_numbers_gradients_and_dropout_stay_the_same() -> None:
    model, x = make(), torch.randn(2, 6, 3, dtype=torch.float64)

    def run() -> list[torch.Tensor]:
        torch.manual_seed(1)
        output = model(x)
        return [
            output,
            *torch.autograd.grad(output.sum(), list(model.parameters()), allow_unused=True),
        ]

    expected = run()
    grus.accelerate(model)
    for a, b in zip(run(), expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=0, atol=1e-13)
    assert grus.decelerate(model) == SWAPPED
    for a, b in zip(run(), expected, strict=True):
        if a is not None:
            assert_bitwise_equal(a, b)


def test_undoing_restores_the_very_same_state() -> None:
    model = make()
    model.encoder.register_forward_hook(lambda *_: None)
    before = state_of(model)
    assert grus.accelerate(model) == grus.decelerate(model) == SWAPPED
    assert state_of(model) == before
    assert grus.decelerate(model) == []


def test_hooks_mode_and_attributes_are_kept() -> None:
    model, calls = make().eval(), []
    model.encoder.register_forward_hook(lambda module, *_: calls.append(type(module)))
    model.encoder.register_forward_pre_hook(lambda *_: calls.append("before"))
    model.encoder.note = "kept"
    grus.accelerate(model)
    model(torch.randn(2, 6, 3, dtype=torch.float64))
    assert calls == ["before", grus.nn.GRU]
    assert model.encoder.note == "kept"
    assert not model.encoder.training
    grus.accelerate(model.train())
    assert model.encoder.training


@pytest.mark.parametrize(
    "make_root", [lambda: nn.GRU(3, 4), lambda: nn.GRUCell(3, 4)], ids=["GRU", "GRUCell"]
)
def test_the_root_itself(make_root: Any) -> None:
    root, x = make_root(), torch.randn(5, 3)
    theirs, expected = type(root), root(x)
    assert grus.accelerate(root) == [""]
    assert type(root).__module__.startswith("grus.nn")
    torch.testing.assert_close(root(x), expected)
    assert repr(root) == repr(make_root())
    assert grus.decelerate(root) == [""]
    assert type(root) is theirs


def test_parametrized_modules_keep_their_parametrizations() -> None:
    model = nn.Sequential(nn.GRU(3, 4))
    parametrizations.weight_norm(model[0], "weight_hh_l0")
    x, keys = torch.randn(5, 2, 3), list(model.state_dict())
    expected = model[0](x)[0]
    assert grus.accelerate(model) == ["0"]
    assert isinstance(model[0], grus.nn.GRU)
    assert parametrize.is_parametrized(model[0], "weight_hh_l0")
    assert list(model.state_dict()) == keys
    output = model[0](x)[0]
    torch.testing.assert_close(output, expected)
    output.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    grus.decelerate(model)
    assert parametrize.type_before_parametrizations(model[0]) is nn.GRU
    assert_bitwise_equal(model[0](x)[0], expected)
    grus.accelerate(model)
    parametrize.remove_parametrizations(model[0], "weight_hh_l0")
    assert type(model[0]) is grus.nn.GRU
    assert grus.decelerate(model) == ["0"]
    assert type(model[0]) is nn.GRU


def test_copies_and_pickles_of_an_accelerated_model_can_be_undone() -> None:
    model, x = make().eval(), torch.randn(2, 6, 3, dtype=torch.float64)
    expected = model(x)
    grus.accelerate(model)
    for clone in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(clone(x), expected)
        assert grus.decelerate(clone) == SWAPPED
        assert_bitwise_equal(clone(x), expected)


def test_a_forward_of_its_own_is_left_alone() -> None:
    model = nn.Sequential(nn.GRU(3, 4), nn.GRU(3, 4))
    model[0].forward = lambda x: x
    assert grus.accelerate(model) == ["1"]


def test_options_switched_on_since_cannot_be_undone_and_nothing_is_changed() -> None:
    model = nn.Sequential(nn.GRU(3, 4), nn.GRU(3, 4))
    grus.accelerate(model)
    model[1].zoneout = 0.5
    with pytest.raises(
        UsageError, match=r"decelerate: 1 must have zoneout=0.0, as torch's module does, got 0.5"
    ):
        grus.decelerate(model)
    assert type(model[0]) is grus.nn.GRU


@pytest.mark.parametrize("function", [grus.accelerate, grus.decelerate])
def test_what_is_no_module_is_refused(function: Any) -> None:
    with pytest.raises(TypeError, match=rf"{function.__name__}: module must be a torch.nn.Module, got list"):
        function([nn.GRU(3, 4)])


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_device_and_dtype_are_kept(device: str) -> None:
    model = nn.Sequential(nn.GRU(3, 4, device=device, dtype=torch.float64))
    grus.accelerate(model)
    assert {(p.device.type, p.dtype) for p in model.parameters()} == {(device, torch.float64)}
    assert model[0](torch.empty(5, 2, 3, device=device, dtype=torch.float64))[0].device.type == device
