"""Missing values and uneven times: every form against a loop that does what its definition says, and every edge."""

import numpy as np
import pytest

from grus.errors import DataError, SpecError
from grus.preprocess.classify import ClassifyPreprocessor, StepOptions, fit_classify_steps
from grus.preprocess.examples import Examples
from grus.preprocess.irregular import IrregularRows, fit_irregular, unmeasured
from grus.spec import Classify, Irregular
from grus.spec.steps import IRREGULAR_FORMS
from numerics import assert_bitwise_equal

DAY = np.timedelta64(1, "D")


def stays(rows=12, seed=0, clock="numbers"):
    """Three channels, most values missing, at uneven times; the second stay has rows without a value, the third none."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 15, rows)
    lengths[1], lengths[2] = 4, 0
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    values = rng.normal(size=(offsets[-1], 3)) * [1.0, 1e4, 1e-4] + [5.0, 0.0, 1.0]
    values[rng.random(values.shape) < 0.6] = np.nan
    values[offsets[:-1][lengths > 0], 0] = 5.0
    values[offsets[1] : offsets[2]] = np.nan
    times = np.concatenate([rng.integers(-50, 50) + np.cumsum(rng.integers(1, 90, n)) for n in lengths])
    found = {"numbers": times, "dates": np.datetime64("1970-01-01", "ns") + times * DAY, "steps": None}[clock]
    return Examples(
        "series", rows, ("a", "b", "c"), offsets=offsets, series=values, times=found,
        labels=[(("no", "yes")[i % 2],) for i in range(rows)],
    )  # fmt: skip


def by_the_definition(examples, form, step, arrays):
    """Row by row, channel by channel, as `Irregular` is described."""
    out = []
    for first, last in zip(examples.offsets[:-1], examples.offsets[1:]):
        times = np.arange(last - first) if examples.times is None else examples.times[first:last]
        if times.dtype.kind == "M":
            times = times.astype(np.int64) / (86_400 * 10**9)
        known, since, previous = [np.nan] * 3, [None] * 3, None
        for row, now in zip(examples.series[first:last], times):
            values, masks, ages = [], [], []
            for c, x in enumerate(row):
                since[c] = now if since[c] is None else since[c]
                ages.append(np.log1p((now - since[c]) / arrays["gap_scale"][0]))
                masks.append(float(not np.isnan(x)))
                z = (np.clip(x, arrays["low"][c], arrays["high"][c]) - arrays["center"][c]) / arrays["scale"][
                    c
                ]
                if not np.isnan(x):
                    known[c], since[c] = z, now
                values.append(np.nan_to_num(known[c] if form in ("forward", "indicators") else z))
            gap = 0.0 if previous is None else (now - previous) / arrays["gap_scale"][0]
            previous = now
            out.append(values + {"indicators": masks + ages, "decay": [*masks, gap]}.get(form, []))
    return np.array(out)


@pytest.mark.parametrize("clock", ["numbers", "dates", "steps"])
@pytest.mark.parametrize("form", IRREGULAR_FORMS)
def test_a_form_is_what_its_definition_says(form, clock):
    examples = stays(clock=clock)
    step, arrays = fit_irregular(examples, form)
    assert step == Irregular(("a", "b", "c"), form, clock if form in ("indicators", "decay") else "steps")
    assert step.port().size == {"mean": 3, "forward": 3, "indicators": 9, "decay": 7}[form]
    found = IrregularRows(step, arrays).series(examples, None)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_the_definition(examples, form, step, arrays), rtol=1e-6, atol=1e-6)


def test_what_is_fitted_is_of_the_values_that_were_measured():
    examples = stays(200)
    _, arrays = fit_irregular(examples, "mean")
    for c in range(3):
        seen = examples.series[:, c][~np.isnan(examples.series[:, c])]
        low, high = np.quantile(seen, [0.001, 0.999])
        assert (arrays["low"][c], arrays["high"][c]) == (low, high)
        np.testing.assert_allclose(arrays["center"][c], np.clip(seen, low, high).mean(), rtol=1e-12)
        np.testing.assert_allclose(arrays["scale"][c], np.clip(seen, low, high).std(), rtol=1e-12)


@pytest.mark.parametrize("clock", ["numbers", "dates", "steps"])
def test_the_unit_is_the_mean_time_since_a_channel_was_known_and_days_for_dates(clock):
    examples, ages = stays(clock=clock), []
    for first, last in zip(examples.offsets[:-1], examples.offsets[1:]):
        times = np.arange(last - first) if clock == "steps" else stays().times[first:last]
        known = [times[0] if last > first else 0] * 3
        for now, row in zip(times, examples.series[first:last]):
            ages += [now - then for then in known]
            known = [then if np.isnan(x) else now for then, x in zip(known, row)]
    for form in ("indicators", "decay"):
        np.testing.assert_allclose(fit_irregular(examples, form)[1]["gap_scale"], [np.mean(ages)], rtol=1e-6)
    assert fit_irregular(examples, "forward")[1]["gap_scale"] == [1.0]
    one = Examples("series", 1, ("a",), offsets=np.array([0, 1]), series=np.ones((1, 1)), times=np.array([7]))
    assert fit_irregular(one, "decay")[1]["gap_scale"] == [1.0]


@pytest.mark.parametrize("form", IRREGULAR_FORMS)
@pytest.mark.parametrize("clock", ["numbers", "dates", "steps"])
def test_chunks_of_any_sizes_give_the_same_bits(form, clock):
    examples = stays(20, 3, clock)
    step, arrays = fit_irregular(examples, form)
    rows = IrregularRows(step, arrays)
    whole = rows.series(examples, None)
    for steps in (1, 40, 1 << 20):
        assert_bitwise_equal(rows.series(examples, None, steps), whole)
    for first, last in zip(examples.offsets[:-1], examples.offsets[1:]):
        values = examples.series[first:last]
        stamps = (
            np.arange(last - first) if step.clock == "steps" else examples.times[first:last].astype(np.int64)
        )
        held, before, done = rows.begin(1), (np.zeros(1, bool), np.zeros(1, np.int64)), 0
        for size in (1, 0, 3, 2, 100):
            part = slice(done, min(done + size, last - first))
            found, held = rows.chunk(values[part][None], stamps[part][None], before, held)
            assert_bitwise_equal(found[0], whole[first:last][part])
            done = part.stop
            if done:
                before = (np.ones(1, bool), stamps[done - 1 : done])


@pytest.mark.parametrize("form", IRREGULAR_FORMS)
def test_values_far_outside_those_of_training_are_held(form):
    examples = stays()
    step, arrays = fit_irregular(examples, form)
    wild = examples.series.copy()
    wild[np.isfinite(wild)] = 1e300
    found = IrregularRows(step, arrays).series(
        Examples("series", 12, ("a", "b", "c"), offsets=examples.offsets, series=wild, times=examples.times),
        None,
    )
    highest = (arrays["high"] - arrays["center"]) / arrays["scale"]
    np.testing.assert_allclose(found[:, :3].max(0), highest, rtol=1e-6)


def test_a_column_without_any_value_is_refused():
    examples = stays()
    examples.series[:, 1] = np.nan
    with pytest.raises(DataError) as error:
        fit_irregular(examples, "decay")
    assert str(error.value) == "column 'b': expected at least one value to learn from, got only missing ones"
    assert error.value.hint == "leave it out of the columns"


def test_a_constant_column_is_its_mask_alone():
    examples = stays()
    examples.series[~np.isnan(examples.series[:, 1]), 1] = 1.0
    step, arrays = fit_irregular(examples, "decay")
    found = IrregularRows(step, arrays).series(examples, None)
    assert not found[:, 1].any()
    np.testing.assert_array_equal(found[:, 4], ~np.isnan(examples.series[:, 1]))


def test_times_must_be_of_the_kind_of_training():
    step, arrays = fit_irregular(stays(clock="dates"), "decay")
    rows = IrregularRows(step, arrays)
    with pytest.raises(DataError, match=r"^column 'day': expected dates as in training, got whole numbers$"):
        rows.series(stays(), "day")
    with pytest.raises(DataError, match=r"^examples: expected dates as in training, got rows without times$"):
        rows.series(stays(clock="steps"), None)
    step, arrays = fit_irregular(stays(clock="dates"), "forward")  # which does not look at them
    IrregularRows(step, arrays).series(stays(), "day")


def test_stays_without_a_measurement_are_counted():
    examples = stays()
    assert unmeasured(examples) == 2
    assert unmeasured(examples.take([1, 2, 2])) == 3
    assert unmeasured(examples.take([0])) == 0
    assert unmeasured(examples.take([])) == 0


@pytest.mark.parametrize("form", IRREGULAR_FORMS)
def test_only_the_last_steps_are_kept_of_a_long_one(form):
    """What a missing value becomes is decided before that, so that the values known by then are."""
    examples = stays(20, 5)
    steps, arrays = fit_classify_steps(examples, StepOptions(irregular=form))

    def made(most):
        time = "t" if steps[0].reads_times else None
        task = Classify("series", ("no", "yes"), ("a", "b", "c"), most, time=time)
        return ClassifyPreprocessor(task, steps, arrays).sequences(examples)

    whole, cut = made(50), made(3)
    for row in range(20):
        (all_of,), (some_of,) = (list(given.batch([row])[0].values()) for given in (whole, cut))
        length, kept = whole.lengths[row], cut.lengths[row]
        assert kept == min(length, 3)
        assert_bitwise_equal(some_of[0, :kept], all_of[0, length - kept : length])


def test_other_channels_than_in_training_are_refused():
    steps, arrays = fit_classify_steps(stays(), StepOptions(irregular="mean"))
    preprocessor = ClassifyPreprocessor(Classify("series", ("no", "yes"), ("a", "b", "c"), 9), steps, arrays)
    one = Examples("series", 1, ("a",), offsets=np.array([0, 1]), series=np.ones((1, 1)))
    with pytest.raises(DataError, match="examples: must have 3 channels as in training, got 1"):
        preprocessor.sequences(one)


def test_times_of_examples_must_rise_and_fit():
    offsets, values = np.array([0, 2, 4]), np.ones((4, 1))
    for times, sentence in [
        (np.array([1, 2, 1, 2]), None),
        (
            np.array([1, 2, 3, 3]),
            "examples, row 1 (counting from 0): expected times that rise from step to step",
        ),
        (
            np.array([2, 1, 1, 3]),
            "examples, row 0 (counting from 0): expected times that rise from step to step",
        ),
        (np.array([1, 2, 3]), "examples: times must be datetime64[ns] or int64 [4], one a step"),
        (np.array([1.0, 2, 3, 4]), "examples: times must be datetime64[ns] or int64 [4], one a step"),
    ]:
        if sentence is None:
            Examples("series", 2, ("a",), offsets=offsets, series=values, times=times)
            continue
        with pytest.raises(DataError) as error:
            Examples("series", 2, ("a",), offsets=offsets, series=values, times=times)
        assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"columns": ("a", "a")}, "irregular: columns must each stand once, got 'a' twice"),
        ({"form": "zero"}, "irregular: form must be one of mean, forward, indicators, decay, got 'zero'"),
        ({"clock": "sun"}, "irregular: clock must be dates, numbers or steps, got 'sun'"),
    ],
)
def test_a_step_checks_itself(fields, sentence):
    with pytest.raises(SpecError) as error:
        Irregular(**{"columns": ("a",), "form": "mean", "clock": "steps"} | fields)
    assert str(error.value) == sentence
