"""Which column of a table plays which part."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Roles:
    """Column names by role.

    Attributes:
        target: what is forecast.
        id: names the series; None where the table is one series.
        time: the time stamp; None where rows follow each other in even steps.
        past: covariates known up to now only.
        future: covariates known for the forecast horizon too.
        static: one value for each series.
    """

    target: str
    id: str | None = None
    time: str | None = None
    past: tuple[str, ...] = ()
    future: tuple[str, ...] = ()
    static: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """Every column named by a role, each once, in the order id, time, target, past, future, static."""
        named = (self.id, self.time, self.target, *self.past, *self.future, *self.static)
        return tuple(dict.fromkeys(name for name in named if name is not None))
