"""What check-onnx finds in other people's files, and what it leaves alone."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx_models import H, I, Written, gru_model

from example_graphs import GRAPHS, random_tensors
from grus.errors import DataError
from grus.export import Network, check_onnx
from grus.export.onnx_format.graph import to_onnx

GOOD = Written()


def kinds(model):
    return [finding.kind for finding in check_onnx(model).findings]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        ({"reset": 0}, ["reset"]),
        ({"reset": None}, ["reset"]),
        ({"reset": 0, "bias": "none"}, ["reset"]),
        ({"reset": 0, "producer": "tf2onnx"}, ["reset"]),
        ({"reset": 0, "producer": "tf2onnx", "bias": "input"}, []),
        ({"reset": 1, "producer": "tf2onnx"}, []),
        ({"reset": 0, "producer": "somebody"}, ["reset"]),
        ({"reset": 0, "producer": "somebody", "bias": "input"}, []),
        ({"reset": 0, "producer": "somebody", "bias": "none"}, []),
        ({"reset": 0, "producer": "grus"}, []),
        ({"batch": 2}, ["batch"]),
        ({"batch": 1}, ["batch"]),
        ({"time": 7}, ["time"]),
        ({"batch": 2, "time": 7, "batch_first": True}, ["batch", "time"]),
        ({"batch_first": True}, []),
        ({"state": "none"}, ["state"]),
        ({"state": "zeros"}, ["state"]),
        ({"state": "constant"}, ["batch", "state"]),
        ({"state": "none", "direction": "bidirectional"}, []),
        ({"reset": 0, "state": "none", "batch": 3, "time": 3}, ["reset", "batch", "time", "state"]),
    ],
    ids=str,
)
def test_the_rules(change, found):
    model = gru_model(replace(GOOD, **change))
    assert kinds(model) == found
    assert kinds(model.SerializeToString()) == found


def test_a_finding_says_where_what_and_what_to_do(tmp_path):
    onnx.save(gru_model(replace(GOOD, reset=0, batch=2)), tmp_path / "m.onnx")
    check = check_onnx(tmp_path / "m.onnx")
    assert (check.producer, check.nodes) == ("pytorch", 1)
    reset, batch = check.findings
    assert (reset.node, reset.kind) == ("gru", "reset")
    assert "PyTorch's GRU applies the reset gate after the product" in reset.message
    assert "set the attribute linear_before_reset to 1" in reset.hint
    assert batch.message == "the batch axis is frozen: input 'x' has a fixed size of 2"


@pytest.mark.parametrize("name", GRAPHS)
def test_our_own_files_are_clean(name):
    assert kinds(to_onnx(Network(GRAPHS[name], random_tensors(GRAPHS[name])))) == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("state", [True, False])
def test_files_of_torch(tmp_path, dynamic, state):
    """The exporter of torch.jit is right about the reset gate; what is frozen, and the state, is the caller's doing."""
    module = torch.nn.GRU(I, H, 2, batch_first=True).eval()
    inputs = (torch.zeros(2, 5, I), *((torch.zeros(2, 2, H),) if state else ()))
    names = ["x", "h"][: len(inputs)]
    axes = {"x": {0: "batch", 1: "time"}, "h": {1: "batch"}} if dynamic else {}
    path = tmp_path / "torch.onnx"
    torch.onnx.export(
        module,
        inputs,
        path,
        dynamo=False,
        input_names=names,
        dynamic_axes={k: axes[k] for k in names if k in axes},
    )
    frozen = [] if dynamic else ["batch", "time"]
    assert kinds(path) == [*frozen, *([] if state else ["state"])] * 2
    model = onnx.load(path)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "linear_before_reset":
                attribute.i = 0
    assert kinds(model).count("reset") == 2


def with_nodes_before(nodes, constants=(), name="z", dims=("time", "batch", I)):
    """The good model, its GRU reading ``name``, which the nodes make of the input x."""
    model = gru_model(replace(GOOD, state="input"))
    for number, node in enumerate(nodes):
        model.graph.node.insert(number, node)
    model.graph.node[-1].input[0] = name
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array(v), k) for k, v in dict(constants).items()
    )
    for value, dim in zip(model.graph.input[0].type.tensor_type.shape.dim, dims):
        value.Clear()
        if isinstance(dim, str):
            value.dim_param = dim
        else:
            value.dim_value = dim
    return model


def test_axes_are_followed_back_through_what_stands_before():
    node = helper.make_node
    reshape = [node("Reshape", ["x", "s"], ["z"], name="flat")]
    assert kinds(with_nodes_before(reshape, {"s": [0, 2, I]})) == ["batch"]
    assert kinds(with_nodes_before(reshape, {"s": [9, -1, I]})) == ["time"]
    assert kinds(with_nodes_before(reshape, {"s": [0, 0, I]})) == []
    assert kinds(with_nodes_before(reshape, {"s": [0, 0, I]}, dims=("time", 4, I))) == ["batch"]
    found = check_onnx(with_nodes_before(reshape, {"s": [0, 2, I]})).findings[0]
    assert found.message == "the batch axis is frozen: Reshape 'flat' gives it a fixed size of 2"
    chain = [
        node("Unsqueeze", ["x", "a"], ["u"]), node("Squeeze", ["u", "a"], ["s"]), node("MatMul", ["s", "w"], ["m"]),
        node("Add", ["c", "m"], ["p"]), node("Relu", ["p"], ["z"]),
    ]  # fmt: skip
    constants = {"a": [1], "w": np.ones((I, I), np.float32), "c": np.ones(I, np.float32)}
    assert kinds(with_nodes_before(chain, constants)) == []
    assert kinds(with_nodes_before(chain, constants, dims=(6, "batch", I))) == ["time"]
    assert kinds(with_nodes_before(chain, constants, dims=("time", 6, I))) == ["batch"]
    gather = [node("Gather", ["table", "x"], ["z"])]
    table = {"table": np.ones((5, I), np.float32)}
    assert kinds(with_nodes_before(gather, table, dims=("time", 6))) == ["batch"]
    unknown = [node("Tile", ["x", "r"], ["z"])]
    assert kinds(with_nodes_before(unknown, {"r": [1, 1, 1]}, dims=(6, 6, I))) == []
    stated = with_nodes_before(unknown, {"r": [1, 1, 1]}, dims=("time", "batch", I))
    stated.graph.value_info.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["time", 2, I]))
    assert (
        check_onnx(stated).findings[0].message == "the batch axis is frozen: value 'z' has a fixed size of 2"
    )


def test_old_files_list_their_constants_among_the_inputs():
    model = gru_model(replace(GOOD, state="constant"))
    value = helper.make_tensor_value_info("h", TensorProto.FLOAT, [1, 2, H])
    model.graph.input.append(value)
    assert kinds(model) == [], "a default that can be overridden is an input"
    model.ir_version = 3
    assert kinds(model) == ["batch", "state"]


def test_nodes_inside_bodies_and_functions_are_seen():
    model = gru_model(replace(GOOD, reset=0))
    gru = model.graph.node.pop()
    body = helper.make_graph([gru], "body", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    model.graph.node.append(helper.make_node("If", ["x"], ["out"], then_branch=body, else_branch=body))
    assert kinds(model) == ["reset", "reset"]
    function = helper.make_function(
        "d", "F", ["x", "W", "R", "B", "h"], ["y"], [gru], [helper.make_opsetid("", 18)]
    )
    model = gru_model(GOOD)
    model.functions.append(function)
    assert kinds(model) == ["reset"]
    assert check_onnx(model).nodes == 2


def test_a_circle_ends():
    model = gru_model()
    model.graph.node.insert(0, helper.make_node("Relu", ["b"], ["a"]))
    model.graph.node.insert(0, helper.make_node("Relu", ["a"], ["b"]))
    model.graph.node[-1].input[0] = "a"
    model.graph.node[-1].input[5] = "b"
    assert kinds(model) == ["state"]


def test_bad_files(tmp_path):
    with pytest.raises(DataError, match="must be an ONNX file"):
        check_onnx(b"PK\x03\x04 what is this")
    with pytest.raises(DataError, match="no such file"):
        check_onnx(tmp_path / "none.onnx")
