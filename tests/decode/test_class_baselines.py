"""The linear baselines: what they see of a row, by hand, and that nothing leaks from one row to the next."""

import numpy as np
import pytest

from grus.decode.class_baselines import TRIGRAMS, SparseRows, baseline_features, baseline_logits, summaries
from grus.preprocess.ragged import MultiHot, Pixels, Ragged
from grus.spec import CovariateScale, Vocabulary

WORDS, CHARS = Vocabulary("word", True, ()), Vocabulary("char", True, ())
SERIES = CovariateScale(("a",))


def tokens(*rows):
    flat = np.array([t for row in rows for t in row], np.int32)
    return Ragged({"tokens": flat}, np.concatenate(([0], np.cumsum([len(row) for row in rows]))))


def test_a_bag_of_words_by_hand():
    found = baseline_features(WORDS, tokens([3, 1, 3, 3], [], [0]), 5).dense()
    half = 1 / np.sqrt(2)
    np.testing.assert_allclose(found, [[0, half, 0, half, 0], [0] * 5, [1, 0, 0, 0, 0]])


def test_character_trigrams_stay_inside_a_row():
    sequences = tokens([1, 2, 3, 1, 2, 3], [1, 2], [], [1, 2, 3])
    found = baseline_features(CHARS, sequences, 9).dense()
    assert found.shape == (4, TRIGRAMS)
    assert [int((row > 0).sum()) for row in found] == [3, 0, 0, 1]
    assert found[0][found[3] > 0] == pytest.approx(1 / np.sqrt(3)), "the same trigram has the same feature"
    assert np.linalg.norm(found, axis=1).tolist() == pytest.approx([1, 0, 0, 1])


def test_a_bag_of_codes_counts_a_code_once_however_often_it_came():
    steps = MultiHot(
        np.array([0, 2, 2, 1], np.int32), np.array([0, 2, 3, 4, 4]), 3, np.zeros((4, 1), np.float32)
    )
    found = baseline_features(SERIES, Ragged({"x": steps}, np.array([0, 2, 3, 4])), 4).dense()
    half = 1 / np.sqrt(2)
    np.testing.assert_allclose(found, [[half, 0, half], [0, 1, 0], [0, 0, 0]])


def test_summaries_by_hand():
    x = np.array([[1.0, 10], [3, 10], [8, 10], [5, 2]], np.float32)
    found = summaries(x, np.array([0, 3, 3, 4]))
    mean, deviation, least, greatest, first, last, change = found[0, :-1].reshape(7, 2)
    np.testing.assert_allclose(mean, [4, 10])
    np.testing.assert_allclose(deviation, [np.sqrt(26 / 3), 0])
    np.testing.assert_allclose([least, greatest, first, last], [[1, 10], [8, 10], [1, 10], [8, 10]])
    np.testing.assert_allclose(change, [3.5, 0])
    assert found[0, -1] == pytest.approx(np.log(3))
    assert (found[1] == 0).all()
    np.testing.assert_allclose(found[2, :-1].reshape(7, 2)[-1], [0, 0])


def test_summaries_of_many_rows_are_those_of_each(monkeypatch):
    import grus.decode.class_baselines as module

    rng = np.random.default_rng(0)
    offsets = np.concatenate(([0], np.cumsum(rng.integers(0, 5, 20))))
    x = rng.normal(size=(int(offsets[-1]), 3))
    whole = summaries(x, offsets)
    monkeypatch.setattr(module, "_CHUNK", 3)
    np.testing.assert_allclose(summaries(x, offsets), whole, atol=1e-12)
    for row in range(20):
        alone = summaries(x[offsets[row] : offsets[row + 1]], offsets[row : row + 2] - offsets[row])
        np.testing.assert_allclose(whole[row], alone[0], atol=1e-12)
    assert summaries(x[:0], np.array([0])).shape == (0, 22)


def test_pixels_are_scaled_before_they_are_summarised():
    values = np.array([[0, 255], [255, 255]], np.uint8)
    pixels = Ragged({"x": Pixels(values, np.full(2, 127.5), np.full(2, 127.5))}, np.array([0, 2]))
    found = baseline_features(SERIES, pixels, 2).dense()
    np.testing.assert_allclose(found[0, :2], [0, 1])


def test_rows_and_products_of_a_sparse_matrix():
    dense = np.array([[0, 2.0, 0], [1, 0, 3], [0, 0, 0], [4, 0, 0]])
    row, column = np.nonzero(dense)
    matrix = SparseRows(row, column, dense[row, column], dense.shape)
    weight = np.arange(6.0).reshape(3, 2)
    np.testing.assert_allclose(matrix.times(weight), dense @ weight)
    np.testing.assert_allclose(matrix.rows(np.array([1, 3])).dense(), dense[[1, 3]])


def test_logits_of_both_baselines():
    tensors = {
        "task.prior": np.array([0.7, 0.3, 0.0]),
        "task.baseline_weight": np.eye(5, 3),
        "task.baseline_bias": np.array([0.0, 0.5, 0.0]),
    }
    found = baseline_logits(WORDS, tokens([1], [2, 1]), 5, tensors, multi=False)
    assert list(found) == ["majority", "bag of words"]
    assert found["majority"].argmax(1).tolist() == [0, 0]
    assert np.isfinite(found["majority"]).all()
    np.testing.assert_allclose(np.exp(found["majority"][0, :2]), [0.7, 0.3])
    half = 1 / np.sqrt(2)
    np.testing.assert_allclose(found["bag of words"], [[0, 1.5, 0], [0, 0.5 + half, half]])
    several = baseline_logits(WORDS, tokens([1]), 5, {"task.prior": np.array([0.7, 0.3])}, multi=True)
    assert list(several) == ["majority"]
    assert (several["majority"] > 0).tolist() == [[True, False]]
