"""The small parts of a step: seeding, clipping, batches on their way to the device."""

import sys

import numpy as np
import pytest
import torch
from training_jobs import LineJob

from grus.training import TrainingConfig
from grus.training.device import make_fabric, make_optimizer, mix, seed_generators
from grus.training.gradients import Clipper
from grus.training.job import batch_size, map_carry, to_tensors

CPU = torch.device("cpu")


def test_mix_tells_positions_apart():
    values = {mix(seed, step, purpose) for seed in range(20) for step in range(50) for purpose in range(2)}
    assert len(values) == 2000
    assert len({value % 2**32 for value in values}) == 2000  # torch's CPU generator takes the low half
    assert mix(1, 2) != mix(2, 1)
    assert mix(0) != mix(0, 0)
    assert all(0 <= value < 2**64 for value in [*values, mix(2**63 - 1, 2**62)])


def test_seeding_depends_on_the_position_only():
    with torch.random.fork_rng(devices=[]):
        draws = []
        for position in [(0, 1), (0, 2), (0, 1)]:
            seed_generators(CPU, *position)
            draws.append(torch.rand(4))
    assert torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], draws[1])


def gradients(largest, scaled):
    """Norm and gradients of one backward pass of squares, after clipping."""
    job, config = LineJob(dropout=0.0), TrainingConfig(device="cpu")
    fabric = make_fabric(config)
    module, optimizer = fabric.setup(job.model, make_optimizer(job.model, config))
    loss, _ = job.loss(to_tensors(job.batch(0, 0), CPU), None)
    fabric.backward(loss)
    clipper = Clipper(fabric, module, optimizer, largest, scaled)
    norm = clipper()
    grads = torch.cat([p.grad.flatten() for p in job.model.parameters()])
    clipper.clear()
    assert all(p.grad is None for p in job.model.parameters())
    return norm.item(), grads


@pytest.mark.parametrize("scaled", [False, True])
def test_clipping_scales_the_whole_gradient_to_the_norm(scaled):
    norm, whole = gradients(None, scaled)
    assert norm == pytest.approx(whole.double().norm().item(), rel=1e-6)
    told, clipped = gradients(norm / 4, scaled)
    assert told == norm
    torch.testing.assert_close(clipped, whole / 4, rtol=1e-5, atol=1e-7)
    _, untouched = gradients(norm * 1.01, scaled)
    assert torch.equal(untouched, whole)


def test_arrays_are_shared_and_tensors_kept():
    array, tensor = np.ones((3, 2), np.float32), torch.ones(3)
    batch = to_tensors({"a": array, "b": tensor}, CPU)
    array[0, 0] = 7
    assert batch["a"][0, 0] == 7
    assert batch["b"] is tensor
    assert batch_size(batch) == 3
    assert batch_size({"scale": torch.tensor(2.0), "x": torch.zeros(5, 1)}) == 5
    assert batch_size({"scale": torch.tensor(2.0)}) == 1


def test_carry_keeps_its_shape_of_containers():
    carry = {"a": (torch.ones(2), None), "b": [torch.zeros(1)]}
    mapped = map_carry(lambda tensor: tensor + 1, carry)
    assert type(mapped["a"]) is tuple
    assert mapped["a"][1] is None
    assert torch.equal(mapped["a"][0], torch.full((2,), 2.0))
    assert torch.equal(mapped["b"][0], torch.ones(1))


def test_fabric_comes_without_the_whole_of_lightning():
    assert "lightning_fabric" in sys.modules
    assert "lightning" not in sys.modules
    assert "pytorch_lightning" not in sys.modules
