"""The model folder: ``config.json`` (the spec) and ``model.safetensors`` (its numbers); ``report/`` is for people.

Written whole or not at all, and read as hostile input: sizes are capped before anything is allocated, every tensor's
name, dtype and shape must be what the spec says, and a checksum ties the two files together. No pickle.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import safetensors.numpy

from grus.artifact.atomic import new_folder
from grus.errors import ModelFolderError, SpecError
from grus.spec import SCHEMA, Model

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
FORMAT = "grus-model"
MAX_CONFIG_BYTES = 64 << 20
MAX_HEADER_BYTES = 16 << 20

Tensors = dict[str, np.ndarray]


def save_model(
    folder: str | Path,
    model: Model,
    tensors: Mapping[str, np.ndarray],
    *,
    force: bool = False,
    extras: Callable[[Path], None] | None = None,
) -> Path:
    """Write a model folder atomically and return its path.

    Args:
        folder: where; must not exist unless ``force``.
        model: the spec.
        tensors: exactly the tensors that ``model.tensors()`` lists.
        force: replace an existing model folder.
        extras: called with the folder while it is still invisible, to add what is for people (``report/``).

    Raises:
        ModelFolderError: if the folder exists, cannot be written, or the tensors are not the spec's.
    """
    target = Path(folder)
    _check_tensors(str(target), model, {k: (v.dtype.name, v.shape) for k, v in tensors.items()})
    _check_finite(str(target), tensors)
    weights = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in tensors.items()})
    config = {
        "format": FORMAT,
        "schema": SCHEMA,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "model": msgspec.to_builtins(model),
    }
    with new_folder(target, force) as work:
        (work / CONFIG).write_text(json.dumps(config, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        (work / WEIGHTS).write_bytes(weights)
        if extras is not None:
            extras(work)
    return target


def load_model(folder: str | Path) -> tuple[Model, Tensors]:
    """Read a model folder and return its spec and its tensors (read-only arrays).

    Raises:
        ModelFolderError: if the folder is missing, truncated, foreign, of a newer schema, or was tampered with.
    """
    path = Path(folder)
    config = _read_config(path)
    model = _model_of(path, config)
    weights = _read_weights(path, model)
    if hashlib.sha256(weights).hexdigest() != config.get("weights_sha256"):
        raise ModelFolderError(
            f"{path / WEIGHTS}: does not belong to the {CONFIG} beside it (checksums differ)",
            hint="copy the whole folder again, or save the model again",
        )
    try:
        tensors = safetensors.numpy.load(weights)
    except safetensors.SafetensorError as error:
        raise ModelFolderError(f"{path / WEIGHTS}: damaged: {error}") from None
    _check_finite(str(path / WEIGHTS), tensors)
    for array in tensors.values():
        array.flags.writeable = False
    return model, tensors


def _read_config(path: Path) -> dict[str, Any]:
    file = path / CONFIG
    if not path.exists():
        raise ModelFolderError(f"{path}: no such model folder", hint="grus fit makes one; check the path")
    if not file.is_file():
        raise ModelFolderError(
            f"{path}: not a model folder (no {CONFIG} in it)", hint="name the folder grus fit wrote"
        )
    if file.stat().st_size > MAX_CONFIG_BYTES:
        raise ModelFolderError(f"{file}: must be at most {MAX_CONFIG_BYTES} bytes, got {file.stat().st_size}")
    try:
        text = file.read_text(encoding="utf-8")
        config = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
        if "\\ud" in text.lower():  # half of a surrogate pair is no character, and could not be written again
            json.dumps(config, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ModelFolderError(
            f"{file}: not readable as JSON: {reason}", hint="the file is damaged or truncated"
        ) from None
    except OSError as error:
        raise ModelFolderError(f"{file}: cannot be read: {error.strerror}") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ModelFolderError(f"{file}: not a Grus model (its format must be {FORMAT!r})")
    return config


def _model_of(path: Path, config: dict[str, Any]) -> Model:
    schema = config.get("schema")
    if isinstance(schema, int) and not isinstance(schema, bool) and schema > SCHEMA:
        raise ModelFolderError(
            f"{path / CONFIG}: written by a newer Grus (schema {schema}; this one reads up to {SCHEMA})",
            hint="pip install --upgrade grus",
        )
    unknown = set(config) - {"format", "schema", "weights_sha256", "model"}
    if schema != SCHEMA or unknown:
        what = (
            f"unknown field {sorted(unknown)[0]!r}" if unknown else f"schema must be {SCHEMA}, got {schema!r}"
        )
        raise ModelFolderError(f"{path / CONFIG}: {what}")
    try:
        return msgspec.convert(config.get("model"), Model)
    except (msgspec.ValidationError, SpecError, RecursionError) as error:
        raise ModelFolderError(f"{path / CONFIG}: {error}") from None


def _read_weights(path: Path, model: Model) -> bytes:
    """Read the tensor file after checking its header against the spec, before the bulk of it is in memory."""
    file = path / WEIGHTS
    if not file.is_file():
        raise ModelFolderError(
            f"{path}: {WEIGHTS} is missing", hint="the folder was copied or written incompletely"
        )
    size = file.stat().st_size
    with file.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if length > min(size - 8, MAX_HEADER_BYTES):
            raise ModelFolderError(
                f"{file}: truncated or foreign (a header of {length} bytes in a file of {size})"
            )
        raw = handle.read(length)
        try:
            header = json.loads(raw, object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
            header.pop("__metadata__", None)
            found = {name: (_DTYPES[entry["dtype"]], tuple(entry["shape"])) for name, entry in header.items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ModelFolderError(f"{file}: its header is not that of a Grus model") from None
        _check_tensors(str(file), model, found)
        expected = sum(np.dtype(dtype).itemsize * int(np.prod(shape)) for dtype, shape in found.values())
        if size != 8 + length + expected:
            raise ModelFolderError(f"{file}: truncated: must be {8 + length + expected} bytes, got {size}")
        return length.to_bytes(8, "little") + raw + handle.read()


_DTYPES = {"F32": "float32", "F64": "float64"}


def _check_tensors(where: str, model: Model, found: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
    wanted = model.tensors()
    for name, (dtype, shape) in wanted.items():
        if name not in found:
            raise ModelFolderError(f"{where}: tensor {name!r} is missing")
        if found[name] != (dtype, shape):
            got = f"{found[name][0]} {list(found[name][1])}"
            raise ModelFolderError(f"{where}: tensor {name!r} must be {dtype} {list(shape)}, got {got}")
    for name in found:
        if name not in wanted:
            raise ModelFolderError(f"{where}: tensor {name!r} does not belong to this model")


def _check_finite(where: str, tensors: Mapping[str, np.ndarray]) -> None:
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise ModelFolderError(f"{where}: tensor {name!r} must be finite, got NaN or infinity in it")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise ValueError(f"key {twice!r} stands twice")
    return found


def _no_constants(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")


__all__ = ["CONFIG", "WEIGHTS", "Tensors", "load_model", "save_model"]
