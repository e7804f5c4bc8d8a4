"""A language model in the beam search, against brute force: every text of tiny cases, scored by itself and added."""

import itertools

import numpy as np
import pytest
from test_ctc import every_text, steps

from example_language_models import language_model
from grus.decode.ctc import PrefixBeam, log_softmax, prefix_beam
from grus.decode.fusion import FusedTexts, Fusion
from grus.decode.generator import LiveGenerator
from grus.errors import UsageError
from grus.spec import Vocabulary
from sound_cases import sentences, transcriber

CHARS = Vocabulary("char", True, (" ", "a", "b"))
WORDS = Vocabulary("word", True, ("on", "off", "go"))


@pytest.fixture(scope="module")
def letters():
    return LiveGenerator(*language_model("char", "abba baab a b\nba ab\n" * 3, scale=1.5))


@pytest.fixture(scope="module")
def few_words():
    return LiveGenerator(*language_model("word", "go on\noff on go\non on go\n" * 3, scale=1.5))


def written(text, units):
    tokens = [units.tokens[code - 1] for code in text]
    return (" " if units.kind == "word" else "").join(tokens)


def words_in(text, units):
    """How many words a text begins."""
    if units.kind == "word":
        return len(text)
    return sum(
        1 for space, _ in itertools.groupby(text, lambda code: units.tokens[code - 1] == " ") if not space
    )


def worth(fusion, text, units):
    """What a text is worth, by the language model's own score of it."""
    (scored,) = fusion.model.score([written(text, units)], unknown="refuse") if text else (None,)
    total = scored.total if text else 0.0
    return fusion.weight * total + fusion.word_bonus * words_in(text, units) + fusion.length_bonus * len(text)


@pytest.mark.parametrize(
    "options", [{"weight": 1.0}, {"weight": 0.7, "word_bonus": 0.9, "length_bonus": -0.4}]
)
@pytest.mark.parametrize("units", [CHARS, WORDS], ids=["char", "word"])
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_is_brute_force(letters, few_words, units, options, seed):
    fusion = Fusion(letters if units is CHARS else few_words, **options)
    log_probabilities = steps(seed, 5, 4)
    wanted = every_text(log_probabilities)
    beam = PrefixBeam(10**6, FusedTexts(fusion, units))
    beam.advance(log_probabilities)
    found = beam.best()
    assert dict(found).keys() == wanted.keys()
    totals = []
    for text, score in found:
        assert score == pytest.approx(wanted[text], abs=1e-10)
        assert beam.worth(text) == pytest.approx(
            worth(fusion, text, units), abs=1e-4
        )  # float32 logits, other chunks
        totals.append(score + beam.worth(text))
    assert totals == sorted(totals, reverse=True)
    best = max(wanted, key=lambda text: wanted[text] + worth(fusion, text, units))
    assert found[0][0] == best


def test_it_changes_what_is_written(letters):
    changed = 0
    for seed in range(20):
        log_probabilities = steps(seed, 6, 4, sharp=0.7)
        alone = prefix_beam(log_probabilities, 64)[0][0]
        fused = prefix_beam(log_probabilities, 64, FusedTexts(Fusion(letters, 1.0), CHARS))[0][0]
        changed += alone != fused
    assert changed >= 5


def test_without_weight_and_bonus_it_is_the_beam_alone(letters):
    for seed in range(5):
        log_probabilities = steps(seed, 12, 4)
        found = prefix_beam(log_probabilities, 8, FusedTexts(Fusion(letters, 0.0), CHARS))
        assert found == prefix_beam(log_probabilities, 8)


def test_a_narrow_beam_is_no_better_than_a_wide_one_and_pieces_are_the_whole(letters):
    texts = FusedTexts(Fusion(letters, 0.8, 0.3, 0.1), CHARS)
    for seed in range(5):
        log_probabilities = steps(seed, 12, 4)
        best = []
        for width in (1, 4, 200):
            beam = PrefixBeam(width, texts)
            for first in range(0, 12, 5):
                beam.advance(log_probabilities[first : first + 5])
            found = beam.best()
            assert found == prefix_beam(log_probabilities, width, texts)
            beam = PrefixBeam(width, texts)
            beam.advance(log_probabilities)
            best.append(found[0][1] + beam.worth(found[0][0]))
        assert best[0] <= best[2] + 1e-12
        assert best[1] <= best[2] + 1e-12


def test_a_bonus_makes_texts_longer(letters):
    lengths = []
    for bonus in (-3.0, 0.0, 3.0):
        texts = FusedTexts(Fusion(letters, 0.5, length_bonus=bonus), CHARS)
        lengths.append(sum(len(prefix_beam(steps(seed, 10, 4), 50, texts)[0][0]) for seed in range(5)))
    assert lengths[0] < lengths[1] < lengths[2]


# -- what does not fit ---------------------------------------------------------------------------------------


def test_units_that_it_does_not_know(letters):
    more = Vocabulary("char", True, (" ", "a", "é", "ß"))
    with pytest.raises(
        UsageError,
        match=r"^language model: must know all units of the transcriber, but does not know 'é', 'ß'$",
    ):
        FusedTexts(Fusion(letters), more)
    many = Vocabulary("char", True, tuple("cdefghijkl"))
    with pytest.raises(UsageError, match=r"does not know 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', \.\.\.$"):
        FusedTexts(Fusion(letters), many)


@pytest.mark.parametrize(
    ("tokenizer", "units", "got"),
    [("word", CHARS, "words"), ("bpe", CHARS, r"pieces of words \(bpe\)"), ("char", WORDS, "characters")],
)
def test_tokens_that_are_no_such_units(tokenizer, units, got):
    live = LiveGenerator(*language_model(tokenizer, "abba baab a b\nba ab\n" * 9))
    wanted = "characters" if units is CHARS else "words"
    with pytest.raises(
        UsageError, match=rf"^language model: must go by {wanted}, as the transcriber does, got one of {got}$"
    ):
        FusedTexts(Fusion(live), units)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"weight": -0.1}, "weight must be at least 0, got -0.1"),
        ({"weight": np.nan}, "weight must be a finite number, got nan"),
        ({"word_bonus": np.inf}, "word_bonus must be a finite number, got inf"),
        ({"length_bonus": "1"}, "length_bonus must be a finite number, got '1'"),
    ],
)
def test_numbers_that_cannot_be(letters, options, sentence):
    with pytest.raises(UsageError) as raised:
        Fusion(letters, **options)
    assert str(raised.value) == f"language model: {sentence}"


def test_capitals_are_those_of_the_model():
    live = LiveGenerator(*language_model("char", "ABBA BAAB\n" * 5))
    with pytest.raises(UsageError, match=r"does not know 'a', 'b'$"):
        Fusion(live).codes(CHARS)


def test_a_transcriber_writes_with_it(few_words):
    speaker = transcriber(epochs=12, learning_rate=0.02, hidden_size=16)
    samples, texts = sentences(6, seed=5)
    live = speaker.live_
    lm = LiveGenerator(*language_model("word", "low mid high\nhigh low mid\n" * 4, scale=1.5))
    fusion = Fusion(lm, 2.0)
    found = live.transcribe(samples, fusion=fusion)
    for one, logits in zip(found, live.logits(samples)):
        codes, score = prefix_beam(log_softmax(logits), 16, FusedTexts(fusion, live.vocabulary))[0]
        assert one.units == tuple(live.vocabulary.tokens[code - 1] for code in codes)
        assert (one.log_probability, one.times) == (score, ())
    assert found != live.transcribe(samples, beam=16)
    assert live.evaluate(samples, texts, fusion=fusion).transcripts == tuple(one.text for one in found)
    assert speaker.transcribe(samples, fusion=fusion) == found
    assert speaker.evaluate(samples, texts, fusion=fusion, beam=16).transcripts == tuple(
        one.text for one in found
    )
    with pytest.raises(UsageError, match=r"^beam: must be above 1 with a language model, got 1$"):
        live.transcribe(samples, beam=1, fusion=fusion)
    with pytest.raises(
        UsageError, match=r"^language model: must be one of text \(grus fit generate\), got LiveTranscriber$"
    ):
        Fusion(live)
