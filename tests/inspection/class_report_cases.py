"""Classifiers of every kind, scored: what a report is made from, in milliseconds, without a weight."""

from dataclasses import dataclass

import numpy as np
from report_cases import a_history

from grus.decode import ClassEvaluation
from grus.decode.class_scores import evaluate_classes
from grus.preprocess.examples import Examples
from grus.spec import Classify, Codes, CovariateScale, Graph, Images, Model, Node, Vocabulary, ops
from grus.training import History


@dataclass(frozen=True)
class ClassCase:
    parts: dict[str, Examples]
    history: History
    evaluations: dict[str, ClassEvaluation]
    model: Model


def a_class_case(
    kind: str = "text",
    *,
    labels: tuple[str, ...] = ("<a> & co", "b", "c$x$"),
    multi: bool = False,
    validation: int = 40,
    test: int = 60,
    strength: float = 2.0,
    pool: ops.Pool | ops.AttentionPool | None = None,
) -> ClassCase:
    """A classifier that is right the more often the larger ``strength`` is; infinite: always."""
    rng = np.random.default_rng(0)
    model = a_class_model(kind, labels, multi, pool or ops.Pool("max"))
    parts = {
        name: some_examples(kind, rows, labels, multi, rng)
        for name, rows in (("train", 100), ("validation", validation), ("test", test))
        if rows
    }
    evaluations = {}
    for name in ("test", "validation"):
        if name in parts:
            own = guess(parts[name], labels, multi, strength, rng)
            baselines = {"majority": guess(parts[name], labels, multi, 0.0, rng),
                         "bag of words": guess(parts[name], labels, multi, 1.0, rng)}  # fmt: skip
            evaluations[name] = evaluate_classes(model.task, own, parts[name].labels, baselines)
    return ClassCase(parts, a_history(accuracy=0.9), evaluations, model)


def a_class_model(kind: str, labels: tuple[str, ...], multi: bool, pool: ops.Op) -> Model:
    """A spec of the kind: bidirectional GRU, pool, one logit a label."""
    steps = {
        "text": Vocabulary("word", True, ("the", "a", "<b>")),
        "series": CovariateScale(("x", "y")),
        "images": Images(6, 5, 1),
        "events": Codes(("A1", "B2", "C3", "D4")),
    }
    inputs = {"text": ("text",), "series": ("x", "y"), "images": (), "events": ("code",)}
    task = Classify(kind=kind, labels=labels, inputs=inputs[kind], max_length=50, multi=multi, label="label")
    port = steps[kind].port()
    nodes, x = [], port.name
    if port.kind == "tokens":
        nodes, x = [Node("embedding", ops.Embedding(port.size, 4), (x,))], "embedding"
    nodes += [
        Node("encoder", ops.GRU(3, bidirectional=True), (x,)),
        Node("pool", pool, ("encoder",)),
        Node("logits", ops.Linear(len(labels)), ("pool",)),
    ]
    return Model(1, task, (steps[kind],), {"main": Graph((port,), tuple(nodes), {"logits": "logits"})})


def some_examples(
    kind: str, rows: int, labels: tuple[str, ...], multi: bool, rng: np.random.Generator
) -> Examples:
    """Examples of a kind, the first label the most frequent."""
    if multi:
        given = [tuple(name for name in labels if rng.random() < 0.4) for _ in range(rows)]
    else:
        share = np.arange(len(labels), 0, -1.0)
        given = [(labels[i],) for i in rng.choice(len(labels), rows, p=share / share.sum())]
    ids = np.array([f"row <{i}>" for i in range(rows)], object)
    if kind == "text":
        words = np.array(["the", "<b>film</b>", "was", "good", "bad", "&", "not", "at", "all"])
        texts = [" ".join(rng.choice(words, rng.integers(0, 120))) for _ in range(rows)]
        return Examples("text", rows, ("text",), labels=given, texts=texts)
    if kind == "images":
        images = rng.integers(0, 255, (rows, 6, 5, 1), np.uint8)
        return Examples("images", rows, (), ids, given, images=images)
    lengths = rng.integers(0, 12, rows)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    if kind == "series":
        series = rng.normal(size=(offsets[-1], 2)).cumsum(0) * [1, 1000]
        series[rng.random(series.shape) < 0.1] = np.nan
        return Examples("series", rows, ("x", "y"), ids, given, offsets=offsets, series=series)
    counts = rng.integers(0, 12, offsets[-1])
    gaps = rng.integers(0, 90, offsets[-1]).astype(float)
    gaps[offsets[:-1][lengths > 0]] = np.nan
    return Examples(
        "events", rows, ("code",), ids, given, offsets=offsets, words=("A1", "B2", "C3", "D4", "E<5>"),
        codes=rng.integers(0, 5, counts.sum()).astype(np.int32),
        visits=np.concatenate(([0], np.cumsum(counts))), gaps=gaps,
    )  # fmt: skip


def guess(
    examples: Examples, labels: tuple[str, ...], multi: bool, strength: float, rng: np.random.Generator
) -> np.ndarray:
    """Probabilities [R, C] that lean to the truth."""
    truth = np.array([[name in given for name in labels] for given in examples.labels], float)
    if np.isinf(strength):
        sure = 0.9 * truth + 0.1 * (1 - truth)
        return sure if multi else sure / sure.sum(1, keepdims=True)
    logits = rng.normal(size=truth.shape) * 1.5 + strength * (2 * truth - multi)
    weight = np.exp(logits)
    return weight / (1 + weight) if multi else weight / weight.sum(1, keepdims=True)
