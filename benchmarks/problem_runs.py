"""Training runs on the problems of `grus compare`, kept as JSON lines: what music and memory_tasks share."""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from run_table import append_run, read_runs

#: A run that is to stop once it is good enough must have been so for so many epochs in a row.
GOOD_EPOCHS = 3


@dataclass(frozen=True)
class Row:
    """A row of a table: what is trained on which set, three times.

    Attributes:
        set: of the data.
        name: of the row.
        cell, hidden, rate: of the network and of the run.
        options: of the problem.
        enough: the run stops when its validation score has been under this for three epochs.
        published: figures to stand beside, in words.
    """

    set: str
    name: str
    cell: str
    hidden: int
    rate: float
    options: dict[str, Any] = field(default_factory=dict)
    enough: float | None = None
    published: str = ""

    def settings(self) -> dict[str, Any]:
        """All that a result depends on, as a file of results spells it."""
        return json.loads(
            json.dumps(
                {
                    "set": self.set, "row": self.name, "cell": self.cell, "hidden": self.hidden, "rate": self.rate,
                    "options": self.options, "enough": self.enough,
                }
            )
        )  # fmt: skip


def run(row: Row, problem: Any, seed: int, tested: bool) -> dict[str, Any]:
    """Train one model; its test rows are read only if it is to be tested."""
    from grus.tasks.compare.problem import Setting
    from grus.training import make_progress, train

    setting = Setting(row.cell, row.hidden, row.rate, seed)
    job = problem.job(setting)
    begin, cpu = time.perf_counter(), time.process_time()

    def is_enough(epochs: Sequence[Any]) -> bool:
        scores = [next(iter(epoch.validation.values())) for epoch in epochs[-GOOD_EPOCHS:]]
        return row.enough is not None and len(scores) == GOOD_EPOCHS and max(scores) < row.enough

    history = train(job, problem.config(setting), None, make_progress("plain"), give_up=is_enough)
    result = {
        **row.settings(), "seed": seed, "metric": problem.metric,
        "parameters": sum(weight.numel() for weight in job.model.parameters()),
        "validation": dict(history.epochs[history.best_epoch - 1].validation), "best_epoch": history.best_epoch,
        "epochs": len(history.epochs), "steps": history.epochs[-1].steps, "stopped": history.stopped,
        "seconds": round(time.perf_counter() - begin, 1), "cpu_seconds": round(time.process_time() - cpu, 1),
    }  # fmt: skip
    return {**result, "test": problem.losses(job.model, setting).mean} if tested else result


def results(file: Path, row: Row, tested: bool) -> list[dict[str, Any]]:
    """What stands in a file of results, of runs with these settings."""
    return [r for r in read_runs(file) if r == r | row.settings() and ("test" in r or not tested)]


def fill(
    file: Path, rows: Iterable[Row], make: Callable[[Row], Any], seeds: Sequence[int], tested: bool
) -> None:
    """Make the runs that a file of results lacks, seed by seed, and append each as it is done."""
    rows = list(rows)
    for seed in seeds:
        for row in rows:
            if seed not in {r["seed"] for r in results(file, row, tested)}:
                print(f"{row.set}, {row.name}, seed {seed}", file=sys.stderr, flush=True)
                result = run(row, make(row), seed, tested)
                append_run(file, result)
                print(json.dumps(result), file=sys.stderr, flush=True)


def table(file: Path, rows: Iterable[Row], digits: Callable[[float], str], tested: bool) -> str:
    """Mean and spread (largest minus smallest) over the seeds, as Markdown."""
    lines = [
        "| set | row | units | parameters | seeds | validation | test | spread | published | steps | min a run |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        found = results(file, row, tested)
        if not found:
            continue
        last = [list(r["validation"].values())[-1] for r in found]
        test = [r["test"] for r in found if "test" in r]
        mean, spread = ("", "")
        if test:
            mean, spread = digits(statistics.fmean(test)), digits(max(test) - min(test))
        lines.append(
            f"| {row.set} | {row.name} | {row.hidden} | {found[0]['parameters']:,} | {len(found)} | "
            f"{digits(statistics.fmean(last))} | {mean} | {spread} | {row.published} | "
            f"{statistics.fmean(r['steps'] for r in found):,.0f} | "
            f"{statistics.fmean(r['cpu_seconds'] for r in found) / 60:.1f} |"
        )
    return "\n".join(lines)


def main(
    description: str | None,
    file: str,
    rows: Sequence[Row],
    make: Callable[[Row], Any],
    digits: Callable[[float], str],
) -> None:
    """Parse the command line, fill a file of results and print its table."""
    sets, names = dict.fromkeys(row.set for row in rows), dict.fromkeys(row.name for row in rows)
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, default=Path(file), help="file of results to go on with")
    parser.add_argument(
        "--sets", type=_words, default=list(sets), help=f"comma separated, of {','.join(sets)}"
    )
    parser.add_argument(
        "--rows", type=_words, default=list(names), help=f"comma separated, of {','.join(names)}"
    )
    parser.add_argument("--seeds", type=_numbers, default=[0, 1, 2], help="comma separated")
    parser.add_argument("--tune", action="store_true", help="only validation rows are read")
    parser.add_argument(
        "--with",
        dest="more",
        type=json.loads,
        default={},
        help="other hidden, rate, enough and options, as JSON",
    )
    args = parser.parse_args()
    chosen = [_changed(row, args.more) for row in rows if row.set in args.sets and row.name in args.rows]
    print(f"{os.cpu_count()} cores; results go to {args.table}", file=sys.stderr)
    fill(args.table, chosen, make, args.seeds, not args.tune)
    print(table(args.table, chosen, digits, not args.tune))


def _changed(row: Row, more: dict[str, Any]) -> Row:
    fields = {name: value for name, value in more.items() if name in ("hidden", "rate", "enough", "cell")}
    options = {name: value for name, value in more.items() if name not in fields}
    return replace(row, **fields, options=row.options | options)


def _words(text: str) -> list[str]:
    return text.split(",")


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]
