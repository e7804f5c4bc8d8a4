"""Pooling in torch: gradients, padding, rows and batches without steps."""

import numpy as np
import pytest
import torch

from example_graphs import random_inputs
from grus.models import GraphModule
from grus.spec import Port, chain, ops
from numerics import to_numpy

X = Port("x", "seq", 5, "src")
POOLS = {"mean": ops.Pool("mean"), "max": ops.Pool("max"), "attention": ops.AttentionPool(6)}
LENGTHS = torch.tensor([7, 0, 1, 4])


@pytest.fixture(params=POOLS)
def module(request):
    torch.manual_seed(0)
    return GraphModule(chain(X, [POOLS[request.param]])).double()


def rows(module):
    return torch.from_numpy(random_inputs(module.graph, 4, {"src": 7})["x"]).double()


def pooled(module, x, lengths=None):
    return module({"x": x}, None if lengths is None else {"src": lengths})["out"]


def test_gradients_are_those_of_finite_differences(module):
    x = rows(module).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: pooled(module, x, LENGTHS), x)
    assert torch.autograd.gradcheck(lambda x: pooled(module, x), x)


def test_padding_gives_no_gradient_and_is_never_read(module):
    x = rows(module)
    padding = torch.arange(7) >= LENGTHS[:, None]
    clean = pooled(module, x, LENGTHS)
    spoilt = x.masked_fill(padding[..., None], torch.nan).requires_grad_()
    out = pooled(module, spoilt, LENGTHS)
    torch.testing.assert_close(out, clean, rtol=0, atol=0)
    (gradient,) = torch.autograd.grad(out.sum(), spoilt)
    assert not gradient[padding].any()
    assert torch.isfinite(gradient).all()


def test_a_row_without_steps_is_zero_and_trains(module):
    out = pooled(module, rows(module), torch.zeros(4, dtype=torch.int64))
    assert not out.any()
    gradients = torch.autograd.grad(out.sum(), list(module.parameters())) if out.requires_grad else ()
    assert not any(gradient.any() for gradient in gradients)


def test_no_steps_at_all(module):
    x = torch.zeros(3, 0, 5, dtype=torch.float64)
    for lengths in (None, torch.zeros(3, dtype=torch.int64)):
        np.testing.assert_array_equal(to_numpy(pooled(module, x, lengths)), np.zeros((3, 5)))


def test_full_lengths_are_no_lengths(module):
    x = rows(module)
    torch.testing.assert_close(pooled(module, x, torch.full((4,), 7)), pooled(module, x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "pool", [*POOLS.values(), ops.Last()], ids=lambda op: op.name + getattr(op, "how", "")
)
def test_both_directions_end_where_their_row_ends(pool, training, dtype):
    """The backward direction begins at a row's own last step, in training and evaluation, in a batch as alone."""
    torch.manual_seed(1)
    graph = chain(X, [ops.GRU(7, layers=2, bidirectional=True), pool])
    module = GraphModule(graph).to(dtype).train(training)
    x = rows(module).to(dtype)
    together = pooled(module, x, LENGTHS)
    near = 8 * torch.finfo(dtype).eps
    for row, length in enumerate(LENGTHS):
        if length:  # torch's own layer, which trains in float64, takes no sequence without steps
            alone = pooled(module, x[row : row + 1, :length])
            torch.testing.assert_close(together[row : row + 1], alone, rtol=near, atol=near)
    assert not together[LENGTHS == 0].any()
