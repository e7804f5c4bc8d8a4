"""The tokens of music: every well-formed sequence is a piece, every piece has one spelling."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grus.errors import DataError, SpecError
from grus.preprocess.music.codes import END, Kind, codes_of, shifts, transposed
from grus.preprocess.music.grammar import Grammar
from grus.preprocess.music.piece import Note, Piece
from grus.preprocess.music.tokens import decode_tokens, encode_piece, encode_prime
from grus.spec import Music, Part
from music_cases import CHORALE, WALTZ, drawn_tokens, scale, spelled, steps

POLY = Music("polyphony", 4, (Part("all", 60, 72),), (120,), ())


def words(tokens, step):
    names = codes_of(step).names()
    return [names[token] for token in tokens]


@given(spelled())
@settings(max_examples=120, deadline=None)
def test_tokens_to_a_piece_and_back(case):
    step, tokens = case
    piece = decode_tokens(tokens, step)
    assert piece.length
    np.testing.assert_array_equal(encode_piece(piece, step), tokens)


@given(spelled(), st.data())
@settings(max_examples=50, deadline=None)
def test_what_is_not_allowed_is_refused_and_changes_nothing(case, data):
    step, tokens = case
    walk = Grammar(step)
    for token in tokens[: data.draw(st.integers(0, len(tokens)))]:
        walk.push(token)
    allowed = walk.allowed()
    refused = [*np.flatnonzero(~allowed), -1, len(allowed)]
    with pytest.raises(DataError, match="may not stand there"):
        walk.push(data.draw(st.sampled_from(refused)))
    np.testing.assert_array_equal(walk.allowed(), allowed)
    assert walk.over or allowed.any()  # there is no dead end


@given(spelled(), st.data())
@settings(max_examples=50, deadline=None)
def test_a_piece_can_be_closed_anywhere(case, data):
    step, tokens = case
    cut = data.draw(st.integers(0, len(tokens)))
    walk = Grammar(step)
    for token in tokens[:cut]:
        walk.push(token)
    closing = walk.closing()
    assert len(closing) <= 3 + 2 * len(step.parts) + 2 * sum(p.high - p.low + 1 for p in step.parts)
    piece = decode_tokens([*tokens[:cut], *closing], step)
    assert piece.length <= walk.length + 2 * step.steps_per_beat


@given(steps())
def test_sizes_are_what_the_step_says(step):
    codes = codes_of(step)
    assert len(codes) == step.size() == step.port().size
    assert len(set(codes.names())) == len(codes)
    assert codes.kinds[:2].tolist() == [Kind.NOTHING, Kind.END]
    assert not Grammar(step).allowed()[0]


def test_a_copy_goes_its_own_way():
    walk = Grammar(CHORALE)
    for token in encode_piece(scale(), CHORALE)[:-1]:
        walk.push(token)
    other = walk.copy()
    other.push(END)
    assert (walk.over, other.over) == (False, True)
    assert other.piece() == scale()
    walk.push(END)
    assert walk.piece() == scale()


def test_after_a_place_something_begins_before_the_end():
    walk = Grammar(POLY)
    names = codes_of(POLY).names()
    for word in ("tempo 120", "beat", "at 2"):
        walk.push(names.index(word))
    assert words(walk.closing(), POLY) == ["C4", "beat", "C4 ends", "end"]


def test_a_piece_ends_with_a_beat():
    piece = Piece((Note(0, 0, 60, 3),), 5, 4, ("soprano", "bass"))
    assert decode_tokens(encode_piece(piece, CHORALE), CHORALE).length == 8
    assert decode_tokens(encode_piece(piece, POLY), POLY).length == 8
    bars = Piece((Note(0, 0, 40, 3),), 5, 4, ("all",), (), ((0, (3, 8)),))
    assert decode_tokens(encode_piece(bars, WALTZ), WALTZ).length == 6


def test_a_prime_ends_where_it_does():
    piece = Piece((Note(0, 0, 60, 3),), 3, 4, ("soprano", "bass"))
    assert words(encode_prime(piece, CHORALE), CHORALE)[-2:] == ["soprano C4 held", "bass silent"]
    assert len(encode_prime(piece, CHORALE)) == 2 + 6
    assert words(encode_prime(piece, POLY), POLY) == ["tempo 120", "beat", "C4", "at 3", "C4 ends"]


def test_two_voices_in_words():
    assert words(encode_piece(scale(beats=2), CHORALE), CHORALE) == [
        "tempo 100",
        "beat", "soprano C4", "bass silent", *["soprano C4 held", "bass silent"] * 3,
        "beat", "soprano D4", "bass B2", *["soprano D4 held", "bass B2 held"] * 3,
        "end",
    ]  # fmt: skip


def test_polyphony_in_words():
    chord = [Note(0, 0, 60, 6), Note(2, 0, 64, 6), Note(2, 0, 67, 4), Note(4, 0, 67, 8)]
    piece = Piece(tuple(chord), 10, 4, ("all",), ((0, 500_000),), ((0, (3, 8)),))
    step = Music("polyphony", 4, (Part("all", 60, 67),), (120, 60), ((3, 8),))
    assert words(encode_piece(piece, step), step) == [
        "tempo 120",
        "bar 3/8", "C4", "at 2", "E4", "G4",
        "beat", "G4 ends", "G4",
        "bar 3/8", "C4 ends", "E4 ends", "at 2", "G4 ends",
        "beat", "end",
    ]  # fmt: skip


def test_pieces_of_several_parts_become_one_in_polyphony():
    notes = (Note(0, 0, 60, 8), Note(0, 1, 60, 4), Note(2, 1, 64, 4), Note(4, 1, 60, 6))
    tokens = encode_piece(Piece(notes, 8, 4, ("left", "right")), POLY)
    assert decode_tokens(tokens, POLY).notes == (Note(0, 0, 60, 4), Note(2, 0, 64, 4), Note(4, 0, 60, 6))


def test_a_tempo_waits_for_the_next_beat_and_is_the_nearest_known():
    piece = Piece((Note(0, 0, 60, 12),), 12, 4, ("all",), ((0, 490_000), (2, 1_000_000), (5, 400_000)))
    step = Music("polyphony", 4, (Part("all", 60, 60),), (120, 63), ())
    found = decode_tokens(encode_piece(piece, step), step)
    assert found.tempos == ((0, 500_000), (4, round(60e6 / 63)), (8, 500_000))


def test_a_time_signature_waits_for_the_next_bar():
    piece = Piece((Note(0, 0, 40, 4),), 30, 4, ("all",), (), ((5, (4, 4)), (12, (9, 16)), (20, (6, 16))))
    found = decode_tokens(encode_piece(piece, WALTZ), WALTZ)
    # 4/4 by default up to 16; then 9/16, which is not known, is 3/4, the most frequent; 6/16 has the steps of 3/8.
    assert found.meters == ((0, (4, 4)), (16, (3, 4)), (28, (3, 8)))


def test_shifts_keep_every_part_in_its_range():
    codes = codes_of(CHORALE)
    tokens = encode_piece(scale(), CHORALE)  # soprano 60 to 66 of 60 to 72, bass 45 to 47 of 40 to 52
    assert list(shifts(tokens, codes)) == [0, 1, 2, 3, 4, 5]
    assert list(shifts(tokens, codes, most=3)) == [0, 1, 2, 3]
    up = decode_tokens(transposed(tokens, 5, codes), CHORALE)
    assert up.notes == tuple(note._replace(pitch=note.pitch + 5) for note in scale().notes)
    assert transposed(tokens, 5, codes).dtype == tokens.dtype


@given(spelled())
@settings(max_examples=50, deadline=None)
def test_a_transposed_piece_is_a_piece(case):
    step, tokens = case
    codes = codes_of(step)
    allowed = shifts(tokens, codes)
    assert 0 in allowed
    for semitones in (allowed[0], allowed[-1]):
        moved = decode_tokens(transposed(tokens, semitones, codes), step)
        before = decode_tokens(tokens, step)
        assert [note.pitch - semitones for note in moved.notes] == [note.pitch for note in before.notes]


@pytest.mark.parametrize(
    ("piece", "sentence"),
    [
        (Piece((), 0, 4, ("a", "b")), "x.mid: expected music, got an empty piece"),
        (Piece((), 4, 12, ("a", "b")), "x.mid: must have 4 steps a beat, got 12"),
        (
            Piece((), 4, 4, ("a",)),
            "x.mid: must have as many parts as in training, 2 (soprano, bass), got 1",
        ),
        (
            Piece((Note(0, 0, 60, 4), Note(3, 0, 64, 4)), 4, 4, ("a", "b")),
            "x.mid: a part must have one note at a time, but in part 'a' E4 begins at step 3 while another sounds",
        ),
        (
            Piece((Note(2, 1, 60, 4),), 4, 4, ("a", "b")),
            "x.mid: part 'bass' must lie in E2 to E3 as in training, got C4 at step 2",
        ),
    ],
)
def test_a_piece_that_does_not_fit(piece, sentence):
    with pytest.raises(DataError) as caught:
        encode_piece(piece, CHORALE, "x.mid")
    assert str(caught.value) == sentence


def test_a_piece_that_is_not_over():
    with pytest.raises(DataError, match="expected tokens up to the end of a piece"):
        decode_tokens(encode_piece(scale(), CHORALE)[:-1], CHORALE)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"parts": ()}, "music: how many parts must be a whole number from 1 to 15, got 0"),
        ({"layout": "polyphony"}, "music: how many parts must be a whole number from 1 to 1, got 2"),
        ({"tempos": ()}, "music: how many tempos must be a whole number from 1 to 1000, got 0"),
        ({"tempos": (100, 100)}, "music: tempos and meters must each stand once"),
        ({"tempos": (3,)}, "music: tempo must be a whole number from 4 to 1000, got 3"),
        ({"meters": ((1, 32),)}, "music: a bar must be whole steps, got 1/32"),
        ({"meters": ((4, 3),)}, "music: a bar must be whole steps, got 4/3"),
        ({"steps_per_beat": 97}, "music: steps_per_beat must be a whole number from 1 to 96, got 97"),
        ({"parts": (Part("a", 1, 2), Part("a", 1, 2))}, "music: parts must each stand once, got 'a' twice"),
    ],
)
def test_a_step_that_does_not_hold_together(changed, sentence):
    with pytest.raises(SpecError) as caught:
        msgspec.structs.replace(CHORALE, **changed)
    assert str(caught.value) == sentence


def test_a_range_upside_down():
    with pytest.raises(SpecError, match="part 'a': low must be a whole number from 0 to 10, got 11"):
        Part("a", 11, 10)


def test_any_choice_of_allowed_tokens_is_music():
    rng = np.random.default_rng(0)
    for step in (CHORALE, WALTZ):
        for _ in range(20):
            piece = decode_tokens(drawn_tokens(step, rng.choice, 60), step)
            assert all(step.parts[n.part].low <= n.pitch <= step.parts[n.part].high for n in piece.notes)
            assert all(0 <= n.start < n.end <= piece.length for n in piece.notes)
