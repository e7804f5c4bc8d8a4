"""What training does to recordings, on their log-mel steps: other levels, voices, noise, and hidden stretches."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grus.spec import AnyStep, LogMel

#: Masks of each kind.
MASKS = 2
#: How far below a recording's mean level noise may lie, in dB.
NOISE_DB = (0.0, 30.0)
_NATS = math.log(10) / 10


@dataclass(frozen=True)
class SoundOptions:
    """What an estimator says about it.

    Attributes:
        gain_db: the greatest change of level, up or down, and half of it as a tilt over the bands; in dB.
        band_shift: the most bands that a spectrum is moved by, as by another vocal tract.
        noise: share of recordings that noise is added to.
        time_mask, band_mask: the widest stretch that is hidden, as a share of the steps and of the bands.
    """

    gain_db: float
    band_shift: int
    noise: float
    time_mask: float
    band_mask: float


def sound_options(estimator: Any) -> SoundOptions:
    """Those of an estimator's parameters."""
    return SoundOptions(**{field.name: getattr(estimator, field.name) for field in fields(SoundOptions)})


def augment_for(
    steps: Sequence[AnyStep], arrays: Mapping[str, np.ndarray], options: SoundOptions
) -> "SoundAugment | None":
    """What training does to what a model's steps make, fitted arrays by the names of the model file; None: nothing."""
    step = next((step for step in steps if isinstance(step, LogMel)), None)
    if step is None:
        return None
    return SoundAugment(options, {name: arrays[f"preprocess.{step.key}.{name}"] for name in step.arrays()})


class SoundAugment:
    """Makes steps of training harder.

    Args:
        options: see `SoundOptions`.
        fitted: center and scale of each band's log energy, float64 [bands].
    """

    def __init__(self, options: SoundOptions, fitted: Mapping[str, np.ndarray]) -> None:
        self.options = options
        self._center, self._scale = (
            torch.from_numpy(fitted[name].astype(np.float32)) for name in ("center", "scale")
        )
        self.bands = len(self._center)

    def __call__(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Steps [B, T, frames * bands] as training sees them, given their lengths [B]."""
        o = self.options
        if o.gain_db or o.band_shift or o.noise:
            center, scale = self._center.to(x.device), self._scale.to(x.device)
            frames = x.unflatten(2, (-1, self.bands)) * scale + center
            x = ((self._changed(frames, lengths) - center) / scale).flatten(2)
        return spec_augment(x, lengths, self.bands, o.time_mask, o.band_mask)

    def _changed(self, energies: Tensor, lengths: Tensor) -> Tensor:
        """Log energies [B, T, frames, bands] of another voice, at another level, in noise."""
        o, rows = self.options, len(energies)
        draw = torch.rand(5, rows, 1, 1, 1, device=energies.device)
        place = torch.arange(self.bands, device=energies.device)
        shift = (draw[0] * (2 * o.band_shift + 1)).floor().long() - o.band_shift
        energies = energies.gather(3, (place + shift).clamp(0, self.bands - 1).expand_as(energies))
        real = (torch.arange(energies.shape[1], device=energies.device) < lengths[:, None])[:, :, None, None]
        count = (lengths * energies.shape[2] * self.bands).clamp(min=1)
        level = ((energies * real).sum((1, 2, 3)) / count)[:, None, None, None]
        low, high = (_NATS * db for db in NOISE_DB)
        noise = level - low - (high - low) * draw[1] + 0.5 * torch.randn_like(energies)
        noisy = torch.where(draw[2] < o.noise, torch.logaddexp(energies, noise), energies)
        tilt = torch.linspace(-0.5, 0.5, self.bands, device=energies.device)
        return noisy + _NATS * o.gain_db * ((2 * draw[3] - 1) + (2 * draw[4] - 1) * tilt)


def spec_augment(x: Tensor, lengths: Tensor, bands: int, time_mask: float, band_mask: float) -> Tensor:
    """``x`` with two stretches of time and two of bands set to 0, which is the mean of what is scaled.

    Args:
        x: [B, T, frames * bands], the frames of a step side by side.
        lengths: valid steps [B].
        bands: of a frame.
        time_mask, band_mask: the widest stretch, as a share of the row's steps and of the bands; each stretch is
            drawn evenly from 0 to there, and its place evenly from where it fits.

    Reference:
        Park et al. 2019, SpecAugment, section 2 (without time warping).
    """
    batch, time, size = x.shape
    draw = torch.rand(2, MASKS, 2, batch, 1, device=x.device)
    steps = _hidden(torch.arange(time, device=x.device), lengths[:, None], time_mask, draw[0])
    places = torch.arange(size, device=x.device) % bands
    whole = torch.full((batch, 1), bands, device=x.device)
    return x.masked_fill(steps[:, :, None] | _hidden(places, whole, band_mask, draw[1])[:, None], 0.0)


def _hidden(place: Tensor, whole: Tensor, share: float, draw: Tensor) -> Tensor:
    """Which places [n] lie in one of the stretches of each row, bool [B, n]."""
    found = torch.zeros(len(whole), len(place), dtype=torch.bool, device=place.device)
    for width, start in draw:
        wide = (width * (share * whole + 1)).floor()
        begin = (start * (whole - wide + 1)).floor()
        found |= (place >= begin) & (place < begin + wide)
    return found
