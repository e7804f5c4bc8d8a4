"""Every bad input: the exact sentence and hint on stderr, nothing on stdout, and the exit code."""

import shutil

import pytest
import typer
from cli_runs import HORIZON, hourly, run, spawn, write

from grus.cli.app import app
from grus.cli.failure import exit_code
from grus.errors import (
    DataError,
    DivergenceError,
    MissingExtraError,
    ModelFolderError,
    TrainingInterrupted,
    UnsupportedError,
    UsageError,
)


def refused(capsys, *arguments, error: str, hint: str = ""):
    """The command line must print exactly this and exit with 2."""
    ran = run(capsys, *arguments)
    expected = f"error: {error}\n" + (f"hint: {hint}\n" if hint else "")
    assert (ran.err, ran.out, ran.code) == (expected, "", 2)


COMMANDS = ", ".join(typer.main.get_command(app).list_commands(None))
assert COMMANDS.startswith("fit, compare, predict, evaluate, ")
USAGE = [
    (["foo"], f"grus: no such command 'foo'; the commands are {COMMANDS}", "'grus --help' says what they do"),
    (["predct", "m"], f"grus: no such command 'predct'; the commands are {COMMANDS}", "did you mean 'predict'?"),
    (["fit"], "grus fit: task is missing; the tasks are forecast, classify, detect, generate, translate, transcribe", "'grus fit --help' says what they do"),
    (["fit", "sorting", "x.csv"], "grus fit: no such task 'sorting'; the tasks are forecast, classify, detect, generate, translate, transcribe", "'grus fit --help' says what they do"),
    (["predict"], "grus predict: MODEL is missing", "'grus predict --help' shows how it is used"),
    (["predict", "m"], "grus predict: DATA is missing", "'grus predict --help' shows how it is used"),
    (["fit", "forecast", "x.csv"], "grus fit forecast: option --horizon is missing", "'grus fit forecast --help' shows how it is used"),
    (["predict", "m", "d", "--levl", "8"], "grus predict: no such option '--levl'", "did you mean '--level'?"),
    (["predict", "m", "d", "--zzz"], "grus predict: no such option '--zzz'", "'grus predict --help' shows how it is used"),
    (["--zzz"], "grus: no such option '--zzz'", "'grus --help' shows how it is used"),
    (["predict", "m", "d", "--level"], "grus predict: option '--level' needs a value", "'grus predict --help' shows how it is used"),
    (["predict", "m", "d", "--json=1"], "grus predict: option '--json' takes no value", "'grus predict --help' shows how it is used"),
    (["predict", "m", "d", "e"], "grus predict: expected nothing after the last argument, got 'e'", "'grus predict --help' shows how it is used"),
    (["evaluate", "m", "d", "--step", "x"], "grus evaluate: --step must be a whole number, got 'x'", "'grus evaluate --help' shows how it is used"),
    (["evaluate", "m", "d", "--step", "0"], "grus evaluate: --step must be at least 1, got '0'", "'grus evaluate --help' shows how it is used"),
    (["predict", "m", "d", "--level", "80,high"], "grus predict: --level must be numbers from 1 to 99 such as 80,95, got 'high'", ""),
    (["predict", "m", "d", "--level", "100"], "grus predict: --level must be numbers from 1 to 99 such as 80,95, got '100'", ""),
    (["evaluate", "m", "d", "--level", "80,0.5"], "grus evaluate: --level must be numbers from 1 to 99 such as 80,95, got '0.5'", ""),
    (["fit", "forecast", "x.csv", "--horizon", "2.5"], "grus fit forecast: --horizon must be a whole number, got '2.5'", "'grus fit forecast --help' shows how it is used"),
    (["fit", "forecast", "x.csv", "--horizon", "2", "--dropout", "x"], "grus fit forecast: --dropout must be a number, got 'x'", "'grus fit forecast --help' shows how it is used"),
    (["fit", "forecast", "x.csv", "--horizon", "2", "--model", "lstm"], "grus fit forecast: --model must be one of segment, direct, got 'lstm'", "'grus fit forecast --help' shows how it is used"),
    (["fit", "forecast", "x.csv", "--horizon", "2", "--quantiles", ".5,1"], "grus fit forecast: --quantiles must be numbers between 0 and 1 such as 0.1,0.5,0.9, got '1'", ""),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "error", "hint"), USAGE, ids=[" ".join(u[0]) for u in USAGE])
def test_usage(capsys, arguments, error, hint):
    refused(capsys, *arguments, error=error, hint=hint)


def fit(table, folder, *more):
    return ["fit", "forecast", table, "--horizon", HORIZON, "--target", "y", "-o", folder, "-q", *more]


def test_missing_file(capsys, tmp_path, table, model):
    where = table.parent / "demnd.csv"
    refused(
        capsys, *fit(where, tmp_path / "m"), error=f"no such file: {where}", hint=f"did you mean {table}?"
    )
    refused(capsys, "predict", model, where, error=f"no such file: {where}", hint=f"did you mean {table}?")
    refused(capsys, "evaluate", model, "nowhere/x.csv", error="no such file: nowhere/x.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected a header and rows, got an empty file"),
        ("ds,y\n", "expected rows after the header, got none"),
    ],
)
def test_empty_file(capsys, tmp_path, model, text, sentence):
    empty = write(tmp_path / "empty.csv", text)
    for arguments in (fit(empty, tmp_path / "m"), ["predict", model, empty], ["evaluate", model, empty]):
        refused(capsys, *arguments, error=f"empty.csv: {sentence}")


def test_missing_column(capsys, tmp_path, table, model, promo_model):
    there = "the columns are 'ds', 'y', 'promo'"
    refused(
        capsys,
        *fit(table, tmp_path / "m", "--past", "price"),
        error=f"demand.csv: no column 'price'; {there}",
    )
    near = fit(table, tmp_path / "m", "--past", "promotion")
    refused(capsys, *near, error=f"demand.csv: no column 'promotion'; {there}", hint="did you mean 'promo'?")
    bare = write(tmp_path / "bare.csv", hourly().replace("promo", "other"))
    error = "bare.csv: no column 'promo'; the columns are 'ds', 'y', 'other'"
    refused(capsys, "predict", promo_model, bare, error=error)
    refused(capsys, "evaluate", promo_model, bare, error=error)


def test_series_too_short(capsys, tmp_path, model):
    short = write(tmp_path / "short.csv", hourly(30))
    ran = run(capsys, *fit(short, tmp_path / "m", "--lookback", 24))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "error: series 'series': 30 rows, but lookback 24 + horizon 12 + validation 12 need at least 48\n"
        "hint: shorten the lookback or the horizon, or give longer series\n"
    )
    ran = run(capsys, "evaluate", model, short)
    assert (ran.code, ran.out) == (2, "")
    assert "the longest series has 30 hours, but lookback" in ran.err
    assert not (tmp_path / "m").exists()
    assert not (tmp_path / "m.run").exists()


def test_damaged_and_foreign_model_folders(capsys, tmp_path, table, model):
    refused(
        capsys, "predict", tmp_path / "none", table, error=f"{tmp_path}/none: no such model folder",
        hint="grus fit makes one; check the path",
    )  # fmt: skip
    refused(
        capsys, "predict", table.parent, table, error=f"{table.parent}: not a model folder (no config.json in it)",
        hint="name the folder grus fit wrote",
    )  # fmt: skip
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    write(foreign / "config.json", '{"model_type": "llama"}')
    error = f"{foreign}/config.json: not a Grus model (its format must be 'grus-model')"
    refused(capsys, "evaluate", foreign, table, error=error)

    cut = tmp_path / "cut"
    shutil.copytree(model, cut)
    weights = cut / "model.safetensors"
    size = weights.stat().st_size
    weights.write_bytes(weights.read_bytes()[: size - 100])
    refused(
        capsys, "predict", cut, table, error=f"{weights}: truncated: must be {size} bytes, got {size - 100}"
    )
    ran = run(capsys, "predict", _with_half_config(model, tmp_path / "half"), table)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {tmp_path}/half/config.json: not readable as JSON: ")
    assert ran.err.endswith("\nhint: the file is damaged or truncated\n")


def _with_half_config(model, folder):
    shutil.copytree(model, folder)
    config = folder / "config.json"
    config.write_bytes(config.read_bytes()[:200])
    return folder


def test_nothing_is_overwritten_unasked(capsys, tmp_path, table, model):
    before = (model / "config.json").read_bytes()
    refused(
        capsys, *fit(table, model), error=f"{model}: already exists, and nothing is overwritten unasked",
        hint="name another folder with -o, or add --force to replace it",
    )  # fmt: skip
    assert (model / "config.json").read_bytes() == before
    answer = write(tmp_path / "answer.csv", "mine\n")
    refused(
        capsys, "predict", model, table, "-o", answer,
        error=f"{answer}: already exists, and nothing is overwritten unasked",
        hint="name another file with -o, or add --force to replace it",
    )  # fmt: skip
    assert answer.read_text() == "mine\n"
    mine = tmp_path / "mine"
    mine.mkdir()
    write(mine / "thesis.txt", "years of work\n")
    ran = run(capsys, *fit(table, mine, "--force"))
    assert ran.code == 2
    assert ran.err.startswith(
        f"error: {mine}: not a model folder (no config.json in it), so it is not replaced\n"
    )
    assert (mine / "thesis.txt").exists()


def test_where_an_answer_cannot_go(capsys, tmp_path, table, model):
    where = tmp_path / "answer.xlsx"
    error = f"{where}: expected a name ending in .csv, .parquet, .json, got '.xlsx'"
    refused(capsys, "predict", model, table, "-o", where, error=error)
    where = tmp_path / "none" / "answer.csv"
    error = f"{where}: no such folder: {where.parent}"
    refused(capsys, "predict", model, table, "-o", where, error=error, hint="make it first")


def test_future_rows_are_asked_for(capsys, table, promo_model):
    ran = run(capsys, "predict", promo_model, table)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "error: future: expected 12 hours of 'promo' after the last row of each series, got none\n"
        "hint: give rows from 2024-03-21 on with the columns that are known in advance\n"
    )


def test_config_files(capsys, tmp_path):
    def fails(text, sentence, hint="", name="run.toml"):
        file = write(tmp_path / name, text)
        refused(capsys, "fit", "forecast", "x.csv", "--config", file, error=f"{file}: {sentence}", hint=hint)

    fails("horizn = 3", "'horizn' is no option of grus fit forecast", "did you mean 'horizon'?")
    fails(
        "q-q = 3", "'q_q' is no option of grus fit forecast", "'grus fit forecast --help' lists the options"
    )
    fails("[1]", "expected an object of options, got list", name="run.json")
    ran = run(capsys, "fit", "forecast", "x.csv", "--config", write(tmp_path / "run.toml", "horizon = "))
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert ran.err.startswith(
        f"error: {tmp_path}/run.toml: expected options in TOML, got what cannot be read: "
    )
    refused(
        capsys, "fit", "forecast", "x.csv", "--config", tmp_path / "none.toml",
        error=f"{tmp_path}/none.toml: cannot be read as options: no such file or directory",
    )  # fmt: skip


def test_resume_without_a_run(capsys, tmp_path, table):
    error = f"{tmp_path}/m.run: no checkpoint to resume from"
    refused(capsys, *fit(table, tmp_path / "m", "--resume"), error=error, hint="start without --resume")
    assert not list(tmp_path.iterdir())


def test_an_unfinished_run_is_not_thrown_away(capsys, tmp_path, table):
    run_folder = tmp_path / "m.run"
    run_folder.mkdir()
    (run_folder / "checkpoint.pt").write_bytes(b"hours of work")
    error = f"{run_folder}: holds a training run that did not finish"
    hint = "add --resume to go on from it, or --force to start again"
    refused(capsys, *fit(table, tmp_path / "m"), error=error, hint=hint)
    assert (run_folder / "checkpoint.pt").read_bytes() == b"hours of work"


def test_options_that_the_task_refuses(capsys, tmp_path, table):
    error = "TrainingConfig: epochs must be a whole number of at least 1, got 0"
    refused(capsys, *fit(table, tmp_path / "m", "--epochs", 0), error=error)
    ran = run(capsys, *fit(table, tmp_path / "m", "--device", "cuda:99"))
    assert (ran.code, ran.out) == (2, "")
    assert not list(tmp_path.iterdir()), "a run that was refused leaves nothing behind"


def test_stdin_without_rows(model):
    ran = spawn("predict", model, "-", input="")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "error: stdin: expected a header and rows, got nothing\n"


def test_exit_codes_by_kind():
    disk = ModelFolderError("m: cannot be written: disk full")
    disk.__cause__ = OSError(28, "disk full")
    assert [exit_code(e) for e in (UsageError("x"), DataError("x"), ModelFolderError("x"))] == [2, 2, 2]
    assert [exit_code(e) for e in (disk, DivergenceError("x"), MissingExtraError("x"))] == [1, 1, 1]
    assert [exit_code(e) for e in (UnsupportedError("x"), OSError("x"))] == [1, 1]
    assert [exit_code(e) for e in (TrainingInterrupted("x"), KeyboardInterrupt())] == [130, 130]


def test_unreadable_file_is_a_sentence(capsys, monkeypatch, table, model):
    import grus.data.readers

    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(grus.data.readers, "read_columns", denied)
    ran = run(capsys, "predict", model, table)
    assert (ran.code, ran.out, ran.err) == (1, "", f"error: {table}: permission denied\n")


def test_ctrl_c_while_predicting(capsys, monkeypatch, table, model):
    import grus.data.readers

    def interrupted(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(grus.data.readers, "read_columns", interrupted)
    ran = run(capsys, "predict", model, table)
    assert (ran.code, ran.out, ran.err) == (130, "", "error: interrupted\n")
