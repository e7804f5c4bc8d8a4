"""BLEU of the translator on Multi30k (Elliott et al. 2016), test 2016; validation pairs choose the epoch.

    scripts/bench translate --folder run --json FILE                 en-de: train, then translate the test sentences
    scripts/bench translate --folder run --resume --json FILE        go on with a run that was stopped or killed
    scripts/bench translate --to en --folder run --json FILE         de-en
    scripts/bench translate --folder run --no-test --with '{"epochs": 10}'     validation only; no test is read
    scripts/bench translate --folder run --search                    beams and length penalties of a trained model there

Texts are lower-cased; translations are scored as they come, by sacrebleu, and by BLEU of words and marks one by one
(``--tokenize none`` on both sides cut by `grus.preprocess.text.split`), as tables of papers have it.
"""

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import torch

from shared_data import data_folder

#: The sizes and the dropout of LIUM-CVC's text-only system, which are the defaults (256 units, embeddings of 128; 0.3,
#: 0.5 and 0.5), with fewer pieces of words.
SETTINGS: dict[str, Any] = {"lower": True, "vocabulary_size": 6_000, "epochs": 40, "patience": None}


#: Beams and length penalties of ``--search``.
SEARCHES = [(beam, penalty) for beam in (5, 12) for penalty in (0.6, 1.0, 1.4, 2.0)]


def tokenised_bleu(found: list[str], references: list[str]) -> float:
    """BLEU of words and marks one by one, in lower case, as tables of papers have it."""
    from sacrebleu.metrics.bleu import BLEU

    from grus.preprocess.text import clean, split

    cut = [[" ".join(split(clean(text, True), "word")) for text in texts] for texts in (found, references)]
    return BLEU(tokenize="none", force=True).corpus_score(cut[0], [cut[1]]).score


def scores(live: Any, sources: list[str], references: list[str], beam: int) -> dict[str, Any]:
    """BLEU and chrF of one set of sentences, and how fast it was translated."""
    begin = time.perf_counter()
    found = live.translate(sources, beam=beam)
    seconds = time.perf_counter() - begin
    evaluation = live.evaluate(sources, references, beam=beam)
    assert list(evaluation.translations) == found
    return {
        "beam": beam,
        "bleu": evaluation.bleu,
        "chrf": evaluation.chrf,
        "signatures": list(evaluation.signatures),
        "tokenised_bleu": tokenised_bleu(found, references),
        "copied": evaluation.copied,
        "perplexity_of_a_piece": evaluation.perplexity,
        "sentences_per_second": len(sources) / seconds,
    }


def main() -> None:
    """Parse the command line, train, and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--to", choices=("de", "en"), default="de", help="the language to translate into")
    parser.add_argument("--folder", type=Path, required=True, help="of the checkpoint and the model")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --folder")
    parser.add_argument(
        "--search", action="store_true", help="tokenised BLEU of the validation pairs by SEARCHES"
    )
    parser.add_argument("--no-test", action="store_true", help="score the validation pairs only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, help="also write the result here")
    parser.add_argument("--with", dest="more", type=json.loads, default={}, help="settings, as JSON")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    from grus import load
    from grus.data.lines import read_lines
    from grus.tasks.translate import Translator

    folder = data_folder("multi30k_en_de")
    ours, theirs = ("en", "de") if args.to == "de" else ("de", "en")

    def pair(part: str) -> tuple[Path, Path]:
        return folder / f"{part}.{ours}.gz", folder / f"{part}.{theirs}.gz"

    if args.search:
        live: Any = load(args.folder / "model")
        sources, references = (read_lines(path) for path in pair("val"))
        for beam, penalty in SEARCHES:
            bleu = tokenised_bleu(live.translate(sources, beam=beam, length_penalty=penalty), references)
            print(json.dumps({"beam": beam, "length_penalty": penalty, "bleu": bleu}))
        return
    settings = SETTINGS | args.more
    model = Translator(**settings, seed=args.seed)
    begin = time.perf_counter()
    run = args.folder / "run"
    model.fit(
        *pair("train"), validation=pair("val"), folder=run, resume=args.resume,
        report_plan=lambda plan: print(*plan, sep="\n", file=sys.stderr),
    )  # fmt: skip
    model.save(args.folder / "model", force=True)
    result: dict[str, Any] = {
        "direction": f"{ours}-{theirs}",
        "settings": settings,
        "seed": args.seed,
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {args.threads} threads",
        "seconds": round(time.perf_counter() - begin, 1),
        "training_seconds": round(model.history_.seconds, 1),
        "best_epoch": model.history_.best_epoch,
        "epochs": len(model.history_.epochs),
        "weights": sum(int(values.size) for values in model.tensors_.values()),
    }
    live = load(args.folder / "model")
    for part in ("val",) if args.no_test else ("val", "test_2016_flickr"):
        sources, references = (read_lines(path) for path in pair(part))
        result[part] = [scores(live, sources, references, beam) for beam in (1, 5)]
    print(json.dumps(result, indent=1))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
