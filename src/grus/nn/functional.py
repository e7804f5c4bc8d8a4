"""The GRU as a function of its input, state and weights: what the modules of ``grus.nn`` call."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from grus.errors import UsageError
from grus.nn._composite import draw_noise
from grus.nn._forward import run_cell, run_gru
from grus.nn._types import CellWeights, Gates, GRUResult, GRUSettings, Noise

__all__ = ["CellWeights", "GRUResult", "GRUSettings", "Gates", "Noise", "draw_noise", "gru", "gru_cell"]


def gru(
    input: Tensor | PackedSequence,
    hx: Tensor | None,
    weights: Sequence[CellWeights],
    settings: GRUSettings | None = None,
    *,
    lengths: Any = None,
    resets: Any = None,
    noise: Noise | None = None,
    return_gates: bool = False,
) -> GRUResult:
    """Run a stack of GRU layers over sequences; equations and options as in `grus.nn.GRU`.

    Args:
        input: [T, B, I], [B, T, I] if ``settings.batch_first``, [T, I] unbatched, or a packed sequence.
        hx: [L * D, B, H], [L * D, H] unbatched, or None for zeros.
        weights: L * D sets of weights, the directions of a layer next to each other.
        settings: everything else; the plain one-directional GRU by default.
        lengths: valid steps of each row, integers in 0..T.
        resets: bool [B, T] ([T] unbatched), True where a new sequence begins.
        noise: masks to apply instead of drawing them; see `Noise`.
        return_gates: also return r, z and n.

    Returns:
        output [T, B, D * H] in the layout of the input, h_n [L * D, B, H], and the gates or None.

    Raises:
        ValueError, RuntimeError, TypeError: as `grus.nn.GRU`.
    """
    settings = settings or GRUSettings()
    _check_weights(weights, settings)
    return run_gru(
        "gru",
        input,
        hx,
        weights,
        settings,
        lengths=lengths,
        resets=resets,
        noise=noise,
        return_gates=return_gates,
    )


def _check_weights(weights: Sequence[CellWeights], settings: GRUSettings) -> None:
    """Refuse sets of weights whose number or shapes do not make a stack."""
    directions = settings.num_directions
    if not weights or len(weights) % directions:
        raise UsageError(f"gru: weights must be a positive multiple of {directions} sets, got {len(weights)}")
    hidden = weights[0].weight_hh.shape[-1]
    for i, cell in enumerate(weights):
        inputs = weights[0].weight_ih.shape[-1] if i < directions else directions * hidden
        _check_cell_weights(f"gru: weights[{i}]", cell, inputs, hidden)


def _check_cell_weights(where: str, cell: CellWeights, inputs: int, hidden: int) -> None:
    """Refuse one set of weights whose shapes do not fit H and I, or that has one gain without the other."""
    matrices = {"weight_ih": (3 * hidden, inputs), "weight_hh": (3 * hidden, hidden)}
    for field, array in zip(CellWeights._fields, cell):
        shape = matrices.get(field, (3 * hidden,))
        if array is not None and tuple(array.shape) != shape:
            raise UsageError(f"{where}.{field} must have shape {shape}, got {tuple(array.shape)}")
    if (cell.gain_ih is None) != (cell.gain_hh is None):
        raise UsageError(f"{where}: gain_ih and gain_hh must both be given or both be None, got one")


def gru_cell(
    input: Tensor,
    hx: Tensor | None,
    weights: CellWeights,
    *,
    reset_after: bool = True,
    zoneout: Tensor | float = 0.0,
    recurrent_mask: Tensor | None = None,
    resets: Any = None,
    return_gates: bool = False,
) -> tuple[Tensor, Gates | None]:
    """One step of a GRU; equations and options as in `grus.nn.GRUCell`, which calls this.

    Args:
        input: [B, I] or [I].
        hx: [B, H] or [H], or None for zeros.
        weights: one set of weights.
        reset_after: where the reset gate acts.
        zoneout: a probability, whose expectation is taken, or a bool mask of the state's shape.
        recurrent_mask: of the state's shape, multiplied into h_{t-1} where it enters W_hh, or None.
        resets: bool [B] or [], True where the state is zeroed before the step.
        return_gates: also return r, z and n.

    Returns:
        The new state, shaped like hx, and the gates or None.

    Raises:
        ValueError, RuntimeError, TypeError: as `grus.nn.GRUCell`.
    """
    _check_cell_weights(
        "gru_cell: weights", weights, weights.weight_ih.shape[-1], weights.weight_hh.shape[-1]
    )
    return run_cell(
        "gru_cell",
        input,
        hx,
        weights,
        reset_after=reset_after,
        zoneout=zoneout,
        recurrent_mask=recurrent_mask,
        resets=resets,
        return_gates=return_gates,
    )
