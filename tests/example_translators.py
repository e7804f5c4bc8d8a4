"""Small translators that were never trained, for what does not depend on how good they are."""

import numpy as np

from grus.preprocess.translate import VocabularyOptions, fit_vocabularies
from grus.spec import Model, Translate
from grus.tasks.translate_networks import NetworkConfig, build_network

SOURCE = ["eins zwei drei", "vier fünf sechs sieben", "acht neun", "drei eins", "sieben"] * 2
TARGET = ["one two three", "four five six seven", "eight nine", "three one", "seven"] * 2


def a_translator(
    tokenizer="word", *, joint=False, tied=True, seed=0, scale=1.0, max_source=50, max_target=40, **sizes
) -> tuple[Model, dict[str, np.ndarray]]:
    """A spec and weights uniform in +-scale/sqrt(fan in)."""
    options = VocabularyOptions(tokenizer, 300, joint)
    steps = fit_vocabularies(SOURCE, TARGET, options)
    task = Translate("de", "en", max_source, max_target)
    sizes = {"hidden_size": 12, "embedding_size": 8} | sizes
    parts, ties = build_network(NetworkConfig(*task.sizes(steps), joint=joint, tied=tied, **sizes))
    model = Model(1, task, steps, parts, ties)
    rng = np.random.default_rng(seed)
    tensors = {
        name: (scale * rng.uniform(-1, 1, shape) / np.sqrt(shape[-1])).astype(np.float32)
        for name, (_, shape) in model.tensors().items()
    }
    return model, tensors
