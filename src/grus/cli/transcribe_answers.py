"""Transcripts and their scores for the command line; needs no torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.cli.answers import Prediction, Scores
from grus.cli.fit_transcribe import audio_path
from grus.cli.fusion_options import fusion_of
from grus.cli.people import People
from grus.cli.watch import WatchedTranscriber
from grus.data.examples import audio_of
from grus.data.spoken import read_spoken
from grus.decode.transcriber import beam_width
from grus.inspection.transcripts.wording import transcription_evaluation_dict, transcription_verdict
from grus.inspection.wording import count, percent

if TYPE_CHECKING:
    from grus.decode import TranscriptionEvaluation
    from grus.spec import Model

#: What is answered for are recordings.
data_file = audio_path


def predict(model: "Model", tensors: Any, path: Path, options: dict[str, Any], quiet: bool) -> Prediction:
    """The transcript of every recording."""
    live = WatchedTranscriber(model, tensors, quiet)
    spoken = read_spoken(path, None, audio_of(live.log_mel), wanted=False)
    People(quiet).say(spoken.notes)
    found = live.transcribe(spoken.recordings(), beam=options["beam"])
    columns = {
        "file": np.array(spoken.names, object),
        live.task.transcript or "transcript": np.array([one.text for one in found], object),
        "log_probability": np.array([one.log_probability for one in found]),
    }
    return Prediction(columns, f"{count(len(found), 'recording')} transcribed")


def evaluate(
    model: "Model", tensors: Any, path: Path, options: dict[str, Any], people: People, name: str
) -> Scores:
    """Word and character error rates; or with --wake, how well the model wakes up to a word."""
    if options["wake"] is not None:
        from grus.cli.wake_answers import evaluate_wake

        return evaluate_wake(model, tensors, path, options, people, name)
    live = WatchedTranscriber(model, tensors, people.quiet)
    fusion = fusion_of(options)
    live.transcribe([], fusion=fusion)  # what does not fit is said before any file is read
    spoken = read_spoken(path, None, audio_of(live.log_mel), live.task.transcript)
    people.say(spoken.notes)
    assert spoken.texts is not None
    beam = beam_width(options["beam"], fusion)
    found = live.evaluate(spoken.recordings(), spoken.texts, names=spoken.names, beam=beam, fusion=fusion)
    more = "" if fusion is None else f", with {options['language_model'].name} at {fusion.weight:g}"
    tell(people, f"{name} on {path.name}, {'greedy' if beam == 1 else f'beam {beam}'}{more}", found)
    columns = {
        "score": np.array(["word error rate", "character error rate", "right"], object),
        "model": np.array([found.wer, found.cer, found.right]),
    }
    return Scores(columns, transcription_evaluation_dict(found))


def tell(people: People, name: str, evaluation: "TranscriptionEvaluation") -> None:
    """Print the scores."""
    e = evaluation
    people.say(f"\n{name}: {count(e.n, 'recording')}, {e.seconds:,.0f} s")
    people.table(
        ["", "error rate", "replaced", "left out", "too many", "of"],
        (
            [
                what,
                percent(x.rate, 2),
                *(f"{n:,}" for n in (x.substitutions, x.deletions, x.insertions, x.length)),
            ]
            for what, x in (("words", e.words), ("characters", e.characters))
        ),
    )
    people.say(transcription_verdict(e))
