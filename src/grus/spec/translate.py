"""The translation task: two vocabularies, an encode part that makes a memory, and a decode part that looks at it."""

import msgspec

from grus.errors import SpecError
from grus.spec.graph import Graph, Port, infer
from grus.spec.op import Weights
from grus.spec.shapes import Shape, check_size
from grus.spec.steps import AnyStep, Subwords, Vocabulary

#: No sentence may be longer, in tokens: a decoder is run that far, whatever the size of the network.
MAX_TOKENS = 1 << 16


class Translate(msgspec.Struct, frozen=True, tag_field="task", tag="translate", forbid_unknown_fields=True):
    """The translation task: which columns or languages, and how long a sentence may be.

    A vocabulary of n codes (0 is the unknown one) is followed by the code n, the end: it closes every source, opens
    and closes every target. The part ``encode`` reads ``source`` tokens on the clock ``src``, and puts out ``memory``
    and ``keys`` on that clock and ``state``, a vec. The part ``decode`` reads ``target`` tokens on the clock ``tgt``,
    ``memory`` and ``keys`` as memories and ``state``, and puts out ``logits`` of the next token and ``attention``.

    ``max_source`` and ``max_target`` are how many tokens of a sentence are kept, the end not counted.
    ``length_penalty`` is a: beam search ranks sentences y by log p(y) / |y|^a.
    """

    source: str
    target: str
    max_source: int
    max_target: int
    length_penalty: float = 1.0

    def arrays(self) -> Weights:
        """No fitted tensors."""
        return {}

    def check(self) -> None:
        """Raise SpecError unless the numbers and names make sense."""
        for what in ("max_source", "max_target"):
            check_size(f"translate: {what}", getattr(self, what), high=MAX_TOKENS)
        if not self.source or not self.target:
            raise SpecError("translate: source and target must have names")
        if not 0 <= self.length_penalty <= 10:
            raise SpecError(f"translate: length_penalty must be from 0 to 10, got {self.length_penalty!r}")

    def vocabularies(self, steps: tuple[AnyStep, ...]) -> tuple[Vocabulary | Subwords, Vocabulary | Subwords]:
        """The source's and the target's, which may be one; raises SpecError where the steps are others."""
        found = {step.side: step for step in steps if isinstance(step, Vocabulary | Subwords)}
        if len(found) != len(steps) or set(found) not in ({""}, {"source", "target"}):
            raise SpecError(
                "translate: needs one vocabulary for both sides, or one with side 'source' and one with 'target', "
                f"got {len(steps)} steps"
            )
        return found.get("source") or found[""], found.get("target") or found[""]

    def sizes(self, steps: tuple[AnyStep, ...]) -> tuple[int, int]:
        """How many codes of the source and of the target there are, the end included; the end is the last."""
        source, target = (step.port().size + 1 for step in self.vocabularies(steps))
        return source, target

    def check_model(self, steps: tuple[AnyStep, ...], parts: dict[str, Graph]) -> None:
        """Raise SpecError unless the steps and the graphs are this task's."""
        source, target = self.sizes(steps)
        if set(parts) != {"encode", "decode"}:
            raise SpecError(f"translate: parts must be encode and decode, got {', '.join(sorted(parts))}")
        if parts["encode"].inputs != (Port("source", "tokens", source, "src"),):
            raise SpecError(f"translate: encode must have one input, 'source' of {source} codes")
        made, outputs = infer(parts["encode"]), parts["encode"].outputs
        shapes = {name: made[node] for name, node in outputs.items()}
        sizes = {name: shape.size for name, shape in shapes.items()}
        wanted = {name: Shape("seq", sizes.get(name, 0), "src") for name in ("memory", "keys")}
        if shapes != wanted | {"state": Shape("vec", sizes.get("state", 0))}:
            raise SpecError(
                "translate: encode must put out memory and keys, of the source's steps, and state, a vec"
            )
        ports = (
            Port("target", "tokens", target, "tgt"),
            *(Port(name, "memory", sizes[name], "src") for name in ("memory", "keys")),
            Port("state", "vec", sizes["state"]),
        )
        if parts["decode"].inputs != ports:
            raise SpecError(
                f"translate: decode must have the inputs target, of {target} codes, and what encode puts out"
            )
        made, outputs = infer(parts["decode"]), parts["decode"].outputs
        shapes = {name: made[node] for name, node in outputs.items()}
        if shapes != {"logits": Shape("seq", target, "tgt"), "attention": Shape("alignment", 1, "tgt")}:
            raise SpecError(f"translate: decode must put out logits of {target} codes, and attention")
