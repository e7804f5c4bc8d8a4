"""grus.Transcriber: it learns, saves, loads without torch, and says what is wrong with its data."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from grus import Transcriber, load
from grus.errors import DataError, NotFittedError, UnsupportedError, UsageError
from grus.export.c99 import export_c
from grus.preprocess.log_mel import log_mel_step
from grus.spec import LogMel
from grus.tasks.sound_augment import SoundAugment, SoundOptions, spec_augment
from sound_cases import RATE, TINY, sentences, transcriber, words, write
from torch_free import BLOCKED


@pytest.fixture(scope="module")
def learned():
    """One that has learned three tones."""
    model = Transcriber(
        rate=RATE, units="word", hidden_size=24, layers=1, stack=2, epochs=16, learning_rate=0.02, log="none", device="cpu",
        val_size=10, test_size=10, dropout=0.1, noise=0, band_shift=0,
    )  # fmt: skip
    return model.fit(*sentences(80), progress="quiet")


def test_it_learns_without_a_word_on_when_anything_is_said(learned):
    unseen, texts = sentences(30, seed=99, most=4)
    evaluation = learned.evaluate(unseen, texts)
    assert evaluation.wer < 0.1
    assert learned.score(unseen, texts) == 1 - evaluation.wer
    assert learned.validation_.n == learned.test_.n == 10
    beam = learned.evaluate(unseen, texts, beam=4)
    assert beam.wer < 0.1
    assert beam.log_loss == evaluation.log_loss


def test_the_network_in_torch_and_in_the_runtime_say_the_same(learned):
    module = learned._module(learned.model_.parts["main"]).eval()
    module.load_tensors(learned.model_.part_tensors("main", learned.tensors_))
    samples, _ = sentences(3, seed=11)
    step = learned.model_.step(LogMel)
    for sample, logits in zip(samples, learned.live_.logits(samples)):
        x = torch.from_numpy(learned.live_._frames(sample))[None]
        assert x.shape[1] == step.steps(len(sample))
        np.testing.assert_allclose(module({"x": x})["logits"][0].detach().numpy(), logits, rtol=0, atol=2e-5)


def test_a_saved_model_transcribes_and_listens_without_torch(learned, tmp_path):
    folder = learned.save(tmp_path / "model")
    page = (folder / "report" / "index.html").read_text()
    assert "Transcriber" in page
    assert "word error rate" in page
    samples = (sentences(1, seed=12)[0][0] * 32767).astype(np.int16)
    np.save(tmp_path / "x.npy", samples)
    script = """
        import json, sys
        for name in sys.argv[1].split(","):
            sys.modules[name] = None
        import numpy as np, grus
        live, x = grus.load(sys.argv[2]), np.load(sys.argv[3])
        found, state, units = live.transcribe([x])[0], live.init_state(1), []
        for first in range(0, len(x), 333):
            (new,), state = live.run(x[first : first + 333], state)
            units += new
        beam = live.transcribe([x], beam=4)[0].text
        print(json.dumps([found.text, live.joined(units), live.logits([x])[0].tobytes().hex(), beam]))
    """
    blocked = ",".join([*BLOCKED, "soundfile"])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), blocked, str(folder), str(tmp_path / "x.npy")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    text, live, logits, beam = json.loads(done.stdout)
    assert text == live == learned.live_.transcribe([samples])[0].text != ""
    assert beam == learned.live_.transcribe([samples], beam=4)[0].text
    assert logits == learned.live_.logits([samples])[0].tobytes().hex()
    assert load(folder).rate == RATE


def test_the_same_seed_gives_the_same_weights():
    one, other = transcriber(), transcriber()
    assert all((one.tensors_[name] == other.tensors_[name]).all() for name in one.tensors_)


def test_files_folders_and_tables(tmp_path):
    samples, said = words(12, seconds=0.3)
    names = [f"{word}_x_{i}.wav" for i, word in enumerate(said)]
    write(tmp_path / "named", names, samples)
    table = tmp_path / "t.tsv"
    table.write_text("path\tsaid\n" + "".join(f"named/{n}\t{w.upper()}\n" for n, w in zip(names, said)))
    options = {**TINY, "layers": 1, "val_size": 0}
    of_folder = Transcriber(**options).fit(tmp_path / "named", progress="quiet")
    of_table = Transcriber(**options, transcript="said").fit(table, progress="quiet")
    assert of_table.plan_[1] == "units     8 characters from 'said': 'h' 'i' 'd' 'g' 'l' 'm' 'o' 'w'"
    assert of_table.model_.task.transcript == "said"
    paths = sorted((tmp_path / "named").glob("*.wav"))
    of_list = Transcriber(**options).fit(paths, [p.name.split("_")[0] for p in paths], progress="quiet")
    tensors = {name: value.tobytes() for name, value in of_folder.tensors_.items()}
    assert tensors == {name: value.tobytes() for name, value in of_list.tensors_.items()}
    assert len(of_table.transcribe(tmp_path / "named")) == 12
    assert of_table.evaluate(table).n == 12


def test_a_transcript_longer_than_its_recording_allows_names_the_file(tmp_path):
    samples, said = words(6, seconds=0.3)
    write(tmp_path, [f"{i}.wav" for i in range(6)], samples)
    said[4] = "mississippi and then some more of it"
    rows = "".join(f"{i}.wav,{word}\n" for i, word in enumerate(said))
    (tmp_path / "t.csv").write_text("path,text\n" + rows)
    with pytest.raises(DataError) as caught:
        Transcriber(**TINY, val_size=0).fit(tmp_path / "t.csv", progress="quiet")
    steps = log_mel_step(RATE, stack=3).steps(len(samples[4]))
    # 36 characters, and a blank between each of the pairs ss, ss, pp
    assert str(caught.value) == (
        f"4.wav: expected a transcript that fits its recording, of {len(samples[4]) / RATE:.2f} s or {steps} steps, got one "
        "that needs 39: 'mississippi and then some more of it'"
    )
    model = Transcriber(**TINY, val_size=0, skip_bad=True).fit(tmp_path / "t.csv", progress="quiet")
    assert "1 recording left out, too short for the transcript" in model.plan_


def test_data_that_does_not_do():
    samples, said = words(4)
    model = Transcriber(**TINY, rate=RATE, val_size=0)
    with pytest.raises(DataError, match=r"^data: expected transcripts to learn from, got none$"):
        model.fit(samples, progress="quiet")
    with pytest.raises(DataError, match=r"^texts: expected 4, one a recording, got 3$"):
        model.fit(samples, said[:3], progress="quiet")
    with pytest.raises(UsageError, match=r"^validation must be a pair \(recordings, texts\), got list$"):
        model.fit(samples, said, validation=samples, progress="quiet")
    with pytest.raises(
        DataError, match=r"^texts: expected at least one char that occurs 1 times, got 0 that do not$"
    ):
        model.fit(samples, [""] * 4, progress="quiet")
    with pytest.raises(NotFittedError):
        model.transcribe(samples)


@pytest.mark.parametrize(
    ("name", "value", "must"),
    [
        ("units", "bpe", "'char' or 'word'"), ("stack", 0, "a whole number from 1 to 64"),
        ("encoder", "gru-attention", "'gru' or 'conv-gru'"), ("rate", 50, "a whole number of Hz from 100 to 768,000, or None"),
        ("hop_ms", 0, "milliseconds above 0 and below 10,000"), ("bidirectional", None, "True or False"),
        ("val_size", 1.5, "a share of the recordings below 1, or a number of recordings"),
    ],
)  # fmt: skip
def test_parameters_that_cannot_be(name, value, must):
    with pytest.raises(UsageError) as caught:
        Transcriber(**{name: value}).fit([], [])
    assert str(caught.value) == f"{name} must be {must}, got {value!r}"


def test_it_is_not_written_in_c_yet(learned, tmp_path):
    with pytest.raises(UnsupportedError, match=r"^export: a model of recordings cannot be written in C yet"):
        export_c(learned.model_, learned.tensors_, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_spec_augment_hides_stretches_and_nothing_else():
    torch.manual_seed(0)
    x, lengths = torch.ones(200, 50, 2 * 20), torch.tensor([50, 20] * 100)
    found = spec_augment(x, lengths, 20, 0.2, 0.3)
    hidden = found == 0
    assert set(found.unique().tolist()) == {0.0, 1.0}
    steps = hidden.all(2).sum(1)
    assert (steps[0::2] <= 20).all()  # two stretches of at most 0.2 * 50
    assert (steps[1::2] <= 8).all()
    assert steps[0::2].max() > 10
    bands = hidden.all(1).reshape(200, 2, 20)
    assert (bands[:, 0] == bands[:, 1]).all(), "both frames of a step hide the same bands"
    assert (bands[:, 0].sum(1) <= 12).all()
    assert 0 < bands.float().mean() < 0.5
    assert spec_augment(x, lengths, 20, 0.0, 0.0).equal(x)


def test_training_changes_level_voice_and_noise_and_keeps_its_hands_off_otherwise():
    torch.manual_seed(0)
    fitted = {"center": np.linspace(-8.0, -4.0, 20), "scale": np.full(20, 2.5)}
    x, lengths = torch.randn(400, 30, 40), torch.full((400,), 30)
    nothing = SoundOptions(0.0, 0, 0.0, 0.0, 0.0)
    assert SoundAugment(nothing, fitted)(x, lengths).equal(x)
    louder = SoundAugment(SoundOptions(10.0, 0, 0.0, 0.0, 0.0), fitted)(x, lengths)
    change = (louder - x) * 2.5 / (np.log(10) / 10)  # in dB
    level = change.reshape(400, 30, 2, 20).mean((1, 2))
    assert (change.reshape(400, 60, 20).std(1) < 1e-2).all(), "the same at every step"
    assert 8 < level.mean(1).abs().max() <= 10.01
    assert 8 < (level[:, -1] - level[:, 0]).abs().max() <= 10.01
    moved = SoundAugment(SoundOptions(0.0, 2, 0.0, 0.0, 0.0), fitted)(x, lengths).reshape(400, 30, 2, 20)
    energies = (x.reshape(400, 30, 2, 20) * 2.5) + torch.from_numpy(fitted["center"]).float()
    found = moved * 2.5 + torch.from_numpy(fitted["center"]).float()
    shifts = [
        s
        for s in range(-2, 3)
        if any(
            (found[r, :, :, 2:18] - energies[r, :, :, 2 + s : 18 + s]).abs().max() < 1e-4 for r in range(40)
        )
    ]
    assert shifts == [-2, -1, 0, 1, 2]
    noisy = SoundAugment(SoundOptions(0.0, 0, 0.5, 0.0, 0.0), fitted)(x, lengths)
    touched = ((noisy - x).abs() > 1e-4).any((1, 2))
    assert 0.4 < touched.float().mean() < 0.6
    assert (noisy >= x - 1e-4).all(), "noise adds energy"
