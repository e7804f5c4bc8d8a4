"""What people and files are told: bar, plain lines, CSV, TensorBoard."""

import csv
import io
import sys
from dataclasses import replace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_jobs import LineJob, ScriptedJob

from grus.errors import MissingExtraError
from grus.training import EpochRecord, TrainingConfig, make_progress, train
from grus.training.logs import CSV_NAME, TENSORBOARD_NAME
from grus.training.progress import BarProgress, PlainProgress, TimeLeft, format_seconds

CPU = TrainingConfig(device="cpu", epochs=3, log="none")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("mode", "stream", "kind"),
    [
        ("auto", io.StringIO(), PlainProgress),
        ("auto", Terminal(), BarProgress),
        ("plain", Terminal(), PlainProgress),
        ("bar", io.StringIO(), BarProgress),
        ("quiet", Terminal(), type(None)),
    ],
)
def test_which_progress(mode, stream, kind):
    assert type(make_progress(mode, stream)) is kind


def test_plain_lines(tmp_path, capsys):
    train(ScriptedJob([2.0, 3.0, 1.5]), CPU, tmp_path, make_progress("plain"))
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert len(lines) == 3
    assert lines[0].startswith("epoch 1/3  loss ")
    assert "  score 2 (best)  lr 0.000" in lines[0]
    assert "  score 3  lr " in lines[1]
    assert lines[2].endswith("samples/s  0:00 left")


def test_quiet_says_nothing(tmp_path, capsys):
    train(LineJob(), CPU, tmp_path, make_progress("quiet"))
    assert capsys.readouterr() == ("", "")


def test_bar_shows_epoch_loss_best_score_and_time_left(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("grus.training.progress._REFRESH_SECONDS", 0.0)
    stream = Terminal()
    train(ScriptedJob([2.0, 3.0, 1.5]), CPU, tmp_path, make_progress("auto", stream))
    text = stream.getvalue()
    assert "epoch 2/3" in text
    assert "best score 2" in text
    assert "best score 1.5" in text
    assert "0:00 left" in text
    assert "100%" in text
    assert text.index("\x1b[?25l") < text.rindex("\x1b[?25h")  # the cursor is hidden, then given back
    assert capsys.readouterr() == ("", "")


def test_bar_gives_the_cursor_back_after_an_error(tmp_path):
    class Broken(LineJob):
        def batch(self, epoch, step):
            raise ZeroDivisionError

    stream = Terminal()
    with pytest.raises(ZeroDivisionError):
        train(Broken(), CPU, tmp_path, make_progress("bar", stream))
    assert "\x1b[?25h" in stream.getvalue()


def test_bar_without_validation_is_drawn(tmp_path):
    class Blind(LineJob):
        def validate(self):
            return {}

    stream = Terminal()
    train(Blind(), CPU, tmp_path, make_progress("bar", stream))
    assert "epoch 3/3" in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00"), (-3, "0:00")],
)
def test_seconds_for_people(seconds, text):
    assert format_seconds(seconds) == text


def test_time_left_counts_from_where_the_process_began():
    left = TimeLeft(done=50, total=100, now=1000.0)
    assert left(50, 1001.0) is None
    assert left(60, 1020.0) == pytest.approx(80.0)
    assert left(100, 1100.0) == 0


def rows(folder):
    with (folder / CSV_NAME).open(newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_the_figures_of_the_history(tmp_path):
    history = train(LineJob(), replace(CPU, log="csv"), tmp_path)
    table = rows(tmp_path)
    names = ["epoch", "steps", "train_loss", "mse", "mae", "learning_rate", "seconds", "samples_per_second"]
    assert list(table[0]) == names
    for row, record in zip(table, history.epochs, strict=True):
        assert int(row["epoch"]) == record.epoch
        assert float(row["train_loss"]) == record.train_loss
        assert float(row["mae"]) == record.validation["mae"]


def test_csv_drops_what_came_after_the_checkpoint_and_restarts_with_a_fresh_run(tmp_path):
    config = replace(CPU, log="csv", checkpoint_every_seconds=None)

    class Dies(LineJob):
        def batch(self, epoch, step):
            if epoch == 2:
                raise ZeroDivisionError
            return super().batch(epoch, step)

    with pytest.raises(ZeroDivisionError):  # its only checkpoint is from before the first step
        train(Dies(), config, tmp_path)
    assert [row["epoch"] for row in rows(tmp_path)] == ["1", "2"]
    train(LineJob(), config, tmp_path, resume=True)
    assert [row["epoch"] for row in rows(tmp_path)] == ["1", "2", "3"]
    train(LineJob(), replace(config, epochs=1), tmp_path)
    assert [row["epoch"] for row in rows(tmp_path)] == ["1"]


def test_tensorboard_has_the_figures_of_the_history(tmp_path):
    history = train(LineJob(), replace(CPU, log="tensorboard"), tmp_path)
    events = EventAccumulator(str(tmp_path / TENSORBOARD_NAME))
    events.Reload()
    scalars = [
        "train/learning_rate",
        "train/loss",
        "train/samples_per_second",
        "validation/mae",
        "validation/mse",
    ]
    assert sorted(events.Tags()["scalars"]) == scalars
    logged = [event.value for event in events.Scalars("validation/mae")]
    assert logged == pytest.approx([record.validation["mae"] for record in history.epochs], rel=1e-6)


def test_tensorboard_missing_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(
        MissingExtraError, match="needs the package tensorboard, which is not installed"
    ) as caught:
        train(LineJob(), replace(CPU, log="tensorboard"), tmp_path)
    assert "pip install tensorboard" in caught.value.hint


def test_a_progress_of_ones_own(tmp_path):
    class Counting:
        def __init__(self):
            self.calls = []

        def start(self, done, total, epochs):
            self.calls.append(("start", done, total, epochs))

        def step(self, epoch, done, loss):
            self.calls.append(("step", epoch, done))

        def epoch(self, record: EpochRecord, is_best):
            self.calls.append(("epoch", record.epoch, is_best))

        def close(self):
            self.calls.append(("close",))

    watcher = Counting()
    train(ScriptedJob([1.0, 2.0], steps=1), replace(CPU, epochs=2), tmp_path, watcher)
    assert watcher.calls == [
        ("start", 0, 2, 2), ("step", 1, 1), ("epoch", 1, True), ("step", 2, 2), ("epoch", 2, False),
        ("close",),
    ]  # fmt: skip
