"""``--tune N`` and ``--lr auto`` on the command line: what is printed, left, refused, and gone on with."""

import json
import signal
import sys

import pytest
from cli_runs import HORIZON, Ran, run, write
from test_cli_errors import refused

from grus.tasks.classify_job import ClassifyJob
from grus.tasks.forecast_job import ForecastJob

SMALL = ["--hidden-size", "8", "--epochs", "1", "--device", "cpu"]
HINT = "'grus fit forecast --help' shows how it is used"


@pytest.fixture(scope="module")
def moods(tmp_path_factory):
    """Sixty sentences with a mood each."""
    lines = [
        "text,mood",
        *(f"it was {'very good' if n % 2 else 'rather bad'} {n},{n % 2}" for n in range(60)),
    ]
    return write(tmp_path_factory.mktemp("data") / "moods.csv", "\n".join(lines) + "\n")


@pytest.fixture
def classify(moods):
    """The command line of a task without its options, and the class of its jobs."""
    return ["fit", "classify", moods, "--text", "text", "--label", "mood", *SMALL], ClassifyJob


@pytest.fixture
def forecast(table):
    """The same of the other task."""
    options = ["--target", "y", "--horizon", HORIZON, "--windows-per-epoch", 128]
    return ["fit", "forecast", table, *options, *SMALL], ForecastJob


@pytest.fixture(params=["forecast", "classify"])
def case(request):
    """Each of them."""
    return request.getfixturevalue(request.param)


def interrupt(capsys, case, *more, call: int) -> Ran:
    """Press Ctrl-C while batch number ``call`` (from 0) is made."""
    command, job = case
    batch, made = job.batch, iter(range(10**6))

    def interrupting(self, epoch, step):
        if next(made) == call:
            signal.raise_signal(signal.SIGINT)
        return batch(self, epoch, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "batch", interrupting)
        return run(capsys, *command, *more)


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


# -- what comes out ------------------------------------------------------------------------------------


def test_tune(capsys, tmp_path, case):
    folder = tmp_path / "m"
    ran = run(capsys, *case[0], "--tune", 3, "-o", folder)
    assert (ran.code, ran.out) == (0, f"{folder}\n"), ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["m"], "the run folder is gone"
    lines = ran.err.splitlines()
    assert [line.split("  ")[0] for line in lines if line.startswith("trial ")] == [
        "trial 1/3",
        "trial 2/3",
        "trial 3/3",
    ]
    (plan,) = (line for line in lines if line.startswith("tune "))
    assert plan.startswith("tune      3 trials over learning_rate 0.0001 to 0.01; batch_size ")
    assert "hidden_size" not in plan, "what is given is not searched"
    assert sum(line.startswith("tuned ") for line in lines) == 1
    report = folder / "report"
    assert {path.name for path in report.iterdir()} == {"index.html", "metrics.json", "training.csv"}
    assert ">Tuning</h2>" in (report / "index.html").read_text()
    study = json.loads((report / "metrics.json").read_text())["tuning"]
    assert [trial["number"] for trial in study["trials"]] == [1, 2, 3]
    assert len((report / "training.csv").read_text().splitlines()) == 2


def test_tune_as_json(capsys, tmp_path, case):
    folder = tmp_path / "m"
    ran = run(capsys, *case[0], "--tune", 2, "-o", folder, "--json", "-q")
    assert (ran.code, ran.err) == (0, "")
    answer = json.loads(ran.out)
    study = json.loads((folder / "report" / "metrics.json").read_text())["tuning"]
    best = study["trials"][answer["tuning"]["number"] - 1]
    assert answer["tuning"] == best | {"trials": 2}
    assert answer["epochs"] == len(best["scores"]) == 1
    assert min(trial["scores"][0] for trial in study["trials"]) == best["scores"][0]


def test_a_run_without_it_says_nothing_of_it(capsys, tmp_path, classify):
    ran = run(capsys, *classify[0], "-o", tmp_path / "m", "--json")
    assert "tuning" not in json.loads(ran.out)
    assert "tune" not in ran.err


def test_from_a_config_file(capsys, tmp_path, classify):
    config = write(tmp_path / "run.toml", 'tune = 2\nlearning_rate = "auto"\nlayers = 2\n')
    ran = run(capsys, *classify[0], "--config", config, "-o", tmp_path / "m")
    assert ran.code == 0, ran.err
    (plan,) = (line for line in ran.err.splitlines() if line.startswith("tune "))
    assert plan.startswith("tune      2 trials over batch_size ")
    assert "layers" not in plan, "an option of the file is given too"


@pytest.mark.parametrize("name", ["--lr", "--learning-rate"])
def test_a_rate_that_is_found(capsys, tmp_path, case, name):
    folder = tmp_path / "m"
    ran = run(capsys, *case[0], name, "auto", "-o", folder)
    assert (ran.code, ran.out) == (0, f"{folder}\n")
    lines = ran.err.splitlines()
    at = lines.index("looking for a learning rate, 100 steps at most")
    test = json.loads((folder / "report" / "metrics.json").read_text())["history"]["rate_test"]
    assert lines[at + 1].startswith(
        f"learning rate {test['rate']:.3g}, found in {len(test['rates'])} steps and "
    )
    assert (
        f"The learning rate of {test['rate']:g} was found by a range test of {len(test['rates'])} steps."
        in (folder / "report" / "index.html").read_text()
    )


@pytest.mark.parametrize("task", ["forecast", "classify"])
def test_help_says_how(capsys, task):
    ran = run(capsys, "fit", task, "--help")
    assert "--tune 20" in ran.out
    for words in ("--tune", "TRIALS", "--lr", "auto: found by a range test"):
        assert words in " ".join(ran.out.replace("│", " ").split()), words


# -- Ctrl-C --------------------------------------------------------------------------------------------


def test_ctrl_c_then_resume(capsys, tmp_path, case):
    folder, whole = tmp_path / "m", tmp_path / "whole"
    assert run(capsys, *case[0], "--tune", 3, "-o", whole).code == 0
    more = ["--tune", 3, "-o", folder]
    ran = interrupt(capsys, case, *more, call=70)
    study = f"{folder}.run/study.json"
    command = " ".join(map(str, [*case[0], *more]))
    assert (ran.code, ran.out) == (130, "")
    assert ran.err.splitlines()[-2:] == [
        f"error: training stopped by Ctrl-C; its study is {study}",
        f"hint: to go on from it: grus {command} --resume",
    ]
    assert not folder.exists()

    ran = run(capsys, *case[0], *more)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"error: {folder}.run: holds a training run that did not finish\n"
        "hint: add --resume to go on from it, or --force to start again\n"
    )

    ran = run(capsys, *case[0], *more, "--epochs", 2, "--resume")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[-2:] == [
        f"error: {folder}.run: cannot resume, because parameter 'epochs' is not what the run was started with",
        "hint: give the same data and options, or start again without resume",
    ]

    ran = run(capsys, *case[0], *more, "--resume")
    assert (ran.code, ran.out) == (0, f"{folder}\n"), ran.err
    assert "trial 1/3" not in ran.err
    assert "trial 3/3" in ran.err
    assert weights(folder) == weights(whole)
    assert {path.name for path in tmp_path.iterdir()} == {"m", "whole"}


def test_ctrl_c_then_force(capsys, tmp_path, classify):
    folder = tmp_path / "m"
    assert interrupt(capsys, classify, "--tune", 2, "--seed", 1, "-o", folder, call=30).code == 130
    ran = run(capsys, *classify[0], "--tune", 2, "-o", folder, "--force")
    assert (ran.code, ran.out) == (0, f"{folder}\n"), ran.err
    assert "trial 1/2" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_ctrl_c_while_it_looks_for_a_rate(capsys, tmp_path, classify):
    ran = interrupt(capsys, classify, "--lr", "auto", "-o", tmp_path / "m", call=5)
    assert (ran.code, ran.out) == (130, "")
    assert ran.err.splitlines()[-1] == (
        "error: training stopped by Ctrl-C while it looked for a learning rate; nothing is lost, start again"
    )
    assert list(tmp_path.iterdir()) == []


def test_tune_forgotten_with_resume(capsys, tmp_path, classify):
    folder, hint = tmp_path / "m", "give the same options as before"
    assert interrupt(capsys, classify, "--tune", 2, "-o", folder, call=5).code == 130
    error = f"{folder}.run: holds a search, which goes on only with --tune"
    refused(capsys, *classify[0], "-o", folder, "--resume", "-q", error=error, hint=hint)
    assert run(capsys, *classify[0], "--tune", 2, "-o", folder, "--resume").code == 0, "nothing is lost"
    assert interrupt(capsys, classify, "-o", folder, "--force", call=5).code == 130
    error = f"{folder}.run: holds a single run, which goes on only without --tune"
    refused(
        capsys, *classify[0], "-o", folder, "--force", "--tune", 2, "--resume", "-q", error=error, hint=hint
    )


# -- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "hint"),
    [
        (["--tune", "0"], "--tune must be at least 1, got '0'", HINT),
        (["--tune", "-3"], "--tune must be at least 1, got '-3'", HINT),
        (["--tune", "x"], "--tune must be a whole number, got 'x'", HINT),
        (["--tune", "2.5"], "--tune must be a whole number, got '2.5'", HINT),
        (["--tune"], "option '--tune' needs a value", HINT),
        (["--lr", "banana"], "--learning-rate must be a number or auto, got 'banana'", ""),
        (["--learning-rate", "Auto"], "--learning-rate must be a number or auto, got 'Auto'", ""),
        (["--lr", ""], "--learning-rate must be a number or auto, got ''", ""),
        (["--tune", "2", "--from", "m"], "--tune must not be given with --from, which keeps the network", ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage(capsys, options, error, hint):
    command = ["fit", "forecast", "x.csv", "--horizon", "2"]
    refused(capsys, *command, *options, error=f"grus fit forecast: {error}", hint=hint)


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf"])
def test_a_rate_that_is_none(capsys, tmp_path, classify, rate):
    error = f"TrainingConfig: learning_rate must be a finite number above 0, or 'auto', got {float(rate)}"
    for more in ([], ["--tune", 2]):
        refused(capsys, *classify[0], "--lr", rate, "-o", tmp_path / "m", "-q", *more, error=error)
    assert list(tmp_path.iterdir()) == []


def test_nothing_left_to_search(capsys, tmp_path, moods):
    given = ["--lr", "auto", "--batch-size", 8, "--layers", 1, "--dropout", 0, "--pool", "max", *SMALL]
    error = (
        "--tune must leave something to search, but all is given: "
        "learning_rate, batch_size, hidden_size, layers, dropout, pool"
    )
    refused(capsys, "fit", "classify", moods, *given, "--tune", 2, "-o", tmp_path / "m", "-q", error=error)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_validate_on(capsys, tmp_path, case):
    error = "tune: val_size must leave rows to validate on, got none"
    refused(capsys, *case[0], "--tune", 2, "--val-size", 0, "-o", tmp_path / "m", "-q", error=error)
    assert list(tmp_path.iterdir()) == []


def test_resume_without_a_run(capsys, tmp_path, classify):
    error = f"{tmp_path}/m.run: no checkpoint to resume from"
    refused(
        capsys, *classify[0], "--tune", 2, "--resume", "-o", tmp_path / "m", "-q", error=error,
        hint="start without --resume",
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_study(capsys, tmp_path, classify):
    folder, more = tmp_path / "m", ["--tune", 2, "-o", tmp_path / "m", "-q"]
    assert interrupt(capsys, classify, *more, call=5).code == 130
    study = tmp_path / "m.run" / "study.json"
    study.write_bytes(study.read_bytes()[:100])
    ran = run(capsys, *classify[0], *more, "--resume")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {study}: damaged (")
    assert ran.err.endswith("\nhint: start again without resume\n")
    assert study.exists()
    assert not folder.exists()


def test_nothing_is_overwritten_unasked(capsys, tmp_path, classify):
    folder = tmp_path / "m"
    assert run(capsys, *classify[0], "-o", folder, "-q").code == 0
    before = weights(folder)
    refused(
        capsys, *classify[0], "--tune", 2, "-o", folder, "-q",
        error=f"{folder}: already exists, and nothing is overwritten unasked",
        hint="name another folder with -o, or add --force to replace it",
    )  # fmt: skip
    assert weights(folder) == before
    assert run(capsys, *classify[0], "--tune", 2, "--seed", 3, "-o", folder, "-q", "--force").code == 0
    assert weights(folder) != before


def test_without_optuna(capsys, tmp_path, classify, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    ran = run(capsys, *classify[0], "--tune", 2, "-o", tmp_path / "m", "-q")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "error: tune: needs the package optuna, which is not installed\nhint: pip install 'grus[train]'\n"
    )
    assert list(tmp_path.iterdir()) == []
