"""Lengths, resets, gates and options at their edges, and the sentences for what cannot be."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import grus.nn
from grus.errors import UsageError
from grus.nn import _native_path, functional
from grus.nn.functional import CellWeights, GRUSettings
from numerics import assert_bitwise_equal

BOTH_PATHS = pytest.mark.parametrize("options", [{}, {"reset_after": False}], ids=["after", "before"])


@pytest.fixture(autouse=True, params=["native", "elsewhere"])
def paths(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test of this file twice: by the native kernels, and by torch's kernel and the composite path."""
    if request.param == "elsewhere":
        monkeypatch.setattr(_native_path, "can_run", lambda *_: False)


def make(seed: int = 0, **options: Any) -> grus.nn.GRU:
    torch.manual_seed(seed)
    return grus.nn.GRU(3, 4, **options)


@given(
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    layers=st.integers(1, 2),
    bidirectional=st.booleans(),
    batch_first=st.booleans(),
    reset_after=st.booleans(),
)
@settings(derandomize=True, max_examples=40, deadline=None)
def test_rows_with_lengths_equal_the_rows_alone(
    lengths: list[int], layers: int, bidirectional: bool, batch_first: bool, reset_after: bool
) -> None:
    torch.manual_seed(1)
    module = grus.nn.GRU(
        3,
        4,
        layers,
        batch_first=batch_first,
        bidirectional=bidirectional,
        reset_after=reset_after,
        dtype=torch.float64,
    )
    x = torch.randn(len(lengths), 5, 3, dtype=torch.float64)
    h_0 = torch.randn(layers * (1 + bidirectional), len(lengths), 4, dtype=torch.float64)
    for b, length in enumerate(lengths):
        x[b, length:] = torch.nan
    output, h_n = module(x if batch_first else x.transpose(0, 1), h_0, lengths=lengths)
    output = output if batch_first else output.transpose(0, 1)
    for b, length in enumerate(lengths):
        assert (output[b, length:] == 0).all()
        if length == 0:
            assert_bitwise_equal(h_n[:, b], h_0[:, b])
            continue
        alone, alone_h = module(x[b, :length], h_0[:, b])
        torch.testing.assert_close(output[b, :length], alone, rtol=0, atol=1e-13)
        torch.testing.assert_close(h_n[:, b], alone_h, rtol=0, atol=1e-13)


@given(
    cuts=st.lists(st.booleans(), min_size=6, max_size=6), layers=st.integers(1, 2), layer_norm=st.booleans()
)
@settings(derandomize=True, max_examples=25, deadline=None)
def test_resets_equal_running_the_segments_apart(cuts: list[bool], layers: int, layer_norm: bool) -> None:
    torch.manual_seed(2)
    module = grus.nn.GRU(3, 4, layers, bidirectional=True, layer_norm=layer_norm, dtype=torch.float64)
    x = torch.randn(6, 3, dtype=torch.float64)
    cuts[0] = True
    output, _ = module(x, resets=torch.tensor(cuts))
    starts = [t for t in range(6) if cuts[t]]
    parts = [module(x[a:b])[0] for a, b in zip(starts, [*starts[1:], 6])]
    torch.testing.assert_close(output, torch.cat(parts), rtol=0, atol=1e-13)


@BOTH_PATHS
def test_full_lengths_change_no_bit(options: dict) -> None:
    module = make(num_layers=2, bidirectional=True, **options)
    x = torch.randn(5, 3, 3)
    for a, b in zip(module(x, lengths=[5, 5, 5]), module(x)):
        assert_bitwise_equal(a, b)


@BOTH_PATHS
def test_rows_that_are_all_empty(options: dict) -> None:
    module = make(num_layers=2, **options)
    x = torch.full((5, 3, 3), torch.nan, requires_grad=True)
    h_0 = torch.randn(2, 3, 4, requires_grad=True)
    output, h_n = module(x, h_0, lengths=[0, 0, 0])
    assert (output == 0).all()
    assert_bitwise_equal(h_n, h_0)
    (output.sum() + h_n.sum()).backward()
    assert x.grad is not None
    assert (x.grad == 0).all()
    assert all(p.grad is not None and (p.grad == 0).all() for p in module.parameters())


@BOTH_PATHS
def test_no_rows_and_one_step(options: dict) -> None:
    module = make(bidirectional=True, **options)
    output, h_n = module(torch.zeros(5, 0, 3))
    assert output.shape == (5, 0, 8)
    assert h_n.shape == (2, 0, 4)
    assert module(torch.zeros(5, 0, 3), lengths=[])[0].shape == (5, 0, 8)
    assert module(torch.zeros(5, 0, 3), resets=torch.zeros(0, 5, dtype=torch.bool))[0].shape == (5, 0, 8)
    output, h_n, gates = module(torch.randn(1, 2, 3), return_gates=True)
    assert_bitwise_equal(output, torch.cat(list(h_n), dim=1)[None])
    assert gates.z.shape == (2, 1, 2, 4)


@pytest.mark.parametrize(
    "lengths",
    [
        [5, 0, 2],
        (5, 0, 2),
        torch.tensor([5, 0, 2]),
        torch.tensor([5, 0, 2], dtype=torch.int32),
        np.array([5, 0, 2]),
    ],
    ids=lambda value: type(value).__name__,
)
@BOTH_PATHS
def test_lengths_come_in_every_usual_form(options: dict, lengths: Any) -> None:
    module = make(**options)
    x = torch.randn(5, 3, 3)
    assert_bitwise_equal(module(x, lengths=lengths)[0], module(x, lengths=[5, 0, 2])[0])


@pytest.mark.parametrize(
    ("lengths", "sentence"),
    [
        ([5, 6, 1], r"GRU: lengths\[1\] must be in 0..5 \(the input's time steps\), got 6"),
        ([5, -1, 1], r"GRU: lengths\[1\] must be in 0..5 \(the input's time steps\), got -1"),
        ([5, 1], "GRU: lengths must have one integer for each of 3 rows, got 2"),
        (4, "GRU: lengths must have one integer for each of 3 rows, got 1"),
        ([5, 1.0, 1], r"GRU: lengths\[1\] must be an integer, got 1.0"),
        (torch.tensor([5.0, 1, 1]), r"GRU: lengths\[0\] must be an integer, got 5.0"),
        ([True, 1, 1], r"GRU: lengths\[0\] must be an integer, got True"),
        (torch.tensor([[5], [1], [1]]), r"GRU: lengths\[0\] must be an integer, got \[5\]"),
        ("abc", "GRU: lengths must have one integer for each of 3 rows, got 1"),
    ],
)
@BOTH_PATHS
def test_impossible_lengths_are_refused(options: dict, lengths: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        make(**options)(torch.zeros(5, 3, 3), lengths=lengths)


def test_unbatched_lengths() -> None:
    module, x = make(), torch.randn(5, 3)
    for length in (3, torch.tensor(3), [3]):
        output, h_n = module(x, lengths=length)
        assert output.shape == (5, 4)
        assert_bitwise_equal(output[:3], module(x[:3])[0])
        assert_bitwise_equal(h_n, output[2:3])
    output, h_n = module(x, torch.ones(1, 4), lengths=0)
    assert (output == 0).all()
    assert (h_n == 1).all()


def test_lengths_of_a_packed_input_are_its_own() -> None:
    packed = torch.nn.utils.rnn.pack_sequence([torch.zeros(2, 3)])
    with pytest.raises(UsageError, match="GRU: lengths must be None for a packed input"):
        make()(packed, lengths=[2])


@pytest.mark.parametrize(
    ("resets", "sentence"),
    [
        (
            torch.zeros(5, 3, dtype=torch.bool),
            r"must be bool of shape \(B=3, T=5\), got torch.bool of shape \(5, 3\)",
        ),
        (torch.zeros(3, 5), r"must be bool of shape \(B=3, T=5\), got torch.float32 of shape \(3, 5\)"),
        (torch.zeros(3, 5, dtype=torch.uint8), "got torch.uint8"),
        (torch.zeros(5, dtype=torch.bool), r"got torch.bool of shape \(5,\)"),
        ("no", "resets must be a bool tensor, got 'no'"),
    ],
)
@pytest.mark.parametrize("batch_first", [False, True])
def test_impossible_resets_are_refused(resets: Any, sentence: str, batch_first: bool) -> None:
    x = torch.zeros(3, 5, 3) if batch_first else torch.zeros(5, 3, 3)
    with pytest.raises(UsageError, match=sentence):
        make(batch_first=batch_first)(x, resets=resets)
    with pytest.raises(UsageError, match=r"resets must be bool of shape \(T=5\)"):
        make(batch_first=batch_first)(torch.zeros(5, 3), resets=torch.zeros(1, 5, dtype=torch.bool))


def test_a_reset_at_the_first_step_drops_the_initial_state() -> None:
    module, x = make(), torch.randn(5, 2, 3)
    resets = np.zeros((2, 5), bool)
    resets[1, 0] = True
    output, _ = module(x, torch.ones(1, 2, 4), resets=resets)
    torch.testing.assert_close(output[:, 1], module(x[:, 1])[0])
    torch.testing.assert_close(output[:, 0], module(x[:, 0], torch.ones(1, 4))[0])


def test_resets_stop_gradients() -> None:
    module, x = make(), torch.randn(5, 1, 3, requires_grad=True)
    output, _ = module(x, resets=[[False, False, True, False, False]])
    (gradient,) = torch.autograd.grad(output[4].sum(), x)
    assert (gradient[:2] == 0).all()
    assert (gradient[2:] != 0).any(dim=2).all()


def test_gates_explain_the_output() -> None:
    module, x = make(num_layers=2, bidirectional=True), torch.randn(5, 2, 3)
    h_0 = torch.randn(4, 2, 4)
    output, h_n, gates = module(x, h_0, return_gates=True)
    h = h_0[2]
    for t in range(5):
        h = (1 - gates.z[2, t]) * gates.n[2, t] + gates.z[2, t] * h
        torch.testing.assert_close(output[t, :, :4], h)
    torch.testing.assert_close(h_n[2], h)
    plain, plain_h = module(x, h_0)
    torch.testing.assert_close(output, plain)
    torch.testing.assert_close(h_n, plain_h)


@pytest.mark.parametrize("option", ["recurrent_dropout", "zoneout"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), True, "a", torch.tensor(0.5), 1j])
def test_impossible_probabilities_are_refused(option: str, value: Any) -> None:
    with pytest.raises(UsageError, match=rf"GRU: {option} must be a number in \[0, 1\], got"):
        grus.nn.GRU(3, 4, **{option: value})


@pytest.mark.parametrize("make_module", [grus.nn.GRU, grus.nn.GRUCell])
@pytest.mark.parametrize("option", ["reset_after", "layer_norm"])
def test_impossible_flags_are_refused(make_module: Callable[..., Any], option: str) -> None:
    with pytest.raises(TypeError, match=rf"{make_module.__name__}: {option} must be True or False, got 1"):
        make_module(3, 4, **{option: 1})


def test_layer_norm_adds_gains_named_like_the_weights() -> None:
    module = make(num_layers=2, bidirectional=True, layer_norm=True)
    plain = make(num_layers=2, bidirectional=True)
    added = [name for name in module.state_dict() if name not in plain.state_dict()]
    assert added == [
        f"gain_{kind}_l{layer}{suffix}"
        for layer in (0, 1)
        for suffix in ("", "_reverse")
        for kind in ("ih", "hh")
    ]
    for name, parameter in plain.named_parameters():
        assert_bitwise_equal(module.get_parameter(name), parameter)
    for name in added:
        assert (module.get_parameter(name) == torch.ones(12)).all()
    assert [len(weights) for weights in module.all_weights] == [6] * 4
    with torch.no_grad():
        module.gain_hh_l1.fill_(7)
    module.reset_parameters()
    assert (module.gain_hh_l1 == 1).all()
    with pytest.raises(RuntimeError, match="Unexpected key"):
        plain.load_state_dict(module.state_dict())


def test_repr_names_what_differs() -> None:
    module = make(
        num_layers=2, dropout=0.5, reset_after=False, layer_norm=True, recurrent_dropout=0.1, zoneout=0.2
    )
    assert repr(module) == (
        "GRU(3, 4, num_layers=2, dropout=0.5, reset_after=False, layer_norm=True, recurrent_dropout=0.1, zoneout=0.2)"
    )
    assert repr(grus.nn.GRUCell(3, 4, reset_after=False)) == "GRUCell(3, 4, reset_after=False)"


def random_cell(hidden: int = 4, inputs: int = 3) -> CellWeights:
    return CellWeights(torch.randn(3 * hidden, inputs), torch.randn(3 * hidden, hidden))


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ([], "gru: weights must be a positive multiple of 2 sets, got 0"),
        ([random_cell()], "gru: weights must be a positive multiple of 2 sets, got 1"),
        (
            [random_cell(), random_cell(inputs=5)],
            r"gru: weights\[1\].weight_ih must have shape \(12, 3\), got \(12, 5\)",
        ),
        ([random_cell()] * 4, r"gru: weights\[2\].weight_ih must have shape \(12, 8\), got \(12, 3\)"),
        (
            [random_cell(), random_cell(5)],
            r"gru: weights\[1\].weight_ih must have shape \(12, 3\), got \(15, 3\)",
        ),
        (
            [random_cell()._replace(bias_ih=torch.zeros(4)), random_cell()],
            r"weights\[0\].bias_ih must have shape \(12,\), got \(4,\)",
        ),
        (
            [random_cell()._replace(gain_ih=torch.ones(12)), random_cell()],
            "gain_ih and gain_hh must both be given",
        ),
    ],
)
def test_weights_that_are_no_stack_are_refused(weights: list[CellWeights], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        functional.gru(torch.zeros(5, 2, 3), None, weights, GRUSettings(bidirectional=True))


def test_one_bias_of_two_is_a_zero_bias() -> None:
    cell, zero, x = random_cell(), torch.zeros(12), torch.randn(5, 2, 3)
    bias = torch.randn(12)
    for one, both in [
        (cell._replace(bias_ih=bias), cell._replace(bias_ih=bias, bias_hh=zero)),
        (cell._replace(bias_hh=bias), cell._replace(bias_ih=zero, bias_hh=bias)),
    ]:
        torch.testing.assert_close(
            functional.gru(x, None, [one]).output, functional.gru(x, None, [both]).output
        )
