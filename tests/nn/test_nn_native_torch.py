"""The native path beside the rest of PyTorch: compiler, export, transforms, modes, threads, forks, packed weights."""

import copy
import gc
import io
import multiprocessing
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

import grus.nn
from grus.errors import UsageError
from grus.kernels import native
from grus.nn import _native_cache, _native_layer, _native_op, _native_path
from numerics import assert_bitwise_equal

# torch itself still uses its TorchScript here and there.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

OPTIONS = [
    {},
    {"num_layers": 2, "bidirectional": True, "bias": False},
    {"reset_after": False, "layer_norm": True, "zoneout": 0.1, "batch_first": True},
]


def make(seed: int = 0, **options: Any) -> grus.nn.GRU:
    torch.manual_seed(seed)
    return grus.nn.GRU(5, 8, **options)


def without_native(monkeypatch: pytest.MonkeyPatch, function: Any) -> Any:
    """What a function gives with torch's kernel and the composite path."""
    with monkeypatch.context() as patch:
        patch.setattr(_native_path, "can_run", lambda *_: False)
        return function()


# --- registered op ------------------------------------------------------------------------------------------


def op_arguments(options: dict, grad: bool, save: bool) -> tuple:
    module = make(dtype=torch.float64, **options)
    x = torch.randn(4, 3, 5, dtype=torch.float64, requires_grad=grad)
    hidden, directions = 8, 2 if module.bidirectional else 1
    h_0 = torch.randn(directions, 3, hidden, dtype=torch.float64, requires_grad=grad)
    weights = [p if grad else p.detach() for p in module.parameters() if p.shape[-1] != 2 * hidden]
    weights = weights[: directions * (2 + 2 * module.bias)] + [
        p for n, p in module.named_parameters() if "gain" in n
    ]
    if not grad:
        weights = [w.detach() for w in weights]
    steps = 3 if options.get("batch_first") else 4
    lengths = torch.tensor([steps, 1, 2, 0][: 4 if options.get("batch_first") else 3])
    if options.get("batch_first"):
        h_0 = torch.randn(directions, 4, hidden, dtype=torch.float64, requires_grad=grad)
    resets = torch.rand(len(lengths), steps) < 0.3
    return (
        x, h_0, weights, lengths, resets, None, None,
        bool(options.get("batch_first")), options.get("reset_after", True), directions, 0.1, False, module.bias,
        module.layer_norm, save,
    )  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_registered_ops_hold_torchs_rules(options: dict) -> None:
    torch.library.opcheck(_native_op._forward, op_arguments(options, True, True))
    torch.library.opcheck(_native_op._forward, op_arguments(options, False, False))
    x, h_0, weights, *rest, save = op_arguments(options, False, True)
    output, h_n, saved = _native_op._forward(x, h_0, weights, *rest, save)
    given = (torch.randn_like(output), torch.randn_like(h_n))
    wanted = [True] * (2 + len(weights))
    torch.library.opcheck(
        _native_op._backward, (x, h_0, output, saved, weights, *rest[:4], *given, *rest[4:], wanted)
    )


def test_the_op_without_saving_refuses_gradients() -> None:
    with pytest.raises(RuntimeError, match="grus::gru_layer: save must be True where a gradient is wanted"):
        _native_op._forward(*op_arguments({}, True, False))


@pytest.fixture
def fresh_compiler() -> Any:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.parametrize("given", ["", "lengths", "resets", "gates"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_fullgraph_compilation(options: dict, given: str) -> None:
    module = make(**options).eval()
    x = torch.randn(6, 6, 5)
    arguments: dict[str, Any] = {
        "lengths": {"lengths": torch.tensor([6, 0, 3, 1, 5, 6])},
        "resets": {"resets": torch.rand(6, 6) < 0.3},
        "gates": {"return_gates": True},
    }.get(given, {})
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    results = [run(x, **arguments) for run in (compiled, module)]
    for a, b in zip(results[0][:2], results[1][:2]):
        torch.testing.assert_close(a, b)
    grads = [
        torch.autograd.grad(
            sum(p.sin().sum() for p in (r[0], r[1], *(r[2] if len(r) > 2 else ()))), list(module.parameters())
        )
        for r in results
    ]
    for a, b in zip(*grads):
        torch.testing.assert_close(a, b)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x, **arguments)[0], results[1][0])


@pytest.mark.usefixtures("fresh_compiler")
def test_fullgraph_compilation_of_a_cell_and_of_random_options() -> None:
    cell = grus.nn.GRUCell(5, 8, reset_after=False)
    x = torch.randn(3, 5)
    torch.testing.assert_close(torch.compile(cell, backend="aot_eager", fullgraph=True)(x), cell(x))
    module = make(recurrent_dropout=0.3, zoneout=0.2, num_layers=2, dropout=0.3)
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    compiled(torch.randn(6, 3, 5))[0].sum().backward()
    assert all(p.grad is not None for p in module.parameters())


@pytest.mark.usefixtures("fresh_compiler")
def test_the_compiler_still_breaks_the_graph_at_torchs_own_lstm() -> None:
    grus.nn.GRU(3, 4)
    assert torch._dynamo.config.allow_rnn is False
    with pytest.raises(torch._dynamo.exc.Unsupported, match="RNN, GRU, or LSTM"):
        torch.compile(torch.nn.LSTM(3, 4), backend="eager", fullgraph=True)(torch.zeros(2, 1, 3))


@pytest.mark.usefixtures("fresh_compiler")
def test_lengths_under_the_compiler_are_checked() -> None:
    compiled = torch.compile(make(), backend="aot_eager", fullgraph=True)
    with pytest.raises(UsageError, match=r"lengths\[1\]: must be from 0 to the 6 steps of x, got 7"):
        compiled(torch.zeros(6, 2, 5), lengths=torch.tensor([1, 7]))


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_export_runs_elsewhere_in_the_batch(strict: bool) -> None:
    module = make(num_layers=2).eval()
    dims = ({0: torch.export.Dim("T", min=2), 1: torch.export.Dim("B", min=2)},)
    program = torch.export.export(module, (torch.randn(6, 3, 5),), dynamic_shapes=dims, strict=strict)
    targets = [str(node.target) for node in program.graph.nodes]
    assert targets.count("grus.gru_layer.default") == 2
    x = torch.randn(9, 4, 5)
    for a, b in zip(program.module()(x), module(x)):
        torch.testing.assert_close(a, b)


# --- transforms and modes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"reset_after": False, "layer_norm": True}], ids=str)
def test_torch_func(options: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    module = make(dtype=torch.float64, **options)
    x, v = (torch.randn(7, 4, 3, 5, dtype=torch.float64) for _ in range(2))

    def loss(x: torch.Tensor) -> torch.Tensor:
        return module(x)[0].sin().sum()

    def sample(parameters: dict, x: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(module, parameters, (x,))[0].sin().sum()

    parameters = {name: p.detach() for name, p in module.named_parameters()}

    def everything() -> list[torch.Tensor]:
        per_sample = torch.func.vmap(torch.func.grad(sample), (None, 0))(parameters, x)
        return [
            torch.func.vmap(lambda x: module(x)[0])(x),
            *torch.func.jvp(loss, (x[0],), (v[0],)),
            torch.func.grad(loss)(x[0]),
            torch.func.hessian(loss)(x[0, :2, :1]),
            *per_sample.values(),
        ]

    expected = [
        torch.stack([module(part)[0] for part in x]),
        loss(x[0]),
        (torch.func.grad(loss)(x[0]) * v[0]).sum(),
        *without_native(monkeypatch, lambda: everything()[3:]),
    ]
    for a, b in zip(everything(), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_forward_mode_and_batched_gradients() -> None:
    module = make(dtype=torch.float64)
    x, v = (torch.randn(4, 3, 5, dtype=torch.float64) for _ in range(2))
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(module(forward_ad.make_dual(x, v))[0]).tangent
    jacobian = torch.autograd.functional.jacobian(lambda x: module(x)[0], x, vectorize=True)
    torch.testing.assert_close(torch.tensordot(jacobian, v, dims=3), tangent, rtol=0, atol=1e-13)
    torch.testing.assert_close(
        jacobian, torch.autograd.functional.jacobian(lambda x: module(x)[0], x), rtol=0, atol=1e-13
    )


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_what_looks_at_operations_sees_torchs() -> None:
    module, x = make().eval(), torch.randn(6, 3, 5)
    expected = module(x)[0]
    with FlopCounterMode(display=False) as counter:
        module(x)
    assert counter.get_total_flops() > 0
    traced = torch.jit.trace(module, (x,))
    other = torch.randn(6, 3, 5)
    torch.testing.assert_close(traced(other)[0], module(other)[0])
    assert not torch.equal(traced(other)[0], expected)
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True):
        assert module(torch.empty(6, 3, 5))[0].shape == (6, 3, 8)


def test_autocast_is_left_to_torch() -> None:
    theirs, ours = torch.nn.GRU(5, 8), make()
    ours.load_state_dict(theirs.state_dict())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for a, b in zip(ours(torch.ones(6, 3, 5)), theirs(torch.ones(6, 3, 5))):
            assert a.dtype == b.dtype
            assert torch.equal(a, b)


def test_inference_mode_and_frozen_parts() -> None:
    module, x = make(), torch.randn(6, 3, 5)
    expected = module(x)[0].detach()
    with torch.inference_mode():
        result = module(x)[0]
        assert_bitwise_equal(result, expected)
        assert result.is_inference()
    module.requires_grad_(False)
    assert not module(x)[0].requires_grad
    leaf = x.clone().requires_grad_()
    module(leaf)[0].sum().backward()
    assert leaf.grad is not None
    module.weight_hh_l0.requires_grad_(True)
    module(x)[1].sum().backward()
    assert module.weight_hh_l0.grad is not None
    assert module.weight_ih_l0.grad is None


def test_changing_the_output_in_place_leaves_gradients_right() -> None:
    module, x = make(num_layers=2, bidirectional=True), torch.randn(6, 3, 5)
    expected = torch.autograd.grad(module(x)[0].relu().sum(), list(module.parameters()))
    found = torch.autograd.grad(module(x)[0].relu_().sum(), list(module.parameters()))
    for a, b in zip(found, expected):
        assert_bitwise_equal(a, b)
    output, _ = module(x)
    loss = output.sum()
    with torch.no_grad():
        module.weight_hh_l0.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_checkpointing_and_double_use() -> None:
    module, x = make(dropout=0.0), torch.randn(6, 3, 5, requires_grad=True)
    (a,) = torch.autograd.grad(module(x)[0].sum(), x)
    (b,) = torch.autograd.grad(checkpoint(lambda x: module(x)[0].sum(), x, use_reentrant=False), x)
    assert_bitwise_equal(a, b)
    output, _ = module(x)
    for _ in range(2):
        torch.autograd.grad(output.sum(), x, retain_graph=True)


def test_a_graph_that_is_dropped_is_freed() -> None:
    module, x = make(), torch.randn(6, 3, 5)
    gc.disable()  # so that only reference counts free
    try:
        output, _ = module(x)
        watched = weakref.ref(output)
        del output
        assert watched() is None
    finally:
        gc.enable()


# --- packed weights -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["no_grad", "data", "numpy", "replaced", "loaded", "storage"])
def test_changed_weights_are_never_missed(kind: str) -> None:
    module, x = make(), torch.randn(6, 3, 5)
    with torch.no_grad():
        for _ in range(3):
            before = module(x)[0]
        weight = module.weight_hh_l0
        if kind == "no_grad":
            weight[0, 0] += 1
        elif kind == "data":
            weight.data[0, 0] += 1  # no version counter sees this
        elif kind == "numpy":
            weight.detach().numpy()[0, 0] += 1
        elif kind == "replaced":
            module.weight_hh_l0 = torch.nn.Parameter(weight + 1)
        elif kind == "loaded":
            module.load_state_dict({name: p + 1 for name, p in module.state_dict().items()})
        else:
            weight.data = weight.data + 1
        expected = copy.deepcopy(module)(x)[0]
        for _ in range(3):
            assert_bitwise_equal(module(x)[0], expected)
        assert not torch.equal(before, expected)
        assert_bitwise_equal(module.double()(x.double())[0], copy.deepcopy(module)(x.double())[0])


def test_packed_weights_go_with_their_module() -> None:
    gc.collect()
    before = len(_native_cache._entries)
    module, x = make(num_layers=2, bidirectional=True), torch.randn(6, 3, 5)
    with torch.no_grad():
        for _ in range(3):
            module(x)
    assert len(_native_cache._entries) == before + 4
    torch.save(module, io.BytesIO())
    del module
    gc.collect()
    assert len(_native_cache._entries) == before


# --- threads and processes ------------------------------------------------------------------------------------


def test_many_python_threads() -> None:
    module, x = make(num_layers=2), torch.randn(20, 8, 5)
    expected = module(x)[0]
    grads = torch.autograd.grad(expected.sum(), list(module.parameters()))

    def work(i: int) -> None:
        if i % 2:
            with torch.no_grad():
                assert_bitwise_equal(module(x)[0], expected.detach())
        else:
            output = module(x)[0]
            for a, b in zip(torch.autograd.grad(output.sum(), list(module.parameters())), grads):
                torch.testing.assert_close(a, b)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(200)))


class Rows(torch.utils.data.Dataset):
    """Rows that a forked worker computes with a GRU."""

    def __init__(self) -> None:
        self.module, self.x = make(), torch.randn(8, 6, 5)

    def __len__(self) -> int:
        return 8

    def __getitem__(self, i: int) -> torch.Tensor:
        with torch.no_grad():
            return self.module(self.x[i])[0]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_workers_of_a_data_loader() -> None:
    rows = Rows()
    module, x = make(), torch.randn(50, 64, 5)
    module(x)[0].sum().backward()  # the team of threads exists before the fork
    loader = DataLoader(
        rows, batch_size=2, num_workers=2, multiprocessing_context=multiprocessing.get_context("fork")
    )
    found = torch.cat(list(loader))
    with torch.no_grad():
        assert_bitwise_equal(found, torch.stack([rows[i] for i in range(8)]))


def test_the_kernels_follow_torchs_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    module, x = make(), torch.randn(6, 3, 5)
    threads, before = torch.get_num_threads(), native.num_threads()
    monkeypatch.setattr(_native_layer.Threads, "fixed", False)
    try:
        for n in (3, 2):
            torch.set_num_threads(n)
            module(x)
            assert native.num_threads() == n
        native.set_num_threads(1)
        module(x)
        assert native.num_threads() == 1
    finally:
        torch.set_num_threads(threads)
        native.set_num_threads(before)
