"""See what was trained, and what it remembers.

Reports of training: `forecast_record` and `classes.record` make arrays, `plots` and `classes.plots` draw them,
`report` and `classes.report` make the pages; `tuning` adds a search for settings. A look inside: `inside.gates` gives
gates and states, `inside.memory` says how long units remember, `inside.attribution` what an answer rests on,
`inside.report` makes the page of ``grus inspect``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grus.inspection.inside.gates import Record, record, records

__all__ = ["Record", "record", "records"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from grus.inspection.inside import gates

        return getattr(gates, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
