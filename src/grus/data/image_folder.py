"""Images from a folder with a folder for each class, or from a list of files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from grus.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".webp",
    ".pgm",
    ".ppm",
    ".pbm",
    ".pnm",
)
_GREY = ("1", "L", "LA", "I", "F", "I;16", "I;16B", "I;16L")
_FAULTS = (OSError, SyntaxError, ValueError)
MOST_BYTES = 8 << 30
"""Images are held in memory as bytes; more of them than this are refused."""


@dataclass(frozen=True)
class ImageFolder:
    """Images as they were read.

    Attributes:
        images: uint8 [R, H, W, C]; C is 1 if all are grey, else 3.
        names: of the files, from the folder on.
        labels: the folder that each lies in, or None where there are no folders.
        notes: sentences for people on what was skipped and resized.
    """

    images: np.ndarray
    names: tuple[str, ...]
    labels: tuple[str, ...] | None
    notes: tuple[str, ...] = ()


def holds_images(path: Path) -> bool:
    """Whether a path is an image, or a folder with images in it or in its folders."""
    if not path.is_dir():
        return _is_image(path)
    return any(_is_image(p) for p in path.iterdir()) or any(
        _is_image(p) for folder in _folders(path) for p in folder.iterdir()
    )


def read_image_folder(path: Path, shape: tuple[int, int, int] | None = None) -> ImageFolder:
    """Read all images of a folder in the order of their names.

    With folders in it, each is a class and its images, also those of folders further down, have its name as label;
    without, the images have no labels. Hidden files and files of other kinds are skipped.

    Args:
        path: the folder, or one image.
        shape: height, width and channels to bring all images to; if None the size of the first one, in grey if all
            are grey.

    Raises:
        DataError: the folder is missing or has no images, or one of them cannot be read.
        MissingExtraError: Pillow is not installed.
    """
    if not path.exists():
        raise DataError(f"no such folder: {path}")
    found, skipped = _listed(path)
    if not found:
        kinds = ", ".join(IMAGE_SUFFIXES[:4])
        raise DataError(f"{path}: expected images ({kinds}, ...) in a folder for each class, got none")
    labels = [folder for folder, _ in found]
    if None in labels and any(labels):
        loose = next(file for folder, file in found if folder is None)
        raise DataError(
            f"{path}: expected every image in a folder named by its class, got {loose.name!r} beside the folders"
        )
    root = path if path.is_dir() else path.parent
    names = tuple(file.relative_to(root).as_posix() for _, file in found)
    images, notes = read_images([file for _, file in found], shape)
    if skipped:
        some = ", ".join(p.relative_to(root).as_posix() for p in skipped[:3]) + ", ..." * (len(skipped) > 3)
        what = "file that is no image" if len(skipped) == 1 else "files that are no images"
        notes = (f"{path.name}: {len(skipped):,} {what} skipped ({some})", *notes)
    return ImageFolder(images, names, None if None in labels else tuple(map(str, labels)), notes)


def read_images(
    files: Sequence[Path], shape: tuple[int, int, int] | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Images of one size as uint8 [R, H, W, C], and a note if some had to be resized; ``shape`` as above."""
    if shape is None:
        with _open(files[0]) as first:
            width, height = _upright(first, files[0]).size
        channels = 3 if any(_is_coloured(file) for file in files) else 1
    else:
        height, width, channels = shape
    if len(files) * height * width * channels > MOST_BYTES:
        raise DataError(
            f"{files[0].parent}: expected images of at most {MOST_BYTES >> 30} GB of pixels, "
            f"got {len(files):,} of {width} x {height}",
            "make them smaller first",
        )
    images = np.empty((len(files), height, width, channels), np.uint8)
    odd: list[Path] = []
    for number, file in enumerate(files):
        with _open(file) as image:
            flat = _flat(_upright(image, file), "RGB" if channels == 3 else "L", file)
        if flat.size != (width, height):
            odd.append(file)
            flat = flat.resize((width, height), _pillow().Resampling.BILINEAR)
        images[number] = np.asarray(flat).reshape(height, width, channels)
    if not odd:
        return images, ()
    which = f"{len(odd):,} of {len(files):,} image{'s' * (len(files) > 1)}"
    return images, (
        f"{which} resized to {width} x {height} pixels ({odd[0].name}{', ...' * (len(odd) > 1)})",
    )


def _listed(path: Path) -> tuple[list[tuple[str | None, Path]], list[Path]]:
    """(class or None, file) of every image in the order of their names, and the files that are none."""
    if not path.is_dir():
        return ([(None, path)], []) if _is_image(path) else ([], [path])
    files: list[tuple[str | None, Path]] = [(None, p) for p in sorted(path.iterdir()) if p.is_file()]
    for folder in _folders(path):
        files += [(folder.name, p) for p in sorted(folder.rglob("*")) if p.is_file()]
    images = [(folder, p) for folder, p in files if _is_image(p) and not _is_hidden(p, path)]
    kept = {p for _, p in images}
    return images, [p for _, p in files if p not in kept]


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _pillow() -> ModuleType:
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError as error:
        raise MissingExtraError(
            "reading images needs Pillow, which is not installed", "pip install 'grus[train]'"
        ) from error
    return PIL.Image


def _open(file: Path) -> "Image":
    pillow = _pillow()
    try:
        return pillow.open(file)
    except FileNotFoundError as error:
        raise DataError(f"no such file: {file}") from error
    except PermissionError as error:
        raise DataError(f"{file}: expected a file that can be read, got {error.strerror}") from error
    except (*_FAULTS, pillow.DecompressionBombError) as error:
        raise _damaged(file) from error


def _is_coloured(file: Path) -> bool:
    with _open(file) as image:
        return image.mode not in _GREY


def _upright(image: "Image", file: Path) -> "Image":
    """The whole image, a photograph turned as its camera was held."""
    from PIL import ImageOps

    try:
        image.load()
        return ImageOps.exif_transpose(image)
    except _FAULTS as error:
        raise _damaged(file) from error


def _flat(image: "Image", mode: str, file: Path) -> "Image":
    """Eight bits a channel, on white where the image is transparent."""
    pillow = _pillow()
    if image.mode in ("F", "I") or image.mode.startswith("I;16"):
        values = np.asarray(image)
        if image.mode == "F" or values.min() < 0 or values.max() > 65_535:
            raise DataError(f"{file}: expected an image of 8 or 16 bits a pixel, got other numbers")
        image = pillow.fromarray((values >> 8).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = pillow.alpha_composite(pillow.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


def _damaged(file: Path) -> DataError:
    return DataError(f"{file}: expected an image, got one that is damaged, cut short or of another kind")
