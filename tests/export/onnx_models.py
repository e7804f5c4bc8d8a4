"""ONNX models with GRU nodes as other exporters write them, made by hand."""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper, numpy_helper

I, H = 3, 4  # noqa: E741


@dataclass(frozen=True)
class Written:
    """What an exporter may have written; the defaults are a file with nothing wrong."""

    producer: str = "pytorch"
    reset: int | None = 1
    direction: str = "forward"
    bias: str = "both"
    batch: object = "batch"
    time: object = "time"
    state: str = "input"
    batch_first: bool = False
    seed: int = 0


def weights(written):
    rng = np.random.default_rng(written.seed)
    d = 2 if written.direction == "bidirectional" else 1
    w, r, b = (rng.uniform(-1, 1, (d, *s)).astype(np.float32) for s in ((3 * H, I), (3 * H, H), (6 * H,)))
    if written.bias == "input":
        b[:, 3 * H :] = 0
    return w, r, b


def gru_model(written=Written(), **attributes):
    """x (and h) -> y, h_n; ``state`` is input, none, constant or zeros (of the batch of x)."""
    w, r, b = weights(written)
    d = len(w)
    info, nodes, x = helper.make_tensor_value_info, [], "x"
    axes = [written.batch, written.time] if written.batch_first else [written.time, written.batch]
    inputs = [info("x", TensorProto.FLOAT, [*axes, I])]
    constants = [numpy_helper.from_array(a, n) for a, n in ((w, "W"), (r, "R"), (b, "B"))]
    if written.batch_first:
        nodes.append(helper.make_node("Transpose", ["x"], ["x_t"], perm=[1, 0, 2]))
        x = "x_t"
    state = "" if written.state == "none" else "h"
    if written.state == "input":
        inputs.append(info("h", TensorProto.FLOAT, [d, written.batch, H]))
    elif written.state == "constant":
        constants.append(numpy_helper.from_array(np.zeros((d, 2, H), np.float32), "h"))
    elif written.state == "zeros":
        constants.append(numpy_helper.from_array(np.array([d]), "d"))
        constants.append(numpy_helper.from_array(np.array([H]), "hidden"))
        nodes.append(helper.make_node("Shape", [x], ["rows"], start=1, end=2))
        nodes.append(helper.make_node("Concat", ["d", "rows", "hidden"], ["shape"], axis=0))
        nodes.append(helper.make_node("ConstantOfShape", ["shape"], ["h"]))
    if written.reset is not None:
        attributes = {"linear_before_reset": written.reset, **attributes}
    bias = "" if written.bias == "none" else "B"
    nodes.append(
        helper.make_node(
            "GRU", [x, "W", "R", bias, "", state], ["y", "h_n"], name="gru", hidden_size=H,
            direction=written.direction, **attributes,
        )
    )  # fmt: skip
    used = [c for c in constants if any(c.name in node.input for node in nodes)]
    outputs = [info("y", TensorProto.FLOAT, [None] * 4), info("h_n", TensorProto.FLOAT, [None] * 3)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, used)
    return helper.make_model(
        graph, producer_name=written.producer, opset_imports=[helper.make_opsetid("", 18)], ir_version=8
    )
