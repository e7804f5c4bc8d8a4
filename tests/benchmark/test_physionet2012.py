"""The benchmark of deaths in intensive care: its scores against their definitions, its folds, and what it reads."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DATA = Path(os.environ.get("GRUS_DATA", BENCHMARKS.parents[1] / "shared" / "data")) / "physionet2012"


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import physionet2012
    finally:
        sys.path.remove(str(BENCHMARKS))
    return physionet2012


@pytest.mark.parametrize("ties", [False, True])
def test_scores_are_those_of_scikit_learn(bench, ties):
    rng = np.random.default_rng(0)
    for rows in (2, 5, 300):
        p = rng.random(rows)
        p = p.round(1) if ties else p
        truth = (rng.random(rows) < 0.3).astype(int)
        truth[:2] = (0, 1)
        found = bench.scores(p, truth)
        assert found["auc"] == pytest.approx(roc_auc_score(truth, p))
        assert found["auprc"] == pytest.approx(average_precision_score(truth, p))
        assert found["brier"] == pytest.approx(np.mean((p - truth) ** 2))


def test_calibration_is_by_bins_of_as_many(bench):
    p = np.arange(20) / 20
    found = bench.calibration(p, (p > 0.5).astype(int))
    assert [count for count, *_ in found] == [2] * 10
    assert found[0] == (2, pytest.approx(0.025), 0.0)
    assert found[9] == (2, pytest.approx(0.925), 1.0)


def test_folds_share_out_the_deaths_and_no_stay_is_in_two_parts(bench):
    died = (np.random.default_rng(0).random(403) < 0.14).astype(int)
    of = bench.folds(died)
    per_fold = np.array([[(of == f).sum(), died[of == f].sum()] for f in range(5)])
    assert np.ptp(per_fold, 0).max() <= 2
    for fold in range(5):
        parts = bench.parts(died, fold)
        assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(403))
        assert np.array_equal(parts[2], np.flatnonzero(of == fold))
        assert len(parts[1]) == pytest.approx(403 * 0.8 * 0.2, abs=3)


def test_a_table_that_lacks_folds_says_so_and_seeds_are_averaged(bench):
    died = np.arange(50) % 2
    results = [
        {"model": "decay", "fold": f, "seed": s, "auc": 0.8 + 0.01 * f, "auprc": 0.5, "brier": 0.1, "cpu_s": 2.0,
         "p": np.linspace(0, 1, int((bench.folds(died) == f).sum())).tolist()}
        for f in range(5) for s in range(2)
    ]  # fmt: skip
    whole = bench.summarise(results, died)
    assert "| decay | 2 | 0.8200 | 0.0158 | 0.5000 | 0.1000 | 0.8424 | 2 |" in whole
    assert "| decay, its 2 seeds averaged |" in whole
    assert "Calibration of decay" in whole
    part = bench.summarise(results[:4], died)
    assert "| decay (2 of 5 folds) | 2 | 0.8050 |" in part
    assert "Calibration" not in part


@pytest.mark.skipif(not DATA.is_dir(), reason="the data set PhysioNet 2012 is not here")
def test_what_is_read(bench):
    stays = bench.read()
    assert len(stays.ids) == 4000
    assert stays.died.sum() == 554
    measured = [name for name in stays.names if not name.startswith("ICUType")]
    assert len(measured) == 33 + 4  # and age, gender, height, weight
    outcomes = {"SAPS-I", "SOFA", "Length_of_stay", "Survival", "In-hospital_death"}
    assert not outcomes & set(stays.names)
    assert np.array_equal(np.unique(stays.table["stay"]), stays.ids)
    assert stays.table["minute"].max() == 47 * 60
    steps = np.diff(stays.table["stay"] * 10_000 + stays.table["minute"])
    assert (steps > 0).all()
    for name in stays.names:
        assert np.nanmin(stays.table[name]) >= (-20 if name == "Temp" else 0)
    raw = bench.read(0)
    assert len(raw.table["stay"]) > len(stays.table["stay"])
    few = stays.of(np.array([3, 5]))
    assert set(few["stay"]) == {stays.ids[3], stays.ids[5]}
    summary = bench.summaries(stays)
    assert summary.shape == (4000, 7 * len(stays.names))
    own = stays.table["HR"][stays.table["stay"] == stays.ids[3]]
    own = own[~np.isnan(own)]
    at = 7 * stays.names.index("HR")
    expected = [len(own), own.mean(), own.std(), own.min(), own.max(), own[0], own[-1]]
    np.testing.assert_allclose(summary[3, at : at + 7], expected, rtol=1e-9)
