"""Swap torch.nn.GRU and torch.nn.GRUCell for ours: same parameters, results and gradients.

Where torch's kernel is called the bits are torch's; where ours is, float64 results agree to 1e-13 (what both differ
from the oracle by is tested in test_nn_options.py and test_nn_native.py).
"""

import copy
import io
import itertools
import pickle
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import grus.nn
from grus.nn import _composite, _dispatch, _native_path
from numerics import assert_bitwise_equal

OPTIONS = [
    dict(zip(("num_layers", "bias", "batch_first", "dropout", "bidirectional"), values))
    for values in itertools.product((1, 3), (True, False), (False, True), (0.0, 0.4), (False, True))
    if not (values[0] == 1 and values[3] > 0)
]


def ids(options: dict) -> str:
    return ",".join(f"{name}={value}" for name, value in options.items())


def pair(*args: Any, cell: bool = False, seed: int = 0, **options: Any) -> tuple[Any, Any]:
    """Torch's module and ours, each made from the same seed."""
    torch.manual_seed(seed)
    theirs = (torch.nn.GRUCell if cell else torch.nn.GRU)(*args, **options)
    torch.manual_seed(seed)
    return theirs, (grus.nn.GRUCell if cell else grus.nn.GRU)(*args, **options)


def flatten(result: Any) -> list[torch.Tensor]:
    """Every floating tensor in a module's result, and the bookkeeping of packed sequences."""
    if isinstance(result, PackedSequence):
        return [part for part in result if part is not None]
    return [result] if isinstance(result, torch.Tensor) else [t for part in result for t in flatten(part)]


def run(module: Any, x: Any, hx: Any) -> tuple[list[torch.Tensor], list[torch.Tensor | None]]:
    """Results and gradients of input, state and parameters, under a fixed seed for dropout."""
    leaf = (x.data if isinstance(x, PackedSequence) else x).detach().requires_grad_()
    given = x._replace(data=leaf) if isinstance(x, PackedSequence) else leaf
    hx = None if hx is None else hx.detach().requires_grad_()
    module.zero_grad()
    torch.manual_seed(7)
    results = flatten(module(given, hx))
    sum(
        (r * torch.sin(torch.arange(r.numel()).reshape(r.shape))).sum()
        for r in results
        if r.is_floating_point()
    ).backward()
    grads = [leaf.grad, None if hx is None else hx.grad, *(p.grad for p in module.parameters())]
    return results, grads


def assert_same(theirs: Any, ours: Any, x: Any, hx: Any) -> None:
    for expected, actual in zip(run(theirs, x, hx), run(ours, x, hx)):
        for a, b in zip(actual, expected, strict=True):
            assert (a is None) == (b is None)
            if a is not None and b is not None:
                assert_bitwise_equal(a, b)
                assert a.stride() == b.stride()


def assert_near(theirs: Any, ours: Any, x: Any, hx: Any) -> None:
    """Equal to a few units in the last place of double precision, dropout masks included."""
    for expected, actual in zip(run(theirs, x, hx), run(ours, x, hx)):
        for a, b in zip(actual, expected, strict=True):
            assert (a is None) == (b is None)
            if a is not None and b is not None:
                torch.testing.assert_close(a, b, rtol=0, atol=1e-13)


@pytest.fixture
def torch_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a device or in a dtype that the native kernels do not know."""
    monkeypatch.setattr(_native_path, "can_run", lambda *_: False)


def make_input(form: str, batch_first: bool, dtype: torch.dtype = torch.float32) -> Any:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn((4, 6, 5) if batch_first else (6, 4, 5), generator=generator, dtype=dtype)
    if form == "batched":
        return x
    if form == "unbatched":
        return x.reshape(24, 5)
    lengths = torch.tensor([6, 5, 2, 1] if form == "sorted" else [2, 6, 1, 5])
    return pack_padded_sequence(x, lengths, batch_first, enforce_sorted=form == "sorted")


FORMS = ("batched", "unbatched", "sorted", "unsorted")


def each_call(options: dict, dtype: torch.dtype) -> Any:
    """Every form of input, with and without a state, in training and evaluation."""
    cells = options["num_layers"] * (2 if options["bidirectional"] else 1)
    for form in FORMS:
        x = make_input(form, options["batch_first"], dtype)
        hx = (
            torch.randn(cells, 4, dtype=dtype)
            if form == "unbatched"
            else torch.randn(cells, 4, 4, dtype=dtype)
        )
        for state in (None, hx):
            for training in (True, False):
                yield x, state, training


@pytest.mark.parametrize("options", OPTIONS, ids=ids)
@pytest.mark.usefixtures("torch_kernels")
def test_where_torch_computes_the_bits_are_torchs(options: dict) -> None:
    theirs, ours = pair(5, 4, **options)
    for x, state, training in each_call(options, torch.float32):
        assert_same(theirs.train(training), ours.train(training), x, state)


@pytest.mark.parametrize("options", OPTIONS, ids=ids)
def test_native_results_and_gradients_are_torchs_to_rounding(options: dict) -> None:
    theirs, ours = pair(5, 4, dtype=torch.float64, **options)
    for x, state, training in each_call(options, torch.float64):
        assert_near(theirs.train(training), ours.train(training), x, state)
    with torch.no_grad():
        for form in FORMS:
            x = make_input(form, options["batch_first"], torch.float64)
            for _ in range(2):  # the second call takes packed weights
                for a, b in zip(flatten(ours(x)), flatten(theirs(x)), strict=True):
                    torch.testing.assert_close(a, b, rtol=0, atol=1e-13)


def test_bfloat16_is_torchs() -> None:
    theirs, ours = pair(5, 4, 2, dtype=torch.bfloat16)
    x = make_input("batched", False, torch.bfloat16)
    for a, b in zip(flatten(ours(x)), flatten(theirs(x)), strict=True):
        assert a.dtype == b.dtype == torch.bfloat16
        assert torch.equal(a, b)


@pytest.mark.parametrize("options", OPTIONS, ids=ids)
def test_parameters_and_state_dict_are_torchs(options: dict) -> None:
    theirs, ours = pair(5, 4, dtype=torch.float64, **options)
    assert isinstance(ours, torch.nn.GRU)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for (name, a), (other, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == other
        assert_bitwise_equal(a, b, name)
    assert [len(layer) for layer in ours.all_weights] == [len(layer) for layer in theirs.all_weights]
    torch.manual_seed(99)
    for p in ours.parameters():
        torch.nn.init.normal_(p)
    theirs.load_state_dict(ours.state_dict())
    x = make_input("batched", options["batch_first"], torch.float64)
    assert_near(theirs, ours, x, None)
    _, fresh = pair(5, 4, seed=1, dtype=torch.float64, **options)
    fresh.load_state_dict(theirs.state_dict())
    assert_near(theirs, fresh, x, None)


def test_a_seed_leaves_the_generator_where_torch_leaves_it() -> None:
    for options in ({}, {"layer_norm": True}):
        torch.manual_seed(0)
        torch.nn.GRU(5, 4, 2, bidirectional=True)
        expected = torch.rand(3)
        torch.manual_seed(0)
        grus.nn.GRU(5, 4, 2, bidirectional=True, **options)
        assert torch.equal(torch.rand(3), expected)


def test_positional_order_is_torchs() -> None:
    args = (5, 4, 2, False, True, 0.25, True, "cpu", torch.float64)
    ours = grus.nn.GRU(*args)
    theirs = torch.nn.GRU(*args[:7], device="cpu", dtype=torch.float64)
    assert repr(ours) == repr(theirs)
    assert next(ours.parameters()).dtype == torch.float64
    cell = grus.nn.GRUCell(5, 4, False, "cpu", torch.float64)
    assert cell.bias_ih is None
    assert cell.weight_hh.dtype == torch.float64


def test_dropout_on_one_layer_warns_as_torch_does() -> None:
    with pytest.warns(UserWarning, match="dropout option") as theirs:
        torch.nn.GRU(5, 4, dropout=0.5)
    with pytest.warns(UserWarning, match="dropout option") as ours:
        grus.nn.GRU(5, 4, dropout=0.5)
    assert [str(w.message) for w in ours] == [str(w.message) for w in theirs]


def test_pickle_deepcopy_and_torch_save_keep_everything() -> None:
    options = {"reset_after": False, "layer_norm": True, "recurrent_dropout": 0.1, "zoneout": 0.2}
    for module in (
        grus.nn.GRU(5, 4, 2, bidirectional=True, **options),
        grus.nn.GRUCell(5, 4, layer_norm=True),
    ):
        x = torch.randn(3, 5)
        expected = flatten(module.eval()(x))
        buffer = io.BytesIO()
        torch.save(module, buffer)
        buffer.seek(0)
        clones = [pickle.loads(pickle.dumps(module)), copy.deepcopy(module)]
        for clone in [*clones, torch.load(buffer, weights_only=False)]:
            assert repr(clone) == repr(module)
            for a, b in zip(flatten(clone(x)), expected, strict=True):
                assert_bitwise_equal(a, b)
            with torch.no_grad():
                next(clone.parameters()).add_(1)
            assert not torch.equal(flatten(clone(x))[0], expected[0])


def test_moving_replacing_and_functional_calls_reach_the_computation() -> None:
    module = grus.nn.GRU(5, 4, layer_norm=True)
    x = torch.randn(6, 3, 5)
    assert module.double()(x.double())[0].dtype == torch.float64
    module.float()
    changed = {name: torch.zeros_like(p) for name, p in module.named_parameters()}
    output, _ = torch.func.functional_call(module, changed, (x,))
    assert (output == 0).all()
    assert (module(x)[0] != 0).any()
    module.weight_ih_l0 = torch.nn.Parameter(torch.full_like(module.weight_ih_l0, torch.nan))
    assert module(x)[0].isnan().all()


def test_parametrisations_work() -> None:
    module = grus.nn.GRU(5, 4)
    torch.nn.utils.parametrizations.weight_norm(module, "weight_hh_l0")
    module(torch.randn(6, 3, 5))[0].sum().backward()
    assert all(p.grad is not None for p in module.parameters())


def test_flatten_parameters_and_meta_device_are_harmless() -> None:
    module = grus.nn.GRU(5, 4, device="meta", layer_norm=True)
    module.flatten_parameters()
    assert {p.device.type for p in module.parameters()} == {"meta"}
    assert module(torch.empty(6, 3, 5, device="meta"))[0].shape == (6, 3, 4)


@pytest.mark.parametrize("options", [{}, {"reset_after": False, "layer_norm": True}], ids=ids)
def test_autocast_gives_torchs_dtypes(options: dict) -> None:
    theirs, ours = pair(5, 4)[0], grus.nn.GRU(5, 4, **options)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for dtype in (torch.float32, torch.bfloat16):
            x = torch.randn(6, 3, 5, dtype=dtype)
            assert [t.dtype for t in flatten(ours(x))] == [t.dtype for t in flatten(theirs(x))]


@pytest.mark.parametrize("bias", [True, False])
def test_a_cell_with_gradients_is_torchs_bit_for_bit(bias: bool) -> None:
    theirs, ours = pair(5, 4, bias, cell=True)
    assert isinstance(ours, torch.nn.GRUCell)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for x, hx in [
        (torch.randn(3, 5), torch.randn(3, 4)),
        (torch.randn(5), torch.randn(4)),
        (torch.randn(0, 5), None),
    ]:
        assert_same(theirs, ours, x, None)
        if hx is not None:
            assert_same(theirs, ours, x, hx)
    theirs.load_state_dict(ours.state_dict())
    ours.load_state_dict(theirs.state_dict())


def test_a_cell_without_gradients_is_torchs_to_rounding() -> None:
    for bias in (True, False):
        theirs, ours = pair(5, 4, bias, cell=True, dtype=torch.float64)
        x, hx = torch.randn(3, 5, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
        with torch.no_grad():
            for given in ((x, hx), (x,), (x[0], hx[0]), (x[:0], hx[:0])) * 2:
                torch.testing.assert_close(ours(*given), theirs(*given), rtol=0, atol=1e-14)


@pytest.mark.parametrize("size", [(0, 4), (3, 0)])
def test_cells_without_inputs_or_units_exist_as_in_torch(size: tuple[int, int]) -> None:
    theirs, ours = pair(*size, cell=True)
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            torch.testing.assert_close(ours(torch.zeros(2, size[0])), theirs(torch.zeros(2, size[0])))


def test_no_option_touches_the_composite_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("composite path used")

    monkeypatch.setattr(_composite, "run", refuse)
    monkeypatch.setattr(_composite, "run_cell", refuse)
    noisy = {"recurrent_dropout": 0.5, "zoneout": 0.5}
    for options in ({"dropout": 0.3}, {"reset_after": False, **noisy}, {"layer_norm": True, **noisy}):
        module = grus.nn.GRU(5, 4, 2, bidirectional=True, **options)
        for training in (True, False):
            module.train(training)
            for form in FORMS:
                module(make_input(form, False))
            resets = torch.rand(4, 6) < 0.5
            module(make_input("batched", False), lengths=[6, 0, 2, 1], resets=resets, return_gates=True)
    grus.nn.GRUCell(5, 4, zoneout=0.5)(torch.zeros(3, 5), resets=torch.tensor([True, False, True]))
    with pytest.raises(AssertionError, match="composite path used"):
        grus.nn.GRU(5, 4, zoneout=0.5, dtype=torch.bfloat16)(make_input("batched", False, torch.bfloat16))


def test_the_composite_path_agrees_with_torchs_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Same function, other arithmetic: equal to a few units in the last place of double precision."""
    for options in OPTIONS[::3]:
        options = {**options, "dropout": 0.0}
        theirs, ours = pair(5, 4, dtype=torch.float64, **options)
        x = make_input("batched", options["batch_first"], torch.float64)
        expected = run(theirs, x, None)
        with monkeypatch.context() as patch:
            patch.setattr(_dispatch, "choose", lambda call: "composite")
            actual = run(ours, x, None)
        for a, b in zip(itertools.chain(*actual), itertools.chain(*expected), strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                torch.testing.assert_close(a, b, rtol=0, atol=1e-13)
