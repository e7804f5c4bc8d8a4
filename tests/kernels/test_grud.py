"""GRU-D's oracle, and the kernel that looks back: gradients, the paper's delta, what is never read, wrong use."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from grud_cases import DECAYS, GRU, VARIANTS, GRUDCase, Shape, make_grud
from grus.errors import UsageError
from grus.kernels import native
from grus.kernels.layout import GRUWeights
from grus.kernels.look_back import LookBack, look_back, look_back_gradient
from grus.kernels.native import PackedGRU
from grus.kernels.reference_grud import GRUDWeights, States, grud
from numerics import assert_bitwise_equal, assert_close_to_oracle

ISAS = native.available_isas()

# --- the oracle ---------------------------------------------------------------------------------------------


def moved(case: GRUDCase, name: str, array: np.ndarray) -> GRUDCase:
    """The case with one of its arrays replaced."""
    if name in ("x", "gap"):
        return replace(case, **{name: array})
    if name in States._fields:
        return replace(case, states=case.states._replace(**{name: array}))
    if name in GRU:
        return replace(case, weights=replace(case.weights, gru=replace(case.weights.gru, **{name: array})))
    return replace(case, weights=replace(case.weights, **{name: array}))


@pytest.mark.parametrize("shape", VARIANTS[:6], ids=str)
def test_the_oracles_gradient_is_the_slope(shape: Shape) -> None:
    case, step = make_grud(shape), 1e-6
    results = case.results(np.float64)
    sources: list[Any] = [case, case.states, case.weights.gru, case.weights]

    def loss(c: GRUDCase) -> float:
        forward = c.forward()
        states = sum((a * d).sum() for a, d in zip(forward.states, c.d_states, strict=True))
        return float((forward.output * c.d_output).sum() + states)

    for name in ("x", "gap", *States._fields, *GRU, *DECAYS):
        array = next(getattr(source, name) for source in sources if hasattr(source, name))
        rng = np.random.default_rng(0)
        direction = rng.standard_normal(array.shape)
        up, down = (loss(moved(case, name, array + sign * step * direction)) for sign in (1, -1))
        found = (results[f"d_{name}"] * direction).sum()
        np.testing.assert_allclose(found, (up - down) / (2 * step), rtol=2e-6, atol=1e-8, err_msg=name)


def test_time_since_the_last_observation_is_the_papers_delta() -> None:
    """Equation 2 of Che et al. 2018, from the times of the rows: delta of the first one is 0."""
    case = make_grud(Shape(T=20))
    times = np.cumsum(case.gap[:, :, 0], axis=0) - case.gap[0, :, 0]
    gap = np.diff(times, axis=0, prepend=times[:1])[:, :, None]
    delta = np.zeros_like(case.x)
    for t in range(1, 20):
        here = times[t] - times[t - 1]
        delta[t] = here[:, None] + np.where(case.mask[t - 1] > 0, 0, delta[t - 1])
    start = States(*(np.zeros_like(a) for a in case.states))
    trace = grud(case.x, case.mask, gap, start, case.weights).trace
    np.testing.assert_allclose(trace.elapsed, delta, atol=1e-12)


def test_the_oracle_is_a_gru_where_all_is_observed_and_nothing_fades() -> None:
    case = make_grud(Shape(observed=1.0))
    still = replace(case.weights, state_decay_weight=case.weights.state_decay_weight * 0 - 1)
    still = replace(still, state_decay_bias=still.state_decay_bias * 0)
    output = grud(case.x, case.mask, case.gap, case.states, still).output
    w = case.weights.gru
    packed = PackedGRU(w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh)
    joined = np.concatenate([case.x, case.mask], axis=2).swapaxes(0, 1)
    np.testing.assert_allclose(output.swapaxes(0, 1), packed.run(joined, case.states.h)[0], atol=1e-12)


def test_the_oracle_refuses_what_does_not_fit() -> None:
    case = make_grud()
    given = (case.x, case.mask, case.gap, case.states, case.weights)
    with pytest.raises(UsageError, match=r"x must be float64 of shape \(T, B, 4\), got float64 \(6, 5, 3\)"):
        grud(case.x[:, :, :3], *given[1:])
    with pytest.raises(UsageError, match=r"gap must have shape \(6, 5, 1\), got \(6, 5\)"):
        grud(case.x, case.mask, case.gap[:, :, 0], *given[3:])
    with pytest.raises(UsageError, match=r"since must have shape \(5, 4\), got \(5, 7\)"):
        grud(*given[:3], case.states._replace(since=case.states.h), case.weights)
    w = case.weights
    with pytest.raises(
        UsageError, match=r"state_decay_bias must be float64 of shape \(7,\), got float64 \(4,\)"
    ):
        replace(w, state_decay_bias=w.input_decay_bias)
    odd = GRUWeights(w.gru.weight_ih[:, :7], w.gru.weight_hh)
    with pytest.raises(UsageError, match="weight_ih must have an even width, got 7"):
        GRUDWeights(odd, *(getattr(w, name) for name in DECAYS))


# --- looking back -------------------------------------------------------------------------------------------


def view(a: np.ndarray) -> native.View:
    """Of a [T, B, *] array, or of a [B, *] one."""
    strides = [s // a.itemsize for s in a.strides]
    return (a.ctypes.data, strides[1], strides[0]) if a.ndim == 3 else (a.ctypes.data, strides[0], 0)


class Looked:
    """A case through the kernel, forward and back with random gradients; every result is NaN until it is filled."""

    def __init__(self, case: GRUDCase, dtype: Any, isa: str = "", wanted: bool = True) -> None:
        c = case.astype(dtype)
        (T, B, D), w = c.x.shape, c.weights
        made = {"inputs": (T, B, 2 * D), "elapsed": (T, B, D), "before": (T, B, D)}
        made |= {"last_n": (B, D), "since_n": (B, D)}
        made |= {"d_x": (T, B, D), "d_gap": (T, B, 1), "d_last": (B, D), "d_since": (B, D)}
        made |= {"d_weight": (D,), "d_bias": (D,)}
        f = self.found = {name: np.full(shape, np.nan, dtype) for name, shape in made.items()}
        lengths = None if c.lengths is None else np.asarray(c.lengths, np.int64)
        decay = (w.input_decay_weight, w.input_decay_bias)
        self.alive = (c, lengths)
        given = (c.x, c.mask, c.gap, c.states.last, c.states.since)
        self.call = LookBack(
            np.dtype(dtype).itemsize, (B, T, D), tuple(a.ctypes.data for a in decay), *map(view, given),
            *(view(f[name]) for name in ("inputs", "elapsed", "before", "last_n", "since_n")),
            None if lengths is None else (lengths.ctypes.data, 1, 0),
        )  # fmt: skip
        look_back(self.call, isa=isa)
        d_inputs, d_elapsed = gradients(case, dtype)
        targets = {name: view(f[name]) if wanted else None for name in ("d_x", "d_gap", "d_last", "d_since")}
        look_back_gradient(
            self.call, view(d_inputs), view(d_elapsed), (view(c.d_states.last), view(c.d_states.since)),
            (f["d_weight"].ctypes.data, f["d_bias"].ctypes.data), **targets, isa=isa,
        )  # fmt: skip


def gradients(case: GRUDCase, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Those that arrive at the joined inputs [T, B, 2D] and at the times since [T, B, D]."""
    rng, (T, B, D) = np.random.default_rng(1), case.x.shape
    return tuple(rng.standard_normal((T, B, n)).astype(np.float32).astype(dtype) for n in (2 * D, D))  # pyright: ignore[reportReturnType]


def oracle(case: GRUDCase, dtype: Any) -> dict[str, np.ndarray]:
    """The same by the equations, a row and a step at a time."""
    c = case.astype(dtype)
    (T, _, D), w = c.x.shape, c.weights
    (d_inputs, d_elapsed), found = (
        gradients(case, dtype),
        grud(c.x, c.mask, c.gap, c.states, c.weights, c.lengths),
    )
    t = found.trace
    e, gx = t.a, np.exp(-np.maximum(t.a, 0))
    live = t.valid[:, :, None]
    xhat = np.where(live, np.where(t.observed, c.x, gx * t.last), 0)
    q = np.where(live, d_inputs[:, :, :D], 0)
    da = np.where(t.observed | (e <= 0) | ~live, 0, -q * t.last * gx)
    ds = np.where(live, da * w.input_decay_weight + d_elapsed, 0)
    d_last, d_since = c.d_states.last, c.d_states.since
    d_x = np.zeros_like(q)
    for s in reversed(range(T)):
        d_x[s] = np.where(t.observed[s], q[s] + d_last, 0)
        d_last = np.where(live[s], np.where(t.observed[s], 0, d_last + q[s] * gx[s]), d_last)
        ds[s] += np.where(t.observed[s] | ~live[s], 0, d_since)
        d_since = np.where(live[s], ds[s], d_since)
    return {
        "inputs": np.concatenate([xhat, t.observed.astype(dtype)], axis=2), "elapsed": t.elapsed,
        "before": np.where(live, t.last, 0), "last_n": found.states.last, "since_n": found.states.since,
        "d_x": d_x, "d_gap": ds.sum(2, keepdims=True), "d_last": d_last, "d_since": d_since,
        "d_weight": (da * t.elapsed).sum((0, 1)), "d_bias": da.sum((0, 1)),
    }  # fmt: skip


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", VARIANTS, ids=str)
def test_looking_back_is_the_oracle(shape: Shape, isa: str) -> None:
    case = make_grud(shape, seed=3)
    for dtype, wide in ((np.float32, np.float64), (np.float64, np.longdouble)):
        exact, rough = oracle(case, wide), oracle(case, dtype)
        for name, value in Looked(case, dtype, isa).found.items():
            assert_close_to_oracle(value, exact[name], rough[name], name)


@pytest.mark.parametrize("isa", ISAS)
def test_a_row_has_the_same_bits_alone_and_in_pieces(isa: str) -> None:
    case = make_grud(Shape(T=12, B=6, D=19))
    whole = Looked(case, np.float32, isa).found
    for row in (0, 5):
        part = slice(row, row + 1)
        names = {name: getattr(case, name)[:, part] for name in ("x", "mask", "gap", "d_output")}
        states, d_states = (States(*(a[part] for a in s)) for s in (case.states, case.d_states))
        alone = Looked(replace(case, **names, states=states, d_states=d_states), np.float32, isa).found
        for name in ("inputs", "elapsed"):
            assert_bitwise_equal(alone[name], whole[name][:, part], name)
    first = replace(case, **{name: getattr(case, name)[:5] for name in ("x", "mask", "gap")})
    begun = Looked(first, np.float32, isa).found
    states = States(case.states.h, begun["last_n"], begun["since_n"])
    rest = replace(case, **{name: getattr(case, name)[5:] for name in ("x", "mask", "gap")}, states=states)
    later = Looked(rest, np.float32, isa).found
    assert_bitwise_equal(np.concatenate([begun["inputs"], later["inputs"]]), whole["inputs"])
    for name in ("last_n", "since_n"):
        assert_bitwise_equal(later[name], whole[name], name)


def test_what_is_not_wanted_is_not_written() -> None:
    case = make_grud()
    found = Looked(case, np.float32, wanted=False).found
    assert all(np.isnan(found[name]).all() for name in ("d_x", "d_gap", "d_last", "d_since"))
    assert_bitwise_equal(found["d_weight"], Looked(case, np.float32).found["d_weight"])


def test_looking_back_refuses_what_cannot_be() -> None:
    call = Looked(make_grud(Shape(lengths=True)), np.float32).call
    cases: list[tuple[dict[str, Any], str]] = [
        ({"itemsize": 2}, r"itemsize must be 4 \(float32\) or 8 \(float64\), got 2"),
        ({"sizes": (5, -1, 4)}, "sizes must be from 0 to 2"),
        ({"mask": None}, "mask must be given, got None"),
        ({"gap": (call.gap[0] + 1, 1, 1)}, "gap must be aligned to 4 bytes"),
        ({"decay": (0, 0)}, "decay must hold weight and bias"),
        ({"sizes": (5, 2, 4)}, "lengths"),
    ]
    for changed, sentence in cases:
        with pytest.raises(UsageError, match=sentence):
            look_back(call._replace(**changed))
    with pytest.raises(TypeError, match=r"given must be a grus\.kernels\.look_back\.LookBack"):
        look_back((1, 2))  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="d_decay must hold weight and bias"):
        look_back_gradient(call, call.x, None, (None, None), (0, 0))


# --- a layer whose state fades ------------------------------------------------------------------------------


@pytest.mark.parametrize("isa", ISAS)
def test_a_fading_layer_has_the_same_bits_alone_in_chunks_and_on_threads(isa: str) -> None:
    rng = np.random.default_rng(0)
    w_ih, w_hh = (rng.uniform(-0.3, 0.3, (3 * 130, n)).astype(np.float32) for n in (9, 130))
    gru = PackedGRU(w_ih, w_hh, isa=isa)
    x, h_0 = rng.standard_normal((6, 11, 9)).astype(np.float32), rng.random((6, 130)).astype(np.float32)
    decay = rng.random((6, 11, 130)).astype(np.float32)
    before = native.num_threads()
    try:
        for threads in (1, 2, 3):
            native.set_num_threads(threads)
            whole, last = gru.run(x, h_0, decay=decay)
            alone, _ = gru.run(x[2:3], h_0[2:3], decay=decay[2:3])
            assert_bitwise_equal(alone, whole[2:3])
            h, parts = h_0, []
            for cut in (slice(0, 1), slice(1, 7), slice(7, 11)):
                y, h = gru.run(x[:, cut], h, decay=decay[:, cut])
                parts.append(y)
            assert_bitwise_equal(np.concatenate(parts, axis=1), whole)
            assert_bitwise_equal(h, last)
            stepped = gru.step(x[:, 0], decay[:, 0] * h_0)
            assert_bitwise_equal(stepped, np.ascontiguousarray(whole[:, 0]))
    finally:
        native.set_num_threads(before)


def test_a_decay_needs_its_shape_and_reset_after() -> None:
    w_ih, w_hh = np.ones((6, 3), np.float32), np.ones((6, 2), np.float32)
    x, decay = np.ones((1, 4, 3), np.float32), np.ones((1, 4, 2), np.float32)
    with pytest.raises(UsageError, match=r"PackedGRU\.run: decay must have shape .*, got"):
        PackedGRU(w_ih, w_hh).run(x, decay=decay[:, :3])
    with pytest.raises(UsageError, match=r"^PackedGRU\.run: decay must be None where reset_after is False$"):
        PackedGRU(w_ih, w_hh, reset_after=False).run(x, decay=decay)
