"""Recordings that are made up: a tone for each word, and models that train on them in a second or two."""

import numpy as np
import soundfile

from grus import Classifier, Transcriber

RATE = 8_000
TONES = {"low": 300, "mid": 900, "high": 2_200}
TINY = {"hidden_size": 8, "epochs": 1, "log": "none", "device": "cpu"}


def tone(word, rng, seconds=0.12, rate=RATE):
    """A word: its tone, a little off and never as loud, in noise; float32."""
    n = np.arange(int(rate * seconds * (1 + 0.3 * rng.random())))
    pitch = TONES[word] * (1 + 0.05 * rng.standard_normal())
    sound = rng.uniform(0.1, 0.6) * np.sin(2 * np.pi * pitch * n / rate) * np.hanning(len(n))
    return (sound + 0.005 * rng.standard_normal(len(n))).astype(np.float32)


def words(count, seed=0, rate=RATE, seconds=0.12):
    """Recordings of one word, and the words."""
    rng = np.random.default_rng(seed)
    said = [list(TONES)[i % len(TONES)] for i in range(count)]
    return [tone(word, rng, seconds, rate) for word in said], said


def sentences(count, seed=0, most=3):
    """Recordings of one to ``most`` words with gaps, and what is said."""
    rng = np.random.default_rng(seed)
    samples, texts = [], []
    for _ in range(count):
        said = rng.choice(list(TONES), rng.integers(1, most + 1)).tolist()
        parts = [part for word in said for part in (tone(word, rng), np.zeros(400, np.float32))]
        samples.append(np.concatenate(parts))
        texts.append(" ".join(said))
    return samples, texts


def classifier(**more):
    """A classifier in one direction, barely trained."""
    options = {"kind": "audio", "rate": RATE, "val_size": 0, "bidirectional": False, "test_size": 0}
    return Classifier(**TINY | options | more).fit(*words(30), progress="quiet")


def transcriber(**more):
    """A transcriber, barely trained."""
    options = {"rate": RATE, "units": "word", "val_size": 0, "layers": 1, "stack": 2}
    return Transcriber(**TINY | options | more).fit(*sentences(20), progress="quiet")


def write(folder, names, samples, rate=RATE):
    """WAV files of 16 bits."""
    for name, values in zip(names, samples, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, values, rate, subtype="PCM_16")
    return folder
