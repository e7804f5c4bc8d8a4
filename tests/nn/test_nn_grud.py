"""grus.nn.GRUD: the paper's equations, the oracle forward and back on both paths, what is never read, wrong use."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from grud_cases import DECAYS, GRU, VARIANTS, GRUDCase, Shape, make_grud
from grus.nn import GRUD, _fading, _look_back
from numerics import assert_close_to_oracle

WIDE = {torch.float32: np.float64, torch.float64: np.longdouble}
SHAPES = [shape for shape in VARIANTS if shape.T]


def module_of(case: GRUDCase, dtype: torch.dtype, batch_first: bool = False) -> GRUD:
    """A module with the weights of a case."""
    module = GRUD(case.x.shape[2], case.states.h.shape[1], batch_first, dtype=dtype)
    arrays = {f"{name}_l0": getattr(case.weights.gru, name) for name in GRU}
    arrays |= {name: getattr(case.weights, name) for name in DECAYS}
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.from_numpy(arrays[name]))
    return module


def in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing by the kernels."""
    monkeypatch.setattr(_look_back._native_path, "can_run", lambda *given: False)


def tensors(case: GRUDCase, dtype: torch.dtype, batch_first: bool = False) -> list[torch.Tensor]:
    """x, mask and gap in a layout, then the states; all leaves."""
    given = [case.x, case.mask, case.gap]
    given = [a.swapaxes(0, 1) for a in given] if batch_first else given
    return [torch.from_numpy(np.ascontiguousarray(a)).to(dtype) for a in (*given, *case.states)]


def results(case: GRUDCase, dtype: torch.dtype, batch_first: bool = False) -> dict[str, torch.Tensor]:
    """Everything that the oracle's ``results`` has."""
    module = module_of(case, dtype, batch_first)
    x, mask, gap, *states = tensors(case, dtype, batch_first)
    leaves = [t.requires_grad_() for t in (x, gap, *states)]
    lengths = None if case.lengths is None else case.lengths.tolist()
    output, final = module(x, mask, gap, tuple(states), lengths=lengths)
    d_output = torch.from_numpy(case.d_output).to(dtype)
    d_states = [torch.from_numpy(d).to(dtype) for d in case.d_states]
    sent = d_output.transpose(0, 1) if batch_first else d_output
    torch.autograd.backward([output, *final], [sent, *d_states])
    found = {"output": output, **{f"{name}_n": value for name, value in final._asdict().items()}}
    names = ("d_x", "d_gap", "d_h", "d_last", "d_since")
    found |= {name: leaf.grad for name, leaf in zip(names, leaves, strict=True)}  # pyright: ignore[reportAssignmentType]
    found |= {f"d_{name.removesuffix('_l0')}": p.grad for name, p in module.named_parameters()}  # pyright: ignore[reportAssignmentType]
    found = {name: value.detach() for name, value in found.items()}
    turned = ("output", "d_x", "d_gap") if batch_first else ()
    return {name: value.transpose(0, 1) if name in turned else value for name, value in found.items()}


@pytest.mark.parametrize("path", ["native", "torch"])
@pytest.mark.parametrize("dtype", list(WIDE), ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_forward_and_backward_are_the_oracle(
    shape: Shape, dtype: torch.dtype, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make_grud(shape, seed=4)
    if path == "torch":
        in_torch(monkeypatch)
    narrow = np.float32 if dtype == torch.float32 else np.float64
    exact, rough = case.results(WIDE[dtype]), case.results(narrow)
    for batch_first in (False, True):
        found = results(case, dtype, batch_first)
        assert found.keys() == exact.keys()
        for name, value in found.items():
            assert_close_to_oracle(value, exact[name], rough[name], name)


def papers(x: torch.Tensor, mask: torch.Tensor, times: torch.Tensor, module: GRUD) -> torch.Tensor:
    """h_t of all steps from x, mask [B, T, D] and the times [B, T] of the rows.

    After equations 2 and 6 to 9 of Che et al. 2018 (with a mean of 0) and torch.nn.GRUCell's documentation.
    """
    H, w = module.hidden_size, dict(module.named_parameters())
    cell = torch.nn.GRUCell(x.shape[2] * 2, H, dtype=x.dtype)
    cell.load_state_dict({name.removesuffix("_l0"): p for name, p in w.items() if name.endswith("_l0")})
    h, held = x.new_zeros(len(x), H), x.new_zeros(len(x), x.shape[2])
    delta, rows = torch.zeros_like(held), []
    for t in range(x.shape[1]):
        if t:
            delta = (times[:, t] - times[:, t - 1])[:, None] + (1 - mask[:, t - 1]) * delta
        of_inputs = torch.exp(-torch.clamp(w["input_decay_weight"] * delta + w["input_decay_bias"], min=0))
        of_state = torch.exp(-torch.clamp(delta @ w["state_decay_weight"].T + w["state_decay_bias"], min=0))
        value = mask[:, t] * x[:, t] + (1 - mask[:, t]) * of_inputs * held
        held = mask[:, t] * x[:, t] + (1 - mask[:, t]) * held
        h = cell(torch.cat([value, mask[:, t]], dim=1), of_state * h)
        rows.append(h)
    return torch.stack(rows, dim=1)


def test_it_is_the_papers_layer() -> None:
    torch.manual_seed(0)
    module = GRUD(5, 8, batch_first=True, dtype=torch.float64)
    for parameter in module.parameters():
        torch.nn.init.uniform_(parameter, -0.5, 0.5)
    mask = (torch.rand(4, 30, 5) < 0.3).double()
    x, times = torch.randn(4, 30, 5).double() * mask, torch.rand(4, 30).double().cumsum(1)
    gap = torch.diff(times, dim=1, prepend=times[:, :1])[:, :, None]
    ours, _ = module(x, mask, gap)
    torch.testing.assert_close(ours, papers(x, mask, times, module), rtol=0, atol=1e-12)
    hidden = torch.where(mask > 0, x, torch.nan)
    torch.testing.assert_close(module(hidden, mask > 0, gap)[0], ours, rtol=0, atol=0)


@pytest.mark.parametrize("path", ["native", "torch"])
def test_nan_is_never_read_where_nothing_was_observed_nor_at_padding(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if path == "torch":
        in_torch(monkeypatch)
    case = make_grud(Shape(T=8, lengths=True))
    filled = replace(case, x=np.nan_to_num(case.x))
    beyond = np.arange(8)[:, None] >= np.asarray(case.lengths)
    spoiled = {
        name: np.where(beyond[:, :, None], np.nan, getattr(case, name)) for name in ("x", "mask", "gap")
    }
    clean, found = results(filled, torch.float64), results(replace(case, **spoiled), torch.float64)
    for name, value in clean.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0, msg=name)
    assert bool((clean["d_x"][torch.from_numpy(case.mask == 0)] == 0).all())


def test_without_gradients_and_from_step_to_step_it_is_the_same() -> None:
    case = make_grud(Shape(T=10, B=4, D=6, H=9))
    module = module_of(case, torch.float32)
    x, mask, gap, *states = tensors(case, torch.float32)
    whole, final = module(x, mask, gap, tuple(states))
    with torch.no_grad():
        for _ in range(3):  # the second time the weights are packed
            again, last = module(x, mask, gap, states)
            torch.testing.assert_close(again, whole, rtol=1e-6, atol=1e-6)
        steps = []
        carried: Any = tuple(states)
        for t in range(10):
            y, carried = module(x[t : t + 1], mask[t : t + 1], gap[t : t + 1], carried)
            steps.append(y)
    torch.testing.assert_close(torch.cat(steps), whole, rtol=1e-5, atol=1e-6)
    for found, other, wanted in zip(carried, last, final, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(other, wanted, rtol=1e-6, atol=1e-6)


def test_gradients_of_gradients() -> None:
    case = make_grud(Shape(T=4, B=2, D=2, H=3, lengths=True))
    x, mask, gap, *states = tensors(replace(case, x=np.nan_to_num(case.x)), torch.float64)
    module = module_of(case, torch.float64)
    names = [name for name, _ in module.named_parameters()]
    leaves = [t.requires_grad_() for t in (x, gap, *states)]

    def run(x: torch.Tensor, gap: torch.Tensor, *rest: torch.Tensor) -> tuple[torch.Tensor, ...]:
        weights = dict(zip(names, rest[3:], strict=True))
        given = (x, mask, gap, rest[:3])
        output, final = torch.func.functional_call(module, weights, given, {"lengths": [4, 0]})
        return output, *final

    weights = [p.detach().clone().requires_grad_() for p in module.parameters()]
    assert torch.autograd.gradcheck(run, (*leaves, *weights))
    assert torch.autograd.gradgradcheck(run, (*leaves, *weights))


def test_the_output_may_be_changed_in_place() -> None:
    case = make_grud(Shape(T=6))
    x, mask, gap, *_ = tensors(case, torch.float64)
    grads = []
    for in_place in (False, True):
        module = module_of(case, torch.float64)
        output, _ = module(x, mask, gap)
        (output.relu_() if in_place else output.relu()).sum().backward()
        grads.append([p.grad for p in module.parameters()])
    for found, wanted in zip(*grads, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-15)


def test_it_is_kept_and_copied_like_any_module() -> None:
    module = GRUD(3, 4, batch_first=True)
    assert str(module) == "GRUD(3, 4, batch_first=True)"
    assert str(GRUD(3, 4)) == "GRUD(3, 4)"
    other = copy.deepcopy(module)
    other.reset_parameters()
    other.load_state_dict(module.state_dict())
    given = torch.randn(2, 5, 3), torch.rand(2, 5, 3), torch.rand(2, 5, 1)
    torch.testing.assert_close(other(*given)[0], module(*given)[0], rtol=0, atol=0)


def test_decays_begin_alive_and_small() -> None:
    module = GRUD(50, 40)
    for name, most in (("input_decay_weight", 0.1), ("state_decay_weight", 0.1 / 50)):
        weight = getattr(module, name).detach()
        assert 0 <= float(weight.min()) < most / 10
        assert most * 0.9 < float(weight.max()) <= most
    assert not module.input_decay_bias.any()
    assert not module.state_decay_bias.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_other_dtypes_run_in_torch(dtype: torch.dtype) -> None:
    module = GRUD(3, 4).to(dtype)
    output, states = module(
        torch.randn(5, 2, 3, dtype=dtype), torch.rand(5, 2, 3), torch.rand(5, 2, 1, dtype=dtype)
    )
    assert output.dtype == states.last.dtype == dtype
    output.float().sum().backward()
    assert module.weight_hh_l0.grad is not None


def test_torch_func_runs_in_torch() -> None:
    case = make_grud(Shape(T=3, B=2, D=2, H=3))
    x, mask, gap, *_ = tensors(replace(case, x=np.nan_to_num(case.x)), torch.float64)
    module = module_of(case, torch.float64)
    one = torch.func.grad(lambda gap: module(x, mask, gap)[0].sum())(gap)
    gap.requires_grad_()
    module(x, mask, gap)[0].sum().backward()
    torch.testing.assert_close(one, gap.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("batch_first", [False, True])
def test_presence_stands_in_for_the_mask_and_has_a_gradient(batch_first: bool) -> None:
    torch.manual_seed(0)
    module = GRUD(3, 4, batch_first=batch_first, dtype=torch.float64)
    x, gap = torch.randn(5, 2, 3).double(), torch.rand(5, 2, 1).double()
    mask = torch.rand(5, 2, 3) < 0.5
    whole, states = module(x, mask, gap)
    again, after = module(x, mask, gap, presence=mask.double())
    torch.testing.assert_close(again, whole, rtol=0, atol=0)
    torch.testing.assert_close(after.last, states.last, rtol=0, atol=0)
    assert torch.autograd.gradcheck(
        lambda x, gap, presence: module(x, mask, gap, presence=presence)[0],
        (x.requires_grad_(), gap.requires_grad_(), torch.rand(5, 2, 3).double().requires_grad_()),
    )
    with pytest.raises(
        ValueError, match=r"GRUD: presence must be torch.float64 of shape \(5, 2, 3\) like the input"
    ):
        module(x, mask, gap, presence=mask)


X, M, G = torch.zeros(5, 2, 3), torch.zeros(5, 2, 3), torch.zeros(5, 2, 1)


@pytest.mark.parametrize(
    ("given", "kind", "sentence"),
    [
        ((X[0], M, G), ValueError, "GRUD: input must have 3 dimensions, got 2"),
        ((X[:, :, :2], M, G), RuntimeError, r"GRUD: input has feature size 2, but input_size=3 \(input shape \(T=5, B=2, 2\)\)"),
        ((X[:0], M[:0], G[:0]), RuntimeError, "GRUD: input must have at least one time step, got none"),
        ((X, M[:4], G), ValueError, r"GRUD: mask must have shape \(5, 2, 3\), got \(4, 2, 3\)"),
        ((X, M, G[:, :, 0]), ValueError, r"GRUD: gap must have shape \(5, 2, 1\), got \(5, 2\)"),
        ((X, None, G), TypeError, "GRUD: mask must be a torch.Tensor, got NoneType"),
        ((X, M, G.double()), ValueError, "GRUD: gap has dtype torch.float64, but the input has torch.float32"),
        ((X.double(), M, G), ValueError, "GRUD: input has dtype torch.float64, but the weights have torch.float32"),
        ((X, M, G, torch.zeros(2, 4)), ValueError, "GRUD: hx must be the three states h, last and since, got Tensor"),
        ((X, M, G, (torch.zeros(2, 4),) * 3), RuntimeError, r"GRUD: hx must have shape \(B=2, last=3\), got \(2, 4\)"),
    ],
)  # fmt: skip
def test_wrong_use_is_refused_with_a_sentence(given: Any, kind: type, sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        GRUD(3, 4)(*given)
    with pytest.raises(ValueError, match=r"lengths\[0\] must be in 0\.\.5"):
        GRUD(3, 4)(X, M, G, lengths=[6, 1])
    with pytest.raises(ValueError, match="hidden_size must be greater than zero, got 0"):
        GRUD(3, 0)


def test_the_kernels_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training and inference on the CPU call neither of the ways in PyTorch operations."""

    def never(*given: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(_fading, "_in_torch", never)
    monkeypatch.setattr(_look_back, "_in_torch", never)
    module = GRUD(3, 4)
    module(X, M, G)[0].sum().backward()
    with torch.no_grad():
        module(X, M.bool(), G)


def test_the_compiler_takes_it_whole() -> None:
    module = GRUD(3, 4)
    output, _ = module(X + 1, M + 1, G)
    compiled, _ = torch.compile(module, backend="aot_eager", fullgraph=True)(X + 1, M + 1, G)
    torch.testing.assert_close(compiled, output, rtol=1e-6, atol=1e-6)
    grads = []
    for result in (output, compiled):
        module.zero_grad()
        result.sum().backward()
        grads.append([p.grad for p in module.parameters()])
    for found, wanted in zip(*grads, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
