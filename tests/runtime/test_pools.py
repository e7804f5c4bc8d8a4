"""Pooling in the runtime: long and ragged streams, padding, ties of signed zeros, scores of any size."""

import numpy as np
import pytest

from example_graphs import random_inputs, random_tensors
from graph_oracle import run as oracle
from grus.runtime import Program
from grus.spec import Port, chain, ops
from numerics import assert_bitwise_equal, assert_close_to_oracle

X = Port("x", "seq", 5, "src")
POOLS = {
    "mean": ops.Pool("mean"),
    "max": ops.Pool("max"),
    "attention": ops.AttentionPool(6),
    "last": ops.Last(),
}
LENGTHS = np.array([300, 0, 1, 299, 57, 0, 300])


@pytest.fixture(params=POOLS)
def program(request):
    graph = chain(X, [POOLS[request.param]])
    return Program(graph, random_tensors(graph))


def pooled(program, x, lengths=None, state=None):
    return program.run({"x": x}, state, None if lengths is None else {"src": lengths})


def test_rows_of_any_length_have_the_bits_they_have_alone(program):
    x = random_inputs(program.graph, len(LENGTHS), {"src": 300})["x"]
    together = program({"x": x}, {"src": LENGTHS})["out"]
    for row, length in enumerate(LENGTHS):
        assert_bitwise_equal(together[row : row + 1], program({"x": x[row : row + 1, :length]})["out"])
    order = np.array([6, 1, 4])
    assert_bitwise_equal(program({"x": x[order]}, {"src": LENGTHS[order]})["out"], together[order])
    assert not together[LENGTHS == 0].any()


@pytest.mark.parametrize("pool", POOLS)
def test_both_directions_end_where_their_row_ends(pool):
    """The backward direction begins at a row's own last step, in a batch as alone."""
    graph = chain(X, [ops.GRU(7, layers=2, bidirectional=True), POOLS[pool], ops.Linear(3)])
    program = Program(graph, random_tensors(graph))
    x = random_inputs(graph, len(LENGTHS), {"src": 300})["x"]
    together = program({"x": x}, {"src": LENGTHS})["out"]
    for row, length in enumerate(LENGTHS):
        assert_bitwise_equal(together[row : row + 1], program({"x": x[row : row + 1, :length]})["out"])


@pytest.mark.parametrize("sizes", [(1,) * 30, (7, 0, 3, 20), (29, 1), (30,)], ids=str)
def test_ragged_streams_are_the_whole(program, sizes):
    """Rows that end, and rows that wait for a chunk or two, in chunks of any size."""
    rng = np.random.default_rng(5)
    x = random_inputs(program.graph, 4, {"src": 30})["x"]
    state, taken = None, [[] for _ in range(4)]
    for first, size in zip(np.cumsum([0, *sizes]), sizes, strict=False):
        lengths = rng.integers(0, size + 1, 4)
        chunk = x[:, first : first + size].copy()
        for row, length in enumerate(lengths):
            taken[row].append(x[row, first : first + length])
            chunk[row, length:] = np.nan
        outputs, state = pooled(program, chunk, lengths, state)
    for row in range(4):
        whole = program({"x": np.concatenate(taken[row])[None]})["out"]
        assert_bitwise_equal(outputs["out"][row : row + 1], whole)


def test_padding_is_never_read(program):
    x = random_inputs(program.graph, len(LENGTHS), {"src": 300})["x"]
    clean = program({"x": x}, {"src": LENGTHS})["out"]
    for spoil in (np.nan, np.inf, -np.inf, 3e38):
        spoilt = np.where(np.arange(300)[:, None] < LENGTHS[:, None, None], x, np.float32(spoil))
        assert_bitwise_equal(program({"x": spoilt}, {"src": LENGTHS})["out"], clean)


def test_a_nan_is_seen(program):
    x = random_inputs(program.graph, 2, {"src": 9})["x"]
    x[0, 8] = np.nan
    out = program({"x": x})["out"]
    assert np.isnan(out[0]).all()
    assert np.isfinite(out[1]).all()


def test_the_greatest_of_signed_zeros_is_the_same_in_any_order_and_batch():
    program = Program(chain(Port("x", "seq", 37, "src"), [ops.Pool("max")]), {})
    rng = np.random.default_rng(2)
    x = np.where(rng.random((50, 2, 37)) < 0.5, np.float32(0), np.float32(-0.0))
    together = program({"x": x})["out"]
    assert_bitwise_equal(together, np.zeros((50, 37), np.float32))
    assert_bitwise_equal(program({"x": x[:, ::-1]})["out"], together)


@pytest.mark.parametrize("size", [1e-30, 1.0, 40.0, 3e4])
def test_attention_of_any_sharpness(size):
    """Scores up to 1e5 apart: the on-line softmax stays that of the oracle, and finite."""
    graph = chain(X, [ops.AttentionPool(6)])
    tensors = random_tensors(graph)
    tensors["attention_pool_0.vector"] *= np.float32(size)
    x = random_inputs(graph, 3, {"src": 200})
    lengths = {"src": np.array([200, 3, 0])}
    wide, narrow = (oracle(graph, tensors, x, lengths, dtype)["out"] for dtype in (np.float64, np.float32))
    assert_close_to_oracle(Program(graph, tensors)(x, lengths)["out"], wide, narrow)


def test_a_long_stream_does_not_lose_its_steps():
    """A float32 sum of ones stops at 2^24; the mean of a stream of any length stays what it is."""
    program = Program(chain(Port("x", "seq", 1, "src"), [ops.Pool("mean")]), {})
    _, state = program.run({"x": np.ones((1, 1, 1), np.float32)})
    total, count = state.nodes["pool_0"]
    total += 2.0**25
    count += 2**25
    outputs, after = program.run({"x": np.full((1, 3, 1), 1.0, np.float32)}, state)
    assert after.nodes["pool_0"][0].item() == 2.0**25 + 4
    assert outputs["out"].item() == 1.0
