"""What a run measured, as typed data that JSON keeps."""

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from grus.benchmark.shapes import Size
from grus.errors import DataError

Kind = Literal["forward", "training", "step"]
KINDS: tuple[Kind, ...] = ("forward", "training", "step")
Contest = tuple[Kind, Size]
SGEMM, SGEMM_SIZE = "sgemm", 1024
#: what the others are compared with: grus.nn where a torch user calls, the runtime where a live row comes in
OURS: dict[Kind, str] = {"forward": "grus", "training": "grus", "step": "grus_runtime"}


class Spread(msgspec.Struct, frozen=True):
    """Median and quartiles."""

    median: float
    q25: float
    q75: float

    @classmethod
    def of(cls, values: np.ndarray) -> "Spread":
        """Of some values, at least one."""
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
        return cls(middle, low, high)


class Times(Spread, frozen=True):
    """Milliseconds of one call: median and quartiles over rounds, and the samples in the order of rounds."""

    samples: tuple[float, ...]

    @classmethod
    def of(cls, values: np.ndarray) -> "Times":
        """From milliseconds, one a round."""
        spread = Spread.of(values)
        return cls(spread.median, spread.q25, spread.q75, tuple(float(f"{v:.6g}") for v in values))


class Measurement(msgspec.Struct, frozen=True):
    """One kind of call at one size and one number of threads; ``times`` by the competitor's name."""

    kind: Kind
    size: Size
    threads: int
    times: dict[str, Times]

    @property
    def ours(self) -> Times:
        """Our time."""
        return self.times[OURS[self.kind]]

    def ours_over(self, reference: str) -> Spread:
        """Our time over another's, round by round."""
        return Spread.of(np.array(self.ours.samples) / np.array(self.times[reference].samples))

    def speedup(self, peer: str) -> float:
        """Median time of another over our median time: above 1 says that we are faster."""
        return self.times[peer].median / self.ours.median

    @property
    def gflops(self) -> float:
        """Our rate, GFLOP/s of the products alone."""
        work = self.size.flops * (3 if self.kind == "training" else 1)
        return work / self.ours.median / 1e6

    @property
    def sgemm_gflops(self) -> float:
        """The rate of sgemm in the same rounds: the speed of the machine."""
        return 2 * SGEMM_SIZE**3 / self.times[SGEMM].median / 1e6


class Machine(msgspec.Struct, frozen=True):
    """What a figure depends on."""

    cpu: str
    cores: int
    load: float
    isa: str
    versions: dict[str, str]
    date: str


class Report(msgspec.Struct, frozen=True):
    """One run; ``absent`` says why a competitor was left out."""

    machine: Machine
    rounds: int
    measurements: tuple[Measurement, ...]
    absent: dict[str, str] = {}
    schema: Literal[1] = 1


def to_json(report: Report) -> str:
    """A report as JSON, samples of one competitor on one line."""
    import json
    import re

    text = json.dumps(msgspec.to_builtins(report), indent=1)
    joined = re.sub(r'"samples": \[[^]]*\]', lambda found: re.sub(r"\s+", " ", found[0]), text)
    return joined + "\n"


def read_report(path: Path) -> Report:
    """Read what `to_json` wrote.

    Raises:
        DataError: not such a file.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except msgspec.MsgspecError as error:
        raise DataError(
            f"{path}: expected the JSON of a benchmark run, got what does not fit: {error}"
        ) from None
