"""Mutated ONNX files through check_onnx and from_onnx: a typed error or a plain answer, never a crash, and never slow."""

import time

import numpy as np
import pytest
from onnx import helper, numpy_helper
from onnx_models import Written, gru_model

from example_graphs import GRAPHS, random_tensors
from grus.errors import DataError, GrusError
from grus.export import Network, check_onnx, from_onnx
from grus.export.onnx_format import wire as onnx_wire
from grus.export.onnx_format.graph import to_onnx
from grus.export.onnx_format.read import array_of
from mutations import fuzz_cases, mutated

CASES = fuzz_cases(10_000)
FILES = {
    "torch": gru_model(Written(reset=0)),
    "bidirectional": gru_model(Written(direction="bidirectional", batch_first=True)),
    "constant state": gru_model(Written(state="constant", bias="none")),
    "made state": gru_model(Written(state="zeros")),
    "two layers": to_onnx(Network(GRAPHS["GRU-2-layers"], random_tensors(GRAPHS["GRU-2-layers"]))),
}


def survive(data: bytes) -> bool:
    """Whether both have an answer; anything but an answer or a typed error raises."""
    answered = 0
    for call in (check_onnx, from_onnx):
        said = ""
        try:
            result = call(data)
        except GrusError as error:
            said = str(error)
        else:
            answered += 1
            arrays = result.tensors.values() if isinstance(result, Network) else ()
            assert all(value.dtype == np.float32 for value in arrays)
        assert "\n" not in said
    return answered == 2


@pytest.mark.parametrize("name", FILES)
def test_mutated_files(name):
    rng = np.random.default_rng(len(name))
    data = FILES[name].SerializeToString()
    assert survive(data)
    began = time.monotonic()
    answered = sum(survive(mutated(data, rng)) for _ in range(CASES // len(FILES)))
    assert 0 < answered < CASES // len(FILES), "some mutations hurt, others do not"
    assert time.monotonic() - began < 10 + CASES / 1000


def test_mutated_fields():
    """Sizes, names and types that no byte flip would hit upon."""
    rng = np.random.default_rng(0)
    for _ in range(500):
        model = gru_model(Written(direction=str(rng.choice(["forward", "bidirectional"]))))
        tensor = model.graph.initializer[int(rng.integers(0, 3))]
        node = model.graph.node[-1]
        match int(rng.integers(0, 7)):
            case 0:
                tensor.dims[int(rng.integers(0, len(tensor.dims)))] = int(
                    rng.choice([0, -1, 1 << 40, (1 << 63) - 1])
                )
            case 1:
                tensor.data_type = int(rng.integers(-5, 40))
            case 2:
                tensor.raw_data = tensor.raw_data[: int(rng.integers(0, 20))]
            case 3:
                node.input[int(rng.integers(0, 6))] = str(rng.choice(["x", "y", "W", "", "nothing"]))
            case 4:
                del node.input[int(rng.integers(0, 6)) :]
            case 5:
                node.attribute.append(
                    helper.make_attribute("direction", str(rng.choice(["x", "reverse", ""])))
                )
            case _:
                names = ["linear_before_reset", "activations", "clip", "layout", "direction"]
                node.attribute[int(rng.integers(0, len(node.attribute)))].name = str(rng.choice(names))
        survive(model.SerializeToString())


def message(field: int, content: bytes) -> bytes:
    """A field of protobuf that holds a message."""
    size, length = [], len(content)
    while length > 127:
        size.append(length & 127 | 128)
        length >>= 7
    return bytes([field << 3 | 2, *size, length]) + content


@pytest.mark.parametrize("depth", [1, 20, 32, 34, 10_000])
def test_bodies_in_bodies(depth):
    """A node (1) of a graph has attributes (5), which have graphs (6); the model's graph is its field 7."""
    gru = message(1, gru_model(Written(reset=0)).graph.node[-1].SerializeToString())
    for _ in range(depth):
        gru = message(1, message(5, message(6, gru)))
    data = message(2, b"pytorch") + message(7, gru)
    if depth < 33:
        assert check_onnx(data).findings[0].kind == "reset"
    else:
        with pytest.raises(DataError, match="must be an ONNX file, got something else or a damaged one"):
            check_onnx(data)


@pytest.mark.parametrize(
    "graph",
    [
        b"\x0a\x00" * 6_000,
        message(1, b"\x2a\x00" * 6_000),
        message(1, b"\x0a\x00" * 21_000),
        message(5, message(7, b"\1" * 3_000_000)),
    ],
    ids=["empty nodes", "empty attributes", "empty names", "packed integers"],
)
def test_little_that_would_become_much(graph, monkeypatch):
    """Refused before it is parsed: two bytes of a file may become hundreds in memory. At a hundredth of the limits."""
    for name in ("MAX_PARTS", "MAX_MESSAGES", "MAX_INTS"):
        monkeypatch.setattr(onnx_wire, name, getattr(onnx_wire, name) // 100)
    with pytest.raises(
        DataError, match="model: an ONNX file must have at most 5000 nodes and attributes, 20000 parts"
    ):
        check_onnx(message(7, graph))


@pytest.mark.parametrize("data", [b"\xff" * 11, b"\x08", b"\x3a\x05\x0a", b"\x0b", b"\x0d\0"], ids=str)
def test_bytes_that_are_no_protobuf(data):
    with pytest.raises(DataError, match="model: must be an ONNX file, got something else or a damaged one"):
        check_onnx(data)


def test_names_that_are_no_text():
    model = gru_model(Written(reset=0, state="none"))
    model.graph.node[-1].name = "two\nlines"
    data = model.SerializeToString().replace(b"pytorch", b"pyto\xff\xfeh")
    check = check_onnx(data)
    assert check.producer == "pyto\ufffd\ufffdh"
    assert {finding.node for finding in check.findings} == {"two\ufffdlines"}


def test_a_tensor_of_no_numbers_of_any_size():
    tensor = numpy_helper.from_array(np.ones((2, 0, 3), np.float32), "empty")
    assert array_of(tensor).shape == (2, 0, 3)
    for dims in ([0, *[(1 << 31) - 1] * 7], [0] * 200, [0, 1 << 62], [0, -1]):
        del tensor.dims[:]
        tensor.dims.extend(dims)
        with pytest.raises(DataError, match="must be that of its data, got 0 numbers"):
            array_of(tensor)


def test_the_fuzz_itself_notices_what_is_no_typed_error(monkeypatch):
    def broken(model, scope, node):
        raise IndexError("list index out of range")

    monkeypatch.setattr("grus.export.onnx_format.check._look", broken)
    with pytest.raises(IndexError):
        survive(FILES["torch"].SerializeToString())
