"""Labelled examples from files, folders, frames and plain Python data, with a plan of how they were understood."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from grus.data.audio_files import AudioOptions, read_recordings
from grus.data.audio_sets import find_recordings, holds_audio
from grus.data.example_roles import LABELS, infer_example_roles, plan_examples
from grus.data.image_folder import holds_images, read_image_folder, read_images
from grus.data.readers import read_columns
from grus.errors import DataError, UsageError
from grus.preprocess.build_examples import ExampleRoles, build_examples
from grus.preprocess.columns import Columns, Source
from grus.preprocess.examples import Examples
from grus.preprocess.given_examples import (
    examples_of_arrays,
    examples_of_images,
    examples_of_recordings,
    examples_of_texts,
)
from grus.preprocess.labels import labels_of
from grus.preprocess.long_form import lay_out_long
from grus.spec import ClassifyKind, Images, LogMel, Model

MOST_LABELS = 1000
"""More different labels than this are taken for a mistake (an id, free text)."""
_WORDS = {
    "text": "texts",
    "series": "series of numbers",
    "images": "images",
    "events": "a table of events",
    "audio": "recordings",
}


@dataclass(frozen=True)
class Reading:
    """What was read.

    Attributes:
        examples: the data; roles: what it was taken for.
        plan: the same in words, a line each.
    """

    examples: Examples
    roles: ExampleRoles
    plan: list[str]


def read_examples(
    data: Any,
    y: Any = None,
    *,
    kind: ClassifyKind | None = None,
    text: str | None = None,
    label: str | None = None,
    id: str | None = None,
    time: str | None = None,
    columns: Sequence[str] = (),
    multi: bool | None = None,
    long: tuple[str, str] | None = None,
    audio: AudioOptions | None = None,
) -> Reading:
    """Read data to learn from; what is not named is inferred where it is obvious.

    Args:
        data: a path to a CSV, TSV, JSON lines or Parquet file, a frame, a dict of columns or a list of dicts: of
            texts, or long tables of series or events; a folder with a folder of images for each class; a list of
            texts; a list of arrays [T, C] or an array [R, T, C]; an array of images uint8 [R, H, W] or [R, H, W, C];
            with ``kind="audio"`` a folder of recordings, a table with a column of paths, or a list of paths or samples.
        y: labels beside the data: one for each example (of a long table: for each id, in the order they first
            appear), or for each a list of them.
        kind: text, series, images, events or audio.
        text, label, id, time: columns of a table; columns: channels of a series, or the column of codes.
        multi: whether a label cell (``a|b``, or a JSON list) may hold several.
        long: the columns of variables' names and of their values, of series in long form, a measurement a row;
            ``columns`` are then variables.
        audio: how recordings are read.

    Raises:
        DataError: the data cannot be read or understood, or has no labels; UsageError: for options that do not fit.
    """
    named = {"text": text, "label": label, "id": id, "time": time}
    own = Own(audio=audio or AudioOptions(), label=label, labelled=y is None)
    plain = _plain_examples(data, kind, columns, own)
    if plain is not None:
        found, notes, names = *plain, ()
        for name, value in named.items():
            if value is not None and (name, found.kind) != ("label", "audio"):
                raise UsageError(f"{name}: expected a table to find {value!r} in, got {_WORDS[found.kind]}")
        roles = ExampleRoles(found.kind, found.columns, label if found.kind == "audio" else None)
    else:
        if label is not None and y is not None:
            raise UsageError(f"label: expected labels either in a column or as y, got {label!r} and y")
        table, source = _read_table(data, whole=text is not None or kind == "text")
        if long is not None:
            table, source = lay_out_long(table, long, id, time, channels=columns, label=label, source=source)
        try:
            roles = infer_example_roles(
                table, **named, kind=kind, inputs=columns, multi=multi, labelled=y is None, source=source
            )
        except DataError as error:
            lost = [note for note in source.notes if "left out, as" in note]
            raise DataError(str(error), "; ".join(filter(None, [error.hint, *lost]))) from error
        found, notes, names = build_examples(table, roles, source), source.notes, tuple(table)
        if long is not None:
            roles = replace(roles, variable=long[0], value=long[1])
    if y is not None:
        labels, several = labels_of(y, found.rows, multi)
        found, roles = replace(found, labels=labels), replace(roles, multi=several)
    _check_labels(found, roles)
    return Reading(found, roles, [*plan_examples(found, roles, names), *notes])


def read_like(
    data: Any,
    roles: ExampleRoles,
    y: Any = None,
    *,
    labelled: bool = False,
    own: "Own | None" = None,
) -> Examples:
    """Read data for a trained classifier.

    Args:
        data: as in ``read_examples``.
        roles: of the model.
        y: labels beside the data.
        labelled: whether labels are needed; without them a column of labels is not read.
        own: what the model reads, see `own_of`.

    Raises:
        DataError: the data is of another kind, lacks a column, or has no labels where they are needed.
    """
    own = replace(own or Own(), label=roles.label, labelled=labelled and y is None)
    plain = _plain_examples(data, roles.kind, roles.inputs, own)
    if plain is not None:
        found = plain[0]
        if own.say is not None:
            own.say(plain[1])
    else:
        table, source = _read_table(data, whole=roles.kind == "text")
        wanted = roles if labelled and y is None else replace(roles, label=None)
        if roles.kind == "text" and roles.id not in table:
            wanted = replace(wanted, id=None)
        found = build_examples(table, wanted, source)
    if y is not None:
        return replace(found, labels=labels_of(y, found.rows, roles.multi)[0])
    if labelled and found.labels is None:
        raise DataError("data: expected labels to compare with, got none", "give them as y")
    return found if labelled else replace(found, labels=None)


@dataclass(frozen=True)
class Own:
    """How images and recordings are read: for a trained model, as it was trained on them.

    Attributes:
        shape: height, width and channels of images; None: those of the first.
        audio: how recordings are read.
        label: the column of labels in a table of recordings; labelled: whether it is needed.
        say: told what was noticed.
    """

    shape: tuple[int, int, int] | None = None
    audio: AudioOptions = field(default_factory=AudioOptions)
    label: str | None = None
    labelled: bool = False
    say: Callable[[Sequence[str]], None] | None = None


def own_of(model: Model, say: Callable[[Sequence[str]], None] | None = None) -> Own:
    """How a model's images or recordings are read; ``say`` is told what was noticed."""
    images: Images | None = model.step(Images)
    sound: LogMel | None = model.step(LogMel)
    shape = None if images is None else (images.height, images.width, images.channels)
    return Own(shape, AudioOptions() if sound is None else audio_of(sound), say=say)


def own_like(examples: Examples, least: float = 0.0) -> Own:
    """Images or recordings as these were read; a recording must have ``least`` seconds."""
    shape = None if examples.images is None else examples.images.shape[1:]
    return Own(shape, AudioOptions(examples.rate, least=least))  # type: ignore[arg-type]


def audio_of(step: LogMel) -> AudioOptions:
    """How a model's recordings are read."""
    return AudioOptions(step.rate, least=step.window / step.rate)


def is_table(data: Any) -> bool:
    """Whether data has names: a path, a frame, columns or records, and not a list of texts or arrays of numbers."""
    if isinstance(data, (str, Path, Mapping)):
        return True
    if isinstance(data, Sequence):
        return bool(data) and isinstance(data[0], Mapping)
    return not hasattr(data, "__array__") or hasattr(data, "columns") or hasattr(data, "column_names")


def _check_labels(examples: Examples, roles: ExampleRoles) -> None:
    if examples.labels is None:
        raise DataError("data: expected labels to learn from, got none", "give them as y")
    known = {name for given in examples.labels for name in given}
    where = f"column {roles.label!r}" if roles.label else "labels"
    if len(known) > MOST_LABELS:
        raise DataError(
            f"{where}: expected at most {MOST_LABELS:,} different labels, got {len(known):,}",
            "name the column of labels, or group the rare ones",
        )
    if len(known) < (1 if roles.multi else 2):
        got = f"only {next(iter(known))!r}" if known else "none"
        raise DataError(f"{where}: expected at least two different labels, got {got}")


def _read_table(data: Any, whole: bool) -> tuple[Columns, Source]:
    """A table's columns, cells that are lists spelled as JSON text; ``whole``: in memory, as texts must be."""
    if isinstance(data, Mapping):
        data = {name: _spell_lists(values) for name, values in data.items()}
    elif isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        data = [{k: _spell(v) for k, v in row.items()} if isinstance(row, Mapping) else row for row in data]
    elif not isinstance(data, Path | str):
        data = _flat_frame(data)
    return read_columns(data, memory_limit=sys.maxsize if whole else None)


def _spell(cell: Any) -> Any:
    """A list of labels as JSON text, anything else as it is."""
    if not isinstance(cell, (list, tuple, set, frozenset)):
        return cell
    parts = sorted(cell, key=str) if isinstance(cell, (set, frozenset)) else cell
    return json.dumps([part if isinstance(part, int) else str(part) for part in parts], ensure_ascii=False)


def _spell_lists(values: Any) -> Any:
    if not isinstance(values, (list, tuple)) or not any(isinstance(v, (list, tuple, set)) for v in values):
        return values
    cells = np.empty(len(values), object)
    cells[:] = [_spell(value) for value in values]
    return cells


def _flat_frame(frame: Any) -> Any:
    """A frame whose columns of lists hold JSON text instead; anything else as it is."""
    import narwhals as nw

    table = nw.from_native(frame, pass_through=True)
    if isinstance(table, nw.LazyFrame):
        table = table.collect()
    if not isinstance(table, nw.DataFrame):
        return frame
    for name in table.columns:
        if table[name].dtype in (nw.List, nw.Object):
            cells = [
                cell.tolist() if isinstance(cell, np.ndarray) else cell for cell in table[name].to_list()
            ]
            if any(isinstance(cell, (list, tuple, set)) for cell in cells):
                spelled = nw.new_series(name, [*map(_spell, cells)], nw.String, backend=table.implementation)
                table = table.with_columns(spelled)
    return table.to_native()


def _plain_examples(
    data: Any,
    kind: ClassifyKind | None,
    columns: Sequence[str],
    own: Own,
) -> tuple[Examples, tuple[str, ...]] | None:
    """Examples from data that is no table, with notes; None for a table."""
    if isinstance(data, (str, Path)):
        path = Path(data)
        if kind == "audio" or (kind is None and path.exists() and holds_audio(path)):
            return _recordings(path, own)
        if kind == "images" or (kind is None and path.exists() and holds_images(path)):
            return _images(path, own.shape)
        return None
    if isinstance(data, Sequence) and data and isinstance(data[0], (str, Path)) and kind == "images":
        images, notes = read_images([Path(file) for file in data], own.shape)
        return replace(examples_of_images(images), ids=np.array([str(f) for f in data], object)), notes
    if kind == "audio":
        return _given_recordings(data, own.audio)
    if is_table(data):
        return None
    array = np.asarray(data) if hasattr(data, "__array__") else None
    if array is not None and array.dtype.kind in "OU" and array.ndim == 1 and len(array):
        data, array = array.tolist(), None
    if array is not None:
        found = _of_array(array, kind, columns)
    else:
        if not data:
            raise DataError("data: expected examples, got an empty list")
        text = data[0] is None or isinstance(data[0], str)
        found = examples_of_texts(data) if text else examples_of_arrays(data, columns=columns or None)
    if kind not in (None, found.kind):
        raise DataError(f"data: expected {_WORDS[kind]}, got {_WORDS[found.kind]}")
    return found, ()


def _of_array(array: np.ndarray, kind: ClassifyKind | None, columns: Sequence[str]) -> Examples:
    if kind == "images" or array.ndim == 4 or (array.dtype == np.uint8 and array.ndim == 3):
        return examples_of_images(array)
    if array.ndim not in (2, 3):
        raise DataError(f"data: expected an array [rows, steps, channels], got shape {array.shape}")
    return examples_of_arrays(array, columns=columns or None)


def _recordings(path: Path, own: Own) -> tuple[Examples, tuple[str, ...]]:
    """Recordings of a folder, a table of paths or a file."""
    found = find_recordings(path, LABELS, own.label, own.labelled)
    read = read_recordings(found.files, own.audio, str(path))
    names, kept = np.array(found.names, object), read.kept
    labels = None if found.words is None else [(found.words[i].strip(),) for i in kept]
    examples = Examples(
        "audio", len(kept), ids=names[kept], labels=labels, offsets=read.offsets, samples=read.samples,
        rate=read.rate,
    )  # fmt: skip
    return examples, (*found.notes, *read.notes)


def _given_recordings(data: Any, options: AudioOptions) -> tuple[Examples, tuple[str, ...]]:
    """Recordings from a list of paths, or of samples at the rate that was named."""
    if isinstance(data, Mapping) or not isinstance(data, Sequence | np.ndarray) or not len(data):
        raise DataError("data: expected recordings: a folder, a table, or a list of paths or samples")
    if isinstance(data[0], str | Path):
        files = [Path(file) for file in data]
        read = read_recordings(files, options, "data")
        if len(read.kept) < len(files):
            raise UsageError("skip_bad: must be False where files are listed, whose order is that of y")
        names = np.array([str(file) for file in data], object)
        return Examples(
            "audio", len(files), ids=names, offsets=read.offsets, samples=read.samples, rate=read.rate
        ), read.notes
    if options.rate is None:
        raise UsageError("rate: must be named where recordings are given as samples, got None")
    found = examples_of_recordings(list(data), options.rate)
    assert found.offsets is not None
    short = np.flatnonzero(np.diff(found.offsets) < options.least * options.rate)
    if len(short):
        raise DataError(
            f"data, row {short[0]} (counting from 0): expected at least {1000 * options.least:g} ms of samples, one "
            f"frame, got {np.diff(found.offsets)[short[0]]:,} samples"
        )
    return found, ()


def _images(path: Path, shape: tuple[int, int, int] | None) -> tuple[Examples, tuple[str, ...]]:
    folder = read_image_folder(path, shape)
    labels = None if folder.labels is None else [(name,) for name in folder.labels]
    ids = np.array(folder.names, object)
    return replace(examples_of_images(folder.images), ids=ids, labels=labels), folder.notes
