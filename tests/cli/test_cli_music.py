"""``grus fit generate --kind midi``, ``grus generate -o tune.mid`` and ``grus evaluate`` of models of music."""

import contextlib
import inspect
import io
import json

import mido
import pytest
from cli_runs import run
from test_cli_processes import without

from grus.cli import fit_generate, main
from grus.cli.fit_music import OF_MIDI, OF_TEXT
from grus.cli.fit_run import COMMAND_OPTIONS
from grus.decode import load
from grus.preprocess.music.midi import read_midi, write_midi
from grus.preprocess.music.piece import Note, Piece
from grus.tasks.compose import MusicModel

TINY = ["--hidden-size", 8, "--layers", 1, "--epochs", 1, "--batch-size", 4, "--device", "cpu"]


def refused(done):
    """The sentence of a command line that ended with 2 and wrote nothing to stdout."""
    assert (done.code, done.out) == (2, "")
    (sentence,) = (line for line in done.err.splitlines() if line.startswith("error: "))
    return sentence.removeprefix("error: ")


def tune(number, beats=6):
    notes = [Note(4 * i, 0, 60 + (number * i) % 12, 4 * i + 4) for i in range(beats)]
    notes += [Note(8 * i, 1, 48, 8 * i + 8) for i in range(beats // 2)]
    return Piece(tuple(sorted(notes)), 4 * beats, 4, ("high", "low"), ((0, 600_000),), ((0, (3, 4)),))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tunes")
    for number in range(6):
        (folder / f"{number}.mid").write_bytes(write_midi(tune(number + 1)))
    (folder / "notes.txt").write_text("six tunes")
    return folder


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, folder):
    """A model folder made by the command line itself, and what was said meanwhile."""
    out = tmp_path_factory.mktemp("models") / "tunes"
    err, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(err):
        code = main(
            [
                str(a)
                for a in ["fit", "generate", "--kind", "midi", folder, "-o", out, "--test-size", 1, *TINY]
            ]
        )
    assert code == 0, err.getvalue()
    return out, said.getvalue(), err.getvalue()


def test_fit(fitted):
    out, said, err = fitted
    assert said == f"{out}\n"
    for line in (
        "layout    voices: high C4 to ",
        "bars      3/4",
        "tempos    100 beats a minute",
        "1 file skipped, no MIDI (notes.txt)",
        "nats a step",
        f"next: grus generate {out} -o tune.mid",
    ):
        assert line in err
    assert (out / "report" / "index.html").is_file()
    assert load(out).step.steps_per_beat == 4


def test_what_is_not_given_is_the_estimators_own(fitted):
    assert load(fitted[0]).model.parts["main"].nodes[0].op.size == MusicModel().embedding_size
    arguments = set(inspect.signature(fit_generate.fit_generate).parameters)
    own = set(MusicModel._parameter_names())
    assert own - arguments == set()
    assert set(OF_TEXT) | set(OF_MIDI) <= arguments
    assert arguments - own - set(OF_TEXT) - set(COMMAND_OPTIONS) == {
        "ctx", "kind", "validation", "test"
    }  # fmt: skip


def test_generate_goes_on_from_a_prime_and_draws_it(fitted, folder, tmp_path, capsys):
    out, roll = tmp_path / "tune.mid", tmp_path / "roll.svg"
    given = ["generate", fitted[0], "-o", out, "--prime", folder / "0.mid", "--max-beats", 6, "--seed", 3]
    done = run(capsys, *given, "--picture", roll)
    assert (done.code, done.out) == (0, f"{out}\n{roll}\n")
    assert done.err.startswith("seed: 3\n")
    assert "of them given" in done.err
    made = read_midi(out).piece
    prime = tune(1)
    assert set(prime.notes) - {n for n in prime.notes if n.end == prime.length} <= set(made.notes)
    assert made.tempos[0] == (0, 600_000)
    assert made.length > prime.length
    assert mido.MidiFile(out).type == 1
    first = roll.read_bytes(), out.read_bytes()
    assert first[0].startswith(b"<?xml")
    refused_again = refused(run(capsys, *given))
    assert refused_again == f"{out}: already exists, and nothing is overwritten unasked"
    assert refused(run(capsys, *given[:3], tmp_path / "new.mid", *given[4:], "--picture", roll)).startswith(
        str(roll)
    )
    assert not (tmp_path / "new.mid").exists()
    assert run(capsys, *given, "--picture", roll, "--force").code == 0
    assert out.read_bytes() == first[1]


def test_several_tunes_as_json(fitted, tmp_path, capsys):
    out = tmp_path / "tune.mid"
    done = run(
        capsys, "generate", fitted[0], "-o", out, "--num-return-sequences", 3, "--seed", 7, "--json", "--tempo", 90,
        "--picture", tmp_path / "roll.png", "-q",
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert [one["file"] for one in found] == [str(tmp_path / f"tune-{i}.mid") for i in (1, 2, 3)]
    assert [one["seed"] for one in found] == [7, 8, 9]
    for one in found:
        piece = read_midi(one["file"]).piece
        assert (len(piece.notes), piece.length) == (one["notes"], one["steps"])
        assert piece.tempos == ((0, round(60e6 / 90)),)
        assert one["picture"].endswith(".png")
    assert (tmp_path / "roll-2.png").read_bytes().startswith(b"\x89PNG")


def test_a_seed_is_made_up_and_said(fitted, tmp_path, capsys):
    done = run(capsys, "generate", fitted[0], "-o", tmp_path / "a.mid")
    seed = done.err.split()[1]
    run(capsys, "generate", fitted[0], "-o", tmp_path / "b.mid", "--seed", seed)
    assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "b.mid").read_bytes()


def test_evaluate(fitted, folder, capsys):
    done = run(capsys, "evaluate", fitted[0], folder)
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "model,nats_per_step,nats_per_note"
    assert {line.split(",")[0] for line in lines[1:]} == {"model", "Markov", "unigram"}
    assert "6 pieces of 144 steps, each read from its beginning" in done.err
    plain = json.loads(run(capsys, "evaluate", fitted[0], folder / "0.mid", "--json").out)
    assert (plain["pieces"], plain["steps"], plain["notes"]) == (1, 24, 48)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--prompt", "x"], "grus generate: --prompt is for a language model, but {model} is a model of music"),
        (["--num-beams", 2], "grus generate: --num-beams is for a language model, but {model} is a model of music"),
        ([], "grus generate: --out is missing; a model of music writes a MIDI file"),
        (["-o", "{tmp}/tune.wav"], "{tmp}/tune.wav: expected a name ending in .mid, .midi, got '.wav'"),
        (["-o", "{tmp}/none/tune.mid"], "{tmp}/none/tune.mid: no such folder: {tmp}/none"),
        (["-o", "{tmp}/t.mid", "--picture", "{tmp}/a.bmp"], "{tmp}/a.bmp: expected a name ending in .png, .svg, .pdf, got '.bmp'"),
        (["-o", "{tmp}/t.mid", "--prime", "{tmp}/no.mid"], "{tmp}/no.mid: no such file"),
        (["-o", "{tmp}/t.mid", "--prime", "{tmp}/bad.mid"], "{tmp}/bad.mid, byte 8: not readable as MIDI: MThd not found. Probably not a MIDI file"),
        (["-o", "{tmp}/t.mid", "--prime", "{tmp}/empty.mid"], "{tmp}/empty.mid: expected notes, got none"),
        (["-o", "{tmp}/t.mid", "--prime", "{tmp}/deep.mid"], "{tmp}/deep.mid: part 'high' must lie in C4 to A♯4 as in training, got C3 at step 0"),
        (["-o", "{tmp}/t.mid", "--max-beats", 0], "grus generate: --max-beats must be at least 1, got '0'"),
        (["-o", "{tmp}/t.mid", "--top-p", 2], "top_p must be above 0 and at most 1, got 2.0"),
    ],
)  # fmt: skip
def test_what_generate_refuses(fitted, tmp_path, capsys, arguments, sentence):
    (tmp_path / "bad.mid").write_bytes(b"RIFF, no MIDI at all")
    (tmp_path / "empty.mid").write_bytes(write_midi(Piece((), 4, 4, ("a", "b"))))
    low = tuple(note._replace(pitch=48) for note in tune(1).notes)
    (tmp_path / "deep.mid").write_bytes(write_midi(Piece(low, 24, 4, ("high", "low"))))
    filled = [str(a).format(tmp=tmp_path) for a in arguments]
    before = set(tmp_path.iterdir())
    assert refused(run(capsys, "generate", fitted[0], *filled)) == sentence.format(
        model=fitted[0], tmp=tmp_path
    )
    assert set(tmp_path.iterdir()) == before, "nothing is left half-written"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{tunes}", "--tokenizer", "bpe"], "grus fit generate: --tokenizer is for --kind text, but this is --kind midi"),
        (["-"], "stdin: music must be named as files or a folder, got -"),
        (["{tmp}"], "{tmp}: expected MIDI files (.mid, .midi), got a folder without any"),
        (["{tmp}/none.mid"], "no such file or folder: {tmp}/none.mid"),
        (["{tunes}", "--val-size", 3, "--test-size", 3], "music: validation and test take 3 and 3 pieces, which must leave some to train on, got 6"),
        (["{tunes}", "--steps-per-beat", 0], "grus fit generate: --steps-per-beat must be at least 1, got '0'"),
    ],
)  # fmt: skip
def test_what_fit_refuses(folder, tmp_path, capsys, arguments, sentence):
    filled = [str(a).format(tmp=tmp_path, tunes=folder) for a in arguments]
    done = run(capsys, "fit", "generate", "--kind", "midi", *filled, "-o", tmp_path / "m", *TINY)
    assert refused(done) == sentence.format(tmp=tmp_path, tunes=folder)
    assert list(tmp_path.iterdir()) == []


def test_options_of_music_are_not_for_text(tmp_path, capsys):
    (tmp_path / "book.txt").write_text("to be or not to be\n" * 50)
    done = run(capsys, "fit", "generate", tmp_path / "book.txt", "--layout", "voices", "-o", tmp_path / "m")
    assert refused(done) == "grus fit generate: --layout is for --kind midi, but this is --kind text"


def test_predict_and_inspect_say_what_to_do_instead(fitted, folder, capsys):
    done = run(capsys, "predict", fitted[0], folder / "0.mid")
    assert refused(done) == "grus predict: a model of music has no answer for rows of data"
    done = run(capsys, "inspect", fitted[0], folder / "0.mid", "--json")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"error: {fitted[0]}: a model of music cannot be looked into yet\n")


def test_help_shows_how(capsys):
    for command in (["fit", "generate"], ["generate"]):
        done = run(capsys, *command, "--help")
        assert done.code == 0
        assert "midi" in done.out or "tune.mid" in done.out


def test_generate_and_evaluate_need_no_torch(fitted, folder, tmp_path):
    done = without(
        ["torch", "lightning_fabric", "pandas"], "generate", fitted[0], "-o", tmp_path / "t.mid", "--seed", 1,
        "--picture", tmp_path / "t.png",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert without(["torch", "matplotlib"], "evaluate", fitted[0], folder).returncode == 0
    for package, options, said in (
        (
            "matplotlib",
            ["--picture", tmp_path / "u.png"],
            "--picture needs matplotlib, which is not installed",
        ),
        ("mido", [], "MIDI files need mido, which is not installed"),
    ):
        done = without([package], "generate", fitted[0], "-o", tmp_path / "u.mid", *options)
        extra = "train" if package == "matplotlib" else "audio"
        assert done.returncode == 1
        assert done.stderr.splitlines()[-2:] == [f"error: {said}", f"hint: pip install 'grus[{extra}]'"]
        assert not (tmp_path / "u.mid").exists()
