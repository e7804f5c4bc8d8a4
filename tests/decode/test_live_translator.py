"""A translator without torch: searched and forced, one by one and together, and what it refuses."""

import numpy as np
import pytest
import torch

from example_translators import SOURCE, TARGET, a_translator
from grus.decode import LiveTranslator, translator
from grus.decode.explaining.model import model_cell
from grus.decode.translation_search import decode_inputs, normaliser
from grus.decode.translator import align, padded
from grus.errors import DataError, UnsupportedError, UsageError
from grus.kernels.native import num_threads, set_num_threads
from grus.models import EncoderDecoder
from grus.spec import Vocabulary
from numerics import assert_bitwise_equal

SENTENCES = [
    "eins zwei drei",
    "acht",
    "",
    "sieben sieben neun eins zwei acht drei",
    "vier fünf unbekannt",
    "acht neun",
]


def live(tokenizer="word", **options):
    return LiveTranslator(*a_translator(tokenizer, scale=3.0, **options))


def greedy(model, sentence, limit):
    """The most probable token after the ones before it, until the end, a whole sequence run for every token."""
    memory = model.encode(model.source.tokens([sentence]))
    codes = [model.target.end]
    while True:
        logits = model._decoder(decode_inputs(np.array([codes]), memory), {"src": memory.lengths})["logits"][
            0, -1
        ]
        if model.target.knows_all:
            logits[0] = -np.inf
        best = int(logits.argmax()) if len(codes) <= limit else model.target.end
        if best == model.target.end:
            return codes[1:]
        codes.append(best)


@pytest.fixture(params=["word", "bpe"])
def model(request):
    return live(request.param)


def test_a_beam_of_one_is_greedy_search(model):
    for sentence in SENTENCES:
        if sentence:
            (found,) = model.translate([sentence], n_best=1, beam=1, max_length=12)[0]
            assert list(found.tokens) == model.target.spell(greedy(model, sentence, 12))


@pytest.mark.parametrize("beam", [1, 2, 5])
def test_together_is_one_by_one(model, beam):
    sentences = SENTENCES * 15
    together = model.translate(sentences, n_best=beam, beam=beam)
    for sentence, found in zip(SENTENCES, together):
        (alone,) = model.translate([sentence], n_best=beam, beam=beam)
        assert [one.text for one in alone] == [one.text for one in found]
        for mine, theirs in zip(alone, found):
            assert mine.score == theirs.score
            assert_bitwise_equal(mine.attention, theirs.attention)
    assert [best[0].text for best in together] == model.translate(sentences, beam=beam)


def test_batches_in_threads_are_batches_one_after_the_other(model, monkeypatch):
    monkeypatch.setattr(translator, "BATCH", 4)
    found = []
    before = num_threads()
    for threads in (1, 3):
        set_num_threads(threads)
        try:
            found.append(model.translate(SENTENCES * 5, n_best=2, beam=2))
        finally:
            set_num_threads(before)
    assert [[one.text for one in some] for some in found[0]] == [
        [one.text for one in some] for some in found[1]
    ]
    assert [some[0].score for some in found[0]] == [some[0].score for some in found[1]]


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0])
def test_scores_are_sorted_and_those_of_forced_decoding(model, penalty):
    sentences = [s for s in SENTENCES if s]
    for sentence, found in zip(
        sentences, model.translate(sentences, n_best=5, beam=5, length_penalty=penalty)
    ):
        assert 1 <= len(found) <= 5
        assert len({one.tokens for one in found}) == len(found)
        scores = [one.score for one in found]
        assert scores == sorted(scores, reverse=True)
        forced = model.score([sentence] * len(found), [one.tokens for one in found])
        np.testing.assert_allclose(forced, [one.log_probability for one in found], rtol=1e-5)
        lengths = np.array([len(one.tokens) + 1 for one in found])
        np.testing.assert_allclose(scores, forced / lengths**penalty, rtol=1e-5)


def test_a_wider_beam_finds_nothing_less_probable_here():
    model = live("word")
    for sentence in filter(None, SENTENCES):
        best = [model.translate([sentence], n_best=1, beam=beam, length_penalty=0)[0][0] for beam in (1, 12)]
        assert best[1].log_probability >= best[0].log_probability - 1e-9


@pytest.mark.parametrize("options", [{}, {"joint": True}, {"tied": False}, {"decoder": "plain"},
                                     {"attention": "multiplicative"}, {"layers": 2}], ids=str)  # fmt: skip
def test_forced_scores_are_those_of_torch(options):
    spec, tensors = a_translator(scale=2.0, **options)
    found, module = LiveTranslator(spec, tensors), EncoderDecoder(spec.parts, spec.ties).eval()
    for part in ("encode", "decode"):
        module.part(part).load_tensors(spec.part_tensors(part, tensors))
    source, source_lengths = padded(
        [found.source.codes(t) for t in found.source.tokens(SOURCE)], found.source.end
    )
    truth, lengths = padded([found.target.codes(t) for t in found.target.tokens(TARGET)], found.target.end)
    given = np.concatenate([np.full((len(truth), 1), found.target.end), truth[:, :-1]], axis=1)
    with torch.no_grad():
        outputs = module(
            torch.from_numpy(source), torch.from_numpy(given),
            {"src": torch.from_numpy(source_lengths), "tgt": torch.from_numpy(lengths)},
        )  # fmt: skip
        theirs = torch.log_softmax(outputs["logits"].double(), -1).gather(
            2, torch.from_numpy(truth)[..., None]
        )[..., 0]
    for row, mine in enumerate(found.log_probabilities(SOURCE, TARGET)):
        np.testing.assert_allclose(mine, theirs[row, : lengths[row]], atol=2e-5)
    memory = found.encode(found.source.tokens(SOURCE))
    ours = found._decoder(decode_inputs(given, memory), {"src": memory.lengths, "tgt": lengths})
    real = np.arange(truth.shape[1]) < lengths[:, None]
    np.testing.assert_allclose(ours["attention"][real], outputs["attention"].numpy()[real], atol=1e-5)


def test_forced_scores_do_not_depend_on_the_batch(model):
    together = model.score(SOURCE, TARGET)
    assert_bitwise_equal(together, np.concatenate([model.score([s], [t]) for s, t in zip(SOURCE, TARGET)]))
    assert_bitwise_equal(model.score(SOURCE, [""] * 10), model.score(SOURCE, [()] * 10))
    assert model.score([], []).shape == (0,)


def test_limits():
    model = live("word")
    assert all(len(found[0].tokens) <= 3 for found in model.translate(SENTENCES, n_best=1, max_length=3))
    short = live("word", max_target=2)
    assert all(len(found[0].tokens) <= 2 for found in short.translate(SENTENCES, n_best=1, max_length=9))
    cut = live("word", max_source=2)
    assert cut.cut(SENTENCES) == [0, 3, 4]
    assert cut.translate(["acht neun eins"]) == cut.translate(["acht neun zwei"])
    (found,) = cut.translate(["acht neun eins"], n_best=1)[0]
    assert found.source_tokens == ("acht", "neun")
    assert found.attention.shape == (len(found.tokens) + 1, 3)


def test_an_unknown_word_is_copied():
    spec, tensors = a_translator("word")
    tensors["decode.narrow.weight"][:] = 0
    tensors["decode.narrow.bias"][:] = 5
    tensors["decode.embedding.weight"][:] = -1
    tensors["decode.embedding.weight"][0] = 1  # it says nothing but the unknown word
    found = LiveTranslator(spec, tensors)
    (best,) = found.translate(["Xaver"], n_best=1, beam=1, max_length=2)[0]
    assert best.tokens == ("<unk>", "<unk>")
    assert best.text == "Xaver Xaver"
    assert best.alignment == ((0, 0), (0, 1))
    assert found.translate(["Xaver"], beam=1, max_length=2, copy_unknown=False) == ["<unk> <unk>"]


def test_pieces_never_write_the_unknown_one():
    spec, tensors = a_translator("bpe")
    tensors["decode.embedding.weight"][0] = 100
    for found in LiveTranslator(spec, tensors).translate(["acht"], n_best=5)[0]:
        assert "" not in found.tokens


def test_alignment_goes_by_words():
    attention = np.array([[0.6, 0.1, 0.3], [0.1, 0.2, 0.7], [0.2, 0.45, 0.35]], np.float32)
    assert align(attention, np.arange(3), np.arange(3)) == ((0, 0), (2, 1), (1, 2))
    assert align(attention, np.array([0, 1, 1]), np.array([0, 0, 1])) == ((1, 0), (1, 1))
    assert align(np.zeros((0, 3)), np.arange(3), np.arange(0)) == ()


def test_what_is_refused():
    model = live("word")
    for options, sentence in [
        ({"beam": 0}, "beam must be a whole number of at least 1, got 0"),
        ({"beam": True}, "beam must be a whole number of at least 1, got True"),
        ({"beam": 2, "n_best": 3}, "n_best must be a whole number from 1 to beam, which is 2, got 3"),
        ({"max_length": 0}, "max_length must be a whole number of at least 1, got 0"),
        ({"length_penalty": -1}, "length_penalty must be a number from 0 to 10, got -1"),
        ({"length_penalty": float("nan")}, "length_penalty must be a number from 0 to 10, got nan"),
    ]:
        with pytest.raises(UsageError) as caught:
            model.translate(["acht"], **options)
        assert str(caught.value) == sentence
    with pytest.raises(UsageError, match="sentences: must be several texts, got one str"):
        model.translate("acht")
    with pytest.raises(DataError, match="sentences: text 1 must be text, got int"):
        model.translate(["acht", 8])
    with pytest.raises(DataError, match="targets: must be as many as the sources, 1, got 2"):
        model.score(["acht"], ["a", "b"])
    with pytest.raises(DataError, match="expected texts to translate, got none"):
        model.evaluate([], [])
    with pytest.raises(UsageError, match="precision: must be float32, bf16 or int8, got 'int4'"):
        LiveTranslator(*a_translator(), precision="int4")


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_other_precisions(precision):
    spec, tensors = a_translator("word")
    exact, rough = (LiveTranslator(spec, tensors, p).score(SOURCE, TARGET) for p in ("float32", precision))
    np.testing.assert_allclose(rough, exact, rtol=0.02)


def test_evaluation_beside_copying():
    model = live("word")
    found = model.evaluate(SOURCE, TARGET, beam=1)
    assert found.n == 10
    assert found.translations == tuple(model.translate(SOURCE, beam=1))
    assert found.copied == 0
    assert found.tokens == sum(len(t.split()) + 1 for t in TARGET)
    np.testing.assert_allclose(found.log_loss, -model.score(SOURCE, TARGET).sum() / found.tokens)
    perfect = model.evaluate(TARGET, TARGET, beam=1)
    assert perfect.copied == 100
    assert found.signatures[0].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")


def test_a_translator_does_not_stream_and_has_no_classes():
    spec, tensors = a_translator()
    from grus.decode import LiveClassifier
    from grus.export import export_c

    with pytest.raises(UsageError, match="its task must be classify, got one for translate"):
        LiveClassifier(spec, tensors)
    with pytest.raises(UnsupportedError, match="a model of two parts cannot run on back end 'c'"):
        export_c(spec, tensors, "never")


def test_normaliser():
    logits = np.array([[1.0, 2.0, 3.0], [1000.0, -1000.0, 0.0]], np.float32)
    np.testing.assert_allclose(normaliser(logits), [3.4076059, 1000.0])


def test_vocabulary_steps_are_checked_by_their_side():
    spec, _ = a_translator()
    assert [type(step) for step in spec.preprocess] == [Vocabulary, Vocabulary]


def test_weights_that_overflow_translate_by_nothing():
    spec, tensors = a_translator()
    tensors["decode.narrow.weight"][:] = 0
    tensors["decode.narrow.bias"][:] = 5
    tensors["decode.embedding.weight"][:] = 3e38  # every logit is infinite
    with np.errstate(all="ignore"):
        (found,) = LiveTranslator(spec, tensors).translate(["acht"], n_best=1)[0]
    assert (found.text, found.score, found.tokens) == ("", -np.inf, ())


def test_explain_takes_the_encoder():
    found = model_cell(*a_translator(layers=2), None, layer=1)
    assert found.cell.name == "model, layer 1 of 2 (node 'encoder')"
