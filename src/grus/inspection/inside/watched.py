"""What ``grus inspect`` looks at in a detector: a row, and what the rows before it led to expect."""

from collections.abc import Mapping

import numpy as np

from grus.decode import LiveDetector
from grus.decode.likelihood import to_score
from grus.errors import UsageError
from grus.inspection.inside.case import ROWS, STEPS, Case, check_row
from grus.inspection.inside.findings import Findings, Reader, inspect_case
from grus.inspection.wording import figure
from grus.preprocess.frequency import stamp
from grus.preprocess.records import Records
from grus.spec import Graph, Node, ops

#: Rows before the one in question that are looked at.
BEFORE = 240


def inspect_row(
    live: LiveDetector, tensors: Mapping[str, np.ndarray], records: Records, row: int | None = None
) -> Findings:
    """Look at a detector while it reads the rows before one, from its initial state.

    Args:
        live: the model, with its weights in float32; tensors: its numbers by the names of the model file.
        records: the data.
        row: number of the row in the table, the first is 1 (default: the one with the highest score).

    Raises:
        UsageError: there is no such row, or it is the first of its series. UnsupportedError: the model has no GRU.
    """
    reader = Reader.of(expecting_once(live.program.graph), tensors)
    return inspect_case(reader, tensors, detect_case(live, records, row))


def expecting_once(graph: Graph) -> Graph:
    """The graph of a detector that says what it expects after the last step alone."""
    last = Node("last_step", ops.Last(), (graph.outputs["mean"],))
    return Graph(graph.inputs, (*graph.nodes, last), {"mean": "last_step"})


def detect_case(live: LiveDetector, records: Records, row: int | None = None) -> Case:
    """What is expected of a row, and other stretches of its series that the units are judged by; see `inspect_row`."""
    found = live.score(records)
    worst = found.severity.max(axis=1, initial=0.0)
    highest = int(records.order[int(worst.argmax())]) + 1
    number = check_row(row, len(records), "the rows of the data", highest)
    place = int(np.flatnonzero(records.order == number)[0])
    series = int(np.searchsorted(records.offsets, place, side="right")) - 1
    begin = int(records.offsets[series])
    steps = min(BEFORE, place - begin)
    own = f"series {records.names[series]!r}" if records.n_series > 1 else ""
    if not steps:
        raise UsageError(f"row must have rows before it, but {number + 1:,} is the first of {own or 'all'}")
    center, scale = (
        part[live.preprocessor.series(records.names[series : series + 1])][0]
        for part in (live.preprocessor.center, live.preprocessor.scale)
    )
    value, expected = records.values[place], found.expected[place]
    off = np.nan_to_num(np.abs(value - expected) / scale)
    column = int(found.severity[place].argmax() if worst[place] else off.argmax())
    x = live.preprocessor.series_inputs(records, series)[0]
    inputs = np.stack([x[end + 1 - steps : end + 1] for end in _ends(place - begin, len(x), steps)])
    dated = live.task.time is not None
    when = stamp(records.shown_stamps()[place]) if dated else ""
    was = "missing" if np.isnan(value[column]) else figure(float(value[column]))
    shown, name = np.arange(place - steps, place), live.task.columns[column]
    return Case(
        title=", ".join(filter(None, (f"row {number + 1:,} of {len(records):,}", own, when))),
        axis="row",
        inputs={"x": inputs},
        lengths=np.full(len(inputs), steps),
        answer=f"Its score is {figure(float(to_score(worst[place])), 3)} (alarms are above "
        f"{figure(live.threshold, 3)}): {name} was {was}, and "
        f"{figure(float(expected[column]))} was expected.",
        unit=f"expected {name}",
        score=lambda outputs: outputs["mean"][:, column] * float(scale[column]) + float(center[column]),
        mean_baseline=True,
        times=records.shown_stamps(shown) if dated else None,
        series=records.values[shown, column : column + 1],
        channels=(name,),
        scale=name,
    )


def _ends(own: int, rows: int, steps: int) -> np.ndarray:
    """The row in question, and others that have as many before them, evenly spread."""
    most = max(1, min(ROWS, STEPS // steps))
    spread = np.unique(np.linspace(steps, rows - 1, most).round().astype(np.int64)) if rows > steps else []
    return np.array([own, *[end for end in spread if end != own]][:most])
