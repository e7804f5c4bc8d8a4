"""The attentive decoder's own backward pass, the loss of a projection, and parts that share weights."""

import itertools

import pytest
import torch
from torch.nn import functional

from example_translators import a_translator
from grus.models import EncoderDecoder
from grus.models.attention import AttentiveGRU
from grus.models.projected_loss import projected_loss
from grus.spec import Shape, ops

FORMS = list(itertools.product(("conditional", "plain"), ("additive", "multiplicative")))


@pytest.mark.parametrize(("form", "score"), FORMS)
@pytest.mark.parametrize("lengths", [None, ([2, 0], [3, 0])], ids=["full", "ragged"])
def test_gradients_are_those_of_the_function(form, score, lengths):
    torch.manual_seed(0)
    keys = 3 if score == "multiplicative" else 2
    shapes = (Shape("seq", 2, "t"), Shape("memory", 3, "s"), Shape("memory", keys, "s"))
    module = AttentiveGRU(ops.AttentiveGRU(3, score, form), shapes).double()
    given = [
        torch.randn(*size, dtype=torch.float64, requires_grad=True)
        for size in ((2, 2, 2), (2, 3, 3), (2, 3, keys), (2, 3))
    ]
    steps = [None, None] if lengths is None else [torch.tensor(some) for some in lengths]

    def run(*inputs):
        return tuple(module(inputs[:4], *steps).values())

    assert torch.autograd.gradcheck(run, (*given, *module.parameters()))


def test_padding_is_never_read_in_training():
    torch.manual_seed(0)
    shapes = (Shape("seq", 2, "t"), Shape("memory", 3, "s"), Shape("memory", 2, "s"))
    module = AttentiveGRU(ops.AttentiveGRU(3), shapes)
    given = [torch.randn(2, 4, 2), torch.randn(2, 5, 3), torch.randn(2, 5, 2)]
    lengths, there = torch.tensor([4, 2]), torch.tensor([5, 3])
    clean = module(tuple(given), lengths, there)
    given[0][1, 2:] = given[1][1, 3:] = given[2][1, 3:] = torch.nan
    for values in given:
        values.requires_grad_()
    spoiled = module(tuple(given), lengths, there)
    assert torch.equal(spoiled[".h"], clean[".h"])
    assert torch.equal(spoiled[".context"][:, :2], clean[".context"][:, :2])
    spoiled[".h"].sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in module.parameters())
    assert torch.isfinite(given[1].grad).all()
    assert not given[1].grad[1, 3:].any()


@pytest.mark.parametrize("rows", [1, 3, 128, 300])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_projected_loss_is_the_cross_entropy(rows, smoothing):
    torch.manual_seed(0)
    x = torch.randn(rows, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(11, 5, dtype=torch.float64, requires_grad=True)
    truth = torch.randint(0, 11, (rows,))
    ours = projected_loss(x, weight, truth, smoothing)
    theirs = functional.cross_entropy(x @ weight.t(), truth, label_smoothing=smoothing)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    for mine, other in zip(
        torch.autograd.grad(3 * ours, (x, weight)), torch.autograd.grad(3 * theirs, (x, weight))
    ):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(projected_loss(x, weight, truth, smoothing), theirs)


def test_the_projected_loss_of_a_hopeless_token_is_finite():
    x = torch.tensor([[1000.0]], requires_grad=True)
    loss = projected_loss(x, torch.tensor([[1.0], [-1.0]]), torch.tensor([1]))
    assert float(loss.detach()) == 2000.0
    loss.backward()
    assert float(x.grad) == 2.0


def test_tied_weights_are_one_parameter():
    model, tensors = a_translator(joint=True)
    module = EncoderDecoder(model.parts, model.ties)
    tables = [
        module.encode.nodes["embedding"].weight,
        module.decode.nodes["embedding"].weight,
        module.decode.nodes["logits"].weight,
    ]
    assert tables[0] is tables[1] is tables[2]
    assert module.tensors().keys() == tensors.keys()
    untied, names = a_translator(joint=True, tied=False)
    assert EncoderDecoder(untied.parts, untied.ties).tensors().keys() == names.keys()
    assert {"decode.logits.weight", "decode.embedding.weight"} <= names.keys()


def test_only_what_an_output_needs_is_run():
    model, _ = a_translator()
    module = EncoderDecoder(model.parts, model.ties).eval()
    source, target = torch.ones(2, 3, dtype=torch.int64), torch.ones(2, 4, dtype=torch.int64)
    narrow = module(source, target, None, {"narrow": "narrow"})
    assert narrow["narrow"].shape == (2, 4, 8)
    module.decode.nodes["logits"].forward = None
    assert torch.equal(module(source, target, None, {"narrow": "narrow"})["narrow"], narrow["narrow"])
