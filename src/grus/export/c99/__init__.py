"""A model as C99: one header and one source, no allocation, no library but libm.

`export_c` writes the files; what stands in them is made by `grus.export.c99.program` from the spec.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from grus.errors import UnsupportedError
from grus.spec import Model

Precision = Literal["float32", "int8"]

#: The flash of large microcontrollers.
LIMIT_BYTES = 2 << 20


@dataclass(frozen=True)
class CReport:
    """What was written, what it needs, and whether it was proved.

    Attributes:
        header, source: the files.
        precision: of the weights.
        flash_bytes: constants; the code comes to some kilobytes more.
        ram_bytes: the state of one stream, working memory included.
        multiplies: by function, e.g. ``{"model_step": 12345}``.
        proof: one sentence for people: by which compiler, and how large the greatest difference was, or why not.
        proved: whether the files were compiled and compared with the runtime.
        notes: sentences for people on what the caller must know.
    """

    header: Path
    source: Path
    precision: Precision
    flash_bytes: int
    ram_bytes: int
    multiplies: dict[str, int]
    proof: str
    proved: bool
    notes: tuple[str, ...] = ()


def export_c(
    model: Model,
    tensors: Mapping[str, np.ndarray],
    folder: Path,
    *,
    name: str = "model",
    precision: Precision = "float32",
    limit_bytes: int = LIMIT_BYTES,
    force: bool = False,
) -> CReport:
    """Write ``<name>.h`` and ``<name>.c`` into ``folder``, after compiling them and comparing them with the runtime.

    Raises:
        UnsupportedError: the model has an op that C99 cannot run, or is larger than ``limit_bytes`` of constants.
        UsageError: ``name`` is not a C identifier.
        ModelFolderError: the files exist and ``force`` is false, or cannot be written.
        GrusError: the compiled files give other numbers than the runtime; nothing is written.
    """
    raise UnsupportedError("export: C99 is not written yet")
