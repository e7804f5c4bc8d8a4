"""The native forward for training and its gradient, on addresses: against the oracle, and at their edges."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gru_cases import DECAYS, VARIANTS, Case, Shape, make_case
from grus.errors import UsageError
from grus.kernels import native
from grus.kernels.native import Problem
from grus.kernels.reference import gru_direction
from grus.kernels.reference_backward import gru_direction_backward
from numerics import assert_bitwise_equal, assert_close_to_oracle

ISAS = native.available_isas()
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "gain_ih", "gain_hh")


def view(a: np.ndarray | None, batch_axis: int = 1) -> native.View | None:
    """Of a [T, B, *] array (or [B, *] with batch_axis=0)."""
    if a is None:
        return None
    strides = [s // a.itemsize for s in a.strides]
    time = strides[1 - batch_axis] if a.ndim == 3 or a.dtype == bool else 0
    return (a.ctypes.data, strides[batch_axis], time)


def address(a: np.ndarray | None) -> int:
    return 0 if a is None else a.ctypes.data


class Native:
    """One direction of a case through the native kernels; every array is NaN until it is filled."""

    def __init__(self, case: Case, dtype: Any, reverse: bool = False, isa: str = "") -> None:
        self.isa, self.dtype = isa, np.dtype(dtype)
        self.x, self.h_0 = case.x.astype(dtype), case.h_0[0].astype(dtype)
        self.d_output, self.d_h_n = case.d_output.astype(dtype), case.d_h_n[0].astype(dtype)
        weights = case.weights[0].astype(self.dtype)
        self.weights = [getattr(weights, name) for name in NAMES]
        o = case.options
        (T, B, features), H = self.x.shape, self.h_0.shape[1]
        self.d_output = np.ascontiguousarray(self.d_output[:, :, :H])
        self.output, self.h_n = self.nan(T, B, H), self.nan(B, H)
        self.saved = self.nan(T, B, native.saved_size(H, o.reset_after, self.weights[4] is not None))
        lengths = None if o.lengths is None else np.asarray(o.lengths, np.int64)
        masks = o.recurrent_masks
        mask = None if masks is None else masks[0].astype(dtype)
        masked = np.ndim(o.keep) > 0
        keep_mask = np.ascontiguousarray(np.asarray(o.keep)[0] != 0) if masked else None
        self.decay = None if o.decays is None else o.decays[0].astype(dtype)
        self.alive = (lengths, mask, keep_mask, o.resets)
        self.problem = Problem(
            self.dtype.itemsize,
            (B, T, features, H),
            o.reset_after,
            reverse,
            tuple(map(address, self.weights)),
            view(self.x),
            view(self.h_0, 0),
            view(self.output),
            view(self.saved),
            None if lengths is None else (lengths.ctypes.data, 1, 0),
            (view(o.resets, 0), view(mask, 0), view(keep_mask)),
            0.0 if masked else float(o.keep),
            view(self.decay),
        )

    def nan(self, *shape: int) -> np.ndarray:
        return np.full(shape, np.nan, self.dtype)

    def forward(self) -> "Native":
        native.gru_forward_train(self.problem, view(self.h_n, 0), isa=self.isa)
        return self

    def backward(self) -> "Native":
        self.d_x, self.d_h_0 = self.nan(*self.x.shape), self.nan(*self.h_0.shape)
        self.grads = [None if w is None else self.nan(*w.shape) for w in self.weights]
        self.d_decay = None if self.decay is None else self.nan(*self.decay.shape)
        native.gru_backward(
            self.problem,
            view(self.d_output),
            view(self.d_h_n, 0),
            view(self.d_x),
            view(self.d_h_0, 0),
            tuple(map(address, self.grads)),
            d_decay=view(self.d_decay),
            isa=self.isa,
        )
        return self

    def results(self) -> dict[str, np.ndarray]:
        named = {"output": self.output, "h_n": self.h_n, "d_x": self.d_x, "d_h_0": self.d_h_0}
        named |= {} if self.d_decay is None else {"d_decay": self.d_decay}
        return named | {f"d_{n}": g for n, g in zip(NAMES, self.grads) if g is not None}


def oracle(case: Case, dtype: Any, reverse: bool) -> dict[str, np.ndarray]:
    c = case.astype(dtype)
    options = replace(c.options.direction(0), reverse=reverse)
    result = gru_direction(c.x, c.h_0[0], c.weights[0], options)
    d_output = c.d_output[:, :, : result.h_n.shape[1]]
    grads = gru_direction_backward(d_output, c.d_h_n[0], result.trace)
    named = {"output": result.output, "h_n": result.h_n, "d_x": grads.x, "d_h_0": grads.h_0}
    named |= {} if grads.decay is None else {"d_decay": grads.decay}
    return named | {
        f"d_{n}": getattr(grads.weights, n) for n in NAMES if getattr(grads.weights, n) is not None
    }


def check(case: Case, dtype: Any, reverse: bool = False, isa: str = "") -> None:
    actual = Native(case, dtype, reverse, isa).forward().backward().results()
    exact = oracle(case, np.float64 if dtype == np.float32 else np.longdouble, reverse)
    rough = oracle(case, dtype, reverse)
    assert actual.keys() == exact.keys()
    for name, value in actual.items():
        assert_close_to_oracle(value, exact[name], rough[name], name)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("size", [(5, 16, 4, 9), (7, 13, 20, 37)], ids=str)
@pytest.mark.parametrize("shape", [*VARIANTS, *DECAYS], ids=str)
def test_every_variant_matches_the_oracle(shape: Shape, size: tuple[int, int, int, int], isa: str) -> None:
    T, B, features, H = size
    lengths = None if shape.lengths is None else tuple(np.resize([2, T, 0, 1, T - 1], B).tolist())
    case = make_case(replace(shape, T=T, B=B, I=features, H=H, L=1, dropout=False, lengths=lengths), seed=2)
    for dtype in (np.float32, np.float64):
        check(case, dtype, reverse=shape.bidirectional, isa=isa)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_shape_and_options_match_the_oracle(data: st.DataObject) -> None:
    def integer(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    def either() -> bool:
        return data.draw(st.booleans())

    # Not the tiniest sizes: the bound is a maximum over the result, and over a few numbers that is luck.
    steps, batch = integer(0, 6), integer(4, 18)
    shape = Shape(
        T=steps,
        B=batch,
        I=integer(5, 50),
        H=integer(12, 66),
        bias=either(),
        layer_norm=either(),
        reset_after=either(),
        lengths=tuple(integer(0, steps) for _ in range(batch)) if either() else None,
        resets=either(),
        recurrent_dropout=either(),
        zoneout=data.draw(st.sampled_from(["", "expectation", "mask"])),
    )
    dtype, isa = data.draw(st.sampled_from([np.float32, np.float64])), data.draw(st.sampled_from(ISAS))
    check(make_case(shape, seed=integer(0, 5)), dtype, reverse=either(), isa=isa)


@pytest.mark.parametrize("shape", [Shape(T=150, B=3, I=5, H=20), Shape(T=3, B=150, I=5, H=20)], ids=str)
def test_many_chunks_and_many_rows(shape: Shape) -> None:
    check(make_case(shape), np.float32)
    check(make_case(replace(shape, reset_after=False, resets=True)), np.float64)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("layer_norm", [True, False])
def test_padding_is_never_read(layer_norm: bool, reset_after: bool, isa: str) -> None:
    shape = Shape(T=5, B=4, H=18, layer_norm=layer_norm, reset_after=reset_after, lengths=(3, 0, 5, 1))
    case = make_case(shape)
    clean = Native(case, np.float32, isa=isa).forward().backward().results()
    x, d_output = case.x.copy(), case.d_output.copy()
    for b, n in enumerate(shape.lengths or ()):
        x[n:, b], d_output[n:, b] = np.nan, np.nan
    dirty = Native(replace(case, x=x, d_output=d_output), np.float32, isa=isa).forward().backward().results()
    for name, value in clean.items():
        assert_bitwise_equal(dirty[name], value, name)


def test_training_gives_the_bits_of_inference() -> None:
    for variant in (Shape(), Shape(reset_after=False), Shape(layer_norm=True), Shape(zoneout="expectation")):
        case = make_case(replace(variant, T=9, B=11, I=5, H=40, resets=True))
        trained = Native(case, np.float32).forward()
        wi, wh, bi, bh, gi, gh = trained.weights
        norm = None if gi is None else (gi, gh)
        keep = float(case.options.keep)
        gru = native.PackedGRU(wi, wh, bi, bh, reset_after=variant.reset_after, norm=norm, zoneout=keep)
        y, h_n = gru.run(trained.x.swapaxes(0, 1), trained.h_0, resets=case.options.resets)
        assert_bitwise_equal(np.ascontiguousarray(y.swapaxes(0, 1)), trained.output)
        assert_bitwise_equal(h_n, trained.h_n)
        h = trained.h_0
        if not case.options.resets[:, 0].any():
            assert_bitwise_equal(gru.step(trained.x[0], h), trained.output[0])


def test_same_bits_from_run_to_run_at_a_fixed_number_of_threads() -> None:
    case = make_case(Shape(T=20, B=40, I=30, H=64))
    before = native.num_threads()
    try:
        results = {}
        for threads in (1, 2, 3, 2, 1):
            native.set_num_threads(threads)
            new = Native(case, np.float32).forward().backward().results()
            for name, value in results.setdefault(threads, new).items():
                assert_bitwise_equal(new[name], value, name)
            exact = oracle(case, np.float64, False)
            for name, value in oracle(case, np.float32, False).items():
                assert_close_to_oracle(new[name], exact[name], value, name)
    finally:
        native.set_num_threads(before)


@pytest.mark.parametrize("reset_after", [True, False])
def test_no_rows_no_steps_and_no_features(reset_after: bool) -> None:
    for shape in (Shape(B=0), Shape(T=0), Shape(I=0)):
        n = Native(make_case(replace(shape, reset_after=reset_after)), np.float32).forward().backward()
        assert all(np.isfinite(value).all() for value in n.results().values())
        if shape.T == 0:
            assert_bitwise_equal(n.h_n, n.h_0)
            assert_bitwise_equal(n.d_h_0, n.d_h_n)


@pytest.mark.parametrize("reset_after", [True, False])
def test_threads_that_share_rows_change_no_bit(reset_after: bool) -> None:
    """With fewer rows than threads the hidden units are split instead, with a meeting a step."""
    options = {"reset_after": reset_after, "resets": True, "recurrent_dropout": True, "zoneout": "mask"}
    case = make_case(Shape(T=12, B=2, I=20, H=200, lengths=(12, 7), **options))
    before = native.num_threads()
    try:
        native.set_num_threads(1)
        alone = Native(case, np.float32).forward().backward().results()
        for threads in (3, 4):
            native.set_num_threads(threads)
            for name, value in Native(case, np.float32).forward().backward().results().items():
                assert_bitwise_equal(value, alone[name], name)
    finally:
        native.set_num_threads(before)


def test_absent_gradients_are_zeros_and_unwanted_ones_are_left_out() -> None:
    case = make_case(Shape(T=4, B=3, I=5, H=20))
    zero = replace(case, d_output=case.d_output * 0)
    expected = Native(zero, np.float32).forward().backward()
    n = Native(case, np.float32).forward()
    d_w = n.nan(60, 20)
    native.gru_backward(n.problem, None, view(n.d_h_n, 0), None, None, (0, d_w.ctypes.data, 0, 0, 0, 0))
    assert_bitwise_equal(d_w, expected.grads[1])
    d_x = np.ones_like(n.x)
    native.gru_backward(n.problem, None, view(n.d_h_n, 0), view(d_x), None, (0,) * 6, add_d_x=True)
    np.testing.assert_allclose(d_x, 1 + expected.d_x, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"itemsize": 2}, UsageError, "itemsize must be 4 (float32) or 8 (float64), got 2"),
        ({"sizes": (2, 3, 4)}, TypeError, "sizes must be (batch, time, input, hidden)"),
        ({"sizes": (2, -3, 4, 3)}, UsageError, "sizes must be from 0 to 2^40, got -3"),
        ({"sizes": (2, 3, 4, 0)}, UsageError, "hidden size of at least 1"),
        ({"x": None}, UsageError, "x and output must be given, got None"),
        ({"x": (6, 1, 1)}, UsageError, "x must be aligned to 4 bytes"),
        ({"x": (8, 1)}, TypeError, "x must be (address, row stride, time stride) or None"),
        ({"weights": (0,) * 5}, TypeError, "weights must be a tuple of 6 addresses"),
        ({"weights": (8, 0, 0, 0, 0, 0)}, UsageError, "weights must hold weight_hh"),
        ({"keep": 1.5}, UsageError, "keep must be from 0 to 1, got 1.5"),
    ],
)
def test_what_can_be_checked_is_checked(change: dict, error: type, message: str) -> None:
    n = Native(make_case(Shape(lengths=(1, 2, 5))), np.float32)
    with pytest.raises(error) as caught:
        native.gru_forward_train(n.problem._replace(**change), view(n.h_n, 0))
    assert message in str(caught.value)


def test_lengths_and_missing_arrays_are_refused() -> None:
    n = Native(make_case(Shape(lengths=(1, 2, 6))), np.float32)
    with pytest.raises(UsageError, match=r"lengths\[2\]: must be from 0 to the 5 steps of x, got 6"):
        n.forward()
    n = Native(make_case(Shape()), np.float32).forward()
    with pytest.raises(UsageError, match="saved must be given, got None"):
        native.gru_backward(n.problem._replace(saved=None), None, None, None, None, (0,) * 6)


def test_a_wrong_gradient_is_rejected() -> None:
    case = make_case(Shape(T=4, B=3, I=5, H=20))
    exact, rough = oracle(case, np.float64, False), oracle(case, np.float32, False)
    got = Native(case, np.float32).forward().backward().results()
    for name in ("d_x", "d_weight_hh", "d_bias_ih"):
        wrong = got[name].copy()
        wrong.flat[1] += np.float32(1e-3)
        with pytest.raises(AssertionError, match="exceeds"):
            assert_close_to_oracle(wrong, exact[name], rough[name], name)
