"""From rows and their severities to the arrays that pictures of a detector are made of."""

from dataclasses import dataclass

import numpy as np

from grus.decode.events import event_rows
from grus.decode.likelihood import to_score, to_severity
from grus.inspection.forecast_record import BINS
from grus.preprocess.records import Records

Spans = list[tuple[np.generic, np.generic]]


@dataclass(frozen=True)
class Watched:
    """One series from afar.

    Attributes:
        name: of the series.
        times: first stamp of each bin [B]; numbers of rows without a clock.
        columns: name -> smallest, mean and largest value of each bin, float64 [3, B].
        score: the largest of each bin [B].
        events, missed, false, labelled: first and last stamp of what the model sees, of labelled events without a row
            above the threshold, of those it sees that touch no labelled row, and of all that are labelled.
    """

    name: str
    times: np.ndarray
    columns: dict[str, np.ndarray]
    score: np.ndarray
    events: Spans
    missed: Spans
    false: Spans
    labelled: Spans


def watched(
    records: Records,
    severity: np.ndarray,
    i: int,
    columns: tuple[str, ...],
    threshold: float,
    quiet: int,
    most: int = 3,
) -> Watched:
    """Series i in at most `BINS` bins; of very many columns only the ``most`` severe ones."""
    rows = records.rows(i)
    own, values, n = severity[rows], records.values[rows], rows.stop - rows.start
    size = max(1, -(-n // BINS))
    stamps = records.shown_stamps(rows) if records.stamps.any() else np.arange(n)
    worst, least = own.max(1), to_severity(threshold)
    seen = event_rows(worst, least, quiet)
    labelled = np.zeros(n, np.bool_) if records.anomalous is None else records.anomalous[rows]
    runs = event_rows(labelled.astype(np.float64), 0.5, 0)
    above = worst > least

    def spans(found: list[tuple[int, int]]) -> Spans:
        return [(stamps[first], stamps[last]) for first, last in found]

    chosen = sorted(np.argsort(-own.max(0), kind="stable")[:most].tolist())
    return Watched(
        name=records.names[i],
        times=stamps[::size],
        columns={columns[c]: _binned(values[:, c], size) for c in chosen},
        score=_binned(to_score(worst), size)[2],
        events=spans(seen),
        missed=spans([run for run in runs if not above[run[0] : run[1] + 1].any()]),
        false=spans([one for one in seen if not labelled[one[0] : one[1] + 1].any()]) if runs else [],
        labelled=spans(runs),
    )


def _binned(values: np.ndarray, size: int) -> np.ndarray:
    """Smallest, mean and largest of every ``size`` values, NaN where all are missing, float64 [3, B]."""
    padded = np.full(-(-len(values) // size) * size, np.nan)
    padded[: len(values)] = values
    table = padded.reshape(-1, size)
    some = np.isfinite(table).any(1)
    out = np.full((3, len(table)), np.nan)
    for row, function in zip(out, (np.nanmin, np.nanmean, np.nanmax)):
        row[some] = function(table[some], axis=1)
    return out


def telling_series(records: Records, severity: np.ndarray, most: int = 3) -> list[int]:
    """The series with the most severe rows, the first of them first."""
    worst = np.array([severity[records.rows(i)].max() for i in range(records.n_series)])
    return sorted(np.argsort(-worst, kind="stable")[:most].tolist())
