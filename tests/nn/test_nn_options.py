"""Every option of grus.nn against the NumPy oracle: outputs, gates, and all gradients; and its derivatives."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import grus.nn
from gru_cases import VARIANTS, Case, Shape, make_case
from grus.kernels.reference import StackResult
from grus.kernels.reference_backward import StackGrads
from grus.nn import functional
from grus.nn.functional import CellWeights, GRUResult, GRUSettings, Noise
from numerics import assert_bitwise_equal, assert_close_to_oracle

# With three units the worst error of one float32 run is a matter of luck: over twelve seeds 23 of 3120 arrays
# were beyond four times it, and none with eight units or sixteen.
WIDE = [replace(shape, I=6, H=8) if shape.H > 1 else shape for shape in VARIANTS]


def settings_of(case: Case) -> GRUSettings:
    options = case.options
    keep = 0.0 if np.ndim(options.keep) else float(options.keep)
    return GRUSettings(bidirectional=options.bidirectional, reset_after=options.reset_after, zoneout=keep)


def noise_of(case: Case) -> Noise | None:
    """The case's masks, or None where it has none."""
    options = case.options
    masked = isinstance(options.keep, np.ndarray)
    if options.dropout_masks is None and options.recurrent_masks is None and not masked:
        return None

    def tensor(mask: Any) -> torch.Tensor | None:
        return None if mask is None else torch.from_numpy(mask)

    keep = torch.from_numpy(options.keep == 1) if masked else float(options.keep)
    return Noise(tensor(options.dropout_masks), tensor(options.recurrent_masks), keep)


def leaves_of(case: Case) -> list[torch.Tensor]:
    """Input, state and all weights as leaves."""
    arrays = [case.x, case.h_0, *(array for cell in case.weights for _, array in cell.items())]
    return [torch.from_numpy(array).clone().requires_grad_() for array in arrays]


def call(case: Case, leaves: Any, return_gates: bool = True, **changes: Any) -> GRUResult:
    """The functional form on a case, its tensors taken from ``leaves``."""
    x, h_0, *rest = leaves
    remaining, weights = iter(rest), []
    for cell in case.weights:
        weights.append(CellWeights(**{name: next(remaining) for name, _ in cell.items()}))
    options = case.options
    return functional.gru(
        x,
        h_0,
        weights,
        settings_of(case),
        lengths=options.lengths,
        resets=None if options.resets is None else torch.from_numpy(np.asarray(options.resets)),
        noise=noise_of(case),
        return_gates=return_gates,
        **changes,
    )


def gradients(case: Case, result: GRUResult, leaves: list[torch.Tensor]) -> list[torch.Tensor]:
    arriving = [torch.from_numpy(case.d_output), torch.from_numpy(case.d_h_n)]
    assert isinstance(result.output, torch.Tensor)
    return list(torch.autograd.grad([result.output, result.h_n], leaves, arriving))


def oracle_arrays(result: StackResult, grads: StackGrads) -> dict[str, np.ndarray]:
    arrays = {"output": result.output, "h_n": result.h_n, "dx": grads.x, "dh_0": grads.h_0}
    for i, cell in enumerate(grads.weights):
        arrays |= {f"d{name}[{i}]": array for name, array in cell.items()}
    return arrays


@pytest.mark.parametrize("return_gates", [False, True], ids=["", "gates"])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("shape", WIDE, ids=str)
def test_outputs_and_gradients_match_the_oracle(shape: Shape, seed: int, return_gates: bool) -> None:
    case = make_case(shape, seed)
    low = case.astype(np.float32)
    exact, rough = case.backward(), low.backward()
    leaves = leaves_of(low)
    result = call(low, leaves, return_gates)
    actual = [result.output, result.h_n, *gradients(low, result, leaves)]
    pairs = zip(oracle_arrays(*exact).items(), oracle_arrays(*rough).values(), strict=True)
    for ((name, a), b), tensor in zip(pairs, actual, strict=True):
        assert_close_to_oracle(tensor, a, b, name)
    assert (result.gates is not None) == return_gates
    if result.gates is not None:
        for name, a, b, gate in zip("rzn", exact[0].gates, rough[0].gates, result.gates, strict=True):
            assert_close_to_oracle(gate, a, b, name)


@pytest.mark.parametrize("shape", VARIANTS, ids=str)
def test_gradients_of_outputs_states_and_gates_by_finite_differences(shape: Shape) -> None:
    case = make_case(shape)

    def function(*leaves: torch.Tensor) -> tuple[torch.Tensor, ...]:
        result = call(case, leaves)
        assert isinstance(result.output, torch.Tensor)
        assert result.gates is not None
        return result.output, result.h_n, *result.gates

    if shape.B:
        assert gradcheck(function, leaves_of(case), fast_mode=True)


SECOND = [
    Shape(T=3, B=2, I=2, H=2, bidirectional=True, lengths=(3, 1), resets=True),
    Shape(T=3, B=2, I=2, H=3, layer_norm=True, reset_after=False, zoneout="mask"),
    Shape(T=3, B=2, I=2, H=3, layer_norm=True, recurrent_dropout=True, zoneout="expectation"),
]


@pytest.mark.parametrize("shape", SECOND, ids=str)
def test_second_derivatives_by_finite_differences(shape: Shape) -> None:
    case = make_case(shape)
    assert gradgradcheck(lambda *leaves: call(case, leaves)[:2], leaves_of(case), fast_mode=True)


@pytest.mark.parametrize("shape", [VARIANTS[7], VARIANTS[10], VARIANTS[-1]], ids=str)
def test_nan_in_padding_reaches_nothing(shape: Shape) -> None:
    case = make_case(shape).astype(np.float32)
    padding = np.arange(shape.T)[:, None] >= np.array(shape.lengths)
    dirty = replace(case, x=np.where(padding[:, :, None], np.float32(np.nan), case.x))
    for return_gates in (False, True):
        clean_leaves, dirty_leaves = leaves_of(case), leaves_of(dirty)
        clean, found = call(case, clean_leaves, return_gates), call(dirty, dirty_leaves, return_gates)
        assert_bitwise_equal(found.output, clean.output)
        assert_bitwise_equal(found.h_n, clean.h_n)
        found_grads = gradients(dirty, found, dirty_leaves)
        for a, b in zip(found_grads, gradients(case, clean, clean_leaves), strict=True):
            assert_bitwise_equal(a, b)
        assert (found_grads[0][torch.from_numpy(padding)] == 0).all()
        assert isinstance(found.output, torch.Tensor)
        assert (found.output[torch.from_numpy(padding)] == 0).all()


def test_a_nan_row_leaves_the_other_rows_alone() -> None:
    for options in ({}, {"layer_norm": True, "reset_after": False}):
        torch.manual_seed(0)
        module = grus.nn.GRU(4, 3, 2, bidirectional=True, **options)
        x = torch.randn(5, 3, 4)
        clean, _ = module(x, lengths=[5, 4, 5])
        x[2, 1] = torch.nan
        dirty, _ = module(x, lengths=[5, 4, 5])
        assert_bitwise_equal(dirty[:, ::2], clean[:, ::2])
        assert dirty[:4, 1].isnan().any()


def build(shape: Shape, case: Case, **options: Any) -> grus.nn.GRU:
    """A module with the weights of a case."""
    module = grus.nn.GRU(
        shape.I,
        shape.H,
        shape.L,
        shape.bias,
        bidirectional=shape.bidirectional,
        layer_norm=shape.layer_norm,
        reset_after=shape.reset_after,
        **options,
    )
    with torch.no_grad():
        for names, cell in zip(module._all_weights, case.weights, strict=True):
            for name, (_, array) in zip(names, cell.items(), strict=True):
                getattr(module, name).copy_(torch.from_numpy(array))
    return module


MODULE_SHAPE = Shape(
    T=6, B=3, L=2, bidirectional=True, layer_norm=True, reset_after=False, lengths=(4, 0, 6), resets=True
)


def module_and_inputs(**options: Any) -> tuple[grus.nn.GRU, torch.Tensor, torch.Tensor, dict[str, Any]]:
    case = make_case(MODULE_SHAPE, seed=4)
    x, h_0 = (torch.from_numpy(a).float() for a in (case.x, case.h_0))
    given = {"lengths": [4, 0, 6], "resets": torch.from_numpy(np.asarray(case.options.resets))}
    return build(MODULE_SHAPE, case, **options), x, h_0, given


def test_the_module_computes_what_the_functional_form_does() -> None:
    case = make_case(MODULE_SHAPE, seed=4).astype(np.float32)
    module, x, h_0, given = module_and_inputs()
    output, h_n, gates = module(x, h_0, return_gates=True, **given)
    expected = call(case, leaves_of(case))
    assert expected.gates is not None
    for a, b in zip((output, h_n, *gates), (expected.output, expected.h_n, *expected.gates), strict=True):
        assert_bitwise_equal(a, b)
    assert gates._fields == ("r", "z", "n")
    assert gates.r.shape == (4, 6, 3, 3)


def test_batch_first_unbatched_and_packed_are_the_same_computation() -> None:
    module, x, h_0, given = module_and_inputs()
    output, h_n, gates = module(x, h_0, return_gates=True, **given)
    module.batch_first = True
    swapped, swapped_h, swapped_gates = module(x.transpose(0, 1), h_0, return_gates=True, **given)
    assert_bitwise_equal(swapped.transpose(0, 1), output)
    assert_bitwise_equal(swapped_h, h_n)
    for a, b in zip(swapped_gates, gates):
        assert_bitwise_equal(a.transpose(1, 2), b)
    for batch_first in (False, True):
        module.batch_first = batch_first
        for b, length in ((0, 4), (2, 6)):
            given_row = {"lengths": length, "resets": given["resets"][b]}
            alone = module(x[:, b], h_0[:, b], return_gates=True, **given_row)
            torch.testing.assert_close(alone[0], output[:, b])
            torch.testing.assert_close(alone[1], h_n[:, b])
            torch.testing.assert_close(alone[2].z, gates.z[:, :, b])


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", [(4, 1, 6), (6, 4, 1)])
def test_packed_input_equals_lengths(lengths: tuple[int, ...], batch_first: bool) -> None:
    module, x, h_0, given = module_and_inputs()
    resets = given["resets"]
    expected, expected_h, expected_gates = module(x, h_0, lengths=lengths, resets=resets, return_gates=True)
    module.batch_first = batch_first
    packed = pack_padded_sequence(x, list(lengths), enforce_sorted=False)
    output, h_n, gates = module(packed, h_0, resets=resets, return_gates=True)
    padded, found = pad_packed_sequence(output, total_length=6)
    assert tuple(found.tolist()) == lengths
    assert torch.equal(output.batch_sizes, packed.batch_sizes)
    assert_bitwise_equal(padded, expected)
    assert_bitwise_equal(h_n, expected_h)
    for a, b in zip(gates, expected_gates):
        assert_bitwise_equal(a.transpose(1, 2) if batch_first else a, b)


def test_presorted_packed_input_without_indices() -> None:
    module, x, h_0, _ = module_and_inputs()
    packed = pack_padded_sequence(x, [6, 4, 1])
    output, h_n = module(packed, h_0)
    expected, expected_h = module(x, h_0, lengths=[6, 4, 1])
    assert_bitwise_equal(pad_packed_sequence(output)[0], expected)
    assert_bitwise_equal(h_n, expected_h)
