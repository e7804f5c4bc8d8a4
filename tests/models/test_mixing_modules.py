"""Convolution and self-attention in torch: torch's own modules with the same weights, gradients, padding."""

import pytest
import torch
from torch.nn import functional

from example_graphs import random_inputs
from grus.models import GraphModule
from grus.spec import Port, chain, ops

X = Port("x", "seq", 6, "src")
OPS = {
    "convolution": ops.Convolution(4, 3, 2),
    "attention": ops.SelfAttention(2),
    "causal": ops.SelfAttention(3, causal=True, bias=False),
}
LENGTHS = torch.tensor([7, 0, 1, 4])
PADDING = torch.arange(7) >= LENGTHS[:, None]


@pytest.fixture(params=OPS)
def module(request):
    torch.manual_seed(0)
    return GraphModule(chain(X, [OPS[request.param]])).double()


def rows(module):
    return torch.from_numpy(random_inputs(module.graph, 4, {"src": 7})["x"]).double()


def run(module, x, lengths=None):
    return module({"x": x}, None if lengths is None else {"src": lengths})["out"]


def test_a_convolution_is_torchs_over_the_past():
    torch.manual_seed(0)
    theirs = torch.nn.Conv1d(6, 4, 3, dilation=2)
    module = GraphModule(chain(X, [OPS["convolution"]]))
    module.nodes["convolution_0"].load_state_dict(theirs.state_dict())
    x = rows(module).float()
    expected = theirs(functional.pad(x.transpose(1, 2), (4, 0))).transpose(1, 2)
    torch.testing.assert_close(run(module, x), expected)


@pytest.mark.parametrize("causal", [False, True])
def test_self_attention_is_torchs(causal):
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(6, 2, batch_first=True)
    module = GraphModule(chain(X, [ops.SelfAttention(2, causal)]))
    state = {name.replace(".", "_"): value for name, value in theirs.state_dict().items()}
    module.nodes["self_attention_0"].load_state_dict(state)
    x, padding, lengths = rows(module).float(), PADDING[[0, 2, 3]], LENGTHS[[0, 2, 3]]
    mask = torch.triu(torch.ones(7, 7, dtype=torch.bool), 1) if causal else None
    for given, of_rows in ((None, None), (padding, lengths)):
        some = x[[0, 2, 3]]
        expected, _ = theirs(some, some, some, key_padding_mask=given, attn_mask=mask)
        keep = torch.ones_like(padding) if given is None else ~given
        torch.testing.assert_close(run(module, some, of_rows)[keep], expected[keep])


def test_gradients_are_those_of_finite_differences(module):
    x = rows(module).requires_grad_()
    valid = ~PADDING[..., None]
    assert torch.autograd.gradcheck(lambda x: run(module, x, LENGTHS) * valid, x)
    assert torch.autograd.gradcheck(lambda x: run(module, x), x)


def test_no_gradient_reaches_padding(module):
    x = rows(module).requires_grad_()
    out = run(module, x, LENGTHS)[~PADDING]
    (gradient,) = torch.autograd.grad(out.square().sum(), x)
    assert not gradient[PADDING].any()
    assert gradient[~PADDING].any(1).all()


def test_a_row_is_the_same_alone_and_padded(module):
    x = rows(module)
    together = run(module, x, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(together[row : row + 1, :length], run(module, x[row : row + 1, :length]))


def test_attention_reads_no_padding_and_puts_zeros_there():
    for op in (OPS["attention"], OPS["causal"]):
        module = GraphModule(chain(X, [op]))
        x = rows(module).float()
        clean = run(module, x, LENGTHS)
        spoilt = run(module, x.masked_fill(PADDING[..., None], torch.nan), LENGTHS)
        torch.testing.assert_close(spoilt, clean, rtol=0, atol=0)
        assert not clean[PADDING].any()
