import json

import numpy as np
import pytest
from made_up import LARGE, SMALL, measured, report

from grus.benchmark import Times, read_report, to_json
from grus.errors import DataError


def test_a_report_survives_json(tmp_path):
    whole = report(
        measured("forward", SMALL, grus=[1.0, 2.0, 4.0], sgemm=3.0),
        measured("step", SMALL, grus_runtime=0.1),
        absent={"jax": "jax is not installed"},
    )
    file = tmp_path / "run.json"
    file.write_text(to_json(whole))
    assert read_report(file) == whole


def test_the_schema_of_the_json():
    found = json.loads(to_json(report(measured("training", LARGE, threads=1, grus=[1.0, 2.0, 4.0]))))
    assert set(found) == {"schema", "machine", "rounds", "measurements", "absent"}
    assert found["schema"] == 1
    assert set(found["machine"]) == {"cpu", "cores", "load", "isa", "versions", "date"}
    assert found["measurements"] == [
        {
            "kind": "training",
            "size": {"B": 32, "T": 100, "I": 64, "H": 128},
            "threads": 1,
            "times": {"grus": {"median": 2.0, "q25": 1.5, "q75": 3.0, "samples": [1.0, 2.0, 4.0]}},
        }
    ]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"schema": 2}'])
def test_what_is_no_report(tmp_path, text):
    file = tmp_path / "run.json"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        read_report(file)
    assert str(caught.value).startswith(
        f"{file}: expected the JSON of a benchmark run, got what does not fit: "
    )


def test_figures():
    result = measured("training", LARGE, grus=[1.0, 2.0, 4.0], torch_gru=[2.0, 8.0, 8.0], sgemm=1.0)
    assert result.speedup("torch_gru") == 4.0
    over = result.ours_over("torch_gru")
    assert (over.q25, over.median, over.q75) == (0.375, 0.5, 0.5)
    assert result.gflops == pytest.approx(3 * LARGE.flops / 2e-3 / 1e9)
    assert result.sgemm_gflops == pytest.approx(2 * 1024**3 / 1e-3 / 1e9)


def test_a_single_step_is_the_runtimes():
    assert measured("step", SMALL, grus_runtime=1.0, grus=5.0).speedup("grus") == 5.0


def test_samples_are_kept_to_six_digits():
    assert Times.of(np.array([1.23456789])).samples == (1.23457,)
