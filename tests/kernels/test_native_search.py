"""Attention and the best outputs by the native kernels, beside the oracle; rows alone and together; what is refused."""

import numpy as np
import pytest

from grus.errors import UsageError
from grus.kernels import native, reference_search
from grus.kernels.native import PackedLinear, available_isas, num_threads, set_num_threads
from grus.kernels.search import attend, best, best_outputs
from numerics import assert_bitwise_equal, assert_close_to_oracle

SIZES = [
    (1, 1, 1, 1, 1),
    (5, 4, 7, 33, 50),
    (3, 5, 19, 256, 300),
    (2, 1, 0, 4, 3),
    (0, 1, 3, 4, 5),
    (2, 2, 40, 8, 129),
]
ISAS = available_isas()


@pytest.fixture(autouse=True)
def threads():
    before = num_threads()
    yield
    set_num_threads(before)


def looks(memories, each, steps, key, size, dtype=np.float32, vector=True):
    """Arguments of attend, with memories of several lengths."""
    rng = np.random.default_rng(memories + steps)

    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    lengths = rng.integers(0, steps + 1, memories)
    lengths[: memories // 2] = steps
    v = draw(key) if vector else None
    return draw(memories * each, key), v, draw(memories, steps, key), draw(memories, steps, size), lengths


def widened(given, dtype):
    return [a if a is None or a.dtype.kind == "i" else a.astype(dtype) for a in given]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("vector", [True, False])
@pytest.mark.parametrize("sizes", SIZES)
def test_attention_is_that_of_the_oracle(sizes, vector, dtype, isa):
    given = looks(*sizes, dtype=dtype, vector=vector)
    wide = np.float64 if dtype == np.float32 else np.longdouble
    exact = reference_search.attend(*widened(given, wide))
    rough = reference_search.attend(*given)
    for name, mine, a, b in zip(("context", "attention"), attend(*given, isa=isa), exact, rough):
        assert_close_to_oracle(mine, a, b, name)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("vector", [True, False])
def test_a_row_looks_alone_as_in_company(vector, isa):
    query, v, keys, memory, lengths = looks(6, 5, 23, 70, 150, vector=vector)
    for threads in (1, 3):
        set_num_threads(threads)
        together = attend(query, v, keys, memory, lengths, isa=isa)
        for row in range(len(query)):
            place, steps = row // 5, lengths[row // 5]
            part = (
                keys[place : place + 1, :steps],
                memory[place : place + 1, :steps],
                lengths[place : place + 1],
            )
            c, a = attend(query[row : row + 1], v, *part, isa=isa)
            assert_bitwise_equal(c[0], together[0][row])
            assert_bitwise_equal(a[0], together[1][row, :steps])
            assert not together[1][row, steps:].any()


@pytest.mark.parametrize("isa", ISAS)
def test_nothing_beyond_a_memory_is_read_and_nan_stays_in_its_rows(isa):
    query, v, keys, memory, lengths = looks(6, 2, 9, 20, 30)
    lengths[3] = 4
    clean = attend(query, v, keys, memory, lengths, isa=isa)
    for row, steps in enumerate(lengths):
        keys[row, steps:] = memory[row, steps:] = np.nan
    for mine, theirs in zip(attend(query, v, keys, memory, lengths, isa=isa), clean):
        assert_bitwise_equal(mine, theirs)
    keys[0, 1] = np.nan
    spoiled = attend(query, v, keys, memory, lengths, isa=isa)
    assert np.isnan(spoiled[0][:2]).all()
    for mine, theirs in zip(spoiled, clean):
        assert_bitwise_equal(mine[2:], theirs[2:])


@pytest.mark.parametrize("isa", ISAS)
def test_strides_do_not_matter(isa):
    query, v, keys, memory, lengths = looks(4, 3, 11, 20, 30)
    wide = np.zeros((8, 15, 60), np.float32)
    wide[::2, 2:13, :20], wide[::2, 2:13, 30:] = keys, memory
    odd = (query[:, ::-1].copy()[:, ::-1], v, wide[::2, 2:13, :20], wide[::2, 2:13, 30:], lengths)
    for mine, theirs in zip(attend(*odd, isa=isa), attend(query, v, keys, memory, lengths, isa=isa)):
        assert_bitwise_equal(mine, theirs)


def test_scores_without_bounds():
    """Infinite scores as the softmax has them: all minus infinity is no look at all, plus infinity is NaN."""
    query, keys = np.full((1, 1), 1, np.float32), np.full((1, 3, 1), -np.inf, np.float32)
    memory, lengths = np.ones((1, 3, 2), np.float32), np.array([3])
    c, a = attend(query, None, keys, memory, lengths)
    assert not c.any()
    assert not a.any()
    keys[0, 1] = 5
    assert_bitwise_equal(attend(query, None, keys, memory, lengths)[1], np.array([[0, 1, 0]], np.float32))
    keys[0, 1] = np.inf
    assert np.isnan(attend(query, None, keys, memory, lengths)[0]).all()


ROWS = [(1, 1, 1), (3, 5, 5), (4, 64, 6), (2, 1000, 11), (3, 8003, 6), (0, 10, 2)]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rows", "size", "count"), ROWS)
def test_the_best_are_those_of_a_sort(rows, size, count, dtype, isa):
    rng = np.random.default_rng(size)
    values = (4 * rng.standard_normal((rows, size))).astype(dtype)
    values[:, size // 2 :] = np.round(values[:, size // 2 :])  # ties
    banned = np.array([0, size // 3]) if size > count + 2 else np.empty(0, np.int64)
    found = best(values, count, banned=banned, picked=size - 1, isa=isa)
    codes, greatest, rough = reference_search.best(values, count, tuple(banned))
    wide = np.float64 if dtype == np.float32 else np.longdouble
    *_, exact = reference_search.best(values.astype(wide), count)
    np.testing.assert_array_equal(found.codes, codes)
    assert_bitwise_equal(found.values, greatest)
    assert_bitwise_equal(found.picked, np.ascontiguousarray(values[:, -1]))
    assert_close_to_oracle(found.total.astype(dtype), exact, rough, "total")


@pytest.mark.parametrize("isa", ISAS)
def test_where_there_are_no_more(isa):
    found = best(np.array([[1, 3, 2]], np.float32), 3, banned=np.array([1]), isa=isa)
    assert found.codes.tolist() == [[2, 0, 0]]
    assert found.values.tolist() == [[2, 1, -np.inf]]
    for filled, total in ((np.nan, np.nan), (np.inf, np.nan), (-np.inf, -np.inf)):
        found = best(np.full((2, 100), filled, np.float32), 2, isa=isa)
        np.testing.assert_array_equal(found.total, total)
        assert ((found.codes >= 0) & (found.codes < 100)).all()
    mixed = np.zeros((3, 100), np.float32)
    mixed[1, 70] = np.nan
    found = best(mixed, 2, isa=isa)
    assert np.isnan(found.total).tolist() == [False, True, False]
    assert found.codes[[0, 2]].tolist() == [[0, 1], [0, 1]]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("where", [0, 700, 2999])
def test_what_is_not_finite_counts_wherever_it_stands(where, isa):
    """Rows are taken in some values at a time; the first or last of these may be minus infinity alone."""
    values = np.full((4, 3000), -np.inf, np.float32)
    values[:, where] = 2, np.nan, np.inf, -np.inf
    values[2, 1500] = 1
    found = best(values, 1, isa=isa)
    np.testing.assert_array_equal(found.total, [2, np.nan, np.nan, -np.inf])
    assert found.codes[[0, 2], 0].tolist() == [where, where]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sum_outlives_a_greater_value(dtype, isa):
    """Ever greater values: what was summed before counts by as much less."""
    values = np.linspace(-40, 40, 5000, dtype=dtype)[None]
    wide = values.astype(np.longdouble)
    exact = np.log(np.exp(wide - wide.max()).sum()) + wide.max()
    for row in (values, np.ascontiguousarray(values[:, ::-1])):
        found = best(row, 2, isa=isa)
        np.testing.assert_allclose(found.total, float(exact), rtol=1e-6 if dtype == np.float32 else 1e-14)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("stored", [None, "bf16", "int8"])
@pytest.mark.parametrize(("rows", "size"), [(1, 7), (70, 300), (37, 20000), (1100, 900)])
def test_best_outputs_are_the_best_of_all_outputs(rows, size, stored, isa):
    rng = np.random.default_rng(rows)
    weight, bias = (rng.standard_normal(s).astype(np.float32) for s in ((size, 24), size))
    x = rng.standard_normal((rows, 24)).astype(np.float32)
    layer = PackedLinear(weight, bias, weights=stored, isa=isa)
    wanted = best(layer(x), 5, banned=np.array([3]), picked=2, isa=isa)
    for threads in (1, 3):
        set_num_threads(threads)
        for mine, theirs in zip(best_outputs(layer, x, 5, banned=np.array([3]), picked=2), wanted):
            assert_bitwise_equal(mine, theirs)
    alone = best_outputs(layer, x[-1:], 5, banned=np.array([3]), picked=2)
    for mine, theirs in zip(alone, wanted):
        assert_bitwise_equal(mine, theirs[-1:])


def test_what_is_refused():
    values = np.zeros((2, 3), np.float32)
    with pytest.raises(UsageError, match=r"^best: count must be from 1 to 3, got 4$"):
        best(values, 4)
    with pytest.raises(UsageError, match=r"^best: picked must be from 0 to 2, got 3$"):
        best(values, 1, picked=3)
    with pytest.raises(TypeError, match=r"^best: banned must be int64, got float64$"):
        best(values, 1, banned=np.zeros(1))
    layer = PackedLinear(np.zeros((4, 3), np.float32))
    with pytest.raises(UsageError, match=r"^PackedLinear.best: count must be from 1 to 4, got 0$"):
        best_outputs(layer, values, 0)
    with pytest.raises(UsageError, match=r"^PackedLinear.best: x must have shape \(B, K=3\), got \(2, 2\)$"):
        best_outputs(layer, values[:, :2].copy(), 1)
    query, v, keys, memory, lengths = looks(2, 2, 4, 5, 6)
    with pytest.raises(UsageError, match=r"^attend: keys must have shape \(N, S, A=5\), got \(2, 4, 6\)$"):
        attend(query, v, memory, memory, lengths)
    with pytest.raises(
        UsageError, match=r"^attend: query must have a whole number of rows for each of the 2 memories"
    ):
        attend(query[:3], v, keys, memory, lengths)
    with pytest.raises(UsageError, match=r"^lengths\[1\]: must be from 0 to the 4 steps of x, got 5$"):
        attend(query, v, keys, memory, np.array([1, 5]))
    with pytest.raises(TypeError, match=r"^attend: vector must be float32, got float64$"):
        attend(query, v.astype(float), keys, memory, lengths)


def test_a_thread_may_be_limited():
    set_num_threads(3)
    try:
        native.limit_threads(2)
        assert num_threads() == 2
        native.limit_threads(5)
        assert num_threads() == 3
    finally:
        native.limit_threads(0)
    assert num_threads() == 3
    with pytest.raises(UsageError, match=r"^limit_threads: must be from 0 to 1024, got -1$"):
        native.limit_threads(-1)
