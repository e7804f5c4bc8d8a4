"""What an operation is: the base of all of them, and the words in which they speak of themselves."""

from typing import ClassVar, Literal

import msgspec

from grus.spec.shapes import Shape

#: pointwise: each step alone; causal: a state is carried from step to step; pool: a running summary of all steps;
#: window: works on blocks of steps, buffering a partial block; whole: needs the whole sequence, so it cannot stream.
Time = Literal["pointwise", "causal", "pool", "window", "whole"]

Inputs = tuple[Shape, ...]
Outputs = dict[str, Shape]
Weights = dict[str, tuple[int, ...]]


class Op(msgspec.Struct, frozen=True, tag_field="op", forbid_unknown_fields=True):
    """Base of all ops; ``arity`` is the least and largest number of inputs."""

    arity: ClassVar[tuple[int, int]] = (1, 1)

    @property
    def name(self) -> str:
        """The op's class name, as errors and config.json spell it."""
        return type(self).__name__

    @property
    def time(self) -> Time:
        """Behaviour in time."""
        return "pointwise"

    def infer(self, inputs: Inputs) -> Outputs:
        """Output shapes by suffix; raises SpecError where the inputs do not fit."""
        raise NotImplementedError

    def weights(self, inputs: Inputs) -> Weights:
        """Weight tensors by name and shape; none unless the op says otherwise."""
        return {}
