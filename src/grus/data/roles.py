"""Column roles: as the user names them, the obvious ones inferred, and the plan in words."""

from collections.abc import Sequence

import numpy as np

from grus.errors import DataError
from grus.preprocess.columns import Columns, is_text
from grus.preprocess.panel import missing_column
from grus.preprocess.roles import Roles
from grus.preprocess.times import looks_like_times

_IDS = ("unique_id", "id", "series", "series_id", "item_id", "item")
_TIMES = ("ds", "date", "datetime", "timestamp", "time", "month", "week", "day", "year")
_TARGETS = ("y", "target", "value")


def infer_roles(
    columns: Columns,
    id: str | None = None,
    time: str | None = None,
    target: str | None = None,
    past: Sequence[str] = (),
    future: Sequence[str] = (),
    static: Sequence[str] = (),
    source: str = "data",
) -> Roles:
    """Complete the roles that were named with those that are obvious; covariates are never guessed."""
    named = [n for n in (id, time, target, *past, *future, *static) if n is not None]
    for name in named:
        if name not in columns:
            raise missing_column(name, columns, source)
    for name in named:
        if named.count(name) > 1:
            raise DataError(f"{source}, column {name!r}: expected one role, got {named.count(name)}")
    free = [name for name in columns if name not in named]
    if time is None:
        time = _by_name(free, _TIMES) or _only([n for n in free if looks_like_times(columns[n])])
        free = [name for name in free if name != time]
    if id is None:
        id = _by_name(free, _IDS)
        free = [name for name in free if name != id]
    if target is None:
        numeric = [n for n in free if not is_text(columns[n]) and columns[n].dtype.kind in "fi"]
        target = _by_name(free, _TARGETS) or _only(numeric)
        if target is None:
            choice = ", ".join(repr(n) for n in numeric) or "none"
            raise DataError(
                f"{source}: expected a column named 'y', 'target' or 'value', or one numeric column, got {choice}",
                "name the target",
            )
    return Roles(target, id, time, tuple(past), tuple(future), tuple(static))


def _by_name(free: list[str], names: tuple[str, ...]) -> str | None:
    lower = {name.strip().lower(): name for name in reversed(free)}
    return next((lower[name] for name in names if name in lower), None)


def _only(candidates: list[str]) -> str | None:
    return candidates[0] if len(candidates) == 1 else None
