"""See what was trained, and what it remembers.

Reports of training: `forecast_record` and `classes.record` make arrays, `plots` and `classes.plots` draw them,
`report` and `classes.report` make the pages; `tuning` adds a search for settings. A look inside: `inside.gates` gives
gates and states, `inside.memory` says how long units remember, `inside.attribution` what an answer rests on,
`irregular` which value of irregular series, and when, `inside.report` makes the page of ``grus inspect``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grus.inspection.inside.gates import Record, record, records
    from grus.inspection.irregular.parts import Measurements, measurements

__all__ = ["Measurements", "Record", "measurements", "record", "records"]

_HOMES = {
    "Measurements": "grus.inspection.irregular.parts",
    "Record": "grus.inspection.inside.gates",
    "measurements": "grus.inspection.irregular.parts",
    "record": "grus.inspection.inside.gates",
    "records": "grus.inspection.inside.gates",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
