"""A look at one recording of a transcriber: its units in time, the gates that its sounds opened, the page."""

import json

import numpy as np
import pytest
from html_page import Page

from grus.errors import DataError, UnsupportedError, UsageError
from grus.inspection.inside.case import classify_case
from grus.inspection.inside.findings import inspect_case
from grus.inspection.inside.gates import program_records
from grus.inspection.inside.report import write_inspect_report
from grus.inspection.transcripts import plots
from grus.inspection.transcripts.inside import (
    describe_heard,
    gates_sentence,
    hear,
    heard_dict,
    heard_page,
    write_heard,
)
from grus.inspection.wording import to_json
from numerics import assert_bitwise_equal
from sound_cases import RATE, classifier, sentences, transcriber, words

SAMPLES, TEXTS = sentences(4, seed=3)
NAMES = tuple(f"{i}.wav" for i in range(4))


@pytest.fixture(scope="module")
def live():
    return transcriber(epochs=12, learning_rate=0.02, hidden_size=12, units="char").live_


@pytest.fixture(scope="module")
def found(live):
    return hear(live, NAMES, SAMPLES, 2)


def test_what_is_shown_is_what_is_transcribed(live, found):
    written = live.transcribe([SAMPLES[1]])[0]
    assert written.units
    assert found.transcript == written
    assert (found.row, found.name, found.of) == (2, "1.wav", 4)
    plain = json.loads(to_json(heard_dict(found, live)))
    assert plain["text"] == written.text
    assert [unit["unit"] for unit in plain["units"]] == list(written.units)
    assert [unit["time"] for unit in plain["units"]] == pytest.approx(list(written.times))
    path, last = [], ""
    for step in plain["steps"]:
        if step["unit"] not in ("", last):
            path.append(step["unit"])
        last = step["unit"]
    assert path == list(written.units)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0)
    log_p = np.log(found.probabilities.max(axis=1)).sum()
    assert log_p == pytest.approx(written.log_probability)


def test_steps_stand_in_the_middle_of_their_samples(live, found):
    step = live.log_mel
    assert found.seconds == len(SAMPLES[1]) / RATE
    assert len(found.times) == step.steps(len(SAMPLES[1])) == len(found.written)
    assert found.frames.shape == (len(found.times) * step.stack, step.bands)
    for number in (0, len(found.times) - 1):
        assert found.times[number] == pytest.approx(live.known_at(number) - step.window / 2 / RATE)
    assert found.times[-1] < found.seconds


def test_the_gates_are_those_of_the_network_on_that_recording(live, found):
    record = next(iter(program_records(live.program, {"x": live.frames(SAMPLES[1])[None]}).values()))
    assert_bitwise_equal(found.record.z, record.z)
    np.testing.assert_allclose(found.written, 1 - record.z[0, 0, 0].mean(axis=-1), rtol=1e-6)
    most = int(np.argmax(found.written))
    sentence = gates_sentence(found, live)
    assert sentence.startswith(f"Most of the memory was overwritten at {found.times[most]:.2f} s")
    assert describe_heard(found, live) == [f"1.wav: {found.transcript.text}", sentence]


def test_the_page_is_whole(live, found, tmp_path):
    write_heard(tmp_path / "p.html", found, live, title="<a> & b", command="grus inspect m d")
    text = (tmp_path / "p.html").read_text()
    page = Page(text)
    assert page.requests == []
    assert len(page.ids) == len(set(page.ids))
    assert {"What it heard, and wrote", "Unit by unit", "Gates over time"} <= set(page.sections)
    assert "Recording 2 of 4, 1.wav" in text
    rows = heard_page(found, live).units.rows
    assert [row[0] for row in rows] == [plots.visible(unit) for unit in found.transcript.units]
    assert "␣" not in {row[0] for row in rows} or " " in found.transcript.units


def test_silence_of_one_step_writes_what_it_writes(live, tmp_path):
    one = np.zeros(live.log_mel.window, np.float32)
    found = hear(live, ["short.wav"], [one])
    assert len(found.times) == 1
    assert gates_sentence(found, live).startswith("One step is all there is")
    write_heard(tmp_path / "p.html", found, live, title="t", command="c")
    Page((tmp_path / "p.html").read_text())


def test_what_is_not_there_says_so(live):
    for row in (0, 5):
        with pytest.raises(UsageError) as caught:
            hear(live, NAMES, SAMPLES, row)
        assert str(caught.value) == f"row must be from 1 to 4 (the recordings of the data), got {row}"
    with pytest.raises(DataError) as refused:
        hear(live, ["short.wav"], [np.zeros(live.log_mel.window - 1, np.float32)])
    assert str(refused.value) == "short.wav: must have at least one step to look at, got none"


def test_a_transcriber_without_a_gru_says_so():
    live = transcriber(cell="lstm").live_
    with pytest.raises(
        UnsupportedError, match="must have a recurrent layer with a GRU's gates, got only LSTM"
    ):
        hear(live, NAMES, SAMPLES)


def test_a_classifier_of_recordings_shows_its_spectrogram_over_its_frames(tmp_path):
    fitted = classifier(hidden_size=4)
    live, tensors = fitted.live_, fitted.tensors_
    samples = words(2, seed=2)[0]
    found = inspect_case(live, tensors, classify_case(live, live.examples(samples), 2))
    case = found.case
    assert case.bands.shape == (case.steps, live.model.preprocess[0].bands)
    np.testing.assert_allclose(case.series[:, 0], case.bands.mean(axis=1), atol=1e-6)
    write_inspect_report(tmp_path / "p.html", found, fitted.model_, title="t", command="c")
    text = (tmp_path / "p.html").read_text()
    Page(text)
    assert "mel bands" in text
    assert f"{case.hertz[1]:,.0f} Hz" in text


def test_the_alignment_is_drawn_where_it_is():
    p = np.array([[0.9, 0.1, 0.5], [0.1, 0.9, 0.5]])
    times = np.array([0.05, 0.15, 0.25])
    ax = plots.plot_alignment(p, ["(nothing)", "a"], times=times, marks=[(0.15, "a")])
    (image,) = ax.get_images()
    np.testing.assert_array_equal(image.get_array(), p)
    assert image.get_extent() == pytest.approx([0.0, 0.3, 1.5, -0.5])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["(nothing)", "a"]
    assert [text.get_text() for text in ax.texts] == ["a"]
    assert ax.get_xlabel() == "time (s)"
