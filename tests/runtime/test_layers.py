"""GRU layers on their own: torch's numbers, one step as the whole, and what is refused."""

import subprocess
import sys
import textwrap
import threading
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import grus.nn
from gru_cases import VARIANTS, Shape, make_case
from grus.errors import UnsupportedError, UsageError
from grus.kernels import native
from grus.runtime import Recurrent
from numerics import assert_bitwise_equal, assert_close_to_oracle

RNG = np.random.default_rng(0)


def from_case(case, dtype=np.float32, **options):
    """The layers of a case, its x [B, T, I] and its state."""
    o = case.options
    suffixes = [
        f"l{i // 2}{'_reverse' * (i % 2)}" if o.bidirectional else f"l{i}" for i in range(len(case.weights))
    ]
    tensors = {
        f"{name}_{suffix}": array.astype(dtype)
        for suffix, w in zip(suffixes, case.weights, strict=True)
        for name, array in w.items()
    }
    layers = Recurrent(tensors, reset_after=o.reset_after, zoneout=float(o.keep), **options)
    return layers, case.x.swapaxes(0, 1).astype(dtype), case.h_0.swapaxes(0, 1).astype(dtype)


def small(layers=1, inputs=3, hidden=5, **options):
    return Recurrent.from_torch(torch.nn.GRU(inputs, hidden, layers), **options)


# --- the same numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape",
    [s for s in VARIANTS if not (s.resets or s.recurrent_dropout or s.dropout or s.zoneout == "mask")],
    ids=str,
)
def test_run_is_the_oracle(shape):
    case = make_case(shape, seed=3)
    layers, x, state = from_case(case)
    before = state.copy()
    lengths = None if case.options.lengths is None else np.asarray(case.options.lengths, np.int64)
    y, h = layers.run(x, state, lengths)
    wide, narrow = case.forward(), case.astype(np.float32).forward()
    assert_close_to_oracle(y.swapaxes(0, 1), wide.output, narrow.output, "y")
    assert_close_to_oracle(h.swapaxes(0, 1), wide.h_n, narrow.h_n, "state")
    assert_bitwise_equal(state, before)


@pytest.mark.parametrize("gru", [torch.nn.GRU, grus.nn.GRU])
@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 3}, {"bidirectional": True, "bias": False, "num_layers": 2}]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_from_torch_is_the_module_in_evaluation(gru, options, dtype):
    module = gru(
        4, 7, batch_first=True, dropout=0.5 if options else 0.0, dtype=dtype, **({"num_layers": 2} | options)
    )
    module.eval()
    layers = Recurrent.from_torch(module)
    x, h = (
        torch.randn(3, 6, 4, dtype=dtype),
        torch.randn(layers.layers * layers.directions, 3, 7, dtype=dtype),
    )
    y, h_n = module(x, h)
    found, state = layers.run(x.numpy(), h.numpy().swapaxes(0, 1))
    assert found.dtype == state.dtype == layers.dtype
    eps = 32 * np.finfo(layers.dtype).eps
    np.testing.assert_allclose(found, y.detach().numpy(), rtol=0, atol=eps)
    np.testing.assert_allclose(state.swapaxes(0, 1), h_n.detach().numpy(), rtol=0, atol=eps)


def test_from_torch_reads_the_options_of_grus_nn_and_narrow_parameters():
    options = {"reset_after": False, "layer_norm": True, "zoneout": 0.3}
    module = grus.nn.GRU(4, 7, 2, **options).eval()
    x = torch.randn(6, 3, 4)
    with torch.no_grad():
        y, _ = module(x)
    assert_bitwise_equal(Recurrent.from_torch(module).run(x.numpy().swapaxes(0, 1))[0].swapaxes(0, 1), y)
    half = torch.nn.GRU(4, 7).bfloat16()
    assert_bitwise_equal(
        Recurrent.from_torch(half).run(x.numpy())[0], Recurrent.from_torch(half.float()).run(x.numpy())[0]
    )


def test_the_weights_are_those_of_the_moment():
    module = torch.nn.GRU(3, 5)
    layers, x = Recurrent.from_torch(module), np.ones((1, 2, 3), np.float32)
    y, _ = layers.run(x)
    with torch.no_grad():
        module.weight_ih_l0.zero_()
    assert_bitwise_equal(layers.run(x)[0], y)


# --- one step ----------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_steps_are_the_whole_to_the_bit(data):
    def integer(low, high):
        return data.draw(st.integers(low, high))

    shape = Shape(
        T=integer(1, 5),
        B=data.draw(st.sampled_from([0, 1, 2, 3, 7, 64, 65, 130])),
        I=integer(0, 20),
        H=integer(1, 40),
        L=integer(1, 3),
        bias=data.draw(st.booleans()),
        layer_norm=data.draw(st.booleans()),
        reset_after=data.draw(st.booleans()),
        zoneout=data.draw(st.sampled_from(["", "expectation"])),
    )
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    weights = data.draw(st.sampled_from([None, "bf16", "int8"])) if dtype is np.float32 else None
    layers, x, state = from_case(make_case(shape, seed=integer(0, 5)), dtype, weights=weights)
    whole, last = layers.run(x, state)
    kept, out = state.copy(), np.full((shape.B, shape.H), np.nan, dtype)
    for t in range(shape.T):
        x_t = x[:, t] if data.draw(st.booleans()) else np.asfortranarray(x[:, t])
        y, following = layers.step(x_t, state)
        assert_bitwise_equal(y, whole[:, t])
        in_place, same = layers.step(x_t, kept, out=out)
        assert in_place is out
        assert same is kept
        assert_bitwise_equal(out, y)
        assert_bitwise_equal(kept, following)
        state = following
    assert_bitwise_equal(state, last)


@pytest.mark.parametrize("isa", native.available_isas())
@pytest.mark.parametrize(("hidden", "threads"), [(1, 1), (33, 2), (320, 2), (320, 3), (512, 2)])
def test_a_step_has_the_same_bits_shared_between_threads_or_not(hidden, threads, isa, monkeypatch):
    monkeypatch.setenv("GRUS_ISA", isa)
    layers = small(2, 16, hidden)
    x, state = RNG.normal(size=(1, 60, 16)).astype("f"), layers.init_state(1)
    expected, y = layers.run(x), np.empty((1, hidden), np.float32)
    before = native.num_threads()
    try:
        native.set_num_threads(threads)
        for t in range(60):  # close enough to each other to be shared from the third on
            layers.step(x[:, t], state, out=y)
            assert_bitwise_equal(y, expected[0][:, t])
    finally:
        native.set_num_threads(before)
    assert_bitwise_equal(state, expected[1])


def test_without_out_the_state_stays_as_it_is():
    layers = small(2)
    state = layers.init_state(3) + np.float32(0.5)
    y, following = layers.step(np.ones((3, 3), np.float32), state)
    assert (state == 0.5).all()
    assert not np.shares_memory(following, state)
    assert_bitwise_equal(y, following[:, -1])


def test_a_row_has_the_bits_it_has_alone_and_a_nan_stays_in_its_row():
    layers = small(2, 3, 37)
    x, state = RNG.normal(size=(130, 3)).astype("f"), RNG.normal(size=(130, 2, 37)).astype("f")
    y, following = layers.step(x, state)
    for row in (0, 63, 64, 129):
        alone, after = layers.step(x[row : row + 1], state[row : row + 1])
        assert_bitwise_equal(alone[0], y[row])
        assert_bitwise_equal(after[0], following[row])
    x[70] = np.nan
    spoilt, _ = layers.step(x, state)
    assert np.isnan(spoilt[70]).all()
    assert_bitwise_equal(np.delete(spoilt, 70, 0), np.delete(y, 70, 0))


def test_streams_are_rows_of_the_state():
    layers = small(2)
    x = RNG.normal(size=(4, 6, 3)).astype("f")
    whole, last = layers.run(x)
    _, a = layers.run(x[:1, :2])
    _, b = layers.run(x[1:3, :2])
    joined = np.concatenate([b, a, layers.init_state(1)])
    rows = np.concatenate([x[1:3, 2:], x[:1, 2:], x[3:, :4]])
    y, state = layers.run(rows, joined)
    assert_bitwise_equal(y[:3], whole[[1, 2, 0], 2:])
    assert_bitwise_equal(state[:3], last[[1, 2, 0]])
    state[1] = 0
    assert_bitwise_equal(layers.step(x[:3, 0], state[:3])[0][1], whole[1, 0])


def test_a_strided_state_and_output_are_filled_where_they_lie():
    layers = small(2)
    x, pool = np.ones((2, 3), np.float32), np.full((5, 3, 9), 7, np.float32)
    state, y = pool[::2, 1:, 2:7][:2], np.full((4, 8), 7, np.float32)
    state[:] = 0.25
    expected, after = layers.step(x, state.copy())
    layers.step(x, state, out=y[::2, 1:6])
    assert_bitwise_equal(np.ascontiguousarray(state), after)
    assert_bitwise_equal(np.ascontiguousarray(y[::2, 1:6]), expected)
    assert (pool[1] == 7).all()
    assert (pool[:, 0] == 7).all()
    assert (pool[:, :, 7:] == 7).all()
    assert (y[1::2] == 7).all()
    assert (y[:, [0, 6, 7]] == 7).all()


def test_with_out_nothing_is_allocated():
    layers = small(2)
    x, state, y = np.ones((1, 3), np.float32), layers.init_state(1), np.empty((1, 5), np.float32)
    step = layers.step
    step(x, state, out=y)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in range(100):
            step(x, state, out=y)
        assert tracemalloc.get_traced_memory()[1] - before < 1000
        for _ in range(2):
            kept = step(x, state)
        assert kept
        assert tracemalloc.get_traced_memory()[0] > before
    finally:
        tracemalloc.stop()


def test_threads_may_share_the_layers():
    layers = small(2, 16, 256)
    x = RNG.normal(size=(4, 200, 16)).astype("f")
    expected, _ = layers.run(x)
    found = np.empty_like(expected)

    def live(row):
        state, y = layers.init_state(1), np.empty((1, 256), np.float32)
        for t in range(200):
            layers.step(x[row : row + 1, t], state, out=y)
            found[row, t] = y[0]

    threads = [threading.Thread(target=live, args=(row,)) for row in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_bitwise_equal(found, expected)


# --- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.ones((2, 4), "f")}, r"Recurrent\.step: x must have shape \(B, I=3\), got \(2, 4\)"),
        ({"x": np.ones(3, "f")}, r"Recurrent\.step: x must have shape \(B, I=3\), got \(3,\)"),
        (
            {"state": np.zeros((2, 1, 5), "f")},
            r"Recurrent\.step: state must have shape \(B=2, L=2, H=5\), got \(2, 1, 5\)",
        ),
        (
            {"state": np.zeros((3, 2, 5), "f")},
            r"Recurrent\.step: state must have shape \(B=2, .*got \(3, 2, 5\)",
        ),
        ({"out": np.zeros((2, 6), "f")}, r"Recurrent\.step: out must have shape \(B=2, H=5\), got \(2, 6\)"),
        (
            {"state": np.zeros((2, 2, 10), "f")[:, :, ::2]},
            "state must be aligned and contiguous along its last axis",
        ),
        ({"state": np.broadcast_to(np.zeros(5, "f"), (2, 2, 5))}, "state must be a writable NumPy array"),
    ],
)
def test_wrong_arrays_are_refused_and_nothing_is_written(change, message):
    layers = small(2)
    given = {
        "x": np.ones((2, 3), "f"),
        "state": np.zeros((2, 2, 5), "f"),
        "out": np.zeros((2, 5), "f"),
    } | change
    with pytest.raises((UsageError, TypeError), match=f"^.*{message}"):
        layers.step(**given)
    assert not given["state"].any()
    assert not given["out"].any()


@pytest.mark.parametrize("name", ["x", "state", "out"])
def test_another_dtype_is_refused(name):
    given = {"x": np.ones((2, 3), "f"), "state": np.zeros((2, 2, 5), "f"), "out": np.zeros((2, 5), "f")}
    given[name] = given[name].astype(np.float64)
    with pytest.raises(TypeError, match=rf"^Recurrent\.step: {name} must be float32, got float64$"):
        small(2).step(**given)


def test_memory_that_is_shared_is_refused():
    layers, memory = small(1, 5, 5), np.zeros((2, 1, 5), np.float32)
    with pytest.raises(UsageError, match=r"^Recurrent\.step: out must not share memory with state$"):
        layers.step(np.ones((2, 5), np.float32), memory, out=memory[:, 0])
    with pytest.raises(UsageError, match=r"^Recurrent\.step: out must not share memory with x$"):
        layers.step(memory[:, 0], memory.copy(), out=memory[:, 0])
    with pytest.raises(UsageError, match=r"^Recurrent\.step: state must not share memory with x$"):
        layers.step(memory[:, 0], memory, out=np.zeros((2, 5), np.float32))


def test_bidirectional_layers_cannot_step():
    layers = Recurrent.from_torch(torch.nn.GRU(3, 5, bidirectional=True))
    with pytest.raises(UnsupportedError, match=r"^Recurrent\.step: layers must run in one direction"):
        layers.step(np.ones((1, 3), np.float32), layers.init_state(1))


def test_a_wrong_state_of_run_is_refused():
    with pytest.raises(
        UsageError, match=r"^Recurrent\.run: state must have shape \(B, 2, 5\), got \(2, 1, 5\)$"
    ):
        small(2).run(np.ones((2, 1, 3), np.float32), np.zeros((2, 1, 5), np.float32))
    with pytest.raises(UsageError, match="h0 must have shape"):
        small(2).run(np.ones((2, 1, 3), np.float32), np.zeros((3, 2, 5), np.float32))


@pytest.mark.parametrize("module", [torch.nn.LSTM(3, 5), torch.nn.RNN(3, 5), torch.nn.Linear(3, 5), "GRU"])
def test_other_modules_are_refused(module):
    message = f"module must be a torch.nn.GRU or grus.nn.GRU, got {type(module).__name__}$"
    with pytest.raises(UsageError, match=message):
        Recurrent.from_torch(module)


def test_tensors_must_fit_each_other():
    good = {"weight_ih_l0": np.ones((15, 3), "f"), "weight_hh_l0": np.ones((15, 5), "f")}
    with pytest.raises(UsageError, match="tensors must have 'weight_ih_l0', got"):
        Recurrent({})
    with pytest.raises(UsageError, match="tensors must have 'weight_hh_l1', got"):
        Recurrent(good | {"weight_ih_l1": np.ones((15, 5), "f")})
    second = {"weight_ih_l1": np.ones((15, 4), "f"), "weight_hh_l1": np.ones((15, 5), "f")}
    with pytest.raises(UsageError, match="layer 1 must have the dtype of the first, input size 5"):
        Recurrent(good | second)
    wide = {"weight_ih_l1": np.ones((15, 5)), "weight_hh_l1": np.ones((15, 5))}
    with pytest.raises(UsageError, match=r"layer 1 must have the dtype of the first.*got float64"):
        Recurrent(good | wide)


def test_it_runs_where_torch_cannot_be_imported():
    script = """
        import sys
        sys.modules["torch"] = None
        import numpy as np
        from grus.runtime import Recurrent
        class Fake:
            mode, num_layers, bidirectional, all_weights = "GRU", 1, False, []
        class Tensor:
            def __init__(self, *shape): self.array = np.ones(shape, "f")
            def detach(self): return self
            cpu = float = detach
            def element_size(self): return 4
            def numpy(self): return self.array
        module = Fake()
        module.weight_ih_l0, module.weight_hh_l0 = Tensor(6, 3), Tensor(6, 2)
        print(Recurrent.from_torch(module).run(np.ones((1, 1, 3), "f"))[0].shape)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "(1, 1, 2)\n", done.stderr
