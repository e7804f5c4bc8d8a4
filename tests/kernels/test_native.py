"""The native kernels on NumPy arrays: against the oracle, bit for bit among themselves, and at their edges."""

import ast
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gru_cases import Case, Shape, make_case
from grus.errors import UsageError
from grus.kernels import _native, native
from grus.kernels.layout import GRUWeights
from grus.kernels.native import PackedGRU, PackedLinear
from grus.kernels.reference import gru_direction
from numerics import assert_bitwise_equal, assert_close_to_oracle

ISAS = native.available_isas()
SHAPES = [
    Shape(),
    Shape(T=1, B=1, I=1, H=1),
    Shape(T=0, B=4),
    Shape(B=0),
    Shape(I=0),
    Shape(T=40, B=1, I=5, H=64),
    Shape(T=7, B=2, I=16, H=48),
    Shape(T=6, B=3, I=3, H=33),
    Shape(T=3, B=7, I=17, H=16),
    Shape(T=3, B=9, I=8, H=97),
    Shape(T=2, B=21, I=130, H=20),
]


def packed(weights: GRUWeights, dtype: type = np.float32, **kwargs: object) -> PackedGRU:
    w = weights.astype(np.dtype(dtype))
    return PackedGRU(w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh, **kwargs)


def batch_first(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a.swapaxes(0, 1))


def run(case: Case, dtype: type = np.float32, isa: str | None = None, **kwargs: object) -> tuple:
    """The first direction of a case through the native kernel, batch first."""
    options = case.options
    gru = packed(case.weights[0], dtype, reset_after=options.reset_after, isa=isa)
    lengths = None if options.lengths is None else np.asarray(options.lengths, np.int64)
    x, h_0 = batch_first(case.x).astype(dtype), case.h_0[0].astype(dtype)
    return gru.run(x, h_0, lengths=lengths, resets=options.resets, **kwargs)


def check(case: Case, dtype: type, isa: str, reverse: bool) -> None:
    options = replace(case.options.direction(0), reverse=reverse)
    actual = run(case, dtype, isa, reverse=reverse)
    wide = np.float64 if dtype == np.float32 else np.longdouble
    results = []
    for precision in (wide, dtype):
        c = case.astype(precision)
        results.append(gru_direction(c.x, c.h_0[0], c.weights[0], options))
    for name, i in (("output", 0), ("h_n", 1)):
        exact, rough = (r[i].swapaxes(0, 1) if i == 0 else r[i] for r in results)
        assert_close_to_oracle(actual[i], exact, rough, name)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matches_the_oracle(shape: Shape, reset_after: bool, isa: str) -> None:
    case = make_case(replace(shape, reset_after=reset_after), seed=1)
    for dtype in (np.float32, np.float64):
        check(case, dtype, isa, reverse=False)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_shape_and_options_match_the_oracle(data: st.DataObject) -> None:
    def integer(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    # Not the tiniest sizes: the bound is a maximum over the result, and over a few numbers that is luck.
    steps, batch = integer(0, 6), integer(4, 18)
    ragged = data.draw(st.booleans())
    shape = Shape(
        T=steps,
        B=batch,
        I=integer(0, 40),
        H=integer(12, 70),
        bias=data.draw(st.booleans()),
        reset_after=data.draw(st.booleans()),
        lengths=tuple(integer(0, steps) for _ in range(batch)) if ragged else None,
        resets=data.draw(st.booleans()),
    )
    dtype, isa = data.draw(st.sampled_from([np.float32, np.float64])), data.draw(st.sampled_from(ISAS))
    check(make_case(shape, seed=integer(0, 5)), dtype, isa, reverse=data.draw(st.booleans()))


# --- the bitwise promise -------------------------------------------------------------------------------------


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("reset_after", [True, False])
def test_a_row_gives_the_same_bits_alone_in_any_batch_and_in_any_chunks(reset_after: bool, isa: str) -> None:
    shape = Shape(T=13, B=23, I=19, H=37, reset_after=reset_after)
    case = make_case(shape, seed=3)
    gru = packed(case.weights[0], reset_after=reset_after, isa=isa)
    x, h_0 = batch_first(case.x).astype(np.float32), case.h_0[0].astype(np.float32)
    whole, last = gru.run(x, h_0)
    for rows in (slice(0, 1), slice(5, 7), slice(4, 7), slice(0, 8), slice(3, 20)):
        y, h_n = gru.run(x[rows], h_0[rows])
        assert_bitwise_equal(y, whole[rows])
        assert_bitwise_equal(h_n, last[rows])
    for cuts in ((1,), (12,), (4, 5, 11)):
        h, parts = h_0[:3], []
        for start, stop in zip((0, *cuts), (*cuts, 13)):
            y, h = gru.run(x[:3, start:stop], h)
            parts.append(y)
        assert_bitwise_equal(np.concatenate(parts, axis=1), whole[:3])
    h = h_0
    for t in range(13):
        h = gru.step(np.ascontiguousarray(x[:, t]), h)
        assert_bitwise_equal(h, whole[:, t])


@pytest.mark.parametrize("isa", ISAS)
def test_the_number_of_threads_does_not_change_bits(isa: str) -> None:
    case = make_case(Shape(T=20, B=33, I=31, H=80), seed=4)
    lengths = np.random.default_rng(0).integers(0, 21, 33)
    results = []
    before = native.num_threads()
    try:
        for threads in (1, 2, 5):
            native.set_num_threads(threads)
            results.append(
                [run(case, isa=isa), run(replace(case, options=replace(case.options, lengths=lengths)))]
            )
    finally:
        native.set_num_threads(before)
    for other in results[1:]:
        for (y, h_n), (y1, h_n1) in zip(other, results[0]):
            assert_bitwise_equal(y, y1)
            assert_bitwise_equal(h_n, h_n1)


def test_lengths_and_resets_equal_separate_runs_bit_for_bit() -> None:
    case = make_case(Shape(T=9, B=4, I=6, H=20), seed=5)
    gru = packed(case.weights[0])
    x, h_0 = batch_first(case.x).astype(np.float32), case.h_0[0].astype(np.float32)
    lengths = np.array([4, 9, 0, 1])
    y, h_n = gru.run(x, h_0, lengths=lengths)
    for b, n in enumerate(lengths):
        alone, last = gru.run(x[b : b + 1, :n], h_0[b : b + 1])
        assert_bitwise_equal(y[b : b + 1, :n], alone)
        assert_bitwise_equal(h_n[b : b + 1], last)
        assert not y[b, n:].any()
    resets = np.zeros((4, 9), bool)
    resets[:, 5] = True
    y, h_n = gru.run(x, h_0, resets=resets)
    first, _ = gru.run(x[:, :5], h_0)
    second, last = gru.run(x[:, 5:])
    assert_bitwise_equal(y, np.concatenate([first, second], axis=1))
    assert_bitwise_equal(h_n, last)
    y, h_n = gru.run(x, h_0, resets=resets, reverse=True)
    late, _ = gru.run(x[:, 5:], h_0, reverse=True)
    early, last = gru.run(x[:, :5], reverse=True)
    assert_bitwise_equal(y, np.concatenate([early, late], axis=1))
    assert_bitwise_equal(h_n, last)


def test_reverse_is_forward_on_the_flipped_sequence() -> None:
    case = make_case(Shape(T=8, B=5, I=6, H=20), seed=6)
    gru = packed(case.weights[0])
    x = batch_first(case.x).astype(np.float32)
    y, h_n = gru.run(x, reverse=True)
    flipped, last = gru.run(np.ascontiguousarray(x[:, ::-1]))
    assert_bitwise_equal(y, np.ascontiguousarray(flipped[:, ::-1]))
    assert_bitwise_equal(h_n, last)


# --- hostile numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("reverse", [True, False])
def test_padding_is_never_read_and_nan_stays_in_its_row(isa: str, reset_after: bool, reverse: bool) -> None:
    for batch in (2, 6, 19):
        shape = Shape(
            T=5, B=batch, I=4, H=21, reset_after=reset_after, lengths=tuple([3, 0] + [5] * (batch - 2))
        )
        case = make_case(shape)
        clean, clean_last = run(case, isa=isa, reverse=reverse)
        x = case.x.copy()
        x[3:, 0] = np.nan
        x[:, 1] = np.nan
        y, h_n = run(replace(case, x=x), isa=isa, reverse=reverse)
        assert_bitwise_equal(y, clean)
        assert_bitwise_equal(h_n, clean_last)
        x = case.x.copy()
        x[1, 0] = np.nan
        y, h_n = run(replace(case, x=x), isa=isa, reverse=reverse)
        assert np.isnan(y[0, 1]).all()
        assert np.isnan(h_n[0]).all()
        assert_bitwise_equal(y[1:], clean[1:])


@pytest.mark.parametrize("isa", ISAS)
def test_huge_infinite_and_denormal_inputs(isa: str) -> None:
    case = make_case(Shape(T=4, B=3, I=2, H=18), seed=7)
    for value in (1e30, -1e30, 1e-40, np.inf):
        x = np.full_like(case.x, value).astype(np.float32).astype(np.float64)
        changed = replace(case, x=x)
        if np.isfinite(value):
            check(changed, np.float32, isa, reverse=False)
        else:
            y, _ = run(changed, isa=isa)
            with np.errstate(invalid="ignore"):
                exact = gru_direction(x, case.h_0[0], case.weights[0]).output.swapaxes(0, 1)
            np.testing.assert_array_equal(np.isnan(y), np.isnan(exact))


def test_a_saturated_update_gate_keeps_the_state_exactly() -> None:
    h = np.random.default_rng(0).normal(size=(1, 20)).astype(np.float32) * 1e3
    w = np.zeros((60, 20), np.float32)
    bias = np.zeros(60, np.float32)
    bias[20:40] = 100
    y, h_n = PackedGRU(w[:, :3], w, bias, None).run(np.ones((1, 50, 3), np.float32), h)
    assert_bitwise_equal(h_n, h)
    assert_bitwise_equal(y[0, -1], h[0])


# --- memory: strides, out, threads, fork --------------------------------------------------------------------


def test_any_strides_are_accepted_and_nothing_is_written_to_the_inputs() -> None:
    case = make_case(Shape(T=6, B=5, I=7, H=20, resets=True), seed=8)
    gru = packed(case.weights[0])
    x, h_0 = batch_first(case.x).astype(np.float32), case.h_0[0].astype(np.float32)
    resets = case.options.resets
    expected, last = gru.run(x, h_0, resets=resets)
    misaligned = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape)
    views = [
        np.ascontiguousarray(x.swapaxes(0, 1)).swapaxes(0, 1),
        np.asfortranarray(x),
        np.repeat(x, 2, axis=2)[:, :, ::2],
        np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
        misaligned,
    ]
    for view in views:
        view.flags.writeable = False
        y, h_n = gru.run(view, np.asfortranarray(h_0), resets=np.asfortranarray(resets))
        assert_bitwise_equal(y, expected)
        assert_bitwise_equal(h_n, last)
    h1 = gru.step(np.asfortranarray(x[:, 0]), np.asfortranarray(h_0))
    w = case.weights[0].astype(np.dtype(np.float32))
    strided = PackedGRU(np.asfortranarray(w.weight_ih), np.asfortranarray(w.weight_hh), w.bias_ih, w.bias_hh)
    assert_bitwise_equal(strided.step(np.ascontiguousarray(x[:, 0]), h_0), h1)


def test_out_is_filled_and_returned() -> None:
    case = make_case(Shape(T=6, B=5, I=7, H=20), seed=9)
    gru = packed(case.weights[0])
    x = batch_first(case.x).astype(np.float32)
    expected, _ = gru.run(x)
    wide = np.full((6, 5, 64), np.nan, np.float32)
    out = wide[:, :, 10:30].swapaxes(0, 1)
    y, _ = gru.run(x, out=out)
    assert y is out
    assert_bitwise_equal(np.ascontiguousarray(y), expected)
    assert np.isnan(wide[:, :, :10]).all()
    assert np.isnan(wide[:, :, 30:]).all()
    h = np.zeros((5, 20), np.float32)
    assert gru.step(np.ascontiguousarray(x[:, 0]), h, h) is h
    assert_bitwise_equal(h, np.ascontiguousarray(expected[:, 0]))


def test_in_place_steps_with_threads() -> None:
    rng = np.random.default_rng(1)
    gru = PackedGRU(*(rng.normal(size=s).astype(np.float32) * 0.1 for s in [(600, 200), (600, 200)]))
    x, h = rng.normal(size=(2, 64, 200)).astype(np.float32)
    expected = gru.step(x, h)
    assert_bitwise_equal(gru.step(x, h, h), expected)
    h2 = rng.normal(size=(64, 200)).astype(np.float32)
    expected = gru.step(x, h2)
    assert_bitwise_equal(gru.step(x, h2, x), expected)


def test_many_python_threads_share_a_layer() -> None:
    case = make_case(Shape(T=30, B=24, I=32, H=64), seed=10)
    gru = packed(case.weights[0])
    x = batch_first(case.x).astype(np.float32)
    expected, _ = gru.run(x)
    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(10):
            if not np.array_equal(gru.run(x)[0], expected):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


FORKED = """
import os
import sys
if sys.argv[1:]:
    import torch  # whose OpenMP threads the kernels then borrow, but not in a forked child
import numpy as np
from grus.kernels.native import PackedGRU, set_num_threads
set_num_threads(2)
rng = np.random.default_rng(0)
gru = PackedGRU(*(rng.normal(size=s).astype("f") * 0.1 for s in [(384, 64), (384, 128)]))
x = rng.normal(size=(32, 50, 64)).astype("f")
expected, _ = gru.run(x)
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        y, _ = gru.run(x)
        os._exit(0 if np.array_equal(y, expected) else 1)
    y, _ = gru.run(x)
    assert np.array_equal(y, expected)
    assert os.waitpid(pid, 0)[1] == 0
print("done")
"""


def python(code: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("torch", [True, False])
def test_safe_under_fork_and_at_exit(torch: bool) -> None:
    result = python(FORKED, *(["torch"] if torch else []))
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")


# --- the choice of instruction set and of threads ------------------------------------------------------------


@pytest.mark.parametrize("isa", ISAS)
def test_the_environment_forces_an_instruction_set(isa: str) -> None:
    result = python("from grus.kernels import native; print(native.isa())", GRUS_ISA=isa)
    assert result.stdout == f"{isa}\n"


def test_an_unknown_instruction_set_is_an_error_that_names_the_choices() -> None:
    result = python("from grus.kernels import native; native.isa()", GRUS_ISA="sse9")
    assert result.returncode != 0
    names = ", ".join(ISAS)
    assert f"UsageError: GRUS_ISA: must be one of {names} on this machine, got 'sse9'" in result.stderr
    with pytest.raises(UsageError, match=r"isa: must be one of .*portable on this machine, got 'mmx'"):
        PackedLinear(np.ones((2, 2)), isa="mmx")


def test_the_environment_sets_the_number_of_threads() -> None:
    code = "from grus.kernels import native; print(native.num_threads())"
    assert python(code, GRUS_NUM_THREADS="3").stdout == "3\n"
    for bad in ("0", "two", "1.5", "4096"):
        assert f"GRUS_NUM_THREADS: must be a whole number from 1 to 1024, got '{bad}'" in (
            python(code, GRUS_NUM_THREADS=bad).stderr
        )
    with pytest.raises(UsageError, match="from 1 to 1024, got 0"):
        native.set_num_threads(0)


# --- the dense layer -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("rows", "inputs", "outputs"), [(1, 1, 1), (0, 3, 2), (3, 0, 4), (5, 33, 100), (70, 9, 49)]
)
def test_linear_matches_the_exact_product(
    rows: int, inputs: int, outputs: int, dtype: type, isa: str
) -> None:
    rng = np.random.default_rng(2)
    w, b, x = (rng.normal(size=s).astype(dtype) for s in [(outputs, inputs), (outputs,), (rows, inputs)])
    layer = PackedLinear(w, b, isa=isa)
    wide = [a.astype(np.longdouble) for a in (x, w, b)]
    y = layer(x)
    assert_close_to_oracle(y, wide[0] @ wide[1].T + wide[2], x @ w.T + b)
    if rows:
        assert_bitwise_equal(layer(x[-1]), y[-1])
        assert_bitwise_equal(layer(x[None, -2:]), y[None, -2:])
    assert_bitwise_equal(PackedLinear(w, isa=isa)(x), PackedLinear(w, np.zeros_like(b), isa=isa)(x))


# --- what is refused -----------------------------------------------------------------------------------------

W_IH, W_HH, X = np.ones((12, 3), np.float32), np.ones((12, 4), np.float32), np.ones((2, 5, 3), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda g: g.run(X[0]), UsageError, r"PackedGRU.run: x must have shape (B, T, I=3), got (5, 3)"),
        (lambda g: g.run(X[:, :, :2]), UsageError, r"x must have shape (B, T, I=3), got (2, 5, 2)"),
        (lambda g: g.run(X.astype("d")), TypeError, "PackedGRU.run: x must be float32, got float64"),
        (lambda g: g.run(X.astype("e")), TypeError, "x must be float32, got format 'e'"),
        (lambda g: g.run(X.astype(">f4")), TypeError, "x must be float32, got format '>f'"),
        (lambda g: g.run(X.tolist()), TypeError, "PackedGRU.run: x must be a NumPy array, got list"),
        (lambda g: g.run(X, np.ones((3, 4), "f")), UsageError, "h0 must have shape (B=2, H=4), got (3, 4)"),
        (
            lambda g: g.run(X, lengths=np.array([5, 6])),
            UsageError,
            "lengths[1]: must be from 0 to the 5 steps of x",
        ),
        (
            lambda g: g.run(X, lengths=np.array([-1, 6])),
            UsageError,
            "lengths[0]: must be from 0 to the 5 steps",
        ),
        (lambda g: g.run(X, lengths=np.array([5])), UsageError, "lengths must have shape (B=2,), got (1,)"),
        (lambda g: g.run(X, lengths=np.array([5.0, 5.0])), TypeError, "lengths must be int64, got float64"),
        (lambda g: g.run(X, resets=np.ones((2, 4), bool)), UsageError, "resets must have shape (B=2, T=5)"),
        (lambda g: g.run(X, resets=np.ones((2, 5))), TypeError, "resets must be bool, got float64"),
        (lambda g: g.run(X, out=np.ones((2, 5, 3), "f")), UsageError, "out must have shape (B=2, T=5, H=4)"),
        (
            lambda g: g.run(X, out=np.ones((2, 5, 8), "f")[:, :, ::2]),
            UsageError,
            "contiguous along its last axis",
        ),
        (
            lambda g: g.run(X, out=np.lib.stride_tricks.as_strided(np.ones(4, "f"), (2, 5, 4), (0, 0, 4))),
            UsageError,
            "out must have rows that do not overlap",
        ),
        (
            lambda g: g.run(np.ones((2, 5, 4), "f")[:, :, :3], out=np.ones(1)),
            TypeError,
            "out must be float32",
        ),
        (
            lambda g: g.step(X[0], np.ones((1, 4), "f")),
            UsageError,
            "PackedGRU.step: h must have shape (B=5, H=4)",
        ),
        (lambda g: g.step(X, X), UsageError, "PackedGRU.step: x must have shape (B, I=3), got (2, 5, 3)"),
        (
            lambda g: PackedGRU(W_IH, W_HH[:11]),
            UsageError,
            "weight_hh must have shape (3 * hidden, hidden), got",
        ),
        (lambda g: PackedGRU(W_IH[:9], W_HH), UsageError, "weight_ih must have shape (G=12, I), got (9, 3)"),
        (lambda g: PackedGRU(W_IH, W_HH, W_IH), UsageError, "bias_ih must have shape (N=12,), got (12, 3)"),
        (lambda g: PackedGRU(W_IH, W_HH.astype("d")), TypeError, "weight_hh must be float32, got float64"),
        (lambda g: PackedGRU(W_IH.astype(int), W_HH), TypeError, "weight_ih must be float32, got int64"),
        (
            lambda g: PackedLinear(W_IH[0]),
            UsageError,
            "PackedLinear: weight must have shape (N, K), got (3,)",
        ),
        (
            lambda g: PackedLinear(W_IH)(W_HH),
            UsageError,
            "PackedLinear: x must have shape (B, K=3), got (12, 4)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(call: object, error: type, message: str) -> None:
    with pytest.raises(error) as caught:
        call(PackedGRU(W_IH, W_HH))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_overlapping_and_read_only_outputs_are_refused() -> None:
    gru = PackedGRU(np.ones((12, 4), np.float32), W_HH)
    x = np.ones((2, 5, 4), np.float32)
    with pytest.raises(UsageError, match="out must not share memory with x"):
        gru.run(x, out=x)
    h = np.ones((5, 4), np.float32)
    with pytest.raises(UsageError, match="out must not share memory with h, except to be h itself"):
        gru.step(h[:3].copy(), h[:3], h[1:4])
    frozen = np.ones((2, 5, 4), np.float32)
    frozen.flags.writeable = False
    with pytest.raises(TypeError, match="out must be a writable NumPy array, got"):
        gru.run(x, out=frozen)


def test_the_committed_stub_is_the_generated_one(tmp_path: Path) -> None:
    from nanobind import stubgen

    generator = stubgen.StubGen(module=_native)
    generator.put(_native)
    committed = Path(native.__file__).with_name("_native.pyi").read_text()
    assert ast.dump(ast.parse(generator.get())) == ast.dump(ast.parse(committed))


def test_a_wrong_case_is_rejected_by_the_check() -> None:
    case = make_case(Shape(T=6, B=5, I=7, H=20), seed=11)
    w = case.weights[0]
    wrong = w.weight_hh.copy()
    wrong[7, 3] += 1e-3
    good = gru_direction(case.x, case.h_0[0], w)
    rough = case.astype(np.float32)
    rough_out = gru_direction(rough.x, rough.h_0[0], rough.weights[0]).output
    y, _ = run(replace(case, weights=(replace(w, weight_hh=wrong),)))
    with pytest.raises(AssertionError, match="exceeds"):
        assert_close_to_oracle(y, good.output.swapaxes(0, 1), rough_out.swapaxes(0, 1))
