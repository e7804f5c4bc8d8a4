"""A model as C99: one header and one source, no allocation, no library but libm.

`export_c` writes the files; what stands in them is made by `grus.export.c99.program` from the spec.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grus.artifact import write_file
from grus.errors import ModelFolderError, SpecError, UnsupportedError, UsageError
from grus.export.c99.builder import Precision
from grus.export.c99.classifier import classifier_program
from grus.export.c99.detector import detector_program
from grus.export.c99.forecaster import forecaster_program
from grus.export.c99.generator import GeneratorTrial, generator_program
from grus.export.c99.program import Program
from grus.export.c99.proof import Proof, Trial, prove
from grus.export.c99.text import check_name
from grus.export.c99.trials import ClassifierTrial, DetectorTrial, ForecasterTrial
from grus.spec import Classify, CovariateScale, Detect, Forecast, Generate, LogMel, Model, SeriesScale

#: The flash of large microcontrollers.
LIMIT_BYTES = 2 << 20

#: A float has 2^-24 of its value: at a center of so many scales that is 0.6% of a scale.
_COARSE = 1e5


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
    folder: str | Path,
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
    check_name(name)
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ModelFolderError(f"{folder}: must be a folder, got a file")
    files = [folder / f"{name}.{ending}" for ending in ("h", "c")]
    for file in files:
        if file.exists() and not force:
            raise ModelFolderError(
                f"{file}: already exists, and nothing is overwritten unasked",
                hint="name another folder, or add --force to replace it",
            )
    weights = sum(value.size for key, value in tensors.items() if key.startswith("main."))
    _refuse_large(
        weights * (1 if precision == "int8" else 4), limit_bytes, precision
    )  # before it is all spelled
    program = _program(model, tensors, name, precision)
    unit = program.unit
    _refuse_large(unit.flash, limit_bytes, precision)
    trial = _KINDS[type(model.task)][1](model, tensors, program)
    proof = prove(program, trial, tensors)
    _write(folder, dict(zip(files, (program.header(), program.source()))))
    multiplies = {f"{name}_{f.verb}": f.multiplies for f in program.functions if f.multiplies}
    return CReport(
        files[0],
        files[1],
        precision,
        unit.flash,
        unit.ram,
        multiplies,
        _sentence(proof, precision),
        bool(proof.compiler),
        _notes(model, tensors),
    )


#: By task: what makes the program, and what it is tried on.
_KINDS: dict[type[Any], tuple[Callable[..., Program], Callable[..., Trial]]] = {
    Forecast: (forecaster_program, ForecasterTrial),
    Classify: (classifier_program, ClassifierTrial),
    Generate: (generator_program, GeneratorTrial),
    Detect: (detector_program, DetectorTrial),
}


def _program(model: Model, tensors: Mapping[str, np.ndarray], name: str, precision: Precision) -> Program:
    if precision not in ("float32", "int8"):
        raise UsageError(f"export: precision must be float32 or int8, got {precision!r}")
    if set(model.parts) != {"main"}:
        raise UnsupportedError("export: a model of two parts cannot run on back end 'c'")
    for key, value in tensors.items():
        if not np.isfinite(value).all():
            raise SpecError(f"model: tensor {key!r} must be finite to be exported, got NaN or infinity")
    if model.step(LogMel) is not None:
        raise UnsupportedError(
            "export: a model of recordings cannot be written in C yet: its network could, but not its log-mel frames",
            hint="export --to onnx writes the network; grus.load(folder) runs all of it without torch",
        )
    return _KINDS[type(model.task)][0](model, tensors, name, precision)


def _refuse_large(size: int, limit: int, precision: str) -> None:
    if size > limit:
        smaller = "" if precision == "int8" else "; int8 weights take a quarter"
        raise UnsupportedError(
            f"export: the constants must fit into {limit:,} bytes, got {size:,} in {precision}{smaller}",
            hint="train a smaller model (--hidden-size), or allow more if the device has more",
        )


def _notes(model: Model, tensors: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """What a row in float loses before the network sees it."""
    found: list[str] = []
    for step in model.preprocess:
        names = (
            step.columns
            if isinstance(step, CovariateScale)
            else step.ids
            if isinstance(step, SeriesScale)
            else ()
        )
        what = "column" if isinstance(step, CovariateScale) else "series"
        for name, center, scale in zip(
            names, *(tensors[f"preprocess.{step.key}.{p}"] for p in step.arrays())
        ):
            if abs(center) > _COARSE * scale:
                found.append(
                    f"{what} {name!r}: values near {center:.3g} that differ by {scale:.3g} lose digits in a float; "
                    "subtract a constant before training"
                )
    return tuple(found)


def _sentence(proof: Proof, precision: str) -> str:
    if not proof.compiler:
        return "not proved: no C compiler (cc, gcc or clang) was found to compile the files and compare them"
    said = (
        f"compiled by {proof.compiler} and compared with the runtime on {proof.outputs:,} random outputs of up to "
        f"{proof.size:.3g}: greatest difference {proof.error:.1e}"
    )
    return said + (
        f"; 8-bit weights move them by at most {proof.quantisation:.1e}" if precision == "int8" else ""
    )


def _write(folder: Path, texts: Mapping[Path, str]) -> None:
    """Put the files in place, each whole; a header of another export beside a source does not compile."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            write_file(path, text.encode("ascii"))
    except OSError as error:
        raise ModelFolderError(f"{folder}: cannot be written: {error.strerror or error}") from error
