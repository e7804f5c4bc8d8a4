"""GRU nodes of ONNX files as networks: what ONNX Runtime computes of the file, the network computes too."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx_models import H, I, Written, gru_model

import onnx_runs
from example_graphs import GRAPHS, random_tensors
from grus.errors import DataError, UnsupportedError, UsageError
from grus.export import Network, from_onnx
from grus.export.onnx_format.graph import to_onnx
from grus.kernels.layout import from_onnx_layout
from grus.kernels.reference import StackOptions, gru_stack
from grus.runtime import Program
from grus.spec import Graph, Node, Port
from numerics import assert_bitwise_equal, assert_close_to_oracle


def run(network, x, h_0):
    (node,) = network.graph.nodes
    graph = Graph(
        (*network.graph.inputs, Port("h", "vec", h_0.shape[1])),
        (Node(node.name, node.op, ("x", "h")),),
        network.graph.outputs,
    )
    return Program(graph, network.tensors)({"x": x, "h": h_0})


@pytest.mark.parametrize("reset", [0, 1, None])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("bias", ["both", "none"])
def test_a_node_computes_what_the_file_computes(reset, direction, bias):
    written = Written(reset=reset, direction=direction, bias=bias)
    model = gru_model(written)
    d = 2 if direction == "bidirectional" else 1
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 3, I)).astype(np.float32)
    h = rng.uniform(-1, 1, (d, 3, H)).astype(np.float32)
    y, h_n = onnx_runs.session_of(model).run(None, {"x": x, "h": h})
    network = from_onnx(model.SerializeToString())
    op = network.graph.nodes[0].op
    assert (op.reset_after, op.directions, op.bias) == (reset == 1, d, bias == "both")
    found = run(network, x.swapaxes(0, 1), h.swapaxes(0, 1).reshape(3, -1))
    arrays = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}

    def oracle(dtype):
        layers = [
            from_onnx_layout(*(arrays[n][i].astype(dtype) for n in ("W", "R", "B") if n in arrays))
            for i in range(d)
        ]
        options = StackOptions(bidirectional=d == 2, reset_after=reset == 1)
        return gru_stack(x.astype(dtype), h.astype(dtype), layers, options).output.swapaxes(0, 1)

    assert_close_to_oracle(found["out"], oracle(np.float64), oracle(np.float32), "out")
    np.testing.assert_allclose(found["out"], y.transpose(2, 0, 1, 3).reshape(3, 5, -1), rtol=0, atol=2e-6)
    np.testing.assert_allclose(found["state"], h_n.swapaxes(0, 1).reshape(3, -1), rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", ["GRU", "GRU-2-layers", "GRU-bidirectional", "GRU-no-bias-reset-before"])
def test_what_we_wrote_comes_back_bit_for_bit(name, tmp_path):
    graph, tensors = GRAPHS[name], random_tensors(GRAPHS[name])
    path = tmp_path / "model.onnx"
    onnx.save(to_onnx(Network(graph, tensors)), path)
    back = from_onnx(path)
    wanted = graph.nodes[0].op
    op = back.graph.nodes[0].op
    assert (op.hidden, op.layers, op.bidirectional, op.reset_after) == (
        wanted.hidden, wanted.layers, wanted.bidirectional, wanted.reset_after,
    )  # fmt: skip
    for key, value in tensors.items():
        assert_bitwise_equal(back.tensors[key], value, key)
    assert all((back.tensors[key] == 0).all() for key in back.tensors if key not in tensors), (
        "biases that were none"
    )


@pytest.mark.filterwarnings("ignore")
def test_a_file_of_torch(tmp_path):
    """Written by the exporter of torch.jit, which knows the GRU; two layers, constants cut out by Slice nodes between."""
    torch.manual_seed(0)
    module = torch.nn.GRU(I, H, 2, bidirectional=True).eval()
    path = tmp_path / "torch.onnx"
    torch.onnx.export(module, (torch.zeros(5, 2, I), torch.zeros(4, 2, H)), path, dynamo=False)
    network = from_onnx(path)
    for key, value in module.state_dict().items():
        assert_bitwise_equal(network.tensors[f"gru_0.{key}"], value, key)


def test_several_nodes_must_be_named():
    model = gru_model()
    other = helper.make_node("GRU", ["x", "W", "R", "B"], ["y2", "h2"], name="other", hidden_size=H)
    model.graph.node.append(other)
    with pytest.raises(UsageError, match="node must be named, because the file has several: 'gru', 'other'"):
        from_onnx(model)
    assert from_onnx(model, "gru").graph.nodes[0].op.reset_after
    assert not from_onnx(model, "other").graph.nodes[0].op.reset_after
    with pytest.raises(UsageError, match="must have a GRU node 'third', got none"):
        from_onnx(model, "third")
    with pytest.raises(UsageError, match="must have a GRU node, got none"):
        from_onnx(to_onnx(Network(GRAPHS["Linear"], random_tensors(GRAPHS["Linear"]))))


def test_kinds_that_the_spec_has_not():
    for model, said in [
        (gru_model(Written(direction="reverse")), "direction must be forward or bidirectional, got reverse"),
        (gru_model(activations=["Relu", "Tanh"]), "activations must be Sigmoid and Tanh, got relu, tanh"),
        (gru_model(clip=3.0), "clip must not be set, got 3.0"),
    ]:
        with pytest.raises(UnsupportedError, match=said):
            from_onnx(model)
    assert from_onnx(gru_model(activations=["Sigmoid", "Tanh"])).graph.nodes[0].op.hidden == H
    model = gru_model()
    del model.graph.initializer[:1]
    with pytest.raises(UnsupportedError, match="must be constants of the file, got 'W', which is computed"):
        from_onnx(model)


def test_weights_that_do_not_fit():
    def with_tensor(array, **fields):
        model = gru_model()
        tensor = numpy_helper.from_array(array, "W")
        for key, value in fields.items():
            setattr(tensor, key, value)
        model.graph.initializer[0].CopyFrom(tensor)
        return model

    w = np.ones((1, 3 * H, I), np.float32)
    lying = with_tensor(w)
    lying.graph.initializer[0].dims[0] = 1 << 62
    negative = with_tensor(w)
    negative.graph.initializer[0].dims[0] = -1
    for model, said in [
        (with_tensor(w[0]), "W, R and B must have 1 directions"),
        (with_tensor(np.ones((1, 5, I), np.float32)), "its weights must fit together"),
        (with_tensor(w.astype(np.int64)), "its weights must be floats, got int64"),
        (with_tensor(w, data_location=TensorProto.EXTERNAL), "must lie in the file itself"),
        (with_tensor(w, data_type=TensorProto.STRING), "must be of numbers, got data type 8"),
        (with_tensor(w, raw_data=b"abc"), "must be that of its data"),
        (lying, "must be that of its data, got 36 numbers"),
        (negative, "must be that of its data"),
    ]:
        with pytest.raises(DataError, match=said):
            from_onnx(model)
    half = from_onnx(with_tensor(w.astype(np.float16)))
    assert half.tensors["gru_0.weight_ih_l0"].dtype == np.float32
    typed = gru_model()
    typed.graph.initializer[0].CopyFrom(helper.make_tensor("W", TensorProto.FLOAT, w.shape, w.ravel()))
    assert_bitwise_equal(from_onnx(typed).tensors["gru_0.weight_ih_l0"], w[0], "typed data")


def test_files_that_are_none(tmp_path):
    for content, said in [
        (b"", "got none in it"),
        (b"not onnx at all", "must be an ONNX file"),
        (b"\x08\x08", "got none"),
    ]:
        (tmp_path / "m.onnx").write_bytes(content)
        with pytest.raises(DataError, match=said):
            from_onnx(tmp_path / "m.onnx")
        with pytest.raises(DataError, match=said):
            from_onnx(content)
    with pytest.raises(DataError, match="cannot be read as an ONNX file: no such file"):
        from_onnx(tmp_path / "none.onnx")
    with pytest.raises(DataError, match="cannot be read as an ONNX file: is a directory"):
        from_onnx(tmp_path)


def test_a_file_that_is_too_large(tmp_path):
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(DataError, match="must be at most 2147483647 bytes, got 2147483648"):
        from_onnx(path)
