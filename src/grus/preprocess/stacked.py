"""Several targets in one wide table: each column becomes a series of its own, named by the column."""

from dataclasses import replace

import numpy as np

from grus.errors import DataError, UsageError
from grus.preprocess.columns import Columns, as_column, as_numbers, listed, missing_column
from grus.preprocess.frequency import Frequency
from grus.preprocess.grid import group, label
from grus.preprocess.panel import Panel, build_panel
from grus.preprocess.roles import Roles
from grus.preprocess.storage import empty, on_disk, take_runs
from grus.preprocess.times import time_parts

#: The column of the answers that names the target, and what the stacked values are called.
NAME, VALUE = "target", "y"


def lay_out_table(
    columns: Columns,
    roles: Roles,
    targets: tuple[str, ...] = (),
    frequency: Frequency | None = None,
    source: str = "data",
    uneven: bool = False,
) -> Panel:
    """`build_panel` of a long table; with ``targets``, of the long table that a wide one stands for.

    Series i of the table (its id, if it has one) and target k make the series named ``"<id>: <target>"``, or
    ``"<target>"`` without an id; covariates go with each of them.

    Args:
        columns, frequency, source, uneven: as for `build_panel`.
        roles: of the table; its target does not count where there are ``targets``.
        targets: the columns to stack.

    Returns:
        The panel. Of a stacked one ``id_values`` are pairs (id or None, target) and the target is called ``y``.

    Raises:
        DataError: as `build_panel`. UsageError: names that cannot be told apart.
    """
    if not targets:
        return build_panel(columns, roles, frequency, source, uneven)
    values = [
        as_numbers(column, name, source)
        for name, column in _needed(columns, targets, source, targets).items()
    ]
    for name, column in zip(targets, values):
        if np.isnan(column).all():
            raise DataError(f"{source}, column {name!r}: expected numbers, got only empty cells")
    covariates = (*roles.past, *roles.future, *roles.static)
    long = _repeat_rows(columns, roles, covariates, targets, source)
    long[VALUE] = _joined(values)
    panel = build_panel(long, replace(roles, target=VALUE, id=roles.id or NAME), frequency, source, uneven)
    note = f"{listed(targets)}: one series each, which answers name in a column {NAME!r}"
    return replace(
        panel, id_values=_pairs(columns, roles, targets, panel, source), notes=(*panel.notes, note)
    )


def repeat_future(future: Columns, roles: Roles, targets: tuple[str, ...], source: str = "future") -> Columns:
    """Rows of future covariates once for each target, under the names of the stacked series."""
    return _repeat_rows(future, roles, roles.future, targets, source)


def check_targets(roles: Roles, targets: tuple[str, ...]) -> None:
    """Raise UsageError for roles whose names the stacked table needs for itself."""
    if not targets:
        return
    time = roles.time if roles.time and "+" not in roles.time else "ds"
    for name in (roles.id, time, *roles.past, *roles.future, *roles.static):
        if name in (NAME, VALUE):
            raise UsageError(
                f"column {name!r}: must have another name where there are several targets, because answers have "
                f"columns {NAME!r} and {VALUE!r} of their own"
            )


def _repeat_rows(
    columns: Columns, roles: Roles, covariates: tuple[str, ...], targets: tuple[str, ...], source: str
) -> Columns:
    """The id, time and covariates of the table once for each target, target by target."""
    time = time_parts(roles.time, columns) if roles.time else ()
    ids = (roles.id,) if roles.id else ()
    kept = _needed(columns, (*time, *covariates, *ids), source, (*targets, *time, *ids))
    n = len(next(iter(kept.values()))) if kept else len(next(iter(columns.values())))
    again, lengths = np.zeros(len(targets), np.int64), np.full(len(targets), n)
    long = {name: take_runs(kept[name], again, lengths) for name in (*time, *covariates)}
    codes, words = np.zeros(n, np.int64), [""]
    if roles.id:
        codes, found = group(kept[roles.id], n, roles.id, source)
        words = [_prefix(value) for value in found]
    names = np.array([word + target for target in targets for word in words], object)
    long[roles.id or NAME] = names[(np.arange(len(targets))[:, None] * len(words) + codes).ravel()]
    return long


def _prefix(value: object) -> str:
    return f"{label(value)}: "


def _needed(columns: Columns, names: tuple[str, ...], source: str, first: tuple[str, ...]) -> Columns:
    """Columns by name, all there and as long as the first of ``first`` that is there."""
    for name in names:
        if name not in columns:
            raise missing_column(name, columns, source)
    found = {name: as_column(columns[name], name, source) for name in names}
    reference = next((name for name in first if name in columns), None)
    n = len(columns[reference]) if reference else 0
    for name, column in found.items():
        if len(column) != n:
            raise DataError(
                f"{source}, column {name!r}: expected {n:,} rows as in {reference!r}, got {len(column):,}"
            )
    return found


def _joined(values: list[np.ndarray]) -> np.ndarray:
    """One array after the other, on disk if any of them is."""
    ends = np.cumsum([0, *map(len, values)])
    out = empty(int(ends[-1]), np.float64, on_disk(*values))
    for column, first, last in zip(values, ends[:-1], ends[1:]):
        out[first:last] = column
    return out


def _pairs(columns: Columns, roles: Roles, targets: tuple[str, ...], panel: Panel, source: str) -> np.ndarray:
    """(id or None, target) of every series of the stacked panel, the id as it came, object [N]."""
    ids: list[object] = [None]
    if roles.id is not None:
        column = as_column(columns[roles.id], roles.id, source)
        ids = list(group(column, len(column), roles.id, source)[1])
    prefix = _prefix if roles.id else lambda value: ""
    named = {prefix(value) + target: (value, target) for value in ids for target in targets}
    if len(named) < len(ids) * len(targets):
        raise UsageError(
            f"{source}: ids and targets must have names that can be told apart when joined by ': '"
        )
    out = np.empty(panel.n_series, object)
    for i, name in enumerate(panel.ids):
        out[i] = named[name]
    return out
