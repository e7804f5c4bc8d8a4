"""Sequences of many lengths in one flat array each, padded only a batch at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Steps(Protocol):
    """Steps that are made dense only when they are asked for; a plain array is its own dense form."""

    def __len__(self) -> int:
        """How many steps."""
        ...

    def __getitem__(self, steps: np.ndarray, /) -> np.ndarray:
        """The dense values [n, ...] of some steps, by number int [n]."""
        ...


@dataclass(frozen=True)
class MultiHot:
    """Steps that are 1 at each of their codes, else 0, with other features after the codes.

    Attributes:
        codes: int32 [E], below ``count``.
        offsets: int64 [N + 1]: step n has the codes ``offsets[n]`` to ``offsets[n + 1]``.
        count: how many codes there are.
        features: float32 [N, k].
    """

    codes: np.ndarray
    offsets: np.ndarray
    count: int
    features: np.ndarray

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, steps: np.ndarray) -> np.ndarray:
        out = np.zeros((len(steps), self.count + self.features.shape[1]), np.float32)
        counts = np.diff(self.offsets)[steps]
        ends = np.cumsum(counts)
        total = int(ends[-1]) if len(ends) else 0
        events = np.arange(total) + np.repeat(self.offsets[:-1][steps] - (ends - counts), counts)
        out[np.repeat(np.arange(len(steps)), counts), self.codes[events]] = 1.0
        out[:, self.count :] = self.features[steps]
        return out


@dataclass(frozen=True)
class Pixels:
    """Rows of pixels as steps, scaled when they are asked for: four times smaller than float32.

    Attributes:
        values: uint8 [N, width * channels].
        center, scale: float64 [width * channels].
    """

    values: np.ndarray
    center: np.ndarray
    scale: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, steps: np.ndarray) -> np.ndarray:
        return ((self.values[steps] - self.center) / self.scale).astype(np.float32)


@dataclass(frozen=True)
class Ragged:
    """R sequences, one after the other, on one clock.

    Attributes:
        ports: by port name, the steps of all sequences: arrays [N, ...], or made dense a batch at a time.
        offsets: int64 [R + 1]: sequence r is steps ``offsets[r]`` to ``offsets[r + 1]``.
    """

    ports: Mapping[str, np.ndarray | Steps]
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each sequence, int64 [R]."""
        return np.diff(self.offsets)

    def batch(self, rows: np.ndarray | Sequence[int]) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Some sequences, padded with zeros to the longest of them, and to one step where all are empty.

        Returns:
            Arrays by port [B, T, ...], and how many steps of each row are real, int64 [B].
        """
        index = np.asarray(rows, np.int64)
        lengths = self.lengths[index]
        time = int(lengths.max(initial=1))
        real = np.arange(time) < lengths[:, None]
        steps = (self.offsets[:-1][index][:, None] + np.arange(time))[real]
        arrays: dict[str, np.ndarray] = {}
        for name, values in self.ports.items():
            dense = values[steps]
            arrays[name] = np.zeros((len(index), time, *dense.shape[1:]), dense.dtype)
            arrays[name][real] = dense
        return arrays, lengths
