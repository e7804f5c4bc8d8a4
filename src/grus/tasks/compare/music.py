"""Polyphonic music as a problem to compare cells on: which of 88 keys sound at the next step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grus.data.windows import epoch_order
from grus.errors import UsageError
from grus.models import GraphModule
from grus.spec import Graph, Node, Op, Port, ops
from grus.tasks import rules
from grus.tasks.cells import layers_of
from grus.tasks.compare.music_floors import floors_of, marginal
from grus.tasks.compare.music_job import CLOCK, INPUT, OUTPUT, MusicJob, piece_errors
from grus.tasks.compare.music_rolls import KEYS, read_rolls
from grus.tasks.compare.options import Options, sort_options
from grus.tasks.compare.problem import Losses, Setting
from grus.tasks.compare.start import chrono_biases, orthogonal_recurrence, seeded_module
from grus.training import Job, TrainingConfig

_RULES = {
    "batch_size": rules.POSITIVE,
    "layers": rules.LAYERS,
    "input_dropout": rules.SHARE,
    "dropout": rules.SHARE,
    "output_dropout": rules.SHARE,
    "recurrent_dropout": rules.SHARE,
    "weight_noise": rules.Rule(rules.number(0), "a number of at least 0"),
    "transpose": rules.Rule(lambda v: rules.number(0)(v) and v <= 1, "a number from 0 to 1"),
    "skip": rules.FLAG,
    "orthogonal": rules.FLAG,
    "chrono": rules.or_none(rules.POSITIVE),
    "data_seed": rules.COUNT,
}
_DEFAULTS: dict[str, Any] = {
    "batch_size": 8, "layers": 1, "input_dropout": 0.0, "dropout": 0.0, "output_dropout": 0.0,
    "recurrent_dropout": 0.0, "weight_noise": 0.0, "transpose": 0.0, "skip": False, "orthogonal": True, "chrono": None,
    "data_seed": 0, "log": "none", "epochs": 100,
}  # fmt: skip


def music_problem(path: str | Path, **options: Any) -> "MusicProblem":
    """Next-step prediction of piano-rolls.

        NLL = mean over steps of  - sum_k [ y_k ln p_k + (1 - y_k) ln(1 - p_k) ]

    p is the network's answer at step t, having read steps up to t, for y, the 88 keys of step t + 1. The steps of all
    pieces are pooled; the first of each is not predicted.

    Args:
        path: an .npz file with the splits ``train``, ``valid`` and ``test``; see `read_rolls`.
        options: ``batch_size`` (pieces); ``layers``; ``input_dropout`` (of keys), ``dropout`` (between layers),
            ``output_dropout`` and ``recurrent_dropout`` (GRU only); ``weight_noise``; ``transpose``: the share of
            training pieces that are moved by up to six semitones, each time anew; ``skip``: the readout sees the
            input beside the state; ``orthogonal`` and ``chrono``, the steps that gates start to span, or None (see
            `grus.tasks.compare.start`); ``data_seed``: of the share of the training pieces; and what
            `grus.training.TrainingConfig` takes but for the learning rate and the seed.

    Raises:
        DataError: the file; UsageError: an option.

    Reference:
        Boulanger-Lewandowski et al. 2012, arXiv:1206.6392; the protocol is that of Bai et al. 2018, arXiv:1803.01271.
    """
    return MusicProblem(Path(path), options)


class MusicProblem:
    """See `grus.tasks.compare.problem.Problem`, and `music_problem` for the arguments."""

    name = "music"
    metric = "NLL (nats per step)"

    def __init__(self, path: Path, options: Mapping[str, Any]) -> None:
        self._options: Options = sort_options("music_problem", options, _DEFAULTS, _RULES)
        self._splits = read_rolls(path)
        self.title = f"{path.stem}: the next step of {KEYS} keys"
        self.plan = [
            f"{split}: {len(pieces):,} pieces, {int(pieces.offsets[-1]):,} steps, of which "
            f"{int(pieces.offsets[-1]) - len(pieces):,} are predicted"
            for split, pieces in self._splits.items()
        ]

    def graph(self, cell: str, hidden: int, length: int | None = None) -> Graph:
        """Recurrent layers and a linear readout at every step, with dropout before, within and behind the layers."""
        _whole_pieces(length)
        own, nodes = self._options.own, []

        def add(name: str, op: Op, *inputs: str) -> str:
            nodes.append(Node(name, op, inputs))  # type: ignore[arg-type]
            return name

        x = INPUT
        if own["input_dropout"]:
            x = add("input_dropout", ops.Dropout(own["input_dropout"]), x)
        h = add("layers", self._layers(cell, hidden), x)
        if own["output_dropout"]:
            h = add("output_dropout", ops.Dropout(own["output_dropout"]), h)
        if own["skip"]:
            h = add("features", ops.Concat(), h, x)
        add(OUTPUT, ops.Linear(KEYS), h)
        return Graph((Port(INPUT, "seq", KEYS, CLOCK),), tuple(nodes), {OUTPUT: OUTPUT})

    def job(self, setting: Setting) -> Job:
        """Training on the share of the pieces; larger shares hold the smaller ones."""
        own, pieces = self._options.own, self._splits["train"]
        count = max(1, round(setting.share * len(pieces)))
        chosen = np.sort(epoch_order(len(pieces), own["data_seed"], 0, count))
        chance = marginal(pieces, chosen)
        return MusicJob(
            seeded_module(
                self.graph(setting.cell, setting.hidden, setting.length),
                setting.seed,
                lambda module: self._start(module, np.log(chance / (1 - chance))),
            ),
            pieces,
            chosen,
            self._splits["valid"],
            batch_size=own["batch_size"],
            seed=setting.seed,
            weight_noise=own["weight_noise"],
            transpose=own["transpose"],
        )

    def config(self, setting: Setting) -> TrainingConfig:
        """The run's rate and seed, and the options of the problem."""
        return TrainingConfig(
            learning_rate=setting.learning_rate, seed=setting.seed, **self._options.training
        )

    def losses(self, model: GraphModule, setting: Setting) -> Losses:
        """NLL per step of every test piece, weighted by its predicted steps: the mean is that of all steps pooled."""
        test = self._splits["test"]
        return Losses(piece_errors(model, test), (test.lengths - 1).astype(np.float64))

    def floors(self, length: int | None = None) -> dict[str, float]:
        """How often each key sounds, alone and after it did or did not one step before, in the training pieces."""
        _whole_pieces(length)
        return floors_of(self._splits["train"], self._splits["test"])

    def _start(self, module: GraphModule, odds: np.ndarray) -> None:
        """Let the readout begin with how often each key sounds (log-odds).

        From zero its biases would take hundreds of steps to get there, and drive the states into saturation meanwhile.
        """
        if self._options.own["orthogonal"]:
            orthogonal_recurrence(module)
        if self._options.own["chrono"]:
            chrono_biases(module, self._options.own["chrono"])
        with torch.no_grad():
            module.get_parameter(f"nodes.{OUTPUT}.bias").copy_(torch.from_numpy(odds))

    def _layers(self, cell: str, hidden: int) -> ops.Recurrent:
        own = self._options.own
        if not own["recurrent_dropout"]:
            return layers_of(cell, hidden, own["layers"], dropout=own["dropout"])
        if cell != "gru":
            raise UsageError(
                f"music_problem: recurrent_dropout must be 0 for a cell other than gru, got {cell!r}"
            )
        between = own["dropout"] if own["layers"] > 1 else 0.0
        return ops.GRU(hidden, own["layers"], dropout=between, recurrent_dropout=own["recurrent_dropout"])


def _whole_pieces(length: int | None) -> None:
    if length is not None:
        raise UsageError(f"music: length must be None, as pieces are read whole, got {length!r}")
