"""The checkpoint file: replaced atomically, and refused in one sentence when it is not what it should be."""

import multiprocessing
import os
import signal
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_jobs import CarryJob, LineJob

from grus.errors import ModelFolderError, UsageError
from grus.training import TrainingConfig, train
from grus.training.checkpoint import CHECKPOINT_NAME, load_checkpoint, save_checkpoint

CPU = TrainingConfig(device="cpu", epochs=2, log="none")


def test_what_is_saved_comes_back(tmp_path):
    state = {
        "a": torch.arange(5.0),
        "b": [1, 2.5, None, ("x", True)],
        "c": {"d": torch.zeros(2, dtype=torch.int64)},
    }
    assert save_checkpoint(tmp_path, state) == tmp_path / CHECKPOINT_NAME
    loaded = load_checkpoint(tmp_path)
    assert torch.equal(loaded["a"], state["a"])
    assert loaded["b"] == state["b"]
    assert torch.equal(loaded["c"]["d"], state["c"]["d"])
    assert os.listdir(tmp_path) == [CHECKPOINT_NAME]  # noqa: PTH208


def test_bytes_are_on_the_disk_before_the_name_moves(tmp_path, monkeypatch):
    events = []
    fsync, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("sync"), fsync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (events.append("rename"), rename(self, to))[1])
    save_checkpoint(tmp_path, {"a": 1})
    assert events == ["sync", "rename", "sync"]


def test_a_failure_between_writing_and_renaming_leaves_the_old_one(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, {"a": 1})

    def fail(self, to):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(OSError, match="no space left"):
            save_checkpoint(tmp_path, {"a": 2})
    assert load_checkpoint(tmp_path)["a"] == 1
    save_checkpoint(tmp_path, {"a": 3})
    assert load_checkpoint(tmp_path)["a"] == 3
    assert len(list(tmp_path.iterdir())) == 1


def _die_while_saving(folder: Path, where: str) -> None:
    """In a process of its own: killed half way through the bytes, or between the bytes and the rename."""

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def half(contents: object, file) -> None:
        file.write(b"half a checkpoint")
        file.flush()
        die()

    if where == "writing":
        torch.save = half
    else:
        Path.replace = die  # type: ignore[method-assign, assignment]
    save_checkpoint(folder, {"a": 2})


@pytest.mark.parametrize("where", ["writing", "renaming"])
def test_a_kill_while_saving_leaves_the_old_one(tmp_path, where):
    save_checkpoint(tmp_path, {"a": 1})
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["grus.training.loop"])
    process = server.Process(target=_die_while_saving, args=(tmp_path, where))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    assert load_checkpoint(tmp_path)["a"] == 1


def test_missing(tmp_path):
    with pytest.raises(ModelFolderError, match="no checkpoint to resume from"):
        train(LineJob(), CPU, tmp_path, resume=True)


@pytest.mark.parametrize("keep", [0, 1, 100, -1, -30])
def test_truncated(tmp_path, keep):
    train(LineJob(), CPU, tmp_path)
    path = tmp_path / CHECKPOINT_NAME
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelFolderError, match=r"checkpoint\.pt: the checkpoint is damaged or foreign"):
        train(LineJob(), CPU, tmp_path, resume=True)


def test_one_flipped_bit_in_a_weight(tmp_path):
    job = LineJob()
    train(job, CPU, tmp_path)
    path = tmp_path / CHECKPOINT_NAME
    content = bytearray(path.read_bytes())
    weight = load_checkpoint(tmp_path)["model"]["0.weight"].numpy().tobytes()
    content[content.index(weight) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelFolderError, match="the checkpoint is damaged at record"):
        train(LineJob(), CPU, tmp_path, resume=True)


class Hostile:
    """Unpickled, it would run a function of its choice."""

    def __reduce__(self):
        return print, ("executed",)


def _zip_of_text(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")


FOREIGN = {
    "text": lambda path: path.write_text("hello " * 100),
    "zip": _zip_of_text,
    "tensor": lambda path: torch.save(torch.zeros(3), path),
    "state dict": lambda path: torch.save(LineJob().model.state_dict(), path),
    "object": lambda path: torch.save({"format": Hostile()}, path),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign(tmp_path, kind, capsys):
    FOREIGN[kind](tmp_path / CHECKPOINT_NAME)
    with pytest.raises(ModelFolderError, match=r"not a training checkpoint of Grus|damaged or foreign"):
        train(LineJob(), CPU, tmp_path, resume=True)
    assert "executed" not in capsys.readouterr().out


def test_another_version(tmp_path):
    save_checkpoint(tmp_path, {"version": 99})
    with pytest.raises(ModelFolderError, match="checkpoint version must be 1, got 99"):
        load_checkpoint(tmp_path)


PARTS = ["config", "total_steps", "model", "optimizer", "precision", "state"]


@pytest.mark.parametrize(
    ("part", "change"),
    # without loss scaling nothing reads what stands under "precision"
    [
        *[(part, "missing") for part in PARTS],
        *[(p, c) for p in PARTS if p != "precision" for c in ("empty", "number")],
    ],
)
def test_parts_that_do_not_hold_together(tmp_path, part, change):
    train(LineJob(), CPU, tmp_path)
    contents = load_checkpoint(tmp_path)
    contents[part] = {"empty": {}, "number": 3}.get(change)
    if change == "missing":
        del contents[part]
    save_checkpoint(tmp_path, contents)
    with pytest.raises((ModelFolderError, UsageError)):
        train(LineJob(), CPU, tmp_path, resume=True)


def test_another_model(tmp_path):
    train(LineJob(), CPU, tmp_path)
    job = LineJob()
    job.model[0] = torch.nn.Linear(3, 17)
    with pytest.raises(
        ModelFolderError, match=r"0\.weight must have the model's shape \(17, 3\), got \(16, 3\)"
    ):
        train(job, CPU, tmp_path, resume=True)
    with pytest.raises(ModelFolderError, match=r"0\.weight must have the model's shape None, got \(16, 3\)"):
        train(CarryJob(), CPU, tmp_path, resume=True)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"learning_rate": 0.5}, "learning_rate must be 0.001 as in the checkpoint, got 0.5"),
        ({"seed": 3}, "seed must be 0 as in the checkpoint, got 3"),
        ({"ema": 0.9}, "ema must be None as in the checkpoint, got 0.9"),
    ],
)
def test_other_settings(tmp_path, settings, sentence):
    train(LineJob(), CPU, tmp_path)
    with pytest.raises(UsageError, match=sentence):
        train(LineJob(), replace(CPU, **settings), tmp_path, resume=True)


def test_other_data(tmp_path):
    train(LineJob(steps=5), CPU, tmp_path)
    with pytest.raises(UsageError, match="the run must have 10 steps as in the checkpoint, got 12"):
        train(LineJob(steps=6), CPU, tmp_path, resume=True)


def test_a_carry_that_is_a_view_does_not_drag_its_storage_along(tmp_path):
    class Wide(CarryJob):
        def loss(self, batch, carry):
            loss, _ = super().loss(batch, None)
            return loss, torch.zeros(1_000_000)[:6] + 0 if carry is None else torch.zeros(1_000_000)[:6]

    class StopError(RuntimeError):
        pass

    job = Wide()
    job.validate = lambda: (_ for _ in ()).throw(StopError())
    with pytest.raises(StopError):
        train(job, replace(CPU, checkpoint_every_steps=5), tmp_path)
    assert load_checkpoint(tmp_path)["state"]["carry"].shape == (6,)
    assert (tmp_path / CHECKPOINT_NAME).stat().st_size < 100_000
