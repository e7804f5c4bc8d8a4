"""Resampling: sines come through as they were, and what the new rate cannot hold is left out."""

import numpy as np
import pytest

from grus.preprocess.resample import resample


def sine(frequency, rate, seconds=1.0):
    return np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)


def decibels(values):
    return 20 * np.log10(np.abs(values).max())


@pytest.mark.parametrize(
    ("source", "target"), [(44_100, 16_000), (8_000, 16_000), (48_000, 8_000), (11_025, 8_000)]
)
@pytest.mark.parametrize("share", [0.02, 0.4, 0.8])
def test_a_sine_below_both_rates_stays_itself(source, target, share):
    frequency = share * min(source, target) / 2
    found = resample(sine(frequency, source).astype(np.float32), source, target)
    assert found.dtype == np.float32
    assert len(found) == target
    middle = slice(len(found) // 4, 3 * len(found) // 4)
    assert decibels((found - sine(frequency, target))[middle]) < -85


@pytest.mark.parametrize(("source", "target"), [(44_100, 16_000), (48_000, 8_000)])
@pytest.mark.parametrize("share", [1.08, 1.5, 2.2])
def test_what_the_new_rate_cannot_hold_is_left_out(source, target, share):
    found = resample(sine(share * target / 2, source).astype(np.float32), source, target)
    assert decibels(found[len(found) // 4 : 3 * len(found) // 4]) < -80


def test_the_same_rate_is_the_same_samples():
    samples = np.arange(5, dtype=np.float32)
    assert resample(samples, 8_000, 8_000) is samples


@pytest.mark.parametrize(("samples", "length"), [(0, 0), (1, 2), (3, 6), (1000, 2000)])
def test_lengths(samples, length):
    assert len(resample(np.zeros(samples, np.float32), 8_000, 16_000)) == length
    assert len(resample(np.zeros(length, np.float32), 16_000, 8_000)) == -(-length // 2)


def test_a_constant_stays_one_away_from_the_ends():
    found = resample(np.ones(8_000, np.float32), 8_000, 11_025)
    np.testing.assert_allclose(found[2_000:-2_000], 1.0, atol=1e-4)
