"""Piano-rolls from a NumPy archive: pieces of music as the keys that sound at each step, read as hostile input."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from grus.errors import DataError
from grus.preprocess.ragged import Ragged

KEYS = 88
PACKED = 11
SPLITS = ("train", "valid", "test")
#: Bytes of an array that is read; a step takes 11.
MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Roll:
    """Steps of 88 keys, eight to a byte, made dense when they are asked for; see `grus.preprocess.ragged.Steps`.

    Attributes:
        packed: uint8 [N, 11], as `numpy.packbits` packs them.
    """

    packed: np.ndarray

    def __len__(self) -> int:
        return len(self.packed)

    def __getitem__(self, steps: np.ndarray) -> np.ndarray:
        return np.unpackbits(self.packed[steps], axis=1, count=KEYS).astype(np.float32)


def read_rolls(path: str | Path) -> dict[str, Ragged]:
    """Read the pieces of an archive with ``{split}_roll_packed`` uint8 [N, 11] and ``{split}_lengths`` int [P].

    Args:
        path: an .npz file; splits are ``train``, ``valid`` and ``test``, key 0 is the lowest of the piano.

    Returns:
        By split, pieces with the port ``x`` of dense float32 [N, 88].

    Raises:
        DataError: the file is missing, is no such archive, or does not hold together: which, where, and what it has.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no such file: {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            return {split: _pieces(archive, path, split) for split in SPLITS}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError):
        raise DataError(f"{path}: expected a NumPy archive (.npz) of piano-rolls, got another file") from None


def _pieces(archive: zipfile.ZipFile, path: Path, split: str) -> Ragged:
    packed = _array(archive, path, f"{split}_roll_packed")
    if packed.dtype != np.uint8 or packed.ndim != 2 or packed.shape[1] != PACKED:
        raise DataError(
            f"{path}, {split}_roll_packed: expected uint8 [steps, {PACKED}], got {_kind(packed)}",
            "pack 88 keys with numpy.packbits(roll, axis=1)",
        )
    lengths = _array(archive, path, f"{split}_lengths")
    if lengths.dtype.kind not in "iu" or lengths.ndim != 1 or not len(lengths):
        raise DataError(
            f"{path}, {split}_lengths: expected whole numbers [pieces], at least one, got {_kind(lengths)}"
        )
    short = np.flatnonzero((lengths < 2) | (lengths > len(packed)))
    if len(short):
        first = short[0]
        raise DataError(
            f"{path}, {split}_lengths, piece {first + 1}: expected 2 to {len(packed):,} steps, got {lengths[first]}"
        )
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    if offsets[-1] != len(packed):
        raise DataError(
            f"{path}, {split}_lengths: expected a sum of {len(packed):,}, the steps of {split}_roll_packed, "
            f"got {offsets[-1]:,}"
        )
    return Ragged({"x": Roll(packed)}, offsets)


def _array(archive: zipfile.ZipFile, path: Path, name: str) -> np.ndarray:
    """An array of the archive; its header is compared with the bytes that are there before any are set aside."""
    member = f"{name}.npy"
    if member not in archive.namelist():
        raise DataError(f"{path}: expected an array {name!r}, got {_names(archive)}")
    size = archive.getinfo(member).file_size
    if size > MOST_BYTES:
        raise DataError(f"{path}, {name}: expected at most {MOST_BYTES:,} bytes, got {size:,}")
    with archive.open(member) as file:
        data = file.read(MOST_BYTES + 1)
    return _decoded(data, path, name)


def _decoded(data: bytes, path: Path, name: str) -> np.ndarray:
    """The array in the bytes of a .npy file."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(file)
        if dtype.kind not in "iu":
            raise ValueError(f"its dtype is {dtype}")
        values = np.frombuffer(data, dtype, offset=file.tell())
        return np.ascontiguousarray(values.reshape(shape, order="F" if fortran else "C"))
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(
            f"{path}, {name}: expected an array of whole numbers, got one that cannot be read ({error})"
        ) from None


def _kind(array: np.ndarray) -> str:
    return f"{array.dtype} {list(array.shape)}"


def _names(archive: zipfile.ZipFile) -> str:
    names = sorted(name.removesuffix(".npy") for name in archive.namelist())
    return ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "") if names else "none"
