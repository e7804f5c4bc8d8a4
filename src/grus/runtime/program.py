"""Runs a graph without torch: whole sequences, or chunks of any sizes with the state carried."""

from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np

from grus.errors import DataError, UsageError
from grus.kernels.native import PackedLinear
from grus.runtime.chunk import Chunk, Implementation, Weights
from grus.runtime.ops import IMPLEMENTATIONS
from grus.runtime.state import Rows, State, check_counts, check_like, digest_of
from grus.spec import Graph, Node, Shape, infer, node_weights, require, require_streaming, weight_shapes

Arrays = Mapping[str, np.ndarray]

#: Called with a node, its implementation and what it is given, just before it runs.
See = Callable[[Node, Implementation, Chunk], None]


class Program:
    """A graph with its weights packed once, read-only and shared between threads.

    Args:
        graph: the spec.
        tensors: float32 arrays by ``"<node>.<weight>"``, as `grus.spec.weight_shapes` lists them.
        precision: what the matrices of the layers that multiply are kept as. ``"bf16"`` rounds them once to 16 bits,
            at most 2^-8 (0.4 %) of each weight; all else stays float32, so that the outputs are bit for
            bit those of matrices rounded beforehand. They take half the memory, and less time to read where they do
            not fit the first cache. ``"int8"`` makes each output's weights whole numbers from -127 to 127 times a
            scale: a quarter of the memory and, where a layer is large, of the time; see
            `grus.kernels.native.PackedGRU` for the errors.

    Raises:
        UnsupportedError: if an op has no runtime implementation.
        UsageError: if a tensor is missing or has another shape, for another precision, or if int8 matrices are
            not finite.
    """

    def __init__(self, graph: Graph, tensors: Arrays, precision: str = "float32") -> None:
        if precision not in ("float32", "bf16", "int8"):
            raise UsageError(f"precision: must be float32, bf16 or int8, got {precision!r}")
        require(graph, "runtime")
        shapes = infer(graph)
        for name, shape in weight_shapes(graph).items():
            if name not in tensors or tensors[name].shape != shape:
                got = "nothing" if name not in tensors else f"{list(tensors[name].shape)}"
                raise UsageError(f"Program: tensor {name!r} must have shape {list(shape)}, got {got}")
        nodes: list[Implementation] = []
        stored = None if precision == "float32" else precision
        for node in graph.nodes:
            build = IMPLEMENTATIONS[type(node.op)]
            inputs = tuple(shapes[name] for name in node.inputs)
            nodes.append(build(node.op, Weights(node_weights(tensors, node), stored), inputs))
        self._set(graph, nodes, shapes)

    def _set(self, graph: Graph, nodes: list[Implementation], shapes: dict[str, Shape]) -> None:
        self.graph, self.shapes = graph, shapes
        self._streams = False
        self._nodes = nodes
        self._names = {port.name for port in graph.inputs}
        #: The port that says how many rows there are: memories may be fewer.
        self._rows = next((port.name for port in graph.inputs if port.kind != "memory"), None)
        #: Each node with its implementation, its first input that has a clock (the lengths of that are the node's; ops
        #: whose steps do not see each other need none), and the memory that it looks at.
        self._plan = [
            (
                node,
                made,
                next((n for n in node.inputs if self.shapes[n].clock and node.op.time != "pointwise"), None),
                next((name for name in node.inputs if self.shapes[name].kind == "memory"), None),
            )
            for node, made in zip(graph.nodes, self._nodes, strict=True)
        ]
        self._before = self.init_state(0)

    def __call__(self, inputs: Arrays, lengths: Arrays | None = None) -> dict[str, np.ndarray]:
        """Run whole sequences.

        Args:
            inputs: by port name; seq [B, T, size] and vec [B, size] float32, tokens [B, T] or [B] integer. Memories
                may be fewer, [N, T, size] where N divides B: row i then looks at memory i // (B / N).
            lengths: valid steps per row by clock, int [B]; missing clocks are full. Padding is never read.

        Returns:
            Outputs by name.
        """
        outputs, _ = self._run(inputs, None, lengths)
        return outputs

    def run(
        self, inputs: Arrays, state: State | None = None, lengths: Arrays | None = None
    ) -> tuple[dict[str, np.ndarray], State]:
        """Run the next chunk from ``state`` (None: the beginning) and return its outputs and the state after it.

        A pooled output (`Last`, or a GRU's ``.h``) is the value over everything seen so far.

        Raises:
            UnsupportedError: if the graph cannot stream (the capability table says which ops can).
            UsageError: if the state is not one of this graph, or has other rows than the inputs.
        """
        if not self._streams:  # asked once: it takes a third of the time of a single step
            require_streaming(self.graph)
            self._streams = True
        if state is None:
            return self._run(inputs, self.init_state(self._batch(inputs)), lengths)
        if state.owner != self.digest:  # one of our own is right: looking closer takes 10 us of a step
            self.check_state(state)
        if state.nodes and state.batch != self._batch(inputs):
            raise UsageError(
                f"Program: state must have {self._batch(inputs)} rows like the inputs, got {state.batch}"
            )
        return self._run(inputs, state, lengths)

    def cut(self, output: str) -> "tuple[Program, PackedLinear] | None":
        """This program without the linear layer that an output comes from, and that layer; both share their weights.

        What the layer would be given is put out by the name of the output. None where the output comes from
        something else, or something else needs the layer.
        """
        name = self.graph.outputs[output]
        place = next((n for n, node in enumerate(self.graph.nodes) if node.name == name), -1)
        layer = getattr(self._nodes[place], "function", None) if place >= 0 else None
        others = [node for node in self.graph.nodes if node.name != name]
        used = [source for key, source in self.graph.outputs.items() if key != output]
        used += [source for node in others for source in (*node.inputs, node.weights)]
        if not isinstance(layer, PackedLinear) or name in used:
            return None
        outputs = self.graph.outputs | {output: self.graph.nodes[place].inputs[0]}
        graph = Graph(self.graph.inputs, tuple(others), outputs)
        rest = object.__new__(Program)
        rest._set(graph, [made for n, made in enumerate(self._nodes) if n != place], infer(graph))
        return rest, layer

    def watch(self, inputs: Arrays, lengths: Arrays | None, see: See) -> dict[str, np.ndarray]:
        """Run whole sequences as a call does, and show ``see`` every node and what it is given; for inspection."""
        return self._run(inputs, None, lengths, see)[0]

    def init_state(self, batch: int) -> State:
        """The state before the first step, for ``batch`` rows."""
        states = {
            node.name: impl.init_state(batch)
            for node, impl in zip(self.graph.nodes, self._nodes, strict=True)
        }
        return State({name: arrays for name, arrays in states.items() if arrays}, self.digest)

    def reset(self, state: State, rows: Rows) -> State:
        """``state`` with some rows as they were before the first step."""
        return state.assign(rows, self.init_state(1))

    @cached_property
    def digest(self) -> str:
        """Tells the graph from every other, as hexadecimal text; the weights do not count."""
        return digest_of(self.graph)

    def check_state(self, state: State) -> None:
        """Raise UsageError unless ``state`` has what this graph's nodes remember, and is of no other graph."""
        if state.owner not in ("", self.digest):
            raise UsageError(
                f"Program: state must be of this graph, whose {sorted(self._before.nodes)} remember, "
                "got one of another"
            )
        check_like(state, self._before, "Program")
        for name, arrays in state.nodes.items():
            check_counts(arrays, f"Program: state of {name!r}")

    def _run(
        self, inputs: Arrays, state: State | None, lengths: Arrays | None, see: See | None = None
    ) -> tuple[dict[str, np.ndarray], State]:
        values, clocks = self._bind(inputs, lengths)
        after: dict[str, tuple[np.ndarray, ...]] = {}
        full = lengths is None
        for node, implementation, timed, looked_at in self._plan:
            lengths_now = None if timed is None else self._lengths(timed, values, clocks)
            memory = None if looked_at is None else self._lengths(looked_at, values, clocks)
            chunk = Chunk(tuple([values[name] for name in node.inputs]), lengths_now, full, memory)
            if see is not None:
                see(node, implementation, chunk)
            before = None if state is None else state.nodes.get(node.name, ())
            outputs, remembered = implementation(chunk, before)
            name = node.name
            for suffix, value in outputs.items():
                values[name + suffix if suffix else name] = value
            if remembered:
                after[node.name] = remembered
        return {name: values[source] for name, source in self.graph.outputs.items()}, State(
            after, self.digest
        )

    def _batch(self, inputs: Arrays) -> int:
        first = inputs.get(self._rows, ()) if self._rows else ()
        return len(first) if np.ndim(first) else 0

    def _bind(
        self, inputs: Arrays, lengths: Arrays | None
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray | None]]:
        """Check every input against its port, once, at the door; the lengths of a clock are None if all are full."""
        if inputs.keys() != self._names:
            raise UsageError(f"Program: inputs must be {sorted(self._names)}, got {sorted(inputs)}")
        values: dict[str, np.ndarray] = {}
        times: dict[str, int] = {}
        counts: dict[str, int] = {}
        batch = self._batch(inputs)
        for port in self.graph.inputs:
            array = np.asarray(inputs[port.name])
            rows = batch
            if (
                port.kind == "memory"
                and array.ndim == 3
                and 0 < len(array) < batch
                and batch % len(array) == 0
            ):
                rows = len(array)
            rows = counts.setdefault(port.clock, rows) if port.clock else rows
            axes = (rows,) + ((array.shape[1] if array.ndim > 1 else -1),) * bool(port.clock)
            wanted = axes + (() if port.kind == "tokens" else (port.size,))
            if array.shape != wanted:
                text = f"[{rows}{', time' if port.clock else ''}{'' if port.kind == 'tokens' else f', {port.size}'}]"
                raise DataError(f"input {port.name!r}: must have shape {text}, got {list(array.shape)}")
            if port.clock and times.setdefault(port.clock, array.shape[1]) != array.shape[1]:
                raise DataError(
                    f"input {port.name!r}: must have {times[port.clock]} steps like the others on clock "
                    f"{port.clock!r}, got {array.shape[1]}"
                )
            values[port.name] = (
                _tokens(port.name, array, port.size) if port.kind == "tokens" else _floats(array)
            )
        return values, {
            clock: _clock_lengths(clock, lengths, counts[clock], time) for clock, time in times.items()
        }

    def _lengths(self, name: str, values: Arrays, clocks: dict[str, np.ndarray | None]) -> np.ndarray | None:
        """Valid steps of each row on the clock of a value."""
        clock = self.shapes[name].clock
        held = clock + "="  # found once for all nodes of a clock: that is a third of the time of a short run
        found = clocks.get(held)
        if found is not None:
            return found
        base, *cuts = clock.split("/")
        lengths = clocks[base]
        if lengths is None:  # by its own steps: a chunk may complete a segment that it is shorter than
            lengths = np.full(len(values[name]), values[name].shape[1], np.int64)
        else:
            for cut in cuts:
                lengths = lengths // int(cut)
        clocks[held] = lengths
        return lengths


def _floats(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, dtype=np.float32)


def _tokens(name: str, array: np.ndarray, count: int) -> np.ndarray:
    if array.dtype.kind not in "iu":
        raise DataError(f"input {name!r}: tokens must be whole numbers, got {array.dtype}")
    if (
        array.size == 1 and 0 <= array.item() < count
    ):  # as in generation, where looking for extremes takes 4 us
        return array
    if array.size and not 0 <= int(array.min()) <= int(array.max()) < count:
        raise DataError(
            f"input {name!r}: tokens must be from 0 to {count - 1}, got {array.min()} to {array.max()}"
        )
    return array


def _clock_lengths(clock: str, lengths: Arrays | None, batch: int, time: int) -> np.ndarray | None:
    if lengths is None or clock not in lengths:
        return None
    array = np.asarray(lengths[clock])
    if array.shape != (batch,) or array.dtype.kind not in "iu":
        raise DataError(
            f"lengths of clock {clock!r}: must be whole numbers [{batch}], got {array.dtype} {list(array.shape)}"
        )
    if array.size and not 0 <= int(array.min()) <= int(array.max()) <= time:
        raise DataError(
            f"lengths of clock {clock!r}: must be from 0 to {time}, got {array.min()} to {array.max()}"
        )
    return None if (array == time).all() else array.astype(np.int64)
