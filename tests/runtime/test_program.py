"""The runtime at its edges: what it refuses at the door, empty inputs, padding, threads, and the state as a value."""

import re
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from example_graphs import GRAPHS, random_inputs, random_tensors
from graph_oracle import run as oracle
from grus.errors import DataError, UnsupportedError, UsageError
from grus.models import GraphModule
from grus.runtime import Program, State
from grus.spec import CAPABILITIES, Graph, Node, Port, capability, chain, infer, ops, require
from numerics import assert_bitwise_equal, assert_close_to_oracle

TIMES = {"src": 24, "tgt": 8}
CUT = re.compile(r"/(\d+)")


def program(name, seed=0):
    return Program(GRAPHS[name], random_tensors(GRAPHS[name], seed))


# -- the door ----------------------------------------------------------------------------------------------


def refused(error, sentence, call, *arguments):
    with pytest.raises(error) as caught:
        call(*arguments)
    assert str(caught.value) == sentence


def test_every_port_must_be_given_and_no_other():
    run = program("encoder-decoder")
    inputs = random_inputs(run.graph, 2, TIMES)
    refused(UsageError, "Program: inputs must be ['x', 'y'], got ['x']", run, {"x": inputs["x"]})
    refused(
        UsageError,
        "Program: inputs must be ['x', 'y'], got ['x', 'y', 'z']",
        run,
        {**inputs, "z": inputs["x"]},
    )


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ((2, 24, 4), "input 'x': must have shape [2, time, 5], got [2, 24, 4]"),
        ((2, 24), "input 'x': must have shape [2, time, 5], got [2, 24]"),
        ((24, 5, 1, 1), "input 'x': must have shape [24, time, 5], got [24, 5, 1, 1]"),
        ((5,), "input 'x': must have shape [5, time, 5], got [5]"),
    ],
)
def test_a_wrong_shape_is_named(shape, sentence):
    refused(DataError, sentence, program("GRU"), {"x": np.zeros(shape, np.float32)})


def test_ports_must_agree_on_batch_and_steps():
    run = Program(
        graph := Graph(
            (Port("x", "seq", 2, "src"), Port("z", "seq", 2, "src"), Port("v", "vec", 2)),
            (Node("a", ops.Add(), ("x", "z")), Node("b", ops.Add(), ("a", "v"))),
            {"b": "b"},
        ),
        random_tensors(graph),
    )
    x, v = np.zeros((3, 4, 2), np.float32), np.zeros((3, 2), np.float32)
    sentence = "input 'z': must have 4 steps like the others on clock 'src', got 5"
    refused(DataError, sentence, run, {"x": x, "z": np.zeros((3, 5, 2), np.float32), "v": v})
    refused(
        DataError, "input 'z': must have shape [3, time, 2], got [2, 4, 2]", run, {"x": x, "z": x[:2], "v": v}
    )
    refused(
        DataError,
        "input 'v': must have shape [3, 2], got [3, 3]",
        run,
        {"x": x, "z": x, "v": np.zeros((3, 3))},
    )


def test_tokens_must_be_whole_numbers_in_range():
    run = program("Embedding-seq")
    good = random_inputs(run.graph, 2, TIMES)["t"]
    refused(DataError, "input 't': tokens must be whole numbers, got float64", run, {"t": good.astype(float)})
    for bad, span in ((9, "0 to 9"), (-1, "-1 to 8")):
        spoilt = np.tile(np.arange(9), (2, 1))
        spoilt[1, 8] = bad
        if bad == 9:
            spoilt[0, 8] = 0
        else:
            spoilt[1, 8], spoilt[0, 8] = bad, 8
        refused(DataError, f"input 't': tokens must be from 0 to 8, got {span}", run, {"t": spoilt})
    assert_bitwise_equal(run({"t": good.astype(np.uint8)})["a"], run({"t": good})["a"])


@pytest.mark.parametrize(
    ("lengths", "sentence"),
    [
        ([24, 25], "lengths of clock 'src': must be from 0 to 24, got 24 to 25"),
        ([-1, 5], "lengths of clock 'src': must be from 0 to 24, got -1 to 5"),
        ([5], "lengths of clock 'src': must be whole numbers [2], got int64 [1]"),
        ([5.0, 6.0], "lengths of clock 'src': must be whole numbers [2], got float64 [2]"),
    ],
)
def test_lengths_that_cannot_be(lengths, sentence):
    run = program("GRU")
    refused(DataError, sentence, run, random_inputs(run.graph, 2, TIMES), {"src": np.array(lengths)})


def test_a_tensor_that_is_missing_or_misshapen_is_named():
    graph, tensors = GRAPHS["Linear"], random_tensors(GRAPHS["Linear"])
    del tensors["linear_0.bias"]
    sentence = "Program: tensor 'linear_0.bias' must have shape [3], got nothing"
    refused(UsageError, sentence, Program, graph, tensors)
    tensors["linear_0.bias"] = np.zeros(4, np.float32)
    sentence = "Program: tensor 'linear_0.bias' must have shape [3], got [4]"
    refused(UsageError, sentence, Program, graph, tensors)


def test_what_no_back_end_implements_is_a_typed_error(monkeypatch):
    graph = GRAPHS["GRU"]
    row = capability.Row(ops.GRU, frozenset({"torch"}))
    monkeypatch.setitem(CAPABILITIES, ops.GRU, row)
    with pytest.raises(UnsupportedError, match="node 'gru_0': GRU cannot run on back end 'runtime'") as error:
        program("GRU")
    assert error.value.hint == "it runs on torch"
    refused(UnsupportedError, "node 'gru_0': GRU cannot run on back end 'onnx'", require, graph, "onnx")


def test_a_segment_needs_whole_blocks_unless_it_streams():
    run = program("Segment")
    x = random_inputs(run.graph, 2, {"src": 10})
    refused(DataError, "Segment: the number of steps must be a multiple of 4, got 10", run, x)
    outputs, state = run.run(x)
    assert outputs["out"].shape == (2, 2, 20)
    assert state.nodes["segment_0"][0].shape == (2, 2, 5)
    lengths = {"src": np.array([10, 9])}
    with pytest.raises(DataError, match="Segment: rows of a chunk must have one length while streaming"):
        run.run(x, None, lengths)


def test_more_steps_than_positions():
    run = program("Position")
    refused(
        DataError,
        "Position: has 40 steps, got a sequence of 41",
        run,
        random_inputs(run.graph, 1, {"src": 41}),
    )
    _, state = run.run(random_inputs(run.graph, 1, {"src": 40}))
    with pytest.raises(DataError, match="Position: has 40 steps, got a sequence of 41"):
        run.run(random_inputs(run.graph, 1, {"src": 1}), state)


# -- edges -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GRAPHS)
def test_no_rows_and_no_steps(name):
    run = program(name)
    shapes = infer(run.graph)
    empty = run(random_inputs(run.graph, 0, TIMES))
    for output, source in run.graph.outputs.items():
        assert empty[output].shape[0] == 0
        if shapes[source].kind != "alignment":  # whose last axis is the steps of a memory
            assert empty[output].shape[-1] == shapes[source].size
    still = run(random_inputs(run.graph, 2, {"src": 0, "tgt": 0}))
    for output, source in run.graph.outputs.items():
        last = 0 if shapes[source].kind == "alignment" else shapes[source].size
        assert still[output].shape == ((2, 0) if shapes[source].clock else (2,)) + (last,)
        assert np.isfinite(still[output]).all()


@pytest.mark.parametrize(
    "name", ["GRU", "GRU-2-layers", "GRU-bidirectional", "GRU-initial-state", "Last", "Last-4"]
)
def test_padding_is_never_read(name):
    run = program(name)
    inputs = random_inputs(run.graph, 4, TIMES)
    lengths = np.array([24, 0, 5, 16])
    spoilt = {**inputs, "x": inputs["x"].copy()}
    for row, length in enumerate(lengths):
        spoilt["x"][row, length:] = np.nan
    clean, dirty = (run(given, {"src": lengths}) for given in (inputs, spoilt))
    for output in clean:
        assert_bitwise_equal(dirty[output], clean[output], output)
        assert np.isfinite(clean[output]).all()


@pytest.mark.parametrize(
    "tail", [[ops.GRU(7), ops.Last()], [ops.GRU(7, bidirectional=True)], [ops.Last(2)]], ids=str
)
def test_lengths_are_cut_with_the_clock(tail):
    """Rows of 24, 0, 5 and 16 steps have 6, 0, 1 and 4 whole blocks of 4; the rest of a block is padding."""
    graph = chain(Port("x", "seq", 5, "src"), [ops.Segment(4), *tail])
    tensors, inputs = random_tensors(graph), random_inputs(graph, 4, TIMES)
    lengths = {"src": np.array([24, 0, 5, 16])}
    wide, narrow = (
        oracle(graph, tensors, inputs, lengths, dtype)["out"] for dtype in (np.float64, np.float32)
    )
    run = Program(graph, tensors)
    ours = run(inputs, lengths)["out"]
    module = GraphModule(graph).eval()
    module.load_tensors(tensors)
    with torch.no_grad():
        theirs = module({"x": torch.from_numpy(inputs["x"])}, {"src": torch.from_numpy(lengths["src"])})[
            "out"
        ]
    assert_close_to_oracle(ours, wide, narrow, "runtime")
    assert_close_to_oracle(theirs, wide, narrow, "torch")
    for row, blocks in enumerate((6, 0, 1, 4)):
        alone = run({"x": inputs["x"][row : row + 1, : blocks * 4]})["out"][0]
        assert_bitwise_equal(ours[row, :blocks] if ours.ndim == 3 else ours[row], alone)


@pytest.mark.parametrize("name", ["GRU", "GRU-bidirectional", "GRU-zoneout", "encoder-decoder"])
def test_inputs_of_any_layout_and_dtype_give_the_same_bits_and_stay_as_they_are(name):
    run = program(name)
    inputs = random_inputs(run.graph, 3, TIMES)
    expected = run(inputs)
    wide = {k: v.astype(np.float64) for k, v in inputs.items()}
    strided = {k: np.asfortranarray(np.repeat(v, 2, axis=-1))[..., ::2] for k, v in inputs.items()}
    frozen = {k: v.copy() for k, v in inputs.items()}
    for values in frozen.values():
        values.flags.writeable = False
    for given in (wide, strided, frozen):
        before = {k: v.copy() for k, v in given.items()}
        for output, values in run(given).items():
            assert_bitwise_equal(values, expected[output], output)
        for key, values in before.items():
            np.testing.assert_array_equal(given[key], values)


@pytest.mark.parametrize("name", ["GRU-2-layers", "encoder-decoder", "GRU-bidirectional"])
def test_one_program_serves_many_threads(name):
    run = program(name)
    jobs = [random_inputs(run.graph, 3, TIMES, seed) for seed in range(24)]
    alone = [run(inputs) for inputs in jobs]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(run, jobs))
    finally:
        sys.setswitchinterval(before)
    for one, other in zip(alone, together, strict=True):
        for output in one:
            assert_bitwise_equal(other[output], one[output], output)


def test_changing_the_tensors_afterwards_changes_nothing_that_is_packed():
    tensors = random_tensors(GRAPHS["GRU"])
    run = Program(GRAPHS["GRU"], tensors)
    inputs = random_inputs(run.graph, 2, TIMES)
    before = run(inputs)
    for values in tensors.values():
        values[:] = 0
    for output, values in run(inputs).items():
        assert_bitwise_equal(values, before[output])


# -- the state ---------------------------------------------------------------------------------------------


def test_rows_that_wait_keep_their_state():
    """A row of length zero in a chunk is as if the chunk had not been for it."""
    run = program("GRU-2-layers")
    inputs = random_inputs(run.graph, 3, {"src": 12})
    x = inputs["x"]
    _, state = run.run({"x": x[:, :4]})
    _, state = run.run({"x": x[:, 4:8]}, state, {"src": np.array([4, 0, 2])})
    outputs, _ = run.run({"x": x[:, 8:]}, state)
    for row, keep in enumerate((range(12), [*range(4), *range(8, 12)], [*range(6), *range(8, 12)])):
        whole = run({"x": x[row : row + 1, list(keep)]})
        assert_bitwise_equal(outputs["state"][row], whole["state"][0])


def test_positions_count_the_valid_steps_of_each_row():
    run = program("Position")
    table = random_tensors(run.graph)["position_0.weight"]
    x = random_inputs(run.graph, 3, {"src": 50})  # ten more than there are positions, but only as padding
    lengths = np.array([40, 0, 7])
    outputs, state = run.run(x, None, {"src": lengths})
    for row, length in enumerate(lengths):
        np.testing.assert_array_equal(outputs["out"][row, :length], table[:length])
    outputs, _ = run.run(random_inputs(run.graph, 3, {"src": 5}), state, {"src": np.array([0, 5, 5])})
    np.testing.assert_array_equal(outputs["out"][1], table[:5])
    np.testing.assert_array_equal(outputs["out"][2], table[7:12])


def test_an_initial_state_counts_at_the_first_step_only():
    run = program("GRU-initial-state")
    inputs = random_inputs(run.graph, 2, {"src": 9})
    whole = run(inputs)
    first = {"x": inputs["x"][:, :4], "h": inputs["h"]}
    _, state = run.run(first)
    outputs, _ = run.run({"x": inputs["x"][:, 4:], "h": inputs["h"] * 100}, state)
    assert_bitwise_equal(outputs["b"], whole["b"])


def test_states_are_indexed_like_arrays():
    run = program("GRU")
    _, state = run.run(random_inputs(run.graph, 4, TIMES))
    held = state.nodes["gru_0"][0]
    for index, rows in ((0, [0]), (2, [2]), (-1, [3]), (slice(1, 3), [1, 2]), (np.array([3, 0]), [3, 0]),
                        (np.array([True, False, False, True]), [0, 3]), (np.int64(1), [1])):  # fmt: skip
        np.testing.assert_array_equal(state[index].nodes["gru_0"][0], held[rows])
        assert state[index].batch == len(rows)
    state[0].nodes["gru_0"][0][:] = 7
    assert not (held[0] == 7).any()  # a copy, not a view


@pytest.mark.parametrize("row", [4, -5])
def test_a_row_that_is_not_there(row):
    run = program("GRU")
    _, state = run.run(random_inputs(run.graph, 4, TIMES))
    with pytest.raises(IndexError):
        state[row]


def test_states_join_only_with_their_like():
    gru, other = program("GRU"), program("Last")
    _, state = gru.run(random_inputs(gru.graph, 2, TIMES))
    _, stranger = other.run(random_inputs(other.graph, 2, TIMES))
    sentence = "State.join: states must be of one graph, and at least one"
    refused(UsageError, sentence, State.join, [])
    refused(UsageError, sentence, State.join, [state, stranger])
    assert State.join([state, state[1]]).batch == 3


def test_a_state_of_other_rows_or_of_another_graph_is_refused():
    run = program("GRU")
    inputs = random_inputs(run.graph, 2, TIMES)
    _, state = run.run(random_inputs(run.graph, 3, TIMES))
    refused(UsageError, "Program: state must have 2 rows like the inputs, got 3", run.run, inputs, state)
    _, stranger = program("Last").run(random_inputs(GRAPHS["Last"], 2, TIMES))
    with pytest.raises(UsageError, match="Program: state must be of this graph"):
        run.run(inputs, stranger)


def test_init_state_is_where_a_run_begins():
    for name in ("GRU", "GRU-2-layers", "Last-4", "Position", "Segment"):
        run = program(name)
        inputs = random_inputs(run.graph, 2, TIMES)
        fresh, _ = run.run(inputs)
        given, _ = run.run(inputs, run.init_state(2))
        for output in fresh:
            assert_bitwise_equal(given[output], fresh[output], output)


def test_a_graph_that_remembers_nothing_has_an_empty_state():
    run = Program(graph := chain(Port("x", "seq", 5, "src"), [ops.Linear(2)]), random_tensors(graph))
    _, state = run.run(random_inputs(graph, 3, TIMES))
    assert state.nodes == {}
    assert state.batch == 0
    outputs, _ = run.run(random_inputs(graph, 2, TIMES), state)
    assert outputs["out"].shape == (2, 24, 2)


def test_a_program_is_cut_before_its_last_layer():
    nodes = (Node("gru", ops.GRU(4), ("x",)), Node("out", ops.Linear(3), ("gru",)))
    graph = Graph((Port("x", "seq", 2, "src"),), nodes, {"y": "out", "h": "gru.h"})
    program, x = Program(graph, random_tensors(graph)), {"x": random_inputs(graph, 3, {"src": 5})["x"]}
    rest, layer = program.cut("y") or pytest.fail("a linear layer can be cut off")
    whole, part = program(x), rest(x)
    assert_bitwise_equal(layer(part["y"]), whole["y"])
    assert_bitwise_equal(part["h"], whole["h"])
    assert rest.digest != program.digest
    assert_bitwise_equal(rest.run(x, rest.init_state(3))[0]["y"], part["y"])


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ((Node("gru", ops.GRU(4), ("x",)),), {"y": "gru"}),
        ((Node("a", ops.Linear(2), ("x",)), Node("b", ops.Linear(2), ("x",), "a")), {"y": "a", "z": "b"}),
        ((Node("a", ops.Linear(2), ("x",)), Node("b", ops.Linear(2), ("a",))), {"y": "a", "z": "b"}),
        ((Node("a", ops.Linear(2), ("x",)),), {"y": "a", "z": "a"}),
        ((Node("a", ops.Linear(2), ("x",)),), {"y": "x", "z": "a"}),
    ],
    ids=["no layer", "weights of another", "read by another", "two outputs", "an input"],
)
def test_what_cannot_be_cut(nodes, outputs):
    graph = Graph((Port("x", "seq", 2, "src"),), nodes, outputs)
    assert Program(graph, random_tensors(graph)).cut("y") is None
