"""Log-mel features: a public reference implementation, every edge, and the same bits in any chunks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grus.errors import DataError, SpecError
from grus.preprocess.log_mel import LogMelFrames, as_samples, fit_log_mel, log_mel_step, mel_weights
from grus.spec import LogMel

#: What kaldi-native-fbank 1.23.0 gave, as in `kaldi` below, for 8 kHz, 23 bands, preemphasis 0.97, of the samples
#: (7919 i mod 201) / 100 - 1, i = 0 .. 399: the first, middle and last band of its three frames.
KALDI = np.array(
    [[-1.169355, 1.780189, 4.543742], [-1.306416, 1.491513, 4.254862], [-1.423870, 1.178170, 3.948509]]
)


def noise(samples, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def kaldi(step, samples):
    """The same features by kaldi-native-fbank."""
    fbank = pytest.importorskip("kaldi_native_fbank", reason="a development extra")
    options = fbank.FbankOptions()
    frames, mel = options.frame_opts, options.mel_opts
    frames.dither, frames.samp_freq, frames.snip_edges = 0, step.rate, True
    frames.preemph_coeff, frames.remove_dc_offset, frames.window_type = step.preemphasis, False, "hanning"
    frames.frame_length_ms, frames.frame_shift_ms = (1000 * n / step.rate for n in (step.frame, step.hop))
    mel.num_bins, mel.low_freq, mel.high_freq = step.bands, step.low, step.high
    options.use_energy, options.energy_floor = False, 0
    maker = fbank.OnlineFbank(options)
    maker.accept_waveform(step.rate, samples.tolist())
    maker.input_finished()
    return np.array([maker.get_frame(i) for i in range(maker.num_frames_ready)])


@pytest.mark.parametrize(
    ("rate", "bands", "preemphasis", "frame_ms", "hop_ms"),
    [
        (16_000, 40, 0.0, 25, 10),
        (16_000, 80, 0.97, 25, 10),
        (8_000, 23, 0.97, 32, 8),
        (44_100, 64, 0.0, 20, 20),
    ],
)
def test_features_are_those_of_kaldi(rate, bands, preemphasis, frame_ms, hop_ms):
    step = log_mel_step(rate, bands=bands, preemphasis=preemphasis, frame_ms=frame_ms, hop_ms=hop_ms)
    samples = noise(rate // 2)
    wanted, found = kaldi(step, samples), LogMelFrames(step)(samples)
    assert found.shape == wanted.shape
    # theirs is in float32 from the window on: with preemphasis low bands lose digits
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3 if preemphasis else 1e-4)


def test_features_are_those_that_kaldi_once_gave():
    i = np.arange(400)
    samples = (i * 7919 % 201 / 100 - 1).astype(np.float32)
    step = log_mel_step(8_000, bands=23, preemphasis=0.97)
    found = LogMelFrames(step)(samples)[:, [0, 11, 22]]
    np.testing.assert_allclose(found, KALDI, rtol=0, atol=1e-3)


def test_a_frame_by_the_formula():
    step = LogMel(8_000, 200, 80, 256, 5, 20.0, 4000.0)
    x = noise(200).astype(np.float64)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(200) / 199)
    n = np.arange(200)
    power = np.array([abs((x * window * np.exp(-2j * np.pi * k * n / 256)).sum()) ** 2 for k in range(129)])
    edges = 700 * np.expm1(np.linspace(1127 * np.log1p(20 / 700), 1127 * np.log1p(4000 / 700), 7) / 1127)
    weights = mel_weights(step)
    peak = weights.argmax(axis=1) * 8_000 / 256
    assert (np.abs(peak - edges[1:-1]) < 8_000 / 256).all()
    wanted = np.log(weights.astype(np.float64) @ power)
    np.testing.assert_allclose(LogMelFrames(step)(x.astype(np.float32))[0], wanted, atol=1e-5)


@given(
    st.lists(st.integers(0, 700), min_size=1, max_size=20), st.integers(1, 4), st.sampled_from([0.0, 0.97])
)
def test_any_chunks_give_the_same_bits(cuts, stack, preemphasis):
    step = log_mel_step(8_000, stack=stack, preemphasis=preemphasis)
    frames = LogMelFrames(step, np.full(40, -5.0), np.full(40, 3.0))
    samples = noise(sum(cuts), seed=len(cuts))
    whole, parts, held, place = frames(samples), [], np.empty(0, np.float32), 0
    for size in cuts:
        held = np.concatenate([held, samples[place : place + size]])
        place += size
        parts.append(frames(held))
        held = held[len(parts[-1]) * step.stride :]
        assert len(held) < step.window
    found = np.concatenate(parts)
    assert found.shape == whole.shape == (step.steps(len(samples)), 40 * stack)
    assert found.tobytes() == whole.tobytes()


def test_more_frames_than_a_block_are_the_same_bits_as_each_alone():
    step = log_mel_step(8_000)
    samples = noise(80 * 1100 + 200)
    frames = LogMelFrames(step)
    whole = frames(samples)
    alone = np.concatenate([frames(samples[80 * i : 80 * i + 200]) for i in range(len(whole))])
    assert whole.tobytes() == alone.tobytes()


@pytest.mark.parametrize(("samples", "steps"), [(0, 0), (199, 0), (200, 1), (279, 1), (280, 2), (8_000, 98)])
def test_a_step_needs_its_own_samples_and_no_more(samples, steps):
    step = log_mel_step(8_000)
    assert step.steps(samples) == steps
    assert LogMelFrames(step)(np.zeros(samples, np.float32)).shape == (steps, 40)


def test_silence_is_the_floor():
    step = log_mel_step(8_000)
    found = LogMelFrames(step)(np.zeros(400, np.float32))
    assert (found == np.log(np.float32(1e-10))).all()
    fitted = fit_log_mel(step, np.zeros(400, np.float32), np.array([0, 400]))
    assert (fitted["scale"] == 1).all()


def test_fitted_bands_have_mean_0_and_deviation_1():
    step = log_mel_step(8_000, stack=2)
    samples = np.concatenate([noise(4_000), 3 * noise(6_000, 1)])
    offsets = np.array([0, 4_000, 10_000])
    fitted = fit_log_mel(step, samples, offsets)
    ragged = LogMelFrames(step, **fitted).ragged(samples, offsets)
    assert ragged.offsets.tolist() == [0, step.steps(4_000), step.steps(4_000) + step.steps(6_000)]
    bands = ragged.ports["x"].reshape(-1, 40).astype(np.float64)
    np.testing.assert_allclose(bands.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(bands.std(0), 1, atol=1e-5)


def test_of_long_recordings_the_last_steps_are_kept():
    step = log_mel_step(8_000)
    samples = noise(4_000)
    frames = LogMelFrames(step)
    found = frames.ragged(samples, np.array([0, 4_000]), most=7)
    assert found.ports["x"].tobytes() == frames(samples)[-7:].tobytes()


def test_nothing_as_long_as_a_frame_cannot_be_learned_from():
    with pytest.raises(
        DataError, match=r"^recordings: expected some of at least 25 ms to learn from, got none$"
    ):
        fit_log_mel(log_mel_step(8_000), noise(150), np.array([0, 100, 150]))


def test_every_band_has_a_bin():
    for rate, bands in ((8_000, 128), (16_000, 128), (8_000, 200)):
        step = log_mel_step(rate, bands=bands)
        assert mel_weights(step).any(axis=1).all()
        assert step.fft >= step.frame
    with pytest.raises(DataError, match=r"^bands: must be fewer for recordings of 8,000 Hz, got 1000$"):
        log_mel_step(8_000, bands=1000)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"hop_ms": 30}, "at 8,000 Hz got 200 samples every 240"),
        ({"frame_ms": 0.1}, "at 8,000 Hz got 1 samples every 80"),
        ({"hop_ms": 0.01}, "at 8,000 Hz got 200 samples every 0"),
    ],
)
def test_frames_that_cannot_be(options, sentence):
    with pytest.raises(DataError, match=f"{sentence}$"):
        log_mel_step(8_000, **options)


@pytest.mark.parametrize(
    "changed",
    [
        {"rate": 0}, {"rate": 10**6}, {"frame": 1}, {"hop": 0}, {"hop": 201}, {"fft": 199}, {"bands": 0}, {"stack": 65}, {"bands": 1024, "fft": 1 << 18},
        {"low": -1.0}, {"high": 4001.0}, {"low": 4000.0}, {"preemphasis": 1.0}, {"floor": 0.0}, {"floor": float("nan")},
        {"low": float("nan")},
    ],
)  # fmt: skip
def test_a_step_that_does_not_hold_together(changed):
    given = {"rate": 8_000, "frame": 200, "hop": 80, "fft": 256, "bands": 40, "low": 20.0, "high": 4000.0}
    with pytest.raises(SpecError, match=r"^log mel: "):
        LogMel(**(given | changed))


@pytest.mark.parametrize(
    "values", [np.zeros((2, 3)), np.zeros(3, np.int32), np.zeros(3, complex), ["a"], 3.0]
)
def test_what_is_no_samples(values):
    with pytest.raises(DataError, match=r"^x: expected samples of one channel \[N\], float or int16, got "):
        as_samples(values, "x")


def test_samples_are_floats_or_whole_numbers_of_16_bits():
    assert as_samples(np.array([-32768, 0, 16384], np.int16), "x").tolist() == [-1.0, 0.0, 0.5]
    assert as_samples(np.array([0.25, -2.0]), "x").dtype == np.float32
    with pytest.raises(DataError, match=r"^x: expected finite samples, got NaN or infinity$"):
        as_samples(np.array([0.0, np.nan]), "x")


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan])
def test_a_scale_that_cannot_be(scale):
    with pytest.raises(SpecError, match=r"^model: preprocess\.log_mel\.scale must be above zero$"):
        LogMelFrames(log_mel_step(8_000), np.zeros(40), np.full(40, scale))
