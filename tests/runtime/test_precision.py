"""A program whose matrices are kept as bf16 is that of matrices rounded beforehand, bit for bit; as int8 it is close to it."""

import numpy as np
import pytest

from example_graphs import GRAPHS, random_inputs, random_tensors
from grus.errors import UsageError
from grus.runtime import Program
from numerics import assert_bitwise_equal
from rounding import round_matrices, to_int8, untied

TIMES = {"src": 24, "tgt": 8}


@pytest.mark.parametrize("name", GRAPHS)
def test_bf16_equals_matrices_rounded_beforehand(name):
    graph, tensors = GRAPHS[name], random_tensors(GRAPHS[name])
    inputs = random_inputs(graph, 5, TIMES)
    lengths = {port.clock: np.array([8, 4, 8, 8, 4]) for port in graph.inputs if port.clock}
    stored = Program(graph, tensors, precision="bf16")
    graph, tensors = untied(graph, tensors)
    rounded = round_matrices(graph, tensors)
    expected = Program(graph, rounded)
    for of_rows in (None, lengths):
        for key, values in expected(inputs, of_rows).items():
            assert_bitwise_equal(stored(inputs, of_rows)[key], values, key)
    plain, found = Program(graph, tensors, precision="float32")(inputs), stored(inputs)
    multiplies = any(not np.array_equal(rounded[key], tensors[key]) for key in tensors)
    assert any(not np.array_equal(plain[key], found[key]) for key in plain) == multiplies


@pytest.mark.parametrize("name", GRAPHS)
def test_int8_is_close_to_matrices_rounded_beforehand(name):
    graph, tensors = GRAPHS[name], random_tensors(GRAPHS[name])
    inputs = random_inputs(graph, 5, TIMES)
    lengths = {port.clock: np.array([8, 4, 8, 8, 4]) for port in graph.inputs if port.clock}
    stored = Program(graph, tensors, precision="int8")
    graph, tensors = untied(graph, tensors)
    rounded = round_matrices(graph, tensors, to_int8)
    expected = Program(graph, rounded)
    plain, multiplies = Program(graph, tensors), any((rounded[key] != tensors[key]).any() for key in tensors)
    for of_rows in (None, lengths):
        found, wanted, before = (p(inputs, of_rows) for p in (stored, expected, plain))
        for key, values in wanted.items():
            if not multiplies or np.array_equal(before[key], values):  # what no matrix touches
                assert_bitwise_equal(found[key], values, key)
                continue
            # What is left is the rounding of inputs and states to 16 bits: 1/65534 of the largest.
            gap = np.abs(found[key] - values).max()
            assert gap <= 1e-3 * max(1.0, np.abs(values).max())
            assert gap < np.abs(before[key] - values).max()


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_stream_gives_the_bits_of_the_whole(precision):
    graph = GRAPHS["GRU-2-layers"]
    stored = Program(graph, random_tensors(graph), precision=precision)
    x = random_inputs(graph, 3, TIMES)["x"]
    whole, state = stored({"x": x}), stored.init_state(3)
    for start, stop in ((0, 1), (1, 9), (9, 24)):
        part, state = stored.run({"x": x[:, start:stop]}, state)
        assert_bitwise_equal(part["out"], whole["out"][:, start:stop])


@pytest.mark.parametrize("precision", ["float64", "fp16", "", None])
def test_another_precision_is_refused(precision):
    with pytest.raises(UsageError, match=f"^precision: must be float32, bf16 or int8, got {precision!r}$"):
        Program(GRAPHS["Linear"], random_tensors(GRAPHS["Linear"]), precision=precision)
