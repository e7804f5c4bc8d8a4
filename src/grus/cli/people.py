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

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]], ours: bool = True) -> None:
        """Print a table: the first column to the left, figures to the right, the first row (if ours) in bold."""
        if self.quiet:
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for number, name in enumerate(header):
            table.add_column(name, justify="right" if number else "left", no_wrap=True)
        for number, row in enumerate(rows):
            table.add_row(*row, style="bold" if ours and not number else None)
        Console(file=sys.stderr, highlight=False, markup=False).print(table)

    def evaluation(self, name: str, evaluation: "Evaluation", target: str) -> None:
        """Print the scores beside those of the baselines, the gain, and how well the intervals covered."""
        from grus.inspection.wording import figure, interval_sentences, span, verdict

        e = evaluation
        self.say(f"\n{name}: {span(e)}")
        header = ["", f"MAE ({target})", f"RMSE ({target})", "sMAPE (%)", "MASE"]
        self.table(
            header,
            (
                [s.name, figure(s.mae), figure(s.rmse), figure(s.smape, 3), figure(s.mase, 3)]
                for s in e.scores
            ),
        )
        self.say(verdict(e))
        self.say(interval_sentences(e))
