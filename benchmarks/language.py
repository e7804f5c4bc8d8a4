"""Language models on public texts: Tiny Shakespeare by characters and the Penn Treebank by words.

    scripts/bench language --set shakespeare --run RUN         train, or go on with RUN; then score validation and test
    scripts/bench language --set ptb-small --run RUN --json FILE
    scripts/bench language --set shakespeare-10min             at most ten minutes of training

Every token counts and the state is carried over the whole split, whose `<eos>` or line ends count too. RUN holds
checkpoints: a run that was stopped goes on with the same command. Settings for Tiny Shakespeare were chosen on
validation text by short pilots; those for the Penn Treebank were not searched for, and `ptb` was never run whole.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from shared_data import data_folder

#: Validation nats after one epoch: 1.864 in chunks of 128 at a rate of 2e-3 (256 units), 1.670 with these.
SHAKESPEARE: dict[str, Any] = {"hidden_size": 288, "epochs": 24}
PTB: dict[str, Any] = {
    "tokenizer": "space", "batch_size": 20, "chunk": 35, "learning_rate": 2e-3, "precision": "bf16-mixed",
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "shakespeare": SHAKESPEARE,
    "shakespeare-10min": SHAKESPEARE | {"epochs": 6, "max_seconds": 600.0},
    "ptb-small": PTB | {"hidden_size": 200, "dropout": 0.3, "epochs": 20},
    "ptb": PTB | {"hidden_size": 400, "dropout": 0.5, "epochs": 30},
}


def data_of(name: str) -> dict[str, Any]:
    """The text of a set, and its own validation and test text if it has such."""
    if name.startswith("shakespeare"):
        return {"data": data_folder("tinyshakespeare") / "input.txt"}  # split 80/10/10 by position
    folder = data_folder("ptb")
    names = {"data": "train", "validation": "valid", "test": "test"}
    return {part: folder / f"ptb.{file}.txt.gz" for part, file in names.items()}


def main() -> None:
    """Parse the command line, train, and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", required=True, choices=SETTINGS)
    parser.add_argument("--run", type=Path, help="where checkpoints lie; the run goes on from one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", type=Path, help="also write the model folder here")
    parser.add_argument("--json", type=Path, help="also write the result here")
    parser.add_argument("--with", dest="more", type=json.loads, default={}, help="settings, as JSON")
    args = parser.parse_args()
    import torch

    from grus import LanguageModel
    from grus.inspection.language.wording import language_evaluation_dict

    torch.set_num_threads(args.threads)
    settings = SETTINGS[args.set] | args.more
    resume = args.run is not None and (args.run / "checkpoint.pt").is_file()
    begin = time.perf_counter()
    model = LanguageModel(**settings, seed=args.seed)
    model.fit(
        **data_of(args.set), folder=args.run, resume=resume, progress="plain",
        report_plan=lambda plan: print(*plan, sep="\n", file=sys.stderr),
    )  # fmt: skip
    if args.save:
        model.save(args.save)
    weights = sum(v.size for name, v in model.tensors_.items() if name.startswith("main."))
    history = model.history_
    result = {
        "set": args.set, "settings": settings, "seed": args.seed, "weights": weights, "threads": args.threads,
        "best_epoch": history.best_epoch, "epochs": len(history.epochs), "stopped": history.stopped,
        "training_seconds": round(history.seconds, 1), "seconds": round(time.perf_counter() - begin, 1),
        "validation": language_evaluation_dict(model.validation_), "test": language_evaluation_dict(model.test_),
    }  # fmt: skip
    print(json.dumps(result))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
