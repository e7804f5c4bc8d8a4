"""Weights stored as whole numbers of 8 bits: NumPy's exact sums to the bit, the same on every instruction set."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from narrow_weights import any_case, check_rows, inputs

from gru_cases import Case, Shape, make_case
from grus.errors import UsageError
from grus.kernels import native
from grus.kernels.layout import GRUWeights
from grus.kernels.native import PackedGRU, PackedLinear, Problem
from numerics import assert_bitwise_equal
from rounding import int8_product, to_int8, whole

ISAS = native.available_isas()
VECTOR_ISAS = [isa for isa in ISAS if isa != "portable"]  # these share the polynomials of sigmoid and tanh
RNG = np.random.default_rng(0)
F = np.float32


def weights_of(case: Case) -> GRUWeights:
    return case.weights[0].astype(np.dtype(F))


def packed(case: Case, isa: str, weights: str | None = "int8") -> PackedGRU:
    w = weights_of(case)
    norm = None if w.gain_ih is None or w.gain_hh is None else (w.gain_ih, w.gain_hh)
    options: dict[str, Any] = {"reset_after": case.options.reset_after, "zoneout": float(case.options.keep)}
    return PackedGRU(
        w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh, norm=norm, weights=weights, isa=isa, **options
    )


# --- products: to the bit ------------------------------------------------------------------------------------


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    ("rows", "features", "outputs"),
    [(1, 1, 1), (0, 3, 2), (3, 0, 4), (5, 33, 100), (70, 9, 49), (3, 512, 5), (9, 513, 17), (130, 1030, 3)],
)
def test_linear_is_the_exact_sum_to_the_bit(rows: int, features: int, outputs: int, isa: str) -> None:
    w, b, x = (RNG.normal(size=s).astype(F) for s in [(outputs, features), (outputs,), (rows, features)])
    x *= RNG.lognormal(sigma=4, size=(rows, 1)).astype(F)
    y = PackedLinear(w, b, weights="int8", isa=isa)(x)
    assert_bitwise_equal(y, int8_product(x, w, b))
    if rows:
        assert_bitwise_equal(PackedLinear(w, b, weights="int8", isa=isa)(x[-1:]), y[-1:])


@pytest.mark.parametrize("isa", ISAS)
def test_the_largest_sums_do_not_overflow(isa: str) -> None:
    w, x = np.full((3, 2048), 2.0, F), np.full((2, 2048), -3.0, F)
    w[1] = -2
    x[1, ::2] = 3
    y = PackedLinear(w, weights="int8", isa=isa)(x)
    np.testing.assert_allclose(y, x @ w.T, rtol=1e-6, atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_error_of_a_product_is_bounded(data: st.DataObject) -> None:
    """|y - x w^T| <= sum of |x| w_top / 254 + |w| x_top / 65534 + w_top x_top / (254 * 65534), plus rounding."""
    size = [data.draw(st.integers(1, n)) for n in (6, 700, 20)]
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x, w = rng.standard_t(3, size[:2]).astype(F), rng.standard_t(3, (size[2], size[1])).astype(F)
    y = PackedLinear(w, weights="int8", isa=data.draw(st.sampled_from(ISAS)))(x)
    x64, w64 = np.abs(x.astype(np.float64)), np.abs(w.astype(np.float64))
    x_top, w_top = x64.max(1)[:, None] / 65534, w64.max(1) / 254
    bound = x64.sum(1)[:, None] * w_top + w64.sum(1) * x_top + size[1] * x_top * w_top
    error = np.abs(y - x.astype(np.float64) @ w.astype(np.float64).T)
    assert (error <= 1.001 * bound + 1e-6 * (x64 @ w64.T)).all()


@pytest.mark.parametrize("isa", ISAS)
def test_rows_of_zeros_of_the_tiniest_and_of_the_largest_numbers(isa: str) -> None:
    x = np.array([[0, 0], [1e-38, -1e-42], [3e38, -1e38], [1e-30, 0], [-0.0, 0]], F)
    w = np.array([[0, 0], [1e-38, 1e-40], [1, 0.5], [3e38, 3e38]], F)
    b = np.array([1, 2, 3, 4], F)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = int8_product(x, w, b)
    y = PackedLinear(w, b, weights="int8", isa=isa)(x)
    assert_bitwise_equal(y, expected)
    assert (y[[0, 1, 4]] == b).all()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_gives_nan_and_others_keep_their_bits(value: float, isa: str) -> None:
    x, w = RNG.normal(size=(5, 7)).astype(F), RNG.normal(size=(9, 7)).astype(F)
    linear = PackedLinear(w, weights="int8", isa=isa)
    clean = linear(x)
    x[2, 3] = value
    y = linear(x)
    assert np.isnan(y[2]).all()
    assert_bitwise_equal(np.delete(y, 2, 0), np.delete(clean, 2, 0))
    gru = PackedGRU(
        RNG.normal(size=(12, 7)).astype(F), RNG.normal(size=(12, 4)).astype(F), weights="int8", isa=isa
    )
    sequences = RNG.normal(size=(3, 4, 7)).astype(F)
    before, _ = gru.run(sequences)
    sequences[1, 2, 0] = value
    after, _ = gru.run(sequences)
    assert np.isnan(after[1, 2:]).all()
    assert_bitwise_equal(after[[0, 2]], before[[0, 2]])
    assert_bitwise_equal(after[1, :2], before[1, :2])


# --- the GRU -------------------------------------------------------------------------------------------------


def oracle(case: Case, x: np.ndarray, h: np.ndarray) -> np.ndarray:
    """One step: the products to the bit, the gates in float64."""
    w = weights_of(case)
    size = h.shape[1]
    zero = np.zeros(3 * size, F)
    b_x, b_h = (zero if b is None else b for b in (w.bias_ih, w.bias_hh))
    first = b_x + np.where(np.arange(3 * size) < 2 * size, b_h, 0)
    into = int8_product(x, w.weight_ih, first.astype(F))

    def sigmoid(a: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-a.astype(np.float64)))

    if case.options.reset_after:
        start = np.concatenate(
            [into[:, : 2 * size], np.broadcast_to(b_h[2 * size :], (len(h), size))], axis=1
        )
        every = int8_product(h, w.weight_hh, start)
        r, z = sigmoid(every[:, :size]), sigmoid(every[:, size : 2 * size])
        n = np.tanh(into[:, 2 * size :] + r * every[:, 2 * size :])
    else:
        gates = int8_product(h, w.weight_hh[: 2 * size], into[:, : 2 * size])
        r, z = sigmoid(gates[:, :size]), sigmoid(gates[:, size:])
        held = (r.astype(F) * h).astype(F)
        n = np.tanh(int8_product(held, w.weight_hh[2 * size :], into[:, 2 * size :] + b_h[2 * size :]))
    return (1 - z) * n + z * h


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize(
    "shape",
    [
        Shape(),
        Shape(B=1, I=1, H=1),
        Shape(I=0),
        Shape(B=2, I=16, H=33),
        Shape(B=9, I=17, H=97),
        Shape(bias=False),
    ],
    ids=str,
)
def test_every_step_is_the_oracle(shape: Shape, reset_after: bool, isa: str) -> None:
    case = make_case(replace(shape, reset_after=reset_after), seed=1)
    (x, h), gru = inputs(case), packed(case, isa)
    y, _ = gru.run(x, h)
    # Exact sums leave the rounding of gates and blend; where r * h is made whole again, an ulp of r may move a number
    # by one of 32767 parts.
    limit = 1e-6 if reset_after else 1e-4
    for t in range(x.shape[1]):
        expected = oracle(case, np.ascontiguousarray(x[:, t]), h)
        assert np.abs(y[:, t] - expected).max() <= limit
        h = y[:, t]


def test_the_oracle_rejects_weights_as_they_are() -> None:
    case = make_case(Shape(B=2, I=16, H=33), seed=1)
    x, h = inputs(case)
    plain = packed(case, ISAS[0], weights=None).step(np.ascontiguousarray(x[:, 0]), h)
    assert np.abs(plain - oracle(case, np.ascontiguousarray(x[:, 0]), h)).max() > 1e-4


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_shape_and_options_have_the_same_bits_on_every_vector_isa_in_chunks_and_steps(
    data: st.DataObject,
) -> None:
    case = any_case(data)
    (x, h_0), o = inputs(case), case.options
    lengths = None if o.lengths is None else np.asarray(o.lengths, np.int64)
    reverse = data.draw(st.booleans())
    every = [packed(case, isa).run(x, h_0, lengths=lengths, resets=o.resets, reverse=reverse) for isa in ISAS]
    for isa, (y, h_n) in zip(ISAS, every, strict=True):
        if (
            isa in VECTOR_ISAS and case.weights[0].gain_ih is None
        ):  # a sum over lanes has the order of the lanes
            assert_bitwise_equal(y, every[0][0])
            assert_bitwise_equal(h_n, every[0][1])
        np.testing.assert_allclose(y, every[0][0], rtol=0, atol=3e-3)
        if lengths is None and o.resets is None and not reverse:
            gru, h, cut = packed(case, isa), h_0, x.shape[1] // 2
            parts = [gru.run(x[:, :cut], h)]
            parts.append(gru.run(x[:, cut:], parts[0][1]))
            assert_bitwise_equal(np.concatenate([part[0] for part in parts], axis=1), y)
            for t in range(x.shape[1]):
                h = gru.step(np.ascontiguousarray(x[:, t]), h)
                assert_bitwise_equal(h, y[:, t])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("reset_after", [True, False])
def test_a_row_gives_the_same_bits_alone_in_any_batch_and_at_any_thread_count(
    reset_after: bool, isa: str
) -> None:
    case = make_case(Shape(T=13, B=23, I=19, H=97, reset_after=reset_after), seed=3)
    gru, (x, h_0) = packed(case, isa), inputs(case)
    check_rows(gru, x, h_0)


# --- storage -------------------------------------------------------------------------------------------------


def test_what_is_stored_is_at_most_half_a_step_off() -> None:
    w = RNG.standard_t(3, (50, 70)).astype(F)
    top = np.abs(w).max(1, keepdims=True)
    assert (np.abs(to_int8(w) - w) <= top / 254 * (1 + 1e-5)).all()
    assert np.abs(whole(w, 127)[0]).max() == 127


@pytest.mark.parametrize("layer", [PackedGRU, PackedLinear])
def test_weights_that_are_not_finite_and_float64_are_refused(layer: type) -> None:
    arrays = [np.ones((12, 3), F), np.ones((12, 4), F)][: 2 if layer is PackedGRU else 1]
    for value in (np.nan, np.inf, -np.inf):
        arrays[-1][5, 2] = value
        with pytest.raises(
            UsageError, match=rf"^{layer.__name__}: weight(_hh)? must be finite to be stored as int8$"
        ):
            layer(*arrays, weights="int8")
    with pytest.raises(TypeError, match="must be float32, got float64"):
        layer(*(np.ones(a.shape) for a in arrays), weights="int8")


def test_nothing_is_saved_for_backward() -> None:
    x, y, h, saved = (np.zeros((2, 5, n), F) for n in (3, 4, 4, 16))
    h = h[:, 0].copy()
    views = [(a.ctypes.data, *(s // 4 for s in a.strides[:2])) for a in (x, y, saved)]
    problem = Problem(4, (2, 5, 3, 4), True, False, (), views[0], None, views[1], views[2])
    gru = PackedGRU(np.ones((12, 3), F), np.ones((12, 4), F), weights="int8")
    with pytest.raises(UsageError, match=r"^PackedGRU\.forward: saved must be None with int8 weights"):
        gru.forward(problem, (h.ctypes.data, 4, 0))
