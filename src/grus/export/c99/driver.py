"""The program that drives C models for a comparison: calls in on stdin, all outputs on stdout, both as raw numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grus.export.c99.builder import Argument
from grus.export.c99.program import Program

_MAIN = """
int main(void) {
  int32_t which;
  memset(&state, 0xff, sizeof state);
  while (get(&which, sizeof which)) {
    switch (which) {
%s
    default: return 1;
    }
  }
  return 0;
}
"""
_STDIO = """#include <stdio.h>
static int get(void *data, size_t size) { return fread(data, 1, size, stdin) == size; }
static void put(const void *data, size_t size) { fwrite(data, 1, size, stdout); }
"""


@dataclass(frozen=True)
class Call:
    """One call of a function: its number among all functions of all programs, and its inputs."""

    number: int
    inputs: tuple[np.ndarray, ...]


def driver(programs: Sequence[Program], transport: str = _STDIO) -> str:
    """The C text of a main program; ``transport`` defines ``get`` and ``put``.

    The state is filled with bits that are NaN before the first ``init``. Function i is the i-th of all functions of
    all programs; number -1 puts the size of the first program's state.
    """
    includes = "\n".join(f'#include "{p.name}.h"' for p in programs)
    members = " ".join(f"{p.name}_state {p.name};" for p in programs)
    cases, number, most = (
        [
            f"    case -1: {{ int32_t size = (int32_t)sizeof({programs[0].name}_state); put(&size, 4); break; }}"
        ],
        0,
        1,
    )
    for program in programs:
        for function in program.functions:
            arguments = [*function.inputs, *function.outputs]
            most = max(most, sum(max(a.count, 1) for a in arguments))
            cases.append(
                f"    case {number}: {{ {_case(program, function.verb, function.inputs, function.outputs)} break; }}"
            )
            number += 1
    room = f"static union {{ {members} }} state;\nstatic union {{ float f[{most}]; int32_t i[{most}]; }} cells;\n"
    return f"{includes}\n#include <stdint.h>\n#include <string.h>\n{transport}{room}{_MAIN % chr(10).join(cases)}"


def _case(program: Program, verb: str, inputs: Sequence[Argument], outputs: Sequence[Argument]) -> str:
    text, given, begin = "", [f"&state.{program.name}"], 0
    for a in inputs:
        size = max(a.count, 1)
        place = f"cells.{'f' if a.kind == 'float' else 'i'} + {begin}"
        text += f"if (!get({place}, {size} * 4)) return 1; "
        given.append(place if a.count else f"*({place})")
        begin += size
    first = begin
    for a in outputs:
        given.append(f"cells.f + {begin}")
        begin += a.count
    text += f"{program.name}_{verb}({', '.join(given)});"
    return text + (f" put(cells.f + {first}, {begin - first} * 4);" if outputs else "")


def encode(calls: Sequence[Call], programs: Sequence[Program]) -> bytes:
    """Calls as the driver reads them."""
    functions = [function for program in programs for function in program.functions]
    parts = []
    for call in calls:
        parts.append(np.int32(call.number).tobytes())
        for argument, value in zip(functions[call.number].inputs, call.inputs, strict=True):
            cells = np.ascontiguousarray(value, np.float32 if argument.kind == "float" else np.int32)
            assert cells.size == max(argument.count, 1), argument.name
            parts.append(cells.tobytes())
    return b"".join(parts)


def decode(
    answers: bytes, calls: Sequence[Call], programs: Sequence[Program]
) -> list[tuple[np.ndarray, ...]]:
    """The outputs of every call."""
    functions = [function for program in programs for function in program.functions]
    cells, begin = np.frombuffer(answers, np.float32), 0
    out: list[tuple[np.ndarray, ...]] = []
    for call in calls:
        made = []
        for argument in functions[call.number].outputs:
            made.append(cells[begin : begin + argument.count])
            begin += argument.count
        out.append(tuple(made))
    assert begin == len(cells)
    return out
