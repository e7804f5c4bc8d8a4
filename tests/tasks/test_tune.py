"""Tuning, of both tasks: never worse than what was given, the same after a break, nothing left lying about."""

import functools
import json
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import classify_tables
import forecast_tables
import numpy as np
import pytest
import torch
from forecast_tables import tensors_equal

from grus import Classifier
from grus.errors import (
    DivergenceError,
    MissingExtraError,
    ModelFolderError,
    TrainingInterrupted,
    UnsupportedError,
    UsageError,
)
from grus.tasks.classify_job import ClassifyJob
from grus.tasks.forecast_job import ForecastJob

AGAIN = "start again without resume"


@dataclass(frozen=True, eq=False)
class Case:
    """A task: how to make its estimator, its data, other data, and the class of its jobs."""

    make: Callable[..., Any]
    data: tuple
    other: tuple
    job: type


def classifier(**options):
    return Classifier(**(classify_tables.TINY | {"epochs": 1} | options))


CASES = {
    "forecast": Case(
        forecast_tables.tiny, (forecast_tables.table(),), (forecast_tables.table(seed=1),), ForecastJob
    ),
    "classify": Case(classifier, classify_tables.texts(), classify_tables.texts(seed=1), ClassifyJob),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def tune(case, *, trials=3, data=None, options=None, **more):
    """A small search, quiet."""
    model = case.make(**(options or {}))
    return model.tune(*(data or case.data), trials=trials, **({"progress": "quiet"} | more))


@functools.cache
def whole(case):
    """The outcome of the search that others are compared with."""
    return tune(case)


def timeless(study):
    """A study without what the clock says."""
    return replace(study, trials=[replace(trial, seconds=0.0) for trial in study.trials])


def same(one, two):
    """The same trials, and the same model to the last bit."""
    return timeless(one.tuning_) == timeless(two.tuning_) and tensors_equal(one, two)


def break_at(monkeypatch, case, call, action):
    """Let something happen while batch number ``call`` (from 0) of the whole search is made."""
    batch, made = case.job.batch, iter(range(10**6))

    def breaking(self, epoch, step):
        if next(made) == call:
            action()
        return batch(self, epoch, step)

    monkeypatch.setattr(case.job, "batch", breaking)


def interrupted(case, folder, call, **more):
    """Press Ctrl-C at that batch; return what is said."""
    with pytest.MonkeyPatch.context() as patch:
        break_at(patch, case, call, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(TrainingInterrupted) as caught:
            tune(case, folder=folder, **more)
    return str(caught.value)


def states(folder):
    """Number, state and whether there are scores, of each trial in the study of a folder."""
    study = json.loads((folder / "study.json").read_text())
    return [(trial["number"], trial["state"], bool(trial["scores"])) for trial in study["trials"]]


# -- what comes out ------------------------------------------------------------------------------------


def test_one_trial_is_fit(case):
    tuned, fitted = tune(case, trials=1), case.make().fit(*case.data, progress="quiet")
    assert tensors_equal(tuned, fitted)
    assert tuned.get_params() == fitted.get_params()
    assert len(tuned.tuning_.trials) == 1
    other = case.make(seed=1).fit(*case.data, progress="quiet")
    assert not tensors_equal(tuned, other), "the comparison can fail"


def test_never_worse_than_what_was_given(case):
    options = {"val_size": 12, "learning_rate": 1e-3}
    tuned, fitted = tune(case, trials=5, options=options), case.make(**options)
    study = tuned.tuning_
    fitted.fit(*case.data, progress="quiet")
    assert list(study.space)[:5] == ["learning_rate", "batch_size", "hidden_size", "layers", "dropout"]
    given = {name: getattr(case.make(**options), name) for name in study.space}
    assert study.trials[0].parameters == given
    assert study.trials[0].score == fitted.history_.best_score
    assert [trial.number for trial in study.trials] == [1, 2, 3, 4, 5]
    assert tuned.history_.best_score == study.best.score < fitted.history_.best_score
    assert tuned.get_params() == fitted.get_params() | study.best.parameters
    again = case.make(**tuned.get_params()).fit(*case.data, progress="quiet")
    assert tensors_equal(again, tuned), "the best trial is what fit makes of its parameters"


def test_the_same_seed_gives_the_same_search(case):
    assert same(tune(case), whole(case))
    assert not same(whole(case), tune(case, options={"seed": 1}))


def test_test_rows_play_no_part():
    """Other values in the rows kept for a test change no trial."""
    data, case, options = forecast_tables.one_series(), CASES["forecast"], {"test_size": 6}
    other = {**data, "y": data["y"] + 50 * (np.arange(len(data["y"])) >= len(data["y"]) - 6)}
    one, two = (tune(case, data=(rows,), options=options) for rows in (data, other))
    assert timeless(one.tuning_) == timeless(two.tuning_)
    assert one.test_.model.mae != two.test_.model.mae


def test_the_plan_and_the_lines_of_trials(case, capsys):
    space = {"learning_rate": (1e-3, 1e-2), "layers": [2, 1]}
    tuned = tune(case, space=space, progress="plain", trials=2)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines[:2]] == ["trial 1/2", "trial 2/2"]
    assert "validation loss " in lines[0]
    assert "(best)" in lines[0]
    assert lines[1].endswith(" s  0:00 left")
    assert lines[2].startswith("tuned     learning_rate ")
    assert tuned.plan_[-2] == "tune      2 trials over learning_rate 0.001 to 0.01; layers 1, 2"
    assert tuned.plan_[-1] == lines[2]
    assert lines[2].endswith(f" (trial {tuned.tuning_.best.number} of 2)")
    told: list[str] = []
    tune(case, trials=1, report_plan=told.extend)
    assert capsys.readouterr().err == "", "quiet"
    assert told[-1].startswith("tune      1 trial over ")


def test_a_later_fit_forgets_the_search(case, tmp_path):
    tuned = tune(case, trials=2)
    page = tuned.save(tmp_path / "m") / "report" / "index.html"
    assert ">Tuning</h2>" in page.read_text()
    metrics = json.loads((tmp_path / "m" / "report" / "metrics.json").read_text())
    assert len(metrics["tuning"]["trials"]) == 2
    tuned.fit(*case.data, progress="quiet")
    assert not hasattr(tuned, "tuning_")
    page = tuned.save(tmp_path / "m", force=True) / "report" / "index.html"
    assert ">Tuning</h2>" not in page.read_text()


def test_a_rate_found_by_a_range_test_is_not_searched(case):
    tuned = tune(case, trials=2, options={"learning_rate": "auto"})
    assert "learning_rate" not in tuned.tuning_.space
    assert tuned.learning_rate == "auto"
    assert tuned.history_.rate_test is not None


def test_trials_are_given_up():
    case = CASES["forecast"]
    tuned = tune(
        case, trials=7, data=(forecast_tables.one_series(70),), options={"epochs": 4},
        space={"learning_rate": (1e-6, 1e-1)},
    )  # fmt: skip
    pruned = [trial for trial in tuned.tuning_.trials if trial.state == "pruned"]
    assert pruned
    assert {len(trial.scores) for trial in pruned} == {3}
    assert all(trial.score > tuned.tuning_.best.score for trial in pruned)
    assert min(trial.number for trial in pruned) > 5


# -- trials that diverge -------------------------------------------------------------------------------


def test_a_trial_that_diverges_is_one_of_them(case, capsys, tmp_path):
    tuned = tune(
        case, trials=4, space={"learning_rate": (1e-3, 1e38)}, progress="plain", folder=tmp_path / "run"
    )
    trials = tuned.tuning_.trials
    assert [trial.state for trial in trials] == ["finished"] + 3 * ["diverged"]
    assert all(trial.scores == [] and trial.seconds > 0 for trial in trials[1:])
    lines = capsys.readouterr().err.splitlines()
    assert lines[1].startswith("trial 2/4  diverged  learning_rate ")
    assert lines[-1].endswith("(trial 1 of 4, 3 diverged)")
    assert np.isfinite(tuned.history_.best_score)
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"run.json", "study.json", "trial-001"}


def test_every_trial_diverges(case, tmp_path):
    def fails(**more):
        with pytest.raises(DivergenceError) as caught:
            tune(case, trials=2, space={"learning_rate": (1e30, 1e38)}, folder=tmp_path / "run", **more)
        assert str(caught.value) == (
            "tune: one of 2 trials must come to its end, got losses that are not finite in each"
        )
        assert caught.value.hint == (
            "search lower learning rates, or look for infinite and huge values in the data"
        )
        assert states(tmp_path / "run") == [(1, "diverged", False), (2, "diverged", False)]

    fails()
    fails(resume=True)


# -- folders -------------------------------------------------------------------------------------------


def test_what_is_left_in_the_folder(case, tmp_path):
    run = tmp_path / "run"
    tuned = tune(case, trials=4, options={"log": "csv"}, folder=run)
    best = f"trial-{tuned.tuning_.best.number:03d}"
    assert {path.name for path in run.iterdir()} == {"run.json", "study.json", "metrics.csv", best}
    assert [path.name for path in (run / best).iterdir()] == ["checkpoint.pt"]
    assert len((run / "metrics.csv").read_text().splitlines()) == 1 + len(tuned.history_.epochs)


def test_without_a_folder_nothing_is_left(case, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tune(case, trials=2)
    assert list(tmp_path.iterdir()) == []
    break_at(monkeypatch, case, 3, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(TrainingInterrupted) as caught:
        tune(case)
    assert str(caught.value) == (
        "tuning stopped by Ctrl-C in trial 1 of 3; it had no folder, so nothing of it is left"
    )
    assert list(tmp_path.iterdir()) == []


# -- broken off and gone on with -----------------------------------------------------------------------


@pytest.mark.parametrize(("call", "number"), [(0, 1), (70, 2), (120, 3)])
def test_ctrl_c_and_going_on(case, tmp_path, call, number):
    said = interrupted(case, tmp_path, call)
    assert said == (
        f"tuning stopped by Ctrl-C in trial {number} of 3; its study is {tmp_path / 'study.json'}, from which "
        "resume=True (on the command line: the same command with --resume) goes on"
    )
    assert states(tmp_path)[-1] == (number, "running", False)
    assert (tmp_path / f"trial-{number:03d}" / "checkpoint.pt").is_file()
    assert same(tune(case, folder=tmp_path, resume=True), whole(case))


def test_killed_and_going_on(case, tmp_path, monkeypatch):
    class KilledError(RuntimeError):
        """Stands for the end of the process."""

    def kill():
        raise KilledError

    for call in (4, 60):
        with monkeypatch.context() as patch:
            break_at(patch, case, call, kill)
            with pytest.raises(KilledError):
                tune(case, folder=tmp_path, resume=(tmp_path / "study.json").exists())
    assert same(tune(case, folder=tmp_path, resume=True), whole(case))


def test_broken_in_the_range_test_of_a_trial(tmp_path):
    case, options = CASES["classify"], {"learning_rate": "auto"}
    said = interrupted(case, tmp_path, 3, options=options)
    assert said.startswith("tuning stopped by Ctrl-C in trial 1 of 3; its study is ")
    assert not (tmp_path / "trial-001" / "checkpoint.pt").exists()
    assert same(tune(case, folder=tmp_path, resume=True, options=options), tune(case, options=options))


def test_more_trials_later(case, tmp_path):
    first = tune(case, trials=2, folder=tmp_path)
    more = tune(case, trials=4, folder=tmp_path, resume=True)
    assert same(more, tune(case, trials=4))
    assert more.tuning_.trials[:2] == first.tuning_.trials
    # Fewer than there are: nothing is trained, and what is there is looked at.
    assert tensors_equal(tune(case, trials=1, folder=tmp_path, resume=True), more)


def test_a_fresh_start_takes_nothing_from_an_earlier_search(case, tmp_path):
    interrupted(case, tmp_path, 30, data=case.other)
    assert (tmp_path / "trial-001" / "checkpoint.pt").is_file()
    assert same(tune(case, folder=tmp_path), whole(case))


def test_a_fresh_start_that_is_killed_at_once_leaves_no_old_study(case, tmp_path, monkeypatch):
    tune(case, folder=tmp_path, data=case.other, trials=1)
    monkeypatch.setattr("grus.tasks.tune.claim_run", lambda *_: (_ for _ in ()).throw(KeyError("the end")))
    with pytest.raises(KeyError):
        tune(case, folder=tmp_path)
    assert not (tmp_path / "study.json").exists()


def test_going_on_with_something_else(case, tmp_path):
    interrupted(case, tmp_path, 30)
    before = (tmp_path / "study.json").read_bytes()

    def refused(what, **more):
        with pytest.raises(UsageError) as caught:
            tune(case, folder=tmp_path, resume=True, **more)
        assert str(caught.value) == (
            f"{tmp_path}: cannot resume, because {what} is not what the run was started with"
        )
        assert caught.value.hint == "give the same data and options, or start again without resume"
        assert (tmp_path / "study.json").read_bytes() == before

    refused("the data", data=case.other)
    refused("parameter 'layers'", options={"layers": 2})
    refused("parameter 'space'", space=["layers"])
    refused("parameter 'space'", space={"learning_rate": (1e-4, 0.5)})


def test_going_on_without_a_good_study(case, tmp_path):
    def refused(sentence, hint):
        with pytest.raises(ModelFolderError) as caught:
            tune(case, folder=tmp_path, resume=True)
        assert str(caught.value).startswith(f"{tmp_path / 'study.json'}: {sentence}")
        assert caught.value.hint == hint

    refused("no study to resume from", "start without resume")
    assert list(tmp_path.iterdir()) == []
    interrupted(case, tmp_path, 120)
    study = tmp_path / "study.json"
    text = study.read_text()
    study.write_text(text[:-20])
    refused("damaged (", AGAIN)
    study.write_text(text.replace('"layers": 1', '"layers": 7'))
    refused("trial 1 does not belong to this search", AGAIN)
    study.write_text(text)
    assert same(tune(case, folder=tmp_path, resume=True), whole(case))


def test_a_search_is_no_single_run(case, tmp_path):
    interrupted(case, tmp_path, 30)
    with pytest.raises(
        UsageError, match=r"cannot resume, because parameter '\w+' is not what the run was started"
    ):
        case.make().fit(*case.data, folder=tmp_path, resume=True, progress="quiet")
    assert same(tune(case, folder=tmp_path, resume=True), whole(case)), "nothing is lost"


def test_a_single_run_is_no_search(case, tmp_path):
    case.make().fit(*case.data, folder=tmp_path, progress="quiet")
    with pytest.raises(ModelFolderError, match="no study to resume from"):
        tune(case, folder=tmp_path, resume=True)


# -- what is refused, before anything is trained -------------------------------------------------------


def refused(case, error, sentence, folder, **more):
    with pytest.raises(error) as caught:
        tune(case, folder=folder, **more)
    assert str(caught.value) == sentence
    assert not folder.exists()


def test_nothing_to_validate_on(case, tmp_path):
    sentence = "tune: val_size must leave rows to validate on, got none"
    refused(case, UsageError, sentence, tmp_path / "run", options={"val_size": 0})


@pytest.mark.parametrize("trials", [0, -1, 2.5, "3", True, None])
def test_how_many(case, tmp_path, trials):
    sentence = f"trials must be a whole number of at least 1, got {trials!r}"
    refused(case, UsageError, sentence, tmp_path / "run", trials=trials)


def test_resume_without_a_folder(case):
    with pytest.raises(
        UsageError, match="resume must have the folder of the run to go on with, got folder=None"
    ):
        tune(case, resume=True)


def test_several_processes(case, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_torchelastic_launched", lambda: True)
    sentence = "tune: must run in one process, got a run of several (torchrun)"
    refused(case, UnsupportedError, sentence, tmp_path / "run")


def test_without_optuna(case, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    sentence = "tune: needs the package optuna, which is not installed"
    refused(case, MissingExtraError, sentence, tmp_path / "run")
