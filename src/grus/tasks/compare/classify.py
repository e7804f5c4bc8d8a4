"""A user's labelled examples as a classification problem for any cell: the same rows and budget for all of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from grus.data.examples import own_like, read_like
from grus.data.stratify import split_rows
from grus.decode import LiveClassifier
from grus.decode.class_baselines import baseline_logits
from grus.decode.class_scores import choose, class_probabilities, fit_temperature, truth_of
from grus.errors import UsageError
from grus.models import GraphModule
from grus.preprocess.classify import ClassifyPreprocessor, StepOptions
from grus.preprocess.examples import Examples
from grus.spec import Graph, Model
from grus.tasks.classify import Classifier, Ready
from grus.tasks.classify_baselines import fit_baselines
from grus.tasks.classify_data import TITLES, Parts, Prepared, digest_of, label_source, pair, prepare
from grus.tasks.classify_networks import build_network, config_of
from grus.tasks.classify_parameters import check_parameters
from grus.tasks.compare.problem import Losses, Setting
from grus.tasks.run_folder import digest
from grus.training import Job, TrainingConfig

_NAMES = {"text": "text", "series": "series", "images": "image", "events": "history", "audio": "recording"}


class ClassifyProblem:
    """See `grus.tasks.compare.Problem`.

    Test units are examples; an example costs 1 where its label is wrong (with several labels a row: any of them), and
    0 where it is right. A share of the training rows has the same share of every label, and the smaller of two shares
    is part of the larger. The length is ``max_length``: the first steps of a text, the last of anything else.

    Args:
        data, y: as for `grus.Classifier.fit`.
        classifier: its parameters; cell, width, rate, seed and max_length are those of each setting.
        validation, test: labelled data of their own, in the form of ``data`` (with ``y``: pairs of data and labels).

    Raises:
        DataError, UsageError: as `grus.Classifier.fit`; nothing is left for validation or test.
    """

    name = "classify"
    metric = "error rate"

    def __init__(
        self, data: Any, y: Any, classifier: Classifier, validation: Any = None, test: Any = None
    ) -> None:
        me = Classifier(
            **check_parameters(classifier.get_params() | ({"test_size": 0} if test is not None else {}))
        )
        self._parameters = me
        whole, self._reading = me._prepare(data, y, validation)
        self._parts = whole.parts
        if test is not None:
            rows, labels = pair(test, "test") if y is not None else (test, None)
            held = read_like(
                rows, self._reading.roles, labels, labelled=True, own=own_like(whole.parts.train)
            )
            self._parts = Parts(whole.parts.train, whole.parts.val, held)
        for name, part in (("val_size", self._parts.val), ("test_size", self._parts.test)):
            if not part.rows:
                raise UsageError(f"compare: {name} must leave rows to compare on, got 0")
        self.title = f"{TITLES[whole.task.kind]}, {len(whole.task.labels)} labels"
        self._prepared: tuple[tuple[float, int | None], Prepared] | None = None
        first = self._prepare(1.0, None)
        self.digest = digest(digest_of(first), *vars(self._parts.test).values())
        self.plan = [*self._reading.plan, *first.plan]
        self.plan.append(
            f"units     {self._parts.test.rows:,} of the test, each one {_NAMES[whole.task.kind]}"
        )

    def graph(self, cell: str, hidden: int, length: int | None = None) -> Graph:
        """The network of a cell with that many units, as all training rows make it."""
        prepared = self._prepare(1.0, length)
        parameters = self._with(Setting(cell, hidden, 1e-3)).get_params()
        return build_network(config_of(parameters, prepared.task), prepared.port)

    def job(self, setting: Setting) -> Job:
        """What is trained."""
        return self._ready(setting).job

    def config(self, setting: Setting) -> TrainingConfig:
        """The classifier's own, at the rate and with the seed of the setting."""
        return self._with(setting)._training_config()

    def losses(self, model: GraphModule, setting: Setting) -> Losses:
        """Whether each test example was named wrongly; and the log loss, calibrated on the validation rows."""
        prepared = self._prepare(setting.share, setting.length)
        weights = {f"main.{name}": values for name, values in model.tensors().items()}
        tensors = prepared.arrays | weights | {"task.temperature": np.ones(1)}
        live = LiveClassifier(Model(1, prepared.task, prepared.steps, {"main": model.graph}), tensors)
        multi = prepared.task.multi
        temperature = fit_temperature(live.logits(prepared.val.sequences), prepared.val.truth, multi)
        logits = live.logits(live.sequences(self._parts.test))
        probabilities = class_probabilities(logits, temperature, multi)
        wrong, log_loss = _scores(probabilities, self._parts.test, prepared)
        return Losses(wrong, np.ones(len(wrong)), {"log loss": log_loss})

    def floors(self, length: int | None = None) -> Mapping[str, float]:
        """Error rates of the most frequent label and of a linear model, fitted to all training rows."""
        prepared = self._prepare(1.0, length)
        task, arrays = fit_baselines(prepared)
        preprocessor = ClassifyPreprocessor(task, prepared.steps, prepared.arrays)
        sequences = preprocessor.sequences(self._parts.test)
        found = baseline_logits(prepared.steps[0], sequences, prepared.port.size, arrays, task.multi)
        return {
            name: float(
                _scores(class_probabilities(logits, 1.0, task.multi), self._parts.test, prepared)[0].mean()
            )
            for name, logits in found.items()
        }

    def _with(self, setting: Setting) -> Classifier:
        """The classifier of a setting."""
        mine = self._parameters.get_params() | {
            "cell": setting.cell, "hidden_size": setting.hidden, "learning_rate": setting.learning_rate,
            "seed": setting.seed,
        }  # fmt: skip
        return Classifier(**mine)

    def _ready(self, setting: Setting) -> Ready:
        return self._with(setting)._make_ready(self._prepare(setting.share, setting.length), self._reading)

    def _prepare(self, share: float, length: int | None) -> Prepared:
        """The data of some share and length; the last one is kept."""
        if self._prepared is None or self._prepared[0] != (share, length):
            p, parts, roles = self._parameters, self._parts, self._reading.roles
            if share < 1:
                parts = Parts(_part(parts.train, share, p.seed, label_source(roles)), parts.val, parts.test)
            options = StepOptions(p.tokenizer, p.vocabulary_size, lower=p.lower)
            self._prepared = (share, length), prepare(parts, roles, options, length or p.max_length)
        return self._prepared[1]


def _part(examples: Examples, share: float, seed: int, source: str) -> Examples:
    """Some of the examples, the same share of every label."""
    assert examples.labels is not None
    return examples.take(split_rows(examples.labels, 1.0 - share, 0, seed, source).train)


def _scores(probabilities: np.ndarray, test: Examples, prepared: Prepared) -> tuple[np.ndarray, float]:
    """1 for each wrong example, else 0, float64 [R]; and the mean log loss of the known labels."""
    assert test.labels is not None
    task = prepared.task
    truth, known = truth_of(test.labels, task.labels, task.multi), set(task.labels)
    chosen = choose(probabilities, task.multi)
    foreign = np.array([not known.issuperset(row) for row in test.labels])
    if task.multi:
        right, true = (chosen == truth).all(axis=1), np.where(truth, probabilities, 1.0 - probabilities)
    else:
        right, true = chosen == truth, probabilities[~foreign, truth[~foreign]]
    loss = -float(np.log(np.maximum(true, np.finfo(np.float64).eps)).mean()) if true.size else float("nan")
    return (~(right & ~foreign)).astype(np.float64), loss
