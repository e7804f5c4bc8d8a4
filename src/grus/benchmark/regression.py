"""Whether a run is slower than a stored one, beyond what either scatters by itself."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from grus.benchmark.report import SGEMM, Contest, Kind, Measurement, Report
from grus.benchmark.shapes import Size
from grus.errors import DataError

#: The yardsticks in the same rounds. A slower kernel of ours shows in the ratio to both; the noise, or a new version,
#: of one of them shows in one.
REFERENCES = (SGEMM, "torch_lstm")


class Comparison(NamedTuple):
    """One measurement beside that of the baseline.

    Of every round the ratio ours / reference is taken. The noise is the sum of the distances between its quartiles in
    the two runs; it is a regression if the median has grown by more than that, for every reference.

    Attributes:
        slower: the median now over the median then, of the reference that has it smaller.
        visible: how much slower it would have to be to show.
    """

    kind: Kind
    size: Size
    slower: float
    visible: float
    is_regression: bool

    def __str__(self) -> str:
        return f"{self.kind} at {self.size} takes {self.slower:.2f} times as long as the baseline says"


def compare(current: Report, baseline: Report) -> list[Comparison]:
    """Every measurement of a run beside that of the baseline.

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
        found.append(_compare(result, before))
    return found


def compare_twice(
    measure: Callable[[Sequence[Contest]], Report], contests: Sequence[Contest], baseline: Report
) -> list[Comparison]:
    """Measure and compare; what seems a regression is measured again, and the second time counts."""
    first = compare(measure(contests), baseline)
    suspects: list[Contest] = [(c.kind, c.size) for c in first if c.is_regression]
    second = {(c.kind, c.size): c for c in compare(measure(suspects), baseline)} if suspects else {}
    return [second.get((c.kind, c.size), c) for c in first]


def _compare(current: Measurement, baseline: Measurement) -> Comparison:
    pairs = [(current.ours_over(name), baseline.ours_over(name)) for name in REFERENCES]
    slower = [now.median / then.median for now, then in pairs]
    visible = [1 + (now.q75 - now.q25 + then.q75 - then.q25) / then.median for now, then in pairs]
    is_regression = all(s > v for s, v in zip(slower, visible))
    return Comparison(current.kind, current.size, min(slower), max(visible), is_regression)
