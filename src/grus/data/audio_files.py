"""Recordings from files: one channel, one sample rate, and a clear word on every file that is none."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import numpy as np

from grus.data.spool import available_memory
from grus.errors import DataError, MissingExtraError
from grus.preprocess.resample import resample
from grus.preprocess.storage import append, nameless

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf")
#: Samples take at most this part of the memory available; more of them lie in temporary files. They are joined, set
#: apart into training, validation and test, and made features of, and each time are there twice.
_PART = 4
#: A recording is said to be clipped if this share of its samples is at full scale.
_FULL, _CLIPPED = 0.9995, 0.001
#: What a WAV file's header says if its writer could not go back to fill it in.
_UNKNOWN_SIZES = (0, 0xFFFFFFFF, 0x7FFFFFFF)


@dataclass(frozen=True)
class AudioOptions:
    """How recordings are read.

    Attributes:
        rate: in Hz, to bring all of them to; None: the rate of most of them.
        resample: bring others to it; if not, they are refused.
        skip_bad: leave out files that are no recordings, and say how many, instead of raising.
        least: seconds that a recording must have.
    """

    rate: int | None = None
    resample: bool = True
    skip_bad: bool = False
    least: float = 0.0


@dataclass(frozen=True)
class Recordings:
    """What was read: ``samples`` float32 [N], recording r from ``offsets[r]`` to ``offsets[r + 1]``, at ``rate`` Hz.

    ``samples`` are mapped from a temporary file where memory does not hold them. ``kept`` are the numbers of the files
    that they came from, and ``notes`` sentences for people.
    """

    samples: np.ndarray
    offsets: np.ndarray
    rate: int
    kept: np.ndarray
    notes: tuple[str, ...]


def is_audio(path: Path) -> bool:
    """Whether a path has the name of a recording."""
    return path.suffix.lower() in AUDIO_SUFFIXES and path.is_file()


def read_recording(file: Path) -> tuple[np.ndarray, int, int]:
    """The samples of a file float32 [N], the mean of its channels; its rate in Hz; how many channels it has.

    Raises:
        DataError: it is missing, no recording, damaged, cut short or empty. MissingExtraError: soundfile is missing.
    """
    soundfile = _soundfile()
    if not file.exists():
        raise DataError(f"no such file: {file}")
    try:
        with soundfile.SoundFile(file) as opened:
            rate, channels, said = opened.samplerate, opened.channels, opened.frames
            values = opened.read(dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, RuntimeError, TypeError) as error:
        raise DataError(
            f"{file}: expected a recording (wav, flac, ...), got one that is damaged or of another kind"
        ) from error
    said = max(said, _frames_of_header(file))
    if len(values) < said:
        raise DataError(
            f"{file}: expected {said:,} samples as its header says, got {len(values):,}: it is cut short"
        )
    if not len(values):
        raise DataError(f"{file}: expected samples, got an empty recording")
    mono = values[:, 0] if channels == 1 else values.mean(axis=1)
    if not np.isfinite(mono).all():
        raise DataError(f"{file}: expected finite samples, got NaN or infinity")
    return np.ascontiguousarray(mono), rate, channels


def read_recordings(
    files: Sequence[Path], options: AudioOptions, where: str, memory_limit: int | None = None
) -> Recordings:
    """Read files one after the other.

    Args:
        files: at least one.
        options: see `AudioOptions`.
        where: the folder or table they were found in, for messages.
        memory_limit: bytes of samples (default: a quarter of the memory available); more are put onto disk.

    Raises:
        DataError: a file that cannot be used (unless they are skipped), one of another rate (unless they are
            resampled), or none that can be used.
    """
    said = _Said(len(files))
    rate = options.rate or _usual_rate(files)
    kept = []
    pool = _Pool(available_memory() // _PART if memory_limit is None else memory_limit)
    for number, file in enumerate(files):
        try:
            samples, own, channels = read_recording(file)
            if len(samples) < options.least * own:
                least, got = 1000 * options.least, 1000 * len(samples) / own
                raise DataError(
                    f"{file}: expected a recording of at least {least:g} ms, one frame, got {got:.3g} ms"
                )
        except DataError as error:
            if not options.skip_bad:
                raise DataError(str(error), error.hint or "to leave such files out: --skip-bad") from error
            said.bad.append(str(error))
            continue
        if own != rate and not options.resample:
            raise DataError(
                f"{file}: expected a recording at {rate:,} Hz, got {own:,} Hz", "allow resampling"
            )
        said.note(file, own != rate, channels > 1, _is_clipped(samples))
        pool.append(resample(samples, own, rate))
        kept.append(number)
    if not kept:
        raise DataError(f"{where}: expected recordings, got {said.bad[0] if said.bad else 'none'}")
    samples, offsets = pool.finish()
    return Recordings(samples, offsets, rate, np.array(kept, np.int64), said.notes(rate))


class _Pool:
    """Samples of recordings, one after the other: in memory, or from ``limit`` bytes on in a nameless file."""

    def __init__(self, limit: int) -> None:
        self._room = limit
        self._parts: list[np.ndarray] = []
        self._lengths: list[int] = []
        self._file: IO[bytes] | None = None

    def append(self, samples: np.ndarray) -> None:
        """Add a recording, float32 [N]."""
        self._parts.append(samples)
        self._lengths.append(len(samples))
        self._room -= samples.nbytes
        if self._file is None and self._room < 0:
            self._file = nameless()
        if self._file is not None:
            for part in self._parts:
                append(self._file, part)
            self._parts = []

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """All samples float32 [N], and where each recording begins and the last one ends."""
        offsets = np.concatenate(([0], np.cumsum(self._lengths, dtype=np.int64)))
        if self._file is None:
            return np.concatenate(self._parts), offsets
        with self._file as file:  # what is mapped lives on
            return np.memmap(file, np.float32, "r", shape=(int(offsets[-1]),)), offsets


class _Said:
    """What people are told about the files that were read."""

    def __init__(self, total: int) -> None:
        self._total = total
        self.bad: list[str] = []
        self._found: dict[str, list[Path]] = {"resampled": [], "mixed": [], "clipped": []}

    def note(self, file: Path, resampled: bool, mixed: bool, clipped: bool) -> None:
        """Remember what is odd about a file."""
        for name, odd in (("resampled", resampled), ("mixed", mixed), ("clipped", clipped)):
            if odd:
                self._found[name].append(file)

    def notes(self, rate: int) -> tuple[str, ...]:
        """The sentences."""
        words = {
            "resampled": f"resampled to {rate:,} Hz",
            "mixed": "of several channels: their mean is read",
            "clipped": "clipped: samples stand at full scale",
        }
        found = []
        if self.bad:
            more = ", ..." if len(self.bad) > 1 else ""
            found.append(f"{len(self.bad):,} of {self._total:,} files skipped ({self.bad[0]}{more})")
        for name, files in self._found.items():
            if files:
                some = ", ".join(file.name for file in files[:3]) + ", ..." * (len(files) > 3)
                what = f"{len(files):,} of {self._total:,} recording{'s' * (self._total > 1)}"
                found.append(f"{what} {words[name]} ({some})")
        return tuple(found)


def _usual_rate(files: Sequence[Path]) -> int:
    """The sample rate of most files, of two equally frequent ones the higher."""
    soundfile = _soundfile()
    counts: Counter[int] = Counter()
    for file in files:
        try:
            counts[soundfile.info(str(file)).samplerate] += 1
        except (soundfile.LibsndfileError, OSError, RuntimeError, TypeError):
            continue  # reading it will say what is wrong with it
    return max(counts, key=lambda rate: (counts[rate], rate)) if counts else 1


def _is_clipped(samples: np.ndarray) -> bool:
    return float((np.abs(samples) >= _FULL).mean()) > _CLIPPED


def _frames_of_header(file: Path) -> int:
    """Frames that the header of a WAV file promises; 0 of another file, or if it does not say.

    libsndfile takes what is there for all there is.
    """
    with file.open("rb") as opened:
        if opened.read(4) != b"RIFF" or opened.read(8)[4:] != b"WAVE":
            return 0
        align = 0
        while len(head := opened.read(8)) == 8:
            size = int.from_bytes(head[4:], "little")
            if head[:4] == b"data":
                return size // align if align and size not in _UNKNOWN_SIZES else 0
            if head[:4] == b"fmt ":
                align = int.from_bytes(opened.read(size)[12:14], "little") if 16 <= size < 1 << 16 else 0
            else:
                opened.seek(size, 1)
            opened.seek(size % 2, 1)
    return 0


def _soundfile() -> ModuleType:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise MissingExtraError(
            "reading recordings needs soundfile, which is not installed", "pip install 'grus[audio]'"
        ) from error
    found: Any = soundfile
    return found
