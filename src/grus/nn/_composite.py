"""The GRU with every option in PyTorch operations: differentiable any number of times, on any device.

The equations are those of ``grus.kernels.reference``, which the tests hold this file to.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (the name everyone uses)

from grus.kernels.reference import LAYER_NORM_EPS
from grus.nn._types import Call, CellCall, CellWeights, Gates, GRUSettings, Noise


def affine(v: Tensor, weight: Tensor, bias: Tensor | None, gain: Tensor | None) -> Tensor:
    """W v + b, or gain * normalised(W v) + b for one group of normalised rows."""
    if gain is None:
        return F.linear(v, weight, bias)
    return F.layer_norm(F.linear(v, weight), gain.shape, gain, bias, LAYER_NORM_EPS)


def _rows(array: Tensor | None, part: slice) -> Tensor | None:
    return None if array is None else array[part]


def input_products(x: Tensor, weights: CellWeights) -> Tensor:
    """A_i = W_i x + b_i of any number of steps at once: [..., I] -> [..., 3H]."""
    if weights.gain_ih is None:
        return F.linear(x, weights.weight_ih, weights.bias_ih)
    two, three = 2 * weights.weight_hh.shape[1], 3 * weights.weight_hh.shape[1]
    groups = [
        affine(x, weights.weight_ih[part], _rows(weights.bias_ih, part), weights.gain_ih[part])
        for part in (slice(0, two), slice(two, three))
    ]
    return torch.cat(groups, dim=-1)


def cell_step(
    a_i: Tensor, h: Tensor, weights: CellWeights, reset_after: bool, mask: Tensor | None = None
) -> tuple[Tensor, Gates]:
    """One step: the new state [B, H] and the gates from A_i [B, 3H], h_{t-1} [B, H] and a recurrent mask."""
    two = 2 * h.shape[1]
    seen = h if mask is None else h * mask

    def recurrent(v: Tensor, part: slice) -> Tensor:
        bias, gain = _rows(weights.bias_hh, part), _rows(weights.gain_hh, part)
        return affine(v, weights.weight_hh[part], bias, gain)

    if reset_after and weights.gain_hh is None:
        a_h = F.linear(seen, weights.weight_hh, weights.bias_hh)
        a_rz, a_hn = a_h[:, :two], a_h[:, two:]
    else:
        a_rz, a_hn = recurrent(seen, slice(0, two)), None
    r, z = torch.sigmoid(a_i[:, :two] + a_rz).chunk(2, dim=1)
    if reset_after:
        n = torch.tanh(a_i[:, two:] + r * (recurrent(seen, slice(two, None)) if a_hn is None else a_hn))
    else:
        n = torch.tanh(a_i[:, two:] + recurrent(r * seen, slice(two, None)))
    return (1 - z) * n + z * h, Gates(r, z, n)


def zone_out(h_prev: Tensor, h_new: Tensor, keep: Tensor | float) -> Tensor:
    """Keep units of the previous state: a bool mask chooses, a probability gives the expectation."""
    if isinstance(keep, Tensor):
        return torch.where(keep, h_prev, h_new)
    return keep * h_prev + (1 - keep) * h_new


def run_cell(call: CellCall) -> tuple[Tensor, Gates | None]:
    """One step of a cell with any option: the new state [B, H] and the gates if asked for."""
    a_i = input_products(call.input, call.weights)
    h_new, gates = cell_step(a_i, call.hx, call.weights, call.reset_after, call.recurrent_mask)
    if isinstance(call.zoneout, Tensor) or call.zoneout > 0:
        h_new = zone_out(call.hx, h_new, call.zoneout)
    return h_new, gates if call.return_gates else None


def draw_noise(settings: GRUSettings, cells: int, steps: int, batch: int, like: Tensor) -> Noise:
    """Draw the masks of one forward pass of ``cells`` directions, with H and device of the state ``like``.

    In evaluation nothing is drawn, and zoneout is its probability.
    """
    hidden = like.shape[-1]
    if not settings.training:
        return Noise(zoneout=settings.zoneout)
    directions = settings.num_directions
    layers = cells // directions
    dropout = recurrent = None
    zoneout: Tensor | float = 0.0
    if settings.dropout > 0 and layers > 1:
        ones = like.new_ones(steps, batch, directions * hidden)
        # A draw for every layer, as torch.nn.GRU makes them: the same seed drops the same elements.
        dropout = torch.stack([F.dropout(ones, settings.dropout) for _ in range(layers - 1)])
    if settings.recurrent_dropout > 0:
        recurrent = F.dropout(like.new_ones(cells, batch, hidden), settings.recurrent_dropout)
    if settings.zoneout > 0:
        zoneout = _keep_mask(settings.zoneout, (cells, steps, batch, hidden), like.device)
    return Noise(dropout, recurrent, zoneout)


def _keep_mask(probability: float, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """True with a probability, to the next multiple of 2^-16: four draws from one random word.

    A word a draw (torch.rand) took a third of a training step (B=128, T=50, H=32).
    """
    count = math.prod(shape)
    words = torch.randint(-(2**63), 2**63 - 1, (-(-count // 4),), device=device)
    draws = words.view(torch.int16)[:count].view(shape)
    return draws <= round(probability * 2**16) - 2**15 - 1


@dataclass(frozen=True, eq=False)
class Course:
    """How one direction walks through time; every tensor [T, B, 1] and in processing order, None for "all".

    ``order`` holds the time index of each processing step and is its own inverse; without it a reverse
    direction is a plain flip.  ``drop`` marks steps before which the state is zeroed.
    """

    reverse: bool
    order: Tensor | None = None
    valid: Tensor | None = None
    drop: Tensor | None = None

    def reorder(self, x: Tensor) -> Tensor:
        """From time order to processing order, or back: [T, B, F] -> [T, B, F]."""
        if not self.reverse:
            return x
        return x.flip(0) if self.order is None else x.gather(0, self.order.expand_as(x))


def course(valid: Tensor | None, lengths: Tensor | None, resets: Tensor | None, reverse: bool) -> Course:
    """Plan one direction from valid steps [T, B], lengths [B] and resets [T, B]."""
    course = Course(reverse)
    if valid is not None and lengths is not None:
        time = torch.arange(len(valid), device=valid.device)[:, None]
        order = torch.where(valid, lengths - 1 - time, time)[:, :, None]
        course = Course(reverse, order, valid[:, :, None])
        resets = None if resets is None else resets & valid
    if resets is None:
        return course
    if reverse:  # the boundary before step t is met on the way from t to t-1
        resets = torch.cat([resets[1:], torch.zeros_like(resets[:1])])
    return replace(course, drop=course.reorder(resets[:, :, None]))


@dataclass(frozen=True, eq=False)
class _Direction:
    """One direction of one layer, ready to run: weights, course through time and masks."""

    weights: CellWeights
    reset_after: bool
    course: Course
    mask: Tensor | None  # [B, H]
    keep: Tensor | float  # bool [T, B, H] or a probability

    def run(self, x: Tensor, h: Tensor, want_gates: bool) -> tuple[Tensor, Tensor, Gates | None]:
        """Output [T, B, H], h_n [B, H] and gates [T, B, H] in time order, from x [T, B, I] and h_0 [B, H]."""
        course = self.course
        a_i = input_products(course.reorder(x), self.weights)
        keep = course.reorder(self.keep) if isinstance(self.keep, Tensor) else self.keep
        steps: list[tuple[Tensor, ...]] = []
        for t in range(len(x)):
            h_prev = h if course.drop is None else torch.where(course.drop[t], 0, h)
            h_new, gates = cell_step(a_i[t], h_prev, self.weights, self.reset_after, self.mask)
            if isinstance(keep, Tensor):
                h_new = zone_out(h_prev, h_new, keep[t])
            elif keep > 0:
                h_new = zone_out(h_prev, h_new, keep)
            h = h_new if course.valid is None else torch.where(course.valid[t], h_new, h)
            steps.append((h_new, *gates) if want_gates else (h_new,))
        sequences = [torch.stack(values) for values in zip(*steps)]
        if course.valid is not None:
            sequences = [torch.where(course.valid, values, 0) for values in sequences]
        output, *gates = (course.reorder(values) for values in sequences)
        return output, h, Gates(*gates) if want_gates else None


def _directions(call: Call, steps: int, batch: int) -> tuple[list[_Direction], Tensor | None, Noise]:
    """Every direction of the stack, the valid steps [T, B, 1] (None for all), and the noise of this pass."""
    settings, hx = call.settings, call.hx
    lengths = valid = None
    if call.lengths is not None:
        lengths = torch.as_tensor(call.lengths, dtype=torch.int64, device=hx.device)
        valid = torch.arange(steps, device=hx.device)[:, None] < lengths
    resets = None if call.resets is None else call.resets.transpose(0, 1)
    courses = [course(valid, lengths, resets, reverse) for reverse in (False, True)]
    noise = call.noise or draw_noise(settings, len(call.weights), steps, batch, hx)
    directions = [
        _Direction(
            weights,
            settings.reset_after,
            courses[i % settings.num_directions],
            None if noise.recurrent is None else noise.recurrent[i],
            noise.zoneout[i] if isinstance(noise.zoneout, Tensor) else noise.zoneout,
        )
        for i, weights in enumerate(call.weights)
    ]
    return directions, None if valid is None else valid[:, :, None], noise


def run(call: Call) -> tuple[Tensor, Tensor, Gates | None]:
    """A whole stack with any option: output, h_n and, if asked for, gates, in the layout of the call."""
    settings = call.settings
    x = call.input.transpose(0, 1) if settings.batch_first else call.input
    directions, valid, noise = _directions(call, *x.shape[:2])
    if valid is not None:  # zeroed first, so that not even NaN in padding can meet a gradient
        x = torch.where(valid, x, 0)
    states: list[Tensor] = []
    gates: list[Gates] = []
    for first in range(0, len(directions), settings.num_directions):
        outputs: list[Tensor] = []
        if first > 0 and noise.dropout is not None:
            x = x * noise.dropout[first // settings.num_directions - 1]
        for i in range(first, first + settings.num_directions):
            output, h, direction_gates = directions[i].run(x, call.hx[i], call.return_gates)
            outputs.append(output)
            states.append(h)
            gates += [] if direction_gates is None else [direction_gates]
        x = torch.cat(outputs, dim=2)
    output, h_n = x, torch.stack(states)
    stacked = Gates(*(torch.stack(values) for values in zip(*gates))) if gates else None
    if settings.batch_first:
        output = output.transpose(0, 1)
        stacked = None if stacked is None else Gates(*(gate.transpose(1, 2) for gate in stacked))
    return output, h_n, stacked
