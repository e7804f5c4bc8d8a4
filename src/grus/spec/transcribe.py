"""The transcription task: recordings in, what was said out, learned without knowing when (CTC)."""

import msgspec

from grus.errors import SpecError
from grus.spec.graph import Graph, infer
from grus.spec.op import Weights
from grus.spec.shapes import Shape
from grus.spec.steps import AnyStep, LogMel, Vocabulary


class Transcribe(msgspec.Struct, frozen=True, tag_field="task", tag="transcribe", forbid_unknown_fields=True):
    """The transcription task: two steps, `LogMel` and a `Vocabulary` of the units that are written.

    The graph has one input ``x`` on the clock ``src`` and the output ``logits``, a seq on that clock: of every step the
    units of the vocabulary by their codes, and at code 0 the blank of connectionist temporal classification (Graves et
    al. 2006): nothing new is written at that step. Units of kind ``word`` are joined by spaces.

    ``transcript`` is the column of transcripts, for tables.
    """

    transcript: str | None = None

    def arrays(self) -> Weights:
        """No fitted tensors."""
        return {}

    def check(self) -> None:
        """Nothing to check but the model as a whole."""

    def vocabulary(self, steps: tuple[AnyStep, ...]) -> Vocabulary:
        """The units; raises SpecError unless the steps are this task's."""
        found = [step for step in steps if isinstance(step, Vocabulary)]
        if len(steps) != 2 or len(found) != 1 or not any(isinstance(step, LogMel) for step in steps):
            raise SpecError(f"transcribe: needs two steps, LogMel and Vocabulary, got {len(steps)}")
        if found[0].exact or found[0].side:
            raise SpecError("transcribe: transcripts must be cleaned, and have no side")
        return found[0]

    def check_model(self, steps: tuple[AnyStep, ...], parts: dict[str, Graph]) -> None:
        """Raise SpecError unless the steps and the graph are this task's."""
        units = self.vocabulary(steps).port().size
        port = next(step for step in steps if isinstance(step, LogMel)).port()
        if set(parts) != {"main"} or parts["main"].inputs != (port,):
            raise SpecError(f"transcribe: the graph must have one input, {port.name!r} of size {port.size}")
        shapes, outputs = infer(parts["main"]), parts["main"].outputs
        if set(outputs) != {"logits"} or shapes[outputs["logits"]] != Shape("seq", units, "src"):
            raise SpecError(
                f"transcribe: the graph must have one output, 'logits' of size {units} at every step"
            )
