"""What tuning a forecaster needs beside `grus.tasks.tune`: lookbacks that its data allows, scored on the same rows."""

from typing import TYPE_CHECKING

from grus.errors import UsageError
from grus.spec import Forecast
from grus.tasks.forecast_fit import Ready, network_of
from grus.training.search import Choice, Space

if TYPE_CHECKING:
    from grus.tasks.forecast import Forecaster


def settled(parameters: "Forecaster", first: Ready, space: Space) -> tuple["Forecaster", Space]:
    """The forecaster with what its data settles, and the space with lookbacks.

    The rows for validation are those of the first trial in every other, for only then are their losses comparable:
    left open, their number depends on the lookback. A lookback for which a series would have to be left out is none.

    Raises:
        UsageError: a lookback of the space cannot be used.
    """
    lookback = first.model.task_as(Forecast).lookback
    validation = int((first.split.val_end - first.split.train_end)[0])
    mine = type(parameters)(**parameters.get_params())
    mine.set_params(lookback=lookback, val_size=validation)
    if "lookback" not in space:
        return mine, space
    segment = network_of(mine, first.panel).segment
    used = mine.horizon + validation + mine.test_size
    longest = (int(first.panel.lengths.min()) - used) // segment * segment
    values = space["lookback"]
    assert isinstance(values, Choice)
    if not values.values:
        # No longer than leaves half of the rows to learn from, as the default has it.
        room = max(lookback, (int(first.panel.lengths.max()) - mine.test_size) // 2 - mine.horizon)
        found = {max(segment, lookback // 2 // segment * segment), lookback, 2 * lookback}
        values = Choice(tuple(sorted(value for value in found if value <= min(longest, room))))
    wrong = [value for value in values.values if int(value) % segment or int(value) > longest]
    if wrong:
        what = f"multiples of the segment of {segment} steps" if segment > 1 else "whole numbers"
        raise UsageError(
            f"space: lookback must be a list of {what} up to {longest}, for which every series has the rows, "
            f"got {wrong[0]}"
        )
    return mine, {**space, "lookback": values}
