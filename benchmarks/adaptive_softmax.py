"""A training step of a language model over words, with a full and with an adaptive softmax.

    scripts/bench adaptive_softmax [--hidden 200 400] [--rounds 9] [--learn SECONDS] [--json FILE]

The job of `grus fit generate` on the words of the Penn Treebank (10,001 codes, 20 streams, chunks of 35, two layers of
GRU): forward and backward (loss), then the update (clipping and AdamW). All take turns in one process on one thread;
what is told is processor time, which does not count what else the machine does: milliseconds, median [quartiles].
With --learn every softmax is instead trained from the start for so much processor time, at a rate of 2e-3 that stays as
it is, and what is told is the steps that it made and nats a token of the validation text.
``rows`` is the full softmax by `grus.models.projected_loss`, without a bias, as translators train: not what
`grus fit generate` does.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from grus.models import GraphModule
from grus.models.projected_loss import projected_loss
from grus.spec import Graph, Node, ops
from grus.tasks.generate_data import TextOptions, prepare_text
from grus.tasks.generate_job import LanguageJob
from grus.tasks.generate_networks import LOGITS, NetworkConfig, build_network, cutoffs, start_tied
from shared_data import data_folder

STREAMS, CHUNK = 20, 35


class Step:
    """One competitor: a job, its optimizer, and the state that goes from step to step."""

    def __init__(self, graph: Graph, prepared, rows: bool = False) -> None:
        torch.manual_seed(0)
        self.model, self.rows, self.carry, self.number = GraphModule(graph), rows, None, 0
        self.job = LanguageJob(
            self.model, prepared.train.codes, prepared.val.codes, begin=prepared.task.begin, streams=STREAMS,
            chunk=CHUNK, seed=0,
        )  # fmt: skip
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=2e-3)

    def __call__(self) -> tuple[float, float]:
        """Milliseconds of processor time of the loss with its gradients, and of the update."""
        batch = {name: torch.as_tensor(value) for name, value in self.job.batch(0, self.number).items()}
        self.number += 1
        begin = time.process_time()
        loss, carry = self.loss(batch) if self.rows else self.job.loss(batch, self.carry)
        loss.backward()
        middle = time.process_time()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        end = time.process_time()
        self.carry = {name: tuple(state.detach() for state in states) for name, states in carry.items()}
        return 1e3 * (middle - begin), 1e3 * (end - middle)

    def loss(self, batch):
        """The full softmax a few rows at a time."""
        logits = next(node for node in self.model.graph.nodes if node.name == LOGITS)
        made, after = self.model.run({"tokens": batch["tokens"]}, self.carry, {LOGITS: logits.inputs[0]})
        weight = self.model.get_parameter(f"nodes.{LOGITS}.weight")
        return projected_loss(made[LOGITS].flatten(0, 1), weight, batch["targets"]), after


def learn(hidden: int, prepared, seconds: float) -> dict[str, tuple[int, float]]:
    """Steps made in so much processor time, and nats a token of the validation text after them."""
    config = NetworkConfig(
        hidden_size=hidden, layers=2, embedding_size=hidden, dropout=0.3, input_dropout=0.3
    )
    found = {}
    for name, own in {
        "full, tied": replace(config, tied=True),
        "full": config,
        "adaptive": replace(config, softmax="adaptive"),
    }.items():
        step = Step(build_network(own, prepared.port), prepared)
        if own.tied:
            start_tied(step.model)
        taken, epoch = 0.0, step.job.steps(0)
        while taken < 1e3 * seconds and step.number < epoch:
            taken += sum(step())
        step.model.eval()
        with torch.no_grad():
            found[name] = step.number, step.job.validate()["validation_loss"]
        print(
            f"2x{hidden}  {name:12} {step.number:6,} steps   validation {found[name][1]:.4f} nats", flush=True
        )
    return found


def competitors(hidden: int, prepared) -> dict[str, Step]:
    """By name."""
    size = prepared.port.size
    config = NetworkConfig(
        hidden_size=hidden, layers=2, embedding_size=hidden, dropout=0.3, input_dropout=0.3
    )
    full = build_network(config, prepared.port)
    made = {"full": Step(full, prepared), "rows": Step(full, prepared, rows=True)}
    for cut in (cutoffs(size), (size // 20,), (size // 5, 3 * size // 5)):
        *nodes, last = full.nodes
        nodes.append(Node(LOGITS, ops.AdaptiveSoftmax(size, cut), last.inputs))
        name = f"adaptive {', '.join(f'{c:,}' for c in cut)}"
        made[name] = Step(Graph(full.inputs, tuple(nodes), full.outputs), prepared)
    return made


def main() -> None:
    """Parse the command line, take turns, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hidden", type=int, nargs="+", default=[200, 400])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--learn", type=float, metavar="SECONDS")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    train, valid = (data_folder("ptb") / f"ptb.{part}.txt.gz" for part in ("train", "valid"))
    prepared = prepare_text(train, valid, None, TextOptions("space", 20_000, None, False, 0.0, 0.0))
    counts = prepared.arrays["task.unigram"]
    print(f"{prepared.port.size:,} codes; tokens at or above a cut:", end="")
    for cut in (500, 1000, 2000, 4000, 6000):
        print(f"  {cut:,}: {counts[cut:].sum() / counts.sum():.2%}", end="")
    print(flush=True)
    found: dict[int, dict] = {}
    if args.learn:
        found = {hidden: learn(hidden, prepared, args.learn) for hidden in args.hidden}
        args.hidden = []
    for hidden in args.hidden:
        steps = competitors(hidden, prepared)
        times = {name: np.array([step()][:0]).reshape(0, 2) for name, step in steps.items()}
        for _ in range(args.rounds):
            for name, step in steps.items():
                times[name] = np.concatenate([times[name], [step()]])
        for name, taken in times.items():
            low, middle, high = np.quantile(taken[:, 0], [0.25, 0.5, 0.75])
            all_of_it = np.median(taken.sum(axis=1))
            ratio = np.median(times["full"].sum(axis=1) / taken.sum(axis=1))
            print(
                f"2x{hidden}  {name:24} loss {middle:6.0f} [{low:.0f} {high:.0f}] ms   with the update "
                f"{all_of_it:6.0f} ms   full takes {ratio:.2f} times as long"
            )
        found[hidden] = {name: taken.tolist() for name, taken in times.items()}
    if args.json:
        args.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
