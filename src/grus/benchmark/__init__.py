"""How fast the layers are beside those of other libraries; ``grus bench`` and benchmarks/ print it."""

from grus.benchmark.measure import (
    COMPETITORS,
    FEW,
    LABELS,
    available,
    contests_at,
    contests_of,
    run,
    using_threads,
)
from grus.benchmark.regression import compare_twice
from grus.benchmark.report import Measurement, Report, Spread, Times, read_report, to_json
from grus.benchmark.shapes import GRID, SEVEN, SHAPES, STEPS, Shapes, Size, parse_size

__all__ = [
    "COMPETITORS",
    "FEW",
    "GRID",
    "LABELS",
    "SEVEN",
    "SHAPES",
    "STEPS",
    "Measurement",
    "Report",
    "Shapes",
    "Size",
    "Spread",
    "Times",
    "available",
    "compare_twice",
    "contests_at",
    "contests_of",
    "parse_size",
    "read_report",
    "run",
    "to_json",
    "using_threads",
]
