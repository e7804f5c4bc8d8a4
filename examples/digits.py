"""Spoken digits: which digit a clip is, of speakers that training heard and of one that it did not, and one heard live.

    python examples/digits.py recordings/ [--small] [--without theo]

The folder holds 3,000 clips of six speakers, ``{digit}_{speaker}_{index}.wav``, such as that of the Free Spoken Digit
Dataset (github.com/Jakobovski/free-spoken-digit-dataset, CC BY-SA 4.0). Its own split is used: of every digit and
speaker the clips 0 to 4 test, and training never sees them; 5 to 9 validate. With ``--small`` a quarter of the others
is learned from, by a smaller network.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

import grus
from grus import Classifier
from grus.data.audio_files import read_recording

RATE = 8_000
TEST, VALIDATION = range(5), range(5, 10)


def clips(folder: Path, indices: range, without: str) -> tuple[list[Path], list[str]]:
    """The files of some indices, but those of one speaker, and their digits."""
    files = sorted(folder.glob("*_*_*.wav"))
    parts = [file.stem.split("_") for file in files]
    chosen = [
        i for i, (_, speaker, index) in enumerate(parts) if int(index) in indices and speaker != without
    ]
    return [files[i] for i in chosen], [parts[i][0] for i in chosen]


def listen(folder: Path, file: Path) -> None:
    """Hear one clip as it comes, a twentieth of a second at a time, with a model that needs no torch."""
    live = grus.load(folder)
    samples, _, _ = read_recording(file)
    state = live.init_state(1)
    for first in range(0, len(samples), RATE // 20):
        found, state = live.run(samples[None, first : first + RATE // 20], state, proba=True)
        heard = min(first + RATE // 20, len(samples)) / RATE
        print(f"{file.name}, {heard:.2f} s: {found['label'][0]} ({100 * found['probability'][0]:.0f}%)")
    whole = live.predict([samples], proba=True)
    assert all(np.array_equal(found[name], whole[name]) for name in found)  # to the bit


def main() -> None:
    """Train, test on known speakers and on the one left out, and listen."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true", help="a quarter of the clips and a small network")
    parser.add_argument("--without", default="theo", metavar="SPEAKER", help="who is not learned from")
    args = parser.parse_args()
    train = clips(args.folder, range(10, 20 if args.small else 50), args.without)
    if not train[0]:
        parser.error(f"{args.folder}: expected files such as 7_theo_12.wav, got none")
    model = Classifier(
        kind="audio", rate=RATE, bidirectional=False, hidden_size=48 if args.small else 128, dropout=0.2,
        encoder="conv-gru", learning_rate=5e-3, epochs=8 if args.small else 14, patience=None, val_size=0,
        log="none",
    )  # fmt: skip
    model.fit(*train, validation=clips(args.folder, VALIDATION, args.without), progress="quiet")
    print(f"{len(train[0]):,} clips learned from; one digit in ten is right by chance")

    files, digits = clips(args.folder, TEST, "")
    names = [file.stem.split("_")[1] for file in files]
    answers = model.predict(files)
    for who, rows in (
        ("speakers that were heard", [i for i, name in enumerate(names) if name != args.without]),
        (f"{args.without}, who was not", [i for i, name in enumerate(names) if name == args.without]),
    ):
        if rows:
            right = np.mean([str(answers[i]) == digits[i] for i in rows])
            print(f"{who}: {100 * right:.0f}% of {len(rows)} clips right")

    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, "digits"), report=False)
        listen(Path(folder, "digits"), files[0])


if __name__ == "__main__":
    main()
