"""``grus.nn.MinGRU``: the oracle's numbers on both paths, options at their edges, derivatives, and wrong use."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

import grus.nn
from grus.errors import UsageError
from grus.kernels import native
from grus.kernels.reference import Options
from grus.kernels.reference_mingru import MinGRUWeights, mingru_stack
from grus.nn import MinGRU, _mingru_composite, _native_path
from grus.nn._native_layer import Threads
from numerics import assert_bitwise_equal, assert_close_to_oracle

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
PATHS = pytest.mark.parametrize("path", ["native", "composite"])
OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_layers": 2, "bidirectional": True, "batch_first": True},
    {"bias": False, "bidirectional": True},
]
GIVEN: list[dict[str, Any]] = [{}, {"lengths": [6, 0, 3, 1]}, {"lengths": [4, 6, 0, 5], "resets": True}]


def make(seed: int = 0, **options: Any) -> MinGRU:
    torch.manual_seed(seed)
    return MinGRU(5, 8, **options)


def inputs(
    module: MinGRU, given: dict[str, Any], dtype: torch.dtype = torch.float32
) -> tuple[Any, Any, dict]:
    """x of 4 rows and 6 steps in the module's layout, a random state, and the options."""
    x = torch.randn(4, 6, 5, dtype=dtype) if module.batch_first else torch.randn(6, 4, 5, dtype=dtype)
    h_0 = torch.randn(module.num_layers * (2 if module.bidirectional else 1), 4, 8, dtype=dtype)
    arguments = dict(given)
    if arguments.get("resets"):
        arguments["resets"] = torch.rand(4, 6) < 0.3
    return x, h_0, arguments


def use(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if path == "composite":
        monkeypatch.setattr(_native_path, "can_run", lambda *_: False)


def oracle(
    module: MinGRU, x: torch.Tensor, h_0: torch.Tensor, arguments: dict, dtype: Any
) -> tuple[np.ndarray, np.ndarray]:
    weights = []
    for layer in range(module.num_layers):
        for way in ("", "_reverse")[: 2 if module.bidirectional else 1]:
            bias = getattr(module, f"bias_ih_l{layer}{way}", None)
            weight = getattr(module, f"weight_ih_l{layer}{way}").detach().numpy().astype(dtype)
            weights.append(
                MinGRUWeights(weight, None if bias is None else bias.detach().numpy().astype(dtype))
            )
    resets = arguments.get("resets")
    ways = [
        Options(
            lengths=arguments.get("lengths"),
            resets=None if resets is None else resets.numpy(),
            reverse=d == 1,
        )
        for d in range(2 if module.bidirectional else 1)
    ]
    x = x.transpose(0, 1) if module.batch_first else x
    y, h = mingru_stack(x.numpy().astype(dtype), h_0.numpy().astype(dtype), weights, ways)
    return (y.swapaxes(0, 1) if module.batch_first else y), h


@PATHS
@pytest.mark.parametrize("given", GIVEN, ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_module_is_the_oracle(
    options: dict, given: dict, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(path, monkeypatch)
    module = make(**options)
    x, h_0, arguments = inputs(module, given)
    exact = oracle(module, x, h_0, arguments, np.float64)
    rough = oracle(module, x, h_0, arguments, np.float32)
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients):
            found = module(x, h_0, **arguments)
        for name, *values in zip(("output", "h_n"), found, exact, rough):
            assert_close_to_oracle(*values, name)


@pytest.mark.parametrize("given", GIVEN, ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_gradients_are_those_of_torch_operations(
    options: dict, given: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = make(**options, dtype=torch.float64)
    x, h_0, arguments = inputs(module, given, torch.float64)
    leaves = [x.requires_grad_(), h_0.requires_grad_(), *module.parameters()]
    found = []
    for path in ("native", "composite"):
        use(path, monkeypatch)
        y, h_n = module(x, h_0, **arguments)
        found.append((y, h_n, *torch.autograd.grad((y.sin().sum() + h_n.cos().sum()), leaves)))
    for ours, theirs in zip(*found):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@PATHS
def test_slopes_and_second_derivatives(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(path, monkeypatch)
    module = make(bidirectional=True, dtype=torch.float64)
    x, h_0, arguments = inputs(module, GIVEN[2], torch.float64)
    given = (x.requires_grad_(), h_0.requires_grad_())
    assert torch.autograd.gradcheck(lambda *a: module(*a, **arguments), given, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda *a: module(*a, **arguments), given, fast_mode=True)


def test_transforms_of_torch_func() -> None:
    module = make(dtype=torch.float64)
    x = torch.randn(3, 6, 4, 5, dtype=torch.float64)
    each = torch.func.vmap(lambda row: module(row)[0])(x)
    torch.testing.assert_close(each, torch.stack([module(row)[0] for row in x]))
    _, slope = torch.func.jvp(lambda row: module(row)[0], (x[0],), (x[1],))
    step = 1e-6
    with torch.no_grad():
        moved = (module(x[0] + step * x[1])[0] - module(x[0] - step * x[1])[0]) / (2 * step)
    torch.testing.assert_close(slope, moved, rtol=1e-6, atol=1e-8)
    x_0 = x[0].requires_grad_()
    y = module(x_0)[0]
    directions = torch.randn(2, *y.shape, dtype=torch.float64)
    (both,) = torch.autograd.grad(y, x_0, directions, is_grads_batched=True, retain_graph=True)
    for one, direction in zip(both, directions):
        torch.testing.assert_close(one, torch.autograd.grad(y, x_0, direction, retain_graph=True)[0])


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_compiler_sees_one_op_a_layer(options: dict) -> None:
    torch._dynamo.reset()
    module = make(**options)
    x, h_0, _ = inputs(module, {})
    arguments = {"lengths": torch.tensor([6, 0, 3, 1]), "resets": torch.rand(4, 6) < 0.3}
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    results = [run(x, h_0, **arguments) for run in (compiled, module)]
    grads = [torch.autograd.grad(y.sin().sum() + h.sum(), list(module.parameters())) for y, h in results]
    for ours, theirs in [*zip(*results), *zip(*grads)]:
        torch.testing.assert_close(ours, theirs)
    with torch.no_grad():
        assert_bitwise_equal(compiled(x, h_0, **arguments)[0], module(x, h_0, **arguments)[0])
    exported = torch.export.export(module, (x, h_0), strict=True)
    targets = [str(node.target) for node in exported.graph.nodes]
    assert targets.count("grus.gru_layer.default") == module.num_layers
    torch._dynamo.reset()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_without_gradients_the_bits_do_not_depend_on_batch_or_threads(options: dict, monkeypatch) -> None:
    monkeypatch.setattr(
        Threads, "fixed", False
    )  # with GRUS_NUM_THREADS torch's number of threads is not followed
    module = make(**options)
    x, h_0, arguments = inputs(module, GIVEN[1])
    axis = 0 if module.batch_first else 1
    before = torch.get_num_threads()
    with torch.no_grad():
        whole, last = module(x, h_0, **arguments)
        again, _ = module(x, h_0, **arguments)  # the second call has packed weights
        assert_bitwise_equal(again, whole)
        for b in range(4):
            y, h = module(x.narrow(axis, b, 1), h_0[:, b : b + 1], lengths=arguments["lengths"][b : b + 1])
            assert_bitwise_equal(y, whole.narrow(axis, b, 1))
            assert_bitwise_equal(h, last[:, b : b + 1])
        try:
            torch.set_num_threads(3)
            assert_bitwise_equal(module(x, h_0, **arguments)[0], whole)
            assert native.num_threads() == 3
        finally:
            torch.set_num_threads(before)
            native.set_num_threads(before)
    assert_bitwise_equal(module(x, h_0, **arguments)[0].detach(), whole)


def test_new_weights_are_noticed() -> None:
    module = make()
    x = torch.randn(3, 2, 5)
    with torch.no_grad():
        first = [module(x)[0] for _ in range(3)][2]
        module.weight_ih_l0.data[9, 1] += 1
        second = module(x)[0]
        module.weight_ih_l0.data[9, 1] -= 1
    assert not torch.equal(first, second)
    assert torch.allclose(module(x)[0], first)


def test_the_output_may_be_changed_in_place() -> None:
    module = make()
    x = torch.randn(6, 4, 5)
    expected = torch.autograd.grad(module(x)[0].relu().sum(), module.weight_ih_l0)[0]
    found = torch.autograd.grad(module(x)[0].relu_().sum(), module.weight_ih_l0)[0]
    torch.testing.assert_close(found, expected)


@PATHS
def test_padding_is_never_read(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(path, monkeypatch)
    module = make(bidirectional=True, batch_first=True)
    x = torch.randn(3, 6, 5)
    for row, length in enumerate((4, 0, 6)):
        x[row, length:] = torch.nan
    x.requires_grad_()
    h_0 = torch.randn(2, 3, 8)
    y, h_n = module(x, h_0, lengths=[4, 0, 6])
    assert torch.equal(h_n[:, 1], h_0[:, 1])
    assert not y[0, 4:].any()
    assert not y[1].any()
    (y.sum() + h_n.sum()).backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert not x.grad[0, 4:].any()
    assert x.grad[0, :4].all()


@PATHS
def test_unbatched_and_single_rows_agree(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(path, monkeypatch)
    for batch_first in (False, True):
        module = make(bidirectional=True, batch_first=batch_first)
        x, h_0 = torch.randn(6, 5), torch.randn(2, 8)
        resets = torch.rand(6) < 0.4
        y, h = module(x, h_0, lengths=4, resets=resets)
        batched = x[None] if batch_first else x[:, None]
        wide, last = module(batched, h_0[:, None], lengths=[4], resets=resets[None])
        torch.testing.assert_close(y, wide.squeeze(0 if batch_first else 1))
        torch.testing.assert_close(h, last.squeeze(1))
        assert y.shape == (6, 16)


def test_dropout_acts_between_layers_in_training_only() -> None:
    module, x = make(num_layers=2, dropout=0.5), torch.randn(6, 4, 5)
    torch.manual_seed(3)
    first = module(x)[0]
    assert not torch.equal(first, module(x)[0])
    torch.manual_seed(3)
    assert torch.equal(first, module(x)[0])
    module.eval()
    assert torch.equal(module(x)[0], module(x)[0])
    single = make(dropout=0.5)
    assert torch.equal(single(x)[0], single(x)[0])


def test_another_dtype_goes_through_torch_operations() -> None:
    module, x = make().bfloat16(), torch.randn(6, 4, 5)
    y, _ = module(x.bfloat16())
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), make()(x)[0], rtol=0.05, atol=0.05)
    with torch.autocast("cpu", torch.bfloat16):
        assert make()(x)[0].shape == (6, 4, 8)


def test_the_scan_is_the_recurrence_from_any_state() -> None:
    """Also where nothing is kept, and where nothing is new."""
    for steps in (1, 2, 3, 8, 13):
        kept, new, h = (
            torch.rand(steps, 3, 2, dtype=torch.float64),
            torch.randn(steps, 3, 2).double(),
            -torch.ones(3, 2),
        )
        kept[torch.rand(kept.shape) < 0.2] = 0
        kept[torch.rand(kept.shape) < 0.2] = 1
        found, state = _mingru_composite.scan(kept, new, h.double()), h.double()
        for t in range(steps):
            state = kept[t] * state + new[t]
            torch.testing.assert_close(found[t], state)


def test_parameters_are_named_drawn_and_counted_as_the_docs_say() -> None:
    module = MinGRU(5, 8, 2, bidirectional=True)
    shapes = {name: tuple(p.shape) for name, p in module.named_parameters()}
    assert shapes == {
        f"{kind}_l{layer}{way}": (16, *size)
        for layer, inputs_ in ((0, 5), (1, 16))
        for way in ("", "_reverse")
        for kind, size in (("weight_ih", (inputs_,)), ("bias_ih", ()))
    }
    big = MinGRU(100, 300)
    assert sum(p.numel() for p in big.parameters()) == 2 * (100 + 1) * 300
    for parameter in big.parameters():
        assert 0.09 < parameter.abs().max() <= 0.1
    assert (
        repr(MinGRU(5, 8, 2, bias=False, dropout=0.5))
        == "MinGRU(5, 8, num_layers=2, bias=False, dropout=0.5)"
    )
    other = MinGRU(5, 8, 2, bidirectional=True)
    other.load_state_dict(module.state_dict())
    x = torch.randn(3, 2, 5)
    assert torch.equal(other(x)[0], module(x)[0])


def test_what_a_bias_of_z_keeps() -> None:
    """The docstring's figures: half of a state is left after 38 steps at b_z = 4, after one at 0."""
    module = MinGRU(1, 1)
    for bias, steps in ((4.0, 38), (0.0, 1)):
        with torch.no_grad():
            module.weight_ih_l0.zero_()
            module.bias_ih_l0.copy_(torch.tensor([bias, 0.0]))
            left = module(torch.zeros(steps, 1, 1), torch.ones(1, 1, 1))[1].item()
        assert left == pytest.approx(0.5, abs=0.01)


X = torch.zeros(6, 4, 5)


@pytest.mark.parametrize(
    ("make_it", "error", "sentence"),
    [
        (lambda: MinGRU(0, 4), UsageError, "MinGRU: input_size must be greater than zero, got 0"),
        (lambda: MinGRU(3, 4.0), TypeError, "MinGRU: hidden_size must be an int, got 4.0"),  # type: ignore[arg-type]
        (lambda: MinGRU(3, 4, 0), UsageError, "MinGRU: num_layers must be greater than zero, got 0"),
        (lambda: MinGRU(3, 4, bias=1), TypeError, "MinGRU: bias must be True or False, got 1"),  # type: ignore[arg-type]
        (lambda: MinGRU(3, 4, dropout=1.5), UsageError, "MinGRU: dropout must be a number in [0, 1], got 1.5"),
        (lambda: make()(X[0, 0]), UsageError, "MinGRU: input must have 3 dimensions, or 2 if unbatched, got 1"),
        (lambda: make()(X[:, :, :3]), RuntimeError, "MinGRU: input has feature size 3, but input_size=5 (input shape (T=6, B=4, 3))"),
        (lambda: make()(X[:0]), RuntimeError, "MinGRU: input must have at least one time step, got none (input shape (T=0, B=4, 5))"),
        (lambda: make()(X.double()), UsageError, "MinGRU: input has dtype torch.float64, but the weights have torch.float32"),
        (lambda: make()(X, torch.zeros(1, 4, 9)), RuntimeError, "MinGRU: hx must have shape (num_layers*num_directions=1, B=4, hidden_size=8), got (1, 4, 9)"),
        (lambda: make()(X, lengths=[1, 2, 3]), UsageError, "MinGRU: lengths must have one integer for each of 4 rows, got 3"),
        (lambda: make()(X, lengths=[1, 2, 3, 7]), UsageError, "MinGRU: lengths[3] must be in 0..6 (the input's time steps), got 7"),
        (lambda: make()(X, resets=torch.zeros(6, 4).bool()), UsageError, "MinGRU: resets must be bool of shape (B=4, T=6), got torch.bool of shape (6, 4)"),
        (lambda: make()(pack_padded_sequence(X, [6] * 4)), TypeError, "MinGRU: input must be a torch.Tensor, got PackedSequence"),
        (lambda: make()(X.numpy()), TypeError, "MinGRU: input must be a torch.Tensor, got ndarray"),
    ],
)  # fmt: skip
def test_wrong_use_says_so(make_it: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error) as caught:
        make_it()
    assert str(caught.value).startswith(sentence)


def test_it_is_public() -> None:
    assert grus.nn.MinGRU is MinGRU
    assert "MinGRU" in grus.nn.__all__
