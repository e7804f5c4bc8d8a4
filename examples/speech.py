"""Speech in small: words made of tones, a classifier and a transcriber that learn them, and one of them listening.

    python examples/speech.py [FOLDER]

No data is needed and it takes a few seconds: the sounds are made up. With recordings of your own it is the same code.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import grus
from grus import Classifier, Transcriber

RATE = 8_000
WORDS = {"low": 300, "mid": 900, "high": 2_200}


def say(word: str, rng: np.random.Generator) -> np.ndarray:
    """One word, float32: its tone, never quite as high or as loud, in a little noise."""
    n = np.arange(int(RATE * rng.uniform(0.12, 0.16)))
    sound = rng.uniform(0.1, 0.6) * np.sin(2 * np.pi * WORDS[word] * rng.normal(1, 0.03) * n / RATE)
    return (sound * np.hanning(len(n)) + 0.005 * rng.standard_normal(len(n))).astype(np.float32)


def sentence(rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """One to three words with gaps, and what is said."""
    said = rng.choice(list(WORDS), rng.integers(1, 4)).tolist()
    gap = np.zeros(RATE // 20, np.float32)
    return np.concatenate([part for word in said for part in (say(word, rng), gap)]), " ".join(said)


def main() -> None:
    """Train, save, load without torch, and listen."""
    rng = np.random.default_rng(0)
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="grus-"))

    labels = [word for word in WORDS for _ in range(30)]
    classifier = Classifier(
        kind="audio",
        rate=RATE,
        bidirectional=False,
        hidden_size=24,
        epochs=6,
        learning_rate=0.02,
        test_size=15,
    ).fit([say(word, rng) for word in labels], labels, progress="quiet")
    print(f"classifier: {100 * classifier.test_.accuracy:.0f}% of the test words")
    classifier.save(folder / "words", force=True)

    samples, texts = zip(*(sentence(rng) for _ in range(100)))
    transcriber = Transcriber(
        rate=RATE,
        units="word",
        stack=2,
        layers=1,
        hidden_size=24,
        dropout=0.1,
        noise=0,
        band_shift=0,
        epochs=16,
        learning_rate=0.02,
        test_size=20,
    ).fit(samples, texts, progress="quiet")
    print(f"transcriber: word error rate {100 * transcriber.test_.wer:.1f}%")
    transcriber.save(folder / "sentences", force=True)

    live = grus.load(folder / "sentences")  # no torch from here on
    sound, said = sentence(rng)
    state, heard = live.init_state(1), []
    for first in range(0, len(sound), 800):  # a tenth of a second at a time
        (new,), state = live.run(sound[first : first + 800], state)
        heard += new
    assert live.joined(heard) == live.transcribe([sound])[0].text
    print(f"said {said!r}, heard {live.joined(heard)!r}")


if __name__ == "__main__":
    main()
