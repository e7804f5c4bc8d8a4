"""Polyphonic music (JSB Chorales, Nottingham): next-step NLL of GRU, LSTM and simple RNN beside published figures.

    scripts/bench music --floors                                    answers without a network
    scripts/bench music --table music.jsonl                         every row, three seeds
    scripts/bench music --table music.jsonl --sets jsb --rows gru
    scripts/bench music --table tune.jsonl --tune --sets jsb --rows gru --seeds 0 --with '{"output_dropout": 0.3}'

Predict step t + 1 from steps up to t; the sum of the binary cross-entropies of 88 keys, all steps of all pieces pooled,
the first of each piece not predicted (Bai et al. 2018). Settings were chosen on validation pieces alone (``--tune``). A
table goes on where it was stopped: runs whose result stands in the file, with the same settings, are not made again.
"""

import sys
from typing import Any

import problem_runs
from problem_runs import Row
from shared_data import data_folder

FILES = {
    "jsb": ("music_jsb_chorales", "jsb_chorales.npz"),
    "nottingham": ("music_nottingham", "nottingham.npz"),
}
#: Chung et al. 2014's regulariser, with the same budget for the three cells; rates by validation.
JSB = {"epochs": 100, "weight_decay": 0.1, "weight_noise": 0.075, "ema": 0.99}
JSB_BEST = {
    "epochs": 150, "weight_decay": 0.1, "skip": True, "recurrent_dropout": 0.4, "output_dropout": 0.4, "ema": 0.995,
    "chrono": 16, "transpose": 0.5,
}  # fmt: skip
NOTTINGHAM = {
    "epochs": 120, "batch_size": 2, "weight_decay": 0.05, "ema": 0.999, "chrono": 64, "gradient_clip": 5.0,
}  # fmt: skip
#: Validation, seed 0, 150 units: 3.253 (rate 1e-2, dropout 0.3, 50 epochs), 3.168 (these, 80 epochs), 3.122 (110).
NOTTINGHAM_BEST = {
    "epochs": 110, "batch_size": 4, "weight_decay": 0.05, "ema": 0.999, "chrono": 64, "gradient_clip": 5.0,
    "skip": True, "recurrent_dropout": 0.15, "output_dropout": 0.15, "transpose": 0,
}  # fmt: skip
#: In torch, with two pieces a step, a run takes 14 minutes of processor time.
NOTTINGHAM_LSTM = NOTTINGHAM | {"batch_size": 4, "chrono": 16}
#: With a clip at 5 its gradient became infinite in epoch 21.
NOTTINGHAM_RNN = NOTTINGHAM | {"batch_size": 4, "gradient_clip": 1.0}
#: Chung et al. 2014's sizes, and the best GRU that validation found.
ROWS = [
    Row("jsb", "gru", "gru", 46, 5e-3, JSB, published="8.54 (Chung)"),
    Row("jsb", "lstm", "lstm", 36, 1e-2, JSB, published="8.67 (Chung)"),
    Row("jsb", "rnn", "rnn", 100, 1e-2, JSB, published="9.10 (Chung)"),
    Row("jsb", "best", "gru", 300, 4e-3, JSB_BEST, published="8.43 (Bai), 8.20 (LUMII)"),
    Row("nottingham", "gru", "gru", 46, 2e-2, NOTTINGHAM, published="3.23 (Chung)"),
    Row("nottingham", "lstm", "lstm", 36, 4e-2, NOTTINGHAM_LSTM, published="3.20 (Chung)"),
    Row("nottingham", "rnn", "rnn", 100, 1e-2, NOTTINGHAM_RNN, published="3.13 (Chung)"),
    Row("nottingham", "best", "gru", 150, 2e-2, NOTTINGHAM_BEST, published="3.46 (Bai), 3.22 (LUMII)"),
]


def problem(name: str, **options: Any) -> Any:
    """A set as a problem."""
    from grus.tasks.compare.music import music_problem

    folder, file = FILES[name]
    return music_problem(data_folder(folder) / file, **options)


def main() -> None:
    """Print the floors, or fill a table and print it."""
    if sys.argv[1:] == ["--floors"]:
        for name in FILES:
            for floor, value in problem(name).floors().items():
                print(f"{name}, {floor}: {value:.2f}")
        return
    problem_runs.main(
        __doc__,
        "music.jsonl",
        ROWS,
        lambda row: problem(row.set, **row.options),
        lambda value: f"{value:.3f}",
    )


if __name__ == "__main__":
    main()
