"""The task of going on with a stream of tokens: a language model of text, or of anything else that has codes."""

from typing import Literal

import msgspec

from grus.errors import SpecError
from grus.spec.graph import Graph, Port, infer
from grus.spec.ops import Weights
from grus.spec.shapes import MAX_SIZE, Shape, check_size
from grus.spec.steps import AnyStep, Music, Subwords, Vocabulary

GenerateKind = Literal["text", "midi"]

#: Up to so many codes, how often each follows each travels with the model, as a floor for its scores.
MOST_PAIRS = 512


class Generate(msgspec.Struct, frozen=True, tag_field="task", tag="generate", forbid_unknown_fields=True):
    """The task of saying how probable each token is after those before it, and so of going on with them.

    The graph has one input, the tokens on the clock ``src``, and one output ``logits``, a seq on the same clock:
    probability of the token after step t = softmax(logits_t). No step sees a later one.

    ``kind`` is what the tokens are made of, ``size`` how many codes there are. Code 0 is what is not known; it is never
    generated. ``begin`` is the code that is taken to stand before the first token. With ``pairs`` the model file has
    the counts of each code after each; of music, after what the same voice did a step before.
    """

    kind: GenerateKind
    size: int
    begin: int = 0
    pairs: bool = False

    def arrays(self) -> Weights:
        """Fitted float64 tensors: how often each code stands in the training data, and each after each."""
        counts: Weights = {"unigram": (self.size,)}
        return counts | ({"bigram": (self.size, self.size)} if self.pairs else {})

    def check(self) -> None:
        """Raise SpecError unless the numbers make sense."""
        if self.kind not in _STEPS:
            raise SpecError(f"generate: kind must be one of {', '.join(_STEPS)}, got {self.kind!r}")
        check_size("generate: size", self.size, low=2, high=MOST_PAIRS if self.pairs else MAX_SIZE)
        check_size("generate: begin", self.begin, low=0, high=self.size - 1)

    def port(self, steps: tuple[AnyStep, ...]) -> Port:
        """The graph's one input, as the fitted steps make it; raises SpecError where they are not this kind's."""
        found = [step for step in steps if isinstance(step, _STEPS[self.kind])]
        if len(steps) != 1 or len(found) != 1:
            names = " or ".join(kind.__name__ for kind in _STEPS[self.kind])
            raise SpecError(f"generate: {self.kind} needs one step, {names}, got {len(steps)} steps")
        step = found[0]
        loose = isinstance(step, Vocabulary | Subwords) and not step.exact
        if loose and not (isinstance(step, Vocabulary) and step.kind == "word"):
            raise SpecError("generate: characters and pieces must be exact, so that text can be made of them")
        if step.port().size != self.size:
            raise SpecError(f"generate: size must be {step.port().size}, as the tokens say, got {self.size}")
        return step.port()

    def check_model(self, steps: tuple[AnyStep, ...], parts: dict[str, Graph]) -> None:
        """Raise SpecError unless the steps and the graph are this task's."""
        port = self.port(steps)
        if set(parts) != {"main"} or parts["main"].inputs != (port,):
            raise SpecError(f"generate: the graph must have one input, {port.name!r} of size {port.size}")
        shapes, outputs = infer(parts["main"]), parts["main"].outputs
        if set(outputs) != {"logits"} or shapes[outputs["logits"]] != Shape("seq", self.size, port.clock):
            raise SpecError(
                f"generate: the graph must have one output, 'logits' of size {self.size} at every step"
            )
        for node in parts["main"].nodes:
            if node.op.time not in ("pointwise", "causal"):
                raise SpecError(
                    f"generate: node {node.name!r}: every step must depend on those before it only, got {node.op.name}"
                )


_STEPS: dict[str, tuple[type[Vocabulary | Subwords | Music], ...]] = {
    "text": (Vocabulary, Subwords),
    "midi": (Music,),
}
