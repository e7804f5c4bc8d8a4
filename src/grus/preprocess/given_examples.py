"""From plain Python data to examples: lists of texts, arrays of numbers, of pixels, of samples; NumPy only."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from grus.errors import DataError
from grus.preprocess.columns import first_row
from grus.preprocess.examples import Examples, Labels
from grus.preprocess.log_mel import as_samples


def examples_of_texts(texts: Sequence[Any], labels: Labels | None = None) -> Examples:
    """Examples from a list of texts; None is an empty text."""
    cells = ["" if text is None else text for text in texts]
    return Examples("text", len(cells), ("text",), labels=labels, texts=cells)


def examples_of_arrays(
    arrays: Any, labels: Labels | None = None, columns: Sequence[str] | None = None
) -> Examples:
    """Examples from numeric series: a list of arrays [T, C] or [T], or one array [R, T, C] or [R, T].

    Args:
        arrays: numbers, NaN for a gap; T may differ.
        labels: of each.
        columns: names of the channels; ``x0``, ``x1``, ... if None.

    Raises:
        DataError: an array of another shape or number of channels, or one that holds no numbers.
    """
    parts = [_steps(array, row) for row, array in enumerate(arrays)]
    width = len(columns) if columns is not None else (parts[0].shape[1] if parts else 0)
    for row, part in enumerate(parts):
        if part.shape[1] != width:
            rule = "as the model reads" if columns is not None else "as in the first"
            raise DataError(
                f"data, row {row} (counting from 0): expected {width} channels {rule}, got {part.shape[1]}"
            )
    names = tuple(columns) if columns is not None else tuple(f"x{i}" for i in range(width))
    lengths = [len(part) for part in parts]
    return Examples(
        kind="series",
        rows=len(parts),
        columns=names,
        labels=labels,
        offsets=np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))),
        series=np.concatenate(parts) if parts else np.empty((0, width)),
    )


def _steps(array: Any, row: int) -> np.ndarray:
    """One series as float64 [T, C]."""
    try:
        values = np.asarray(array)
        values = values.astype(np.float64) if values.dtype.kind in "fiub" else np.array(array, np.float64)
    except (TypeError, ValueError):
        raise DataError(
            f"data, row {row} (counting from 0): expected an array of numbers, got {_what(array)}"
        ) from None
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2:
        raise DataError(
            f"data, row {row} (counting from 0): expected an array [steps, channels], got shape {values.shape}"
        )
    return values


def _what(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{type(value).__name__} of other things"


def examples_of_images(images: Any, labels: Labels | None = None) -> Examples:
    """Examples from an array of images [R, H, W] or [R, H, W, C], whole numbers from 0 to 255.

    Raises:
        DataError: another shape, or values that are no pixels.
    """
    values = np.asarray(images)
    if values.ndim == 3:
        values = values[..., None]
    if values.ndim != 4 or values.dtype.kind not in "fiub":
        raise DataError(
            f"data: expected images [rows, height, width] or [rows, height, width, channels], "
            f"got {values.dtype} {np.shape(images)}"
        )
    if values.dtype != np.uint8:
        bad = first_row(
            ~((values >= 0) & (values <= 255) & (values == np.floor(values))).reshape(len(values), -1).all(1)
        )
        if bad >= 0:
            raise DataError(
                f"data, row {bad} (counting from 0): expected pixels that are whole numbers from 0 to 255, "
                f"got values from {values[bad].min():g} to {values[bad].max():g}",
                "scale them: (x * 255).round()",
            )
    return Examples("images", len(values), (), labels=labels, images=values.astype(np.uint8))


def examples_of_recordings(recordings: Sequence[Any], rate: int, labels: Labels | None = None) -> Examples:
    """Examples from a list of recordings, samples [N] of one channel each, all at one rate.

    Raises:
        DataError: one that is no samples, or has none.
    """
    parts = [
        as_samples(samples, f"data, row {row} (counting from 0)") for row, samples in enumerate(recordings)
    ]
    for row, part in enumerate(parts):
        if not len(part):
            raise DataError(f"data, row {row} (counting from 0): expected samples, got an empty recording")
    return Examples(
        kind="audio",
        rows=len(parts),
        labels=labels,
        offsets=np.concatenate(([0], np.cumsum([len(part) for part in parts], dtype=np.int64))),
        samples=np.concatenate(parts) if parts else np.empty(0, np.float32),
        rate=rate,
    )
