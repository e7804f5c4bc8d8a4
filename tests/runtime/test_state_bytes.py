"""States as values and as bytes: assigned, reset, carried to another process, and refused when they are not right."""

import hashlib
import subprocess
import sys
import time
import tracemalloc

import msgspec
import numpy as np
import pytest

from example_graphs import GRAPHS, random_inputs, random_tensors
from grus.errors import GrusError, ModelFolderError, UnsupportedError, UsageError
from grus.runtime import Program, State
from grus.runtime.sealed import seal, unseal
from grus.spec import require_streaming
from mutations import fuzz_cases, mutated, mutated_json
from numerics import assert_bitwise_equal


def streams(graph):
    try:
        require_streaming(graph)
    except UnsupportedError:
        return False
    return True


NAMES = [name for name, graph in GRAPHS.items() if streams(graph)]
CASES = fuzz_cases(21_000)
TIMES = {"src": 8, "tgt": 8}


def program(name, seed=0):
    return Program(GRAPHS[name], random_tensors(GRAPHS[name], seed))


def after_a_chunk(name, batch=3, seed=0):
    run = program(name)
    inputs = random_inputs(run.graph, batch, TIMES, seed=seed)
    return run, inputs, run.run(inputs)[1]


def same(a, b):
    assert a.nodes.keys() == b.nodes.keys()
    for name in a.nodes:
        for left, right in zip(a.nodes[name], b.nodes[name], strict=True):
            assert left.dtype == right.dtype
            assert_bitwise_equal(left, right)


@pytest.mark.parametrize("name", NAMES)
def test_a_state_goes_on_from_its_bytes_with_the_same_bits(name):
    run, inputs, state = after_a_chunk(name)
    back = State.from_bytes(state.to_bytes(), program(name, seed=1))
    same(back, state)
    ours, theirs = run.run(inputs, state), run.run(inputs, back)
    for output in ours[0]:
        assert_bitwise_equal(ours[0][output], theirs[0][output])
    same(ours[1], theirs[1])


def test_bytes_are_the_same_for_the_same_state():
    _, _, state = after_a_chunk("GRU-2-layers")
    assert state.to_bytes() == state[:].to_bytes()
    assert state.to_bytes() != state[::-1].to_bytes()


def test_a_partial_segment_of_no_steps_survives():
    run = program("Segment")
    state = run.init_state(100)
    same(State.from_bytes(state.to_bytes(), run), state)


def test_another_process_reads_the_bytes(tmp_path):
    _, _, state = after_a_chunk("GRU")
    (tmp_path / "state").write_bytes(state.to_bytes())
    script = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from example_graphs import GRAPHS, random_tensors\n"
        "from grus.runtime import Program, State\n"
        "run = Program(GRAPHS['GRU'], random_tensors(GRAPHS['GRU']))\n"
        "state = State.from_bytes(open(sys.argv[1], 'rb').read(), run)\n"
        "sys.stdout.write(state.to_bytes().hex())"
    )
    arguments = [sys.executable, "-c", script, str(tmp_path / "state"), *sys.path]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert bytes.fromhex(done.stdout) == state.to_bytes()


# -- assigning and resetting ---------------------------------------------------------------------------------


def test_rows_are_assigned_and_the_old_state_stays():
    _, _, state = after_a_chunk("GRU")
    _, _, other = after_a_chunk("GRU", batch=2, seed=1)
    before = state[:]
    new = state.assign([0, 2], other)
    same(state, before)
    same(new[[0, 2]], other)
    same(new[1], state[1])
    same(state.assign(slice(None), other[0])[2], other[0])
    same(state.assign(1, other[1])[1], other[1])
    same(state.assign(np.array([True, False, False]), other[1])[0], other[1])


def test_what_cannot_be_assigned():
    _, _, state = after_a_chunk("GRU")
    _, _, stranger = after_a_chunk("GRU-2-layers")
    with pytest.raises(UsageError, match=r"State\.assign: states must be of one graph"):
        state.assign(0, stranger)
    with pytest.raises(UsageError, match="must give 3 rows, or one for all of them, got 2"):
        state.assign(slice(None), state[:2])
    with pytest.raises(IndexError):
        state.assign(3, state[0])


def test_states_of_segments_that_stand_at_other_places_do_not_join():
    run = program("Segment")
    x = random_inputs(run.graph, 1, {"src": 10})["x"]
    one, two = run.run({"x": x})[1], run.run({"x": x[:, :9]})[1]
    with pytest.raises(UsageError, match="states must be of one graph"):
        State.join([one, two])


def test_a_reset_row_begins_again():
    run, inputs, state = after_a_chunk("GRU")
    again = run.reset(state, 1)
    same(again[1], run.init_state(1))
    same(again[[0, 2]], state[[0, 2]])
    outputs, _ = run.run(inputs, again)
    first, _ = run.run(inputs)
    name = next(iter(outputs))
    assert_bitwise_equal(outputs[name][1], first[name][1])
    assert (outputs[name][0] != first[name][0]).any()


# -- hostile bytes -------------------------------------------------------------------------------------------


def resealed(blob, change):
    """The blob with ``change`` made to its decoded header, under a checksum that fits."""
    header, body = unseal(b"GRUSTATE", 1, blob, "state")
    found = msgspec.json.decode(header)
    change(found)
    return seal(b"GRUSTATE", 1, msgspec.json.encode(found), [body])


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda b: b"", "state: is not one that Grus wrote"),
        (lambda b: b"PK" + b[2:], "state: is not one that Grus wrote"),
        (lambda b: b[:40], "state: cut short: must be at least 52 bytes, got 40"),
        (lambda b: b[:-1], "state: damaged or cut short (its checksum does not fit)"),
        (lambda b: b + b"\0", "state: damaged or cut short (its checksum does not fit)"),
        (
            lambda b: b[:8] + (9).to_bytes(4, "little") + b[12:],
            "state: written by a newer Grus (version 9; this one reads up to 1)",
        ),
        (lambda b: seal(b"GRUSTATE", 0, b"{}", []), "state: damaged (version 0, a header of 2 bytes)"),
        (lambda b: seal(b"GRUSTATE", 1, b"[" * 10**5, []), "state: damaged (its header cannot be read)"),
        (lambda b: seal(b"GRUSTATE", 1, b"\xff", []), "state: damaged (its header cannot be read)"),
    ],
)
def test_bytes_that_are_no_state(spoil, sentence):
    run, _, state = after_a_chunk("GRU")
    with pytest.raises(ModelFolderError) as caught:
        State.from_bytes(spoil(state.to_bytes()), run)
    assert str(caught.value) == sentence


def test_a_state_of_another_model_is_refused():
    _, _, state = after_a_chunk("GRU")
    with pytest.raises(ModelFolderError, match="state: belongs to another model"):
        State.from_bytes(state.to_bytes(), program("GRU-2-layers"))
    same(State.from_bytes(state.to_bytes(), program("GRU", seed=5)), state)


@pytest.mark.parametrize(
    "nodes",
    [
        {},
        {"gru_0": [["f4", [3, 1 << 40]], ["b1", [3]]]},
        {"gru_0": [["f4", [-1, 6]], ["b1", [3]]]},
        {"gru_0": [["f4", [1 << 62, 1 << 62, 0]]]},
        {"gru_0": [["O", [3]]]},
        {"gru_0": [["f4", [3]]]},
        {"gru_0": [["f4", []]]},
        {"gru_0": "f4"},
        {"other": []},
    ],
    ids=str,
)
def test_headers_that_promise_what_is_not_there(nodes):
    run, _, state = after_a_chunk("GRU")
    blob = resealed(state.to_bytes(), lambda header: header.update(nodes=nodes))
    tracemalloc.start()
    with pytest.raises(ModelFolderError, match="state: damaged"):
        State.from_bytes(blob, run)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_counts_below_zero_are_refused():
    run, _, state = after_a_chunk("Position")
    (seen,) = state.nodes["position_0"]
    for count in (-1, 1 << 62):
        bad = State({"position_0": (np.full_like(seen, count),)}, state.owner)
        with pytest.raises(ModelFolderError, match="must count from zero"):
            State.from_bytes(bad.to_bytes(), run)


def mutations(blob, count, rng):
    """Mutated blobs, most of them sealed again, as someone who means harm would: anywhere, in the header, in the body."""
    header, body = unseal(b"GRUSTATE", 1, blob, "state")
    for number in range(count):
        raw = mutated(blob[:-32], rng)
        match number % 4:
            case 0:
                yield raw + blob[-32:]
            case 1:
                yield raw + hashlib.sha256(raw).digest()
            case 2:
                yield seal(b"GRUSTATE", 1, mutated_json(bytes(header).decode(), rng).encode(), [body])
            case _:
                yield seal(b"GRUSTATE", 1, bytes(header), [mutated(bytes(body) or b"\0", rng)])


def test_mutated_bytes_give_a_typed_error_or_a_state_that_runs():
    rng = np.random.default_rng(0)
    started = time.perf_counter()
    accepted = 0
    for name in NAMES:
        run, inputs, state = after_a_chunk(name, batch=2)
        for blob in mutations(state.to_bytes(), CASES // len(NAMES), rng):
            try:
                found = State.from_bytes(blob, run)
                with np.errstate(all="ignore"):
                    run.run(inputs, found)
            except GrusError:
                continue
            accepted += 1
    assert accepted  # some of those sealed again hold other numbers only, and are states like any
    assert time.perf_counter() - started < 10 * max(1.0, CASES / 21_000)
