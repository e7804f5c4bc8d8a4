"""See what was trained, and what it remembers.

Reports of training: `forecast_record` and `class_record` make arrays, `plots` and `class_plots` draw them, `report` and
`classify_report` make the pages. A look inside: `record` gives gates and states, `memory` says how long units remember,
`attribution` what an answer rests on, `gate_plots` draws them, `inspect_report` makes the page of ``grus inspect``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grus.inspection.gates import Record, record, records

__all__ = ["Record", "record", "records"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from grus.inspection import gates

        return getattr(gates, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
