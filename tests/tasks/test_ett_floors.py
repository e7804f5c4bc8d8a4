"""The ETT harness reproduces the floors that anybody gets from the same files under the standard protocol."""

import importlib.util
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
HORIZONS = (96, 192, 336, 720)
#: MSE and MAE of every window, to three digits. For repeat last on ETTh1 Zeng et al. 2023 print 1.295/.713 and
#: 1.325/.733 at the first two horizons, with the last batch of windows dropped.
FLOORS = {
    ("ETTh1", "repeat last"): [(1.294, 0.713), (1.325, 0.733), (1.330, 0.746), (1.335, 0.755)],
    ("ETTh1", "seasonal naive"): [(0.512, 0.433), (0.581, 0.469), (0.650, 0.501), (0.655, 0.514)],
    ("ETTh2", "repeat last"): [(0.432, 0.422), (0.534, 0.473), (0.597, 0.511), (0.594, 0.519)],
    ("ETTh2", "seasonal naive"): [(0.391, 0.380), (0.482, 0.429), (0.532, 0.466), (0.525, 0.474)],
}  # fmt: skip


@pytest.fixture(scope="module")
def ett():
    """The harness, imported by its path; skipped where its data is not at hand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        spec = importlib.util.spec_from_file_location("ett", BENCHMARKS / "ett.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        try:
            module.data_folder("ett")
        except SystemExit as absent:
            pytest.skip(f"no ETT data: {absent}".splitlines()[0])
        yield module
        sys.modules.pop("shared_data", None)


@pytest.fixture(scope="module")
def panels(ett):
    return {name: ett.load(name) for name in ("ETTh1", "ETTh2")}


@pytest.mark.parametrize("number", range(4), ids=[f"horizon-{h}" for h in HORIZONS])
@pytest.mark.parametrize("name", ["ETTh1", "ETTh2"])
def test_the_naive_floors(ett, panels, name, number):
    found = ett.naive(name, HORIZONS[number], panels[name])
    for rival, (mse, mae) in found.items():
        assert (round(mse, 3), round(mae, 3)) == FLOORS[name, rival][number], rival


def test_no_test_window_is_dropped(ett, panels):
    for horizon, count in zip(HORIZONS, (2785, 2689, 2545, 2161), strict=True):
        series, origins = ett.windows(panels["ETTh1"], "ETTh1", horizon)
        assert len(series) == len(origins) == 7 * count
        assert origins[0] == 11520
        assert origins[count - 1] + horizon == 14400
