"""Fitted preprocessing steps as data: what is small is in the struct, fitted numbers are float64 tensors."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import msgspec

from grus.errors import SpecError
from grus.spec.graph import Port
from grus.spec.ops import Weights
from grus.spec.shapes import MAX_SIZE, check_size
from grus.spec.subwords import read_definition


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


AnyStep = (
    Calendar | Categories | CovariateScale | SeriesScale | Vocabulary | Subwords | Images | Codes
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
