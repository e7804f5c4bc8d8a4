"""What a GRU did at every step: its gates and its states as arrays, from torch or from the runtime.

Whatever the model is, its GRU layers run once more on the native kernels, which keep the gates of every step; that
needs no torch where the model needs none.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from grus.decode import LiveClassifier, LiveForecaster
from grus.decode.rows import to_columns
from grus.errors import UnsupportedError, UsageError
from grus.kernels import native
from grus.preprocess.panel import extend
from grus.runtime import Program
from grus.runtime.chunk import Chunk
from grus.runtime.grud import GRUD
from grus.runtime.recurrent import GRUImplementation
from grus.spec import Model, ops

#: Numbers that a kernel keeps at once for reading the gates: bounds the memory beside the arrays themselves.
_KEPT = 1 << 24


class Cell(NamedTuple):
    """One direction of one layer, ready to run: its packed weights, whether they are normalised, its zoneout."""

    packed: native.PackedGRU
    norm: bool = False
    keep: float = 0.0


@dataclass(frozen=True, eq=False)
class Record:
    """The gates and states of one GRU: L layers, D directions, B rows, T steps, H units; the equations are those of
    `grus.kernels.reference`, in which the update gate z *keeps* the old state.

    Attributes:
        name: of the node or module.
        r, z, n: reset gate, update gate and candidate [L, D, B, T, H], in time's order, zero at padding.
        h: the state after each step [L, D, B, T, H]; direction 1 runs from a row's last step to its first.
        h_0: the state before the first step of each direction [L, D, B, H].
        x: what the first layer was given [B, T, I].
        lengths: steps of each row, int64 [B]; the others are padding.
        resets: bool [B, T], where the state was zeroed before a step; or None.
        cells: what can run each layer and direction again, in the order of the first two axes.
        state_decay: of a GRU-D, what the time before each step left of the state [1, 1, B, T, H], and which x is then
            [xhat, m] [B, T, 2D]; None of a GRU.
        input_decay, elapsed: of a GRU-D, what is left of the last value of each variable, and how long ago that was
            observed, in the unit of the gaps [B, T, D].
    """

    name: str
    r: np.ndarray
    z: np.ndarray
    n: np.ndarray
    h: np.ndarray
    h_0: np.ndarray
    x: np.ndarray
    lengths: np.ndarray
    resets: np.ndarray | None = None
    cells: tuple[Cell, ...] = field(default=(), repr=False)
    state_decay: np.ndarray | None = None
    input_decay: np.ndarray | None = None
    elapsed: np.ndarray | None = None

    @property
    def valid(self) -> np.ndarray:
        """Bool [B, T], False at padding."""
        return np.arange(self.h.shape[3]) < self.lengths[:, None]

    def input_of(self, layer: int) -> np.ndarray:
        """What a layer was given [B, T, I]: the row's input, or the states of the layer below, side by side."""
        return self.x if layer == 0 else np.concatenate(list(self.h[layer - 1]), axis=-1)


def record(model: Any, *data: Any, cell: str | None = None, **options: Any) -> Record:
    """Run a model on data and return the gates of one of its GRUs (or GRU-Ds); see `Record` for the arrays.

    Args:
        model: a live model (`grus.load`) or a fitted estimator; a `grus.runtime.Program`; a torch module that is or
            holds a ``torch.nn.GRU`` (`grus.nn.GRU` is one). A module is run in evaluation mode, without gradients.
        data: what the model reads. A classifier: any data as for ``predict``. A forecaster: rows as for ``predict``;
            the newest window of every series is a row. A module: the arguments of its call, tensors or arrays.
        cell: the GRU's name, for a model that has several (default: the first that runs).
        options: further arguments by name: ``future=`` of a forecaster, those of the module's call.

    Raises:
        UnsupportedError: the model has no GRU, or was loaded in bf16.
        UsageError: there is no GRU of that name, or the model is nothing that can be recorded.
        DataError: the data does not fit the model.

    Example:
        >>> import torch
        >>> found = record(torch.nn.GRU(3, 8, num_layers=2, bidirectional=True), torch.randn(20, 4, 3))
        >>> found.z.shape  # layers, directions, rows, steps, units
        (2, 2, 4, 20, 8)
    """
    found = records(model, *data, **options)
    if cell is None:
        return next(iter(found.values()))
    if cell not in found:
        raise UsageError(f"record: cell must be one of {', '.join(found)}, got {cell!r}")
    return found[cell]


def records(model: Any, *data: Any, **options: Any) -> dict[str, Record]:
    """The record of every GRU of a model by name, in the order in which they ran; see `record`."""
    model = getattr(model, "live_", model)
    if isinstance(model, LiveClassifier):
        sequences = model.sequences(model.examples(*data, **options))
        inputs, lengths = sequences.batch(np.arange(len(sequences)))
        return program_records(model.program, inputs, {"src": lengths})
    if isinstance(model, LiveForecaster):
        return program_records(model.program, _newest_windows(model, *data, **options))
    if isinstance(model, Program):
        return program_records(model, *data, **options)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        from grus.inspection.inside.module_gates import module_records

        return module_records(model, data, options)
    raise UsageError(
        f"record: model must be a live model, a program or a torch module, got {type(model).__name__}"
    )


def program_records(
    program: Program, inputs: Mapping[str, np.ndarray], lengths: Mapping[str, np.ndarray] | None = None
) -> dict[str, Record]:
    """The record of every GRU of a program; inputs and lengths as for its call.

    Raises:
        UnsupportedError: it has none, or its weights are kept in bf16.
    """
    found: dict[str, Record] = {}

    def see(node: Any, implementation: Any, chunk: Any) -> None:
        if not isinstance(implementation, GRUImplementation | GRUD):
            return
        if implementation.stored is not None:
            raise UnsupportedError(
                f"record: weights must be kept as they are, got them in {implementation.stored}",
                hint="load the model in float32",
            )
        if isinstance(implementation, GRUD):
            found[node.name] = _run_decaying(node.name, implementation, chunk)
        else:
            op = implementation.op
            cells = tuple(Cell(packed, op.layer_norm, op.zoneout) for packed in implementation.stack)
            h_0 = implementation.initial(chunk).reshape(len(chunk.x), op.layers, op.directions, op.hidden)
            found[node.name] = run_cells(node.name, cells, chunk.x, np.moveaxis(h_0, 0, 2), chunk.lengths)

    program.watch(inputs, lengths, see)
    if not found:
        raise no_gru("the network", [node.op.name for node in program.graph.nodes])
    return found


def check_recurrent(model: Model) -> None:
    """Raise UnsupportedError for a model that has no gates."""
    nodes = [node.op for graph in model.parts.values() for node in graph.nodes]
    if not any(isinstance(op, ops.GRU | ops.GRUD) for op in nodes):
        raise no_gru("the model", [op.name for op in nodes])


def no_gru(what: str, parts: Sequence[str]) -> UnsupportedError:
    """What is said of a model that has no gates."""
    got = ", ".join(dict.fromkeys(parts)) or "nothing"
    return UnsupportedError(f"{what} must have a recurrent layer with a GRU's gates, got only {got}")


def _newest_windows(live: LiveForecaster, rows: Any, future: Any = None) -> dict[str, np.ndarray]:
    """The network's inputs for the window that ends with the newest row of every series."""
    panel = live.panel(rows)
    extended = extend(panel, live.task.horizon, None if future is None else to_columns(future, "future"))
    origins = extended.offsets[1:] - live.task.horizon
    return live.inputs(live.features(extended), np.arange(panel.n_series), origins)


def _run_decaying(name: str, layer: GRUD, chunk: Chunk) -> Record:
    """The record of a GRU-D, which the runtime gives what its GRU reads and how its state fades."""
    h, last, since = map(np.ascontiguousarray, layer.initial(chunk))
    seen = layer.look_back(chunk, last, since)
    valid = np.arange(chunk.x.shape[1]) < np.asarray(chunk.lengths)[:, None]
    inputs, elapsed, decay = (
        np.where(valid[..., None], a, 0) for a in (seen.inputs, seen.elapsed, seen.decay)
    )
    found = run_cells(
        name, (Cell(layer.layer),), inputs, h[None, None], chunk.lengths, decay=decay[None, None]
    )
    left = np.where(valid[..., None], layer.input_decay(elapsed), 0)
    return replace(found, input_decay=left, elapsed=elapsed)


def run_cells(
    name: str,
    cells: Sequence[Cell],
    x: np.ndarray,
    h_0: np.ndarray,
    lengths: np.ndarray | None = None,
    resets: np.ndarray | None = None,
    decay: np.ndarray | None = None,
) -> Record:
    """Run a stack and keep its gates.

    Args:
        name: for the record.
        cells: L * D of them, the directions of a layer next to each other.
        x: [B, T, I], in the dtype of the weights.
        h_0: [L, D, B, H].
        lengths: int64 [B], or None for all steps.
        resets: bool [B, T], or None.
        decay: multiplied into the state before each step [L, D, B, T, H], or None.
    """
    layers, directions, batch, hidden = h_0.shape
    steps = x.shape[1]
    lengths = np.full(batch, steps, np.int64) if lengths is None else np.asarray(lengths, np.int64)
    shape = (layers, directions, batch, steps, hidden)
    out = {gate: np.zeros(shape, x.dtype) for gate in "rznh"}
    given = np.ascontiguousarray(x)
    for layer in range(layers):
        for d in range(directions):
            found = {gate: array[layer, d] for gate, array in out.items()}
            fading = None if decay is None else decay[layer, d]
            run_cell(
                cells[layer * directions + d], given, h_0[layer, d], lengths, resets, d == 1, found, fading
            )
        given = np.ascontiguousarray(np.concatenate(list(out["h"][layer]), axis=-1))
    return Record(
        name, **out, h_0=h_0, x=x, lengths=lengths, resets=resets, cells=tuple(cells), state_decay=decay
    )


def run_cell(
    cell: Cell,
    x: np.ndarray,
    h_0: np.ndarray,
    lengths: np.ndarray,
    resets: np.ndarray | None,
    reverse: bool,
    out: Mapping[str, np.ndarray],
    decay: np.ndarray | None = None,
) -> None:
    """Run one direction of one layer and fill ``out``: r, z, n and h by letter, each zeros [B, T, H].

    Args:
        cell: the layer.
        x: [B, T, I], contiguous; h_0: [B, H]; lengths: int64 [B]; resets: bool [B, T] or None; reverse: backwards.
        decay: of the state before each step [B, T, H], contiguous, or None.
    """
    batch, steps, inputs = x.shape
    hidden = cell.packed.hidden_size
    size = native.saved_size(hidden, cell.packed.reset_after, cell.norm)
    at_once = max(1, _KEPT // max(1, steps * size))
    for first in range(0, batch if steps else 0, at_once):
        part = slice(first, min(first + at_once, batch))
        rows = part.stop - first
        saved = np.zeros((rows, steps, size), x.dtype)
        state = np.ascontiguousarray(h_0[part], x.dtype)
        last, own = np.empty_like(state), np.ascontiguousarray(lengths[part])
        marks = None if resets is None else np.ascontiguousarray(resets[part])
        problem = native.Problem(
            itemsize=x.itemsize,
            sizes=(rows, steps, inputs, hidden),
            reset_after=cell.packed.reset_after,
            reverse=reverse,
            weights=(),
            x=_view(x[part]),
            h_0=_view(state),
            output=_view(out["h"][part]),
            saved=_view(saved),
            lengths=(own.ctypes.data, 1, 0),
            options=(None if marks is None else _view(marks), None, None),
            keep=cell.keep,
            decay=None if decay is None else _view(decay[part]),
        )
        cell.packed.forward(problem, _view(last))
        for i, gate in enumerate("rzn"):
            out[gate][part] = saved[..., i * hidden : (i + 1) * hidden]


def _view(array: np.ndarray) -> native.View:
    """Address, row stride and time stride of a [B, T, H] or bool [B, T] array, or of a state [B, H] (no time)."""
    row, time = array.strides[:2] if array.ndim == 3 or array.dtype == bool else (array.strides[0], 0)
    return array.ctypes.data, row // array.itemsize, time // array.itemsize
