"""From examples to a classifier's input: fitted on training rows, gaps and masks, the cut, and what is refused."""

import copy

import numpy as np
import pytest

from example_classifiers import KINDS, classifier, events, examples_for, images, series, texts
from grus.errors import DataError, SpecError, UsageError
from grus.preprocess.classify import ClassifyPreprocessor, StepOptions, fit_classify_steps
from grus.preprocess.examples import Examples
from grus.preprocess.ragged import MultiHot
from grus.spec import Classify, Codes, CovariateScale, Images, Vocabulary

ONE = StepOptions(min_count=1)


def preprocessor(kind, max_length=50):
    model, tensors = classifier(kind, max_length=max_length)
    return ClassifyPreprocessor(model.task, model.preprocess, tensors)


def of_series(*rows, columns=("a", "b")):
    values = np.array([step for row in rows for step in row], float).reshape(-1, len(columns))
    return Examples(
        "series", len(rows), columns, offsets=np.cumsum([0, *map(len, rows)]), series=values
    )  # fmt: skip


def make(examples, max_length=50):
    steps, arrays = fit_classify_steps(examples, ONE)
    task = Classify(examples.kind, ("a", "b"), examples.columns, max_length)
    return ClassifyPreprocessor(task, steps, arrays)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_fits_the_port_and_any_row_is_the_same_by_itself(kind):
    prepare, examples = preprocessor(kind), examples_for(kind)
    port, together = prepare.port(), prepare.sequences(examples)
    assert len(together) == len(examples)
    arrays, lengths = together.batch(np.arange(len(examples)))
    values = arrays[port.name]
    if port.kind == "tokens":
        assert values.dtype == np.int32
        assert values.max() < port.size
    else:
        assert values.dtype == np.float32
        assert values.shape[2] == port.size
        assert np.isfinite(values).all()
    for row in (0, 7, 29):
        alone, length = prepare.sequences(examples.take([row])).batch([0])
        assert length == lengths[row]
        np.testing.assert_array_equal(alone[port.name][0, : length[0]], values[row, : lengths[row]])


@pytest.mark.parametrize("kind", KINDS)
def test_the_cut_keeps_the_first_of_a_text_and_the_last_of_others(kind):
    examples = examples_for(kind)
    whole, cut = (preprocessor(kind, most).sequences(examples) for most in (50, 3))
    np.testing.assert_array_equal(cut.lengths, np.minimum(whole.lengths, 3))
    assert (whole.lengths > 3).any()
    (a, lengths), (b, short) = (ragged.batch(np.arange(30)) for ragged in (whole, cut))
    name = next(iter(a))
    for row in range(30):
        kept = slice(0, short[row]) if name == "tokens" else slice(lengths[row] - short[row], lengths[row])
        np.testing.assert_array_equal(b[name][row, : short[row]], a[name][row, kept])


def test_channels_are_scaled_and_gaps_filled_with_the_last_value_known():
    nan = np.nan
    train = of_series([[1, nan], [3, 10]], [[5, 20], [7, nan]])
    prepare = make(train)
    step = prepare._step
    assert step == CovariateScale(("a", "b"), ("b",))
    rows = of_series([[nan, nan], [4, 15], [nan, nan]], [], [[4, 20]])
    (arrays, lengths) = prepare.sequences(rows).batch([0, 1, 2])
    spread = np.sqrt(5.0)  # of 1, 3, 5, 7
    # a, which had no gap in training, has no mask; before its first value a channel is at its mean.
    expected = np.array([[0, 0, 0], [0, 0, 1], [0, 0, 0]], float)
    np.testing.assert_allclose(arrays["x"][0], expected, atol=1e-7)
    np.testing.assert_allclose(arrays["x"][2, 0], [0, 1, 1], atol=1e-7)
    assert lengths.tolist() == [3, 0, 1]
    (arrays, _) = prepare.sequences(of_series([[7, 20], [nan, nan]])).batch([0])
    np.testing.assert_allclose(arrays["x"][0], [[3 / spread, 1, 1], [3 / spread, 1, 0]], rtol=1e-6)


def test_the_last_value_known_may_lie_before_the_cut():
    prepare = make(of_series([[0, 0], [2, 2]]), max_length=1)
    (arrays, lengths) = prepare.sequences(of_series([[2, 0], [np.nan, 2]])).batch([0])
    assert lengths.tolist() == [1]
    np.testing.assert_allclose(arrays["x"][0], [[1, 1]])


def test_no_value_is_too_large_for_the_network():
    prepare = make(of_series([[0, 0], [2, 2]]))
    (arrays, _) = prepare.sequences(of_series([[1e308, -1e308]])).batch([0])
    assert np.isfinite(arrays["x"]).all()


def test_images_are_scaled_by_channel_and_a_flat_channel_is_zero():
    examples = images()
    (step,), arrays = fit_classify_steps(examples)
    assert step == Images(6, 5, 2)
    pixels = examples.images[..., 0].astype(float)
    np.testing.assert_allclose(arrays["preprocess.images.center"], [pixels.mean(), 7])
    np.testing.assert_allclose(arrays["preprocess.images.scale"], [pixels.std(), 1])
    batch, lengths = preprocessor("images").sequences(examples).batch([3])
    x = batch["x"].reshape(6, 5, 2)
    np.testing.assert_allclose(x[..., 0], (pixels[3] - pixels.mean()) / pixels.std(), rtol=1e-6)
    assert not x[..., 1].any()
    assert lengths.tolist() == [6]


def test_codes_are_by_frequency_and_unknown_ones_leave_an_empty_visit():
    examples = Examples(
        "events", 2, ("code",), offsets=np.array([0, 2, 3]), words=("b", "a", "c", "unused"),
        codes=np.array([0, 1, 0, 2], np.int32), visits=np.array([0, 2, 3, 4]), gaps=np.array([np.nan, 30.0, 0.0]),
    )  # fmt: skip
    assert fit_classify_steps(examples, ONE)[0] == (Codes(("b", "a", "c")),)
    steps, arrays = fit_classify_steps(examples, StepOptions(vocabulary_size=2, min_count=1))
    assert steps == (Codes(("b", "a")),)
    assert arrays["preprocess.codes.gap_scale"].tolist() == [30.0]
    assert fit_classify_steps(examples, StepOptions(min_count=2))[0] == (Codes(("b",)),)
    prepare = ClassifyPreprocessor(Classify("events", ("a", "b"), ("code",), 9), steps, arrays)
    ragged = prepare.sequences(examples)
    assert isinstance(ragged.ports["x"], MultiHot)  # never dense but in a batch
    batch, lengths = ragged.batch([0, 1])
    log = np.log(2)
    np.testing.assert_allclose(batch["x"], [[[1, 1, 0], [1, 0, log]], [[0, 0, 0], [0, 0, 0]]], rtol=1e-6)
    assert lengths.tolist() == [2, 1]


def test_events_without_any_word_or_visit():
    prepare = preprocessor("events")
    none = Examples(
        "events", 2, ("code",), offsets=np.zeros(3, int), words=(), codes=np.zeros(0, np.int32),
        visits=np.zeros(1, int), gaps=np.zeros(0),
    )  # fmt: skip
    assert prepare.sequences(none).lengths.tolist() == [0, 0]


def test_only_training_rows_are_looked_at():
    steps, arrays = fit_classify_steps(texts().take(np.arange(10)), ONE)
    assert arrays == {}
    assert isinstance(steps[0], Vocabulary)
    seen = {word for text in texts().texts[:10] for word in text.split()}
    assert "good" in seen
    assert all(token in " ".join(seen).lower().replace("e\u0301", "é") for token in steps[0].tokens)


@pytest.mark.parametrize("kind", ["series", "images", "events"])
def test_what_was_fitted_does_not_depend_on_the_order_of_rows(kind):
    examples = examples_for(kind)
    (one, numbers), (other, others) = (
        fit_classify_steps(examples.take(order), ONE) for order in (np.arange(30), np.arange(30)[::-1])
    )
    assert one == other
    for name, values in numbers.items():
        np.testing.assert_allclose(others[name], values, rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "change", "sentence"),
    [
        ("series", lambda: of_series([[1, 2]]), "examples: must have 3 channels as in training, got 2"),
        ("series", texts, "examples: must be series as in training, got text"),
        ("word", events, "examples: must be text as in training, got events"),
        (
            "images",
            lambda: Examples("images", 1, images=np.zeros((1, 5, 6, 2), np.uint8)),
            "images: must be 6 x 5 x 2 (height, width, channels) as in training, got 5 x 6 x 2",
        ),
    ],
)
def test_examples_of_another_shape_are_refused(kind, change, sentence):
    with pytest.raises(DataError) as caught:
        preprocessor(kind).sequences(change())
    assert str(caught.value) == sentence


def test_nothing_to_learn_from():
    with pytest.raises(DataError, match=r"^examples: expected rows to learn from, got none$"):
        fit_classify_steps(texts().take([]))
    with pytest.raises(DataError, match=r"^column 'b': expected at least one value"):
        fit_classify_steps(of_series([[1, np.nan]]))
    with pytest.raises(
        DataError, match=r"^events: expected at least one code that occurs 9 times, got none$"
    ):
        fit_classify_steps(events(2), StepOptions(min_count=9))
    with pytest.raises(UsageError, match=r"^tokenizer: must be word, char or bpe, got 'wordpiece'$"):
        fit_classify_steps(texts(), StepOptions("wordpiece"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "name"), [("series", "scale"), ("images", "scale"), ("events", "gap_scale")]
)
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_scale_that_cannot_be_is_refused(kind, name, value):
    model, tensors = classifier(kind)
    key = f"preprocess.{model.preprocess[0].key}.{name}"
    spoilt = tensors | {key: np.full_like(tensors[key], value)}
    with pytest.raises(SpecError, match=rf"^model: {key} must be above zero$"):
        ClassifyPreprocessor(model.task, model.preprocess, spoilt)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_given_is_changed(kind):
    examples, before = examples_for(kind), copy.deepcopy(examples_for(kind))
    preprocessor(kind).sequences(examples).batch([0, 1, 2])
    fit_classify_steps(examples, ONE)
    for name, value in vars(before).items():
        np.testing.assert_array_equal(getattr(examples, name), value)


def test_series_of_one_row_are_read():
    assert len(preprocessor("series").sequences(series(1))) == 1
