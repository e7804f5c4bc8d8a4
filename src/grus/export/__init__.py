"""Networks to and from other formats: ONNX out and in, C99 out, weights of other libraries in.

`onnx` and `export_c` write files that were proved against the runtime; `check_onnx` looks at any ONNX file;
`from_torch`, `from_keras`, `from_onnx` and `from_concatenated` make a `Network` of trained weights. Torch modules and
Keras layers are read without importing their library.
"""

from grus.export.c99 import CReport, export_c
from grus.export.network import Network
from grus.export.onnx_format.entrances import check_onnx, from_onnx
from grus.export.onnx_format.exporting import OnnxFile, onnx
from grus.export.onnx_format.findings import Finding, OnnxCheck
from grus.export.weights import from_concatenated, from_keras, from_torch

__all__ = [
    "CReport",
    "Finding",
    "Network",
    "OnnxCheck",
    "OnnxFile",
    "check_onnx",
    "export_c",
    "from_concatenated",
    "from_keras",
    "from_onnx",
    "from_torch",
    "onnx",
]
