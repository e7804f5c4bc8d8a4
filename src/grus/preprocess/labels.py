"""Labels as tuples of text: one of an example, or several, as cells and as Python values."""

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from grus.errors import DataError
from grus.preprocess.categories import spell
from grus.preprocess.columns import as_column, cell_error, first_row, is_text, is_time
from grus.preprocess.examples import Labels
from grus.preprocess.storage import distinct

LABEL_HINT = "in a CSV file words such as NA and None stand for missing values too"


def label_codes(
    values: np.ndarray, name: str, multi: bool, source: str = "data", missing: bool = False
) -> tuple[list[Any], np.ndarray]:
    """The different labels of a column, each as a tuple (several in the order of the alphabet), and each row's number.

    Args:
        values: text or numbers [R]; with ``multi`` a cell is ``a|b`` or a JSON list, empty for no label at all.
        name: of the column.
        multi: whether a cell may hold several.
        source: the table's name, for messages.
        missing: leave None where a cell is empty, instead of raising.

    Raises:
        DataError: an empty cell, a broken list, or a number with a fraction.
    """
    words, codes = spelled_codes(values, name, source)
    if values.dtype.kind == "f":
        odd = [i for i, word in enumerate(words) if word is not None and not _is_whole(word)]
        if odd:
            row = first_row(np.isin(codes, odd))
            hint = "a classifier learns classes; name the column that holds them"
            raise cell_error(source, row, name, "a label", f"the number {words[codes[row]]}", hint)
    tuples: list[tuple[str, ...] | None] = []
    for number, word in enumerate(words):
        try:
            tuples.append(_labels(word, multi))
        except ValueError:
            row = first_row(codes == number)
            raise cell_error(
                source, row, name, "labels joined by | or a JSON list of them", repr(word)
            ) from None
    if None in tuples and not missing:
        row = first_row(np.isin(codes, [i for i, given in enumerate(tuples) if given is None]))
        raise cell_error(source, row, name, "a label", "an empty cell", LABEL_HINT)
    # Two spellings, such as "a|b" and "b | a", may be the same labels.
    numbers = {given: i for i, given in enumerate(dict.fromkeys(tuples))}
    return list(numbers), np.array([numbers[given] for given in tuples], np.int32)[codes]


def _labels(word: str | None, multi: bool) -> tuple[str, ...] | None:
    if not multi:
        return None if word is None else (word,)
    if word is None:
        return ()
    parts: Iterable[Any] = word.split("|")
    if word.startswith("["):
        parts = json.loads(word)
        if not all(isinstance(part, (str, int)) for part in parts):
            raise ValueError
    return tuple(sorted({str(part).strip() for part in parts} - {""}))


def looks_like_several(values: np.ndarray) -> bool:
    """Whether cells of a label column hold several labels: ``a|b``, or JSON lists of texts."""
    if not is_text(values):
        return False
    words = [word for word in distinct(values)[0] if word]
    return any("|" in word or word.startswith('["') or word == "[]" for word in words)


def spelled_codes(values: np.ndarray, name: str, source: str) -> tuple[list[str | None], np.ndarray]:
    """Different values as text, None for missing (also blank text), and each row's number among them."""
    if is_time(values):
        raise DataError(f"{source}, column {name!r}: expected names or numbers, got dates")
    if is_text(values):
        words, codes = distinct(values)
        return [None if word is None else word.strip() or None for word in words], codes
    found, codes = np.unique(values, return_inverse=True)
    return [spell(value) for value in found.tolist()], codes.astype(np.int32)


def _is_whole(word: str) -> bool:
    return word.lstrip("-").isdecimal()


def labels_of(y: Any, rows: int, multi: bool | None = None) -> tuple[Labels, bool]:
    """Labels given beside the data: text, numbers, or for each example a list of them.

    Args:
        y: a sequence [R], or an array, series or column.
        rows: R.
        multi: whether an example may have several; None: if any is given as a list, tuple or set.

    Returns:
        the labels, and whether there may be several.
    Raises:
        DataError: of another length, or a label that is missing.
    """
    cells = y.tolist() if hasattr(y, "tolist") else list(y)
    if len(cells) != rows:
        raise DataError(f"y: expected {rows:,} labels, one an example, got {len(cells):,}")
    if any(isinstance(cell, (list, tuple, set, frozenset)) for cell in cells) and multi is not False:
        spelled = [None if cell is None else json.dumps(_listed(cell)) for cell in cells]
        words, codes = label_codes(_objects(spelled), "y", True, "y")
        return [words[code] for code in codes.tolist()], True
    values = as_column(_objects(cells), "y", "y")
    multi = looks_like_several(values) if multi is None else multi
    words, codes = label_codes(values, "y", multi, "y")
    return [words[code] for code in codes.tolist()], multi


def _objects(cells: list[Any]) -> np.ndarray:
    out = np.empty(len(cells), object)
    out[:] = cells
    return out


def _listed(cell: Any) -> list[str]:
    cells = cell if isinstance(cell, (list, tuple, set, frozenset)) else [cell]
    return [str(spell(part)) for part in cells]
