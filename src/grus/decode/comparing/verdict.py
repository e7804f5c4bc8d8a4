"""Which cell to pick at a point, and which differences are more than noise."""

from dataclasses import dataclass

from grus.decode.comparing.paired import Interval
from grus.decode.comparing.records import CellResult, Point

#: A cheaper cell is taken for as good as the best one only if its mean error is no more than this share above: a
#: difference that is lost in wide noise is not shown to be small.
MARGIN = 0.05
#: Training times that are this close count as equal, and the number of weights decides; where that is as close too,
#: the smaller error.
ALIKE = 0.1


@dataclass(frozen=True)
class Verdict:
    """What to pick.

    Attributes:
        pick: the cell to take: of those as good as the best, the cheapest to train.
        best: the cell with the smallest mean error.
        alike: the cells as good as the best, itself included, cheapest first.
        differences: error of every other cell minus that of ``pick``, by cell. Their level allows for the number of
            pairs (Bonferroni), so that with cells that are all alike some difference is called more than noise in
            no more than 1 - level of all comparisons.
        floor: the least of the answers that cost nothing, where it beats ``pick``.
    """

    pick: CellResult
    best: CellResult
    alike: list[CellResult]
    differences: dict[str, Interval]
    floor: tuple[str, float] | None


def judge(point: Point, level: float) -> Verdict | None:
    """Pick a cell; None if none was trained to an end.

    A cell is as good as the best one if their difference is no more than noise, and its mean error no more than
    `MARGIN` above, nor above that of a cell which is clearly worse than the best. Among these the one with the
    shortest training epoch is picked, or with times within `ALIKE` of it the one with fewest weights, or with as many
    the one with the smallest error.

    Args:
        point: the results of all cells.
        level: of all intervals together, a share.
    """
    trained = point.trained
    if not trained:
        return None
    pairs = len(trained) * (len(trained) - 1) // 2
    each = 1.0 - (1.0 - level) / max(pairs, 1)
    best = min(trained, key=lambda result: result.mean)
    worse = [result for result in trained if result is not best and result.minus(best, each).is_clear]
    most = min([best.mean + MARGIN * abs(best.mean), *(result.mean for result in worse)])
    alike = [result for result in trained if result not in worse and result.mean <= most]
    pick = _cheapest(alike)
    floor = point.best_floor
    return Verdict(
        pick=pick,
        best=best,
        alike=alike,
        differences={result.cell: result.minus(pick, each) for result in trained if result is not pick},
        floor=floor if floor is not None and floor[1] < pick.mean else None,
    )


def _cheapest(results: list[CellResult]) -> CellResult:
    fastest = min(result.cost.epoch_seconds for result in results)
    quick = [result for result in results if result.cost.epoch_seconds <= (1.0 + ALIKE) * fastest]
    least = min(result.cost.parameters for result in quick)
    small = [result for result in quick if result.cost.parameters <= (1.0 + ALIKE) * least]
    return min(small, key=lambda result: result.mean)
