"""Talk to people, on stderr."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grus.decode import Evaluation


@dataclass(frozen=True)
class People:
    """Those who watch stderr; ``quiet`` tells them nothing but errors."""

    quiet: bool = False

    def say(self, lines: str | Iterable[str]) -> None:
        """Print one line or several."""
        if not self.quiet:
            for line in [lines] if isinstance(lines, str) else lines:
                print(line, file=sys.stderr, flush=True)

    def table(self, title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table: the first column to the left, figures to the right, the first row (ours) in bold."""
        if self.quiet:
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD, pad_edge=False)
        for number, name in enumerate(header):
            table.add_column(name, justify="right" if number else "left", no_wrap=True)
        for number, row in enumerate(rows):
            table.add_row(*row, style=None if number else "bold")
        Console(file=sys.stderr, highlight=False, markup=False).print(table)

    def evaluation(self, name: str, evaluation: "Evaluation", target: str) -> None:
        """Print the scores beside those of the baselines, the gain, and how well the intervals covered."""
        e = evaluation
        span = (
            f"{count(e.windows, 'window')} from {e.first} to {e.last}"
            if e.windows > 1
            else f"one window, {e.first}"
        )
        header = ["", f"MAE ({target})", f"RMSE ({target})", "sMAPE (%)", "MASE"]
        rows = [
            [s.name, figure(s.mae), figure(s.rmse), figure(s.smape, 3), figure(s.mase, 3)] for s in e.scores
        ]
        self.table(f"{name}: {span}", header, rows)
        self.say(verdict(e))
        for level in e.coverage:
            self.say(
                f"{level}% interval: {100 * e.coverage[level]:.1f}% of the values inside, "
                f"{figure(e.width[level])} wide on average"
            )


def verdict(e: "Evaluation") -> str:
    """``MAE 41.2% under the best baseline (seasonal naive 168)``."""
    best = e.best_baseline
    if e.gain != e.gain:
        return "no baseline to compare with: the truth of every window is missing"
    side = "under" if e.gain >= 0 else "over"
    return f"MAE {100 * abs(e.gain):.1f}% {side} the best baseline ({best.name})"


def count(n: int, noun: str) -> str:
    """``1 window``, ``1,024 windows``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def figure(value: float, digits: int = 4) -> str:
    """A number to so many significant digits, never in powers of ten; ``-`` for none."""
    if value != value:
        return "-"
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return (
        f"{value:,.{max(0, digits - whole)}f}"
        if abs(value) >= 1e-4 or value == 0
        else f"{value:.{digits - 1}g}"
    )
