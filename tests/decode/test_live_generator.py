"""Language models without torch: the same numbers as in training, texts that go on exactly, beams and scores by hand."""

import itertools
import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

import grus
from example_language_models import TEXT, UNICODE, language_model
from grus.artifact import save_model
from grus.decode import LiveGenerator
from grus.decode.sampling import log_probabilities
from grus.decode.token_model import PLACE, RECENT
from grus.errors import DataError, ModelFolderError, UsageError
from grus.models import GraphModule
from grus.preprocess.tokens import Tokens
from grus.runtime import State
from torch_free import BLOCKED

TOKENIZERS = ["char", "word", "space", "bpe"]


def live(tokenizer="char", **options):
    return LiveGenerator(*language_model(tokenizer, **options))


def logits_by_torch(model, tensors, codes):
    """Logits [T, V] after each of some codes, from the module that training would have."""
    module = GraphModule(model.parts["main"]).eval()
    module.load_tensors({k.removeprefix("main."): v for k, v in tensors.items() if k.startswith("main.")})
    with torch.no_grad():
        return module({"tokens": torch.from_numpy(np.asarray(codes)[None])})["logits"][0].numpy()


# -- the same numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
@pytest.mark.parametrize(
    "network", [{}, {"tied": True}, {"tied": True, "embedding_size": 7, "variational": True, "dropout": 0.2}]
)
def test_scores_are_the_logarithms_of_torchs_softmax(cell, network, tmp_path):
    model, tensors = language_model(cell=cell, **network)
    loaded = grus.load(save_model(tmp_path / "model", model, tensors))
    text = TEXT[:150]
    codes = loaded.codec.encode(text).codes
    logits = logits_by_torch(model, tensors, [model.task.begin, *codes[:-1]])
    wanted = torch.log_softmax(torch.from_numpy(logits).double(), -1).numpy()[np.arange(len(codes)), codes]
    (scored,) = loaded.score([text])
    np.testing.assert_allclose(scored.log_probabilities, wanted, atol=2e-5)
    assert scored.tokens == tuple(text)
    assert scored.total == pytest.approx(wanted.sum(), abs=1e-3)
    e = loaded.evaluate([text[:60], text[60:]])
    assert e.nats == pytest.approx(-wanted.sum(), abs=1e-3)
    assert (e.tokens, e.characters, e.unknown) == (150, 150, 0)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_greedy_text_is_what_torch_finds_likeliest(tokenizer):
    model, tensors = language_model(tokenizer)
    made = LiveGenerator(model, tensors)
    prompt = "To be, or"
    codes = [model.task.begin, *made.codec.encode(prompt).codes.tolist()]
    for _ in range(20):
        row = logits_by_torch(model, tensors, codes)[-1]
        codes.append(1 + int(row[1:].argmax()))
    found = made.generate(prompt, max_new_tokens=20, temperature=0.0)
    write = made.codec.writer(codes[1:-20])
    assert found.text == "".join(map(write, codes[-20:]))
    assert found.tokens == (20,)


def test_chunks_do_not_change_a_score(monkeypatch):
    made = live()
    codes = made.codec.encode(TEXT).codes
    whole, _ = made.network.log_probabilities(codes)
    monkeypatch.setattr("grus.decode.token_model._VALUES", 7 * made.task.size)
    parts, _ = made.network.log_probabilities(codes)
    np.testing.assert_array_equal(whole, parts)
    state, found = None, []
    for begin in (0, 1, 50, 51):
        end = {0: 1, 1: 50, 50: 51, 51: None}[begin]
        part, state = made.network.log_probabilities(codes[begin:end], state)
        found.append(part)
    np.testing.assert_array_equal(np.concatenate(found), whole)


def test_a_random_text_follows_the_models_probabilities():
    """The mean log-probability of what is drawn is minus the mean entropy, by the model's own logits."""
    model, tensors = language_model()
    made = LiveGenerator(model, tensors)
    text = made.generate(max_new_tokens=2000, seed=1).text
    (scored,) = made.score([text])
    codes = made.codec.encode(text).codes
    logits = logits_by_torch(model, tensors, [model.task.begin, *codes[:-1]]).astype(np.float64)
    logits[:, 0] = -np.inf
    p = np.exp(log_probabilities(logits))
    entropy = -np.where(p > 0, p * np.log(np.maximum(p, 1e-300)), 0).sum(1)
    error = scored.log_probabilities + entropy
    assert abs(error.mean()) < 5 * error.std() / np.sqrt(len(error)) + 0.02


# -- going on ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("cuts", [[30], [1, 1, 28], [0, 13, 17]])
@pytest.mark.parametrize(
    "how", [{}, {"repetition_penalty": 1.4, "top_k": 12, "top_p": 0.9, "temperature": 1.3}]
)
def test_a_text_goes_on_exactly_from_its_state(tokenizer, cuts, how):
    made = live(tokenizer, text=TEXT + UNICODE)
    whole = made.generate("To be", max_new_tokens=30, seed=5, **how)
    text, state = "", None
    for number, cut in enumerate(cuts):
        more = {"prompt": "To be", "seed": 5} if not number else {}
        found = made.generate(max_new_tokens=cut, state=state, **more, **how)
        text += found.text
        state = State.from_bytes(found.state.to_bytes(), made)
    assert text == whole.text
    for name, arrays in whole.state.nodes.items():
        for mine, theirs in zip(state.nodes[name], arrays, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_a_prompt_may_follow_a_state_and_come_in_parts():
    made = live()
    first = made.generate("To be, ", max_new_tokens=0, seed=3)
    assert (first.text, first.tokens) == ("", (0,))
    parts = made.generate("or not", max_new_tokens=12, state=first.state)
    assert parts.text == made.generate("To be, or not", max_new_tokens=12, seed=3).text
    seeded = made.generate("or not", max_new_tokens=12, state=first.state, seed=4)
    assert seeded.text == made.generate("To be, or not", max_new_tokens=12, seed=4).text


def test_seeds():
    made = live()
    texts = {made.generate(max_new_tokens=20, seed=seed).text for seed in range(8)}
    assert len(texts) == 8
    assert made.generate(max_new_tokens=20, seed=3).text in texts
    assert made.generate(max_new_tokens=20).text != made.generate(max_new_tokens=20).text
    several = made.generate("To ", max_new_tokens=20, seed=6, num_return_sequences=3)
    assert several.texts == tuple(made.generate("To ", max_new_tokens=20, seed=6 + i).text for i in range(3))
    assert several.state.batch == 3
    alone = made.generate(max_new_tokens=5, state=several.state[1])
    assert alone.text == made.generate("To ", max_new_tokens=25, seed=7).text[-len(alone.text) :]


def test_a_stream_comes_token_by_token():
    made = live()
    stream = made.stream("To be", max_new_tokens=10, seed=2)
    first = next(stream)
    assert (len(first), stream.tokens) == (1, 1)
    rest = made.generate(max_new_tokens=9, state=stream.state).text
    assert first + rest == made.generate("To be", max_new_tokens=10, seed=2).text
    assert len(list(stream)) == 9
    assert list(stream) == []


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_it_ends_after_the_token_that_completes_a_stop(tokenizer):
    made = live(tokenizer)
    whole = made.generate("To be", max_new_tokens=60, seed=1).text
    stop = whole[20:23]
    found = made.generate("To be", max_new_tokens=60, seed=1, stop=["never there", stop])
    end = whole.index(stop) + len(stop)
    assert whole.startswith(found.text)
    assert len(found.text) >= end
    assert stop not in found.text[: end - 1]
    stream = made.stream("To be", max_new_tokens=60, seed=1, stop=stop)
    assert "".join(stream) == found.text
    assert stream.stopped


def test_what_is_unknown_is_never_written():
    model, tensors = language_model()
    tensors["main.logits.bias"] = np.where(np.arange(model.task.size) == 0, 1e4, 0).astype(np.float32)
    made = LiveGenerator(model, tensors)
    assert "\ufffd" not in made.generate(max_new_tokens=50, seed=0).text
    assert "\ufffd" not in made.generate(max_new_tokens=20, num_beams=3).text


# -- beams ---------------------------------------------------------------------------------------------------


def test_beams_as_many_as_there_are_texts_find_the_likeliest_of_all():
    model, tensors = language_model(text="ab\nc" * 9)
    made = LiveGenerator(model, tensors)
    letters = sorted(set("ab\nc"))
    scores = {}
    prompt = made.codec.encode("ab").codes
    for text in map("".join, itertools.product(letters, repeat=3)):
        codes = made.codec.encode(text).codes
        found, _ = made.network.log_probabilities(np.concatenate([prompt, codes]))
        scores[text] = found[2:].sum()
    order = sorted(scores, key=scores.__getitem__, reverse=True)
    found = made.generate("ab", max_new_tokens=3, num_beams=64, num_return_sequences=5)
    assert found.texts == tuple(order[:5])
    assert made.generate("ab", max_new_tokens=3, num_beams=64).text == order[0]
    greedy = made.generate("ab", max_new_tokens=3, temperature=0.0).text
    assert scores[made.generate("ab", max_new_tokens=3, num_beams=2).text] >= scores[greedy] - 1e-9


def test_a_beam_that_stops_keeps_its_place_and_its_state():
    made = live()
    plain = made.generate("To be", max_new_tokens=12, num_beams=4)
    stop = plain.text[3:5]
    found = made.generate("To be", max_new_tokens=12, num_beams=4, num_return_sequences=4, stop=stop)
    assert any(text.endswith(stop) and tokens < 12 for text, tokens in zip(found.texts, found.tokens))
    for text, state in zip(found.texts, [found.state[i] for i in range(found.state.batch)]):
        again = made.generate("To be" + text, max_new_tokens=0, seed=0).state
        np.testing.assert_array_equal(state.nodes[PLACE][0], again.nodes[PLACE][0])
        np.testing.assert_array_equal(state.nodes[PLACE][1], again.nodes[PLACE][1])
        np.testing.assert_allclose(state.nodes["layers"][0], again.nodes["layers"][0], atol=1e-5)


def test_a_penalty_reaches_beams():
    made = live()
    plain = made.generate("To be", max_new_tokens=30, num_beams=3).text
    varied = made.generate("To be", max_new_tokens=30, num_beams=3, repetition_penalty=5.0).text
    assert len(set(varied)) > len(set(plain))


# -- what cannot be ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"max_new_tokens": -1}, "max_new_tokens must be a whole number of at least 0, got -1"),
        ({"max_new_tokens": 2.0}, "max_new_tokens must be a whole number of at least 0, got 2.0"),
        ({"num_beams": 0}, "num_beams must be a whole number of at least 1, got 0"),
        ({"num_return_sequences": 0}, "num_return_sequences must be a whole number of at least 1, got 0"),
        ({"num_beams": 2, "num_return_sequences": 3}, "num_return_sequences must be at most num_beams=2, got 3"),
        (
            {"num_beams": 2, "temperature": 0.5},
            "num_beams: beams draw nothing, so temperature, top_k and top_p must not be given",
        ),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"seed": True}, "seed must be a whole number of at least 0, got True"),
        ({"stop": ""}, "stop must be texts that are not empty, got ''"),
        ({"stop": ["a", 3]}, "stop must be texts that are not empty, got ['a', 3]"),
        ({"unknown": "skip"}, "unknown must be 'refuse' or 'map', got 'skip'"),
        ({"prompt": b"a"}, "prompt must be text, got bytes"),
        ({"top_p": 0}, "top_p must be above 0 and at most 1, got 0"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be(arguments, sentence):
    with pytest.raises(UsageError) as caught:
        live().generate(**arguments)
    assert str(caught.value) == sentence


def test_a_prompt_with_what_is_not_known():
    made = live()
    with pytest.raises(DataError) as caught:
        made.generate("To é", max_new_tokens=3)
    assert str(caught.value) == "prompt, character 4: 'é' is not among the 23 characters the model knows"
    assert len(made.generate("To é", max_new_tokens=3, seed=0, unknown="map").text) == 3
    with pytest.raises(DataError, match=r"^text 2, character 1: 'é' is not among"):
        made.score(["To", "é"], unknown="refuse")
    assert made.score(["To", "é"])[1].unknown == 1
    assert made.score([""])[0].total == 0


def test_nothing_to_score():
    made = live()
    with pytest.raises(DataError, match=r"^text: expected some to score, got none$"):
        made.evaluate([""])
    for call in (made.score, made.evaluate):
        with pytest.raises(UsageError, match=r"must be .*a list of text, got str"):
            call("To be")
    assert made.evaluate(Tokens(np.array([1, 2, 3], np.int32), unknown=2)).unknown == 2


def test_states_of_others_are_refused():
    made = live()
    state = made.init_state(2)
    made.check_state(state)
    with pytest.raises(
        UsageError, match=r"^state must have one row to go on from, got 2; state\[i\] is one of them$"
    ):
        made.generate(state=state)
    with pytest.raises(UsageError, match=r"^state: must be of this model, got one of another$"):
        made.generate(state=live("word").init_state())
    with pytest.raises(ModelFolderError, match=r"^state: belongs to another model"):
        State.from_bytes(live("word").init_state().to_bytes(), made)
    assert made.reset(state, 0).batch == 2


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("value", [-7, 1 << 40])
def test_a_state_that_was_tampered_with(place, value):
    made = live()
    recent, seen, random = (array.copy() for array in made.init_state().nodes[PLACE])
    parts = [recent, seen, random]
    if place == 1:
        parts[1] = seen[:, : value % 5 + 1]
    elif place == 2 and value > 0:
        parts[2] = random[:, :1]
    else:
        parts[place][0, -1] = value
    state = State({**made.init_state().nodes, PLACE: tuple(parts)}, made.digest)
    for nodes in (state, State({PLACE: tuple(parts)}, made.digest), State({}, made.digest)):
        with pytest.raises(ModelFolderError, match=r"^state: damaged: "):
            State.from_bytes(nodes.to_bytes(), made)


def test_the_beginning_of_a_state():
    made = live()
    recent, seen, random = made.init_state(2).nodes[PLACE]
    assert recent.tolist() == [[-1] * (RECENT - 1) + [1]] * 2
    assert not seen.any()
    assert random.tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_narrow_weights(precision, tmp_path):
    folder = save_model(tmp_path / "model", *language_model(tied=True))
    exact, narrow = grus.load(folder), grus.load(folder, precision=precision)
    assert narrow.evaluate([TEXT]).loss == pytest.approx(exact.evaluate([TEXT]).loss, rel=0.05)


# -- without torch -------------------------------------------------------------------------------------------

_SCRIPT = textwrap.dedent(
    """
    import json, sys
    blocked, folder = sys.argv[1:]
    for name in (*blocked.split(","), "tokenizers"):
        sys.modules[name] = None
    import grus
    live = grus.load(folder)
    found = live.generate("To be", max_new_tokens=40, seed=2, top_p=0.9)
    print(json.dumps([found.text, live.score(["To be"])[0].total, found.state.to_bytes().hex()]))
    """
)


@pytest.mark.parametrize("tokenizer", ["char", "word", "space"])
def test_everything_runs_without_torch(tokenizer, tmp_path):
    model, tensors = language_model(tokenizer)
    folder = save_model(tmp_path / "model", model, tensors)
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, ",".join(BLOCKED), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    made = LiveGenerator(model, tensors)
    found = made.generate("To be", max_new_tokens=40, seed=2, top_p=0.9)
    assert json.loads(done.stdout) == [
        found.text, made.score(["To be"])[0].total, found.state.to_bytes().hex(),
    ]  # fmt: skip
