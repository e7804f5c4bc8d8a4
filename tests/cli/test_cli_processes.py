"""The command line as a process: without torch, interrupted, and with nobody reading."""

import json
import os
import signal
import subprocess
import sys

import pytest
from cli_runs import HORIZON, command, environment, run, spawn

from grus.cli.fit_run import CHECKPOINT, RUN_FILE

# What torch would say if it were not there, for every import of it, however deep.
_WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from grus.cli import main
code = main(sys.argv[1:])
assert not set({blocked!r}) & set(sys.modules)
sys.exit(code)
"""


def without_command(blocked, *arguments):
    source = _WITHOUT.format(blocked=tuple(blocked))
    return [sys.executable, "-c", source, *map(str, arguments)]


def without(blocked, *arguments):
    return subprocess.run(
        without_command(blocked, *arguments),
        capture_output=True, text=True, env=environment(), timeout=120, check=False,
    )  # fmt: skip


def test_predict_and_evaluate_need_no_torch(capsys, table, model):
    blocked = ["torch", "lightning_fabric", "matplotlib", "jinja2", "pandas"]
    for arguments in (["predict", model, table, "--level", "80"], ["evaluate", model, table, "--json"]):
        ran = without(blocked, *arguments)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout == run(capsys, *arguments).out


def test_the_block_would_be_noticed(table, tmp_path):
    ran = without(
        ["torch"], "fit", "forecast", table, "--target", "y", "--horizon", HORIZON, "-o", tmp_path / "m"
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == (
        "error: training needs the package torch, which is not installed\nhint: pip install 'grus[train]'\n"
    )


def test_the_command_line_says_what_it_lacks():
    ran = without(["typer"], "--help")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == (
        "error: the command line needs the package typer, which is not installed\nhint: pip install 'grus[cli]'\n"
    )


def test_help_loads_nothing_heavy():
    heavy = ["numpy", "torch", "pyarrow", "matplotlib", "pandas", "narwhals"]
    for arguments in (["--help"], ["fit", "forecast", "--help"], ["--version"]):
        assert without(heavy, *arguments).returncode == 0


FIT = [
    "--target",
    "y",
    "--horizon",
    HORIZON,
    "--hidden-size",
    "8",
    "--epochs",
    "4",
    "--windows-per-epoch",
    "256",
]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("unbroken") / "m"
    ran = spawn("fit", "forecast", table, *FIT, "-o", folder, "-q")
    assert ran.code == 0, ran.err
    return folder


def test_ctrl_c_while_training_then_resume(capsys, tmp_path, table, unbroken):
    folder = tmp_path / "m"
    arguments = ["fit", "forecast", str(table), *map(str, FIT), "-o", str(folder)]
    process = subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch 1/4"):
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=60)
    run_folder = tmp_path / "m.run"
    assert (process.returncode, out) == (130, "")
    last = err.splitlines()[-2:]
    assert last[0] == f"error: training stopped by Ctrl-C; its checkpoint is {run_folder}/checkpoint.pt"
    assert last[1] == f"hint: to go on from it: grus {' '.join(arguments)} --resume"
    assert {p.name for p in run_folder.iterdir()} == {CHECKPOINT, RUN_FILE, "metrics.csv"}
    assert not folder.exists()

    other = run(capsys, *arguments, "--resume", "-q", "--learning-rate", "0.1")
    assert (other.code, other.out) == (2, "")
    assert other.err.startswith(
        f"error: {run_folder}: cannot resume, because parameter 'learning_rate' is not what"
    )
    assert (run_folder / "checkpoint.pt").is_file()

    resumed = spawn(*arguments, "--resume")
    assert (resumed.code, resumed.out) == (0, f"{folder}\n"), resumed.err
    assert "epoch 1/4" not in resumed.err, "the first epoch was not made again"
    assert not run_folder.exists()
    for name in ("model.safetensors", "config.json"):
        assert (folder / name).read_bytes() == (unbroken / name).read_bytes()
    history = json.loads((folder / "report" / "metrics.json").read_text())["history"]
    assert [record["epoch"] for record in history["epochs"]] == [1, 2, 3, 4]


@pytest.mark.parametrize("arguments", [["predict"], ["evaluate"], ["evaluate", "--json"]])
def test_nobody_reads_stdout(table, model, arguments):
    reader, writer = os.pipe()
    os.close(reader)
    ran = subprocess.run(
        command(arguments[0], model, table, "-q", *arguments[1:]),
        stdout=writer, stderr=subprocess.PIPE, text=True, env=environment(), timeout=60, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (ran.returncode, ran.stderr) == (141, "")


def test_stdout_is_closed(table, model):
    ran = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command("predict", model, table, "-q")],
        stderr=subprocess.PIPE, text=True, env=environment(), timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 2
    assert (
        ran.stderr == "error: stdout is closed, so the answer cannot be written\nhint: name a file with -o\n"
    )
