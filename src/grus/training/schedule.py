"""The learning rate of every optimiser step, as a pure function of its number."""

import math

from grus.training.config import TrainingConfig


def learning_rate_at(config: TrainingConfig, step: int, total_steps: int) -> float:
    r"""Learning rate of optimiser step ``step``: linear warm-up to the peak, then decay to the end.

    With W = warmup_steps, eta = learning_rate, f = decay_to, T = total_steps and p = (s - W) / (T - 1 - W):

        s < W          eta (s + 1) / W
        constant       eta
        linear         eta (1 - (1 - f) p)
        cosine         eta (f + (1 - f) (1 + cos(pi p)) / 2)
        exponential    eta f^p

    so the first step after warm-up has rate eta and the run's last step rate f eta.  There is no state
    to save: a resumed run asks for the same number and gets the same rate.

    Args:
        config: The run's settings.
        step: Optimiser step, counted from 0.
        total_steps: Optimiser steps in all planned epochs, at least 1.

    Returns:
        The rate, at least 0; steps past the end keep the last one.

    Reference:
        Cosine: Loshchilov and Hutter 2017, "SGDR", equation 5, one period.
    """
    assert config.learning_rate != "auto", "the loop asks for a rate only once it is known"
    eta, floor, warmup = config.learning_rate, config.decay_to, config.warmup_steps
    if step < warmup:
        return eta * (step + 1) / warmup
    p = min(1.0, (step - warmup) / max(1, total_steps - 1 - warmup))
    if config.decay == "constant":
        return eta
    if config.decay == "linear":
        return eta * (1 - (1 - floor) * p)
    if config.decay == "cosine":
        return eta * (floor + (1 - floor) * (1 + math.cos(math.pi * p)) / 2)
    return eta * floor**p
