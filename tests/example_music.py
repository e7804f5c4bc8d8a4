"""A small model of music with weights drawn by chance, for tests that need no training."""

import numpy as np

from grus.decode.music.composer import LiveComposer
from grus.preprocess.music.codes import END
from grus.spec import Generate, Graph, Model, Node, ops, weight_shapes


def a_music_model(step, seed=0, pairs=True):
    """A model of ``step``'s tokens, and its tensors."""
    port = step.port()
    graph = Graph(
        (port,),
        (
            Node("embedding", ops.Embedding(port.size, 6), ("tokens",)),
            Node("layers", ops.GRU(8), ("embedding",)),
            Node("logits", ops.Linear(port.size), ("layers",)),
        ),
        {"logits": "logits"},
    )
    rng = np.random.default_rng(seed)
    tensors = {
        f"main.{name}": rng.normal(size=shape).astype(np.float32)
        for name, shape in weight_shapes(graph).items()
    }
    tensors["task.unigram"] = rng.integers(0, 9, port.size).astype(np.float64)
    if pairs:
        tensors["task.bigram"] = rng.integers(0, 3, (port.size, port.size)).astype(np.float64)
    return Model(1, Generate("midi", port.size, END, pairs), (step,), {"main": graph}), tensors


def a_composer(step, seed=0, pairs=True):
    return LiveComposer(*a_music_model(step, seed, pairs))
