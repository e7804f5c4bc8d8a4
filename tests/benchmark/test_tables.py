import numpy as np
import pytest
from made_up import LARGE, SMALL, measured, report

from grus.benchmark import LABELS, tables
from grus.benchmark.tables import (
    best_rival,
    columns,
    duration,
    geometric_mean,
    line,
    markdown,
    means,
    summary,
)

FORWARD = measured("forward", SMALL, grus=0.05, grus_runtime=0.04, torch_gru=0.5, torch_lstm=0.1, sgemm=11.0)
LARGER = measured("forward", LARGE, grus=2.0, grus_runtime=2.0, torch_gru=5.0, torch_lstm=8.0, sgemm=11.0)
STEP = measured("step", SMALL, threads=1, grus_runtime=0.001, grus=0.02, torch_gru=0.04, sgemm=11.0)


def test_lines_for_people():
    assert line(FORWARD, LABELS) == (
        "forward  B=1 T=100 I=16 H=64, 2 threads: 50 us [50, 50]; grus runtime 0.80x, torch GRU 10.00x, "
        "torch LSTM 2.00x; 61 of 195 GFLOP/s"
    )
    assert line(STEP, LABELS) == (
        "step     B=1 T=100 I=16 H=64, 1 thread: 1 us [1, 1]; grus.nn 20.00x, torch GRU 40.00x"
    )
    assert duration(LARGER.times["torch_gru"]) == "5 ms [5, 5]"


def test_means_are_geometric_and_the_best_rival_is_none_of_ours():
    assert geometric_mean([1.0, 4.0]) == pytest.approx(2.0)
    assert best_rival(FORWARD) == ("torch_lstm", 2.0)
    assert best_rival(LARGER) == ("torch_gru", 2.5)
    assert means([FORWARD, LARGER]) == {
        "grus_runtime": pytest.approx(0.8**0.5),
        "torch_gru": pytest.approx(5.0),
        "torch_lstm": pytest.approx(8**0.5),
        "best": pytest.approx(5**0.5),
    }
    assert summary(report(FORWARD, LARGER), LABELS) == [
        "geometric mean, forward, 2 threads: grus runtime 0.89x, torch GRU 5.00x, torch LSTM 2.83x, "
        "the best of others 2.24x",
        "  at worst 2.00x, torch LSTM at B=1 T=100 I=16 H=64",
    ]


def test_columns_are_flat():
    found = columns(report(FORWARD, STEP))
    assert list(found) == [
        "kind",
        "threads",
        "B",
        "T",
        "I",
        "H",
        "competitor",
        "ms",
        "ms_q25",
        "ms_q75",
        "ratio",
    ]
    assert {len(values) for values in found.values()} == {9}
    at = np.flatnonzero((found["kind"] == "forward") & (found["competitor"] == "torch_gru"))[0]
    assert [found[k][at] for k in ("threads", "B", "T", "I", "H", "ms")] == [2, 1, 100, 16, 64, 0.5]
    assert found["ratio"][at] == pytest.approx(10.0)


def test_markdown():
    text = markdown(report(FORWARD, LARGER, STEP), LABELS, also=[SMALL])
    assert text.split("\n\n")[0] == (
        "Made Up 3000, 2 cores, avx512, load 0.1 at the start, 2026-11-20; medians of 3 interleaved rounds with "
        "quartiles; python 3.11, torch 2.13."
    )
    assert text.count("|---") == 2 * 6 - 1
    assert [row for row in text.splitlines() if row.startswith(("|", "*"))] == [
        "**Forward, 2 threads**",
        "| B T I H | grus | grus runtime | torch GRU | torch LSTM | of sgemm |",
        "|---|---|---|---|---|---|",
        "| 1 100 16 64 | 50 us [50, 50] | 0.80x | 10.00x | 2.00x | 31% |",
        "| 32 100 64 128 | 2 ms [2, 2] | 1.00x | 2.50x | 4.00x | 121% |",
        "| geometric mean of the first 1 | best other 2.00x | 0.80x | 10.00x | 2.00x | |",
        "| geometric mean | best other 2.24x | 0.89x | 5.00x | 2.83x | |",
        "**Single step, 1 thread**",
        "| B T I H | grus | grus.nn | torch GRU | of sgemm |",
        "|---|---|---|---|---|",
        "| 1 100 16 64 | 1 us [1, 1] | 20.00x | 40.00x |  |",
    ]


def test_a_competitor_that_took_no_part_leaves_a_gap():
    alone = measured("forward", LARGE, grus=2.0, torch_gru=5.0, sgemm=11.0)
    text = markdown(report(FORWARD, alone), LABELS)
    assert "| 32 100 64 128 | 2 ms [2, 2] |  | 2.50x |  | 121% |" in text
    assert "torch_lstm" not in means([FORWARD, alone])
    assert tables.rivals([alone]) == ["torch_gru"]
