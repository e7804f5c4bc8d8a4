"""Write golden cases of the oracle for csrc/tests/driver.cpp: python csrc/tests/make_cases.py FILE.

Every number is 8 bytes, little-endian: integers (int64) in the header, float64 elsewhere. The layout is written once
here and read once in the driver; arrays are time-major and stand in the order of ``record``, those of a MinGRU in
that of ``record_minimal``.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from gru_cases import DECAYS, VARIANTS, Case, Shape, make_case
from grus.kernels.reference import gru_direction
from grus.kernels.reference_backward import gru_direction_backward
from mingru_cases import EDGES, MinCase, make_minimal
from mingru_cases import VARIANTS as MINIMAL

MAGIC, MAGIC_MINIMAL = 0x53555247, 0x4E494D47
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "gain_ih", "gain_hh")
SIZES = [(5, 16, 4, 9), (3, 9, 33, 50), (40, 2, 7, 36)]
CROWDS = [
    Shape(lengths=(6, 0, 1, 3, 5, 2, 6, 4) * 3),
    Shape(reset_after=False, resets=True, recurrent_dropout=True),
    Shape(layer_norm=True, zoneout="mask"),
    Shape(decay=True, lengths=(6, 0, 1, 3, 5, 2, 6, 4) * 3, resets=True),
]


def results(case: Case, dtype: type, reverse: bool) -> list[np.ndarray]:
    """output, h_n, d_x, d_h_0 and the gradients of every weight that is present and of the decay."""
    c = case.astype(dtype)
    hidden = c.h_0.shape[2]
    options = replace(c.options.direction(0), reverse=reverse)
    forward = gru_direction(c.x, c.h_0[0], c.weights[0], options)
    grads = gru_direction_backward(c.d_output[:, :, :hidden], c.d_h_n[0], forward.trace)
    rest = [*(getattr(grads.weights, name) for name in NAMES), grads.decay]
    return [forward.output, forward.h_n, grads.x, grads.h_0, *(a for a in rest if a is not None)]


def calm(case: Case) -> Case:
    """The case with recurrent weights so small that rounding errors die out: a long chaotic one proves nothing."""
    weights = tuple(replace(w, weight_hh=w.weight_hh / 4) for w in case.weights)
    return replace(case, weights=weights)


def joined(header: list[int], inputs: list[np.ndarray | None], precise: list, *rough: list) -> bytes:
    """One case: header, inputs, and each result after its largest error in float32 and in float64."""
    arrays = [a for a in inputs if a is not None]
    for exact, *others in zip(precise, *rough):
        arrays += [np.float64(np.abs(r.astype(np.longdouble) - exact).max(initial=0)) for r in others]
        arrays.append(exact)
    blobs = [np.ascontiguousarray(a, dtype="<f8").tobytes() for a in arrays]
    return np.array(header, "<i8").tobytes() + b"".join(blobs)


def record(case: Case, reverse: bool) -> bytes:
    """One case of a GRU."""
    (steps, batch, inputs), hidden = case.x.shape, case.h_0.shape[2]
    o, weights = case.options, [getattr(case.weights[0], name) for name in NAMES]
    masked = np.ndim(o.keep) > 0
    header = [
        *(MAGIC, steps, batch, inputs, hidden, o.reset_after, reverse),
        *(weights[2] is not None, weights[4] is not None, o.lengths is not None, o.resets is not None),
        *(o.recurrent_masks is not None, masked, o.decays is not None),
    ]
    arrays = [
        np.float64(0 if masked else o.keep),
        *(case.x, case.h_0[0], *weights, o.lengths, o.resets),
        None if o.recurrent_masks is None else o.recurrent_masks[0],
        np.asarray(o.keep)[0] if masked else None,
        None if o.decays is None else o.decays[0],
        *(case.d_output[:, :, :hidden], case.d_h_n[0]),
    ]
    return joined(
        header, arrays, *(results(case, dtype, reverse) for dtype in (np.longdouble, np.float32, np.float64))
    )


def record_minimal(case: MinCase) -> bytes:
    """One case of a MinGRU."""
    (steps, batch, inputs), hidden, o, w = case.x.shape, case.h_0.shape[1], case.options, case.weights
    header = [MAGIC_MINIMAL, steps, batch, inputs, hidden, o.reverse, w.bias_ih is not None]
    header += [o.lengths is not None, o.resets is not None]
    arrays = [case.x, case.h_0, w.weight_ih, w.bias_ih, o.lengths, o.resets, case.d_output, case.d_h_n]
    found = [list(case.results(dtype).values()) for dtype in (np.longdouble, np.float32, np.float64)]
    return joined(header, arrays, *found)


def main() -> None:
    """Write every case to the file named on the command line."""
    with Path(sys.argv[1]).open("wb") as file:
        for steps, batch, inputs, hidden in SIZES:
            for shape in (*VARIANTS, *DECAYS):
                lengths = shape.lengths and tuple(np.resize([2, steps, 0, 1, steps - 1], batch).tolist())
                sized = replace(
                    shape, T=steps, B=batch, I=inputs, H=hidden, L=1, dropout=False, lengths=lengths
                )
                case = make_case(sized, seed=3)
                file.write(record(calm(case) if steps > 10 else case, shape.bidirectional))
        # Work enough to be cut into parts: by rows, and by hidden units where rows are fewer than threads.
        crowds = [replace(shape, T=6, B=24, I=32, H=64) for shape in CROWDS]
        few_rows = [Shape(T=4, B=2, I=10, H=200, reset_after=after, resets=True) for after in (True, False)]
        edges = [Shape(T=1, B=1, I=1, H=1), Shape(T=0, B=3), Shape(T=2, B=70, I=3, H=17)]
        few_rows.append(Shape(T=4, B=2, I=10, H=200, decay=True, resets=True))
        for shape in (*edges, *crowds, *few_rows):
            file.write(record(make_case(shape, seed=3), False))
        for shape in (*MINIMAL, *EDGES):
            file.write(record_minimal(make_minimal(shape, seed=3)))


if __name__ == "__main__":
    main()
