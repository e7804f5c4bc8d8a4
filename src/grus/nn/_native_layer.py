"""One layer of a GRU or a MinGRU through the native kernels: on tensors, forward and backward, all its directions.

Kernels take addresses: reading one costs a fraction of a microsecond, converting a tensor several.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from grus.kernels import native

Packed = native.PackedGRU | native.PackedMinGRU

FIELDS = 6
"""Weights of one direction, in the order of ``CellWeights``; absent ones are None.

A MinGRU has weight_ih [2H, I] and bias_ih [2H] alone.
"""


class How(NamedTuple):
    """How one layer runs, apart from its tensors.

    Args:
        batch_first: x and the output have the batch before time.
        reset_after: where the reset gate acts.
        directions: 1, or 2: forwards and backwards, concatenated.
        keep: zoneout as a probability, whose expectation is taken; 0 if there is a zoneout mask.
        minimal: a MinGRU; then reset_after, keep and of the options mask and zoneout say nothing.
    """

    batch_first: bool = False
    reset_after: bool = True
    directions: int = 1
    keep: float = 0.0
    minimal: bool = False


class Options(NamedTuple):
    """The tensors of a layer that get no gradient, or None.

    Args:
        lengths: int64 [B], contiguous.
        resets: bool [B, T].
        mask: recurrent dropout [D, B, H], in the dtype of x.
        zoneout: bool [D, T, B, H], True where a unit keeps its state.
    """

    lengths: Tensor | None = None
    resets: Tensor | None = None
    mask: Tensor | None = None
    zoneout: Tensor | None = None


class Threads:
    """Lets the kernels use as many threads as torch, until someone chooses otherwise.

    The last choice wins: ``torch.set_num_threads`` is followed when its value changes, so that
    ``native.set_num_threads`` holds after it.  With ``GRUS_NUM_THREADS`` torch's value is never followed.
    """

    fixed = bool(os.environ.get("GRUS_NUM_THREADS"))
    seen = 0

    @classmethod
    def follow(cls) -> None:
        threads = torch.get_num_threads()
        if threads != cls.seen and not cls.fixed:
            cls.seen = threads
            native.set_num_threads(threads)


def rows(t: Tensor) -> Tensor:
    """The tensor itself if the kernels can read it in place, otherwise a contiguous copy."""
    if (t.is_contiguous() or t.stride(-1) == 1 or t.shape[-1] <= 1) and _as_it_is(t):
        return t
    return t.resolve_neg().clone(memory_format=torch.contiguous_format)


def whole(t: Tensor) -> Tensor:
    """The tensor itself if it is one contiguous block that the kernels can read, otherwise a copy."""
    if t.is_contiguous() and _as_it_is(t):
        return t
    return t.resolve_neg().clone(memory_format=torch.contiguous_format)


def _as_it_is(t: Tensor) -> bool:
    """Whether the memory of a tensor holds its numbers, aligned."""
    return not (t.data_ptr() & (t.element_size() - 1) or t.is_neg())


def sizes(x: Tensor, how: How) -> tuple[int, int]:
    """(steps, rows) of x."""
    return (x.shape[1], x.shape[0]) if how.batch_first else (x.shape[0], x.shape[1])


def saved_size(h_0: Tensor, how: How, norm: bool) -> int:
    """Numbers that backward needs of every row, step and direction."""
    if how.minimal:
        return 0
    return native.saved_size(int(h_0.shape[-1]), how.reset_after, norm)


def address(t: Tensor | None) -> int:
    """Where a tensor begins, 0 if there is none."""
    return 0 if t is None else t.data_ptr()


def sequence_view(t: Tensor | None, batch_first: bool, offset: int = 0) -> native.View | None:
    """Address (``offset`` numbers into t), row stride and time stride of a [T, B, *] or [B, T, *] tensor."""
    if t is None:
        return None
    first, second = t.stride(0), t.stride(1)
    address = t.data_ptr() + offset * t.element_size()
    return (address, first, second) if batch_first else (address, second, first)


def slice_view(t: Tensor | None, d: int) -> native.View | None:
    """Direction d of a [D, B, *] tensor as (address, row stride, 0)."""
    if t is None:
        return None
    return (t.data_ptr() + d * t.stride(0) * t.element_size(), t.stride(1), 0)


def _steps(t: Tensor | None, d: int) -> native.View | None:
    """Direction d of a [D, T, B, *] tensor."""
    if t is None:
        return None
    return (t.data_ptr() + d * t.stride(0) * t.element_size(), t.stride(2), t.stride(1))


def problem_of(
    d: int,
    x: Tensor,
    h_0: Tensor,
    output: Tensor,
    saved: Tensor | None,
    weights: Sequence[Tensor | None],
    how: How,
    options: Options,
) -> native.Problem:
    """The addresses of everything that forward and backward of direction d share."""
    steps, batch = sizes(x, how)
    hidden = h_0.shape[2]
    lengths, resets = options.lengths, options.resets
    return native.Problem(
        x.element_size(),
        (batch, steps, x.shape[2], hidden),
        how.reset_after,
        d == 1,
        tuple(map(address, weights[d * FIELDS : (d + 1) * FIELDS])),
        sequence_view(x, how.batch_first),  # pyright: ignore[reportArgumentType]
        slice_view(h_0, d),
        sequence_view(output, how.batch_first, d * hidden),  # pyright: ignore[reportArgumentType]
        _steps(saved, d),
        None if lengths is None else (lengths.data_ptr(), 1, 0),
        (
            None if resets is None else (resets.data_ptr(), resets.stride(0), resets.stride(1)),
            slice_view(options.mask, d),
            _steps(options.zoneout, d),
        ),
        how.keep,
    )


class Ran(NamedTuple):
    """What ``forward`` gives.

    Args:
        output: [T, B, D * H] in the layout of x.
        h_n: [D, B, H].
        saved: [D, T, B, S] for ``backward``, or None, as always of a MinGRU. It begins with r, z and n, and is not
            written at padding.
        problems: the calls as the kernels took them, one a direction.
    """

    output: Tensor
    h_n: Tensor
    saved: Tensor | None
    problems: list[native.Problem]


def forward(
    x: Tensor,
    h_0: Tensor,
    weights: Sequence[Tensor | None],
    how: How,
    options: Options,
    save: bool,
    clean: bool = False,
    packed: Sequence[Packed] = (),
) -> Ran:
    """Run a layer, without autograd.

    Args:
        x: [T, B, I] ([B, T, I] if ``how.batch_first``), float32 or float64 on the CPU, any strides.
        h_0: [D, B, H].
        weights: ``FIELDS`` a direction.
        how: settings.
        options: tensors without gradient.
        save: also return what ``backward`` needs.
        clean: with zeros at padding, for those who compare it.
        packed: the weights of each direction as the kernels read them, if they are at hand; ``weights`` may be empty.
    """
    Threads.follow()
    x, h_0 = rows(x), rows(h_0)
    held = [None if w is None else whole(w) for w in weights]
    steps, batch = sizes(x, how)
    output = x.new_empty((*x.shape[:2], how.directions * h_0.shape[2]))
    h_n = x.new_empty(h_0.shape)
    saved = None
    if save and not how.minimal:
        size = saved_size(h_0, how, held[4] is not None)
        saved = (x.new_zeros if clean else x.new_empty)((how.directions, steps, batch, size))
    problems = [problem_of(d, x, h_0, output, saved, held, how, options) for d in range(how.directions)]
    for d, problem in enumerate(problems):
        last: native.View = slice_view(h_n, d)  # pyright: ignore[reportAssignmentType]
        if packed:
            packed[d].forward(problem, last)
        elif how.minimal:
            native.mingru_forward_train(problem, last)
        else:
            native.gru_forward_train(problem, last)
    return Ran(output, h_n, saved, problems)


def backward(
    x: Tensor,
    h_0: Tensor,
    output: Tensor,
    saved: Tensor | None,
    weights: Sequence[Tensor | None],
    how: How,
    options: Options,
    d_output: Tensor | None,
    d_h_n: Tensor | None,
    wanted: Sequence[bool],
    problems: Sequence[native.Problem] = (),
) -> list[Tensor | None]:
    """Back-propagate through a layer: gradients of x, h_0 and every weight, None where not wanted or absent.

    ``wanted`` says for x, h_0 and each of ``weights`` whether its gradient is needed; the rest is as ``forward`` took
    and returned it. ``problems`` are forward's, if every tensor lies where it lay then.
    """
    Threads.follow()
    if not problems:
        x, h_0 = rows(x), rows(h_0)
        held = [None if w is None else whole(w) for w in weights]
        problems = [problem_of(d, x, h_0, output, saved, held, how, options) for d in range(how.directions)]
    d_output = None if d_output is None else rows(d_output)
    d_h_n = None if d_h_n is None else rows(d_h_n)
    hidden = h_0.shape[2]
    d_x = x.new_empty(x.shape) if wanted[0] else None
    d_h_0 = h_0.new_empty(h_0.shape) if wanted[1] else None
    grads = [None if w is None or not want else w.new_empty(w.shape) for w, want in zip(weights, wanted[2:])]
    run = native.mingru_backward if how.minimal else native.gru_backward
    for d, problem in enumerate(problems):
        run(
            problem,
            sequence_view(d_output, how.batch_first, d * hidden),
            slice_view(d_h_n, d),
            sequence_view(d_x, how.batch_first),
            slice_view(d_h_0, d),
            tuple(map(address, grads[d * FIELDS : (d + 1) * FIELDS])),
            add_d_x=d > 0,
        )
    return [d_x, d_h_0, *grads]
