"""SpecAugment: hide stretches of time and bands of frequency in training (Park et al. 2019), nothing else."""

from collections.abc import Callable

import torch
from torch import Tensor

from grus.spec import Classify

#: Masks of each kind.
MASKS = 2


def masking(
    task: Classify, bands: int, time_mask: float, band_mask: float
) -> Callable[[Tensor, Tensor], Tensor] | None:
    """What training makes of the frames of a classifier's recordings; None for other inputs."""
    if task.kind != "audio" or not (time_mask or band_mask):
        return None
    return lambda x, lengths: spec_augment(x, lengths, bands, time_mask, band_mask)


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
