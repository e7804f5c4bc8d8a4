"""Small language models, made without training, and text to feed them."""

import numpy as np

from grus.preprocess.language import Tokenizer, fit_text_step
from grus.spec import Generate, Model
from grus.tasks.generate_networks import NetworkConfig, build_network

TEXT = "To be, or not to be, that is the question:\nTo be or Whether 'tis nobler in the mind to suffer\n" * 8
UNICODE = "Zürich – 東京\n日本 🐦 naïve\n" * 5


def language_model(
    tokenizer: Tokenizer = "char",
    text: str = TEXT,
    seed: int = 0,
    scale: float = 0.6,
    size: int = 300,
    **network,
) -> tuple[Model, dict[str, np.ndarray]]:
    """A model of random weights, large enough that its choices differ from step to step, and its tensors."""
    step = fit_text_step([text], tokenizer, size=size, min_count=1)
    sizes = {"hidden_size": 12, "layers": 2, "embedding_size": 12} | network
    port = step.port()
    graph = build_network(NetworkConfig(**sizes), port)
    task = Generate("text", port.size, 1, pairs=port.size <= 512)
    model = Model(1, task, (step,), {"main": graph})
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, (dtype, shape) in model.tensors().items():
        tensors[name] = (
            rng.normal(0, scale, shape).astype(dtype)
            if name.startswith("main")
            else rng.integers(0, 9, shape).astype(dtype)
        )
    return model, tensors
