"""The estimator of music: it learns a tune, splits by pieces, saves what it loads, and writes a report."""

import json

import mido
import numpy as np
import pytest

import grus
from grus.errors import NotFittedError, UsageError
from grus.preprocess.music.midi import write_midi
from grus.preprocess.music.piece import Note, Piece
from grus.tasks.compose import MusicModel

QUICK = {"hidden_size": 24, "layers": 1, "embedding_size": 8, "dropout": 0.0, "batch_size": 4, "chunk": 32,
         "learning_rate": 0.02, "device": "cpu", "log": "none"}  # fmt: skip


def arpeggio(root, beats=8):
    """C E G E over a held root, again and again."""
    notes = [Note(i, 0, root + 12 + (0, 4, 7, 4)[i % 4], i + 1) for i in range(4 * beats)]
    notes += [Note(4 * beat, 1, root, 4 * beat + 4) for beat in range(beats)]
    return Piece(tuple(sorted(notes)), 4 * beats, 4, ("right", "left"), ((0, 500_000),), ((0, (4, 4)),))


@pytest.fixture(scope="module")
def fitted():
    data = [arpeggio(root) for root in (48, 50, 53, 55, 57)]
    return MusicModel(epochs=12, **QUICK).fit(
        data, validation=[arpeggio(51)], test=[arpeggio(52), arpeggio(58)], progress="quiet"
    )


def test_it_learns_a_tune(fitted):
    assert fitted.live_.step.layout == "voices"
    found = fitted.test_
    assert (found.pieces, found.steps) == (1, 32)
    assert found.nats_per_note < 0.25 * found.floors["Markov"] / found.notes
    (made,) = fitted.generate(arpeggio(52, beats=3), max_beats=1, temperature=0)
    assert made.piece.notes == arpeggio(52, beats=4).notes
    assert made.piece.meters == ((0, (4, 4)),)


def test_the_plan(fitted):
    assert fitted.plan_ == [
        "music     given: 8 pieces",
        "layout    voices: right C4 to E5, left C3 to A3",
        "grid      4 steps a beat (a quarter note); " + f"{fitted.live_.task.size - 1} tokens",
        "bars      4/4",
        "tempos    120 beats a minute",
        "parts     5 pieces (160 steps) train, 1 piece (32 steps) validate, 2 pieces (64 steps) test",
        fitted.plan_[6],
        "note      1 piece to test left out: piece 2: part 'left' must lie in C3 to A3 as in training, got A♯3 at step 0",
    ]  # fmt: skip
    assert fitted.plan_[6].startswith("training  ")
    assert "each epoch in another key" in fitted.plan_[6]


def test_a_saved_model_is_the_same(fitted, tmp_path):
    folder = fitted.save(tmp_path / "model")
    live = grus.load(folder)
    assert live.generate(seed=1, max_beats=4) == fitted.generate(seed=1, max_beats=4)
    assert live.evaluate([arpeggio(53)]) == fitted.evaluate([arpeggio(53)])
    metrics = json.loads((folder / "report" / "metrics.json").read_text())
    assert metrics["evaluations"]["test"]["nats_per_step"] == fitted.test_.nats_per_step
    assert [sample["file"] for sample in metrics["samples"]] == [
        "sample-1.mid",
        "sample-2.mid",
        "sample-3.mid",
    ]
    for sample in metrics["samples"]:
        assert mido.MidiFile(folder / "report" / sample["file"]).length > 0
    page = (folder / "report" / "index.html").read_text()
    assert page.count("<svg") == 4
    assert 'href="sample-1.mid"' in page
    assert "grus generate " in page


def test_a_report_without_mido_has_pictures_only(fitted, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "mido", None)
    folder = fitted.save(tmp_path / "model")
    assert not list((folder / "report").glob("*.mid"))
    page = (folder / "report" / "index.html").read_text()
    assert '.mid"' not in page
    assert page.count("<svg") == 4


def test_files_split_by_pieces_and_data_of_ones_own(tmp_path):
    for number, root in enumerate((48, 50, 52, 53)):
        piece = arpeggio(root, beats=4 + number)  # or they would be one piece in four keys
        (tmp_path / f"{number}.mid").write_bytes(write_midi(piece))
    model = MusicModel(epochs=1, val_size=0, test_size=0, transpose=False, **QUICK)
    model.fit(tmp_path, validation=[arpeggio(50)], progress="quiet")
    assert model.validation_.pieces == 1
    assert model.test_ is None
    assert "in the keys they are in" in model.plan_[6]
    assert model.evaluate(tmp_path / "0.mid").pieces == 1
    assert model.evaluate([tmp_path / "0.mid", tmp_path / "1.mid"]).pieces == 2
    assert (
        MusicModel(epochs=1, **QUICK).fit(tmp_path, test=[arpeggio(50)], progress="quiet").test_.pieces == 1
    )


def test_the_same_seed_is_the_same_model():
    data = [arpeggio(root) for root in (48, 50, 52)]
    one, other = (
        MusicModel(epochs=1, val_size=0, test_size=0, seed=3, **QUICK).fit(data, progress="quiet")
        for _ in range(2)
    )
    for name, values in one.tensors_.items():
        np.testing.assert_array_equal(values, other.tensors_[name])


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"layout": "choir"}, "layout must be 'auto', 'voices' or 'polyphony', got 'choir'"),
        ({"steps_per_beat": 97}, "steps_per_beat must be a whole number from 1 to 96, got 97"),
        ({"val_size": -1}, "val_size must be a share of the pieces below 1, or a number of pieces, got -1"),
        ({"transpose": 1}, "transpose must be True or False, got 1"),
    ],
)
def test_parameters_that_cannot_be(parameters, sentence):
    with pytest.raises(UsageError) as caught:
        MusicModel(**parameters).fit([arpeggio(48)])
    assert str(caught.value) == sentence


def test_before_fit_and_other_data():
    with pytest.raises(NotFittedError):
        MusicModel().generate()
    with pytest.raises(
        UsageError, match="music: must be a path, a list of paths or a list of pieces, got int"
    ):
        MusicModel().fit(3)
