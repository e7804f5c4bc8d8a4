"""A model that listens says what it says of the whole recording, to the bit, however the samples come."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grus.decode.streaming.keyed import Streams
from grus.errors import DataError, ModelFolderError, UnsupportedError, UsageError
from grus.runtime import State
from sound_cases import RATE, classifier, sentences, transcriber, words


@pytest.fixture(scope="module")
def namer():
    return classifier(encoder="conv-gru", pool="mean").live_


@pytest.fixture(scope="module")
def writer():
    return transcriber(epochs=12, learning_rate=0.02, hidden_size=16).live_


cuts = st.lists(st.integers(0, 1200), min_size=1, max_size=12)


def pieces(samples, sizes):
    """Samples cut so; the rest is one piece more."""
    bounds = np.minimum(np.cumsum(sizes), len(samples))
    return np.split(samples, bounds)


def probabilities(columns, live):
    return np.stack([columns[f"p_{label}"] for label in live.task.labels], axis=1)


@given(cuts)
def test_a_classifier_in_any_chunks_is_predict(namer, sizes):
    samples = words(3, seed=1)[0][sum(sizes) % 3]
    state = namer.init_state(1)
    for piece in pieces(samples, sizes):
        found, state = namer.run(piece[None], state, proba=True)
    assert probabilities(found, namer).tobytes() == namer.predict_proba([samples]).tobytes()


@given(cuts)
def test_a_transcriber_in_any_chunks_is_transcribe(writer, sizes):
    samples = np.concatenate(sentences(5, seed=3)[0])
    state, units, logits = writer.init_state(1), [], []
    for piece in pieces(samples, sizes):
        (new,), after = writer.run(piece[None], state)
        logits.append(writer._stream.feed(piece[None], state)[0]["logits"][0])
        units, state = units + list(new), after
    whole = writer.transcribe([samples])[0]
    assert tuple(units) == whole.units
    assert len(units) > 1
    assert writer.joined(units) == whole.text
    assert np.concatenate(logits).tobytes() == writer.logits([samples])[0].tobytes()


def test_streams_side_by_side_with_lengths_are_each_alone(writer):
    samples, _ = sentences(4, seed=5)
    longest = max(map(len, samples))
    padded = np.full((4, longest), 0.5, np.float32)  # padding is never read
    for row, one in enumerate(samples):
        padded[row, : len(one)] = one
    lengths = np.array([len(one) for one in samples])
    half = lengths // 2
    first, state = writer.run(padded[:, : half.max()], None, half)
    shifted = np.stack([np.roll(row, -h) for row, h in zip(padded, half)])
    found, _ = writer.run(shifted, state, lengths - half)
    assert first == writer.run(padded, None, half)[0]
    for row, one in enumerate(samples):
        assert first[row] + found[row] == writer.transcribe([one])[0].units


def test_a_batch_and_a_recording_alone_have_the_same_bits(namer, writer):
    samples, _ = sentences(6, seed=7)
    for live in (namer, writer):
        one = live.predict_proba if live is namer else live.logits
        together = one(samples)
        for row, sample in enumerate(samples):
            assert one([sample])[0].tobytes() == together[row].tobytes()


def test_int16_and_float_samples_are_the_same(writer):
    whole = (sentences(1, seed=2)[0][0] * 32767).astype(np.int16)
    assert writer.transcribe([whole]) == writer.transcribe([whole.astype(np.float32) / 32768])
    assert writer.run(whole, None)[0] == writer.run(whole / 32768, None)[0]


def test_a_state_goes_through_bytes(namer, writer):
    samples = sentences(1, seed=4)[0][0]
    for live in (namer, writer):
        _, state = live.run(samples[None, :777], None)
        again = State.from_bytes(state.to_bytes(), live)
        assert str(live.run(samples[None, 777:], again)[0]) == str(live.run(samples[None, 777:], state)[0])
    with pytest.raises(ModelFolderError, match=r"belongs to another model"):
        State.from_bytes(state.to_bytes(), namer)


@pytest.mark.parametrize(
    ("node", "place", "value"),
    [
        ("sound", 0, np.nan),
        ("sound", 1, 10**6),
        ("sound", 1, -1),
        ("sound", 2, -1),
        ("path", 0, 99),
        ("path", 0, -1),
    ],
)
def test_a_state_that_cannot_be(writer, node, place, value):
    state = writer.init_state(2)
    nodes = {name: tuple(a.copy() for a in arrays) for name, arrays in state.nodes.items()}
    nodes[node][place][0] = value
    with pytest.raises(UsageError, match=r"^model: state must "):
        writer.run(np.zeros((2, 100), np.float32), State(nodes))


def test_nothing_heard_yet(namer, writer):
    found, _ = namer.run(np.zeros((1, 0), np.float32), None)
    assert len(found["label"]) == 1
    assert writer.run(np.zeros((1, 10), np.int16), None)[0] == [()]
    assert writer.transcribe([np.zeros(10, np.int16)])[0].text == ""
    assert writer.transcribe([]) == []


def test_samples_that_are_none(namer, writer):
    with pytest.raises(
        DataError, match=r"^x: expected samples of one channel \[N\], float or int16, got int64"
    ):
        writer.run(np.zeros((1, 5), int), None)
    with pytest.raises(
        DataError, match=r"^x: must be samples \[streams, samples\], got float64 \[1, 1, 5\]$"
    ):
        writer.run(np.zeros((1, 1, 5)), None)
    with pytest.raises(DataError, match=r"^x: must have 2 streams like the state, got 1$"):
        writer.run(np.zeros((1, 5)), writer.init_state(2))
    with pytest.raises(DataError, match=r"^lengths: must be 1 whole numbers from 0 to 5$"):
        writer.run(np.zeros((1, 5)), None, [6])
    with pytest.raises(DataError, match=r"^x: expected finite samples, got NaN or infinity$"):
        namer.run(np.full((1, 5), np.inf), None)
    with pytest.raises(UsageError, match=r"^beam: must be a whole number of at least 1, got 0$"):
        writer.transcribe([], beam=0)


def test_two_directions_cannot_listen():
    live = transcriber(bidirectional=True).live_
    with pytest.raises(UnsupportedError, match=r"needs the whole sequence, so it cannot run in chunks$"):
        live.init_state(1)
    live = classifier(bidirectional=True).live_
    with pytest.raises(UnsupportedError, match=r"needs the whole sequence, so it cannot run in chunks$"):
        live.init_state(1)


def test_rows_are_no_samples(namer):
    with pytest.raises(
        UnsupportedError, match=r"^model: a classifier of recordings reads samples, not rows$"
    ):
        Streams(namer)


def test_units_have_the_times_at_which_they_were_known(writer):
    samples = np.concatenate(sentences(3, seed=8)[0])
    (found,) = writer.transcribe([samples])
    assert len(found.times) == len(found.units) > 1
    for unit, time in zip(found.units, found.times):
        heard = round(time * RATE)
        before, now = (writer.transcribe([samples[:n]])[0].units for n in (heard - 1, heard))
        assert len(now) == len(before) + 1
        assert now[-1] == unit
