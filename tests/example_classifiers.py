"""Small examples of every kind, and classifiers of them with random weights: no training needed."""

from typing import Any

import numpy as np

from example_graphs import random_tensors
from grus.preprocess.classify import StepOptions, fit_classify_steps
from grus.preprocess.examples import Examples
from grus.spec import Classify, Graph, Model, Node, ops

#: ``irregular`` are series too, read with masks and the time since each channel was known.
KINDS = ("word", "char", "bpe", "series", "images", "events", "irregular")
WORDS = ("good", "bad", "film", "isn't", "naïve", "3.14", "日本", "well-made", "!!!", "e\u0301te", "👍🏽")


def texts(rows: int = 30, seed: int = 0) -> Examples:
    """Sentences of 0 to 12 words; the first is empty."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 13, rows)
    lengths[0] = 0
    cells = [" ".join(rng.choice(WORDS, length)) for length in lengths]
    return Examples("text", rows, ("review",), labels=_labels(rows, rng), texts=cells)


def series(rows: int = 30, seed: int = 0) -> Examples:
    """Three channels of very different size, the second with gaps, of 0 to 20 steps."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 21, rows)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    values = rng.normal(size=(offsets[-1], 3)) * [1.0, 1e6, 1e-6] + [5.0, 0.0, 1.0]
    values[rng.random(len(values)) < 0.3, 1] = np.nan
    return Examples(
        "series",
        rows,
        ("a", "b", "c"),
        np.arange(rows) * 7,
        _labels(rows, rng),
        offsets=offsets,
        series=values,
    )


def images(rows: int = 30, seed: int = 0) -> Examples:
    """Six by five pixels of two channels, the second of them always 7."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (rows, 6, 5, 2), np.uint8)
    pixels[..., 1] = 7
    return Examples("images", rows, labels=_labels(rows, rng), images=pixels)


def events(rows: int = 30, seed: int = 0) -> Examples:
    """Histories of 0 to 8 visits with 0 to 3 codes, some of them twice in one visit."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 9, rows)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    counts = rng.integers(0, 4, offsets[-1])
    visits = np.concatenate(([0], np.cumsum(counts)))
    gaps = rng.exponential(30.0, offsets[-1])
    gaps[offsets[:-1][lengths > 0]] = np.nan
    codes = rng.integers(0, 6, visits[-1]).astype(np.int32)
    words = ("I10", "E11", "J45", "F32", "Z00", "K21")
    return Examples(
        "events", rows, ("code",), np.array([f"p{i}" for i in range(rows)], object), _labels(rows, rng),
        offsets=offsets, words=words, codes=codes, visits=visits, gaps=gaps,
    )  # fmt: skip


def examples_for(kind: str, rows: int = 30, seed: int = 0) -> Examples:
    """Examples that a model of one of `KINDS` reads."""
    return {"series": series, "images": images, "events": events, "irregular": series}.get(kind, texts)(
        rows, seed
    )


def _labels(rows: int, rng: np.random.Generator) -> list[tuple[str, ...]]:
    return [(str(label),) for label in rng.choice(["no", "yes", "perhaps"], rows)]


def classifier(
    kind: str, *, multi: bool = False, pool: Any = None, max_length: int = 50
) -> tuple[Model, dict[str, np.ndarray]]:
    """A model of one of `KINDS` and its tensors: a bidirectional GRU of size 6, its weights random."""
    examples = examples_for(kind)
    tokenizer: Any = kind if kind in ("word", "char", "bpe") else "word"
    options = StepOptions(tokenizer, 300, 1, irregular="indicators" if kind == "irregular" else None)
    steps, arrays = fit_classify_steps(examples, options)
    task = Classify(
        examples.kind, ("no", "perhaps", "yes"), examples.columns, max_length, multi,
        label="kind", id=None if examples.ids is None else "id", time=None, baseline_size=0,
    )  # fmt: skip
    port = task.port(steps)
    nodes = [Node("embedding", ops.Embedding(port.size, 5), (port.name,))] if port.kind == "tokens" else []
    nodes += [
        Node("gru", ops.GRU(6, bidirectional=True), (nodes[-1].name if nodes else port.name,)),
        Node("pool", ops.Pool("max") if pool is None else pool, ("gru",)),
        Node("logits", ops.Linear(3), ("pool",)),
    ]
    graph = Graph((port,), tuple(nodes), {"logits": "logits"})
    weights = {f"main.{name}": value for name, value in random_tensors(graph).items()}
    task_arrays = {"task.temperature": np.array([1.5]), "task.prior": np.array([0.2, 0.3, 0.5])}
    return Model(1, task, steps, {"main": graph}), arrays | weights | task_arrays
