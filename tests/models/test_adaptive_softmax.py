"""The adaptive softmax in torch: torch's own module with the same weights, and a loss that computes what it needs."""

import pytest
import torch

from grus.models.adaptive import AdaptiveSoftmax
from grus.spec import Shape, ops

FEATURES, SIZE, CUTOFFS = 16, 40, (7, 15)
TRUTHS = {
    "all clusters": [0, 39, 6, 7, 14, 15, 3, 3, 22],
    "head only": [0, 1, 6],
    "the last cluster only": [15, 39],
    "one row": [8],
}


@pytest.fixture
def module():
    torch.manual_seed(0)
    return AdaptiveSoftmax(ops.AdaptiveSoftmax(SIZE, CUTOFFS), (Shape("seq", FEATURES, "t"),)).double()


def rows(count):
    torch.manual_seed(1)
    return torch.randn(count, FEATURES, dtype=torch.float64, requires_grad=True)


def test_it_is_torchs_with_the_same_weights():
    torch.manual_seed(0)
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(FEATURES, SIZE, list(CUTOFFS), 4.0, head_bias=True).double()
    own = AdaptiveSoftmax(ops.AdaptiveSoftmax(SIZE, CUTOFFS), (Shape("seq", FEATURES, "t"),)).double()
    state = theirs.state_dict()
    with torch.no_grad():
        for name, parameter in own.named_parameters():
            kind, _, k = name.partition("_")
            if not k:
                parameter.copy_(state[f"head.{name}"])
            elif kind == "bias":
                parameter.zero_()
            else:
                parameter.copy_(state[f"tail.{k}.{'0' if kind == 'projection' else '1'}.weight"])
    x, truth = rows(9), torch.tensor(TRUTHS["all clusters"])
    torch.testing.assert_close(own((x,), None)[""], theirs.log_prob(x))
    torch.testing.assert_close(own.loss(x, truth) / len(x), theirs(x, truth).loss)


def test_the_probabilities_are_of_one_whole(module):
    y = module((rows(6).view(2, 3, FEATURES),), None)[""]
    assert y.shape == (2, 3, SIZE)
    torch.testing.assert_close(y.exp().sum(-1), torch.ones(2, 3, dtype=torch.float64))


@pytest.mark.parametrize("truth", TRUTHS.values(), ids=TRUTHS)
def test_the_loss_and_its_gradients_are_those_of_the_whole_output(module, truth):
    x, truth = rows(len(truth)), torch.tensor(truth)
    leaves = (x, *module.parameters())
    ours = module.loss(x, truth)
    whole = -module((x,), None)[""].gather(1, truth[:, None]).sum()
    torch.testing.assert_close(ours, whole, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(torch.autograd.grad(ours, leaves), torch.autograd.grad(whole, leaves)):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_the_loss_reads_only_the_rows_of_a_cluster(module, monkeypatch):
    read, cluster = {}, module._cluster
    monkeypatch.setattr(module, "_cluster", lambda x, k: read.update({k: len(x)}) or cluster(x, k))
    module.loss(rows(9), torch.tensor(TRUTHS["all clusters"]))
    assert read == {0: 2, 1: 3}
    module.loss(rows(3), torch.tensor(TRUTHS["head only"]))
    assert read == {0: 0, 1: 0}


def test_hopeless_logits_give_a_finite_loss(module):
    x = (1e4 * rows(9)).detach().requires_grad_()
    loss = module.loss(x, torch.tensor(TRUTHS["all clusters"]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(x.grad).all()
