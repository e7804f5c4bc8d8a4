"""Generation: a character model of two layers of 256 units at batch 1, beside a plain torch loop over nn.GRU.

    scripts/bench generate [--tokens 400] [--rounds 9] [--threads 1]

Both draw every token from the softmax at temperature 1 and put the characters together; ours through
`LiveGenerator.stream`, as `grus generate` does, theirs as a loop of Embedding, GRU, Linear, softmax, multinomial in
`torch.inference_mode`. First the logits of a text are compared step by step, and the text of greedy choices; then both
take turns (grus/benchmark/timing.py). Microseconds a token, median [quartiles]; also with top-k and top-p (ours only).
"""

import argparse
import json
import os
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import torch

from grus import benchmark
from grus.benchmark import Spread
from grus.benchmark.timing import interleaved
from grus.decode import LiveGenerator
from grus.models import GraphModule
from grus.spec import Generate, Model, Vocabulary
from grus.tasks.generate_networks import NetworkConfig, build_network

LETTERS = "\n" + "".join(map(chr, range(32, 96)))  # 65, as Tiny Shakespeare has


def make() -> tuple[LiveGenerator, GraphModule]:
    """A model of random weights, large enough that its choices differ from step to step."""
    step = Vocabulary("char", False, tuple(LETTERS), exact=True)
    torch.manual_seed(0)
    module = GraphModule(build_network(NetworkConfig(), step.port())).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(3.0)
    task = Generate("text", step.port().size, begin=1)
    model = Model(1, task, (step,), {"main": module.graph})
    tensors = {f"main.{name}": values for name, values in module.tensors().items()}
    return LiveGenerator(model, tensors | {"task.unigram": np.ones(task.size)}), module


class Plain:
    """What one writes with torch alone."""

    def __init__(self, module: GraphModule) -> None:
        self.embedding, self.linear = module.nodes["embedding"].weight, module.nodes["logits"]
        layers = module.nodes["layers"]
        self.gru = torch.nn.GRU(layers.input_size, layers.hidden_size, layers.num_layers, batch_first=True)
        self.gru.load_state_dict(layers.state_dict())
        self.gru.eval()

    def step(self, token: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.nn.functional.embedding(token, self.embedding)
        y, h = self.gru(x, h)
        return torch.nn.functional.linear(y[:, -1], self.linear.weight, self.linear.bias), h

    @torch.inference_mode()
    def generate(self, tokens: int, greedy: bool = False) -> str:
        token, h, text = torch.tensor([[1]]), torch.zeros(2, 1, self.gru.hidden_size), []
        for _ in range(tokens):
            logits, h = self.step(token, h)
            logits[:, 0] = -torch.inf
            token = (
                logits.argmax(-1, keepdim=True) if greedy else torch.multinomial(torch.softmax(logits, -1), 1)
            )
            text.append(LETTERS[token.item() - 1])
        return "".join(text)


def check(live: LiveGenerator, plain: Plain) -> float:
    """Stop at a wrong answer; the largest difference of logits under forced tokens."""
    codes = np.random.default_rng(0).integers(1, len(LETTERS) + 1, 300)
    network, h, worst = live.network.program.init_state(1), torch.zeros(2, 1, plain.gru.hidden_size), 0.0
    with torch.inference_mode():
        for code in codes:
            ours, network = live.network.logits(np.array([[code]]), network)
            theirs, h = plain.step(torch.tensor([[int(code)]]), h)
            worst = max(worst, float(np.abs(ours[0, 0] - theirs[0].numpy()).max()))
    greedy = live.generate(max_new_tokens=300, temperature=0.0).text
    if worst > 1e-3 or greedy != plain.generate(300, greedy=True):
        raise SystemExit(f"generate: ours and torch differ (logits by {worst:.2g})")
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=400, help="a call")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    live, module = make()
    plain = Plain(module)
    n = options.tokens

    def ours(**how: Any) -> Callable[[], object]:
        return lambda: "".join(live.stream(max_new_tokens=n, seed=0, **how))

    jobs: dict[str, Callable[[], object]] = {
        "torch": lambda: plain.generate(n),
        "grus": ours(),
        "grus, top_k=40": ours(top_k=40),
        "grus, top_p=0.9": ours(top_p=0.9),
    }
    with benchmark.using_threads(options.threads):
        worst = check(live, plain)
        times = {name: 1e3 * t / n for name, t in interleaved(jobs, options.rounds).items()}
    told: dict[str, Any] = {name: msgspec.to_builtins(Spread.of(t)) for name, t in times.items()}
    told["torch_over_grus"] = float(np.median(times["torch"] / times["grus"]))
    told |= {"largest_difference_of_logits": worst, "threads": options.threads, "load": os.getloadavg()[0]}
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
