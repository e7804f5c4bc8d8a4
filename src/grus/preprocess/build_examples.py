"""From the columns of a table to labelled examples; NumPy only, so that a trained model can do it too."""

from dataclasses import dataclass

import numpy as np

from grus.errors import DataError, UsageError
from grus.preprocess.categories import spell
from grus.preprocess.columns import (
    Columns,
    as_numbers,
    as_source,
    cell_error,
    first_row,
    is_text,
    is_time,
    missing_column,
)
from grus.preprocess.examples import Examples, Labels
from grus.preprocess.grid import group, label
from grus.preprocess.labels import LABEL_HINT, label_codes, spelled_codes
from grus.preprocess.long_form import lay_out_long
from grus.preprocess.times import as_times, time_column, time_parts
from grus.spec import ClassifyKind

DAY = 86_400 * 10**9
"""Nanoseconds."""


@dataclass(frozen=True)
class ExampleRoles:
    """What a classifier reads, and under which names; the fields of the same names in ``Classify``.

    Attributes:
        kind: text, series, images or events.
        inputs: the text column; the channels of a series; the column of codes; none for images.
        label: the column of labels, None where there is none.
        id: names the example that a row belongs to; for text it only names the row.
        time: orders the rows of one id; None where they are in order as they come.
        multi: whether an example may have several labels, or none.
        variable, value: the columns of a series' table in long form, whose rows are a measurement each.
    """

    kind: ClassifyKind
    inputs: tuple[str, ...] = ()
    label: str | None = None
    id: str | None = None
    time: str | None = None
    multi: bool = False
    variable: str | None = None
    value: str | None = None

    @property
    def long(self) -> tuple[str, str] | None:
        """Variable and value, where there are such columns."""
        return None if self.variable is None or self.value is None else (self.variable, self.value)

    def names(self) -> tuple[str, ...]:
        """Every column named by a role."""
        named = (self.id, self.time, *self.inputs, self.label, *(self.long or ()))
        return tuple(dict.fromkeys(name for name in named if name is not None))


def build_examples(columns: Columns, roles: ExampleRoles, source: str = "data") -> Examples:
    """Group the rows of a table into examples.

    A row is an example (text), or all rows of one id are, in the order of time (series, events); several rows of
    one id and time are one visit (events), and the time between visits is in days where times are dates. A table
    in long form, with the columns ``variable`` and ``value`` of the roles, is laid out first.

    Args:
        columns: the table.
        roles: what its columns are; without ``label`` the examples have none.
        source: the table's name, for messages.

    Raises:
        DataError: a column is missing or of a wrong type, a label is missing or changes within one id, or a
            series has two rows of one time.
    """
    if roles.long is not None and set(roles.long) <= columns.keys():
        columns, source = lay_out_long(
            columns, roles.long, roles.id, roles.time, channels=roles.inputs, label=roles.label, source=source
        )
    if roles.kind == "images":
        raise UsageError(f"{source}: expected a folder of images or an array, got a table")
    parts = time_parts(roles.time, columns) if roles.time else ()
    for name in (roles.id, *parts, *roles.inputs, roles.label):
        if name is not None and name not in columns:
            raise missing_column(name, columns, source)
    if roles.kind == "text":
        return _texts(columns, roles, source)
    if roles.id is None and roles.kind == "events":
        raise UsageError(f"{source}: expected an id column that says whose events they are, got none")
    frame = _Frame(columns, roles, source)
    return frame.series() if roles.kind == "series" else frame.events()


def _texts(columns: Columns, roles: ExampleRoles, source: str) -> Examples:
    cells = columns[roles.inputs[0]]
    if is_time(cells):
        raise DataError(f"{source}, column {roles.inputs[0]!r}: expected text, got dates")
    texts = cells.tolist() if is_text(cells) else list(map(spell, cells.tolist()))
    labels = None
    if roles.label is not None:
        words, codes = label_codes(columns[roles.label], roles.label, roles.multi, source)
        labels = [words[code] for code in codes.tolist()]
    return Examples(
        kind="text",
        rows=len(texts),
        columns=roles.inputs,
        ids=columns[roles.id] if roles.id is not None else None,
        labels=labels,
        texts=["" if text is None else text for text in texts],
    )


class _Frame:
    """A long table whose rows have been brought into the order of ids and, within each, of time."""

    def __init__(self, columns: Columns, roles: ExampleRoles, source: str) -> None:
        self.columns, self.roles, self.source = columns, roles, source
        rows = len(next(iter(columns.values())))
        ids = columns[roles.id] if roles.id is not None else None
        self.codes, found = group(ids, rows, roles.id or "", source)
        self.ids = found if roles.id is not None else None
        self.names = found
        self.order = np.arange(rows)
        self.times: np.ndarray | None = None
        if roles.time is not None:
            self.times, _ = as_times(time_column(columns, roles.time, source), roles.time, source)
            self.unit = DAY if is_time(self.times) else 1
            self.kind = self.times.dtype
            self.times = self.times.astype(np.int64)
            self.order = np.lexsort((self.times, self.codes))
            self.times = self.times[self.order]
        elif np.any(self.codes[1:] < self.codes[:-1]):
            self.order = np.argsort(self.codes, kind="stable")
        self.codes = self.codes[self.order]
        counts = np.bincount(self.codes, minlength=len(found))
        self.offsets = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))

    def series(self) -> Examples:
        """Rows as steps of C channels."""
        if self.times is not None:
            again = first_row((self.codes[1:] == self.codes[:-1]) & (self.times[1:] == self.times[:-1]))
            if again >= 0:
                self._refuse_twice(again)
        inputs = self.roles.inputs
        values = np.empty((len(self.order), len(inputs)))
        for i, name in enumerate(inputs):
            values[:, i] = as_numbers(self.columns[name], name, self.source)[self.order]
        return Examples(
            kind="series",
            rows=len(self.names),
            columns=inputs,
            ids=self.ids,
            labels=self.labels(),
            offsets=self.offsets,
            series=values,
            times=None if self.times is None else self.times.astype(self.kind),
        )

    def events(self) -> Examples:
        """Rows as codes, several of one id and time as one visit."""
        name = self.roles.inputs[0]
        words, codes = spelled_codes(self.columns[name], name, self.source)
        table = {word: i for i, word in enumerate(dict.fromkeys(w for w in words if w is not None))}
        numbers = np.array([-1 if word is None else table[word] for word in words], np.int32)
        codes = numbers[codes][self.order]
        change = np.ones(len(codes), bool)
        if self.times is not None:
            change[1:] = (self.codes[1:] != self.codes[:-1]) | (self.times[1:] != self.times[:-1])
        heads = np.flatnonzero(change)
        # A row without a code is still a visit, one at which nothing was recorded.
        known = codes >= 0
        before = np.concatenate(([0], np.cumsum(known, dtype=np.int64)))
        visits = before[np.append(heads, len(codes))]
        offsets = np.concatenate(([0], np.cumsum(np.bincount(self.codes[heads], minlength=len(self.names)))))
        return Examples(
            kind="events",
            rows=len(self.names),
            columns=(name,),
            ids=self.ids,
            labels=self.labels(),
            offsets=offsets.astype(np.int64),
            words=tuple(table),
            codes=codes[known],
            visits=visits,
            gaps=self._gaps(heads, offsets),
        )

    def _gaps(self, heads: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Time since the visit before, in days for dates; NaN at the first of each id, and without times."""
        gaps = np.full(len(heads), np.nan)
        if self.times is not None:
            gaps[1:] = np.diff(self.times[heads])
            gaps[offsets[:-1]] = np.nan
            gaps /= self.unit
        return gaps

    def labels(self) -> Labels | None:
        """One label (or tuple of them) an id, the same in all of its rows."""
        name = self.roles.label
        if name is None:
            return None
        values = self.columns[name]
        words, codes = label_codes(values, name, self.roles.multi, self.source, missing=True)
        codes = codes[self.order]
        first = codes[self.offsets[:-1]]
        other = first_row(codes != first[self.codes])
        if other >= 0:
            who = label(self.names[self.codes[other]])
            got = " and ".join(_shown(words[c]) for c in (int(first[self.codes[other]]), int(codes[other])))
            must = f"one label in all rows of {who!r}"
            raise cell_error(self.source, int(self.order[other]), name, must, got)
        lost = first_row(np.isin(first, [i for i, word in enumerate(words) if word is None]))
        if lost >= 0:
            row = int(self.order[self.offsets[lost]])
            raise cell_error(self.source, row, name, "a label", "an empty cell", LABEL_HINT)
        return [words[code] for code in first.tolist()]  # type: ignore[misc]

    def _refuse_twice(self, i: int) -> None:
        where = as_source(self.source)
        one, two = (where.row(row) for row in sorted(self.order[i : i + 2].tolist()))
        who = f" of {label(self.names[self.codes[i]])!r}" if self.roles.id else ""
        raise DataError(
            f"{self.source}, column {self.roles.time!r}: expected times{who} that differ, "
            f"got one twice ({one} and {two})"
        )


def _shown(labels: tuple[str, ...] | None) -> str:
    return "an empty cell" if labels is None else repr("|".join(labels))
