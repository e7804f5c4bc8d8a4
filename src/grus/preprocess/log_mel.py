"""Log-mel features of recordings, whole or as they come: one code path, and the same bits whatever the pieces.

Every frame is worked out by itself, from its own samples: nothing looks ahead of it, and nothing but the samples that
no step was made of yet is left to remember. The Fourier transform is NumPy's, in float64, a transform a frame; the
bands are a product of our own kernels, which gives a row the same bits in any batch (`grus.kernels.native`).
"""

from functools import cached_property

import numpy as np

from grus.errors import DataError, SpecError
from grus.kernels.native import PackedLinear
from grus.preprocess.ragged import Ragged
from grus.preprocess.storage import empty, on_disk
from grus.spec import LogMel
from grus.spec.steps import MAX_FRAME, MAX_MEL

#: Milliseconds of a frame and from one to the next, and how many bands, where nothing is said.
FRAME_MS, HOP_MS, BANDS = 25.0, 10.0, 40
#: The lowest frequency of the bands, in Hz: below there is no speech, but hum.
LOW = 20.0
#: Frames transformed at once.
_BLOCK = 1024


def log_mel_step(
    rate: int,
    *,
    frame_ms: float = FRAME_MS,
    hop_ms: float = HOP_MS,
    bands: int = BANDS,
    preemphasis: float = 0.0,
    stack: int = 1,
) -> LogMel:
    """The step for recordings of a rate: the least power of two is the transform's length that gives each band a bin.

    Raises:
        DataError: frames or bands that recordings of this rate cannot have.
    """
    frame, hop = round(rate * frame_ms / 1000), round(rate * hop_ms / 1000)
    if frame < 2 or not 0 < hop <= frame:
        raise DataError(
            f"frames must hold at least 2 samples and follow each other in at most their own length; "
            f"at {rate:,} Hz got {frame} samples every {hop}"
        )
    high = rate / 2
    least = 1 << (frame - 1).bit_length()
    for fft in (least, 2 * least, 4 * least, 8 * least):
        if fft > 4 * MAX_FRAME or fft * bands > MAX_MEL:
            break
        step = LogMel(rate, frame, hop, fft, bands, min(LOW, high / 2), high, preemphasis, stack=stack)
        if mel_weights(step).any(axis=1).all():
            return step
    raise DataError(f"bands: must be fewer for recordings of {rate:,} Hz, got {bands}")


def mel_weights(step: LogMel) -> np.ndarray:
    """M [bands, fft / 2 + 1], float32: triangles of height 1, straight on the mel scale."""

    def mel(frequency: np.ndarray | float) -> np.ndarray:
        return 1127.0 * np.log1p(np.asarray(frequency) / 700.0)

    edges = np.linspace(mel(step.low), mel(step.high), step.bands + 2)
    bins = mel(np.arange(step.fft // 2 + 1) * (step.rate / step.fft))
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    return np.maximum(np.minimum(rising, falling), 0.0).astype(np.float32)


class LogMelFrames:
    """Makes steps of samples.

    Args:
        step: the spec.
        center, scale: of each band's log energy, float64 [bands]; None: not scaled.

    Raises:
        SpecError: a scale that is not above zero.
    """

    def __init__(
        self, step: LogMel, center: np.ndarray | None = None, scale: np.ndarray | None = None
    ) -> None:
        self.step = step
        if scale is not None and not (scale > 0).all():
            raise SpecError("model: preprocess.log_mel.scale must be above zero")
        self._scaling = None if center is None or scale is None else (center, scale)

    @cached_property
    def _window(self) -> np.ndarray:
        place = np.arange(self.step.frame) / (self.step.frame - 1)
        return 0.5 - 0.5 * np.cos(2 * np.pi * place)

    @cached_property
    def _mel(self) -> PackedLinear:
        return PackedLinear(mel_weights(self.step))

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """The steps of a recording, or of a piece of one that begins where a step does.

        Args:
            samples: float32 [N], -1 to 1.

        Returns:
            float32 [T, bands * stack], T = ``step.steps(N)``. Whoever goes on later keeps the samples from
            ``T * step.stride`` on.
        """
        step = self.step
        frames = step.steps(len(samples)) * step.stack
        out = np.empty((frames, step.bands), np.float32)
        if frames:
            # What sliding_window_view gives, at a tenth of its time: it is half of that of a single frame.
            samples = np.ascontiguousarray(samples, np.float32)
            every = np.ndarray((frames, step.frame), np.float32, samples, strides=(4 * step.hop, 4))  # type: ignore[arg-type]
            for first in range(0, frames, _BLOCK):
                some = slice(first, min(first + _BLOCK, frames))
                out[some] = self._energies(every[some].astype(np.float64))
        return out.reshape(-1, step.bands * step.stack)

    def ragged(self, samples: np.ndarray, offsets: np.ndarray, most: int | None = None) -> Ragged:
        """The steps of recordings, of each the last ``most``; recording r is ``samples[offsets[r]:offsets[r + 1]]``.

        They lie on disk if the samples do.
        """
        step = self.step
        whole = np.array([step.steps(n) for n in np.diff(offsets).tolist()], np.int64)
        kept = whole if most is None else np.minimum(whole, most)
        bounds = np.concatenate(([0], np.cumsum(kept)))
        size = step.port().size
        out = empty(int(bounds[-1]) * size, np.float32, on_disk(samples)).reshape(-1, size)
        for row in np.flatnonzero(kept).tolist():
            begin = offsets[row] + (whole[row] - kept[row]) * step.stride
            out[bounds[row] : bounds[row + 1]] = self(samples[begin : offsets[row + 1]])
        return Ragged({"x": out}, bounds)

    def _energies(self, frames: np.ndarray) -> np.ndarray:
        """Log energies [n, bands] of frames float64 [n, frame], scaled."""
        if self.step.preemphasis:
            before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
            frames = frames - self.step.preemphasis * before
        spectrum = np.fft.rfft(frames * self._window, self.step.fft)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        found = np.log(np.maximum(self._mel(power), np.float32(self.step.floor)))
        if self._scaling is None:
            return found
        center, scale = self._scaling
        return ((found - center) / scale).astype(np.float32)


def fit_log_mel(step: LogMel, samples: np.ndarray, offsets: np.ndarray) -> dict[str, np.ndarray]:
    """Mean and deviation of each band's log energy over all frames of recordings.

    Args:
        step: the spec.
        samples: of all recordings, float32 [N].
        offsets: recording r is ``offsets[r]:offsets[r + 1]``, int64 [R + 1].

    Raises:
        DataError: no recording is as long as a frame.
    """
    frames = LogMelFrames(step)
    count, total, square = 0, np.zeros(step.bands), np.zeros(step.bands)
    for first, last in zip(offsets[:-1].tolist(), offsets[1:].tolist()):
        found = frames(samples[first:last]).reshape(-1, step.bands).astype(np.float64)
        count, total, square = count + len(found), total + found.sum(0), square + (found**2).sum(0)
    if not count:
        length = f"{1000 * step.window / step.rate:g} ms"
        raise DataError(f"recordings: expected some of at least {length} to learn from, got none")
    center = total / count
    variance = np.maximum(square / count - center**2, 0.0)
    # Of a band in which nothing ever is, every value is the floor.
    return {"center": center, "scale": np.where(variance > 1e-8, np.sqrt(variance), 1.0)}


def as_samples(values: object, where: str) -> np.ndarray:
    """Samples of one channel as float32 [N]: floats as they are, whole numbers of 16 bits over 32,768.

    Raises:
        DataError: another shape or type, or values that are not finite.
    """
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype not in (np.int16, np.float32, np.float64):
        raise DataError(
            f"{where}: expected samples of one channel [N], float or int16, got {array.dtype} {list(array.shape)}"
        )
    if array.dtype == np.int16:
        return array.astype(np.float32) / np.float32(32768)
    found = array.astype(np.float32, copy=False)  # what is mapped from a file stays there
    if not np.isfinite(found).all():
        raise DataError(f"{where}: expected finite samples, got NaN or infinity")
    return found
