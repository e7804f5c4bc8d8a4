"""A run that is broken off anywhere and resumed ends with bitwise the weights of an unbroken run."""

import multiprocessing
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_jobs import CarryJob, LineJob, same_weights

from grus.errors import TrainingInterrupted
from grus.training import History, TrainingConfig, train
from grus.training.checkpoint import load_checkpoint

CPU = TrainingConfig(device="cpu", epochs=3, log="none", learning_rate=0.01)
EVERY_STEP = replace(CPU, checkpoint_every_steps=1)
VARIANTS = {
    "plain": (LineJob, CPU),
    "carry": (CarryJob, CPU),
    "average": (LineJob, replace(CPU, ema=0.9, weight_decay=0.1, warmup_steps=4)),
    "sgd": (LineJob, replace(CPU, optimizer="sgd", decay="exponential", gradient_clip=0.1)),
    "bfloat16": (LineJob, replace(CPU, precision="bf16-mixed")),
    "patience": (LineJob, replace(CPU, learning_rate=1.5, patience=1, epochs=8)),
}


class KilledError(RuntimeError):
    """Stands for the end of the process."""


def figures(history: History) -> list:
    return [
        *((r.epoch, r.steps, r.train_loss, r.validation, r.learning_rate) for r in history.epochs),
        (history.stopped, history.best_epoch, history.best_score),
    ]


def break_at(job, call: int):
    """Make the job's batch number ``call`` (from 0) the end of the run."""
    batch, made = job.batch, iter(range(10**6))

    def breaking(epoch: int, step: int):
        if next(made) == call:
            raise KilledError
        return batch(epoch, step)

    job.batch = breaking
    return job


@pytest.mark.parametrize("variant", VARIANTS)
def test_broken_at_every_step(tmp_path, variant):
    make, config = VARIANTS[variant]
    unbroken = make()
    expected = figures(train(unbroken, config, None))
    if variant == "patience":
        assert expected[-1][0] == "patience"
    for call in range(0, expected[-2][1], 1 if variant == "plain" else 4):
        config = replace(config, checkpoint_every_steps=1 + call % 3)
        with pytest.raises(KilledError):
            train(break_at(make(), call), config, tmp_path)
        resumed = make(seed=0)
        with torch.no_grad():  # the weights come from the checkpoint, not from the new job
            for parameter in resumed.model.parameters():
                parameter.zero_()
        history = train(resumed, config, tmp_path, resume=True)
        assert same_weights(unbroken.model, resumed.model), call
        assert figures(history) == expected


def test_broken_in_validation(tmp_path):
    unbroken, broken, resumed = LineJob(), LineJob(), LineJob()
    expected = train(unbroken, CPU, None)
    broken.validate = lambda: (_ for _ in ()).throw(KilledError())
    with pytest.raises(KilledError):
        train(broken, replace(CPU, checkpoint_every_steps=5), tmp_path)
    assert load_checkpoint(tmp_path)["state"]["step"] == 5
    assert figures(train(resumed, CPU, tmp_path, resume=True)) == figures(expected)
    assert same_weights(unbroken.model, resumed.model)


def test_the_comparison_can_fail(tmp_path, monkeypatch):
    """Without seeding from the position, dropout differs after a resume, and the comparison sees it."""
    monkeypatch.setattr("grus.training.loop.seed_generators", lambda *position: None)
    unbroken, resumed = LineJob(), LineJob()
    torch.manual_seed(0)
    train(unbroken, EVERY_STEP, None)
    torch.manual_seed(0)
    with pytest.raises(KilledError):
        train(break_at(LineJob(), 7), EVERY_STEP, tmp_path)
    train(resumed, EVERY_STEP, tmp_path, resume=True)
    assert not same_weights(unbroken.model, resumed.model)


def test_a_finished_run_resumes_to_itself(tmp_path):
    first, again = LineJob(), LineJob()
    history = train(first, CPU, tmp_path)
    repeated = train(again, CPU, tmp_path, resume=True)
    assert figures(repeated) == figures(history)
    assert same_weights(first.model, again.model)
    assert not again.model.training


def test_more_patience_goes_on(tmp_path):
    make, config = VARIANTS["patience"]
    short = train(make(), config, tmp_path)
    longer = train(make(), replace(config, patience=None), tmp_path, resume=True)
    assert len(longer.epochs) == 8 > len(short.epochs)
    assert figures(longer)[:-1] == figures(train(make(), replace(config, patience=None), None))[:-1]


def test_a_fresh_start_replaces_an_old_checkpoint_at_once(tmp_path):
    train(LineJob(), CPU, tmp_path)
    with pytest.raises(KilledError):
        train(break_at(LineJob(), 0), CPU, tmp_path)
    assert load_checkpoint(tmp_path)["state"]["global_step"] == 0


# -- killed from outside -------------------------------------------------------------------------------


class LongJob(LineJob):
    """Slow enough to be killed in the middle."""

    def batch(self, epoch, step):
        time.sleep(0.015)
        return super().batch(epoch, step)


LONG = replace(EVERY_STEP, epochs=6, ema=0.95, log="csv")


def _train_long(folder: Path) -> None:
    job = LongJob(steps=10)
    train(job, LONG, folder, resume=(folder / "checkpoint.pt").exists())
    torch.save(job.model.state_dict(), folder / "weights.pt")


def test_killed_at_random_moments(tmp_path):
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["grus.training.loop"])
    kills, moments = 0, random.Random(5)
    while not (tmp_path / "weights.pt").exists():
        process = server.Process(target=_train_long, args=(tmp_path,))
        process.start()
        # the first few tries are killed; the last one may finish
        process.join(timeout=moments.uniform(0.2, 0.5) if kills < 5 else 120)
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        kills += process.exitcode == -signal.SIGKILL
    assert kills >= 2
    unbroken, resumed = LineJob(steps=10), LineJob(steps=10)
    train(unbroken, LONG, None)
    resumed.model.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert same_weights(unbroken.model, resumed.model)
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "1", "2", "3", "4", "5", "6"]


# -- Ctrl-C --------------------------------------------------------------------------------------------


def interrupt_at(job, call: int):
    """Press Ctrl-C while batch number ``call`` (from 0) is made."""
    batch, made = job.batch, iter(range(10**6))

    def interrupting(epoch: int, step: int):
        if next(made) == call:
            signal.raise_signal(signal.SIGINT)
        return batch(epoch, step)

    job.batch = interrupting
    return job


@pytest.mark.parametrize("call", [0, 3, 4, 5, 14])
def test_ctrl_c_finishes_the_step_and_resumes(tmp_path, call):
    unbroken, resumed = LineJob(), LineJob()
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(TrainingInterrupted) as caught:
        train(interrupt_at(LineJob(), call), CPU, tmp_path)
    assert signal.getsignal(signal.SIGINT) is before
    assert str(caught.value) == (
        f"training stopped by Ctrl-C after step {call + 1} of 15; "
        f"its checkpoint is {tmp_path / 'checkpoint.pt'}, "
        "from which resume=True (on the command line: the same command with --resume) goes on"
    )
    assert load_checkpoint(tmp_path)["state"]["global_step"] == call + 1
    train(resumed, CPU, tmp_path, resume=True)
    train(unbroken, CPU, None)
    assert same_weights(unbroken.model, resumed.model)


def test_ctrl_c_in_validation_waits_for_its_end(tmp_path):
    job = LineJob()
    validate = job.validate
    job.validate = lambda: (signal.raise_signal(signal.SIGINT), validate())[1]
    with pytest.raises(TrainingInterrupted, match="after step 5 of 15"):
        train(job, CPU, tmp_path)
    assert load_checkpoint(tmp_path)["state"]["epoch"] == 1


def test_ctrl_c_without_a_folder(tmp_path):
    with pytest.raises(
        TrainingInterrupted, match="after step 3 of 15; it had no folder, so there is no checkpoint"
    ):
        train(interrupt_at(LineJob(), 2), CPU, None)


def test_ctrl_c_twice_is_a_keyboard_interrupt(tmp_path):
    job = LineJob()
    batch = job.batch
    job.batch = lambda *at: (
        signal.raise_signal(signal.SIGINT),
        signal.raise_signal(signal.SIGINT),
        batch(*at),
    )[2]
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(job, CPU, tmp_path)
    assert signal.getsignal(signal.SIGINT) is before


SCRIPT = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from training_jobs import LineJob
from grus.errors import TrainingInterrupted
from grus.training import TrainingConfig, train

class Talking(LineJob):
    def batch(self, epoch, step):
        print("step", flush=True)
        time.sleep(float(sys.argv[3]))
        return super().batch(epoch, step)

try:
    train(Talking(steps=500), TrainingConfig(device="cpu", epochs=50), Path(sys.argv[2]))
except TrainingInterrupted as stopped:
    print(stopped, file=sys.stderr)
    sys.exit(130)
"""


def _start(folder: Path, seconds: float) -> subprocess.Popen:
    here = str(Path(__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, here, str(folder), str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "step\n"
    return process


def test_ctrl_c_in_a_process(tmp_path):
    process = _start(tmp_path, 0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.startswith("training stopped by Ctrl-C after step ")
    assert str(tmp_path / "checkpoint.pt") in stderr
    assert load_checkpoint(tmp_path)["state"]["global_step"] >= 1


def test_the_second_ctrl_c_in_a_process_stops_at_once(tmp_path):
    process = _start(tmp_path, 60)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None  # still in the step
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert time.monotonic() - begin < 20
    assert stderr.rstrip().endswith("KeyboardInterrupt")
    # Of an uncaught one Python dies by SIGINT, unless code that some package runs at exit calls eval: then by 1 (3.11).
    assert process.returncode in (-signal.SIGINT, 1)
    assert load_checkpoint(tmp_path)["state"]["global_step"] == 0
