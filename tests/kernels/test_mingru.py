"""The MinGRU's kernels and its oracle: gradients, every option, the same bits whatever the cut, and wrong use."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from grus.errors import UsageError
from grus.kernels import native
from grus.kernels.native import PackedMinGRU, Problem
from grus.kernels.reference import Options
from grus.kernels.reference_mingru import MinGRUWeights, mingru_direction, mingru_stack
from mingru_cases import EDGES, VARIANTS, MinCase, Shape, make_minimal
from numerics import assert_bitwise_equal, assert_close_to_oracle
from rounding import to_bf16

ISAS = native.available_isas()
LONG = Shape(T=1500, B=2, I=16, H=64, memory=3.0)


@pytest.fixture(autouse=True)
def threads():
    before = native.num_threads()
    yield
    native.set_num_threads(before)


def view(a: np.ndarray | None) -> native.View | None:
    """Of a [T, B, *] array, or of a [B, *] one."""
    if a is None:
        return None
    strides = [s // a.itemsize for s in a.strides]
    return (a.ctypes.data, strides[1], strides[0]) if a.ndim == 3 else (a.ctypes.data, strides[0], 0)


def train(case: MinCase, dtype: Any, isa: str = "", wanted: bool = True) -> dict[str, np.ndarray]:
    """Forward and backward by the kernels; every result is NaN until it is filled."""
    c, o = case.astype(dtype), case.options
    (T, B, features), H, weight, bias = c.x.shape, c.h_0.shape[1], c.weights.weight_ih, c.weights.bias_ih
    found = {name: np.full(a.shape, np.nan, dtype) for name, a in case.results(np.float32).items()}
    lengths = None if o.lengths is None else np.asarray(o.lengths, np.int64)
    resets = None if o.resets is None else (np.asarray(o.resets).ctypes.data, T, 1)
    problem = Problem(
        np.dtype(dtype).itemsize, (B, T, features, H), True, o.reverse,
        (weight.ctypes.data, 0, 0 if bias is None else bias.ctypes.data, 0, 0, 0), view(c.x), view(c.h_0),
        view(found["output"]), None, None if lengths is None else (lengths.ctypes.data, 1, 0), (resets, None, None),
    )  # fmt: skip
    native.mingru_forward_train(problem, view(found["h_n"]), isa=isa)
    d_bias = found.get("d_bias_ih")
    grads = (found["d_weight_ih"].ctypes.data, 0, 0 if d_bias is None else d_bias.ctypes.data, 0, 0, 0)
    targets = [view(found[name]) if wanted else None for name in ("d_x", "d_h_0")]
    native.mingru_backward(
        problem, view(c.d_output), view(c.d_h_n), *targets, grads if wanted else (0,) * 6, isa=isa
    )
    return found


def check(found: dict[str, np.ndarray], case: MinCase, dtype: Any) -> None:
    exact = case.results(np.float64 if dtype == np.float32 else np.longdouble)
    rough = case.results(dtype)
    assert found.keys() == exact.keys()
    for name, value in found.items():
        assert_close_to_oracle(value, exact[name], rough[name], name)


# --- the oracle ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [Shape(), Shape(lengths=True, resets=True, reverse=True), Shape(bias=False)]
)
def test_the_oracles_gradient_is_the_slope(shape: Shape) -> None:
    case, step = make_minimal(shape), 1e-6
    results = case.results(np.float64)

    def loss(c: MinCase) -> float:
        forward = mingru_direction(c.x, c.h_0, c.weights, c.options)
        return float((forward.output * c.d_output).sum() + (forward.h_n * c.d_h_n).sum())

    given = {
        "x": case.x,
        "h_0": case.h_0,
        "weight_ih": case.weights.weight_ih,
        "bias_ih": case.weights.bias_ih,
    }
    for name, array in given.items():
        if array is None:
            continue
        rng = np.random.default_rng(0)
        direction = rng.standard_normal(array.shape)
        sides = []
        for sign in (1, -1):
            moved = array + sign * step * direction
            if name in ("x", "h_0"):
                sides.append(loss(replace(case, **{name: moved})))
            else:
                sides.append(loss(replace(case, weights=replace(case.weights, **{name: moved}))))
        slope = (sides[0] - sides[1]) / (2 * step)
        np.testing.assert_allclose((results[f"d_{name}"] * direction).sum(), slope, rtol=1e-6)


def test_the_papers_notation_is_the_same_function_with_z_negated() -> None:
    """h_t = (1 - z_t) h_{t-1} + z_t n_t, of Feng et al. 2024, a step at a time from a negative state."""
    case = make_minimal(Shape(T=20))
    weight, bias = case.weights.weight_ih, case.weights.bias_ih
    assert bias is not None
    h = -np.abs(case.h_0)
    ours = mingru_direction(case.x, h, case.weights).output
    W_z, W_n, b_z, b_n = -weight[:9], weight[9:], -bias[:9], bias[9:]
    for t, x in enumerate(case.x):
        z = 1 / (1 + np.exp(-(x @ W_z.T + b_z)))
        h = (1 - z) * h + z * (x @ W_n.T + b_n)
        np.testing.assert_allclose(ours[t], h, atol=1e-14)


def test_the_oracle_refuses_what_does_not_fit() -> None:
    case = make_minimal()
    with pytest.raises(UsageError, match=r"weight_ih must have shape \(2\*H, I\), got \(3, 2\)"):
        MinGRUWeights(np.zeros((3, 2)))
    with pytest.raises(UsageError, match=r"bias_ih must be float64 of shape \(4,\), got float64 \(3,\)"):
        MinGRUWeights(np.zeros((4, 2)), np.zeros(3))
    with pytest.raises(UsageError, match=r"x must be float64 of shape \(T, B, 4\), got float64 \(5, 3, 3\)"):
        mingru_direction(case.x[:, :, :3], case.h_0, case.weights)
    with pytest.raises(UsageError, match=r"h_0 must be float64 of shape \(3, 9\), got float64 \(3, 8\)"):
        mingru_direction(case.x, case.h_0[:, :8], case.weights)
    with pytest.raises(UsageError, match=r"lengths must be 3 integers in 0\.\.5"):
        mingru_direction(case.x, case.h_0, case.weights, Options(lengths=[1, 2, 6]))


# --- the kernels --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", [*VARIANTS, *EDGES], ids=str)
def test_the_kernels_are_the_oracle(shape: Shape, isa: str) -> None:
    case = make_minimal(shape)
    for dtype in (np.float32, np.float64):
        check(train(case, dtype, isa), case, dtype)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", [LONG, replace(LONG, B=1, H=40), replace(LONG, B=5, lengths=True)], ids=str)
def test_parallel_is_sequential_from_a_random_state(shape: Shape, isa: str) -> None:
    """Cut by units, by rows and by both: the states are the same bits, gradients within the design's tolerance."""
    case = make_minimal(shape)
    native.set_num_threads(1)
    alone = train(case, np.float32, isa)
    for count in (2, 3, 8):
        native.set_num_threads(count)
        found = train(case, np.float32, isa)
        check(found, case, np.float32)
        for name in ("output", "h_n", "d_h_0"):
            assert_bitwise_equal(found[name], alone[name], name)
        again = train(case, np.float32, isa)
        for name, value in found.items():
            assert_bitwise_equal(again[name], value, name)


@pytest.mark.parametrize("isa", ISAS)
def test_a_row_has_the_same_bits_alone_in_any_batch_and_in_any_chunks(isa: str) -> None:
    case = make_minimal(Shape(T=150, B=70, I=33, H=50)).astype(np.float32)
    x, h_0 = np.ascontiguousarray(case.x.swapaxes(0, 1)), case.h_0
    layer = PackedMinGRU(case.weights.weight_ih, case.weights.bias_ih, isa=isa)
    whole, last = layer.run(x, h_0)
    for row in (0, 31, 69):
        y, h = layer.run(x[row : row + 1], h_0[row : row + 1])
        assert_bitwise_equal(y[0], whole[row])
        assert_bitwise_equal(h[0], last[row])
    for sizes in [(1, 63, 2, 84), (64, 64, 22), (150,), (0, 149, 1)]:
        begin, h, parts = 0, h_0, []
        for size in sizes:
            y, h = layer.run(x[:, begin : begin + size], h)
            parts.append(y)
            begin += size
        assert_bitwise_equal(np.concatenate(parts, axis=1), whole)
        assert_bitwise_equal(h, last)
    for count in (2, 5):
        native.set_num_threads(count)
        assert_bitwise_equal(layer.run(x, h_0)[0], whole)
    assert_bitwise_equal(
        train(replace(case, options=Options()), np.float32, isa)["output"], whole.swapaxes(0, 1)
    )


def test_padding_is_never_read_and_a_nan_stays_in_its_row() -> None:
    case = make_minimal(Shape(T=9, B=5, H=20, lengths=True, resets=True)).astype(np.float32)
    layer = PackedMinGRU(case.weights.weight_ih, case.weights.bias_ih)
    lengths = np.asarray(case.options.lengths, np.int64)
    x = np.ascontiguousarray(case.x.swapaxes(0, 1))
    options = {"lengths": lengths, "resets": case.options.resets}
    clean, last = layer.run(x, case.h_0, **options)
    for row, length in enumerate(lengths):
        x[row, length:] = np.nan
    found, again = layer.run(x, case.h_0, **options)
    assert_bitwise_equal(found, clean)
    assert_bitwise_equal(again, last)
    assert_bitwise_equal(again[1], case.h_0[1])
    x[0, 3] = np.nan
    assert_bitwise_equal(layer.run(x, case.h_0, **options)[0][1:], clean[1:])


def test_gradients_that_nobody_wants_are_not_written() -> None:
    case = make_minimal(Shape(T=70, B=2, H=33))
    found = train(case, np.float32, wanted=False)
    assert np.isfinite(found["output"]).all()
    for name in ("d_x", "d_h_0", "d_weight_ih", "d_bias_ih"):
        assert np.isnan(found[name]).all()


@pytest.mark.parametrize("isa", ISAS)
def test_weights_in_16_and_in_8_bits(isa: str) -> None:
    case = make_minimal(Shape(T=80, B=5, I=30, H=36)).astype(np.float32)
    weight, bias = case.weights.weight_ih, case.weights.bias_ih
    x = np.ascontiguousarray(case.x.swapaxes(0, 1))
    exact, _ = PackedMinGRU(weight, bias, isa=isa).run(x, case.h_0)
    halved, _ = PackedMinGRU(weight, bias, weights="bf16", isa=isa).run(x, case.h_0)
    assert_bitwise_equal(halved, PackedMinGRU(to_bf16(weight), bias, isa=isa).run(x, case.h_0)[0])
    layer = PackedMinGRU(weight, bias, weights="int8", isa=isa)
    narrow, _ = layer.run(x, case.h_0)
    assert 0 < np.abs(narrow - exact).max() < 0.02 * np.abs(exact).max()
    assert_bitwise_equal(layer.run(x[2:3, :40], case.h_0[2:3])[0][0], narrow[2, :40])


def test_infinities_make_no_noise() -> None:
    layer = PackedMinGRU(np.ones((4, 1), np.float32), None)
    y, h = layer.run(np.array([[[np.inf], [0]], [[-np.inf], [0]]], np.float32), np.ones((2, 2), np.float32))
    assert np.isnan(y[0]).all()  # z = 1 and n = inf: 0 * inf
    assert (y[1] == -np.inf).all()
    assert (h[1] == -np.inf).all()


def test_a_stack_is_its_layers() -> None:
    cases = [make_minimal(Shape(I=i, H=9), seed=i) for i in (4, 5, 18, 19)]
    x, h_0 = cases[0].x, np.stack([case.h_0 for case in cases])
    weights = [cases[0].weights, make_minimal(Shape(I=4, H=9), 9).weights, cases[2].weights]
    weights.append(make_minimal(Shape(I=18, H=9), 10).weights)
    ways = (Options(), Options(reverse=True))
    y, h = mingru_stack(x, h_0, weights, ways)
    first = [mingru_direction(x, h_0[d], weights[d], ways[d]).output for d in (0, 1)]
    middle = np.concatenate(first, axis=2)
    second = [mingru_direction(middle, h_0[2 + d], weights[2 + d], ways[d]) for d in (0, 1)]
    np.testing.assert_array_equal(y, np.concatenate([result.output for result in second], axis=2))
    np.testing.assert_array_equal(h[2:], [result.h_n for result in second])


X = np.zeros((2, 3, 4), np.float32)


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: PackedMinGRU(np.zeros((5, 4), np.float32)), UsageError, r"weight_ih must have shape \(2 \* hidden, input\)"),
        (lambda: PackedMinGRU(np.zeros((6, 4), np.int32)), TypeError, "weight_ih"),
        (lambda: PackedMinGRU(np.zeros((6, 4), np.float32), np.zeros(5, np.float32)), UsageError, "bias_ih must have shape"),
        (lambda: PackedMinGRU(np.full((6, 4), np.nan, "f"), weights="int8"), UsageError, "must be finite to be stored as int8"),
        (lambda: PackedMinGRU(np.zeros((6, 4), "f"), weights="int4"), UsageError, "weights must be bf16, int8 or None"),
        (lambda: PackedMinGRU(np.zeros((6, 4), "f"), isa="mmx"), UsageError, "isa: must be one of"),
        (lambda: packed().run(X[:, :, :3]), UsageError, r"PackedMinGRU.run: x must have shape"),
        (lambda: packed().run(X.astype(np.float64)), TypeError, "PackedMinGRU.run: x"),
        (lambda: packed().run(X, np.zeros((2, 4), "f")), UsageError, "PackedMinGRU.run: h0 must have shape"),
        (lambda: packed().run(X, lengths=np.array([1, 4])), UsageError, r"lengths\[1\]: must be from 0 to the 3 steps of x, got 4"),
        (lambda: packed().run(X, resets=np.zeros((2, 2), bool)), UsageError, "PackedMinGRU.run: resets must have shape"),
        (lambda: packed(4).run(X, out=X), UsageError, "PackedMinGRU.run: out must not share memory with x"),
        (lambda: packed().forward(problem(itemsize=8), (0, 0, 0)), UsageError, "itemsize must be that of float32"),
        (lambda: packed().forward(problem(sizes=(2, 3, 4, 5)), (0, 0, 0)), UsageError, "sizes must be those of the packed weights"),
        (lambda: native.mingru_forward_train(problem(weights=(0,) * 6), (0, 0, 0)), UsageError, "weights must hold weight_ih"),
        (lambda: native.mingru_forward_train(problem(weights=(8, 8, 0, 0, 0, 0)), (0, 0, 0)), UsageError, "weight_ih and bias_ih alone"),
        (lambda: native.mingru_backward(problem(), None, None, None, None, (0,) * 2), TypeError, "grads must be a tuple of 6"),
    ],
)  # fmt: skip
def test_faults_are_refused_with_a_sentence(make: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        make()


def packed(hidden: int = 3) -> PackedMinGRU:
    return PackedMinGRU(np.zeros((2 * hidden, 4), np.float32), None)


def problem(**changed: Any) -> Problem:
    at = (X.ctypes.data, 12, 4)
    weights = (X.ctypes.data, 0, 0, 0, 0, 0)
    return Problem(4, (2, 3, 4, 3), True, False, weights, at, None, at, None)._replace(**changed)


def test_the_comparison_tells_a_wrong_gate() -> None:
    case = make_minimal(Shape(T=6, B=5, I=7, H=20))
    weight = case.weights.weight_ih.copy()
    weight[7, 3] += 1e-3
    found = train(replace(case, weights=replace(case.weights, weight_ih=weight)), np.float32)
    with pytest.raises(AssertionError, match="exceeds"):
        check(found, case, np.float32)
