"""The attentive decoder: a GRU that looks at a memory at every step; part of `grus.spec.ops`."""

from typing import ClassVar, Literal

from grus.errors import SpecError
from grus.spec.op import Inputs, Op, Outputs, Time, Weights
from grus.spec.recurrent import GRU
from grus.spec.shapes import Shape, check_size, want

SCORES = ("additive", "multiplicative")
FORMS = ("conditional", "plain")


class AttentiveGRU(Op, frozen=True, tag="attentive_gru"):
    """A GRU over a sequence that at every step takes in what it attends to in a memory.

        q_t = GRU_0(x_t, s_{t-1})                      conditional: two GRUs (Sennrich et al. 2017, Nematus)
        a_t = softmax over j of score(q_t, k_j)        j: the valid steps of the memory
        c_t = sum over j of a_tj m_j                   zeros where the memory has no valid step
        s_t = GRU_1(c_t, q_t)

        q_t = s_{t-1};  s_t = GRU_0([x_t, c_t], s_{t-1})     plain: one GRU (Bahdanau et al. 2015)

        score(q, k) = v . tanh(W q + k)                additive
        score(q, k) = q . k                            multiplicative (Luong et al. 2015, "general")

    Inputs: a seq x; the memory m and its keys k, both of kind memory on one clock of their own, which are given whole
    with every chunk of x; and optionally the state before the first step, a vec [hidden]. Keys are a linear function of
    the memory (``Linear(keys)(m)``), made once where the memory is made. Outputs: s_t; ``name.context`` c_t;
    ``name.attention`` a_t; and the final state ``name.h``. Tensors of the GRUs are named as in torch.nn.GRU, ``l0`` and
    ``l1``; ``query`` is W [keys, hidden] and ``vector`` is v [keys].
    """

    arity: ClassVar[tuple[int, int]] = (3, 4)
    hidden: int
    score: Literal["additive", "multiplicative"] = "additive"
    form: Literal["conditional", "plain"] = "conditional"

    @property
    def time(self) -> Time:
        return "causal"

    def cells(self, size: int, memory: int) -> tuple[tuple[GRU, int], ...]:
        """The GRUs in order, each with the size of its input, from the sizes of x and of the memory."""
        layer = GRU(self.hidden)
        if self.form == "conditional":
            return (layer, size), (layer, memory)
        return ((layer, size + memory),)

    def infer(self, inputs: Inputs) -> Outputs:
        check_size("AttentiveGRU: hidden", self.hidden)
        if self.score not in SCORES or self.form not in FORMS:
            raise SpecError(
                "AttentiveGRU: score must be additive or multiplicative and form conditional or plain, "
                f"got {self.score!r} and {self.form!r}"
            )
        x = want("AttentiveGRU", inputs[0], "seq")
        memory, keys = (want("AttentiveGRU: memory and keys", shape, "memory") for shape in inputs[1:3])
        if memory.clock != keys.clock or memory.clock == x.clock:
            raise SpecError(
                "AttentiveGRU: memory and keys must tick on one clock, which is not that of x, "
                f"got {memory.clock!r}, {keys.clock!r} and {x.clock!r}"
            )
        if self.score == "multiplicative" and keys.size != self.hidden:
            raise SpecError(f"AttentiveGRU: keys must have the state's size {self.hidden}, got {keys.size}")
        for state in inputs[3:]:
            if want("AttentiveGRU: initial state", state, "vec").size != self.hidden:
                raise SpecError(f"AttentiveGRU: initial state must have size {self.hidden}, got {state.size}")
        check_size("AttentiveGRU: size of x and memory", x.size + memory.size)
        return {
            "": Shape("seq", self.hidden, x.clock),
            ".context": Shape("seq", memory.size, x.clock),
            ".attention": Shape("alignment", 1, x.clock),
            ".h": Shape("vec", self.hidden),
        }

    def weights(self, inputs: Inputs) -> Weights:
        x, memory, keys = inputs[:3]
        shapes: Weights = {}
        for number, (layer, size) in enumerate(self.cells(x.size, memory.size)):
            cell = layer.weights((Shape("seq", size, x.clock),))
            shapes |= {name.replace("_l0", f"_l{number}"): shape for name, shape in cell.items()}
        if self.score == "additive":
            shapes |= {"query": (keys.size, self.hidden), "vector": (keys.size,)}
        return shapes
