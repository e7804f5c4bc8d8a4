"""Whether a run is slower than a stored one, beyond what either scatters by itself."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from grus.benchmark.report import SGEMM, Contest, Kind, Measurement, Report
from grus.benchmark.shapes import Size
from grus.errors import DataError

#: The yardsticks in the same rounds. A slower kernel of ours shows in the ratio to both; the noise, or a new version,
#: of one of them shows in one.
REFERENCES = (SGEMM, "torch_lstm")


class Regression(NamedTuple):
    """One measurement that is slower than the baseline; ``slower`` is the smaller of the two ratios of ratios."""

    kind: Kind
    size: Size
    slower: float

    def __str__(self) -> str:
        return f"{self.kind} at {self.size} takes {self.slower:.2f} times as long as the baseline says"


def regressions(current: Report, baseline: Report) -> list[Regression]:
    """Measurements whose ratio to every reference is above the baseline's by more than both runs scatter.

    Of every round the ratio ours / reference is taken. It is a regression if the median is larger than the
    baseline's by more than the sum of the distances between the quartiles of the two runs.

    Raises:
        DataError: another instruction set, or a measurement that the baseline does not have.
    """
    if current.machine.isa != baseline.machine.isa:
        raise DataError(
            f"baseline: expected a run with {current.machine.isa}, got one with {baseline.machine.isa}"
        )
    known = {(m.kind, m.size, m.threads): m for m in baseline.measurements}
    found = []
    for result in current.measurements:
        before = known.get((result.kind, result.size, result.threads))
        if before is None:
            raise DataError(
                f"baseline: expected {result.kind} at {result.size} with {result.threads} threads, got none",
                hint="write a new one",
            )
        slower = [_slower(result, before, name) for name in REFERENCES]
        if all(slower):
            found.append(Regression(result.kind, result.size, min(slower)))
    return found


def confirmed(
    measure: Callable[[Sequence[Contest]], Report], contests: Sequence[Contest], baseline: Report
) -> list[Regression]:
    """Measure, measure again what seems slower than the baseline, and return what was slower both times."""
    found = regressions(measure(contests), baseline)
    return regressions(measure([(r.kind, r.size) for r in found]), baseline) if found else []


def _slower(current: Measurement, baseline: Measurement, reference: str) -> float:
    """How many times as long as before, beside a reference; 0.0 if within the noise."""
    now, then = current.ours_over(reference), baseline.ours_over(reference)
    noise = (now.q75 - now.q25) + (then.q75 - then.q25)
    return now.median / then.median if now.median - then.median > noise else 0.0
