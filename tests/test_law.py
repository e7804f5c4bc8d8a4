"""The law: for every op, one description gives the same numbers on every back end, whole, in chunks, and step by step.

torch = runtime on the whole sequence = runtime in chunks of any sizes with the state carried = runtime step by step
= ONNX in ONNX Runtime, whole, in chunks and step by step = C99 step by step, each held to the NumPy oracle within the
tolerance of the design; and within the runtime the same bits, alone or in a batch, whole or in chunks. Where the capability table says that an op cannot, a typed error is what the test wants.
"""

import numpy as np
import pytest
import torch

import c99_runs
import onnx_runs
from example_graphs import GRAPHS, random_inputs, random_tensors
from graph_oracle import run
from grus.errors import UnsupportedError
from grus.export.c99.lower import LOWERINGS as C99_LOWERINGS
from grus.export.network import Network
from grus.export.onnx_format.graph import to_onnx
from grus.export.onnx_format.ops import LOWERINGS
from grus.models import GraphModule
from grus.models.ops import MODULES
from grus.runtime import Program, State
from grus.runtime.ops import IMPLEMENTATIONS
from grus.spec import CAPABILITIES, OPS, Graph, infer, require_streaming
from numerics import assert_bitwise_equal, assert_close_to_oracle, to_numpy

TIMES = {"src": 24, "tgt": 8}
BATCH = 3


def can_stream(graph: Graph) -> bool:
    try:
        require_streaming(graph)
    except UnsupportedError:
        return False
    return True


STREAMING = [name for name, graph in GRAPHS.items() if can_stream(graph)]
WHOLE = [name for name in GRAPHS if name not in STREAMING]


def close(actual, graph, tensors, inputs, lengths=None):
    wide = run(graph, tensors, inputs, lengths, np.float64)
    narrow = run(graph, tensors, inputs, lengths, np.float32)
    assert actual.keys() == wide.keys()
    for name, value in actual.items():
        assert_close_to_oracle(to_numpy(value), wide[name], narrow[name], name)


def in_chunks(graph, run_chunk, inputs, sizes, state=None):
    """Feed the source clock in chunks; other clocks go in whole with the last chunk. Returns joined outputs, state.

    A memory goes in whole with every chunk.

    ``run_chunk(inputs, state)`` runs one and returns its outputs and the state after it.
    """
    shapes = infer(graph)
    pieces: dict[str, list[np.ndarray]] = {name: [] for name in graph.outputs}
    begin = 0
    for number, size in enumerate(sizes):
        last = number == len(sizes) - 1
        part = {}
        for port in graph.inputs:
            whole = inputs[port.name]
            if port.kind == "memory":
                part[port.name] = whole
            elif port.clock == "src":
                part[port.name] = whole[:, begin : begin + size]
            else:
                part[port.name] = whole if last or not port.clock else whole[:, :0]
        outputs, state = run_chunk(part, state)
        for name, value in outputs.items():
            pieces[name].append(value)
        begin += size
    joined = {
        name: np.concatenate(pieces[name], axis=1) if shapes[source].clock else pieces[name][-1]
        for name, source in graph.outputs.items()
    }
    return joined, state


def test_every_op_is_in_the_law_and_implemented_where_the_table_says():
    assert {type(node.op) for graph in GRAPHS.values() for node in graph.nodes} == set(OPS)
    assert set(MODULES) == {op for op, row in CAPABILITIES.items() if "torch" in row.backends}
    assert set(IMPLEMENTATIONS) == {op for op, row in CAPABILITIES.items() if "runtime" in row.backends}
    assert set(LOWERINGS) == {op for op, row in CAPABILITIES.items() if "onnx" in row.backends}
    assert set(C99_LOWERINGS) == {op for op, row in CAPABILITIES.items() if "c" in row.backends}


@pytest.mark.parametrize("name", GRAPHS)
def test_torch_is_the_oracle(name):
    graph, tensors = GRAPHS[name], random_tensors(GRAPHS[name])
    inputs = random_inputs(graph, BATCH, TIMES)
    module = GraphModule(graph).eval()
    module.load_tensors(tensors)
    with torch.no_grad():
        outputs = module({k: torch.from_numpy(v) for k, v in inputs.items()})
    close(outputs, graph, tensors, inputs)
    for key, value in module.tensors().items():
        assert_bitwise_equal(value, tensors[key], key)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_runtime_is_the_oracle(name):
    graph, tensors = GRAPHS[name], random_tensors(GRAPHS[name])
    inputs = random_inputs(graph, BATCH, TIMES)
    close(Program(graph, tensors)(inputs), graph, tensors, inputs)


@pytest.mark.parametrize("name", GRAPHS)
def test_onnx_is_the_oracle_whole_in_chunks_and_step_by_step(name):
    graph, tensors = GRAPHS[name], random_tensors(GRAPHS[name])
    inputs = random_inputs(graph, BATCH, TIMES)
    session = onnx_runs.session_of(to_onnx(Network(graph, tensors)))
    outputs, _ = onnx_runs.run(session, inputs)
    close(outputs, graph, tensors, inputs)
    for sizes in [(1,) * 24, (5, 0, 7, 12)] if name in STREAMING else []:
        joined, _ = in_chunks(graph, lambda *part: onnx_runs.run(session, *part), inputs, sizes)
        close(joined, graph, tensors, inputs)


@pytest.mark.parametrize("name", GRAPHS)
def test_lengths_on_all_sides(name):
    graph, tensors = GRAPHS[name], random_tensors(GRAPHS[name])
    inputs = random_inputs(graph, 4, TIMES)
    lengths = {"src": np.array([24, 0, 5, 16]), "tgt": np.array([8, 8, 1, 3])}
    used = {k: v for k, v in lengths.items() if any(port.clock == k for port in graph.inputs)}
    whole = run(graph, tensors, inputs, used)
    module = GraphModule(graph).eval()
    module.load_tensors(tensors)
    with torch.no_grad():
        theirs = module(
            {k: torch.from_numpy(v) for k, v in inputs.items()},
            {k: torch.from_numpy(v) for k, v in used.items()},
        )
    ours = Program(graph, tensors)(inputs, used)
    onnx, _ = onnx_runs.run(onnx_runs.session_of(to_onnx(Network(graph, tensors))), inputs, lengths=used)
    narrow = run(graph, tensors, inputs, used, np.float32)
    for output, source in graph.outputs.items():
        keep = valid(graph, source, used, whole[output])
        for side in (theirs, ours, onnx):
            masked = np.where(keep, to_numpy(side[output]), np.float32(0))
            assert_close_to_oracle(
                masked, np.where(keep, whole[output], 0), np.where(keep, narrow[output], 0), output
            )


def valid(graph, source, lengths, value):
    """Where an output speaks of real steps (pointwise ops leave what they like at padding)."""
    clock = infer(graph)[source].clock
    if not clock:
        return np.ones(value.shape, bool)
    base, *cuts = clock.split("/")
    steps = lengths[base]
    for cut in cuts:
        steps = steps // int(cut)
    return np.broadcast_to((np.arange(value.shape[1]) < steps[:, None])[..., None], value.shape)


@pytest.mark.parametrize("sizes", [(24,), (1,) * 24, (1, 22, 1), (5, 0, 7, 12), (23, 1)], ids=str)
@pytest.mark.parametrize("name", STREAMING)
def test_chunks_are_the_whole_bit_for_bit(name, sizes):
    graph = GRAPHS[name]
    program = Program(graph, random_tensors(graph))
    inputs = random_inputs(graph, BATCH, TIMES)
    whole = program(inputs)
    joined, _ = in_chunks(graph, program.run, inputs, sizes)
    for output in whole:
        assert_bitwise_equal(joined[output], whole[output], output)


@pytest.mark.parametrize("name", STREAMING)
def test_the_state_is_a_value(name):
    """Running from a state twice gives the same; rows can be taken out and put together again."""
    graph = GRAPHS[name]
    program = Program(graph, random_tensors(graph))
    inputs = random_inputs(graph, BATCH, TIMES)
    cut = [p.name for p in graph.inputs if p.clock and p.kind != "memory"]
    first = {name: values[:, :8] if name in cut else values for name, values in inputs.items()}
    rest = {p.name: inputs[p.name][:, 8:] if p.clock == "src" else inputs[p.name] for p in graph.inputs}
    _, state = program.run(first)
    once, after = program.run(rest, state)
    again, _ = program.run(rest, state)
    for output in once:
        assert_bitwise_equal(again[output], once[output], output)
    rows = [program.run({k: v[i : i + 1] for k, v in rest.items()}, state[i]) for i in range(BATCH)]
    for output in once:
        assert_bitwise_equal(np.concatenate([row[0][output] for row in rows]), once[output], output)
    joined = State.join([row[1] for row in rows])
    for node, arrays in after.nodes.items():
        for mine, theirs in zip(joined.nodes[node], arrays, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_row_is_the_same_alone_and_in_any_batch(name):
    graph = GRAPHS[name]
    program = Program(graph, random_tensors(graph))
    inputs = random_inputs(graph, 11, TIMES)
    together = program(inputs)
    for i in (0, 4, 10):
        alone = program({k: v[i : i + 1] for k, v in inputs.items()})
        for output in together:
            assert_bitwise_equal(alone[output], together[output][i : i + 1], output)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_nan_in_one_row_never_reaches_another(name):
    graph = GRAPHS[name]
    program = Program(graph, random_tensors(graph))
    inputs = random_inputs(graph, BATCH, TIMES)
    clean = program(inputs)
    for value in inputs.values():
        if value.dtype.kind == "f":
            value[1] = np.nan
    spoiled = program(inputs)
    for output in clean:
        assert_bitwise_equal(spoiled[output][[0, 2]], clean[output][[0, 2]], output)


@pytest.mark.parametrize("name", WHOLE)
def test_what_cannot_stream_says_so(name):
    graph = GRAPHS[name]
    program = Program(graph, random_tensors(graph))
    with pytest.raises(UnsupportedError, match="cannot run in chunks"):
        program.run(random_inputs(graph, BATCH, TIMES))
    assert any(node.op.time == "whole" for node in graph.nodes)


@pytest.mark.parametrize("name", GRAPHS)
def test_c99_is_the_oracle(name):
    """Step by step from the state that the step before left, or whole where an op needs blocks of steps."""
    graph, tensors = GRAPHS[name], random_tensors(GRAPHS[name])
    if any(getattr(node.op, "bidirectional", False) for node in graph.nodes):
        assert c99_runs.program(name, 0, TIMES) is None
        return
    outputs = c99_runs.outputs(BATCH, tuple(TIMES.items()))[name]
    close(outputs, graph, tensors, random_inputs(graph, BATCH, TIMES))
