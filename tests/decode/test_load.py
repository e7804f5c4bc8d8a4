"""``grus.load``: the precision that it passes on reaches the network of every live model, and nothing else."""

import numpy as np
import pytest

import grus
from example_classifiers import classifier, texts
from example_series import ROLES, hourly, random_model
from grus.artifact import save_model
from grus.errors import UsageError
from grus.preprocess.panel import build_panel
from rounding import round_matrices

SERIES = {name: values for name, values in hourly((60, 50)).items() if name in ("unique_id", "ds", "y")}


def forecaster():
    return *random_model(build_panel(SERIES, ROLES)), SERIES


def text_classifier():
    return *classifier("word"), texts().texts


def predict(live, data):
    return live.predict(data, proba=True) if isinstance(live, grus.LiveClassifier) else live.predict(data)


@pytest.mark.parametrize("example", [forecaster, text_classifier])
def test_bf16_answers_are_those_of_matrices_rounded_beforehand(example, tmp_path):
    spec, tensors, data = example()
    main = {name.removeprefix("main."): a for name, a in tensors.items() if name.startswith("main.")}
    rounded = {f"main.{name}": a for name, a in round_matrices(spec.parts["main"], main).items()}
    save_model(tmp_path / "model", spec, tensors)
    save_model(tmp_path / "rounded", spec, tensors | rounded)
    stored = predict(grus.load(tmp_path / "model", precision="bf16"), data)
    expected = predict(grus.load(tmp_path / "rounded"), data)
    for name, values in expected.items():
        np.testing.assert_array_equal(stored[name], values)
    plain = predict(grus.load(tmp_path / "model", precision="float32"), data)
    assert any((plain[name] != values).any() for name, values in stored.items())


@pytest.mark.parametrize("example", [forecaster, text_classifier])
def test_another_precision_is_refused(example, tmp_path):
    spec, tensors, _ = example()
    save_model(tmp_path / "model", spec, tensors)
    with pytest.raises(UsageError, match=r"^precision: must be float32, bf16 or int8, got 'int4'$"):
        grus.load(tmp_path / "model", precision="int4")
