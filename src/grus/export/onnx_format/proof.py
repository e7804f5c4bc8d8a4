"""Proves an ONNX model: ONNX Runtime must give what the runtime gives, or nothing is written.

Whole sequences of random lengths and batches from random states, and, where the graph streams, chunks of random sizes
with the states carried on both sides.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from grus.errors import GrusError
from grus.export.network import Network
from grus.export.onnx_format.graph import can_stream, lengths_name, output_name
from grus.export.onnx_format.run import Arrays, Session
from grus.export.torch_modules.parts import State, Traced
from grus.runtime import Program
from grus.spec import Graph, Node, Port, infer, ops

#: Relative to the largest output: a wrong model is off by a percent or more. The model's own sensitivity to a last bit
#: of its inputs, which grows with weights and steps, is allowed for besides.
TOLERANCE = 1e-4
_NUDGE = 2.0**-22
#: What the largest output counts as at least: sums that cancel leave an error of their terms.
_SMALL = 1e-2
_BATCHES = (1, 4)
_STEPS = (1, 3, 10)
_CHUNKS = 4


@dataclass(frozen=True)
class Proof:
    """How many cases agreed, and the greatest difference among them relative to the largest output of its case."""

    cases: int
    largest: float


def prove(session: Session, network: Network, seed: int = 0) -> Proof:
    """Compare a session with the runtime.

    Raises:
        GrusError: they differ; the sentence says in which output, and by how much.
    """
    rng = np.random.default_rng(seed)
    worst = [
        _compare(network, expected, actual, nudged)
        for cases in (_whole, _chunks)
        for expected, actual, nudged in cases(session, network, rng)
    ]
    return Proof(len(worst), max(worst, default=0.0))


def _compare(network: Network, expected: Arrays, actual: Arrays, nudged: Arrays) -> float:
    largest = 0.0
    for name, want in expected.items():
        got = actual[output_name(network.graph, name)]
        largest = max(largest, difference(name, want, got, nudged[name]))
    return largest


def difference(name: str, want: np.ndarray, got: np.ndarray, nudged: np.ndarray) -> float:
    """The greatest difference of an output relative to its largest value, or to a hundredth if that is smaller.

    Args:
        name: of the output.
        want: what must come out.
        got: what came out.
        nudged: what comes out where the inputs differ by a last bit.

    Raises:
        GrusError: it is too large to be rounding.
    """
    if want.shape != got.shape:
        raise GrusError(f"export: output {name!r} must have shape {list(want.shape)}, got {list(got.shape)}")
    with np.errstate(invalid="ignore"):
        error, drift = (np.where(want == other, 0, np.abs(want - other)) for other in (got, nudged))
    scale = float(np.abs(want, where=np.isfinite(want), out=np.zeros_like(want)).max(initial=_SMALL))
    worst = float(error.max(initial=0)) / scale
    allowed = TOLERANCE + 64 * float(np.nan_to_num(drift).max(initial=0)) / scale
    if not worst <= allowed:
        raise GrusError(
            f"export: in ONNX Runtime output {name!r} must be within {allowed:.1e} of the model's, got {worst:.1e}",
            hint="nothing was written; this is a fault of the exporter, please report it",
        )
    return worst


def _whole(
    session: Session, network: Network, rng: np.random.Generator
) -> Iterator[tuple[Arrays, Arrays, Arrays]]:
    graph, states = with_state_ports(network.graph)
    program = Program(graph, network.tensors)
    for batch in _BATCHES:
        for factor in _STEPS:
            times = steps_of(graph, factor)
            inputs = random_inputs(graph, batch, times, rng)
            lengths = {clock: _lengths(rng, batch, time) for clock, time in times.items()}
            # The states have no ports of their own in the file, but the same names in both.
            carried = {state: inputs[port] for port, state in states.items()}
            feeds = {**inputs, **session.first_states(batch), **carried}
            feeds |= {lengths_name(clock): value for clock, value in lengths.items()}
            yield program(inputs, lengths), session.run(feeds)[0], program(_nudge(inputs, rng), lengths)


def _chunks(
    session: Session, network: Network, rng: np.random.Generator
) -> Iterator[tuple[Arrays, Arrays, Arrays]]:
    graph = network.graph
    if not can_stream(graph):
        return
    program, batch = Program(graph, network.tensors), _BATCHES[-1]
    cuts = {
        clock: [0, *sorted(rng.integers(0, time + 1, _CHUNKS - 1)), time]
        for clock, time in steps_of(graph, _STEPS[-1]).items()
    }
    state = nudged_state = None
    carried = session.first_states(batch)
    for number in range(_CHUNKS):
        times = {clock: int(ends[number + 1] - ends[number]) for clock, ends in cuts.items()}
        inputs = random_inputs(graph, batch, times, rng)
        expected, state = program.run(inputs, state)
        nudged, nudged_state = program.run(_nudge(inputs, rng), nudged_state)
        full = {lengths_name(clock): np.full(batch, time) for clock, time in times.items()}
        actual, carried = session.run({**inputs, **carried, **full})
        yield expected, actual, nudged


def with_state_ports(graph: Graph) -> tuple[Graph, dict[str, str]]:
    """The graph with inputs for the initial states of all recurrent layers, and the names of new ones in the file."""
    taken = set(infer(graph))
    ports: list[Port] = []
    states: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        if isinstance(node.op, ops.Recurrent) and len(node.inputs) == 1:
            given: list[str] = []
            for suffix in node.op.states:
                name = next(f"h{i}" for i in range(len(taken) + 1) if f"h{i}" not in taken)
                taken.add(name)
                given.append(name)
                ports.append(Port(name, "vec", node.op.parts * node.op.hidden))
                states[name] = node.name + suffix
            node = Node(node.name, node.op, (node.inputs[0], *given), node.weights)
        nodes.append(node)
    return Graph((*graph.inputs, *ports), tuple(nodes), graph.outputs), states


def steps_of(graph: Graph, factor: int) -> dict[str, int]:
    """Steps for each clock: ``factor`` whole segments, or as many as there are positions for."""
    shapes = infer(graph)
    units = {port.clock: 1 for port in graph.inputs if port.clock}
    most = dict.fromkeys(units, factor)
    for shape in shapes.values():
        if shape.clock:
            base, length = _segment(shape.clock)
            units[base] = math.lcm(units[base], length)
    for node in graph.nodes:
        if isinstance(node.op, ops.Position):
            base, length = _segment(shapes[node.name].clock)
            most[base] = min(most[base], node.op.count * length // units[base])
    return {base: most[base] * unit for base, unit in units.items()}


def _segment(clock: str) -> tuple[str, int]:
    """The clock that was cut, and how many of its steps are one step of this one."""
    base, *cuts = clock.split("/")
    return base, math.prod(map(int, cuts))


def random_inputs(graph: Graph, batch: int, times: dict[str, int], rng: np.random.Generator) -> Arrays:
    """Ordinary numbers and random codes for every port."""
    inputs: Arrays = {}
    for port in graph.inputs:
        shape = (batch, *((times[port.clock],) if port.clock else ()))
        if port.kind == "tokens":
            inputs[port.name] = rng.integers(0, port.size, shape)
        else:
            inputs[port.name] = rng.standard_normal((*shape, port.size)).astype(np.float32)
    return inputs


def _lengths(rng: np.random.Generator, batch: int, time: int) -> np.ndarray:
    """Random ones; with several rows the first is full and the last has no steps."""
    lengths = rng.integers(0, time + 1, batch)
    lengths[0] = time
    if batch > 1:
        lengths[-1] = 0
    return lengths


def _nudge(inputs: Arrays, rng: np.random.Generator) -> Arrays:
    """The same but for a last bit of every float."""
    return {
        name: (x * (1 + rng.choice([-_NUDGE, _NUDGE], x.shape))).astype(x.dtype) if x.dtype.kind == "f" else x
        for name, x in inputs.items()
    }


def prove_module(session: Session, traced: Traced, proof: Proof, seed: int = 1) -> Proof:
    """Compare a session with the torch module itself, on whole sequences from random states; see `prove`."""
    rng = np.random.default_rng(seed)
    graph, states = with_state_ports(traced.network.graph)
    nodes = {port: name.removesuffix(".h") for port, name in states.items()}
    given = {argument.node for argument in traced.arguments if isinstance(argument, State)}
    cases, largest = proof.cases, proof.largest
    for batch, factor in itertools.product(_BATCHES, _STEPS):
        times = steps_of(graph, factor)
        inputs = random_inputs(graph, batch, times, rng)
        for port, node in nodes.items():
            if node not in given:
                inputs[port] = np.zeros_like(inputs[port])
        full = {lengths_name(clock): np.full(batch, time) for clock, time in times.items()}
        carried = {states[port]: inputs[port] for port in states}
        actual, _ = session.run({**session.first_states(batch), **inputs, **carried, **full})
        expected, nudged = (
            traced.run(x, {node: x[port] for port, node in nodes.items()})
            for x in (inputs, _nudge(inputs, rng))
        )
        cases, largest = cases + 1, max(largest, _compare(traced.network, expected, actual, nudged))
    return Proof(cases, largest)
