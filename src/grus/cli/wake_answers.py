"""How well a transcriber of words wakes up to one of them, for the command line; the page alone needs matplotlib."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grus.cli.answers import Scores
from grus.cli.people import People
from grus.cli.watch import WatchedTranscriber
from grus.data.examples import audio_of
from grus.data.wake_sets import read_wake_set
from grus.decode.wake import Heard, wake_curve
from grus.inspection.transcripts.wake_page import wake_cells, wake_dict, wake_sentences, write_wake_page
from grus.preprocess.text import clean

if TYPE_CHECKING:
    from grus.spec import Model


def evaluate_wake(
    model: "Model", tensors: Any, path: Path, options: dict[str, Any], people: People, name: str
) -> Scores:
    """Misses, false accepts an hour and the delay, by threshold."""
    live = WatchedTranscriber(model, tensors, people.quiet)
    live.word_code(options["wake"])
    lower = live.vocabulary.lower
    word = clean(options["wake"], lower)
    found = read_wake_set(
        path,
        word,
        audio_of(live.log_mel),
        lower=lower,
        transcript=live.task.transcript,
        times=options["times"],
    )
    people.say(found.spoken.notes)
    scores = live.word_scores(found.spoken.recordings(), word)
    heard = [Heard(*one) for one in zip(scores, found.places, found.somewhere)]
    first = live.known_at(0)
    points = wake_curve(heard, (first, live.known_at(1) - first))
    plain = wake_dict(word, found, points)
    people.say(f"\n{name} on {path.name}, {word!r}")
    header, *rows = wake_cells(points)
    people.table(header, rows, ours=False)
    people.say(wake_sentences(plain))
    if options["out"] is not None:
        command = f"grus evaluate {name} {path} --wake {word}"
        write_wake_page(options["out"], plain, points, title=f"{name}: {word}", command=command)
        people.say(f"wrote {options['out']}")
    columns = {key: np.array([point[key] for point in plain["curve"]]) for key in plain["curve"][0]}
    return Scores(columns, plain)
