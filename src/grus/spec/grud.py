"""The GRU for values that are missing and times that are uneven, GRU-D; part of `grus.spec.ops`."""

from typing import ClassVar

from grus.errors import SpecError
from grus.spec.op import Inputs, Op, Outputs, Time, Weights
from grus.spec.recurrent import GRU
from grus.spec.shapes import Shape, check_size, want


class GRUD(Op, frozen=True, tag="grud"):
    """GRU-D (Che et al. 2018): a GRU over values of which some are missing, in which what was seen last fades.

        s_t = gap_t + since_{t-1}                             how long ago each variable was observed
        xhat_t = m_t ? x_t : gx_t * last_{t-1}                gx_t = exp(-max(0, w * s_t + b))
        h_t = GRU([xhat_t, m_t], gh_t * h_{t-1})              gh_t = exp(-max(0, W s_t + c))
        last_t = m_t ? x_t : last_{t-1};  since_t = m_t ? 0 : s_t

    A missing value decays from the last one observed to 0, which is the paper's mean once the inputs are standardised.
    Inputs, all seqs on one clock: x [D]; the mask m [D], where more than 1/2 says observed, as 1 does (it enters as 1
    or 0, and x is never read where it is 0); gap [1], the time since the row before, in any unit, finite and at least
    0; and optionally the three states before the first step, vecs h [hidden], last [D] and since [D], all of them or none:
    zeros. Outputs: h_t, and the final states ``name.h``, ``name.last`` and ``name.since``. Tensors of the GRU are named
    as in torch.nn.GRU; ``input_decay_weight`` is w and ``input_decay_bias`` b [D], ``state_decay_weight`` W [hidden, D]
    and ``state_decay_bias`` c [hidden]. See `grus.kernels.reference_grud`.
    """

    arity: ClassVar[tuple[int, int]] = (3, 6)
    states: ClassVar[tuple[str, ...]] = (".h", ".last", ".since")
    hidden: int

    @property
    def time(self) -> Time:
        return "causal"

    @property
    def layer(self) -> GRU:
        """The GRU within."""
        return GRU(self.hidden)

    def sizes(self, size: int) -> tuple[int, ...]:
        """The sizes of the states, from that of x."""
        return self.hidden, size, size

    def infer(self, inputs: Inputs) -> Outputs:
        check_size("GRUD: hidden", self.hidden)
        x, mask, gap = (
            want(f"GRUD: {name}", shape, "seq")
            for name, shape in zip(("x", "mask", "gap"), inputs[:3], strict=True)
        )
        if not x.clock == mask.clock == gap.clock:
            raise SpecError(
                "GRUD: x, mask and gap must tick on one clock, "
                f"got {x.clock!r}, {mask.clock!r} and {gap.clock!r}"
            )
        if mask.size != x.size:
            raise SpecError(f"GRUD: mask must have the size of x, {x.size}, got {mask.size}")
        if gap.size != 1:
            raise SpecError(f"GRUD: gap must have size 1, the time since the row before, got {gap.size}")
        check_size("GRUD: size of x and mask", 2 * x.size)
        sizes = self.sizes(x.size)
        given = inputs[3:]
        if given and len(given) != len(sizes):
            raise SpecError(
                f"GRUD: initial state must be h, last and since, or none, got {len(given)} of them"
            )
        for name, size, shape in zip(self.states, sizes, given):
            if want(f"GRUD: initial {name[1:]}", shape, "vec").size != size:
                raise SpecError(f"GRUD: initial {name[1:]} must have size {size}, got {shape.size}")
        states = {name: Shape("vec", size) for name, size in zip(self.states, sizes, strict=True)}
        return {"": Shape("seq", self.hidden, x.clock)} | states

    def weights(self, inputs: Inputs) -> Weights:
        x = inputs[0]
        return self.layer.weights((Shape("seq", 2 * x.size, x.clock),)) | {
            "input_decay_weight": (x.size,),
            "input_decay_bias": (x.size,),
            "state_decay_weight": (self.hidden, x.size),
            "state_decay_bias": (self.hidden,),
        }
