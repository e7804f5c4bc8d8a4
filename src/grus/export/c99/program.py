"""The two files of a C model, and the small program that drives them for a comparison."""

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from grus.export.c99.builder import MEMBERS, Argument, Body, Function, Precision, Unit, Value
from grus.export.c99.lines import Weights
from grus.export.c99.lower import check, lower
from grus.export.c99.text import comment
from grus.spec import Graph

#: gcc and clang complain of static functions that a model does not need.
_QUIET = """#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
{}
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif"""
_CLEAR = "  memset(s, 0, sizeof *s);"


@dataclass(frozen=True)
class Program:
    """A model in C: what its header says and its functions do.

    Attributes:
        name: begins the name of everything that the header declares.
        unit: constants and state.
        functions: in the order of the header.
        about: paragraphs of the header's first comment.
        extra: further declarations of the header and their definitions in the source.
    """

    name: str
    unit: Unit
    functions: tuple[Function, ...]
    about: tuple[str, ...]
    extra: tuple[tuple[str, str], ...] = ()

    def header(self) -> str:
        """The text of the header."""
        n, guard = self.name, f"{self.name}_GRUS_H"
        members = "\n".join(
            f"  {kind} {member}[{self.unit.sizes[member]}];"
            for member, kind in MEMBERS.items()
            if self.unit.sizes[member]
        )
        parts = [
            comment(self.about),
            f"#ifndef {guard}\n#define {guard}\n\n#include <stdint.h>\n\n#define {n}_BUILD 0x{self._mark():08x}L",
            '#ifdef __cplusplus\nextern "C" {\n#endif',
            comment(
                [
                    f"One stream, {self.unit.ram} bytes. Not to be looked into; any number of them may be in use."
                ]
            ),
            f"typedef struct {n}_state {{\n{members or '  char empty[4];'}\n}} {n}_state;",
            *(declaration for declaration, _ in self.extra),
            *(f"{comment([f.doc, *_notes(f)])}\n{self.prototype(f)};" for f in self.functions),
            f"#ifdef __cplusplus\n}}\n#endif\n#endif /* {guard} */\n",
        ]
        return "\n\n".join(parts)

    def source(self) -> str:
        """The text of the source."""
        n = self.name
        shared = "\n".join(_part(file) for file in ("cell.h", "support.h", *sorted(self.unit.headers)))
        parts = [
            comment([f"Written by Grus; see {n}.h."]),
            f'#include "{n}.h"\n\n#include <math.h>\n#include <string.h>',
            f"#if {n}_BUILD != 0x{self._mark():08x}L\n#error {n}.c and {n}.h are of two exports\n#endif",
            _QUIET.format(shared),
            "\n".join(self.unit.constants),
            *(definition for _, definition in self.extra if definition),
            *(f"{self.prototype(f)} {{\n{_used(f)}\n}}" for f in self.functions),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def prototype(self, function: Function) -> str:
        """A function as the header declares it, without the semicolon."""
        arguments = [
            f"{self.name}_state *s",
            *(a.input for a in function.inputs),
            *(a.output for a in function.outputs),
        ]
        text = f"void {self.name}_{function.verb}({', '.join(arguments)})"
        return text if len(text) <= 112 else text.replace(", ", ",\n    ").replace("(", "(\n    ", 1)

    def _mark(self) -> int:
        """The same in both files of one export, so that a header of another one is noticed."""
        bodies = [f.verb + f.body + repr(f.inputs + f.outputs) for f in self.functions]
        return (
            zlib.crc32("\n".join([*self.unit.constants, *bodies, repr(self.unit.sizes)]).encode())
            & 0x7FFFFFFF
        )


def _used(function: Function) -> str:
    """The body; what it does not need is named, so that no compiler complains (an op may read only a port's clock)."""
    names = ["s", *(a.name for a in function.inputs)]
    idle = [f"  (void){name};" for name in names if not re.search(rf"\b{name}\b", function.body)]
    return "\n".join([*idle, function.body])


def _part(file: str) -> str:
    return (files("grus.export.c99") / file).read_text(encoding="utf-8").strip()


def _notes(function: Function) -> list[str]:
    arguments = [*function.inputs, *function.outputs]
    return [f" {a.name}: {a.note}" for a in arguments if a.note]


def finish(body: Body, results: Sequence[tuple[Argument, str]]) -> str:
    """The text of a function that ends with copying its outputs; with the first one NULL it only remembers."""
    for argument, at in results:
        body.line(f"memcpy({argument.name}, {at}, {argument.count} * sizeof(float));")
    return body.text(f"if (!{results[0][0].name}) return;" if body.carried and results else "")


def clearing(verbs: Sequence[str] = ("init", "reset")) -> tuple[Function, ...]:
    """Functions that make a state new."""
    docs = {
        "init": "Make a state ready; call it before anything else.",
        "reset": "Forget everything: a new sequence.",
    }
    return tuple(Function(verb, docs[verb], body=_CLEAR) for verb in verbs)


def graph_program(
    graph: Graph,
    tensors: Weights,
    name: str,
    *,
    precision: Precision = "float32",
    times: Mapping[str, int] | None = None,
) -> Program:
    """A bare graph in C: numbers in and out as the network sees them.

    Args:
        graph: the spec.
        tensors: by ``"<node>.<weight>"``.
        name: of the files.
        precision: of the weights.
        times: steps of each clock, for a program with ``run`` over whole sequences; None: one with ``step``.

    Raises:
        UnsupportedError: the graph has an op that C99 cannot run, or cannot run in this form.
    """
    carried = times is None
    check(graph, carried)
    body = Body(Unit(precision), carried)
    steps = {p.clock: 1 if times is None else times[p.clock] for p in graph.inputs if p.clock}
    inputs, arguments = {}, []
    for port in graph.inputs:
        length = steps.get(port.clock, 0)
        tokens = port.kind == "tokens"
        size = 1 if tokens else port.size
        arguments.append(Argument("int32_t" if tokens else "float", f"in_{port.name}", size * max(length, 1)))
        inputs[port.name] = Value(f"in_{port.name}", size, length)
    outputs = lower(body, graph, tensors, inputs, steps)
    results = [
        (Argument("float", f"out_{key}", value.size * max(value.steps, 1)), value.at)
        for key, value in outputs.items()
    ]
    text = finish(body, results)
    verb, doc = ("step", "The next step.") if carried else ("run", "Whole sequences.")
    function = Function(verb, doc, tuple(arguments), tuple(a for a, _ in results), text, body.multiplies)
    return Program(name, body.unit, (*clearing(), function), ("A network in C99, written by Grus.",))
