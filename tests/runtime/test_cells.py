"""LSTM and simple RNN in the runtime, where the law does not look: long chunks, no rows, no steps, infinities."""

import numpy as np
import pytest

from example_graphs import GRAPHS, random_inputs, random_tensors
from graph_oracle import run as oracle
from grus.runtime import Program
from grus.runtime.cells import BLOCK, lstm_step, relu_step, tanh_step
from grus.spec import Graph, chain, ops
from numerics import assert_bitwise_equal, assert_close_to_oracle

LAYERS = ["LSTM", "RNN", "RNN-relu-2-layers"]


def program_of(name):
    return Program(GRAPHS[name], random_tensors(GRAPHS[name]))


@pytest.mark.parametrize("name", LAYERS)
def test_chunks_across_the_blocks_of_input_products_are_the_whole(name):
    program = program_of(name)
    x = random_inputs(GRAPHS[name], 2, {"src": 2 * BLOCK + 9})["x"]
    whole, state, parts = program({"x": x})["out"], None, []
    for size in (BLOCK - 1, 2, BLOCK + 3, 5):
        part, state = program.run({"x": x[:, :size]}, state)
        parts.append(part["out"])
        x = x[:, size:]
    assert_bitwise_equal(np.concatenate(parts, axis=1), whole)


@pytest.mark.parametrize("name", [*LAYERS, "LSTM-bidirectional-no-bias", "LSTMStep", "RNNStep"])
def test_no_rows_and_no_steps(name):
    graph, program = GRAPHS[name], program_of(name)
    none = program(random_inputs(graph, 0, {"src": 4}))
    assert [value.shape[0] for value in none.values()] == [0] * len(none)
    empty = program(random_inputs(graph, 2, {"src": 0}))
    for key, value in oracle(graph, random_tensors(graph), random_inputs(graph, 2, {"src": 0})).items():
        np.testing.assert_array_equal(empty[key], value)


@pytest.mark.parametrize("step", [lstm_step, tanh_step, relu_step])
def test_a_step_has_the_same_bits_wherever_a_row_stands(step):
    rng = np.random.default_rng(0)
    for size in (1, 3, 8, 13):
        a = (4 * rng.standard_normal((37, 4 * size))).astype(np.float32)
        states = tuple(
            rng.standard_normal((2, 37, size if step is lstm_step else 4 * size)).astype(np.float32)
        )
        together = step(a, states)
        for begin, end in ((0, 1), (5, 6), (36, 37), (3, 30)):
            alone = step(a[begin:end], tuple(state[begin:end] for state in states))
            for one, all_rows in zip(alone, together):
                assert_bitwise_equal(one, all_rows[begin:end])


def test_infinite_inputs_make_no_noise():
    """Warnings are errors here: NaN is the answer, and other rows do not see it."""
    for name in LAYERS:
        x = random_inputs(GRAPHS[name], 3, {"src": 6})["x"]
        clean = program_of(name)({"x": x})["out"]
        x[1, 2, :2] = [np.inf, -np.inf]
        found = program_of(name)({"x": x})["out"]
        assert np.isnan(found[1, 3:]).any()
        assert_bitwise_equal(found[[0, 2]], clean[[0, 2]])


def test_an_lstm_that_forgets_nothing_counts():
    """c' = c + 1 where the forget and input gates are open and g is 1, for 1,000 steps; worked by hand."""
    graph = chain(GRAPHS["LSTM"].inputs[0], [ops.LSTM(1)])
    graph = Graph(graph.inputs, graph.nodes, {"c": "lstm_0.c", "h": "lstm_0.h"})
    bias = np.array([40, 40, 20, 40], np.float32)
    tensors = {"lstm_0.weight_ih_l0": np.zeros((4, 5), "f"), "lstm_0.weight_hh_l0": np.zeros((4, 1), "f")}
    tensors |= {"lstm_0.bias_ih_l0": bias, "lstm_0.bias_hh_l0": np.zeros(4, np.float32)}
    found = Program(graph, tensors)({"x": np.zeros((1, 1000, 5), np.float32)})
    assert found["c"] == [[1000]]
    assert found["h"] == [[1]]


def test_the_comparison_tells_a_swapped_gate():
    """The law's comparison refuses an LSTM whose forget gate and candidate changed places."""
    graph, tensors = GRAPHS["LSTM"], random_tensors(GRAPHS["LSTM"])
    inputs = random_inputs(graph, 2, {"src": 6})
    swapped = {
        name: np.concatenate([value[:7], value[14:21], value[7:14], value[21:]])
        for name, value in tensors.items()
    }
    wrong = Program(graph, swapped)(inputs)["out"]
    wide, narrow = (oracle(graph, tensors, inputs, dtype=dtype)["out"] for dtype in (np.float64, np.float32))
    with pytest.raises(AssertionError, match="exceeds"):
        assert_close_to_oracle(wrong, wide, narrow)
