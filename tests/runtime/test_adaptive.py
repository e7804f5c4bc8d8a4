"""The adaptive softmax in the runtime, where the law does not look: thousands of outputs, padding, infinities."""

import numpy as np
import pytest

from example_graphs import random_inputs, random_tensors
from graph_oracle import run as oracle
from grus.runtime import Program
from grus.spec import Port, chain, ops
from numerics import assert_bitwise_equal, assert_close_to_oracle

GRAPH = chain(Port("x", "seq", 33, "src"), [ops.AdaptiveSoftmax(3001, (601, 1800))])


@pytest.fixture(scope="module")
def program():
    return Program(GRAPH, random_tensors(GRAPH))


def given(batch, time, scale=1.0):
    return {"x": random_inputs(GRAPH, batch, {"src": time})["x"] * np.float32(scale)}


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_thousands_of_outputs_are_the_oracles(program, scale):
    inputs, tensors = given(2, 5, scale), random_tensors(GRAPH)
    wide, narrow = (oracle(GRAPH, tensors, inputs, None, dtype)["out"] for dtype in (np.float64, np.float32))
    found = program(inputs)["out"]
    assert_close_to_oracle(found, wide, narrow)
    np.testing.assert_allclose(np.exp(found.astype(np.float64)).sum(-1), 1.0, rtol=1e-5)


def test_a_row_has_the_same_bits_alone_and_in_any_batch(program):
    inputs = given(7, 6)
    whole = program(inputs)["out"]
    for row in range(7):
        for step in (0, 5):
            alone = program({"x": inputs["x"][row : row + 1, step : step + 1]})["out"]
            assert_bitwise_equal(alone[0, 0], whole[row, step])


def test_padding_and_what_is_infinite_stay_in_their_row(program):
    """Warnings are errors here: NaN is the answer, and other rows do not see it."""
    inputs = given(3, 4)
    clean = program(inputs)["out"]
    spoilt = inputs["x"].copy()
    spoilt[1, 2] = np.inf
    spoilt[2, 3] = np.nan
    found = program({"x": spoilt}, {"src": np.array([4, 4, 3])})["out"]
    assert np.isnan(found[1, 2]).any()
    assert_bitwise_equal(found[0], clean[0])
    assert_bitwise_equal(found[1, :2], clean[1, :2])
    assert_bitwise_equal(found[2, :3], clean[2, :3])


def test_no_rows_and_no_steps(program):
    assert program(given(0, 3))["out"].shape == (0, 3, 3001)
    assert program(given(3, 0))["out"].shape == (3, 0, 3001)


def test_a_cluster_of_one_output_is_what_the_head_says():
    graph = chain(Port("x", "seq", 5, "src"), [ops.AdaptiveSoftmax(2, (1,))])
    tensors = random_tensors(graph)
    inputs = random_inputs(graph, 2, {"src": 3})
    whole = Program(graph, tensors)(inputs)["out"]
    name = graph.nodes[0].name
    head = inputs["x"].astype(np.float64) @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]
    wanted = head - np.log(np.exp(head).sum(-1, keepdims=True))
    np.testing.assert_allclose(whole, wanted, rtol=1e-5, atol=1e-6)
