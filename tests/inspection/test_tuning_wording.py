"""A search in words, on the terminal."""

import dataclasses

from tuning_cases import a_study

from grus.inspection.tuning.wording import (
    search_line,
    settings,
    spelled,
    trial_line,
    trials_sentence,
    winner_line,
)
from grus.training.search import Choice, Range


def so_far(trials):
    """The study when that many trials were over."""
    return dataclasses.replace(a_study(), trials=a_study().trials[:trials])


def test_what_is_searched():
    space = {"learning_rate": Range(1e-4, 0.01, log=True), "layers": Choice((1, 2)), "pool": Choice(("max",))}
    line = "tune      12 trials over learning_rate 0.0001 to 0.01; layers 1, 2; pool max"
    assert search_line(space, 12) == line
    assert search_line({"layers": Choice((1,))}, 1) == "tune      1 trial over layers 1"


def test_each_trial_when_it_is_over():
    lines = [trial_line(so_far(n), 7) for n in range(1, 6)]
    same = "batch_size 64, layers 1, pool max"
    assert lines == [
        f"trial 1/7  validation loss 0.8000 (best)  learning_rate 0.001, {same}  10.0 s  1:00 left",
        "trial 2/7  validation loss 1.200  pruned after 2 epochs  learning_rate 0.00525, batch_size 16, layers 1, "
        "pool max  6.5 s  0:41 left",
        f"trial 3/7  diverged  learning_rate 0.01, {same}  0.5 s  0:23 left",
        "trial 4/7  validation loss 0.6000 (best)  learning_rate 0.002, batch_size 64, layers 2, pool mean  53.0 s  "
        "0:52 left",
        f"trial 5/7  validation loss 0.9500  learning_rate 0.0001, {same}  20.0 s  0:36 left",
    ]


def test_what_was_chosen():
    assert trials_sentence(so_far(1)) == "trial 1 of 1"
    assert trials_sentence(a_study()) == "trial 4 of 5, 1 pruned, 1 diverged"
    line = "tuned     learning_rate 0.002, batch_size 64, layers 2, pool mean (trial 4 of 5, 1 pruned, 1 diverged)"
    assert winner_line(a_study()) == line


def test_values():
    assert [spelled(v) for v in (0.00123, 64, 0.0, "max", 1e-5, 1)] == [
        "0.00123",
        "64",
        "0",
        "max",
        "1e-05",
        "1",
    ]
    assert settings({"a": 1, "b": "x"}) == "a 1, b x"
