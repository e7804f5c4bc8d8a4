"""Reading other people's ONNX files: the entrances that ask for the package ``onnx`` first."""

from typing import Any

from grus.export.network import Network
from grus.export.onnx_format.extras import need
from grus.export.onnx_format.findings import OnnxCheck


def check_onnx(source: Any) -> OnnxCheck:
    """Look for GRU nodes in an ONNX file that are probably wrong.

    Four things are looked for. ``reset``: linear_before_reset is 0 although the file's writer is PyTorch (whose GRU is
    1), or writes Keras layers and there is a recurrent bias (which Keras has only where it is 1), or is anyone else but
    Grus and the candidate has two biases that are not zero (which have a separate effect only where it is 1).
    ``batch`` and ``time``: the axis has a fixed size, in the input, by a Reshape on the way, or by a constant initial
    state. ``state``: a node that runs forward has an initial state that is no input.

    Args:
        source: a path, the bytes of a file, or a ModelProto.

    Raises:
        DataError: it cannot be read, is too large, or is no ONNX model.
        MissingExtraError: onnx is not installed.
    """
    need("onnx")
    from grus.export.onnx_format.check import check

    return check(source)


def from_onnx(source: Any, node: str = "") -> Network:
    """Take the GRU of an ONNX file, with its weights, as a network.

    Args:
        source: a path, the bytes of a file, or a ModelProto.
        node: the name of a GRU node; empty: the only one, or all of them if they stand one on the other, as the layers
            of one GRU.

    Returns:
        A network with the input ``x`` and the outputs ``out`` and ``state``, batch first.

    Raises:
        DataError: it cannot be read, or its weights do not fit together.
        UsageError: there is no such node, or several and none was named.
        UnsupportedError: the node is a GRU of a kind that the spec has not (other activations, clipping, only
            backwards), or its weights are not constants of the file.
        MissingExtraError: onnx is not installed.
    """
    need("onnx")
    from grus.export.onnx_format.importing import read_gru

    return read_gru(source, node)
