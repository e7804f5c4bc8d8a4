"""Negative log-likelihood of Bach's chorales (JSB, sixteenths, four voices), beside a Markov floor; and ten new ones.

    scripts/bench chorales --json FILE                                 train with three seeds and score the test pieces
    scripts/bench chorales --tune --seeds 0 --with '{"layers": 2}'      score the validation pieces; no test is read
    scripts/bench chorales --seeds 0 --models FOLDER --compose docs/music
        ten chorales of seeds 1 to 10, none left out; models that stand in FOLDER are not trained again, and training
        that was stopped goes on

A step is a sixteenth; nats a step are summed over the four voices (and the beats and the end of the piece, which the
form all but settles), nats a note are a fourth of that. Pieces are as in the archive: 229 train, 76 validate, 77 test.
The floor is first-order Markov by voice: what a voice does after what it did in the step before, counted in training.
"""

import argparse
import io
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shared_data import data_folder

if TYPE_CHECKING:
    from grus import LiveComposer, MusicEvaluation, MusicModel

#: The defaults, chosen on the validation pieces, seed 0, four epochs each, dropout 0.3 and a rate of 3e-3 unless said
#: otherwise, nats a step: 2 layers 2.224, 1 layer 2.183; dropout 0.2 with a rate of 6e-3 2.065, of 1e-2 2.060.
SETTINGS: dict[str, Any] = {}
#: Of the chorales that are written: as long as those of the archive (25 to 129 beats), a little below the model's own
#: temperature.
LEAST, MOST, TEMPERATURE, TEMPO = 24, 96, 0.9, 80
_DPI = 70


def archive() -> Path:
    return data_folder("music_jsb_chorales") / "jsb_chorales_16th_voices.npz"


def fit(settings: dict[str, Any], seed: int, run: Path | None) -> "MusicModel":
    from grus import MusicModel
    from grus.data.music_files import read_music

    parts = read_music(archive())
    train, val = ([one.piece for one in part] for part in (parts.train, parts.val))
    model = MusicModel(**settings, val_size=0, test_size=0, seed=seed, log="none")
    resume = run is not None and (run / "checkpoint.pt").is_file()
    return model.fit(train, validation=val, folder=run, resume=resume, progress="plain")


def scores(e: "MusicEvaluation") -> dict[str, Any]:
    return {
        "nats_per_step": e.nats_per_step,
        "nats_per_note": e.nats_per_note,
        "nats_per_step_without_grammar": e.free_nats / e.steps,
        "floors_per_step": {name: nats / e.steps for name, nats in e.floors.items()},
        "steps": e.steps,
        "pieces": e.pieces,
    }


def run(
    settings: dict[str, Any], seed: int, tune: bool, folder: Path | None
) -> tuple["LiveComposer", dict[str, Any]]:
    """Train one model, or take the one in ``folder``; score the test pieces, or with ``tune`` those for validation."""
    import grus
    from grus.data.music_files import read_music

    begin, cpu, found = time.perf_counter(), time.process_time(), {"seed": seed}
    if folder is None or not folder.exists():
        model = fit(settings, seed, folder and folder.with_name(folder.name + ".run"))
        found |= {
            "seconds": round(time.perf_counter() - begin), "cpu_seconds": round(time.process_time() - cpu),
            "best_epoch": model.history_.best_epoch,
        }  # fmt: skip
        live = model.live_
        if folder is not None:
            model.save(folder, report=False)
    else:
        live = grus.load(folder)
    assert isinstance(live, grus.LiveComposer)
    parts = read_music(archive())
    for part, named in (("validation", parts.val), ("test", parts.test)):
        if part == "validation" or not tune:
            found[part] = scores(live.evaluate([one.piece for one in named]))
    return live, found


def compose(live: "LiveComposer", folder: Path) -> None:
    """Write ten chorales and their pictures, one after the other as the seeds give them."""
    from grus.inspection.music.plots import draw_roll

    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(1, 11):
        (made,) = live.generate(
            seed=seed, min_beats=LEAST, max_beats=MOST, temperature=TEMPERATURE, tempo=TEMPO
        )
        (folder / f"chorale-{seed:02}.mid").write_bytes(made.midi())
        picture = io.BytesIO()
        draw_roll(made.piece).savefig(picture, format="png", dpi=_DPI)
        (folder / f"chorale-{seed:02}.png").write_bytes(picture.getvalue())
        print(f"chorale-{seed:02}: {made.piece.length} steps, ended: {made.ended}", file=sys.stderr)


def main() -> None:
    """Parse the command line, print one JSON object a seed and a line for all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seeds", type=lambda text: [int(part) for part in text.split(",")], default=[0, 1, 2]
    )
    parser.add_argument("--json", type=Path, help="also write all results here")
    parser.add_argument("--tune", action="store_true", help="score the validation pieces; no test is read")
    parser.add_argument("--with", dest="more", type=json.loads, default={}, help="settings, as JSON")
    parser.add_argument(
        "--compose", type=Path, metavar="FOLDER", help="write ten chorales of the first seed here"
    )
    parser.add_argument(
        "--models", type=Path, metavar="FOLDER", help="keep the models here, and take those that are there"
    )
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    import torch

    torch.set_num_threads(args.threads)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores", file=sys.stderr)
    settings, results = SETTINGS | args.more, []
    for number, seed in enumerate(args.seeds):
        folder = args.models and args.models / f"seed-{seed}"
        live, found = run(settings, seed, args.tune, folder)
        results.append(found)
        print(json.dumps(args.more | found), flush=True)
        if args.compose and not number:
            compose(live, args.compose)
    part = "validation" if args.tune else "test"
    step = np.array([found[part]["nats_per_step"] for found in results])
    note = np.mean([found[part]["nats_per_note"] for found in results])
    spread = f"{step.mean():.3f} +- {step.std(ddof=min(1, len(step) - 1)):.3f}"
    floor = results[0][part]["floors_per_step"]["Markov"]
    print(f"{part}: {spread} nats a step ({note:.4f} a note), Markov {floor:.3f}", file=sys.stderr)
    if args.json:
        args.json.write_text(json.dumps({"settings": settings, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
