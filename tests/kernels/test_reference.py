"""The oracle against hand arithmetic, against torch.nn.GRU, and against its own definition of each option."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gru_cases import VARIANTS, Shape, make_case
from grus.errors import UsageError
from grus.kernels.layout import GRUWeights
from grus.kernels.reference import (
    Options,
    StackOptions,
    gru_direction,
    gru_stack,
    normalise,
    sigmoid,
)
from numerics import assert_bitwise_equal, assert_close_to_oracle


def scalar_step(
    x: float, h: float, w: list[float], u: list[float], b: list[float], c: list[float], after: bool
):
    """One GRU step with one unit, written with Python's own arithmetic."""

    def logistic(a: float) -> float:
        return 1 / (1 + math.exp(-a))

    r = logistic(w[0] * x + b[0] + u[0] * h + c[0])
    z = logistic(w[1] * x + b[1] + u[1] * h + c[1])
    inner = r * (u[2] * h + c[2]) if after else u[2] * (r * h) + c[2]
    return (1 - z) * math.tanh(w[2] * x + b[2] + inner) + z * h


@pytest.mark.parametrize("after", [True, False])
def test_one_unit_by_hand(after: bool) -> None:
    w, u, b, c = [0.3, -0.7, 1.1], [0.5, 0.2, -0.9], [0.1, -0.2, 0.3], [-0.4, 0.6, 0.25]
    weights = GRUWeights(np.array(w)[:, None], np.array(u)[:, None], np.array(b), np.array(c))
    h, out = 0.8, []
    for x in (0.5, -1.5, 2.0):
        h = scalar_step(x, h, w, u, b, c, after)
        out.append(h)
    x = np.array([0.5, -1.5, 2.0])[:, None, None]
    result = gru_direction(x, np.array([[0.8]]), weights, Options(reset_after=after))
    np.testing.assert_allclose(result.output[:, 0, 0], out, rtol=1e-14)
    np.testing.assert_allclose(result.h_n, [[h]], rtol=1e-14)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [None, (7, 2, 5)])
def test_agrees_with_torch_in_double(bias: bool, bidirectional: bool, lengths: tuple | None) -> None:
    shape = Shape(T=7, I=5, H=4, L=2, bias=bias, bidirectional=bidirectional, lengths=lengths)
    case = make_case(shape, seed=3)
    result, grads = case.backward()
    module = torch.nn.GRU(5, 4, 2, bias=bias, bidirectional=bidirectional, dtype=torch.float64)
    arrays = [array for weights in case.weights for _, array in weights.items()]
    with torch.no_grad():
        for parameter, array in zip(module.parameters(), arrays, strict=True):
            parameter.copy_(torch.from_numpy(array))
    x, h_0 = (torch.from_numpy(a).requires_grad_() for a in (case.x, case.h_0))
    sequence = x
    if lengths is not None:
        sequence = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
    output, h_n = module(sequence, h_0)
    if lengths is not None:
        output, _ = torch.nn.utils.rnn.pad_packed_sequence(output)
    torch.autograd.backward([output, h_n], [torch.from_numpy(case.d_output), torch.from_numpy(case.d_h_n)])
    ours = [result.output, result.h_n, grads.x, grads.h_0]
    ours += [array for weights in grads.weights for _, array in weights.items()]
    theirs = [output, h_n, x.grad, h_0.grad, *(p.grad for p in module.parameters())]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", VARIANTS, ids=str)
def test_float32_stays_float32_and_near_float64(shape: Shape) -> None:
    case = make_case(shape)
    exact, exact_grads = case.backward()
    rough, rough_grads = case.astype(np.float32).backward()
    pairs = [(exact.output, rough.output), (exact.h_n, rough.h_n), *zip(exact.gates, rough.gates)]
    pairs += [(exact_grads.x, rough_grads.x), (exact_grads.h_0, rough_grads.h_0)]
    for a, b in zip(exact_grads.weights, rough_grads.weights):
        pairs += [(array, getattr(b, name)) for name, array in a.items()]
    for a, b in pairs:
        assert (a.dtype, b.dtype) == (np.float64, np.float32)
        assert_close_to_oracle(b, a, b)
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-4)


def test_runs_in_extended_precision() -> None:
    case = make_case(Shape(layer_norm=True)).astype(np.longdouble)
    result, grads = case.backward()
    assert result.output.dtype == grads.x.dtype == np.longdouble


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_row_with_its_length_equals_the_row_alone(bidirectional: bool, seed: int) -> None:
    lengths = (3, 0, 6, 1)
    shape = Shape(T=6, B=4, L=2, bidirectional=bidirectional, lengths=lengths, resets=True)
    case = make_case(shape, seed)
    padding = np.arange(6)[:, None] >= np.array(lengths)
    x = np.where(padding[:, :, None], np.nan, case.x)
    result = gru_stack(x, case.h_0, case.weights, case.options)
    for b, length in enumerate(lengths):
        options = replace(
            case.options, lengths=None, resets=np.asarray(case.options.resets)[b : b + 1, :length]
        )
        alone = gru_stack(case.x[:length, b : b + 1], case.h_0[:, b : b + 1], case.weights, options)
        np.testing.assert_allclose(result.output[:length, b], alone.output[:, 0], rtol=0, atol=1e-14)
        np.testing.assert_allclose(result.h_n[:, b], alone.h_n[:, 0], rtol=0, atol=1e-14)
        assert (result.output[length:, b] == 0).all()
        for gate in result.gates:
            assert (gate[:, length:, b] == 0).all()
    assert_bitwise_equal(result.h_n[:, 1], case.h_0[:, 1])


def test_padding_never_reaches_a_gradient() -> None:
    case = make_case(Shape(T=6, B=3, L=2, bidirectional=True, lengths=(4, 0, 6), layer_norm=True))
    _, grads = case.backward()
    padding = (np.arange(6)[:, None] >= np.array([4, 0, 6]))[:, :, None]
    dirty = replace(
        case, x=np.where(padding, np.nan, case.x), d_output=np.where(padding, np.nan, case.d_output)
    )
    _, dirty_grads = dirty.backward()
    assert_bitwise_equal(dirty_grads.x, grads.x)
    assert (np.where(padding, grads.x, 0) == 0).all()
    assert_bitwise_equal(dirty_grads.h_0, grads.h_0)
    for a, b in zip(dirty_grads.weights, grads.weights):
        for (_, dirty_array), (_, array) in zip(a.items(), b.items()):
            assert_bitwise_equal(dirty_array, array)
    assert_bitwise_equal(grads.h_0[:, 1], case.d_h_n[:, 1])


@given(st.lists(st.booleans(), min_size=6, max_size=6), st.booleans())
@settings(derandomize=True, max_examples=25, deadline=None)
def test_resets_cut_a_sequence_into_independent_ones(cuts: list[bool], bidirectional: bool) -> None:
    """A row with resets equals its segments run apart, h_0 reaching only the outermost ones."""
    case = make_case(Shape(T=6, B=1, bidirectional=bidirectional), seed=5)
    options = replace(case.options, resets=np.array([cuts]))
    whole = gru_stack(case.x, case.h_0, case.weights, options)
    starts = sorted({0, *(t for t in range(6) if cuts[t])})
    for start, stop in zip(starts, [*starts[1:], 6]):
        h_0 = np.zeros_like(case.h_0)
        if start == 0 and not cuts[0]:
            h_0[0] = case.h_0[0]
        if stop == 6 and bidirectional:
            h_0[1] = case.h_0[1]
        part = gru_stack(case.x[start:stop], h_0, case.weights, replace(case.options, resets=None))
        np.testing.assert_allclose(whole.output[start:stop], part.output, rtol=0, atol=1e-14)


@pytest.mark.parametrize("reverse", [False, True])
def test_zoneout_mask_keeps_the_state_and_a_probability_averages(reverse: bool) -> None:
    case = make_case(Shape(T=1, B=2))
    x, h_0, weights = case.x, case.h_0[0], case.weights[0]
    free = gru_direction(x, h_0, weights).h_n
    mask = np.array([[[1.0, 0, 1], [0, 0, 1]]])
    held = gru_direction(x, h_0, weights, Options(keep=mask, reverse=reverse)).h_n
    np.testing.assert_allclose(held, np.where(mask[0] == 1, h_0, free), rtol=0, atol=1e-15)
    mean = gru_direction(x, h_0, weights, Options(keep=0.25, reverse=reverse)).h_n
    np.testing.assert_allclose(mean, 0.25 * h_0 + 0.75 * free, rtol=0, atol=1e-15)


def test_zoneout_masks_are_aligned_with_time_in_both_directions() -> None:
    """A step that keeps everything in the reverse direction passes on the state of the step after it."""
    case = make_case(Shape(T=5, B=2, lengths=(5, 3)))
    mask = np.zeros((5, 2, 3))
    mask[1] = 1
    out = gru_direction(
        case.x, case.h_0[0], case.weights[0], Options(lengths=[5, 3], keep=mask, reverse=True)
    ).output
    assert_bitwise_equal(out[1], out[2])


@pytest.mark.parametrize("reset_after", [True, False])
def test_recurrent_mask_acts_on_the_matrices_and_not_on_the_leak(reset_after: bool) -> None:
    case = make_case(Shape(T=1, B=2))
    x, h_0, weights = case.x, case.h_0[0], case.weights[0]
    mask = np.array([[2.0, 0, 2], [0, 2, 0]])
    masked = gru_direction(x, h_0, weights, Options(reset_after=reset_after, recurrent_mask=mask))
    scaled = gru_direction(x, h_0 * mask, weights, Options(reset_after=reset_after))
    for a, b in zip(masked.gates, scaled.gates):
        assert_bitwise_equal(a, b)
    (z,), (n,) = masked.gates.z, masked.gates.n
    np.testing.assert_allclose(masked.h_n, (1 - z) * n + z * h_0, rtol=0, atol=1e-15)


def test_layer_norm_groups_r_with_z_and_keeps_n_apart() -> None:
    case = make_case(Shape(T=1, B=2, layer_norm=True))
    x, h_0, w = case.x, case.h_0[0], case.weights[0]

    def terms(v: np.ndarray, suffix: str) -> np.ndarray:
        weight, bias, gain = (
            torch.from_numpy(getattr(w, f"{k}_{suffix}")) for k in ("weight", "bias", "gain")
        )
        a = torch.from_numpy(v) @ weight.T
        parts = [
            torch.nn.functional.layer_norm(a[:, s], (a[:, s].shape[1],), gain[s], bias[s], 1e-5)
            for s in (slice(0, 6), slice(6, 9))
        ]
        return torch.cat(parts, dim=1).numpy()

    a_i, a_h = terms(x[0], "ih"), terms(h_0, "hh")
    r, z = np.split(sigmoid(a_i[:, :6] + a_h[:, :6]), 2, axis=1)
    n = np.tanh(a_i[:, 6:] + r * a_h[:, 6:])
    np.testing.assert_allclose(gru_direction(x, h_0, w).h_n, (1 - z) * n + z * h_0, rtol=0, atol=1e-13)


def test_layer_norm_of_a_constant_row_is_zero() -> None:
    assert (normalise(np.full((2, 5), 3.0))[0] == 0).all()


def test_sigmoid_at_the_ends() -> None:
    with np.errstate(over="raise", invalid="raise"):
        values = sigmoid(np.float32([-200, -50, 0, 50, 200]))
    assert values.dtype == np.float32
    assert values[2] == 0.5
    assert values[4] == 1
    np.testing.assert_allclose(values[:2], np.exp([-200.0, -50.0]), rtol=1e-6, atol=1e-40)
    assert np.isnan(sigmoid(np.array(np.nan)))


def test_no_steps_and_no_rows() -> None:
    case = make_case(Shape(T=0, bidirectional=True))
    result, grads = case.backward()
    assert result.output.shape == (0, 3, 6)
    assert_bitwise_equal(result.h_n, case.h_0)
    assert_bitwise_equal(grads.h_0, case.d_h_n)
    assert all((array == 0).all() for weights in grads.weights for _, array in weights.items())
    assert make_case(Shape(B=0)).forward().output.shape == (5, 0, 3)


def test_inputs_are_not_written_to() -> None:
    case = make_case(VARIANTS[-2])
    copies = [array.copy() for array in (case.x, case.h_0, case.d_output, case.d_h_n)]
    case.backward()
    for array, copy in zip((case.x, case.h_0, case.d_output, case.d_h_n), copies):
        assert_bitwise_equal(array, copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros((5, 3, 7))}, r"x must be float64 of shape \(T, B, 4\), got float64 \(5, 3, 7\)"),
        ({"x": np.zeros((5, 3, 4), np.float32)}, "x must be float64"),
        ({"x": np.zeros((5, 4))}, "x must be float64 of shape"),
        ({"h_0": np.zeros((1, 2, 3))}, r"h_0 must be float64 of shape \(3, 3\), got float64 \(2, 3\)"),
        ({"h_0": np.zeros((2, 3, 3))}, "same number each, got 1 and 2"),
        ({"weights": ()}, "same number each, got 0 and 1"),
        ({"options": StackOptions(bidirectional=True)}, "positive multiple of 2"),
        ({"options": StackOptions(lengths=[1, 2])}, "lengths must be 3 integers in 0..5"),
        ({"options": StackOptions(lengths=[1, 2, 6])}, "lengths must be 3 integers in 0..5"),
        ({"options": StackOptions(lengths=[1, -1, 2])}, "lengths must be 3 integers in 0..5"),
        ({"options": StackOptions(resets=np.zeros((5, 3), bool))}, "resets must be bool of shape"),
        ({"options": StackOptions(resets=np.zeros((3, 5)))}, "resets must be bool of shape"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        replace(make_case(), **change).forward()
