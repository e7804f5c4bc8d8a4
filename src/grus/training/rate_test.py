"""The learning-rate range test: a peak rate for a job, from a hundred steps with a rising rate."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from grus.errors import DivergenceError
from grus.training.config import TrainingConfig
from grus.training.device import make_optimizer, seed_generators
from grus.training.gradients import Clipper
from grus.training.history import RateTest
from grus.training.job import Carry, Inputs, Job, map_carry, to_tensors

LOW, HIGH, STEPS = 1e-6, 1.0, 100
#: The test ends where the loss is so many times the smallest so far, or not finite.
_DIVERGED = 4.0
_RANGE_TEST = 2  # purpose of a seed, beside those of the loop


def rate_test(
    job: Job,
    config: TrainingConfig,
    fabric: Any,
    forward: Any,
    tell: Callable[[int], None] = lambda made: None,
) -> RateTest:
    """Find a learning rate by training for at most 100 steps with a rate that rises from 1e-6 to 1.

    The rate of step i is 1e-6 * 10^(6 i / 99), with the optimiser, weight decay and clipping of the run to come. The
    job's first batch, the probe, is not trained on: its loss, without dropout, is what is looked at. The same job,
    seed and device give the same rate; weights, buffers and modes of the model are afterwards as they were.

    The losses of the batches themselves, however they are smoothed, say more about the batches than about the rate
    where there is little to learn: on daily temperatures they were smallest at the first step.

    Args:
        job: What is to be trained.
        config: How; its learning rate plays no part.
        fabric, forward: Fabric, and the job's `LossModule` as ``fabric.setup`` returned it.
        tell: Called after every step with how many were made; what it raises ends the test.

    Raises:
        DivergenceError: The loss is not finite before the first step.

    Reference:
        Smith 2017, "Cyclical learning rates for training neural networks", section 3.3; see `choose` for the rule.
    """
    begin, rates, losses = time.monotonic(), [], []
    optimizer = fabric.setup_optimizers(make_optimizer(job.model, config))
    clip = Clipper(fabric, forward, optimizer, config.gradient_clip, config.precision == "16-mixed")

    def inputs(epoch: int, step: int, carry: Carry) -> Inputs:
        batch = job.batch(epoch, step * fabric.world_size + fabric.global_rank)
        return Inputs(to_tensors(batch, fabric.device), carry)

    def probed() -> float:
        job.model.eval()
        with torch.no_grad():
            loss, _ = forward(probe)
        job.model.train()
        return float(fabric.all_reduce(loss, reduce_op="mean"))

    with _as_it_was(job.model, fabric):
        positions = _positions(job, fabric.world_size)
        probe, carry = inputs(*next(positions), None), None
        for number, (epoch, step) in zip(range(STEPS), positions):
            rates.append(LOW * (HIGH / LOW) ** (number / (STEPS - 1)))
            losses.append(probed())
            if not math.isfinite(losses[-1]) or losses[-1] > _DIVERGED * min(losses):
                break
            for group in optimizer.param_groups:
                group["lr"] = rates[-1]
            seed_generators(fabric.device, config.seed, number, _RANGE_TEST, fabric.global_rank)
            loss, carry = forward(inputs(epoch, step, carry if step else None))
            fabric.backward(loss)
            clip()
            optimizer.step()
            clip.clear()
            carry = map_carry(torch.Tensor.detach, carry)
            tell(number + 1)
    return RateTest(rates, losses, choose(rates, losses), time.monotonic() - begin)


def choose(rates: Sequence[float], losses: Sequence[float]) -> float:
    """A tenth of the rate at which the loss is smallest, in two digits: where it falls fast, and is far from rising.

    Validation loss at best over six rates from 1e-4 to 3e-2, and the rate of this rule: 144 months of passengers
    1e-3, 2e-3; daily temperatures 3e-4, 8e-4; hourly bike rentals 3e-3, 2e-3; questions (TREC) 1e-2, 1e-2; motions
    1e-2, 6e-3. The rate of steepest descent, which is the other rule in use, was above every rate that trains well
    where steps are few: TREC 6e-2.

    Raises:
        DivergenceError: there is no finite loss.
    """
    finite = [loss for loss in losses if math.isfinite(loss)]
    if not finite:
        raise DivergenceError(
            f"training: the loss must be finite, got {losses[0]} before the first step of the range test",
            "look for infinite and huge values in the data",
        )
    return float(f"{rates[losses.index(min(finite))] / 10:.2g}")


def _positions(job: Job, world_size: int) -> Iterator[tuple[int, int]]:
    """Epoch and step of one step after the other."""
    epoch = 0
    while True:
        for step in range(job.steps(epoch) // world_size):
            yield epoch, step
        epoch += 1


@contextmanager
def _as_it_was(model: torch.nn.Module, fabric: Any) -> Iterator[None]:
    """Give the model its weights, buffers and mode back, and loss scaling its scale."""
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [(module, module.training) for module in model.modules()]
    scale = fabric.strategy.precision.state_dict()
    try:
        yield
    finally:
        model.load_state_dict(weights)
        for module, training in modes:
            module.training = training
        for parameter in model.parameters():
            parameter.grad = None
        fabric.strategy.precision.load_state_dict(scale)
