"""What the tests of weights stored in 16 and in 8 bits have in common."""

import numpy as np
from hypothesis import strategies as st

from gru_cases import Case, Shape, make_case
from grus.kernels import native
from grus.kernels.native import PackedGRU
from numerics import assert_bitwise_equal


def inputs(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """x [B, T, I] and h_0 [B, H] in float32."""
    return np.ascontiguousarray(case.x.swapaxes(0, 1), np.float32), case.h_0[0].astype(np.float32)


def any_case(data: st.DataObject) -> Case:
    """A case of any small shape, with any options."""

    def integer(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    steps, batch = integer(0, 6), integer(1, 18)
    shape = Shape(
        T=steps,
        B=batch,
        I=integer(0, 40),
        H=integer(1, 70),
        bias=data.draw(st.booleans()),
        layer_norm=data.draw(st.booleans()),
        reset_after=data.draw(st.booleans()),
        lengths=tuple(integer(0, steps) for _ in range(batch)) if data.draw(st.booleans()) else None,
        resets=data.draw(st.booleans()),
        zoneout=data.draw(st.sampled_from(["", "expectation"])),
    )
    return make_case(shape, seed=integer(0, 5))


def check_rows(gru: PackedGRU, x: np.ndarray, h_0: np.ndarray) -> np.ndarray:
    """Fail unless rows have the same bits in any batch and at any thread count; returns the outputs of all."""
    before = native.num_threads()
    try:
        native.set_num_threads(1)
        whole, last = gru.run(x, h_0)
        for threads in (1, 2, 5):
            native.set_num_threads(threads)
            for rows in (slice(0, 1), slice(5, 7), slice(3, 20), slice(0, 23)):
                y, h_n = gru.run(x[rows], h_0[rows])
                assert_bitwise_equal(y, whole[rows])
                assert_bitwise_equal(h_n, last[rows])
    finally:
        native.set_num_threads(before)
    return whole
