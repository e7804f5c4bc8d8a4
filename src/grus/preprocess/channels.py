"""Numeric channels as a network sees them, a chunk of many streams at a time."""

import numpy as np

from grus.preprocess.scaling import apply
from grus.spec import CovariateScale

#: A scaled value is held to this size, so that no sum in the network overflows to infinity and on to NaN.
MOST = 1e30


class Channels:
    """Scales channels, fills gaps with the last known value, and puts masks beside those that had gaps in training.

    Args:
        step: the columns, and which of them are masked.
    """

    def __init__(self, step: CovariateScale) -> None:
        # Where each channel stands in the network's input, and the mask after each that has one.
        is_masked = np.array([name in step.masked for name in step.columns], np.bool_)
        self._values_at = np.arange(len(is_masked)) + np.cumsum(is_masked) - is_masked
        self._masked = np.flatnonzero(is_masked)
        self._masks_at = self._values_at[self._masked] + 1

    @property
    def size(self) -> int:
        """Features: the channels and their masks."""
        return len(self._values_at) + len(self._masked)

    def put(self, filled: np.ndarray, known: np.ndarray, out: np.ndarray, most: float = MOST) -> None:
        """Write the features of some steps.

        Args:
            filled: scaled values [..., C], NaN where none is known yet, which becomes 0.
            known: which of them are real, bool [..., C].
            out: float32 [..., features]; what stands after the channels' features is left alone.
            most: values are held to this size.
        """
        out[..., self._values_at] = np.minimum(
            np.maximum(np.where(filled != filled, 0.0, filled), -most), most
        )
        if len(self._masks_at):
            out[..., self._masks_at] = known[..., self._masked]


def scaled(values: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(x - center) / scale of channels [..., C], each by itself, so that none changes how another is rounded."""
    parts = (
        [slice(None)] if (abs(center) < 1e290).all() else [slice(c, c + 1) for c in range(values.shape[-1])]
    )
    return np.concatenate([apply(values[..., c], center[..., c], scale[..., c]) for c in parts], axis=-1)


def filled(values: np.ndarray, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps [B, T, C] with the last known value in place of NaN, and the last known after them [B, C].

    Args:
        held: the last known values before, NaN where there is none [B, C].
    """
    known = ~np.isnan(values)
    if values.shape[1] == 1:
        found = np.where(known, values, held[:, None])
    else:
        steps = np.arange(values.shape[1])[:, None]
        at = np.maximum.accumulate(np.where(known, steps, -1), axis=1)
        found = np.take_along_axis(values, np.maximum(at, 0), 1) if values.shape[1] else values
        found = np.where(at >= 0, found, held[:, None])
    return found, found[:, -1] if values.shape[1] else held
