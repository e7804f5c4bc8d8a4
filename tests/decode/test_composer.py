"""Music from a model without torch: every outcome is a piece, primes are kept, scores are those of what is drawn."""

import json
import subprocess
import sys
import textwrap

import mido
import msgspec
import numpy as np
import pytest

import grus
from example_music import a_composer, a_music_model
from grus.artifact import save_model
from grus.decode.music.composer import LiveComposer
from grus.decode.music.scores import Floors, allowed_masks, before, count_pairs
from grus.errors import DataError, ModelFolderError, SpecError, UsageError
from grus.preprocess.music.codes import END, Kind, codes_of
from grus.preprocess.music.midi import read_midi, write_midi
from grus.preprocess.music.piece import Note, Piece
from grus.preprocess.music.tokens import decode_tokens, encode_piece
from grus.spec import Music, Part
from music_cases import CHORALE, WALTZ, drawn_tokens, scale

QUARTET = Music(
    "voices", 4, tuple(Part(name, low, low + 12) for name, low in (("s", 60), ("a", 55), ("t", 48), ("b", 40))),
    (100, 80), ((4, 4), (3, 4)),
)  # fmt: skip


@pytest.mark.parametrize("step", [CHORALE, WALTZ, QUARTET], ids=["voices", "polyphony", "quartet"])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_every_outcome_is_a_piece_that_mido_reads_back_equal(step, temperature, tmp_path):
    live = a_composer(step)
    found = live.generate(max_beats=8, temperature=temperature, seed=1, num_return_sequences=6)
    for made in found:
        assert 0 < made.piece.length < 9 * step.steps_per_beat, "the last beat is not cut"
        assert made.given == 0
        assert made.log_probability < 0
        assert all(step.parts[n.part].low <= n.pitch <= step.parts[n.part].high for n in made.piece.notes)
        tokens = encode_piece(made.piece, step)
        assert decode_tokens(tokens, step) == made.piece
        (tmp_path / "tune.mid").write_bytes(made.midi())
        mido.MidiFile(tmp_path / "tune.mid")
        if made.piece.notes:
            assert read_midi(tmp_path / "tune.mid").piece == made.piece


def test_a_seed_is_a_tune_alone_and_among_others():
    live = a_composer(CHORALE)
    several = live.generate(max_beats=6, seed=5, num_return_sequences=4)
    assert len({made.piece for made in several}) == 4
    for row, made in enumerate(several):
        assert live.generate(max_beats=6, seed=5 + row) == [made]
    greedy = live.generate(max_beats=6, temperature=0, seed=1)
    assert greedy == live.generate(max_beats=6, temperature=0, seed=2)
    assert greedy == live.generate(max_beats=6, top_k=1)
    assert live.generate(max_beats=6)[0].piece.length


def test_a_tune_goes_on_from_its_prime(tmp_path):
    piece = scale(beats=3)
    piece = Piece(piece.notes, 15, 4, ("left", "right"), ((0, 645_161), (5, 300_000)))
    (tmp_path / "start.mid").write_bytes(write_midi(piece))
    live = a_composer(CHORALE)
    found = live.generate(tmp_path / "start.mid", max_beats=4, seed=0, num_return_sequences=3)
    assert found == live.generate(piece, max_beats=4, seed=0, num_return_sequences=3)
    for made in found:
        assert made.given == 12, "silence at the end of a prime is left out"
        kept = {note for note in made.piece.notes if note.end < 12}
        assert {note for note in piece.notes if note.end < 12} == kept
        assert 12 < made.piece.length <= 12 + 16
        assert made.piece.tempos[:2] == ((0, 645_161), (5, 300_000))
        assert made.piece.parts == ("soprano", "bass")


def test_a_part_of_a_prime():
    live = a_composer(CHORALE)
    (made,) = live.generate(scale(), prime_beats=1.5, max_beats=1, seed=0)
    assert made.given == 6
    (made,) = live.generate(scale(), prime_beats=100, max_beats=1, seed=0)
    assert made.given == 16
    with pytest.raises(DataError, match="prime: expected notes to go on from, got none before step 0"):
        live.generate(scale(), prime_beats=0.1)


def eager_to_end(step):
    """A model that ends what sounds, and then the piece, as soon as it may."""
    model, tensors = a_music_model(step)
    codes = codes_of(step)
    tensors["main.logits.bias"] += 20.0 * (codes.kinds == Kind.END) + 9.0 * (codes.kinds == Kind.OFF)
    return LiveComposer(model, tensors)


@pytest.mark.parametrize("step", [CHORALE, WALTZ], ids=["voices", "polyphony"])
def test_a_tune_can_be_kept_from_ending(step):
    live = eager_to_end(step)
    short = live.generate(seed=0, num_return_sequences=5)
    assert all(made.ended and made.piece.length < 24 for made in short)
    for made in live.generate(seed=0, num_return_sequences=5, min_beats=6, max_beats=20):
        assert made.ended
        assert 24 <= made.piece.length <= (24 if step is CHORALE else 80)


def test_a_prime_may_end_within_a_beat():
    for step in (CHORALE, Music("polyphony", 4, (Part("all", 40, 72),), (120,), ((4, 4),))):
        live = a_composer(step)
        for made in live.generate(scale(), prime_beats=1.5, max_beats=4, seed=0, num_return_sequences=5):
            assert made.given == 6
            starts = {(n.start, n.pitch) for n in scale().notes if n.start < 6}
            assert {(n.start, n.pitch) for n in made.piece.notes if n.start < 6} == starts
            assert any(n.start < 8 and n.end > 6 for n in made.piece.notes) or step is CHORALE


def test_a_prime_of_several_parts_goes_into_polyphony():
    live = a_composer(Music("polyphony", 4, (Part("all", 40, 72),), (120,), ((4, 4),)))
    for seed in range(6):
        (made,) = live.generate(scale(beats=3), max_beats=3, seed=seed)
        assert {(n.start, n.pitch) for n in made.piece.notes if n.start < 12} == {
            (n.start, n.pitch) for n in scale(beats=3).notes
        }
        assert made.piece.length <= 24


def test_time_signatures_stay_where_tokens_know_of_no_bars():
    piece = Piece(scale().notes, 16, 4, ("a", "b"), (), ((0, (3, 4)),))
    (made,) = a_composer(CHORALE).generate(piece, max_beats=2, seed=0)
    assert made.piece.meters == ((0, (3, 4)),)
    assert made.piece.tempos[0] == (0, 500_000)


def test_a_tempo_of_ones_own():
    live = a_composer(CHORALE)
    (made,) = live.generate(tempo=77, max_beats=2, seed=0)
    assert made.piece.tempos == ((0, round(60e6 / 77)),)
    (made,) = live.generate(scale(), tempo=77, max_beats=2, seed=0)
    assert made.piece.tempos == ((0, round(60e6 / 77)),)


@pytest.mark.parametrize(
    ("prime", "sentence"),
    [
        (Piece((Note(0, 0, 60, 4),), 4, 4, ("a",)), "prime: must have as many parts as in training, 2 (soprano, bass), got 1"),
        (Piece((Note(0, 0, 59, 4),), 4, 4, ("a", "b")), "prime: part 'soprano' must lie in C4 to C5 as in training, got B3 at step 0"),
        (Piece((), 4, 4, ("a", "b")), "prime: expected notes to go on from, got none before step 0"),
        ("none.mid", "none.mid: no such file"),
    ],
)  # fmt: skip
def test_primes_that_do_not_fit(prime, sentence):
    with pytest.raises(DataError) as caught:
        a_composer(CHORALE).generate(prime)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"max_beats": 0}, "max_beats must be a whole number from 1 to 65536, got 0"),
        ({"max_beats": True}, "max_beats must be a whole number from 1 to 65536, got True"),
        ({"min_beats": 65}, "min_beats must be a whole number from 0 to 64, got 65"),
        ({"num_return_sequences": 0}, "num_return_sequences must be a whole number from 1 to 1024, got 0"),
        ({"tempo": 3}, "tempo must be a whole number from 4 to 1000, got 3"),
        ({"prime_beats": 0}, "prime_beats must be a number above 0, got 0"),
        ({"prime_beats": float("nan")}, "prime_beats must be a number above 0, got nan"),
        ({"temperature": -1}, "temperature must be a number of at least 0, got -1"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
    ],
)
def test_arguments_that_cannot_be(options, sentence):
    with pytest.raises(UsageError) as caught:
        a_composer(CHORALE).generate(**options)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("step", [CHORALE, WALTZ], ids=["voices", "polyphony"])
def test_a_score_is_the_probability_with_which_a_piece_is_drawn(step):
    live = eager_to_end(step)
    ended = [made for made in live.generate(seed=0, num_return_sequences=20) if made.ended]
    assert ended
    for made in ended:
        assert live.evaluate([made.piece]).nats == pytest.approx(-made.log_probability, rel=1e-5)
    together = live.evaluate([made.piece for made in ended])
    assert together.nats == pytest.approx(-sum(made.log_probability for made in ended), rel=1e-5)
    assert together.nats < together.free_nats
    assert together.pieces == len(ended)
    assert together.steps == sum(made.piece.length for made in ended)
    assert together.nats_per_step == together.nats / together.steps


def test_probabilities_of_what_may_come_sum_to_one():
    live, tokens = a_composer(CHORALE), encode_piece(scale(), CHORALE)
    allowed, length = allowed_masks(tokens, CHORALE)
    assert length == 16
    place = 7  # all the pieces that differ in this token, and in nothing before
    total = 0.0
    for code in np.flatnonzero(allowed[place]):
        masked = np.where(allowed[place], live.logits(tokens)[place].astype(np.float64), -np.inf)
        total += np.exp(masked[code] - masked.max()) / np.exp(masked - masked.max()).sum()
    assert total == pytest.approx(1)


def test_notes_are_tokens_that_the_form_does_not_force():
    found = a_composer(CHORALE).evaluate([scale()])
    assert (found.steps, found.notes, found.tokens) == (16, 32, 32 + 4 + 2)
    found = a_composer(WALTZ).evaluate([Piece((Note(0, 0, 40, 4),), 4, 4, ("a",))])
    assert found.notes == found.tokens


def test_what_a_floor_looks_back_to():
    codes, tokens = codes_of(CHORALE), encode_piece(scale(beats=2), CHORALE)
    names = codes.names()
    pairs = [(names[a], names[b]) for a, b in zip(before(tokens, codes), tokens)]
    assert pairs[:4] == [
        ("end", "tempo 100"), ("tempo 100", "beat"), ("end", "soprano C4"), ("end", "bass silent"),
    ]  # fmt: skip
    assert pairs[4] == ("soprano C4", "soprano C4 held")
    assert pairs[10] == ("bass silent", "beat")
    assert pairs[-1] == ("bass B2 held", "end")
    assert count_pairs([tokens, tokens], codes).sum() == 2 * len(tokens)


def test_the_markov_floor_by_hand():
    step = Music("voices", 1, (Part("v", 60, 61),), (120,))
    codes = codes_of(step)
    piece = Piece((Note(0, 0, 60, 1), Note(1, 0, 61, 2)), 2, 1, ("v",), ((0, 500_000),))
    tokens = encode_piece(piece, step)
    names = codes.names()
    words = [names[token] for token in tokens]
    assert words == ["tempo 120", "beat", "v C4", "beat", "v C♯4", "end"]
    unigram = np.bincount(tokens, minlength=len(codes)).astype(float)
    pairs = count_pairs([tokens], codes)
    allowed, _ = allowed_masks(tokens, step)
    found = dict(Floors(unigram, pairs).nats(tokens, allowed, codes))
    single = (unigram + 1) / (unigram.sum() + len(codes))
    # Forced: tempo, beat. Then C4 among rest, C4, C#4 after nothing; beat or end; C#4 among rest, ons and C4 held.
    number = {name: code for code, name in enumerate(names)}
    choices = [
        ("v C4", "end", ["v silent", "v C4", "v C♯4"]),
        ("beat", "v C4", ["beat", "end"]),
        ("v C♯4", "v C4", ["v silent", "v C4", "v C♯4", "v C4 held"]),
        ("end", "v C♯4", ["beat", "end"]),
    ]
    nats = {"unigram": 0.0, "Markov": 0.0}
    for token, past, others in choices:
        row = pairs[number[past]]
        kinds, total = (row > 0).sum(), row.sum()
        mixed = (row + kinds * single) / (total + kinds)
        for name, p in (("unigram", single), ("Markov", mixed)):
            nats[name] -= np.log(p[number[token]] / sum(p[number[other]] for other in others))
    assert found == pytest.approx(nats)
    assert found["Markov"] < found["unigram"]


def test_nothing_to_score():
    with pytest.raises(DataError, match="expected pieces to score, got none"):
        a_composer(CHORALE).evaluate([])
    other = Piece((Note(0, 0, 60, 1),), 1, 4, ("a",))
    with pytest.raises(DataError, match=r"a\.mid: must have as many parts"):
        a_composer(CHORALE).evaluate([other], ["a.mid"])
    live = a_composer(CHORALE)
    found = live.evaluate([other, scale()])
    assert found.left_out == ("piece 1: must have as many parts as in training, 2 (soprano, bass), got 1",)
    assert (found.pieces, found.nats) == (1, live.evaluate([scale()]).nats)


def test_a_folder_gives_the_same_tunes_with_and_without_torch(tmp_path):
    model, tensors = a_music_model(CHORALE)
    folder = save_model(tmp_path / "model", model, tensors)
    live = grus.load(folder)
    assert isinstance(live, LiveComposer)
    (tmp_path / "start.mid").write_bytes(write_midi(scale()))
    made = live.generate(tmp_path / "start.mid", max_beats=4, seed=3)[0]
    code = textwrap.dedent(
        """
        import json, sys
        for name in ("torch", "lightning_fabric", "pyarrow", "narwhals", "pandas", "matplotlib", "typer"):
            sys.modules[name] = None
        import grus
        made = grus.load(sys.argv[1]).generate(sys.argv[2], max_beats=4, seed=3)[0]
        print(json.dumps(made.midi().hex()))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder, tmp_path / "start.mid"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    assert bytes.fromhex(json.loads(done.stdout)) == made.midi()


def test_precisions_stay_close(tmp_path):
    model, tensors = a_music_model(CHORALE)
    pieces = [decode_tokens(drawn_tokens(CHORALE, np.random.default_rng(0).choice), CHORALE)]
    exact = LiveComposer(model, tensors).evaluate(pieces).nats
    for precision in ("bf16", "int8"):
        assert LiveComposer(model, tensors, precision).evaluate(pieces).nats == pytest.approx(exact, rel=0.05)


def test_folders_that_do_not_hold_together(tmp_path):
    model, tensors = a_music_model(CHORALE)
    with pytest.raises(SpecError, match=f"begin must be the end of a piece, {END}, got 0"):
        LiveComposer(
            msgspec.structs.replace(model, task=msgspec.structs.replace(model.task, begin=0)), tensors
        )
    with pytest.raises(SpecError, match="generate: size must be"):
        msgspec.structs.replace(model, preprocess=(WALTZ,))
    with pytest.raises(SpecError, match="generate: midi needs one step, Music, got 0 steps"):
        msgspec.structs.replace(model, preprocess=())
    folder = save_model(tmp_path / "model", model, tensors | {"task.bigram": tensors["task.bigram"] - 9})
    with pytest.raises(ModelFolderError, match="counts of tokens must be at least 0"):
        grus.load(folder)
