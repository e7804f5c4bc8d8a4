"""Spoken digits (FSDD): which digit a clip is, for speakers known and unknown, and strings of digits written down.

    scripts/bench fsdd digits                      the official split: index 0-4 tests, 5-9 validates, the rest trains
    scripts/bench fsdd speakers                    each speaker is left out once: training never heard them
    scripts/bench fsdd strings                     3 to 7 digits of a speaker joined, with gaps: word error rate
    scripts/bench fsdd wake --word seven           in such strings: one word noticed, missed, and noticed wrongly
    scripts/bench fsdd digits --validate --with '{"pool": "mean"}'     settings are chosen so: no test clip is read

Train from train, test from test: a string of the test is made of clips of the test alone. Results go to stdout, a JSON
object a run.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from shared_data import data_folder

RATE = 8_000
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEST, VALIDATION, TRAIN = range(5), range(5, 10), range(10, 50)
#: Changes of level, voice and noise help with speakers that training never heard; here all of them are known.
KNOWN: dict[str, Any] = {"gain_db": 0.0, "band_shift": 0, "noise": 0.0}
#: Chosen on the validation clips: 98.7% in two directions, 98.7% in one with a convolution first (20 epochs each); with
#: the changes of level, voice and noise 96.3% after 14 epochs.
DIGITS: dict[str, Any] = {
    "kind": "audio", "rate": RATE, "hidden_size": 128, "dropout": 0.3, "learning_rate": 3e-3, "epochs": 14,
    "patience": None, "val_size": 0, **KNOWN,
}  # fmt: skip
#: For speakers left out: the defaults of these, whose sizes were chosen after a look at the speakers' levels.
SPEAKERS: dict[str, Any] = {name: value for name, value in DIGITS.items() if name not in KNOWN} | {
    "epochs": 12
}
#: Chosen on strings of validation clips: 4.8% of the words wrong with 1,500 strings and 14 epochs.
STRINGS: dict[str, Any] = {
    "rate": RATE,
    "units": "word",
    "epochs": 16,
    "batch_size": 16,
    "patience": None,
    **KNOWN,
}
#: Strings to train on and to test, digits of each, and the longest gap after a digit, in seconds.
COUNTS, LENGTH, GAP = (3_000, 300), (3, 7), 0.2

Clip = tuple[str, str, int]


def clips() -> dict[Clip, np.ndarray]:
    """Samples by digit, speaker and index."""
    import soundfile

    found = {}
    for file in sorted(data_folder("speech_fsdd").glob("recordings/*.wav")):
        digit, speaker, index = file.stem.split("_")
        samples, rate = soundfile.read(file, dtype="float32")
        assert rate == RATE
        found[digit, speaker, int(index)] = samples
    return found


def some(
    found: dict[Clip, np.ndarray], indices: range, speakers: set[str]
) -> tuple[list[np.ndarray], list[str]]:
    """Clips of some indices and speakers, and their digits."""
    chosen = [clip for clip in found if clip[2] in indices and clip[1] in speakers]
    return [found[clip] for clip in chosen], [clip[0] for clip in chosen]


def strings(
    found: dict[Clip, np.ndarray], indices: range, count: int, seed: int, places: list[Any] | None = None
) -> tuple[list[np.ndarray], list[str]]:
    """Strings of random digits of a speaker, with gaps, and their words; ``places`` is given where each is."""
    rng = np.random.default_rng([seed, indices.start])
    speakers = sorted({speaker for _, speaker, _ in found})
    samples, texts = [], []
    for _ in range(count):
        speaker = speakers[rng.integers(len(speakers))]
        digits = rng.integers(10, size=rng.integers(LENGTH[0], LENGTH[1] + 1))
        parts, where = [], []
        for digit in digits:
            begin = sum(map(len, parts)) / RATE
            parts.append(found[str(digit), speaker, indices[rng.integers(len(indices))]])
            where.append((WORDS[digit], begin, begin + len(parts[-1]) / RATE))
            parts.append(np.zeros(int(RATE * GAP * rng.random()), np.float32))
        samples.append(np.concatenate(parts))
        if places is not None:
            places.append(where)
        texts.append(" ".join(WORDS[digit] for digit in digits))
    return samples, texts


def classify(settings: dict[str, Any], seed: int, train: Any, validation: Any, test: Any) -> dict[str, Any]:
    """Train a classifier; accuracy of the test, beside the baselines."""
    from grus import Classifier

    begin = time.process_time()
    model = Classifier(**settings, seed=seed, log="none").fit(*train, validation=validation, progress="plain")
    seconds = time.process_time() - begin
    scores = {"validation": model.validation_.accuracy} if model.validation_ else {}
    if test is not None:
        evaluation = model.evaluate(*test)
        baselines = {name: score.accuracy for name, score in evaluation.baselines.items()}
        scores |= {"test": evaluation.accuracy, "clips": evaluation.n, "baselines": baselines}
    return {**scores, "best_epoch": model.history_.best_epoch, "processor_seconds": round(seconds, 1)}


def digits(args: argparse.Namespace, found: dict[Clip, np.ndarray]) -> Iterator[dict[str, Any]]:
    """The official split."""
    everyone = {speaker for _, speaker, _ in found}
    train, validation, test = (some(found, part, everyone) for part in (TRAIN, VALIDATION, TEST))
    for seed in range(args.seeds):
        held = None if args.validate else test
        yield {"seed": seed, **classify(DIGITS | args.more, seed, train, validation, held)}


def speakers(args: argparse.Namespace, found: dict[Clip, np.ndarray]) -> Iterator[dict[str, Any]]:
    """Each speaker left out once; all of their clips test."""
    everyone = {speaker for _, speaker, _ in found}
    for seed in range(args.seeds):
        for speaker in sorted(everyone):
            others = everyone - {speaker}
            train, validation = (some(found, part, others) for part in (range(10, 50), range(10)))
            test = some(found, range(50), {speaker})
            scores = classify(SPEAKERS | args.more, seed, train, validation, test)
            yield {"seed": seed, "speaker": speaker, **scores}


def transcripts(args: argparse.Namespace, found: dict[Clip, np.ndarray]) -> Iterator[dict[str, Any]]:
    """Strings of digits: word error rate, greedy and with a beam, and the time of a second of sound, live."""
    from grus import Transcriber, load

    for seed in range(args.seeds):
        train, validation = (
            strings(found, part, count, seed) for part, count in ((TRAIN, COUNTS[0]), (VALIDATION, COUNTS[1]))
        )
        begin = time.process_time()
        model = Transcriber(**STRINGS | args.more, seed=seed, log="none")
        model.fit(*train, validation=validation, progress="plain")
        seconds = time.process_time() - begin
        record = {"seed": seed, "validation": model.validation_.wer, "processor_seconds": round(seconds, 1)}
        if not args.validate:
            test = strings(found, TEST, COUNTS[1], seed)
            greedy, beam = model.evaluate(*test), model.evaluate(*test, beam=8)
            record |= {
                "test": greedy.wer,
                "words": greedy.words.length,
                "beam_8": beam.wer,
                "right": greedy.right,
            }
            with tempfile.TemporaryDirectory() as folder:
                live = load(model.save(Path(folder, "model"), report=False))
            if not model.bidirectional:
                record |= second(live, np.concatenate(test[0]))
        yield record


def wake(args: argparse.Namespace, found: dict[Clip, np.ndarray]) -> Iterator[dict[str, Any]]:
    """One word of the strings of the test: misses, false accepts an hour and latency by threshold."""
    from grus import Transcriber
    from grus.decode.wake import Heard, wake_curve

    model = Transcriber(**STRINGS | args.more, log="none")
    model.fit(
        *strings(found, TRAIN, COUNTS[0], 0), validation=strings(found, VALIDATION, 300, 0), progress="plain"
    )
    live, heard = model.live_, []
    places: list[list[tuple[str, float, float]]] = []
    samples, _ = strings(found, TEST, 1_000, 1, places)
    for scores, words in zip(live.word_scores(samples, args.word), places):
        heard.append(Heard(scores, [(begin, end) for word, begin, end in words if word == args.word]))
    known = (live.known_at(0), live.known_at(1) - live.known_at(0))
    hours = sum(map(len, samples)) / RATE / 3600
    for point in wake_curve(heard, known):
        yield {"word": args.word, "hours": round(hours, 3), **vars(point), "test": point.missed}


def second(live: Any, samples: np.ndarray) -> dict[str, float]:
    """Processor time in which a model that listens takes in a second of sound, whole and step by step.

    ``listen_us`` is that of a step which is listened to for one word.
    """
    found, stride = {}, live.log_mel.stride

    def heard(piece: np.ndarray, state: Any) -> Any:
        return live.listen(piece, WORDS[0], state)

    for name, size, unit, take in (
        ("second_ms", RATE, 1e3, live.run), ("step_us", stride, 1e6, live.run), ("listen_us", stride, 1e6, heard),
    ):  # fmt: skip
        pieces = [samples[i : i + size] for i in range(0, 60 * RATE, size)]
        times = []
        for _ in range(3):
            state, begin = live.init_state(1), time.process_time()
            for piece in pieces:
                _, state = take(piece, state)
            times.append((time.process_time() - begin) / len(pieces))
        found[name] = round(unit * float(np.median(times)), 2)
    return found


def main() -> None:
    """Parse the command line, print one JSON object a run and a line in the end."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("digits", "speakers", "strings", "wake"))
    parser.add_argument("--word", default="seven", choices=WORDS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--validate", action="store_true", help="no test clip is read")
    parser.add_argument("--with", dest="more", type=json.loads, default={}, help="settings, as JSON")
    args = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, one thread", file=sys.stderr)
    run = {"digits": digits, "speakers": speakers, "strings": transcripts, "wake": wake}[args.what]
    results = []
    for record in run(args, clips()):
        results.append({"what": args.what, **args.more, **record})
        print(json.dumps(results[-1]), flush=True)
    scores = np.array([record["validation" if args.validate else "test"] for record in results])
    what = {"strings": "word error rate", "wake": "share missed"}.get(args.what, "accuracy")
    print(f"{args.what}: mean {what} {100 * scores.mean():.2f}%", file=sys.stderr)


if __name__ == "__main__":
    main()
