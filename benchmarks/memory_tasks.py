"""Long-memory tasks (adding, copy memory, delayed recall, digits): GRU, LSTM and simple RNN beside published figures.

    scripts/bench memory_tasks --table memory.jsonl                                every row, three seeds
    scripts/bench memory_tasks --table memory.jsonl --sets adding-600 --rows gru
    scripts/bench memory_tasks --table tune.jsonl --tune --sets adding-600 --rows gru --seeds 0 --with '{"rate": 4e-3}'

Settings were chosen on validation sequences alone (``--tune``). A table goes on where it was stopped: runs whose result
stands in the file, with the same settings, are not made again.
"""

from typing import Any

import problem_runs
from problem_runs import Row

#: Task and length of each set.
SETS: dict[str, tuple[str, int | None]] = {
    "adding-600": ("adding", 600),
    "copy-1000": ("copy", 1000),
    "recall-100": ("recall", 100),
    "digits-rows": ("digits-rows", None),
    "digits-pixels": ("digits-pixels", None),
}
#: 1,500 steps of 32 sequences.
ADDING = {"epochs": 30, "steps_per_epoch": 50}
COPY = {"epochs": 20, "steps_per_epoch": 50}
RECALL = {"epochs": 30, "steps_per_epoch": 50}
DIGITS = {"epochs": 60, "weight_decay": 0.1}
ROWS = [
    Row("adding-600", "gru", "gru", 150, 8e-3, ADDING, published="5.3e-5 (Bai)"),
    Row("adding-600", "rnn", "rnn", 260, 1e-3, ADDING, published=".177 (Bai)"),
    Row("adding-600", "lstm", "lstm", 130, 8e-3, ADDING, published=".164 (Bai)"),
    Row("copy-1000", "gru", "gru", 66, 5e-3, COPY, published=".0197 (Bai)"),
    Row("recall-100", "gru", "gru", 64, 5e-3, RECALL),
    Row("recall-100", "lstm", "lstm", 55, 5e-3, RECALL),
    Row("recall-100", "rnn", "rnn", 113, 1e-3, RECALL),
    Row("digits-rows", "gru", "gru", 64, 5e-3, DIGITS),
    Row("digits-rows", "lstm", "lstm", 55, 5e-3, DIGITS),
    Row("digits-rows", "rnn", "rnn", 113, 2e-3, DIGITS),
    Row("digits-pixels", "gru", "gru", 64, 5e-3, DIGITS),
    Row("digits-pixels", "lstm", "lstm", 55, 5e-3, DIGITS),
    Row("digits-pixels", "rnn", "rnn", 110, 2e-3, DIGITS),
]


def problem(row: Row) -> Any:
    """A set as a problem."""
    from grus.tasks.compare.memory import memory_problem

    task, length = SETS[row.set]
    return memory_problem(task, length, **row.options)


if __name__ == "__main__":
    problem_runs.main(__doc__, "memory.jsonl", ROWS, problem, lambda value: f"{value:.3g}")
