"""Sentences with their translations: parallel files, tables with a column a language, or lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grus.data.lines import read_lines
from grus.data.readers import read_columns
from grus.errors import DataError, UsageError
from grus.preprocess.columns import Columns, is_text, listed, missing_column

SOURCES = ("source", "src", "source_text", "input")
TARGETS = ("target", "tgt", "trg", "target_text", "translation", "output")
#: Lines that are named of those left out.
_SHOWN = 3


@dataclass(frozen=True)
class Pairs:
    """Sentences and their translations, in order.

    Attributes:
        source, target: as many texts each.
        names: of the two sides: columns, or what the names of parallel files end in.
        origin: what to call the data in messages.
        notes: what was noticed on reading it.
    """

    source: list[str]
    target: list[str]
    names: tuple[str, str]
    origin: str = "data"
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.source)

    def take(self, rows: Sequence[int] | np.ndarray) -> "Pairs":
        """Some of the pairs."""
        return Pairs(
            [self.source[row] for row in rows], [self.target[row] for row in rows], self.names, self.origin
        )


def read_pairs(data: Any, target: Any = None, names: tuple[str | None, str | None] = (None, None)) -> Pairs:
    """Read sentences with their translations; none is left out.

    Args:
        data: with ``target``, a path of a text file with a sentence a line, or a list of texts; without, a path of a
            CSV, TSV, JSON lines or Parquet file, a frame, columns or records.
        target: the other text file, or list.
        names: the columns of the source and of the target; inferred where obvious.

    Raises:
        DataError: files of different lengths (the first line without a partner is named), text that is no text, a
            column that is missing or not obvious. UsageError: one side is a file and the other a list.
    """
    if target is None:
        return _read_table(data, names)
    if isinstance(data, str | Path) != isinstance(target, str | Path):
        raise UsageError("source and target must both be paths or both be lists of texts, got one of each")
    if isinstance(data, str | Path):
        return _read_files(Path(data), Path(target), names)
    sides = [_texts(side, which) for side, which in ((data, "source"), (target, "target"))]
    if len(sides[0]) != len(sides[1]):
        raise DataError(
            f"source and target: expected as many texts in each, got {len(sides[0]):,} and {len(sides[1]):,}"
        )
    return Pairs(sides[0], sides[1], (names[0] or "source", names[1] or "target"))


def drop_empty(pairs: Pairs) -> tuple[Pairs, str]:
    """The pairs of which both sides hold something, and a sentence on the others, empty if there are none."""
    full = [row for row in range(len(pairs)) if pairs.source[row].strip() and pairs.target[row].strip()]
    if len(full) == len(pairs):
        return pairs, ""
    there = set(full)
    lost = [row + 1 for row in range(len(pairs)) if row not in there]
    which = ", ".join(f"{row:,}" for row in lost[:_SHOWN]) + (", ..." if len(lost) > _SHOWN else "")
    word = "pair with an empty side is" if len(lost) == 1 else "pairs with an empty side are"
    return pairs.take(full), f"{len(lost):,} {word} left out of {pairs.origin} (number {which})"


def _read_files(source: Path, target: Path, names: tuple[str | None, str | None]) -> Pairs:
    ours, theirs = read_lines(source), read_lines(target)
    if len(ours) != len(theirs):
        longer, first = (source, len(theirs)) if len(ours) > len(theirs) else (target, len(ours))
        raise DataError(
            f"{source.name} and {target.name}: expected as many lines in each, got {len(ours):,} and {len(theirs):,}: "
            f"line {first + 1:,} of {longer.name} is the first without a partner"
        )
    if not ours:
        raise DataError(f"{source.name} and {target.name}: expected sentences, got no lines")
    endings = [_ending(path) for path in (source, target)]
    if endings[0] == endings[1]:
        endings = ["source", "target"]
    return Pairs(
        ours, theirs, (names[0] or endings[0], names[1] or endings[1]), f"{source.name} and {target.name}"
    )


def _ending(path: Path) -> str:
    """What a name ends in: ``en`` of train.en and train.en.gz."""
    return Path(path.stem if path.suffix == ".gz" else path.name).suffix.removeprefix(".") or path.name


def _read_table(data: Any, names: tuple[str | None, str | None]) -> Pairs:
    columns, origin = read_columns(data)
    source, target = _roles(columns, names, origin)
    if source == target:
        raise UsageError(f"source and target must be two columns, got {source!r} for both")
    sides = []
    for name in (source, target):
        if not is_text(columns[name]):
            raise DataError(f"{origin}: column {name!r} must hold text, got numbers or dates")
        sides.append(["" if text is None else str(text) for text in columns[name].tolist()])
    if not sides[0]:
        raise DataError(f"{origin}: expected pairs of sentences, got no rows")
    return Pairs(sides[0], sides[1], (source, target), str(origin), tuple(getattr(origin, "notes", ())))


def _roles(columns: Columns, names: tuple[str | None, str | None], origin: str) -> tuple[str, str]:
    """The columns that were named, else those called so, else the only two (or the only other one) of text."""
    for name in names:
        if name is not None and name not in columns:
            raise missing_column(name, columns, origin)
    texts = [name for name in columns if is_text(columns[name])]
    found: list[str | None] = list(names)
    for side, known in enumerate((SOURCES, TARGETS)):
        if found[side] is None:
            found[side] = next((n for n in texts if n.lower() in known and n not in found), None)
    rest = [name for name in texts if name not in found]
    missing = [side for side in (0, 1) if found[side] is None]
    if missing and len(rest) != len(missing):
        raise DataError(
            f"{origin}: expected a column of source texts and one of target texts, got {listed(columns)}",
            "name them with source and target",
        )
    for side, name in zip(missing, rest):
        found[side] = name
    return str(found[0]), str(found[1])


def _texts(given: Any, which: str) -> list[str]:
    texts = given.tolist() if hasattr(given, "tolist") else list(given)
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"{which}, text {number}: expected text, got {type(text).__name__}")
    return texts
