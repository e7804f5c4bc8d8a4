"""Recordings from files: what is read, what is said about it, and one sentence for every file that is none."""

import csv

import numpy as np
import pytest
import soundfile

from grus import Classifier, Transcriber
from grus.data.audio_files import AudioOptions, read_recording, read_recordings
from grus.data.audio_sets import find_recordings, holds_audio
from grus.data.examples import own_like, read_examples, read_like
from grus.data.spoken import read_spoken
from grus.errors import DataError, UsageError
from grus.preprocess.log_mel import LogMelFrames
from sound_cases import RATE, sentences, words, write


def sound(samples=1000, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def read(files, **options):
    return read_recordings(files, AudioOptions(**options), "here")


def test_samples_are_those_of_the_file(tmp_path):
    whole = np.array([0, 1, -32768, 32767], np.int16)
    soundfile.write(tmp_path / "a.wav", whole, RATE)
    samples, rate, channels = read_recording(tmp_path / "a.wav")
    assert (samples * 32768).tolist() == whole.tolist()
    assert (samples.dtype, rate, channels) == (np.float32, RATE, 1)
    soundfile.write(tmp_path / "a.flac", whole, RATE)
    assert read_recording(tmp_path / "a.flac")[0].tolist() == samples.tolist()


def test_two_channels_are_their_mean_and_said(tmp_path):
    left, right = sound(seed=1), sound(seed=2)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], 1), RATE, subtype="FLOAT")
    found = read([tmp_path / "a.wav"])
    np.testing.assert_allclose(found.samples, (left + right) / 2, atol=1e-7)
    assert found.notes == ("1 of 1 recording of several channels: their mean is read (a.wav)",)


def test_other_rates_are_resampled_and_said(tmp_path):
    write(tmp_path, ["a.wav", "b.wav"], [sound(), sound()])
    write(tmp_path, ["c.wav"], [sound(2000)], 2 * RATE)
    files = [tmp_path / name for name in ("a.wav", "b.wav", "c.wav")]
    found = read(files)
    assert (found.rate, np.diff(found.offsets).tolist()) == (RATE, [1000, 1000, 1000])
    assert found.notes == ("1 of 3 recordings resampled to 8,000 Hz (c.wav)",)
    assert np.diff(read(files, rate=2 * RATE).offsets).tolist() == [2000, 2000, 2000]


def test_other_rates_are_refused_if_asked(tmp_path):
    write(tmp_path, ["a.wav", "b.wav"], [sound(), sound()])
    write(tmp_path, ["c.wav"], [sound()], 11_025)
    with pytest.raises(DataError) as caught:
        read([tmp_path / name for name in ("a.wav", "b.wav", "c.wav")], resample=False)
    assert str(caught.value) == f"{tmp_path / 'c.wav'}: expected a recording at 8,000 Hz, got 11,025 Hz"


def test_clipped_recordings_are_said(tmp_path):
    loud = np.clip(20 * sound(), -1, 1)
    write(tmp_path, ["a.wav", "b.wav"], [loud, sound()])
    found = read([tmp_path / "a.wav", tmp_path / "b.wav"])
    assert found.notes == ("1 of 2 recordings clipped: samples stand at full scale (a.wav)",)


def bad_files(folder):
    """A file of each fault, and the sentence about it."""
    write(folder, ["empty.wav", "short.wav", "cut.wav"], [sound(0), sound(100), sound()])
    whole = (folder / "cut.wav").read_bytes()
    (folder / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (folder / "text.wav").write_text("no sound\n")
    (folder / "nothing.wav").write_bytes(b"")
    soundfile.write(folder / "nan.wav", np.array([0, np.nan], np.float32), RATE, subtype="FLOAT")
    damaged = "expected a recording (wav, flac, ...), got one that is damaged or of another kind"
    return {
        "empty.wav": "expected samples, got an empty recording",
        "short.wav": "expected a recording of at least 25 ms, one frame, got 12.5 ms",
        "cut.wav": "expected 1,000 samples as its header says, got 489: it is cut short",
        "text.wav": damaged,
        "nothing.wav": damaged,
        "nan.wav": "expected finite samples, got NaN or infinity",
    }


def test_every_bad_file_is_one_sentence_with_its_name(tmp_path):
    for name, sentence in bad_files(tmp_path).items():
        with pytest.raises(DataError) as caught:
            read([tmp_path / name], rate=RATE, least=0.025)
        assert str(caught.value) == f"{tmp_path / name}: {sentence}"
        assert caught.value.hint == "to leave such files out: --skip-bad"
    with pytest.raises(DataError, match=r"no such file: .*gone\.wav$"):
        read([tmp_path / "gone.wav"])


def test_bad_files_are_skipped_if_asked(tmp_path):
    bad = bad_files(tmp_path)
    write(tmp_path, ["good.wav"], [sound()])
    files = [*(tmp_path / name for name in bad), tmp_path / "good.wav"]
    found = read(files, skip_bad=True, least=0.025)
    assert found.kept.tolist() == [6]
    (note,) = found.notes
    assert note.startswith(
        f"6 of 7 files skipped ({files[0]}: expected samples, got an empty recording, ...)"
    )
    with pytest.raises(DataError, match=r"^here: expected recordings, got .*empty recording$"):
        read(files[:2], skip_bad=True, least=0.025)


def test_a_folder_for_each_label(tmp_path):
    write(tmp_path, ["yes/a.wav", "no/b.flac", "no/deep/c.wav", "no/.hidden.wav"], [sound()] * 4)
    (tmp_path / "yes/notes.txt").write_text("x")
    found = find_recordings(tmp_path, (), None, True)
    assert (found.names, found.words) == (("no/b.flac", "no/deep/c.wav", "yes/a.wav"), ("no", "no", "yes"))
    assert found.notes == (f"{tmp_path.name}: 1 file that is no recording skipped (notes.txt)",)
    assert holds_audio(tmp_path)
    write(tmp_path, ["loose.wav"], [sound()])
    with pytest.raises(
        DataError, match=r"in a folder named by its label, got 'loose.wav' beside the folders$"
    ):
        find_recordings(tmp_path, (), None, True)


def test_labels_in_names(tmp_path):
    write(tmp_path, ["7_theo_12.wav", "0_van_der_3.wav"], [sound()] * 2)
    assert find_recordings(tmp_path, (), None, True).words == ("0", "7")
    write(tmp_path, ["other.wav"], [sound()])
    assert find_recordings(tmp_path, (), None, True).words is None


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_a_table_of_paths(tmp_path, ending):
    write(tmp_path, ["wavs/a.wav", "wavs/b.wav"], [sound()] * 2)
    table = tmp_path / f"table.{ending}"
    if ending == "jsonl":
        table.write_text('{"file": "wavs/a.wav", "text": "007"}\n{"file": "wavs/b.wav", "text": "one two"}\n')
    else:
        with table.open("w", newline="") as out:
            rows = [("file", "text"), ("wavs/a.wav", "007"), ("wavs/b.wav", "one two")]
            csv.writer(out, delimiter="\t" if ending == "tsv" else ",").writerows(rows)
    found = read_spoken(table, None, AudioOptions())
    assert (found.texts, found.column, found.names) == (
        ("007", "one two"),
        "text",
        ("wavs/a.wav", "wavs/b.wav"),
    )
    assert found.rate == RATE
    assert len(found.take(np.array([1])).recordings()[0]) == 1000


def test_whole_numbers_with_zeros_in_front_stay_as_they_are_written(tmp_path):
    write(tmp_path, ["a.wav", "b.wav"], [sound()] * 2)
    (tmp_path / "t.csv").write_text("path,transcript\na.wav,007\nb.wav,12\n")
    assert read_spoken(tmp_path / "t.csv", None, AudioOptions()).texts == ("007", "12")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name,text\na.wav,x\n", "t.csv: expected a column of paths named 'path', 'file', 'filename', ..., got 'name', 'text'"),
        ("path,said\na.wav,x\n", "t.csv: expected a column named 'transcript', 'transcription', 'text', ..., got 'path', 'said'"),
        ("path,text\na.wav,\n", "t.csv, row 2, column 'text': expected text, got an empty cell"),
    ],
)  # fmt: skip
def test_tables_that_do_not_do(tmp_path, text, sentence):
    (tmp_path / "t.csv").write_text(text)
    write(tmp_path, ["a.wav"], [sound()])
    with pytest.raises(DataError) as caught:
        read_spoken(tmp_path / "t.csv", None, AudioOptions())
    assert str(caught.value) == sentence


def test_a_folder_without_recordings(tmp_path):
    with pytest.raises(
        DataError, match=r"expected recordings \(\.wav, \.flac, \.ogg, \.\.\.\) in it or in a folder for"
    ):
        find_recordings(tmp_path, (), None, True)
    with pytest.raises(DataError, match=r"^no such file or folder: "):
        find_recordings(tmp_path / "gone", (), None, True)


def test_examples_of_a_folder_and_of_what_is_like_it(tmp_path):
    write(tmp_path, ["yes/a.wav", "yes/b.wav", "no/c.wav"], [sound(800), sound(1600), sound(2400)])
    reading = read_examples(tmp_path)
    assert reading.examples.kind == "audio"
    assert reading.plan == [
        "audio     3 recordings of 0.10 to 0.30 s (median 0.20 s), 0.0 minutes at 8,000 Hz",
        "label     2 classes: yes (2), no (1)",
    ]
    write(tmp_path, ["new/d.wav"], [sound(3200)], 2 * RATE)
    said = []
    own = own_like(reading.examples)
    again = read_like(tmp_path / "new/d.wav", reading.roles, own=own)
    assert (again.rate, again.rows, again.ids.tolist(), len(again.samples)) == (RATE, 1, ["d.wav"], 1600)
    assert again.take([0]).samples.tolist() == again.samples.tolist()
    assert said == []


def test_given_samples_need_a_rate():
    with pytest.raises(
        UsageError, match=r"^rate: must be named where recordings are given as samples, got None$"
    ):
        read_examples([sound(), sound()], ["a", "b"], kind="audio")
    with pytest.raises(
        DataError, match=r"^data, row 1 \(counting from 0\): expected at least 25 ms of samples, one frame, "
    ):
        read_examples([sound(), sound(10)], ["a", "b"], kind="audio", audio=AudioOptions(RATE, least=0.025))
    with pytest.raises(DataError, match=r"^texts: expected 2, one a recording, got 1$"):
        read_spoken([sound(), sound()], ["a"], AudioOptions(RATE))


# -- more than memory holds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 7_999, 8_000, 12_000, 1 << 30])
def test_recordings_beyond_the_limit_lie_on_disk_and_are_the_same(tmp_path, monkeypatch, limit):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    write(tmp_path, [f"{i}.wav" for i in range(4)], [sound(1000, i) for i in range(4)])
    files = [tmp_path / f"{i}.wav" for i in range(4)]
    wanted = read(files)
    found = read_recordings(files, AudioOptions(), "here", limit)
    assert isinstance(found.samples, np.memmap) is (limit < 16_000)
    assert not isinstance(wanted.samples, np.memmap)
    assert found.samples.tobytes() == wanted.samples.tobytes()
    assert found.offsets.tolist() == wanted.offsets.tolist()
    assert list((tmp_path / "tmp").iterdir()) == []  # nothing is left there, even now


@pytest.mark.parametrize("task", ["transcribe", "classify"])
def test_a_model_of_recordings_on_disk_is_that_of_memory(tmp_path, monkeypatch, task):
    samples, texts = sentences(20) if task == "transcribe" else words(21)
    write(tmp_path, [f"{i}.wav" for i in range(len(samples))], samples)
    rows = "".join(f"{i}.wav,{text}\n" for i, text in enumerate(texts))
    (tmp_path / "said.csv").write_text("path,text\n" + rows)
    fitted, seen = [], []
    make = LogMelFrames.ragged

    def ragged(*arguments):
        found = make(*arguments)
        seen.append(isinstance(found.ports["x"], np.memmap))
        return found

    monkeypatch.setattr(LogMelFrames, "ragged", ragged)
    for memory in (1 << 40, 0):
        monkeypatch.setattr("grus.data.audio_files.available_memory", lambda memory=memory: memory)
        options = {
            "val_size": 4,
            "test_size": 4,
            "hidden_size": 4,
            "epochs": 1,
            "device": "cpu",
            "log": "none",
        }
        if task == "transcribe":
            model = Transcriber(units="word", layers=1, **options)
        else:
            model = Classifier(kind="audio", label="text", **options)
        fitted.append(model.fit(tmp_path / "said.csv", progress="quiet"))
    memory, disk = fitted
    assert set(seen[: len(seen) // 2]) == {False}
    assert True in seen[len(seen) // 2 :]
    assert memory.tensors_.keys() == disk.tensors_.keys()
    for name, values in memory.tensors_.items():
        assert values.tobytes() == disk.tensors_[name].tobytes(), name
    assert repr(memory.test_) == repr(disk.test_)
