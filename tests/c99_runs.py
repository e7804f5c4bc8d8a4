"""Every example graph in C99, compiled into one program, and what it gives for the law's inputs."""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from example_graphs import GRAPHS, random_inputs, random_tensors
from grus.errors import UnsupportedError
from grus.export.c99.compiler import STRICT, build, find_compiler, run
from grus.export.c99.driver import Call
from grus.export.c99.program import Program, graph_program
from grus.spec import infer

SANITIZED = ("-O1", *STRICT, "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def compiler() -> list[str]:
    """The compiler of this machine, which development needs anyway."""
    found = find_compiler()
    assert found is not None, "a C compiler is needed (Debian: apt install gcc)"
    return found


def program(name: str, number: int, times: dict[str, int], precision="float32") -> Program | None:
    """A graph step by step if C99 can run it so, else over whole sequences; None where it can do neither."""
    for whole in (None, times):
        try:
            tensors = random_tensors(GRAPHS[name])
            return graph_program(GRAPHS[name], tensors, f"g{number}", precision=precision, times=whole)
        except UnsupportedError:
            continue
    return None


@cache
def outputs(
    batch: int, steps: tuple[tuple[str, int], ...], precision="float32"
) -> dict[str, dict[str, np.ndarray]]:
    """By graph, the outputs of a batch of rows by name: each row from ``init``, a call a step or one for the whole."""
    times = dict(steps)
    made = {name: program(name, i, times, precision) for i, name in enumerate(GRAPHS)}
    programs = {name: found for name, found in made.items() if found is not None}
    calls: list[Call] = []
    spans: dict[str, list[slice]] = {}
    for place, (name, found) in enumerate(programs.items()):
        inputs = random_inputs(GRAPHS[name], batch, times)
        for row in range(batch):
            calls.append(Call(3 * place, ()))
            own = _calls(GRAPHS[name], found, 3 * place + 2, {k: v[row] for k, v in inputs.items()})
            spans.setdefault(name, []).append(slice(len(calls), len(calls) + len(own)))
            calls += own
    with tempfile.TemporaryDirectory() as folder:
        target = build(list(programs.values()), Path(folder), compiler(), SANITIZED)
        answers = run(target, list(programs.values()), calls)
    return {
        name: _joined(GRAPHS[name], times, [answers[span] for span in spans[name]])
        for name, found in programs.items()
    }


def is_stepped(found: Program) -> bool:
    """Whether a call is one step."""
    return found.functions[-1].verb == "step"


def _calls(graph, found, number, inputs) -> list[Call]:
    clocks = [port.name for port in graph.inputs if port.clock]
    if not is_stepped(found) or not clocks:
        return [Call(number, tuple(inputs[port.name] for port in graph.inputs))]
    return [
        Call(number, tuple(inputs[p.name][t] if p.clock else inputs[p.name] for p in graph.inputs))
        for t in range(len(inputs[clocks[0]]))
    ]


def _joined(graph, times, rows) -> dict[str, np.ndarray]:
    """Steps one after the other; of a summary of the steps, the last."""
    shapes = infer(graph)
    joined = {}
    for k, (name, source) in enumerate(graph.outputs.items()):
        shape = shapes[source]
        values = [np.stack([call[k] for call in row]) if shape.clock else row[-1][k] for row in rows]
        size = (times[shape.clock], -1) if shape.kind == "alignment" else (-1, shape.size)
        joined[name] = np.stack([v.reshape(size) if shape.clock else v for v in values])
    return joined
