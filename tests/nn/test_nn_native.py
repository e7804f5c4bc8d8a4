"""The native path of grus.nn: the ladder from the oracle down, instruction sets, odd memory, and the bitwise promise."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_nn_options import call, gradients, leaves_of, oracle_arrays
from torch.autograd import gradcheck, gradgradcheck

import grus.nn
from gru_cases import Shape, make_case
from grus.kernels import native
from grus.nn import _composite, _dispatch, _native_cache
from numerics import assert_bitwise_equal, assert_close_to_oracle


def check(shape: Shape, seed: int, dtype: Any, return_gates: bool = False) -> None:
    """Outputs, gradients and gates of a case against the oracle, with the native path and no other."""
    case = make_case(shape, seed)
    low = case.astype(dtype)
    exact = case.astype(np.longdouble if dtype == np.float64 else np.float64).backward()
    rough = low.backward()
    leaves = leaves_of(low)
    result = call(low, leaves, return_gates)
    actual = [result.output, result.h_n, *gradients(low, result, leaves)]
    pairs = zip(oracle_arrays(*exact).items(), oracle_arrays(*rough).values(), strict=True)
    for ((name, a), b), tensor in zip(pairs, actual, strict=True):
        assert_close_to_oracle(tensor, a, b, name)
    with torch.no_grad():
        for _ in range(2):  # the second call takes packed weights
            plain = call(low, leaves, False)
            assert_close_to_oracle(plain.output, exact[0].output, rough[0].output, "output without gradients")
            assert_close_to_oracle(plain.h_n, exact[0].h_n, rough[0].h_n, "h_n without gradients")
        explained = call(low, leaves, True)
    for found in (result.gates, explained.gates):
        for name, a, b, gate in zip("rzn", exact[0].gates, rough[0].gates, found or ()):
            assert_close_to_oracle(gate, a, b, name)
    assert_bitwise_equal(explained.output, plain.output)


@pytest.fixture
def only_native(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("composite path used")

    monkeypatch.setattr(_composite, "run", refuse)
    monkeypatch.setattr(_composite, "run_cell", refuse)


@given(data=st.data())
@settings(max_examples=60, derandomize=True, deadline=None)
def test_any_shape_and_options_match_the_oracle(data: st.DataObject) -> None:
    def integer(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    def either() -> bool:
        return data.draw(st.booleans())

    # Not the tiniest sizes: the bound is a maximum over the result, and over a few numbers that is luck.
    steps, batch, layers = integer(1, 6), integer(4, 12), integer(1, 2)
    shape = Shape(
        T=steps,
        B=batch,
        I=integer(5, 30),
        H=integer(12, 40),
        L=layers,
        bidirectional=either(),
        bias=either(),
        layer_norm=either(),
        reset_after=either(),
        lengths=tuple(integer(0, steps) for _ in range(batch)) if either() else None,
        resets=either(),
        recurrent_dropout=either(),
        zoneout=data.draw(st.sampled_from(["", "expectation", "mask"])),
        dropout=layers > 1 and either(),
    )
    check(shape, seed=integer(0, 5), dtype=np.float32, return_gates=either())


WHOLE = Shape(T=7, B=9, I=10, H=21, L=2, bidirectional=True, lengths=(7, 0, 3, 1, 7, 5, 2, 7, 6), resets=True)


@pytest.mark.usefixtures("only_native")
def test_double_precision_matches_the_oracle_in_long_double() -> None:
    check(Shape(T=9, B=8, I=10, H=21), 1, np.float64, return_gates=True)
    check(WHOLE, 1, np.float64)


def test_the_check_rejects_a_wrong_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = native.gru_backward

    def wrong(problem: Any, d_output: Any, d_h_n: Any, *rest: Any, **options: Any) -> None:
        honest(problem._replace(keep=1e-4), d_output, d_h_n, *rest, **options)

    monkeypatch.setattr(native, "gru_backward", wrong)
    with pytest.raises(AssertionError, match="exceeds"):
        check(Shape(T=9, B=8, I=10, H=21), 1, np.float32)


SMALL = [
    Shape(T=3, B=2, I=2, H=3),
    Shape(T=3, B=3, I=2, H=2, L=2, bidirectional=True, lengths=(3, 0, 2), resets=True, dropout=True),
    Shape(T=3, B=2, I=2, H=3, layer_norm=True, reset_after=False, zoneout="mask", recurrent_dropout=True),
]


@pytest.mark.parametrize("shape", SMALL, ids=str)
def test_first_and_second_derivatives_by_finite_differences(shape: Shape) -> None:
    case = make_case(shape)
    assert gradcheck(
        lambda *leaves: call(case, leaves, False)[:2],
        leaves_of(case),
        fast_mode=True,
        check_batched_grad=True,
    )
    assert gradgradcheck(lambda *leaves: call(case, leaves, False)[:2], leaves_of(case), fast_mode=True)


def test_a_state_made_from_the_input_is_counted_once_in_second_derivatives() -> None:
    module = grus.nn.GRU(3, 3, dtype=torch.float64)
    x = torch.randn(2, 2, 3, dtype=torch.float64, requires_grad=True)
    assert gradgradcheck(lambda x: module(x, torch.sin(x[:1]))[0], (x,), fast_mode=True)


# --- instruction sets ---------------------------------------------------------------------------------------

FORCED = """
import sys
sys.path[:0] = {paths!r}
import numpy as np, torch
from grus.kernels import native
from test_nn_native import WHOLE, Shape, check
assert native.isa() == {isa!r}
check(WHOLE, 3, np.float32, True)
check(Shape(T=5, B=6, I=9, H=33, layer_norm=True, reset_after=False, zoneout="mask"), 3, np.float32, True)
"""


@pytest.mark.parametrize("isa", native.available_isas())
def test_every_instruction_set_forced(isa: str) -> None:
    here = Path(__file__).parent
    code = FORCED.format(paths=[str(here), str(here.parent)], isa=isa)
    environment = {**os.environ, "GRUS_ISA": isa, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# --- odd memory and odd numbers -------------------------------------------------------------------------------


def module_of(seed: int = 0, **options: Any) -> grus.nn.GRU:
    torch.manual_seed(seed)
    return grus.nn.GRU(5, 18, **options)


def layouts(x: torch.Tensor) -> dict[str, torch.Tensor]:
    """The same numbers in memory of every kind."""
    wide = torch.zeros(*x.shape[:2], 2 * x.shape[2])
    wide[..., ::2] = x
    raw = bytearray(x.numel() * 4 + 1)
    odd = torch.frombuffer(raw, dtype=torch.float32, offset=1, count=x.numel()).view(x.shape)
    odd.copy_(x)
    negative = torch.complex(torch.zeros_like(x), -x).conj().imag
    assert odd.data_ptr() % 4
    assert negative.is_neg()
    return {
        "transposed": x.transpose(0, 1).contiguous().transpose(0, 1),
        "last axis strided": wide[..., ::2],
        "features first": x.permute(2, 0, 1).contiguous().permute(1, 2, 0),
        "part of a larger one": torch.cat([x, x], dim=1)[:, : x.shape[1]],
        "misaligned": odd,
        "negative bit": negative,
    }


@pytest.mark.parametrize("batch_first", [False, True])
def test_memory_layouts_change_no_bit(batch_first: bool) -> None:
    module = module_of(bidirectional=True, batch_first=batch_first)
    x, h_0 = torch.randn(7, 4, 5), torch.randn(2, 7 if batch_first else 4, 18)
    expected = module(x, h_0)
    d_x = torch.autograd.grad((expected[0] ** 2).sum(), list(module.parameters()))
    for name, given_x in layouts(x).items():
        for given_h in layouts(h_0).values():
            with torch.no_grad():
                for a, b in zip(module(given_x, given_h), expected):
                    assert_bitwise_equal(a, b, name)
        output, _ = module(given_x, h_0)
        for a, b in zip(torch.autograd.grad((output**2).sum(), list(module.parameters())), d_x):
            assert_bitwise_equal(a, b, name)


def test_expanded_inputs_and_gradients() -> None:
    module = module_of()
    x = torch.randn(1, 1, 5).expand(6, 3, 5)
    output, _ = module(x)
    assert_bitwise_equal(output, module(x.contiguous())[0])
    grads = torch.autograd.grad(output.sum(), list(module.parameters()))  # its gradient is an expanded one
    other = torch.autograd.grad(module(x)[0], list(module.parameters()), torch.ones(6, 3, 18))
    for a, b in zip(grads, other):
        assert_bitwise_equal(a, b)


def test_weights_of_any_layout() -> None:
    module, x = module_of(), torch.randn(6, 3, 5)
    expected = module(x)[0]
    module.weight_hh_l0 = torch.nn.Parameter(module.weight_hh_l0.detach().t().contiguous().t())
    module.weight_ih_l0 = torch.nn.Parameter(torch.cat([module.weight_ih_l0.detach()] * 2, dim=1)[:, :5])
    output = module(x)[0]
    assert_bitwise_equal(output, expected)
    output.sum().backward()
    with torch.no_grad():
        for _ in range(3):
            assert_bitwise_equal(module(x)[0], expected)


@pytest.mark.usefixtures("only_native")
def test_huge_and_tiny_and_infinite_numbers_are_torchs() -> None:
    """Saturated gates and denormals: what torch.nn.GRU gives, in both halves of the ladder."""
    module = module_of(dtype=torch.float64)
    theirs = torch.nn.GRU(5, 18, dtype=torch.float64)
    theirs.load_state_dict(module.state_dict())
    for scale in (1e-310, 1e-30, 1e30, 1e300, torch.inf):
        x = torch.randn(6, 3, 5, dtype=torch.float64).sign() * scale
        with torch.no_grad():
            if scale == torch.inf:  # inf - inf in a sum is NaN in both
                assert torch.equal(module(x)[0].isnan(), theirs(x)[0].isnan())
            else:
                torch.testing.assert_close(module(x)[0], theirs(x)[0], rtol=0, atol=1e-14)


@pytest.mark.usefixtures("only_native")
def test_nan_stays_in_its_row_forward_and_backward() -> None:
    module = module_of(num_layers=2, bidirectional=True)
    x = torch.randn(6, 4, 5)
    clean_x = x.clone().requires_grad_()
    clean = module(clean_x)[0]
    x[3, 2] = torch.nan
    dirty_x = x.requires_grad_()
    dirty = module(dirty_x)[0]
    rows = [0, 1, 3]
    assert dirty[:, 2].isnan().any()
    assert_bitwise_equal(dirty[:, rows], clean[:, rows])
    (a,) = torch.autograd.grad(dirty[:, rows].sum(), dirty_x, retain_graph=True)
    (b,) = torch.autograd.grad(clean[:, rows].sum(), clean_x)
    assert_bitwise_equal(a[:, rows], b[:, rows])


# --- the bitwise promise --------------------------------------------------------------------------------------

PROMISED = [
    {},
    {"num_layers": 2, "zoneout": 0.2},
    {"reset_after": False, "batch_first": True},
    {"layer_norm": True, "bias": False},
]


@pytest.mark.parametrize("fresh", [False, True], ids=["packed", "first call"])
@pytest.mark.parametrize("options", PROMISED, ids=str)
def test_a_row_alone_in_a_batch_and_in_chunks_has_the_same_bits(options: dict, fresh: bool) -> None:
    module = module_of(**options).eval()
    module.batch_first = False

    def run(x: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if fresh:
            _native_cache._entries.clear()
        return module(x, h)

    x, h_0 = torch.randn(40, 33, 5), torch.randn(module.num_layers, 33, 18)
    with torch.no_grad():
        output, h_n = run(x, h_0)
        for size in (1, 2, 3, 7, 16):
            part, h_part = run(x[:, 5 : 5 + size].contiguous(), h_0[:, 5 : 5 + size].contiguous())
            assert_bitwise_equal(part, output[:, 5 : 5 + size])
            assert_bitwise_equal(h_part, h_n[:, 5 : 5 + size])
        for chunks in ((40,), (1,) * 40, (3, 17, 20)):
            h, parts = h_0, []
            for part in x.split(chunks):
                y, h = run(part, h)
                parts.append(y)
            assert_bitwise_equal(torch.cat(parts), output)
            assert_bitwise_equal(h, h_n)


@pytest.mark.parametrize("options", [{}, {"reset_after": False}, {"layer_norm": True}], ids=str)
def test_a_cell_has_the_bits_of_the_layer(options: dict) -> None:
    torch.manual_seed(0)
    cell, layer = grus.nn.GRUCell(5, 18, **options), grus.nn.GRU(5, 18, **options)
    layer.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    x, h = torch.randn(9, 6, 5), torch.randn(6, 18)
    with torch.inference_mode():
        output, _ = layer(x, h[None])
        for t in range(9):
            h = cell(x[t], h)
            assert_bitwise_equal(h, output[t])


def test_training_gives_the_same_bits_from_run_to_run() -> None:
    module, x = module_of(num_layers=2), torch.randn(30, 20, 5)
    runs = [torch.autograd.grad(module(x)[0].sum(), list(module.parameters())) for _ in range(3)]
    for grads in runs[1:]:
        for a, b in zip(grads, runs[0]):
            assert_bitwise_equal(a, b)


def test_few_steps_with_gradients_go_to_torch_and_all_else_to_the_kernels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []
    honest = _dispatch.choose

    def spy(given_call: Any) -> Any:
        seen.append(honest(given_call))
        return seen[-1]

    monkeypatch.setattr(_dispatch, "choose", spy)
    module = grus.nn.GRU(200, 600)
    for steps in (3, 4):
        module(torch.zeros(steps, 2, 200))
    module(torch.zeros(3, 2, 200), lengths=[3, 1])
    module(torch.zeros(3, 2, 200), resets=torch.zeros(2, 3, dtype=torch.bool))
    with torch.no_grad():
        module(torch.zeros(3, 2, 200))
    assert seen == ["torch", "native", "torch", "native", "native"]
