"""Weights stored as bf16: bit for bit the float32 kernels on weights that torch rounded, and at their edges."""

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
from rounding import to_bf16

ISAS = native.available_isas()
SHAPES = [
    Shape(),
    Shape(T=1, B=1, I=1, H=1),
    Shape(T=0, B=4),
    Shape(I=0),
    Shape(T=40, B=1, I=5, H=64),
    Shape(T=6, B=2, I=16, H=33),
    Shape(T=3, B=9, I=17, H=97),
    Shape(T=2, B=21, I=130, H=20),
]


def packed(case: Case, isa: str, rounded: bool = False, weights: str | None = None) -> PackedGRU:
    w: GRUWeights = case.weights[0].astype(np.dtype(np.float32))
    matrices = [to_bf16(a) if rounded else a for a in (w.weight_ih, w.weight_hh)]
    norm = None if w.gain_ih is None or w.gain_hh is None else (w.gain_ih, w.gain_hh)
    options: dict[str, Any] = {"reset_after": case.options.reset_after, "zoneout": float(case.options.keep)}
    return PackedGRU(*matrices, w.bias_ih, w.bias_hh, norm=norm, weights=weights, isa=isa, **options)


def check(case: Case, isa: str, reverse: bool = False) -> None:
    """Stored as bf16 equals rounded by torch, for whole sequences and for a step."""
    x, h_0 = inputs(case)
    o = case.options
    lengths = None if o.lengths is None else np.asarray(o.lengths, np.int64)
    stored, rounded = packed(case, isa, weights="bf16"), packed(case, isa, rounded=True)
    results = [
        gru.run(x, h_0, lengths=lengths, resets=o.resets, reverse=reverse) for gru in (stored, rounded)
    ]
    for actual, expected in zip(*results, strict=True):
        assert_bitwise_equal(actual, expected)
    if x.shape[1]:
        first = np.ascontiguousarray(x[:, 0])
        assert_bitwise_equal(stored.step(first, h_0), rounded.step(first, h_0))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_kernel_on_rounded_weights(shape: Shape, reset_after: bool, norm: bool, isa: str) -> None:
    check(make_case(replace(shape, reset_after=reset_after, layer_norm=norm), seed=1), isa)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_shape_and_options_equal_the_kernel_on_rounded_weights(data: st.DataObject) -> None:
    case = any_case(data)
    check(case, data.draw(st.sampled_from(ISAS)), reverse=data.draw(st.booleans()))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("reset_after", [True, False])
def test_a_row_gives_the_same_bits_alone_in_any_batch_in_any_chunks_and_at_any_thread_count(
    reset_after: bool, isa: str
) -> None:
    case = make_case(Shape(T=13, B=23, I=19, H=97, reset_after=reset_after), seed=3)
    gru, (x, h_0) = packed(case, isa, weights="bf16"), inputs(case)
    whole = check_rows(gru, x, h_0)
    h, parts = h_0[:3], []
    for start, stop in ((0, 4), (4, 5), (5, 13)):
        y, h = gru.run(x[:3, start:stop], h)
        parts.append(y)
    assert_bitwise_equal(np.concatenate(parts, axis=1), whole[:3])
    h = h_0
    for t in range(13):
        h = gru.step(np.ascontiguousarray(x[:, t]), h)
        assert_bitwise_equal(h, whole[:, t])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    ("rows", "features", "outputs"), [(1, 1, 1), (0, 3, 2), (3, 0, 4), (5, 33, 100), (70, 9, 49)]
)
def test_linear_equals_the_kernel_on_rounded_weights(
    rows: int, features: int, outputs: int, isa: str
) -> None:
    rng = np.random.default_rng(2)
    w, b, x = (rng.normal(size=s).astype("f") for s in [(outputs, features), (outputs,), (rows, features)])
    y = PackedLinear(w, b, weights="bf16", isa=isa)(x)
    assert_bitwise_equal(y, PackedLinear(to_bf16(w), b, isa=isa)(x))
    if rows:
        assert_bitwise_equal(PackedLinear(w, b, weights="bf16", isa=isa)(x[-1:]), y[-1:])


# --- the rounding itself -------------------------------------------------------------------------------------


@pytest.mark.parametrize("isa", ISAS)
def test_every_exponent_sign_and_tie_is_rounded_as_torch_does(isa: str) -> None:
    upper = np.arange(1 << 16, dtype=np.uint32) << 16
    lower = np.random.default_rng(0).integers(0, 1 << 16, upper.size).astype(np.uint32)
    for tail in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF, lower):
        w = (upper | np.uint32(tail) if isinstance(tail, int) else upper | tail).view(np.float32)
        stored = PackedLinear(w[:, None], weights="bf16", isa=isa)(np.ones((1, 1), np.float32))[0]
        expected = to_bf16(w)
        np.testing.assert_array_equal(stored, expected)  # NaN where NaN; 0 + 1 * -0 is 0
        normal = (np.abs(w) >= np.finfo(np.float32).tiny) & np.isfinite(expected)
        exact = w[normal].astype(np.float64)
        assert (np.abs(stored[normal] - exact) <= 2.0**-8 * np.abs(exact)).all()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf, 3.4e38])
def test_weights_that_are_not_finite_stay_so(value: float, isa: str) -> None:
    case = make_case(Shape(T=3, B=2, I=4, H=20), seed=2)
    matrix = case.weights[0].weight_ih.copy()
    matrix[45, 2] = value  # n of unit 5
    spoilt = replace(case, weights=(replace(case.weights[0], weight_ih=matrix),))
    (x, h_0), stored = inputs(case), packed(spoilt, isa, weights="bf16")
    y, _ = stored.run(x[:, :1], h_0)
    expected, _ = packed(spoilt, isa, rounded=True).run(x[:, :1], h_0)
    np.testing.assert_array_equal(y, expected)
    clean, _ = packed(case, isa, weights="bf16").run(x[:, :1], h_0)
    assert (y != clean).any(axis=(0, 1)).nonzero()[0].tolist() == [5]
    assert np.isnan(y[..., 5]).all() == np.isnan(value)


# --- what is refused, and whether the checks can fail --------------------------------------------------------

W_IH, W_HH = np.ones((12, 3), np.float32), np.ones((12, 4), np.float32)


@pytest.mark.parametrize("layer", [PackedGRU, PackedLinear])
def test_other_storage_is_refused(layer: type) -> None:
    arrays = (W_IH, W_HH)[: 2 if layer is PackedGRU else 1]
    for wrong in ("int4", "float32", "BF16"):
        message = f"^{layer.__name__}: weights must be bf16, int8 or None, got '{wrong}'$"
        with pytest.raises(UsageError, match=message):
            layer(*arrays, weights=wrong)
    with pytest.raises(TypeError, match="must be float32, got float64"):
        layer(*(a.astype(np.float64) for a in arrays), weights="bf16")
    assert layer(*arrays, weights="bf16").dtype == "float32"


def test_nothing_is_saved_for_backward() -> None:
    x, y, h, saved = (np.zeros((2, 5, n), np.float32) for n in (3, 4, 4, 16))
    h = h[:, 0].copy()
    views = [(a.ctypes.data, *(s // 4 for s in a.strides[:2])) for a in (x, y, saved)]
    problem = Problem(4, (2, 5, 3, 4), True, False, (), views[0], None, views[1], None)
    gru = PackedGRU(W_IH, W_HH, weights="bf16")
    x += np.random.default_rng(0).normal(size=x.shape).astype(np.float32)
    gru.forward(problem, (h.ctypes.data, 4, 0))
    expected, h_n = gru.run(x)
    assert_bitwise_equal(y, expected)
    assert_bitwise_equal(h, h_n)
    with pytest.raises(UsageError, match=r"^PackedGRU\.forward: saved must be None with bf16 weights"):
        gru.forward(problem._replace(saved=views[2]), (h.ctypes.data, 4, 0))


@pytest.mark.parametrize("isa", ISAS)
def test_weights_that_were_not_rounded_give_other_bits(isa: str) -> None:
    case = make_case(Shape(T=3, B=2, I=4, H=20), seed=2)
    x, h_0 = inputs(case)
    with pytest.raises(AssertionError, match="differ"):
        assert_bitwise_equal(
            packed(case, isa, weights="bf16").run(x, h_0)[0], packed(case, isa).run(x, h_0)[0]
        )
