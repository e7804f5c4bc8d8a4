"""The adaptive softmax in ONNX; see `ops` beside this for what a lowering is."""

from grus.export.onnx_format.build import Builder
from grus.export.onnx_format.lowering import Call, Lowering, Values


def adaptive_softmax(to: Lowering, call: Call) -> Values:
    """Lower `grus.spec.ops.AdaptiveSoftmax`: a LogSoftmax of the head and one of every cluster, side by side."""
    b, first = to.b, call.op.cutoffs[0]
    head = b.add("LogSoftmax", _product(b, call, "weight", "bias", call.x.name), axis=-1)
    parts = [b.slice(head, 0, first, -1)]
    for k in range(len(call.op.cutoffs)):
        narrow = _product(b, call, f"projection_{k}", "", call.x.name)
        rest = b.add("LogSoftmax", _product(b, call, f"weight_{k}", f"bias_{k}", narrow), axis=-1)
        parts.append(b.add("Add", rest, b.slice(head, first + k, first + k + 1, -1)))
    return call.out(b.add("Concat", *parts, axis=-1))


def _product(b: Builder, call: Call, weight: str, bias: str, x: str) -> str:
    """W x + b at every step."""
    w = call.weights
    y = b.add("MatMul", x, b.const(w[weight].T, "float32", f"{call.name}.{weight}"))
    return b.add("Add", y, b.const(w[bias], "float32", f"{call.name}.{bias}")) if bias in w else y
