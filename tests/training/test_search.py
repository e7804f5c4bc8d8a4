"""A search: its space, its file, what it proposes (also after a break), and what it gives up."""

import json
import math
import sys

import optuna
import pytest

from grus.errors import MissingExtraError, ModelFolderError
from grus.training.history import EpochRecord
from grus.training.search import (
    Asked,
    Choice,
    Range,
    Study,
    Trial,
    check_study,
    import_optuna,
    read_study,
    study_path,
    write_study,
)

SPACE = {
    "learning_rate": Range(1e-4, 1e-2, log=True),
    "batch_size": Choice((16, 32, 64)),
    "dropout": Range(0.0, 0.4),
    "pool": Choice(("mean", "max", "last")),
}
GIVEN = {"learning_rate": 0.00123456, "batch_size": 32, "dropout": 0, "pool": "max"}


def outcome(number, parameters):
    """What a trial might come to: a valley in the rate, and now and then a trial that is given up or diverges."""
    if number % 7 == 4:
        return Trial(number, parameters, "diverged", seconds=1.0)
    best = abs(math.log10(parameters["learning_rate"]) + 3) + parameters["dropout"] + 0.1
    if number % 5 == 0:
        return Trial(number, parameters, "pruned", [3 * best, 2 * best], 1.0)
    return Trial(number, parameters, "finished", [3 * best, 2 * best, best], 1.0)


def search(trials, seed=0, first=GIVEN):
    """That many trials in one go."""
    made = []
    for number in range(1, trials + 1):
        asked = Asked(SPACE, made, seed, None if made else first)
        made.append(outcome(number, asked.parameters))
    return made


# -- the space -----------------------------------------------------------------------------------------


def test_what_a_space_holds():
    values = SPACE["learning_rate"]
    assert 1e-4 in values
    assert 1e-2 in values
    assert 0.011 not in values
    assert "auto" not in values
    assert math.nan not in values
    assert (32 in SPACE["batch_size"], 33 in SPACE["batch_size"]) == (True, False)
    assert [str(values) for values in SPACE.values()] == [
        "0.0001 to 0.01", "16, 32, 64", "0 to 0.4", "mean, max, last",
    ]  # fmt: skip


def test_the_first_trial_is_what_was_given_to_the_last_digit():
    assert Asked(SPACE, [], 0, GIVEN).parameters == GIVEN


def test_every_proposal_is_of_the_space_and_easy_to_read():
    seen = {name: set() for name in SPACE}
    for trial in search(30)[1:]:
        assert trial.parameters.keys() == SPACE.keys()
        for name, value in trial.parameters.items():
            assert value in SPACE[name]
            assert type(value) is (float if isinstance(SPACE[name], Range) else type(SPACE[name].values[0]))
            assert isinstance(value, str) or float(f"{value:.3g}") == value
            seen[name].add(value)
    assert seen["batch_size"] == {16, 32, 64}
    assert len(seen["pool"]) > 1


def test_rounding_does_not_leave_the_space():
    narrow = {"learning_rate": Range(0.0012344, 0.0012346, log=True)}
    assert {Asked(narrow, [], seed).parameters["learning_rate"] for seed in range(3)} == {0.0012344}


def test_proposals_depend_on_the_seed_and_on_what_was_found():
    assert search(8, seed=1)[1:] != search(8, seed=0)[1:]
    made = search(8)
    other = [*made[:-1], Trial(8, made[-1].parameters, "finished", [0.001], 1.0)]
    assert Asked(SPACE, made, 0).parameters != Asked(SPACE, other, 0).parameters


def test_proposals_get_better():
    scores = [trial.score for trial in search(50) if trial.state == "finished"][1:]
    assert sum(scores[-10:]) < 0.7 * sum(scores[:10])


def test_the_best_is_the_earlier_of_equals():
    done = [
        Trial(1, {}, "diverged"), Trial(2, {}, "pruned", [0.1]), Trial(3, {}, "finished", [2.0, 1.0]),
        Trial(4, {}, "finished", [1.0, 3.0]), Trial(5, {}),
    ]  # fmt: skip
    study = Study({}, done)
    assert study.best is done[2]
    assert study.running is done[4]
    assert study.ended == done[:4]
    assert (study.count("pruned"), study.count("diverged")) == (1, 1)
    assert Study({}, done[:2]).best is None
    assert done[0].score == math.inf


# -- the file, and going on ----------------------------------------------------------------------------


def test_going_on_proposes_what_an_unbroken_search_would(tmp_path):
    unbroken = search(14)
    assert {trial.state for trial in unbroken} == {"finished", "pruned", "diverged"}
    for cut in range(13):
        # Killed while trial ``cut + 1`` was running.
        running = Trial(cut + 1, unbroken[cut].parameters)
        write_study(tmp_path, Study({}, [*unbroken[:cut], running]))
        study = read_study(tmp_path)
        check_study(tmp_path, study, SPACE)
        assert study.running is not None
        again = Asked(SPACE, study.ended, 0, study.running.parameters)
        assert again.parameters == unbroken[cut].parameters
        made = [*study.ended, outcome(cut + 1, again.parameters)]
        assert made == unbroken[: cut + 1]
        assert Asked(SPACE, made, 0).parameters == unbroken[cut + 1].parameters


def test_the_file_is_whole_or_not_there(tmp_path):
    study = Study({"dropout": "0 to 0.4"}, search(6))
    write_study(tmp_path, study)
    assert read_study(tmp_path) == study
    assert [path.name for path in tmp_path.iterdir()] == ["study.json"]


def fails(tmp_path, text, sentence, hint="start again without resume"):
    study_path(tmp_path).write_text(text)
    with pytest.raises(ModelFolderError) as caught:
        check_study(tmp_path, read_study(tmp_path), SPACE)
    assert str(caught.value).startswith(f"{tmp_path / 'study.json'}: {sentence}")
    assert caught.value.hint == hint


def test_no_study(tmp_path):
    with pytest.raises(ModelFolderError) as caught:
        read_study(tmp_path)
    assert str(caught.value) == f"{tmp_path / 'study.json'}: no study to resume from"
    assert caught.value.hint == "start without resume"


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", '{"space": {}}x', '{"trials": []}', '{"space": {}, "trials": {}}',
        '{"space": {}, "trials": [{"number": 1}]}',
        '{"space": {}, "trials": [{"number": "1", "parameters": {}}]}',
        '{"space": {}, "trials": [{"number": 1, "parameters": {"dropout": true}}]}',
        '{"space": {}, "trials": [{"number": 1, "parameters": {"dropout": [0.1]}}]}',
        '{"space": {}, "trials": [{"number": 1, "parameters": {}, "state": "won"}]}',
        '{"space": {}, "trials": [{"number": 1, "parameters": {}, "scores": [null]}]}',
        '{"space": {}, "trials": [{"number": 1, "parameters": {}, "scores": [NaN]}]}',
        '{"space": {}, "trials": [{"number": 1, "parameters": {}, "scores": [1e999]}]}',
        "[" * 100_000,
    ],
)  # fmt: skip
def test_damaged(tmp_path, text):
    fails(tmp_path, text, "damaged (")


def test_damaged_at_any_byte(tmp_path):
    write_study(tmp_path, Study({}, search(3)))
    whole = study_path(tmp_path).read_text()
    for end in range(0, len(whole) - 1, 17):
        fails(tmp_path, whole[:end], "damaged (")


@pytest.mark.parametrize(
    "change",
    [
        {"number": 3},
        {"parameters": {}},
        {"parameters": GIVEN | {"layers": 1}},
        {"parameters": GIVEN | {"batch_size": 33}},
        {"parameters": GIVEN | {"batch_size": "32"}},
        {"parameters": GIVEN | {"dropout": 0.5}},
        {"parameters": GIVEN | {"learning_rate": "auto"}},
        {"scores": []},
        {"scores": [], "state": "pruned"},
        {"state": "running"},
    ],
    ids=str,
)
def test_trials_that_do_not_belong(tmp_path, change):
    trials = [{"number": n, "parameters": GIVEN, "state": "finished", "scores": [1.0]} for n in (1, 2, 3)]
    text = json.dumps({"space": {}, "trials": trials})
    study_path(tmp_path).write_text(text)
    check_study(tmp_path, read_study(tmp_path), SPACE)
    trials[1] = trials[1] | change
    fails(tmp_path, json.dumps({"space": {}, "trials": trials}), "trial 2 does not belong to this search")


# -- giving up -----------------------------------------------------------------------------------------


def records(*scores):
    """The epochs of a trial so far."""
    return [
        EpochRecord(e, e, 1.0, {"loss": s, "other": 0.0}, 1e-3, 1.0, 1.0) for e, s in enumerate(scores, 1)
    ]


def asked(*ended):
    """A trial after others of which the state and the scores are given."""
    return Asked(
        SPACE, [Trial(n, GIVEN, state, list(scores)) for n, (state, *scores) in enumerate(ended, 1)], 0
    )


FIVE = [("finished", 9.0, 5.0, value, value - 1) for value in (1.0, 2.0, 3.0, 4.0, 5.0)]


@pytest.mark.parametrize(
    ("scores", "given_up"),
    [
        ((99.0,), False),
        ((99.0, 99.0), False),
        ((99.0, 99.0, 3.1), True),
        ((99.0, 99.0, 3.0), False),
        ((2.9, 99.0, 99.0), False),
        ((2.9, 99.0, 99.0, 99.0), True),
        ((9.0, 9.0, 9.0, 9.0, 9.0), False),
    ],
    ids=["first epoch", "second", "worse than the median", "as good", "was better", "falls behind", "longer than any"],
)  # fmt: skip
def test_worse_than_the_median_at_that_epoch(scores, given_up):
    trial = asked(*FIVE)
    assert trial.give_up(records(*scores)) is given_up
    assert trial.give_up(records(*scores)) is given_up, "asking changes nothing"


def test_epoch_by_epoch_as_all_at_once():
    one, whole = asked(*FIVE), records(9.0, 3.05, 9.0, 2.0, 1.5)
    for end in range(1, 6):
        assert one.give_up(whole[:end]) is asked(*FIVE).give_up(whole[:end])


def test_only_trials_that_came_to_their_end_are_compared_with():
    assert not asked(*FIVE[:4]).give_up(records(99.0, 99.0, 99.0)), "four are too few"
    others = [("pruned", 9.0, 9.0, 9.0), ("diverged",)]
    assert not asked(*FIVE[:4], *others).give_up(records(99.0, 99.0, 99.0))
    assert not asked(*FIVE, *others, *others).give_up(records(9.0, 9.0, 3.0))
    assert asked(*FIVE, *others, *others).give_up(records(9.0, 9.0, 3.1))


# -- Optuna itself -------------------------------------------------------------------------------------


def test_without_optuna(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError) as caught:
        import_optuna()
    assert str(caught.value) == "tune: needs the package optuna, which is not installed"
    assert caught.value.hint == "pip install 'grus[train]'"


def test_optuna_says_nothing_and_stays_as_loud_as_it_was(capfd):
    before = optuna.logging.get_verbosity()
    trial = Asked(SPACE, search(6), 0)
    trial.give_up(records(1.0, 2.0, 3.0))
    assert optuna.logging.get_verbosity() == before
    assert capfd.readouterr() == ("", "")
