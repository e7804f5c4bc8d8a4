"""The attentive decoder of the runtime where the law's own cases do not go: memories of many lengths."""

import numpy as np
import pytest

from example_graphs import GRAPHS, random_inputs, random_tensors
from grus.errors import DataError
from grus.runtime import Program
from numerics import assert_bitwise_equal

NAMES = [name for name in GRAPHS if name.startswith("AttentiveGRU")]
OUTPUTS = ("out", "context", "state")


@pytest.fixture(params=NAMES)
def case(request):
    graph = GRAPHS[request.param]
    inputs = random_inputs(graph, 5, {"src": 6, "tgt": 17})
    return Program(graph, random_tensors(graph)), inputs, {"tgt": np.array([17, 0, 3, 1, 9])}


def part(inputs, row, steps):
    cut = {"m", "k"}
    return {name: v[row : row + 1, :steps] if name in cut else v[row : row + 1] for name, v in inputs.items()}


def test_a_row_does_not_know_how_long_the_memories_of_others_are(case):
    program, inputs, lengths = case
    together = program(inputs, lengths)
    for row, steps in enumerate(lengths["tgt"]):
        alone = program(part(inputs, row, steps))
        for name in OUTPUTS:
            assert_bitwise_equal(alone[name], together[name][row : row + 1], name)
        assert_bitwise_equal(alone["attention"], together["attention"][row : row + 1, :, :steps])
        assert not together["attention"][row, :, steps:].any()


def test_nothing_at_padding_is_read(case):
    program, inputs, lengths = case
    clean = program(inputs, lengths)
    for row, steps in enumerate(lengths["tgt"]):
        inputs["m"][row, steps:] = inputs["k"][row, steps:] = np.nan
    for name, value in program(inputs, lengths).items():
        assert_bitwise_equal(value, clean[name], name)


def test_nan_in_a_memory_stays_in_its_row(case):
    program, inputs, lengths = case
    clean = program(inputs, lengths)
    inputs["m"][2, 1] = inputs["k"][2, 1] = np.nan
    spoiled = program(inputs, lengths)
    assert np.isnan(spoiled["context"][2]).all()
    for name in OUTPUTS:
        assert_bitwise_equal(spoiled[name][[0, 1, 3, 4]], clean[name][[0, 1, 3, 4]], name)


def test_a_memory_without_steps_is_looked_at_in_vain(case):
    program, inputs, _ = case
    empty = program({name: v[:, :0] if name in ("m", "k") else v for name, v in inputs.items()})
    assert empty["attention"].shape == (5, 6, 0)
    assert not empty["context"].any()
    masked = program(inputs, {"tgt": np.zeros(5, int)})
    for name in OUTPUTS:
        assert_bitwise_equal(empty[name], masked[name], name)


def test_attention_is_a_share(case):
    program, inputs, lengths = case
    a = program(inputs, lengths)["attention"]
    assert (a >= 0).all()
    np.testing.assert_allclose(a[[0, 2, 3, 4]].sum(-1), 1, rtol=1e-6)


def test_a_memory_may_be_given_in_another_length_with_every_step(case):
    """A search drops the steps that no sentence of a batch has any more."""
    program, inputs, lengths = case
    short = {"tgt": np.minimum(lengths["tgt"], 9)}
    whole = program(inputs, short)
    state = None
    for t in range(6):
        steps = 17 if t < 3 else 9
        given = {
            n: v[:, t : t + 1] if n == "x" else v[:, :steps] if n in "mk" else v for n, v in inputs.items()
        }
        outputs, state = program.run(given, state, short)
        assert_bitwise_equal(outputs["out"][:, 0], whole["out"][:, t])


def test_memory_and_keys_must_have_as_many_steps(case):
    program, inputs, _ = case
    inputs["k"] = inputs["k"][:, :5]
    with pytest.raises(
        DataError, match="input 'k': must have 17 steps like the others on clock 'tgt', got 5"
    ):
        program(inputs)


def test_rows_may_share_a_memory(case):
    """Rows that look at one memory stand together; each has the bits that it has with a memory of its own."""
    program, inputs, lengths = case
    few = {name: value if name in "mk" else np.repeat(value, 3, axis=0) for name, value in inputs.items()}
    few["x"] = random_inputs(program.graph, 15, {"src": 6, "tgt": 17})["x"]
    own = few | {name: np.repeat(inputs[name], 3, axis=0) for name in "mk"}
    repeated = {"tgt": np.repeat(lengths["tgt"], 3)}
    expected = program(own, repeated)
    for name, value in program(few, lengths).items():
        assert_bitwise_equal(value, expected[name], name)
    state, before = program.init_state(15), program.init_state(15)
    for t in range(6):
        step = {"x": few["x"][:, t : t + 1]}
        found, state = program.run(few | step, state, lengths)
        wanted, before = program.run(own | step, before, repeated)
        assert_bitwise_equal(found["out"], wanted["out"])


def test_memories_must_be_a_whole_number_of_rows_each(case):
    program, inputs, _ = case
    few = {name: value[:2] if name in "mk" else value for name, value in inputs.items()}
    with pytest.raises(DataError, match=r"input 'm': must have shape \[5, time, \d+\], got \[2, 17, \d+\]"):
        program(few)
    few = {name: value[:1] if name == "m" else value for name, value in inputs.items()}
    with pytest.raises(DataError, match=r"input 'k': must have shape \[1, time, \d+\], got \[5, 17, \d+\]"):
        program(few)
