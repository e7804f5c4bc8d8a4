"""What ``grus inspect`` looks at in a language model: a passage of a text, and what is expected after it."""

from collections.abc import Mapping, Sequence

import numpy as np

from grus.decode import LiveGenerator
from grus.decode.ctc import log_softmax
from grus.decode.sampling import log_probability_of
from grus.inspection.inside.case import ROWS, STEPS, Case, check_row, log_odds
from grus.inspection.inside.findings import Findings, Reader, inspect_case
from grus.inspection.wording import figure, percent
from grus.spec import Graph, Node, ops

#: Tokens of a passage, and how many of the most expected ones are named.
TOKENS, EXPECTED = 240, 3
#: What blanks and ends of lines are shown as.
_SHOWN = str.maketrans({"\n": "↵", "\r": "␍", "\t": "⇥", " ": "␣"})
_AXES = {"piece": "subword"}


def inspect_passage(
    live: LiveGenerator, tensors: Mapping[str, np.ndarray], lines: Sequence[str], row: int | None = None
) -> Findings:
    """Look at a language model while it reads a passage: the last tokens up to the end of a line, as a text of its own.

    Args:
        live: the model, with its weights in float32; tensors: its numbers by the names of the model file.
        lines: of the text, without their ends.
        row: number of the line, the first is 1 (default: the last that is not empty).

    Raises:
        UsageError: there is no such line; DataError: there is none at all. UnsupportedError: the model has no GRU.
    """
    reader = Reader.of(answering_once(live.network.program.graph), tensors)
    return inspect_case(reader, tensors, passage_case(live, lines, row))


def answering_once(graph: Graph) -> Graph:
    """The graph of a language model with logits after the last step alone: those of all would not fit in memory."""
    place = next(n for n, node in enumerate(graph.nodes) if node.name == graph.outputs["logits"])
    logits = graph.nodes[place]
    last = Node("last_step", ops.Last(), logits.inputs)
    answer = Node(logits.name, logits.op, ("last_step",), logits.weights)
    return Graph(graph.inputs, (*graph.nodes[:place], last, answer), {"logits": logits.name})


def passage_case(live: LiveGenerator, lines: Sequence[str], row: int | None = None) -> Case:
    """The passage that ends with a line, and others of its length that units are judged by; see `inspect_passage`."""
    filled = next((n for n in range(len(lines), 0, -1) if lines[n - 1].strip()), len(lines))
    chosen = check_row(row, len(lines), "the lines of the text", filled)
    codec, begin = live.codec, live.task.begin
    own = _last_lines(live, lines, chosen)
    while len(own) > 1 and sum(map(len, own)) > TOKENS:
        own = own[1:]  # a passage begins where a line does, if it can
    codes = np.concatenate(own)[-TOKENS:]
    most = max(1, min(ROWS, STEPS // (len(codes) + 1)))
    spread = np.unique(np.linspace(0, len(lines) - 1, most).round().astype(np.int64))
    others = [np.concatenate(_last_lines(live, lines, int(n))) for n in spread if n != chosen]
    whole = [other[-len(codes) :] for other in others if len(other) >= len(codes)]
    rows = np.array([[begin, *some] for some in (codes, *whole)], np.int64)
    logits, _ = live.network.logits(rows[:1], live.network.network(live.init_state()))
    shares = np.exp(log_softmax(logits[0, -1:])[0])
    shares[0] = 0  # never put out
    best = np.argsort(-shares, kind="stable")[:EXPECTED].tolist()
    cost = -log_probability_of(logits[:, :-1], codes[None])[0]
    axis = _AXES.get(codec.unit, codec.unit)

    def shown(code: int) -> str:
        return codec.spell(code).translate(_SHOWN)

    said = ", ".join(f"“{shown(code)}” with {percent(float(shares[code]))}" for code in best)
    return Case(
        title=f"line {chosen + 1:,} of {len(lines):,}, with the {len(codes):,} {axis}s up to its end",
        axis=axis,
        inputs={live.network.program.graph.inputs[0].name: rows},
        lengths=np.full(len(rows), rows.shape[1]),
        answer=f"After it the model expects {said}. The passage cost {figure(float(cost.mean()), 3)} nats a {axis}.",
        unit=f"log-odds of “{shown(best[0])}”",
        score=log_odds(best[0], 1.0, multi=False),
        names=("▸", *map(shown, codes.tolist())),
        unknown=(False, *(codes == 0).tolist()),
        surprise=np.concatenate(([0.0], cost)),
    )


def _last_lines(live: LiveGenerator, lines: Sequence[str], last: int) -> list[np.ndarray]:
    """The codes of the last lines, of `TOKENS` tokens or more where there are as many."""
    found: list[np.ndarray] = []
    first = last + 1
    while first and sum(map(len, found)) < TOKENS:
        first -= 1
        found.insert(0, live.codec.encode(lines[first] + "\n").codes)
    return found
