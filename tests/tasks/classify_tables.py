"""Labelled data of every kind, small and easy to tell apart, and classifiers that train on it in a blink."""

import numpy as np

from grus import Classifier

TINY = {
    "hidden_size": 8, "embedding_size": 8, "epochs": 2, "learning_rate": 1e-2, "ema": None, "device": "cpu",
    "log": "none",
}  # fmt: skip
WORDS = ["the", "a", "film", "plot", "of", "was", "it", "and", "cast", "story"]


def texts(rows=60, seed=0):
    """Sentences with one word that says it all, and their moods."""
    rng = np.random.default_rng(seed)
    moods = np.arange(rows) % 2
    said = [["awful", "dull", "poor"], ["good", "great", "fine"]]
    lines = []
    for mood in moods:
        words = list(rng.choice(WORDS, rng.integers(2, 9)))
        words.insert(int(rng.integers(len(words) + 1)), str(rng.choice(said[mood])))
        lines.append(" ".join(words))
    return lines, ["good" if mood else "bad" for mood in moods]


def series(rows=60, seed=0):
    """Two channels; one label rises, one falls, one stays."""
    rng = np.random.default_rng(seed)
    kinds = np.arange(rows) % 3
    slopes = np.array([0.5, -0.5, 0.0])[kinds]
    found = []
    for slope in slopes:
        steps = np.arange(rng.integers(5, 12))
        found.append(np.stack([slope * steps, np.ones(len(steps))], 1) + rng.normal(0, 0.1, (len(steps), 2)))
    return found, [("up", "down", "flat")[kind] for kind in kinds]


def images(rows=40, seed=0):
    """8 x 6 pixels, bright above or below."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 60, (rows, 8, 6))
    labels = np.arange(rows) % 2
    found[labels == 0, :3] += 150
    found[labels == 1, -3:] += 150
    return found.astype(np.uint8), labels


def events(rows=60, seed=0):
    """A long table of visits: who takes both a and b on one day is ill."""
    rng = np.random.default_rng(seed)
    table = {"patient": [], "day": [], "code": [], "outcome": []}
    for patient in range(rows):
        ill = patient % 2
        visits = [list(rng.choice(["c", "d", "e"], 2)) for _ in range(rng.integers(1, 5))]
        visits.insert(
            int(rng.integers(len(visits) + 1)), ["a", "b"] if ill else [str(rng.choice(["a", "b"]))]
        )
        day = 0
        for codes in visits:
            day += int(rng.integers(1, 9))
            for code in codes:
                for name, value in zip(table, (patient, day, code, "ill" if ill else "well")):
                    table[name].append(value)
    return {name: np.array(values) for name, values in table.items()}


def frame_of(arrays, labels):
    """The long table of series: id, t, x0, x1, label."""
    lengths = [len(array) for array in arrays]
    whole = np.concatenate(arrays)
    return {
        "id": np.repeat(np.arange(len(arrays)), lengths),
        "t": np.concatenate([np.arange(n) for n in lengths]),
        "x0": whole[:, 0],
        "x1": whole[:, 1],
        "label": np.repeat(labels, lengths),
    }


def fit(data, y=None, **options):
    """A small classifier, trained quietly."""
    fitting = {name: options.pop(name) for name in ("validation",) if name in options}
    return Classifier(**(TINY | options)).fit(data, y, progress="quiet", **fitting)
