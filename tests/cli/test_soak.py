"""The soak test of ``grus stream`` in its short form: killed and restarted, its answers are those of an unbroken run."""

import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from example_series import ROLES, START, random_model
from grus.artifact import save_model
from grus.preprocess.panel import build_panel

FILE = Path(__file__).parents[2] / "benchmarks" / "soak.py"


@pytest.fixture(scope="module")
def soak():
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("soak", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["soak"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A forecaster that knows three of the keys."""
    hours = START + np.arange(100) * np.timedelta64(3600, "s")
    columns = {
        "unique_id": np.repeat(np.array(["k0", "k1", "k2"], object), 100),
        "ds": np.tile(hours, 3),
        "y": np.random.default_rng(0).normal(10, 3, 300),
    }
    margins = np.linspace(0.01, 2.0, 99)[:, None]
    spec, tensors = random_model(build_panel(columns, ROLES), margins=margins)
    spec = msgspec.structs.replace(spec, task=msgspec.structs.replace(spec.task, recent=2))
    tensors["task.recent"] = np.array([0.7])
    return save_model(tmp_path_factory.mktemp("model") / "m", spec, tensors)


def test_killed_and_restarted_it_answers_as_if_unbroken(soak, model, tmp_path):
    told = soak.soak(model, tmp_path, 12_000, 150, 4, save_every="1000", level="80")
    assert told["kills"] >= 2
    assert told["answered_again"] > 0


def test_a_wrong_answer_is_noticed(soak, model, tmp_path):
    offsets = soak.write_rows(tmp_path / "rows.jsonl", 600, 5)
    arguments = [str(model), "--seq", "n"]
    wanted, _ = soak.unbroken(soak.Stream(arguments, tmp_path / "rows.jsonl", offsets), tmp_path / "a")
    wanted[300] ^= 1
    with pytest.raises(AssertionError, match="row 300 was answered differently after 0 kills"):
        soak.broken(soak.Stream(arguments, tmp_path / "rows.jsonl", offsets), tmp_path / "b", wanted, 0, 0)
