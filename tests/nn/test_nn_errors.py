"""Impossible arguments: the exception types of torch.nn, with our sentences."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

import grus.nn


def outcome(make: Any) -> tuple[type[BaseException] | None, str]:
    try:
        make()
    except Exception as error:
        return type(error), str(error)
    return None, ""


CONSTRUCTIONS: list[tuple[tuple, dict]] = [
    *(
        (args, {})
        for args in [(0, 4), (3, 0), (-1, 4), (3, -2), (3.0, 4), (3, 4.0), ("3", 4), (3, None), (3,), ()]
    ),
    *(
        ((3, 4), {"dropout": value})
        for value in ("a", None, True, 1.5, -0.1, float("nan"), torch.tensor(0.1))
    ),
    *(((3, 4), {"num_layers": value}) for value in (0, -1, "2", 2.0, None)),
    *(((3, 4), {name: value}) for name in ("bias", "batch_first") for value in (1, None, "yes")),
    *(((3, 4), {name: value}) for name, value in [("proj_size", 0), ("proj_size", 2), ("foo", 1)]),
    *(
        ((3, 4), {name: value})
        for name, value in [("dtype", torch.int64), ("dtype", "f"), ("device", "nope")]
    ),
]


@pytest.mark.filterwarnings("ignore:dropout option adds dropout")
@pytest.mark.parametrize(("args", "options"), CONSTRUCTIONS, ids=str)
def test_constructor_errors_have_torchs_types(args: tuple, options: dict) -> None:
    theirs, _ = outcome(lambda: torch.nn.GRU(*args, **options))
    ours, message = outcome(lambda: grus.nn.GRU(*args, **options))
    assert theirs is not None
    assert ours is not None
    assert issubclass(ours, theirs)
    assert message


@pytest.mark.parametrize("args", [(-1, 4), (3, -1), (3.0, 4), (3, 4.0), ("3", 4), (3, None), (3,)], ids=str)
def test_cell_constructor_errors_have_torchs_types(args: tuple) -> None:
    theirs, _ = outcome(lambda: torch.nn.GRUCell(*args))
    ours, _ = outcome(lambda: grus.nn.GRUCell(*args))
    assert theirs is not None
    assert ours is not None
    assert issubclass(ours, theirs)


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.zeros(shape, dtype=dtype)


PACKED = pack_padded_sequence(zeros(6, 2, 3), [2, 6], enforce_sorted=False)
CALLS: list[tuple[tuple, str]] = [
    ((zeros(6, 2, 7),), "GRU: input has feature size 7, but input_size=3 (input shape (T=6, B=2, 7))"),
    ((zeros(6, 7),), "GRU: input has feature size 7, but input_size=3 (input shape (T=6, 7))"),
    (
        (zeros(6, 2, 3, 1),),
        "GRU: input must have 3 dimensions, or 2 if unbatched, got 4 (input shape (6, 2, 3, 1))",
    ),
    ((zeros(3),), "GRU: input must have 3 dimensions, or 2 if unbatched, got 1 (input shape (3,))"),
    ((zeros(0, 2, 3),), "GRU: input must have at least one time step, got none (input shape (T=0, B=2, 3))"),
    ((zeros(0, 3),), "GRU: input must have at least one time step, got none (input shape (T=0, 3))"),
    (
        (zeros(6, 2, 3, dtype=torch.float64),),
        "GRU: input has dtype torch.float64, but the weights have torch.float32; convert one with "
        "input.to(torch.float32) or module.to(torch.float64)",
    ),
    ((torch.zeros(6, 2, 3, device="meta"),), "GRU: input is on meta, but the weights are on cpu"),
    (
        (zeros(6, 2, 3), zeros(1, 3, 4)),
        "GRU: hx must have shape (num_layers*num_directions=1, B=2, hidden_size=4), got (1, 3, 4)",
    ),
    (
        (zeros(6, 2, 3), zeros(2, 4)),
        "GRU: hx must have shape (num_layers*num_directions=1, B=2, hidden_size=4), got (2, 4)",
    ),
    (
        (zeros(6, 3), zeros(1, 1, 4)),
        "GRU: hx must have shape (num_layers*num_directions=1, hidden_size=4), got (1, 1, 4)",
    ),
    (
        (zeros(6, 2, 3), zeros(1, 2, 4, dtype=torch.float64)),
        "GRU: hx has dtype torch.float64, but the input has torch.float32",
    ),
    (
        (PACKED, zeros(1, 1, 4)),
        "GRU: hx must have shape (num_layers*num_directions=1, B=2, hidden_size=4), got (1, 1, 4)",
    ),
    (
        (PACKED._replace(data=zeros(8, 7)),),
        "GRU: input has feature size 7, but input_size=3 (input shape (packed steps=8, 7))",
    ),
    (
        (PACKED._replace(data=zeros(8, 1, 3)),),
        "GRU: the data of a packed input must have 2 dimensions, got 3 (data shape (8, 1, 3))",
    ),
]


@pytest.mark.parametrize(("args", "sentence"), CALLS, ids=[sentence[:60] for _, sentence in CALLS])
def test_call_errors_have_torchs_types_and_our_sentences(args: tuple, sentence: str) -> None:
    theirs, ours = torch.nn.GRU(3, 4), grus.nn.GRU(3, 4)
    expected, _ = outcome(lambda: theirs(*args))
    actual, message = outcome(lambda: ours(*args))
    assert expected is not None
    assert actual is not None
    assert issubclass(actual, expected)
    assert message == sentence
    composite, message = outcome(lambda: grus.nn.GRU(3, 4, reset_after=False)(*args))
    assert (composite, message) == (actual, sentence)


def test_sentences_follow_batch_first_and_the_class_name() -> None:
    class Encoder(grus.nn.GRU):
        pass

    with pytest.raises(RuntimeError) as caught:
        Encoder(3, 4, batch_first=True)(zeros(2, 6, 7))
    assert (
        str(caught.value) == "Encoder: input has feature size 7, but input_size=3 (input shape (B=2, T=6, 7))"
    )


CELL_CALLS: list[tuple[tuple, str]] = [
    (
        (zeros(2, 2, 3),),
        "GRUCell: input must have 2 dimensions, or 1 if unbatched, got 3 (input shape (2, 2, 3))",
    ),
    ((zeros(2, 5),), "GRUCell: input has feature size 5, but input_size=3 (input shape (B=2, 5))"),
    ((zeros(5),), "GRUCell: input has feature size 5, but input_size=3 (input shape (5,))"),
    ((zeros(2, 3), zeros(3, 4)), "GRUCell: hx must have shape (B=2, hidden_size=4), got (3, 4)"),
    ((zeros(2, 3), zeros(2, 5)), "GRUCell: hx must have shape (B=2, hidden_size=4), got (2, 5)"),
    ((zeros(2, 3), zeros(4)), "GRUCell: hx must have shape (B=2, hidden_size=4), got (4,)"),
    ((zeros(3), zeros(1, 4)), "GRUCell: hx must have shape (hidden_size=4), got (1, 4)"),
    (
        (zeros(2, 3), zeros(1, 2, 4)),
        "GRUCell: hx must have 2 dimensions, or 1 if unbatched, got 3 (hx shape (1, 2, 4))",
    ),
    (
        (zeros(2, 3), zeros(2, 4, dtype=torch.float64)),
        "GRUCell: hx has dtype torch.float64, but the input has torch.float32",
    ),
]


@pytest.mark.parametrize(("args", "sentence"), CELL_CALLS, ids=[sentence[:60] for _, sentence in CELL_CALLS])
def test_cell_errors_have_torchs_types_and_our_sentences(args: tuple, sentence: str) -> None:
    theirs, ours = torch.nn.GRUCell(3, 4), grus.nn.GRUCell(3, 4)
    expected, _ = outcome(lambda: theirs(*args))
    actual, message = outcome(lambda: ours(*args))
    assert expected is not None
    assert actual is not None
    assert issubclass(actual, expected)
    assert message == sentence
    assert outcome(lambda: grus.nn.GRUCell(3, 4, layer_norm=True)(*args)) == (actual, sentence)


def test_what_is_no_tensor_is_a_type_error() -> None:
    for module in (grus.nn.GRU(3, 4), grus.nn.GRUCell(3, 4)):
        with pytest.raises(TypeError, match=r": input must be a torch.Tensor, got ndarray"):
            module(np.zeros((2, 3), np.float32))  # pyright: ignore
        with pytest.raises(TypeError, match=r": hx must be a torch.Tensor, got list"):
            module(zeros(2, 3), [1.0])  # pyright: ignore
