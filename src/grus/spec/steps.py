"""Fitted preprocessing steps as data: what is small is in the struct, fitted numbers are float64 tensors."""

from collections.abc import Sequence
from typing import ClassVar, Literal, get_args

import msgspec

from grus.errors import SpecError
from grus.spec.graph import Port
from grus.spec.ops import Weights
from grus.spec.shapes import MAX_SIZE, check_size
from grus.spec.subwords import read_definition

#: Steps a beat; MIDI counts at most 32,767 ticks, and what we write has 120 of them a step.
MAX_STEPS_PER_BEAT = 96
#: A MIDI file has 16 channels, and the tenth is for drums.
MAX_PARTS = 15
#: Samples a second, and samples of a frame of sound: what a model file may ask for.
MAX_RATE, MAX_FRAME, MAX_MEL = 768_000, 1 << 16, 1 << 24


class Step(msgspec.Struct, frozen=True, tag_field="step", forbid_unknown_fields=True):
    """A fitted preprocessing step. What is small is in the struct; fitted numbers are float64 tensors."""

    #: the key of the step's tensors in the model file; each kind of step stands at most once in a model
    key: ClassVar[str] = ""

    @property
    def place(self) -> str:
        """What no other step of a model may be: its kind, and for vocabularies the side they are for."""
        return self.key

    def arrays(self) -> Weights:
        """Shapes of the step's fitted float64 tensors by name."""
        return {}


class Calendar(Step, frozen=True, tag="calendar"):
    """Calendar features computed from the time stamp; see `grus.preprocess.calendar`."""

    key: ClassVar[str] = "calendar"
    features: tuple[str, ...]


class Categories(Step, frozen=True, tag="categories"):
    """Known values of each categorical column, in code order; code 0 is missing or never seen."""

    key: ClassVar[str] = "categories"
    columns: dict[str, tuple[str, ...]]


class CovariateScale(Step, frozen=True, tag="covariate_scale"):
    """x -> (x - center) / scale for each numeric covariate, the same for all series.

    A gap is filled with the last value known; for the ``masked`` columns, those that had gaps in training, a 0/1
    feature tells the network which values are real.
    """

    key: ClassVar[str] = "covariate_scale"
    columns: tuple[str, ...]
    masked: tuple[str, ...] = ()

    def arrays(self) -> Weights:
        """Center and scale of each column."""
        return {"center": (len(self.columns),), "scale": (len(self.columns),)}

    def port(self) -> Port:
        """The input of a classifier of series: each channel, and after it its mask if it is masked."""
        if len(set(self.columns)) != len(self.columns) or not set(self.masked) <= set(self.columns):
            raise SpecError("covariate scale: columns must each stand once, and masked ones be among them")
        return Port("x", "seq", len(self.columns) + len(set(self.masked)), "src")


#: What a model does with values that are missing and rows that are not evenly spaced.
IrregularForm = Literal["mean", "forward", "indicators", "decay"]
IRREGULAR_FORMS: tuple[IrregularForm, ...] = get_args(IrregularForm)
#: What tells rows apart in time: dates, whole numbers, or, where there are no times, how many rows came before.
RowClock = Literal["dates", "numbers", "steps"]


class Irregular(Step, frozen=True, tag="irregular"):
    """Rows of channels of which any may be missing, at any times; z = (x - center) / scale, x held to [low, high].

    ``mean``: a missing value is 0, the mean of training. ``forward``: it is the last one known, 0 before the first.
    ``indicators``: as ``forward``, beside a 0/1 mask of each channel, and log(1 + d / gap_scale) of the time d since
    it was last seen in a row before (or since the first row). ``decay``: 0 where missing, the masks, and the time since
    the row before over gap_scale, for `grus.spec.ops.GRUD`. Times are days where the clock is dates.

    Reference: Che et al. 2018, Recurrent neural networks for multivariate time series with missing values: GRU-mean,
    GRU-forward, GRU-simple, GRU-D.
    """

    key: ClassVar[str] = "irregular"
    columns: tuple[str, ...]
    form: IrregularForm
    clock: RowClock

    def __post_init__(self) -> None:
        check_unique("irregular: columns", self.columns)
        if self.form not in IRREGULAR_FORMS:
            raise SpecError(f"irregular: form must be one of {', '.join(IRREGULAR_FORMS)}, got {self.form!r}")
        if self.clock not in get_args(RowClock):
            raise SpecError(f"irregular: clock must be dates, numbers or steps, got {self.clock!r}")

    @property
    def reads_times(self) -> bool:
        """Whether the times of rows are an input, and not only their order."""
        return self.form in ("indicators", "decay")

    def features(self) -> tuple[str, ...]:
        """Names of what it makes of a row: the values; by form a mask of each, ``a?``; ``a since`` of each, or gap."""
        if not self.reads_times:
            return self.columns
        times = ("gap",) if self.form == "decay" else tuple(f"{name} since" for name in self.columns)
        return (*self.columns, *(f"{name}?" for name in self.columns), *times)

    def arrays(self) -> Weights:
        """Center, scale and bounds of each column, and the unit of time."""
        per_column: Weights = {name: (len(self.columns),) for name in ("center", "scale", "low", "high")}
        return per_column | {"gap_scale": (1,)}

    def port(self) -> Port:
        """The input of a classifier of series: the values, then by form their masks, then times."""
        return Port("x", "seq", len(self.features()), "src")


class SeriesScale(Step, frozen=True, tag="series_scale"):
    """y -> (y - center) / scale of each series' target, by its id.

    A series that training never saw is scaled by the statistics of its newest rows as given to predict.
    """

    key: ClassVar[str] = "series_scale"
    method: Literal["standard", "robust", "none"]
    ids: tuple[str, ...]

    def arrays(self) -> Weights:
        """Center and scale of each series."""
        return {"center": (len(self.ids),), "scale": (len(self.ids),)}


#: Whose texts a vocabulary is for, where a model has two of them.
Side = Literal["", "source", "target"]


class Vocabulary(Step, frozen=True, tag="vocabulary"):
    """Known words or characters in code order, from 1; code 0 is one that is not known.

    How a text is cut is written in `grus.preprocess.text`; with ``lower`` it is put in lower case first. With ``exact``
    nothing is cleaned: characters are code points, line ends too, and words are what stands between blanks.
    """

    key: ClassVar[str] = "vocabulary"
    kind: Literal["word", "char"]
    lower: bool
    tokens: tuple[str, ...]
    exact: bool = False
    side: Side = ""

    @property
    def place(self) -> str:
        """Its kind and side."""
        return f"{self.key} {self.side}".strip()

    def __post_init__(self) -> None:
        check_unique("vocabulary: tokens", self.tokens)
        if self.kind == "char" and any(len(token) != 1 for token in self.tokens):
            odd = next(token for token in self.tokens if len(token) != 1)
            raise SpecError(f"vocabulary: a token must be one character, got {odd!r}")

    def port(self) -> Port:
        """The input of a model of text: the codes."""
        return Port("tokens", "tokens", len(self.tokens) + 1, "src")


class Subwords(Step, frozen=True, tag="subwords"):
    """Byte-level byte pair encoding (Sennrich et al. 2016), run by the library ``tokenizers``.

    ``definition`` is that library's JSON, in the one form that `grus.spec.subwords` writes. A piece's code is its
    number plus one; code 0 is never met. With ``exact`` nothing is cleaned or added: a text is its pieces joined.
    """

    key: ClassVar[str] = "subwords"
    lower: bool
    definition: str
    exact: bool = False
    side: Side = ""

    @property
    def place(self) -> str:
        """Its kind and side."""
        return f"{self.key} {self.side}".strip()

    def __post_init__(self) -> None:
        self.pieces()

    def pieces(self) -> tuple[str, ...]:
        """The pieces in the order of their numbers, a letter for each of their bytes."""
        return read_definition(self.definition, self.exact)[0]

    def port(self) -> Port:
        """The input of a model of text: the codes."""
        return Port("tokens", "tokens", len(self.pieces()) + 1, "src")


class Images(Step, frozen=True, tag="images"):
    """x -> (x - center) / scale of each channel of images of one size, whose rows of pixels are the steps."""

    key: ClassVar[str] = "images"
    height: int
    width: int
    channels: int

    def __post_init__(self) -> None:
        for what in ("height", "width", "channels"):
            check_size(f"images: {what}", getattr(self, what))
        check_size("images: width * channels", self.width * self.channels)

    def arrays(self) -> Weights:
        """Center and scale of each channel."""
        return {"center": (self.channels,), "scale": (self.channels,)}

    def port(self) -> Port:
        """The input of a classifier of images: a row of pixels a step, the channels of a pixel side by side."""
        return Port("x", "seq", self.width * self.channels, "src")


class Codes(Step, frozen=True, tag="codes"):
    """Known event codes: a step is 1 at each code of its visit, else 0, then log(1 + gap / gap_scale).

    The gap is the time since the visit before. A code that is not known is left out of its visit.
    """

    key: ClassVar[str] = "codes"
    codes: tuple[str, ...]

    def __post_init__(self) -> None:
        check_unique("codes: codes", self.codes)

    def arrays(self) -> Weights:
        """The unit of the gaps."""
        return {"gap_scale": (1,)}

    def port(self) -> Port:
        """The input of a classifier of events: the codes of a visit, then the gap before it."""
        return Port("x", "seq", len(self.codes) + 1, "src")


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A voice, and its lowest and highest pitch as MIDI numbers (60 is middle C)."""

    name: str
    low: int
    high: int

    def __post_init__(self) -> None:
        check_size(f"music: part {self.name!r}: high", self.high, 0, 127)
        check_size(f"music: part {self.name!r}: low", self.low, 0, self.high)


class Music(Step, frozen=True, tag="music"):
    """The tokens of a piece of music; `grus.preprocess.music` writes and reads them.

    A beat is a quarter note and has ``steps_per_beat`` steps; what lies between steps is moved to the nearest. In
    ``voices`` every step has one token of each part: silence, a pitch that begins, or a pitch that is held. In
    ``polyphony`` there is one part, in which any number of pitches begin and end.

    ``tempos`` are in beats a minute, ``meters`` time signatures such as (3, 4); the most frequent ones come first.
    Without meters a piece has beats but no bars.
    """

    key: ClassVar[str] = "music"
    layout: Literal["voices", "polyphony"]
    steps_per_beat: int
    parts: tuple[Part, ...]
    tempos: tuple[int, ...]
    meters: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        check_size("music: steps_per_beat", self.steps_per_beat, high=MAX_STEPS_PER_BEAT)
        check_size("music: how many parts", len(self.parts), high=MAX_PARTS if self.layout == "voices" else 1)
        check_unique("music: parts", [part.name for part in self.parts])
        check_size("music: how many tempos", len(self.tempos), high=1000)
        for tempo in self.tempos:
            check_size("music: tempo", tempo, 4, 1000)
        if len(set(self.tempos)) != len(self.tempos) or len(set(self.meters)) != len(self.meters):
            raise SpecError("music: tempos and meters must each stand once")
        for meter in self.meters:
            if not bar_steps(meter, self.steps_per_beat):
                raise SpecError(f"music: a bar must be whole steps, got {meter[0]}/{meter[1]}")

    def size(self) -> int:
        """How many codes there are; code 0 is never met."""
        marks = 3 + len(self.tempos) + len(self.meters)
        pitches = 2 * sum(part.high - part.low + 1 for part in self.parts)
        return marks + pitches + (len(self.parts) if self.layout == "voices" else self.steps_per_beat - 1)

    def port(self) -> Port:
        """The input of a model of music: the codes."""
        return Port("tokens", "tokens", self.size(), "src")


def bar_steps(meter: tuple[int, int], steps_per_beat: int) -> int:
    """Steps in a bar of a time signature; 0 if it is none, or its bar is no whole number of steps."""
    count, unit = meter
    if not 1 <= count <= 255 or unit not in (1, 2, 4, 8, 16, 32, 64):
        return 0
    steps, rest = divmod(count * 4 * steps_per_beat, unit)
    return 0 if rest else steps


class LogMel(Step, frozen=True, tag="log_mel"):
    """Log energies of mel bands of a recording's frames, (log e - center) / scale of each band.

        e_b = sum_k M_bk |FFT(w * x)_k|^2,   log e = log(max(e, floor)),   mel(f) = 1127 ln(1 + f / 700)

    x are ``frame`` samples, -1 to 1, every ``hop`` samples; w is Hann's window, 0.5 - 0.5 cos(2 pi i / (frame - 1)); M
    are ``bands`` triangles of height 1, equally wide on the mel scale from ``low`` to ``high`` Hz (HTK's formula, as in
    Kaldi). With preemphasis p a frame is first x_i - p x_{i-1}, x_{-1} being x_0. ``stack`` frames side by side are one
    step of the network, so it has a step every ``stack * hop`` samples, and each is made of its own samples alone.
    """

    key: ClassVar[str] = "log_mel"
    rate: int
    frame: int
    hop: int
    fft: int
    bands: int
    low: float
    high: float
    preemphasis: float = 0.0
    floor: float = 1e-10
    stack: int = 1

    def __post_init__(self) -> None:
        check_size("log mel: rate", self.rate, high=MAX_RATE)
        check_size("log mel: frame", self.frame, low=2, high=MAX_FRAME)
        check_size("log mel: hop", self.hop, high=self.frame)
        check_size("log mel: fft", self.fft, low=self.frame, high=4 * MAX_FRAME)
        check_size("log mel: bands", self.bands, high=1024)
        check_size("log mel: stack", self.stack, high=64)
        check_size("log mel: bands * fft", self.bands * self.fft, high=MAX_MEL)
        if not 0 <= self.low < self.high <= self.rate / 2:
            raise SpecError(
                f"log mel: bands must rise from 0 to half the rate, got {self.low:g} to {self.high:g} Hz"
            )
        if not 0 <= self.preemphasis < 1 or not 0 < self.floor < 1:
            raise SpecError("log mel: preemphasis must be from 0 to below 1, and floor between 0 and 1")

    @property
    def window(self) -> int:
        """Samples that a step of the network is made of."""
        return self.frame + (self.stack - 1) * self.hop

    @property
    def stride(self) -> int:
        """Samples from one step of the network to the next."""
        return self.stack * self.hop

    def steps(self, samples: int) -> int:
        """How many steps of the network so many samples are; what is left at the end is not read."""
        return max((samples - self.window) // self.stride + 1, 0)

    def arrays(self) -> Weights:
        """Center and scale of each band's log energy."""
        return {"center": (self.bands,), "scale": (self.bands,)}

    def port(self) -> Port:
        """The input of a model of recordings: the bands of each frame of a step, one frame after the other."""
        return Port("x", "seq", self.bands * self.stack, "src")


AnyStep = (
    Calendar | Categories | CovariateScale | Irregular | SeriesScale | Vocabulary | Subwords | Images | Codes | Music
    | LogMel
)  # fmt: skip


def check_unique(what: str, names: Sequence[str]) -> None:
    """Raise SpecError unless every name is there, and once, and they are at most `MAX_SIZE`."""
    if "" in names:
        raise SpecError(f"{what} must not be empty")
    if len(set(names)) != len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))
        raise SpecError(f"{what} must each stand once, got {twice!r} twice")
    check_size(f"{what}: how many", len(names), low=0, high=MAX_SIZE - 1)
