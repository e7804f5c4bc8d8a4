"""A stream of sound that was stopped after any byte and went through bytes goes on to the same answers."""

import hashlib
import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grus.decode.streaming.listening import Listening, Namer, Waker, Writer
from grus.errors import GrusError, ModelFolderError
from grus.runtime.sealed import seal, unseal
from mutations import fuzz_cases, mutated_json
from sound_cases import classifier, sentences, transcriber, words


@pytest.fixture(scope="module")
def namer():
    return classifier(encoder="conv-gru", pool="mean").live_


@pytest.fixture(scope="module")
def writer():
    return transcriber(epochs=12, learning_rate=0.02, hidden_size=16).live_


@pytest.fixture(scope="module")
def kinds(namer, writer):
    """What makes a fresh stream of each kind, the bytes of a sound, and all that is answered to it."""
    pcm = [
        (np.concatenate(some) * 32767).astype("<i2").tobytes()
        for some in (words(2, seed=1)[0], sentences(8, seed=3)[0])
    ]
    (scores,) = writer.word_scores([np.frombuffer(pcm[1], "<i2")], "mid")
    threshold = 0.7 * float(scores.max())
    makers = {
        "label": (lambda: Listening(Namer(namer, proba=True), 2), pcm[0]),
        "text": (lambda: Listening(Writer(writer), 4), pcm[1]),
        "wake": (lambda: Listening(Waker(writer, "mid", threshold)), pcm[1]),
    }
    found = {}
    for name, (make, data) in makers.items():
        stream = make()
        found[name] = make, data, stream.feed(data), stream.final()
    return found


def test_there_is_something_to_say(kinds):
    assert len(kinds["label"][2]) > 3
    assert len(kinds["text"][2]) > 1
    assert len(kinds["wake"][2]) >= 1
    assert [len(final) for _, _, _, final in kinds.values()] == [1, 1, 1]


@pytest.mark.parametrize("kind", ["label", "text", "wake"])
@given(st.lists(st.integers(0, 1500), min_size=1, max_size=8), st.booleans())
def test_stopped_anywhere_it_goes_on_exactly(kinds, kind, sizes, ends):
    make, data, answers, final = kinds[kind]
    stream, found, place = make(), [], 0
    for size in [*sizes, len(data)]:
        found += stream.feed(data[place : place + size])
        place = min(place + size, len(data))
        if ends:
            stream.final()  # what is said at the end of stdin changes nothing
        again = make()
        again.restore(stream.to_bytes())
        assert again.seq == stream.seq == place
        assert again.to_bytes() == stream.to_bytes()
        stream = again
    assert found == answers
    assert stream.final() == final


def test_the_last_answer_is_that_of_the_whole(kinds, namer, writer):
    _, data, _, (final,) = kinds["label"]
    whole = namer.predict([np.frombuffer(data, "<i2")], proba=True)
    assert {k: v for k, v in final.items() if k not in ("seconds", "final")} == {
        name: values.tolist()[0] for name, values in whole.items()
    }
    _, data, _, (final,) = kinds["text"]
    assert final["text"] == writer.transcribe([np.frombuffer(data, "<i2")])[0].text


def test_less_than_a_step_says_nothing_yet(kinds):
    make, data, answers, final = kinds["text"]
    stream = make()
    assert stream.feed(data[:101]) == []
    assert stream.final() == []
    assert (stream.heard, stream.seq, stream.ends_in_half) == (50, 101, True)
    again = make()
    again.restore(stream.to_bytes())
    assert again.feed(data[101:]) == answers
    assert again.final() == final


def test_another_every_counts_on_the_same_moments(kinds, namer):
    _, data, answers, _ = kinds["label"]
    stream = Listening(Namer(namer, proba=True), 3)
    stream.feed(data[:1001])
    again = Listening(Namer(namer, proba=True), 2)
    again.restore(stream.to_bytes())
    found = again.feed(data[1001:])
    assert found == answers[len(answers) - len(found) :]
    assert len(found) > 2


# -- hostile bytes -------------------------------------------------------------------------------------------


def test_bytes_of_another_model_or_listener(kinds, writer):
    label, text, wake = (kinds[name][0]() for name in ("label", "text", "wake"))
    with pytest.raises(ModelFolderError, match=r"^s\.grus: belongs to another model \(their specs differ\)$"):
        label.restore(text.to_bytes(), "s.grus")
    with pytest.raises(ModelFolderError, match=r"^state: is of a stream that says 'text', not 'wake mid'$"):
        wake.restore(text.to_bytes())
    low = Listening(Waker(writer, "low", 0.5))
    with pytest.raises(
        ModelFolderError, match=r"^state: is of a stream that says 'wake mid', not 'wake low'$"
    ):
        low.restore(wake.to_bytes())
    with pytest.raises(ModelFolderError, match=r"^state: holds another kind of state, or is damaged$"):
        text.restore(writer.init_state(1).to_bytes())
    with pytest.raises(ModelFolderError, match=r"^state: is not one that Grus wrote$"):
        text.restore(b"RIFF0000WAVE")
    blob = text.to_bytes()
    for cut in (len(blob) - 1, len(blob) // 2, 60):
        with pytest.raises(
            ModelFolderError, match=r"^state: damaged or cut short \(its checksum does not fit\)$"
        ):
            text.restore(blob[:cut])
    two = seal(b"GRUSOUND", 1, unseal(b"GRUSOUND", 1, blob, "state")[0], [writer.init_state(2).to_bytes()])
    with pytest.raises(
        ModelFolderError, match=r"^state: damaged: model: state must be of one stream, got 2$"
    ):
        text.restore(two)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("text", {"memory": {"units": [99]}}),
        ("text", {"memory": {"units": [0]}}),
        ("text", {"memory": {"units": [1], "said": 2}}),
        ("text", {"memory": {"units": [1] * 100_000}}),
        ("text", {"memory": {"said": -1}}),
        ("text", {"memory": {"fired": 0}}),
        ("text", {"memory": {"more": 0}}),
        ("text", {"half": 256}),
        ("text", {"half": -1}),
        ("text", {"half": "x"}),
        ("text", {"says": None}),
        ("label", {"memory": {"fired": 0}}),
        ("wake", {"memory": {"fired": 10**6}}),
        ("wake", {"memory": {"fired": -1}}),
        ("wake", {"memory": {"units": [1]}}),
        ("wake", {"owner": 3}),
        ("wake", {"extra": 1}),
    ],
    ids=str,
)
def test_headers_that_do_not_fit(kinds, kind, change):
    make, data, answers, final = kinds[kind]
    stream = make()
    stream.feed(data[:2001])
    header, body = unseal(b"GRUSOUND", 1, stream.to_bytes(), "state")
    blob = seal(b"GRUSOUND", 1, json.dumps(json.loads(header) | change).encode(), [body])
    again = make()
    with pytest.raises(ModelFolderError, match=r"^state: damaged \("):
        again.restore(blob)
    assert again.feed(data) == answers  # and nothing of it was taken
    assert again.final() == final


@pytest.mark.parametrize("kind", ["label", "text", "wake"])
def test_mutated_bytes_give_a_typed_error_or_a_stream_that_runs(kinds, kind):
    rng = np.random.default_rng(0)
    make, data, _, _ = kinds[kind]
    stream, accepted = make(), 0
    stream.feed(data[:2001])
    header, body = unseal(b"GRUSOUND", 1, stream.to_bytes(), "state")
    begin = time.process_time()
    for number in range(fuzz_cases(200)):
        head, inner = header, bytearray(body[:-32])
        if number % 2:
            head = mutated_json(header.decode(), rng).encode("utf-8", "surrogatepass")
        else:
            for _ in range(rng.integers(1, 4)):
                inner[int(rng.integers(len(inner)))] ^= 1 << int(rng.integers(8))
        blob = seal(b"GRUSOUND", 1, head, [inner, hashlib.sha256(inner).digest()])
        again = make()
        try:
            again.restore(blob)
        except GrusError:
            continue
        accepted += 1
        with np.errstate(all="ignore"):
            again.feed(data[2001:3000])
            again.final()
    assert accepted
    assert time.process_time() - begin < 20
