"""Hiding measured values in training, so that a network learns to do without any one of them."""

import numpy as np

from grus.spec import AnyStep, Irregular

#: Share of the values of a GRU-D's inputs that are marked as missing in training, as `grus.Classifier` does by default.
HIDDEN = 0.1


def masks_of(steps: tuple[AnyStep, ...], first: int) -> slice | None:
    """Where the masks of a GRU-D stand in the input whose irregular features begin at ``first``; None without one."""
    step = next((step for step in steps if isinstance(step, Irregular) and step.form == "decay"), None)
    count = 0 if step is None else len(step.columns)
    return slice(first + count, first + 2 * count) if count else None


def generator(seed: int, epoch: int, step: int) -> np.random.Generator:
    """What (seed, epoch, step) settle: training resumes with the same draws."""
    key = np.array([seed, (epoch << 32) + step], np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def hide(inputs: np.ndarray, masks: slice | None, random: np.random.Generator) -> None:
    """Mark some of the values of ``inputs`` [B, T, features] as missing, in place."""
    if masks is not None:
        inputs[..., masks] *= random.random(inputs[..., masks].shape) >= HIDDEN
