"""GRU-D in the runtime: what is never read, states as bytes, and infinite gaps; the law's test does the rest."""

import numpy as np
import pytest

from example_graphs import GRAPHS, random_inputs, random_tensors
from grus.kernels import native
from grus.runtime import Program, State
from grus.spec import Graph, Node, Port, ops
from numerics import assert_bitwise_equal

GRAPH = GRAPHS["GRUD"]
TENSORS = random_tensors(GRAPH)


def given(batch=4, time=24):
    inputs = random_inputs(GRAPH, batch, {"src": time})
    inputs["g"] = np.abs(inputs["g"])
    inputs["m"] = (inputs["m"] > 0.3).astype(np.float32)
    return inputs


def test_what_was_not_observed_is_never_read():
    program, inputs = Program(GRAPH, TENSORS), given()
    clean = program(inputs)
    hidden = inputs | {"x": np.where(inputs["m"] > 0, inputs["x"], np.float32(np.nan))}
    for name, value in program(hidden).items():
        assert_bitwise_equal(value, clean[name], name)


def test_padding_is_never_read():
    program, inputs, lengths = Program(GRAPH, TENSORS), given(), np.array([24, 0, 7, 1])
    clean = program(inputs, {"src": lengths})
    beyond = (np.arange(24) >= lengths[:, None])[:, :, None]
    spoiled = {name: np.where(beyond, np.float32(np.nan), value) for name, value in inputs.items()}
    for name, value in program(spoiled, {"src": lengths}).items():
        assert_bitwise_equal(value, clean[name], name)
    assert not clean["out"][1].any()


def test_a_gap_without_end_forgets_until_the_next_observation():
    inputs = given()
    inputs["g"][:, 5] = np.inf
    inputs["m"][:, 6] = 1
    inputs["m"][0, 5:, 2] = 0
    positive = {name: np.abs(value) if "decay_weight" in name else value for name, value in TENSORS.items()}
    found = Program(GRAPH, positive)(inputs)
    assert np.isfinite(found["out"]).all()
    assert np.isinf(found["since"][0, 2])
    assert np.isinf(found["since"]).sum() == 1
    # From nothing at the same step it goes on to the same, but for what that one variable did.
    later = {name: value[1:, 5:] for name, value in inputs.items()}
    anew = Program(GRAPH, positive)(
        later | {"g": np.where(np.isinf(later["g"]), np.float32(1e30), later["g"])}
    )
    np.testing.assert_allclose(found["out"][1:, 5:], anew["out"], rtol=1e-5, atol=1e-6)


def test_the_state_goes_through_bytes():
    program, inputs = Program(GRAPH, TENSORS), given()
    whole = program(inputs)
    first, state = program.run({name: value[:, :9] for name, value in inputs.items()})
    assert [a.shape for a in state.nodes["a"]] == [(4, 7), (4, 5), (4, 5), (4,)]
    state = State.from_bytes(state.to_bytes(), program)
    second, _ = program.run({name: value[:, 9:] for name, value in inputs.items()}, state)
    assert_bitwise_equal(np.concatenate([first["out"], second["out"]], axis=1), whole["out"])
    assert_bitwise_equal(second["last"], whole["last"])


@pytest.mark.parametrize("threads", [2, 3])
def test_bits_do_not_depend_on_the_number_of_threads(threads):
    ports = (Port("x", "seq", 40, "src"), Port("m", "seq", 40, "src"), Port("g", "seq", 1, "src"))
    graph = Graph(ports, (Node("a", ops.GRUD(130), ("x", "m", "g")),), {"out": "a"})
    program, before = Program(graph, random_tensors(graph)), native.num_threads()
    inputs = random_inputs(graph, 5, {"src": 30})
    try:
        native.set_num_threads(1)
        alone = program(inputs)["out"]
        native.set_num_threads(threads)
        assert_bitwise_equal(program(inputs)["out"], alone)
    finally:
        native.set_num_threads(before)


def test_inputs_that_other_nodes_made_are_taken():
    """Columns and sums of the ports, whatever their memory looks like."""
    port = Port("x", "seq", 11, "src")
    nodes = (
        Node("value", ops.Columns(0, 5), ("x",)),
        Node("mask", ops.Columns(5, 10), ("x",)),
        Node("gap", ops.Columns(10, 11), ("x",)),
        Node("a", ops.GRUD(7), ("value", "mask", "gap")),
    )
    inputs = given()
    joined = np.concatenate([inputs["x"], inputs["m"], inputs["g"]], axis=2)
    found = Program(Graph((port,), nodes, {"out": "a"}), TENSORS)({"x": joined})
    assert_bitwise_equal(found["out"], Program(GRAPH, TENSORS)(inputs)["out"])
