"""Sentences a second of the translator without torch: all together and one by one, greedy and with a beam of 5.

    scripts/bench translate_speed --model FOLDER --source FILE         a trained model and sentences, one a line
    scripts/bench translate_speed                                      weights that were never trained, 8,000 pieces

Before anything is timed, both ways must give the same answers. They take turns, round by round.
"""

import argparse
import json
import os
import platform
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from grus.decode import LiveTranslator, load
from grus.kernels import native


def untrained() -> LiveTranslator:
    """A translator of the size of the defaults, whose translations mean nothing."""
    from grus.spec import Model, Translate, Vocabulary
    from grus.tasks.translate_networks import NetworkConfig, build_network

    steps = (Vocabulary("word", True, tuple(f"w{n}" for n in range(8_000))),)
    task = Translate("source", "target", 100, 100)
    model = Model(1, task, steps, *build_network(NetworkConfig(*task.sizes(steps))))
    rng = np.random.default_rng(0)
    shapes = {name: shape for name, (_, shape) in model.tensors().items()}
    return LiveTranslator(
        model, {n: (rng.uniform(-1, 1, s) / np.sqrt(s[-1])).astype(np.float32) for n, s in shapes.items()}
    )


def sentences(count: int) -> list[str]:
    """Made-up sentences of 6 to 18 words."""
    draw = random.Random(0)
    return [" ".join(f"w{draw.randrange(8_000)}" for _ in range(draw.randint(6, 18))) for _ in range(count)]


def measure(ways: dict[str, Callable[[], int]], rounds: int) -> dict[str, dict[str, float]]:
    """Sentences a second of each way: median and quartiles over the rounds, in which the ways take turns."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begin = time.perf_counter()
            count = way()
            rates[name].append(count / (time.perf_counter() - begin))
    return {
        name: dict(zip(("low", "median", "high"), np.quantile(found, (0.25, 0.5, 0.75)).tolist()))
        for name, found in rates.items()
    }


def main() -> None:
    """Parse the command line, check, time, and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="a model folder (default: untrained weights)")
    parser.add_argument("--source", type=Path, help="sentences, one a line (default: made up)")
    parser.add_argument("--count", type=int, default=256, help="sentences translated together")
    parser.add_argument("--alone", type=int, default=32, help="of these, translated one by one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=native.num_threads())
    parser.add_argument("--json", type=Path, help="also write the result here")
    args = parser.parse_args()
    native.set_num_threads(args.threads)
    live: Any = untrained() if args.model is None else load(args.model)
    if args.source is None:
        texts = sentences(args.count)
    else:
        from grus.data.lines import read_lines

        texts = [text for text in read_lines(args.source) if text.strip()][: args.count]
    few = texts[:: max(len(texts) // args.alone, 1)][: args.alone]
    more = {"max_length": 15} if args.model is None else {}
    result: dict[str, Any] = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {native.isa()}",
        "threads": args.threads,
        "model": "untrained" if args.model is None else str(args.model),
        "sentences": len(texts),
        "one_by_one": len(few),
        "rounds": args.rounds,
    }
    for beam in (1, 5):
        together = dict(zip(texts, live.translate(texts, beam=beam, **more)))
        alone = [live.translate([text], beam=beam, **more)[0] for text in few]
        assert alone == [together[text] for text in few], "together and one by one must be the same"

        def all_of_them(beam: int = beam) -> int:
            return len(live.translate(texts, beam=beam, **more))

        def one_by_one(beam: int = beam) -> int:
            return sum(len(live.translate([text], beam=beam, **more)) for text in few)

        rates = measure({"together": all_of_them, "one by one": one_by_one}, args.rounds)
        ratio = rates["together"]["median"] / rates["one by one"]["median"]
        result[f"beam {beam}"] = rates | {"ratio": ratio}
    print(json.dumps(result, indent=1))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
