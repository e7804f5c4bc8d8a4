"""Long-memory sequences: what they show and what they ask, recomputed step by step from the sequences themselves."""

import sys

import numpy as np
import pytest

from grus.errors import MissingExtraError
from grus.tasks.compare import memory_sequences as made

DRAWS = [made.adding, made.copy_memory, made.delayed_recall]


def drawn(draw, rows=200, length=11, seed=0):
    return draw(np.random.default_rng(seed), rows, length)


def test_adding_marks_one_number_of_each_half_and_asks_for_the_sum():
    sequences = drawn(made.adding, rows=2000)
    assert sequences.x.shape == (2000, 11, 2)
    assert sequences.x.dtype == sequences.truth.dtype == np.float32
    places = set()
    for x, truth in zip(sequences.x, sequences.truth, strict=True):
        first, second = np.flatnonzero(x[:, 1])
        assert set(x[:, 1]) == {0.0, 1.0}
        assert first < 5 <= second
        assert truth == x[first, 0] + x[second, 0]
        places |= {first, second}
    assert places == set(range(11)), "every step is marked at some time"
    assert 0 <= sequences.x[..., 0].min() < 0.01
    assert 0.99 < sequences.x[..., 0].max() < 1
    assert sequences.truth.mean() == pytest.approx(1, abs=0.03)


def test_copy_memory_asks_for_the_ten_symbols_after_the_blanks():
    sequences = drawn(made.copy_memory, length=7)
    assert sequences.x.shape == (200, 27, 10)
    assert (sequences.x.sum(2) == 1).all()
    codes = sequences.x.argmax(2)
    assert set(codes[:, :10].ravel()) == set(range(1, 9))
    assert (codes[:, 10:16] == 0).all()
    assert (codes[:, 16:] == 9).all(), "eleven times the code that asks"
    assert (sequences.truth[:, :17] == 0).all()
    np.testing.assert_array_equal(sequences.truth[:, 17:], codes[:, :10])


def test_delayed_recall_asks_for_the_marked_symbol():
    sequences = drawn(made.delayed_recall, length=5)
    assert sequences.x.shape == (200, 7, 10)
    symbols, mark, question = sequences.x[..., :8], sequences.x[..., 8], sequences.x[..., 9]
    assert (symbols.sum(2) == [1] * 6 + [0]).all()
    assert (mark == [1] + [0] * 6).all()
    assert (question == [0] * 6 + [1]).all()
    shown = symbols[mark == 1]
    np.testing.assert_array_equal(sequences.truth, shown.argmax(1))
    assert set(sequences.truth) == set(range(8)) == set(symbols[:, 1:-1].argmax(2).ravel())


@pytest.mark.parametrize("draw", DRAWS)
def test_the_seed_settles_the_sequences(draw):
    one, same, other = (drawn(draw, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.x, same.x)
    np.testing.assert_array_equal(one.truth, same.truth)
    assert not np.array_equal(one.x, other.x)
    assert not np.array_equal(one.truth, other.truth)


@pytest.mark.parametrize(
    ("draw", "length"), [(made.adding, 2), (made.copy_memory, 1), (made.delayed_recall, 1)]
)
def test_the_shortest_sequences(draw, length):
    sequences = drawn(draw, length=length)
    assert np.isfinite(sequences.x).all()
    assert len(np.unique(sequences.truth)) > 5


@pytest.mark.parametrize("steps", [8, 64])
def test_digits_are_every_image_once_in_reading_order(steps):
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    parts = made.digits(steps)
    assert [len(part) for part in parts] == [1085, 357, 355]
    seen = [(tuple(x.ravel()), int(t)) for part in parts for x, t in zip(part.x, part.truth, strict=True)]
    assert sorted(seen) == sorted(
        (tuple(i / np.float32(16)), int(t)) for i, t in zip(images, labels, strict=True)
    )
    for part in parts:
        assert part.x.shape[1:] == (steps, 64 // steps)
        assert np.bincount(part.truth).max() - np.bincount(part.truth).min() <= len(part) * 0.03


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match="digits: needs the package scikit-learn") as caught:
        made.digits(8)
    assert caught.value.hint == "pip install scikit-learn"
