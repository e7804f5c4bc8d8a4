"""Convolution and self-attention in the runtime, where the law does not look: long rows, padding, threads, infinities."""

import numpy as np
import pytest

from example_graphs import GRAPHS, random_inputs, random_tensors
from graph_oracle import run as oracle
from grus.kernels import native
from grus.runtime import Program
from grus.runtime.mixing import BLOCK
from grus.spec import Port, chain, ops
from numerics import assert_bitwise_equal, assert_close_to_oracle

CONVOLUTIONS = ["Convolution", "Convolution-dilated-no-bias", "Convolution-of-one-step", "Convolution-GRU"]
ATTENTION = ["SelfAttention", "SelfAttention-causal-no-bias"]


def given(name, batch, time):
    graph, tensors = GRAPHS[name], random_tensors(GRAPHS[name])
    return graph, tensors, random_inputs(graph, batch, {"src": time})


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_chunks_across_the_blocks_of_windows_are_the_whole(name):
    graph, tensors, inputs = given(name, 2, 2 * BLOCK + 9)
    program, x, state, begin = Program(graph, tensors), inputs["x"], None, 0
    whole = program(inputs)["out"]
    parts = []
    for size in (BLOCK - 1, 2, 0, BLOCK + 3, 5):
        part, state = program.run({"x": x[:, begin : begin + size]}, state)
        parts.append(part["out"])
        begin += size
    assert_bitwise_equal(parts[-1] if whole.ndim == 2 else np.concatenate(parts, axis=1), whole)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_rows_of_unlike_chunks_remember_their_own_last_inputs(name):
    """Padding within a chunk is not part of the stream."""
    graph, tensors, inputs = given(name, 3, 20)
    program, x = Program(graph, tensors), inputs["x"]
    lengths, state, seen = np.array([[2, 0, 5], [1, 4, 5], [3, 3, 0]]), None, np.zeros(3, int)
    for steps in lengths:
        chunk = np.full((3, 6, x.shape[2]), np.nan, np.float32)
        for row, count in enumerate(steps):
            chunk[row, :count] = x[row, seen[row] : seen[row] + count]
        _, state = program.run({"x": chunk}, state, {"src": steps})
        seen += steps
    for row, count in enumerate(seen):
        _, alone = program.run({"x": x[row : row + 1, :count]})
        for node, arrays in alone.nodes.items():
            for mine, theirs in zip(state[row].nodes[node], arrays):
                np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("name", ATTENTION)
@pytest.mark.parametrize("time", [1, BLOCK, BLOCK + 1, 2 * BLOCK + 9])
def test_attention_over_several_blocks_is_the_oracle(name, time):
    graph, tensors, inputs = given(name, 1, time)
    wide, narrow = (oracle(graph, tensors, inputs, None, dtype)["a"] for dtype in (np.float64, np.float32))
    assert_close_to_oracle(Program(graph, tensors)(inputs)["a"], wide, narrow)


@pytest.mark.parametrize("name", [*CONVOLUTIONS[:3], *ATTENTION, "GRU-self-attention"])
def test_padding_is_never_read_and_has_no_say(name):
    graph, tensors, inputs = given(name, 4, 24)
    program, lengths = Program(graph, tensors), np.array([24, 0, 5, 16])
    port = graph.inputs[0].name
    spoilt = inputs[port].copy()
    for row, length in enumerate(lengths):
        spoilt[row, length:] = np.nan
    clean, dirty = program(inputs, {"src": lengths}), program({port: spoilt}, {"src": lengths})
    for output, value in clean.items():
        for row, length in enumerate(lengths):
            alone = program({port: inputs[port][row : row + 1, :length]})[output]
            kept = slice(None) if value.ndim == 2 else slice(length)
            assert_bitwise_equal(value[row][kept], alone[0][kept], output)
            assert_bitwise_equal(dirty[output][row][kept], alone[0][kept], output)


@pytest.mark.parametrize("name", ["Convolution-GRU", "GRU-self-attention"])
def test_the_same_bits_at_any_thread_count(name):
    graph, tensors, inputs = given(name, 8, 2 * BLOCK)
    program, threads, found = Program(graph, tensors), native.num_threads(), []
    try:
        for count in (1, 2, 3):
            native.set_num_threads(count)
            found.append(program(inputs))
    finally:
        native.set_num_threads(threads)
    for other in found[1:]:
        for output, value in other.items():
            assert_bitwise_equal(value, found[0][output], output)


@pytest.mark.parametrize(
    "op", [ops.Convolution(4, 3), ops.SelfAttention(2), ops.SelfAttention(2, causal=True)]
)
def test_infinite_inputs_make_no_noise(op):
    """Warnings are errors here: NaN is the answer, and other rows do not see it."""
    graph = chain(Port("x", "seq", 6, "src"), [op])
    program, x = Program(graph, random_tensors(graph)), random_inputs(graph, 3, {"src": 6})["x"]
    clean = program({"x": x})["out"]
    x[1, 2] = np.inf
    spoilt = program({"x": x})["out"]
    assert np.isnan(spoilt[1]).any() or np.isinf(spoilt[1]).any()
    assert_bitwise_equal(spoilt[[0, 2]], clean[[0, 2]])


def test_causal_attention_does_not_see_what_comes():
    graph, tensors, inputs = given("SelfAttention-causal-no-bias", 2, 20)
    program = Program(graph, tensors)
    whole = program(inputs)["a"]
    np.testing.assert_allclose(program({"w": inputs["w"][:, :7]})["a"], whole[:, :7], rtol=1e-5, atol=1e-6)
