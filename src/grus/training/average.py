"""Exponential moving average of the weights (EMA), and putting it in the model's place for a while."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn


def start_average(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The average before the first step: a copy of the parameters, by name."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@torch.no_grad()
def update_average(
    average: Mapping[str, torch.Tensor], parameters: Sequence[torch.nn.Parameter], decay: float, step: int
) -> None:
    r"""One step of the average, in place: a <- d a + (1 - d) w with d = min(decay, (1 + t) / (10 + t)).

    The growing d keeps the random initial weights from weighing on short runs; ``step`` is t, from 1.
    ``parameters`` are the model's, in its order (a list made once: walking the modules costs 0.1 ms a step).
    """
    d = min(decay, (1 + step) / (10 + step))
    get_ema_multi_avg_fn(d)(list(average.values()), list(parameters), step)


@torch.no_grad()
def load_average(average: Mapping[str, torch.Tensor], model: torch.nn.Module) -> None:
    """Copy the average into the model's parameters."""
    for name, parameter in model.named_parameters():
        parameter.copy_(average[name])


@contextmanager
def average_in_place(average: Mapping[str, torch.Tensor] | None, model: torch.nn.Module) -> Iterator[None]:
    """Within the context the model has the averaged weights; its own come back afterwards, bit by bit."""
    if average is None:
        yield
        return
    own = start_average(model)
    load_average(average, model)
    try:
        yield
    finally:
        load_average(own, model)
