"""A language model in C: one token in, a logit for every token that may be next out."""

from collections.abc import Mapping

import numpy as np

from grus.decode.token_model import TokenModel
from grus.export.c99.builder import Argument, Body, Precision, Unit, Value
from grus.export.c99.builder import Function as CFunction
from grus.export.c99.driver import Call
from grus.export.c99.lower import lower
from grus.export.c99.program import Program, clearing, finish
from grus.spec import Generate, Model

Tensors = Mapping[str, np.ndarray]

#: Tokens of a stream, and streams; each begins with a reset, so the second shows that nothing is left of the first.
_STEPS, _STREAMS = 24, 2


def generator_program(model: Model, tensors: Tensors, name: str, precision: Precision) -> Program:
    """The program of a language model: init, reset, and step, which takes one token and puts out logits.

    Raises:
        UnsupportedError: the network cannot run step by step.
    """
    task, graph = model.task_as(Generate), model.parts["main"]
    unit = Unit(precision)
    body = Body(unit, carried=True)
    weights = {key.removeprefix("main."): value for key, value in tensors.items() if key.startswith("main.")}
    logits = lower(body, graph, weights, {graph.inputs[0].name: Value("&token", 1, 1)}, {"src": 1})["logits"]
    note = (
        f"the code of a token, 0 to {task.size - 1}, 0 for one that is not known, {task.begin} before the first; the "
        "tokens in code order from 1 stand in the model's config.json"
    )
    out = Argument(
        "float", "logits", task.size,
        "of the token that is next, whose probability is their softmax; or NULL, which saves their computation",
    )  # fmt: skip
    text = finish(body, [(out, logits.at)])
    step = CFunction(
        "step", "Read one token.", (Argument("int32_t", "token", 0, note),), (out,), text, body.multiplies
    )
    about = (
        "A language model written by Grus: C99, no allocation, no library but libm; floats are IEEE 754.",
        f"Use: declare one {name}_state a stream, {name}_init it once, {name}_step it with every token, {name}_reset "
        "it where a new text begins. Draw the next token from the softmax of the logits, never 0, and step with it.",
    )
    return Program(name, unit, (*clearing(), step), about, ())


class GeneratorTrial:
    """Streams of random tokens, and the logits after each."""

    def __init__(self, model: Model, tensors: Tensors, program: Program, seed: int = 0) -> None:
        self._model = model
        rng = np.random.default_rng(seed)
        self._streams = rng.integers(0, model.task_as(Generate).size, (_STREAMS, _STEPS))
        verbs = [f.verb for f in program.functions]
        self.calls = [Call(verbs.index("init"), ())]
        for stream in self._streams:
            self.calls.append(Call(verbs.index("reset"), ()))
            self.calls += [Call(verbs.index("step"), (np.array([token]),)) for token in stream]

    def expected(self, tensors: Tensors) -> list[np.ndarray]:
        """Logits after every token, [tokens, size] a stream."""
        network = TokenModel(self._model, tensors)
        found, _ = network.logits(self._streams, network.program.init_state(_STREAMS))
        return list(found)
